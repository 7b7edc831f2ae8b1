package millrace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/operator"
)

// SourceOption is an option of From.
type SourceOption[T any] interface {
	// timing says how the records get their event time.
	timing() Timing[T]
}

// Timing says how records get their event time and the splits of a source their watermarks. Its methods return changed copies.
//
// A watermark t says that no more records with event time t or earlier are expected. Each split makes its own; those after a source
// see the smallest of the splits that are not idle. It never goes back: one that does is ignored. What it is made from is part of the
// checkpoint, so a record that was late before a crash is late after it.
//
// A source whose reader knows the watermark (connect.Watermarks) says what it is: then OutOfOrderness, Monotonic, Punctuated, Watermarks and
// IdleAfter do not count.
type Timing[T any] struct {
	spec operator.TimeSpec[T]
	// way is the method that chose how watermarks are made; empty for none.
	way string
	// state describes the type of state that a generator has.
	state string
	errs  []error
}

func (t Timing[T]) timing() Timing[T] { return t }

// Event times out of this range do not fit into int64 nanoseconds.
var (
	minTime = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ErrTimeRange says that a time is before 1678 or after 2261.
var ErrTimeRange = errors.New("time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right")

// nanos turns a time into ns since 1970.
func nanos(t time.Time) (int64, error) {
	s := t.Unix()
	if s < minTime.Unix() || s >= maxTime.Unix() {
		return 0, fmt.Errorf("%v: %w", t.UTC(), ErrTimeRange)
	}
	return s*int64(time.Second) + int64(t.Nanosecond()), nil
}

// EventTime gives records the event time that f returns, in any location. Without further options records must come in order
// within each split: see Monotonic.
func EventTime[T any](f func(T) time.Time) Timing[T] {
	if f == nil {
		return noTiming[T]("EventTime")
	}
	return extracted(func(records []T, times []int64) (int, error) {
		for i := range records {
			t, err := nanos(f(records[i]))
			if err != nil {
				return i, fmt.Errorf("event time: %w", err)
			}
			times[i] = t
		}
		return 0, nil
	})
}

// TryEventTime is EventTime for a time that may be missing or unreadable. An error of f fails the job, with the place of the record.
func TryEventTime[T any](f func(T) (time.Time, error)) Timing[T] {
	if f == nil {
		return noTiming[T]("TryEventTime")
	}
	return extracted(func(records []T, times []int64) (int, error) {
		for i := range records {
			t, err := f(records[i])
			if err == nil {
				times[i], err = nanos(t)
			}
			if err != nil {
				return i, fmt.Errorf("event time: %w", err)
			}
		}
		return 0, nil
	})
}

// EventNanosRef is EventTime for a time in nanoseconds since 1970 UTC, with the record by pointer.
func EventNanosRef[T any](f func(*T) int64) Timing[T] {
	if f == nil {
		return noTiming[T]("EventNanosRef")
	}
	lo, hi := minTime.Unix()*int64(time.Second), maxTime.Unix()*int64(time.Second)
	return extracted(func(records []T, times []int64) (int, error) {
		for i := range records {
			t := f(&records[i])
			if t < lo || t >= hi {
				return i, fmt.Errorf("event time: %d ns: %w", t, ErrTimeRange)
			}
			times[i] = t
		}
		return 0, nil
	})
}

// ProcessingTime makes the event time of a record the time at which its source has read it, by the clock of the machine, and lets the
// watermark follow the clock, also while no record comes: windows then say when records came, no record is late, and there is nothing
// to wait for. Time does not go back, also when the clock does, nor over a restart.
//
// It is for input that has no time of its own, and for results that need not be repeatable: a record that is read again after a crash gets
// another time, and may count in another window than it would have. A job with a sink that is exact warns of it at the start.
//
// A record gets its time once, at the source, and keeps it on its way: what other engines call ingestion time is the same here.
func ProcessingTime[T any]() SourceOption[T] { return processingTime[T]{} }

type processingTime[T any] struct{}

func (processingTime[T]) timing() Timing[T] {
	return Timing[T]{spec: operator.TimeSpec[T]{Clock: true}}
}

func extracted[T any](f func([]T, []int64) (int, error)) Timing[T] {
	return Timing[T]{spec: operator.TimeSpec[T]{Extract: f}}
}

// noTiming has an Extract, which never runs, so that those after the source do not complain of missing event times too.
func noTiming[T any](by string) Timing[T] {
	return extracted(func([]T, []int64) (int, error) { return 0, nil }).mistake("%s: the function is nil", by)
}

// mistake notes what is wrong with the timing.
func (t Timing[T]) mistake(format string, args ...any) Timing[T] {
	t.errs = append(slices.Clip(t.errs), fmt.Errorf(format, args...))
	return t
}

// types names the types that checkpoints depend on, by role; nil for none.
func (t Timing[T]) types() map[string]string {
	if t.state == "" {
		return nil
	}
	return map[string]string{"watermarks": t.state}
}

// by notes which method says how watermarks are made.
func (t Timing[T]) by(way string) Timing[T] {
	if t.way != "" && t.way != way {
		t = t.mistake("%s and %s: watermarks are made in one way", t.way, way)
	}
	t.way = way
	return t
}

// OutOfOrderness says that a record may come up to d after one with a later event time, in the same split: the watermark
// is the largest event time seen - d - 1 ns. It delays results by d; what comes later still is late.
func (t Timing[T]) OutOfOrderness(d time.Duration) Timing[T] {
	t = t.by("OutOfOrderness")
	switch {
	case d < 0:
		t = t.mistake("OutOfOrderness is %v: it must not be negative", d)
	case d == math.MaxInt64:
		t = t.mistake("OutOfOrderness is %v: it is too long", d)
	}
	t.spec.Bound = d
	return t
}

// Monotonic says that the event times of a split do not fall: the watermark is the largest event time seen - 1 ns, so records of the same
// time may follow each other. It is what a Timing does that is not told otherwise. A record out of order does not fail the
// job: it is judged like any other, and late if it is.
func (t Timing[T]) Monotonic() Timing[T] { return t.by("Monotonic") }

// Punctuated takes watermarks out of the records: when f returns true, the watermark behind the record is the time that comes with it, be the
// record's own time before or after it. Until the first such record a split has no watermark, and holds all others. One out of the range of event
// times fails the job.
func (t Timing[T]) Punctuated(f func(r T) (watermark time.Time, ok bool)) Timing[T] {
	if t = t.by("Punctuated"); f == nil {
		return t.mistake("Punctuated: the function is nil")
	}
	g := &generator[T, struct{}]{f: func(_ *struct{}, r T, _ time.Time) (time.Time, bool) { return f(r) }}
	t.spec.NewGenerator = func() operator.Generator[T] { return g } // it keeps nothing
	return t
}

// Watermarks makes the watermarks of each split by a function of one's own, with a state of type S, which is a zero S at the beginning of the split
// and part of checkpoints. It is called for each record, in order, with its event time; when it returns true, the watermark behind the record
// is the time that comes with it. One out of the range of event times fails the job.
//
// The function must not look at a clock or keep anything but S, else a run after a crash differs from one without. S must be a type that package
// codec can encode.
func (t Timing[T]) Watermarks[S any](f func(state *S, r T, eventTime time.Time) (watermark time.Time, ok bool)) Timing[T] {
	t = t.by("Watermarks")
	if f == nil {
		return t.mistake("Watermarks: the function is nil")
	}
	c, err := codec.For[S]()
	if err != nil {
		return t.mistake("Watermarks: the state cannot be kept in checkpoints: %w", err)
	}
	t.state = codec.Describe[S]()
	t.spec.NewGenerator = func() operator.Generator[T] { return &generator[T, S]{f: f, codec: c} }
	return t
}

// generator makes the watermarks of a split by a function with a state.
type generator[T, S any] struct {
	f     func(state *S, r T, eventTime time.Time) (time.Time, bool)
	codec codec.Codec[S] // nil when there is no state
	state S
}

func (g *generator[T, S]) Observe(records []T, times, marks []int64) (bad int, err error) {
	for i := range records {
		marks[i] = element.NoTime
		wm, ok := g.f(&g.state, records[i], operator.Time(times[i]))
		if !ok {
			continue
		}
		if marks[i], err = nanos(wm); err != nil {
			return i, fmt.Errorf("watermark: %w", err)
		}
	}
	return 0, nil
}

func (g *generator[T, S]) State() []byte {
	if g.codec == nil {
		return nil
	}
	return g.codec.Append(nil, &g.state)
}

func (g *generator[T, S]) Restore(b []byte) error {
	if g.codec == nil {
		return nil
	}
	rest, err := g.codec.Decode(b, &g.state)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return err
}

// IdleAfter lets the watermark go on without a split that is at its end for now and has been quiet for d. It matters to
// sources that are followed. Time in which the job could not have read does not count. When the split wakes up, the watermark stays
// where it is, and what the split brings is judged by it.
func (t Timing[T]) IdleAfter(d time.Duration) Timing[T] {
	if d < 0 {
		t = t.mistake("IdleAfter is %v: it must not be negative", d)
	}
	t.spec.IdleAfter = d
	return t
}

// MaxAhead guards against times from the future: a record whose event time is more than d ahead of the clock of the machine, when it is read,
// fails the job with its place. It never moves the watermark, where without a guard a single record of the year 2200, or one
// in another unit, would make all others late. See DropAhead for leaving such records out instead.
//
// What the clock says is not part of a checkpoint: a record that is read again, after a crash or much later, may pass then.
func (t Timing[T]) MaxAhead(d time.Duration) Timing[T] {
	if d < 0 {
		t = t.mistake("MaxAhead is %v: it must not be negative", d)
	}
	ahead := operator.AheadSpec{Most: d}
	if t.spec.Ahead != nil {
		ahead.Drop = t.spec.Ahead.Drop
	}
	t.spec.Ahead = &ahead
	return t
}

// DropAhead leaves the records out that are beyond MaxAhead, instead of failing the job. They are counted, as Ahead in the Status, and can be
// had as Stream.Ahead. Call it after MaxAhead.
func (t Timing[T]) DropAhead() Timing[T] {
	if t.spec.Ahead == nil {
		return t.mistake("DropAhead before MaxAhead: nothing says what is too far ahead")
	}
	t.spec.Ahead = &operator.AheadSpec{Most: t.spec.Ahead.Most, Drop: true}
	return t
}

// AlignWithin lets a split wait whose watermark is more than d ahead of that of the slowest, in all subtasks of the source. Without it, a split that can be
// read faster than others, or whose times are far ahead, is read all the same, and what it brings waits in windows and joins until the
// others have come so far. Results are the same with and without, but for records that are late by how far other splits have been read.
//
// A split is held back between batches, so it may be one batch further ahead. Splits that are idle or have ended hold nobody back. One
// that is quiet and not idle does, as it holds the watermark: give followed sources IdleAfter.
func (t Timing[T]) AlignWithin(d time.Duration) Timing[T] {
	if d < 0 {
		t = t.mistake("AlignWithin is %v: it must not be negative", d)
	}
	align := operator.AlignSpec{Within: d}
	if t.spec.Align != nil {
		align.Group = t.spec.Align.Group
	}
	t.spec.Align = &align
	return t
}

// AlignGroup aligns the source with all sources of the job that give the same name: none of their splits goes further ahead of the slowest of all
// of them than its own AlignWithin, which is called before, allows. It is for sources that meet in a join or a union.
func (t Timing[T]) AlignGroup(name string) Timing[T] {
	if t.spec.Align == nil {
		return t.mistake("AlignGroup before AlignWithin: nothing says how far ahead a split may be")
	}
	if name == "" {
		t = t.mistake("AlignGroup: the name is empty")
	}
	t.spec.Align = &operator.AlignSpec{Within: t.spec.Align.Within, Group: name}
	return t
}

// Ahead returns the records that a source, or an AssignTime, leaves out by DropAhead, with the event times that they claim.
func (s Stream[T]) Ahead() Stream[T] {
	n := s.job.g.Nodes[s.node]
	if spec, ok := n.Op.(*operator.Spec); !ok || !spec.LeavesOut || s.side != "" {
		n.Errs = append(n.Errs, errors.New("Ahead: nothing is left out here: it is for the stream of a source, or of an AssignTime, with DropAhead"))
		return s
	}
	s.side = operator.AheadSide
	return s
}
