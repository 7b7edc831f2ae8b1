// Package connect is the contract between the engine and the outside: what a connector implements to bring records in
// or to take results out.
//
// A source is a set of splits (files, partitions, ranges), each read in order by one Reader from a position that the
// engine keeps in its checkpoints. A sink is a set of writers, one for each parallel instance, and one Committer: what
// the writers have written in an epoch becomes durable in Prepare, invisible still, and visible in Commit, which the
// engine calls after the epoch is decided and again after a crash, so it must do no harm when repeated.
//
// The package is not for jobs: a job uses the connectors made with it.
package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Split is a part of a source that is read in order, and resumed, by itself.
type Split struct {
	// ID names the split in checkpoints: the same data must have the same ID in every run.
	ID string
	// Bytes is the size, for progress displays; 0 when it is not known.
	Bytes int64
	// Unseekable says that what has been read of the split cannot be read again: a pipe, a socket. Open is never given a position of
	// it. After a crash it goes on with what comes then, and the records since the last checkpoint are lost: whatever the job
	// promises, it is at most once for them, and the job says so when it starts.
	Unseekable bool
}

// Source is where records of type T come from. Its methods may be called from several goroutines.
type Source[T any] interface {
	// Splits lists all splits that exist now, ordered by ID. It must be an error to find none where the user named
	// something that must exist.
	Splits(ctx context.Context) ([]Split, error)
	// Open returns a reader of one split that goes on after position, which an earlier reader of the split gave, or
	// starts at the beginning when position is nil.
	Open(ctx context.Context, split Split, position []byte) (Reader[T], error)
}

// Discoverer is implemented by sources that find new splits while they run. A source that does not is read to its end.
type Discoverer interface {
	// DiscoverEvery returns how often Splits should be called again; 0 means never, and the source ends when its
	// splits have ended.
	DiscoverEvery() time.Duration
}

// Reader reads one split. It is used by one goroutine.
type Reader[T any] interface {
	// Read fills records from the front and returns how many it filled. The slots hold zero values or leftovers of earlier
	// records: every field must be set. Strings may share one allocation for a batch, but their memory must not be used again.
	// It returns io.EOF (with 0 records) when the split has ended, and 0, nil when there is nothing more now but may
	// be later. Records read before an error is met are returned first, the error by the next call. An error that is a *RecordError is about one
	// record: the reader stands behind it, in Position too, and Read may be called again to go on with the next. After other errors it is not.
	Read(ctx context.Context, records []T) (int, error)
	// Position returns the position after the last record that Read returned. The engine keeps the bytes.
	Position() []byte
	// Where describes the place of record i of the last Read, for error messages: "flights.csv:17".
	Where(i int) string
	// BytesRead returns how much of Split.Bytes has been consumed.
	BytesRead() int64
	// Close releases the reader.
	Close() error
}

// Watermarks is implemented by readers that know the watermark of their split: what they say takes the place of the
// watermark that is otherwise made from event times and their out-of-orderness, and of IdleAfter.
type Watermarks interface {
	// Watermark returns the watermark behind the last record that Read returned, in ns since 1970 UTC: math.MinInt64 before
	// there is one, and never math.MaxInt64, which io.EOF stands for. One that goes back is taken for the one before. It is asked
	// after every Read, so a Read must end with the record behind which the watermark moves; one that returns no record
	// may move it too. With idle set, the split holds nothing back until its next record or a later watermark.
	Watermark() (t int64, idle bool)
}

// OutOfRange says what a source does when the place at which it is to go on does not exist any more: the file is shorter than what was read
// of it or another one has its name, the log has been cut off before it.
type OutOfRange uint8

// What can be done about it.
const (
	// OutOfRangeFails stops the job with an error that says what was expected and what is there.
	OutOfRangeFails OutOfRange = iota
	// OutOfRangeFromStart reads what is there from its beginning. Some of it may have been read before.
	OutOfRangeFromStart
	// OutOfRangeFromEnd leaves out what is there and reads what is added to it.
	OutOfRangeFromEnd
)

// String returns the choice in words.
func (o OutOfRange) String() string {
	switch o {
	case OutOfRangeFails:
		return "fail"
	case OutOfRangeFromStart:
		return "from the start"
	case OutOfRangeFromEnd:
		return "from the end"
	}
	return fmt.Sprintf("OutOfRange(%d)", uint8(o))
}

// Mover is implemented by readers that may go on at another place than the one they were given, or than where they were: see OutOfRange.
type Mover interface {
	// Moved returns how often that has happened since Open, and why and to where the last time, for the log. It is asked after Open
	// and after every Read.
	Moved() (n int64, why string)
}

// Guarantee is what a job promises about its records, and what a sink can promise about those that it is given.
type Guarantee uint8

// The guarantees.
const (
	// AtLeastOnce: nothing is lost. Sinks write through: after a crash the records of the last epoch may come again.
	AtLeastOnce Guarantee = iota + 1
	// ExactlyOnce: nothing is lost, nothing comes twice. Sinks show the records of an epoch when the epoch is decided, once.
	ExactlyOnce
	// AtMostOnce: nothing comes twice. After a crash the records of the last epoch may be missing.
	AtMostOnce
)

// String returns the guarantee in words.
func (g Guarantee) String() string {
	switch g {
	case AtLeastOnce:
		return "at least once"
	case ExactlyOnce:
		return "exactly once"
	case AtMostOnce:
		return "at most once"
	}
	return fmt.Sprintf("Guarantee(%d)", uint8(g))
}

// SinkInfo tells a writer or committer who it is.
type SinkInfo struct {
	// Job and Operator are the stable ids.
	Job, Operator string
	// Subtask is the number of this writer, from 0 to Parallelism-1. It is 0 for a committer.
	Subtask, Parallelism int
	// Term grows by one with every start of the job, so names made from it are not those of an earlier, perhaps
	// still dying, start.
	Term uint64
	// Epoch is the last decided epoch; 0 before the first.
	Epoch uint64
	// Delivery is what the job promises; 0 is ExactlyOnce. In a job that is AtLeastOnce, a sink that could do more need not wait for decisions: its
	// writers may show what they are given at once, and must have shown it when Finish returns.
	Delivery Guarantee
}

// Sink is where records of type T go.
type Sink[T any] interface {
	// Guarantee says what the sink can promise.
	Guarantee() Guarantee
	// OpenWriter returns the writer of one parallel instance.
	OpenWriter(ctx context.Context, info SinkInfo) (Writer[T], error)
	// OpenCommitter returns the committer of the sink, or nil for a sink that only writes through.
	OpenCommitter(ctx context.Context, info SinkInfo) (Committer, error)
}

// Writer takes the records of one parallel instance. It is used by one goroutine at a time, except for what Prepare returns.
//
// In a job that is AtMostOnce, the writer of a sink that is AtLeastOnce is given the records of an epoch when the epoch is decided, and never
// again; then comes Flush, and no Prepare.
type Writer[T any] interface {
	// Write takes records; it must not keep the slice.
	Write(ctx context.Context, records []T) error
	// Prepare ends the epoch for this writer: later records belong to the next one. The returned function, called
	// from another goroutine and at most once, makes what was written durable and invisible, and returns what Commit needs to
	// make it visible; nil when there is nothing to commit. A nil function means the same.
	Prepare(ctx context.Context, epoch uint64) (Finish, error)
	// Flush pushes buffered records of a write-through sink out; others may do nothing.
	Flush(ctx context.Context) error
	// Close releases the writer. What was written since the last Prepare is forgotten.
	Close() error
}

// Finish completes a Prepare and returns the committable.
type Finish func(ctx context.Context) (committable []byte, err error)

// Committer makes decided epochs visible. It is used by one goroutine.
type Committer interface {
	// Recover is called once, before any writer is opened, with the committables of the restored checkpoint (none at
	// a first start) and the restored epoch. It commits them, removes what was prepared but never decided, and deals with
	// output of later epochs, which exists only when a damaged checkpoint made the engine fall back to an earlier one.
	// What it had to do beyond committing is returned as notes for the log.
	Recover(ctx context.Context, epoch uint64, committables [][]byte) (notes []string, err error)
	// Commit makes the committables of the epoch visible. Repeating it does no harm.
	Commit(ctx context.Context, epoch uint64, committables [][]byte) error
	// Close releases the committer.
	Close() error
}

// RecordDecoder is implemented by sources that can read a record by itself, so that dead letters can be handled again.
type RecordDecoder[T any] interface {
	// DecodeRecord reads a record of a split from what stood in RecordError.Raw.
	DecodeRecord(ctx context.Context, split string, raw []byte) (T, error)
}

// Counter is implemented by committers that can tell how many records of their sink are committed. It makes an audit of a job's output possible.
type Counter interface {
	// Count returns how many records of the sink a reader of its output sees. It is not called while the job writes.
	Count(ctx context.Context) (int64, error)
}

// Checker is implemented by sources and sinks that can find mistakes in their options before anything runs.
type Checker interface {
	// Check returns all mistakes, joined.
	Check() error
}

// SourceChecker is a Checker for values that can be a source or a sink: it finds the mistakes of a source. It is asked
// instead of Checker.
type SourceChecker interface {
	// CheckSource returns all mistakes, joined.
	CheckSource() error
}

// SinkChecker is a Checker for values that can be a source or a sink: it finds the mistakes of a sink. It is asked
// instead of Checker.
type SinkChecker interface {
	// CheckSink returns all mistakes, joined.
	CheckSink() error
}

// RecordError is a record that could not be read or used, and where it stands.
type RecordError struct {
	// Where is the place: file and line, and column where known.
	Where string
	// Column is the name of the column or field, if one is to blame.
	Column string
	// Raw is the record as it was read, for dead letters; nil when it is not known.
	Raw []byte
	// Err is the reason.
	Err error
}

// Error says where, which column, why.
func (e *RecordError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s: %v", e.Where, e.Err)
	}
	return fmt.Sprintf("%s: column %q: %v", e.Where, e.Column, e.Err)
}

// Unwrap returns the reason.
func (e *RecordError) Unwrap() error { return e.Err }

// ErrRetry marks errors that may go away by themselves: the engine may restart the job from its last checkpoint.
var ErrRetry = errors.New("may succeed when tried again")

// Retryable marks err as one that may go away by itself.
func Retryable(err error) error { return fmt.Errorf("%w (%w)", err, ErrRetry) }
