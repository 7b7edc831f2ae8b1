package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/progress"
)

// PollResult says what a source found when it was polled.
type PollResult uint8

// The results of Poll.
const (
	// PollMore says that records were passed on and more may be there at once.
	PollMore PollResult = iota + 1
	// PollNothing says that all splits are at their end for now.
	PollNothing
	// PollEnded says that all splits have ended; the final watermark has been passed on.
	PollEnded
)

// Source is an Op at the head of a chain.
type Source interface {
	Op
	// List returns the splits that exist now.
	List(ctx context.Context) ([]connect.Split, error)
	// DiscoverEvery returns how often List should be called again; 0 means that the source ends with its splits.
	DiscoverEvery() time.Duration
	// Join makes the source a member of the alignment that it asks for, if any. It is called for all instances of an attempt before the
	// first of them is opened. Wake lets Poll be called soon and may be called from any goroutine.
	Join(all Alignments, id string, wake func())
	// Assign gives splits to this subtask, before Start or while it runs.
	Assign(splits []connect.Split) error
	// Start passes on the restored watermark.
	Start() error
	// Poll reads one batch of at most limit records and passes it on.
	Poll(limit int) (PollResult, error)
	// Drain ends all splits where they are: Poll says PollEnded next.
	Drain() error
	// Blocked says that the task begins, or ends, to wait for room downstream: that time does not make a split idle.
	Blocked(b bool)
	// Holder returns the split that holds the watermark of the source back, if there is one, where it stands, and how far the split stands that is
	// ahead of all others.
	Holder() (split string, watermark, ahead int64)
	// Place describes where the records of the last batch come from, for errors.
	Place() string
}

// maxOpenReaders bounds the files or connections that a subtask holds open at once. The splits beyond wait, and hold the
// watermark, until others end.
const maxOpenReaders = 64

// askAgain is how long a split that had nothing is left alone while others have something. One that is quiet beside busy ones must
// be found idle all the same, or be read when it is not quiet any more.
const askAgain = 10 * time.Millisecond

type sourceOp[T any] struct {
	stamper[T]
	src  connect.Source[T]
	pool *element.Pool[T]

	out    Receiver
	splits []*split[T]
	open   int
	ended  int
	// asked is the number of splits that have been asked, the first of them at askedAt.
	asked    int
	askedAt  int64
	old      oldSplits
	blocked  bool
	combiner *progress.Combiner
	wm       int64
	saidIdle bool
	saidEnd  bool
	drained  bool // there is more, and nobody wants it
	last     *split[T]
	lastRead int
	// member is nil without an alignment.
	member *alignMember
	fail   failures
	// clock is the last processing time that records have got, with TimeSpec.Clock.
	clock int64
}

// split is a split that is assigned to the subtask. Its index is its input of the combiner.
type split[T any] struct {
	connect.Split
	index  int
	name   *element.SplitName // for origins
	reader connect.Reader[T]
	// dictates is the reader, if it knows the watermark; mover is the reader, if it may go on elsewhere, and moved how often it has.
	dictates connect.Watermarks
	mover    connect.Mover
	moved    int64
	// told says that wm is what a reader has said, this one or the one before the restore.
	told    bool
	pos     []byte
	bounded progress.Bounded
	// gen makes the watermark; nil when bounded does.
	gen     Generator[T]
	quiet   progress.Idleness
	wm      int64
	records int64
	bytes   int64
	// earlier are the bytes that readers before this one have read of a split that cannot seek.
	earlier int64
	asked   bool // the last Read found nothing; it is asked again when no other has anything, or after askAgain
	ended   bool
	// refusedAt is the position behind the last record that the reader has refused, if no other record has come since.
	refused   bool
	refusedAt []byte
}

// NewSource returns a source operator.
func NewSource[T any](src connect.Source[T], spec TimeSpec[T], pool *element.Pool[T]) Source {
	return &sourceOp[T]{src: src, stamper: stamper[T]{time: spec}, pool: pool, wm: element.NoTime, clock: element.NoTime}
}

func (s *sourceOp[T]) Input(int) Receiver { return nil }

func (s *sourceOp[T]) List(c context.Context) ([]connect.Split, error) { return s.src.Splits(c) }

func (s *sourceOp[T]) DiscoverEvery() time.Duration {
	if d, ok := s.src.(connect.Discoverer); ok {
		return d.DiscoverEvery()
	}
	return 0
}

func (s *sourceOp[T]) Open(c *Context) error {
	s.out = c.Outputs("")
	s.stamper.open(c, s.pool)
	s.fail.open(c)
	old, err := readSplits(c.Old)
	s.old = old
	return err
}

// Assign takes splits over. The first call restores what the checkpoint says about them, the combined watermark included.
func (s *sourceOp[T]) Assign(splits []connect.Split) error {
	restore := s.combiner == nil
	state := progress.CombinerState{Output: element.NoTime}
	if restore && s.old.watermark < element.EndTime {
		state.Output = s.old.watermark
	}
	for _, d := range splits {
		sp := &split[T]{Split: d, index: len(s.splits), quiet: progress.Idleness{After: s.time.IdleAfter}}
		bounded, err := progress.NewBounded(s.time.Bound)
		if err != nil {
			return err
		}
		sp.bounded = bounded
		if s.time.NewGenerator != nil {
			sp.gen = s.time.NewGenerator()
		}
		in := progress.InputState{Watermark: element.NoTime, Status: progress.Active}
		if st, ok := s.old.splits[d.ID]; ok {
			if in, err = sp.restore(&st, state.Output); err != nil {
				return err
			}
		}
		sp.wm = in.Watermark
		s.c.Counters.BytesRead.Add(sp.bytes)
		if sp.ended {
			s.ended++
		}
		s.splits = append(s.splits, sp)
		state.Inputs = append(state.Inputs, in)
		if !restore {
			s.combiner.Add()
		}
		s.saidIdle = false
	}
	if !restore {
		return nil
	}
	combiner, err := progress.RestoreCombiner(state)
	if err != nil {
		return err
	}
	s.combiner, s.wm = combiner, combiner.Output()
	if s.wm > element.NoTime {
		s.clock = s.wm + 1
	}
	return nil
}

// Start passes on the restored watermark, which those after the source do not know yet. It says nothing of idle splits: what came to
// them while the job was away is not to be late because of that.
func (s *sourceOp[T]) Start() error {
	if len(s.c.Old) > 0 && s.ended == len(s.splits) && s.DiscoverEvery() == 0 {
		s.wm = element.EndTime
	}
	s.publish()
	if s.wm > element.NoTime {
		return s.pass()
	}
	return nil
}

// pass passes the watermark on by itself.
func (s *sourceOp[T]) pass() error {
	s.c.Counters.Watermark.Store(s.wm)
	if err := s.tell(s.wm); err != nil {
		return err
	}
	return s.out.Watermark(s.wm)
}

// idle says that nothing holds the watermark here.
func (s *sourceOp[T]) idle() error {
	s.saidIdle = true
	if err := s.tellIdle(); err != nil {
		return err
	}
	return s.out.Idle()
}

func (s *sourceOp[T]) Blocked(b bool) {
	s.blocked = b
	if b {
		s.look(nil)
	}
}

// look lets the clocks of idleness run; got is the split that has brought records, if any.
func (s *sourceOp[T]) look(got *split[T]) {
	if s.time.IdleAfter <= 0 {
		return
	}
	now := s.c.Env.Sched.Now().UnixNano()
	for _, sp := range s.splits {
		if !sp.ended {
			sp.quiet.Observe(progress.Look{Now: now, AtEnd: sp.asked, Backpressured: s.blocked, GotRecords: sp == got})
		}
	}
}

// Poll reads from the split whose watermark is furthest behind, so that splits advance together and the state of
// windows stays small.
func (s *sourceOp[T]) Poll(limit int) (PollResult, error) {
	if s.asked > 0 && s.c.Now()-s.askedAt >= int64(askAgain) {
		if err := s.review(); err != nil {
			return 0, err
		}
	}
	for {
		sp, err := s.pick()
		if err != nil {
			return 0, err
		}
		if sp == nil {
			return s.nothing()
		}
		more, err := s.read(sp, limit)
		switch {
		case errors.Is(err, io.EOF):
			if err := s.end(sp); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, err
		case !more:
			if s.asked == 0 {
				s.askedAt = s.c.Now()
			}
			sp.asked = true
			s.asked++
		default:
			return PollMore, nil
		}
	}
}

// pick returns the split to read next, opened, or nil when all have been asked, have ended, or wait for slower ones.
func (s *sourceOp[T]) pick() (*split[T], error) {
	best := s.furthestBehind(s.limit())
	for best == nil && s.waits() {
		best = s.furthestBehind(s.limit())
	}
	if best == nil || best.reader != nil {
		return best, nil
	}
	if best.Unseekable {
		best.pos, best.earlier = nil, best.bytes
	}
	r, err := s.src.Open(s.c, best.Split, best.pos)
	if err != nil {
		return nil, fmt.Errorf("open split %s: %w", best.ID, err)
	}
	best.reader = r
	best.mover, _ = r.(connect.Mover)
	best.moved = 0
	s.countMoves(best)
	if !s.time.Clock { // else the watermark of the reader is about other times
		best.dictates, best.told = r.(connect.Watermarks)
	}
	s.open++
	return best, nil
}

// furthestBehind returns the split with the smallest watermark of those that can be read and are not beyond the limit. One that is idle is
// asked all the same: what it may have meanwhile is not to become late because it was not looked at, and with its first record it is held
// back like others, and holds the watermark.
func (s *sourceOp[T]) furthestBehind(limit int64) (best *split[T]) {
	for _, sp := range s.splits {
		if !s.readable(sp) || sp.asked || sp.wm > limit && s.combiner.Status(sp.index) != progress.Idle {
			continue
		}
		if best == nil || sp.wm < best.wm {
			best = sp
		}
	}
	return best
}

// readable reports whether the split has not ended and has a reader, or can have one.
func (s *sourceOp[T]) readable(sp *split[T]) bool {
	return !sp.ended && (sp.reader != nil || s.open < maxOpenReaders)
}

// nothing handles a poll that found no split to read.
func (s *sourceOp[T]) nothing() (PollResult, error) {
	if s.ended == len(s.splits) && (s.DiscoverEvery() == 0 || s.drained) {
		if s.saidEnd {
			return PollEnded, nil
		}
		s.saidEnd = true
		s.wm = element.EndTime
		return PollEnded, s.pass()
	}
	if err := s.review(); err != nil {
		return 0, err
	}
	if (s.combiner.AllIdle() || s.ended == len(s.splits)) && !s.saidIdle && !s.time.Clock {
		return PollNothing, s.idle()
	}
	return PollNothing, nil
}

// review sets those splits idle that have been quiet for long enough, lets all be asked again, and passes on what follows from that.
func (s *sourceOp[T]) review() error {
	s.look(nil)
	before := s.wm
	s.tickClock()
	for _, sp := range s.splits {
		if sp.asked && sp.dictates == nil && sp.quiet.Idle() && s.combiner.Status(sp.index) != progress.Idle {
			s.wm, _ = s.combiner.SetIdle(sp.index, true)
		}
		sp.asked = false
	}
	s.asked = 0
	s.publish()
	if s.wm > before {
		return s.pass()
	}
	return nil
}

// read passes one batch of the split on, or a watermark that stands where no record is. It reports whether there was anything.
func (s *sourceOp[T]) read(sp *split[T], limit int) (bool, error) {
	b := s.pool.Get()
	buf := b.Records[:min(cap(b.Records), limit)]
	n, err := sp.reader.Read(s.c, buf)
	if sp.mover != nil {
		s.countMoves(sp)
	}
	if n == 0 {
		b.Free()
		if re := placeOf(err); re != nil && s.fail.on() {
			return true, s.refused(sp, re)
		}
		if err != nil || sp.dictates == nil {
			return false, err
		}
		return s.heed(sp, nil)
	}
	b.Records, sp.refused = buf[:n], false
	s.last, s.lastRead = sp, n
	s.look(sp)
	c := s.c.Counters
	if s.fail.on() {
		if err := s.stampGuarded(sp, b); err != nil {
			b.Free()
			return false, err
		}
	} else if bad, err := s.stamp(b); err != nil {
		b.Free()
		return false, recordAt(sp.reader, bad, err)
	}
	sp.records += int64(n)
	c.In.Add(int64(n))
	c.Out.Add(int64(len(b.Records)))
	s.countBytes(sp)
	if len(b.Records) == 0 { // all of them were left out
		b.Free()
		if sp.dictates != nil {
			_, err = s.heed(sp, nil)
		}
		if err != nil {
			return true, err
		}
		return true, s.tell(s.wm)
	}
	s.saidIdle = false
	if s.combiner.Status(sp.index) == progress.Idle {
		if out, moved := s.combiner.SetIdle(sp.index, false); moved {
			s.wm = out
			b.Advance(0, out)
		}
	}
	if err := s.advance(sp, b); err != nil {
		b.Free()
		return false, err
	}
	if s.c.Origins {
		s.origins(sp, b, sp.records-int64(n))
	}
	s.publish()
	if err := s.out.Process(b); err != nil {
		return false, err
	}
	if err := s.tell(s.wm); err != nil {
		return false, err
	}
	return true, s.sayIdle()
}

// origins notes where the records of a batch come from.
func (s *sourceOp[T]) origins(sp *split[T], b *element.Of[T], first int64) {
	b.Origins = b.Origins[:0]
	for i := range b.Records {
		at := i
		if len(s.places) > 0 {
			at = int(s.places[i])
		}
		b.Origins = append(b.Origins, s.originAt(sp, first+int64(at), sp.reader.Where(at)))
	}
}

// sayIdle says it when all splits are idle because their readers say so. Nothing says it of the others.
func (s *sourceOp[T]) sayIdle() error {
	if s.saidIdle || !s.combiner.AllIdle() {
		return nil
	}
	return s.idle()
}

// countMoves notes that the reader has gone on elsewhere.
func (s *sourceOp[T]) countMoves(sp *split[T]) {
	if sp.mover == nil {
		return
	}
	n, why := sp.mover.Moved()
	if n == sp.moved {
		return
	}
	s.c.Counters.OutOfRange.Add(n - sp.moved)
	sp.moved = n
	s.c.Log.Warn("position out of range", "job", s.c.Job, "source", s.c.ID, "split", sp.ID, "note", why)
}

func (s *sourceOp[T]) countBytes(sp *split[T]) {
	if read := sp.earlier + sp.reader.BytesRead(); read != sp.bytes {
		s.c.Counters.BytesRead.Add(read - sp.bytes)
		sp.bytes = read
	}
}

// end closes a split that has been read to its end.
func (s *sourceOp[T]) end(sp *split[T]) error {
	sp.pos = sp.reader.Position()
	s.countBytes(sp)
	err := sp.reader.Close()
	sp.reader, sp.ended = nil, true
	s.open--
	s.ended++
	if err != nil {
		return fmt.Errorf("close split %s: %w", sp.ID, err)
	}
	done := s.combiner.End
	if s.DiscoverEvery() > 0 && !s.drained { // others may come: this one's end is not that of the source
		done = s.combiner.Remove
	}
	out, moved := done(sp.index)
	s.publish()
	if moved && out < element.EndTime && !s.time.Clock {
		s.wm = out
		return s.pass()
	}
	return nil
}

// Drain ends all splits where they are.
func (s *sourceOp[T]) Drain() error {
	s.drained = true
	for _, sp := range s.splits {
		switch {
		case sp.ended:
		case sp.reader != nil:
			if err := s.end(sp); err != nil {
				return err
			}
		default:
			sp.ended = true
			s.ended++
			s.combiner.End(sp.index)
		}
	}
	return nil
}

// Place names the first and last record of the last batch.
func (s *sourceOp[T]) Place() string {
	if s.last == nil {
		return ""
	}
	if s.last.reader == nil {
		return "split " + s.last.ID
	}
	first, last := s.last.reader.Where(0), s.last.reader.Where(s.lastRead-1)
	if first == last {
		return first
	}
	return first + " to " + last
}

func (s *sourceOp[T]) Completed(uint64) {}

func (s *sourceOp[T]) Close() error {
	var errs []error
	for _, sp := range s.splits {
		if sp.reader != nil {
			errs = append(errs, sp.reader.Close())
			sp.reader = nil
		}
	}
	return errors.Join(errs...)
}
