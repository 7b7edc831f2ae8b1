package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	// Assign gives splits to this subtask, before Start or while it runs.
	Assign(splits []connect.Split) error
	// Start passes on the restored watermark.
	Start() error
	// Poll reads one batch of at most limit records and passes it on.
	Poll(limit int) (PollResult, error)
	// Blocked says that the task begins, or ends, to wait for room downstream: that time does not make a split idle.
	Blocked(b bool)
	// Place describes where the records of the last batch come from, for errors.
	Place() string
}

// TimeSpec says how records get their event time and a split its watermark.
type TimeSpec[T any] struct {
	// Extract fills times; it returns the index of the record that has no usable time, with the reason. Nil means that
	// the records have no event time.
	Extract func(records []T, times []int64) (bad int, err error)
	// Bound is how far behind the newest record another may come.
	Bound time.Duration
	// Err is a mistake in the spec, found when the job is checked.
	Err error
	// IdleAfter is how long a split at its end must be quiet to be idle; 0 means never.
	IdleAfter time.Duration
}

// maxOpenReaders bounds the files or connections that a subtask holds open at once. The splits beyond wait, and hold the
// watermark, until others end.
const maxOpenReaders = 64

type sourceOp[T any] struct {
	src  connect.Source[T]
	time TimeSpec[T]
	pool *element.Pool[T]

	c        *Context
	out      Receiver
	splits   []*split[T]
	open     int
	ended    int
	old      oldSplits
	blocked  bool
	combiner *progress.Combiner
	wm       int64
	saidIdle bool
	saidEnd  bool
	last     *split[T]
	lastRead int
}

// split is a split that is assigned to the subtask. Its index is its input of the combiner.
type split[T any] struct {
	connect.Split
	index  int
	name   *element.SplitName // for origins
	reader connect.Reader[T]
	// dictates is the reader, if it knows the watermark.
	dictates connect.Watermarks
	// told says that wm is what a reader has said, this one or the one before the restore.
	told    bool
	pos     []byte
	bounded progress.Bounded
	quiet   progress.Idleness
	wm      int64
	records int64
	bytes   int64
	asked   bool // the last Read found nothing; it is asked again at the next poll
	ended   bool
}

// splitState is a split in a checkpoint.
type splitState struct {
	ID       string `json:"id"`
	Position []byte `json:"position,omitempty"`
	// Newest is the state of the watermark generator.
	Newest int64 `json:"newest"`
	// Watermark is that of a reader that dictates it.
	Watermark *int64 `json:"watermark,omitempty"`

	Status  progress.Status `json:"status"`
	Records int64           `json:"records"`
	Bytes   int64           `json:"bytes"`
}

// sourceState is a subtask of a source in a checkpoint.
type sourceState struct {
	// Watermark is what the subtask had passed on.
	Watermark int64        `json:"watermark"`
	Splits    []splitState `json:"splits"`
}

// oldSplits is what a checkpoint says about a source.
type oldSplits struct {
	splits map[string]splitState
	// watermark is the smallest of the subtasks.
	watermark int64
}

func readSplits(old [][]byte) (oldSplits, error) {
	o := oldSplits{splits: map[string]splitState{}, watermark: element.NoTime}
	for i, b := range old {
		var st sourceState
		if err := json.Unmarshal(b, &st); err != nil {
			return o, fmt.Errorf("source state of subtask %d in the checkpoint: %w", i, err)
		}
		if i == 0 || st.Watermark < o.watermark {
			o.watermark = st.Watermark
		}
		for _, sp := range st.Splits {
			o.splits[sp.ID] = sp
		}
	}
	return o, nil
}

// OldSplits returns the splits in a checkpoint's source states by id, and whether each had ended.
func OldSplits(old [][]byte) (ended map[string]bool, err error) {
	o, err := readSplits(old)
	if err != nil {
		return nil, err
	}
	ended = make(map[string]bool, len(o.splits))
	for id, sp := range o.splits {
		ended[id] = sp.Status == progress.Ended
	}
	return ended, nil
}

// OldProgress returns how many bytes a checkpoint's source states have read, and the newest event time; ok is false when no
// record had one.
func OldProgress(old [][]byte) (bytes, newest int64, ok bool, err error) {
	o, err := readSplits(old)
	if err != nil {
		return 0, 0, false, err
	}
	newest = element.NoTime
	for _, sp := range o.splits {
		bytes += sp.Bytes
		newest = max(newest, sp.Newest)
	}
	return bytes, newest, newest > element.NoTime, nil
}

// NewSource returns a source operator.
func NewSource[T any](src connect.Source[T], spec TimeSpec[T], pool *element.Pool[T]) Source {
	return &sourceOp[T]{src: src, time: spec, pool: pool, wm: element.NoTime}
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
	s.c, s.out = c, c.Outputs("")
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
		in := progress.InputState{Watermark: element.NoTime, Status: progress.Active}
		if st, ok := s.old.splits[d.ID]; ok {
			sp.pos, sp.records, sp.bytes = st.Position, st.Records, st.Bytes
			sp.bounded.Restore(st.Newest)
			in = progress.InputState{Watermark: sp.bounded.Watermark(), Status: st.Status}
			if st.Watermark != nil {
				in.Watermark, sp.told = *st.Watermark, true
			}
			switch in.Status {
			case progress.Ended:
				sp.ended = true
				in.Watermark = element.EndTime
			case progress.Removed: // it ended while others could still come
				sp.ended = true
			case progress.Behind:
				if in.Watermark >= state.Output {
					in.Status = progress.Active
				}
			case progress.Idle:
				sp.quiet.Restore(true)
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
	return nil
}

// Start passes on the restored watermark, which those after the source do not know yet. It says nothing of idle splits: what came to
// them while the job was away is not to be late because of that.
func (s *sourceOp[T]) Start() error {
	if len(s.c.Old) > 0 && s.ended == len(s.splits) && s.DiscoverEvery() == 0 {
		s.wm = element.EndTime
	}
	s.c.Counters.Watermark.Store(s.wm)
	if s.wm > element.NoTime {
		return s.out.Watermark(s.wm)
	}
	return nil
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
			sp.asked = true
		default:
			return PollMore, nil
		}
	}
}

// pick returns the split to read next, opened, or nil when all have been asked or have ended.
func (s *sourceOp[T]) pick() (*split[T], error) {
	var best *split[T]
	for _, sp := range s.splits {
		if sp.ended || sp.asked || (sp.reader == nil && s.open >= maxOpenReaders) {
			continue
		}
		if best == nil || sp.wm < best.wm {
			best = sp
		}
	}
	if best == nil || best.reader != nil {
		return best, nil
	}
	r, err := s.src.Open(s.c, best.Split, best.pos)
	if err != nil {
		return nil, fmt.Errorf("open split %s: %w", best.ID, err)
	}
	best.reader = r
	best.dictates, best.told = r.(connect.Watermarks)
	s.open++
	return best, nil
}

// nothing handles a poll that found no split to read.
func (s *sourceOp[T]) nothing() (PollResult, error) {
	if s.ended == len(s.splits) && s.DiscoverEvery() == 0 {
		if s.saidEnd {
			return PollEnded, nil
		}
		s.saidEnd = true
		s.wm = element.EndTime
		s.c.Counters.Watermark.Store(s.wm)
		return PollEnded, s.out.Watermark(s.wm)
	}
	s.look(nil)
	before := s.wm
	for _, sp := range s.splits {
		if sp.asked && sp.dictates == nil && sp.quiet.Idle() && s.combiner.Status(sp.index) != progress.Idle {
			s.wm, _ = s.combiner.SetIdle(sp.index, true)
		}
		sp.asked = false
	}
	if s.wm > before {
		s.c.Counters.Watermark.Store(s.wm)
		if err := s.out.Watermark(s.wm); err != nil {
			return 0, err
		}
	}
	if (s.combiner.AllIdle() || s.ended == len(s.splits)) && !s.saidIdle {
		s.saidIdle = true
		return PollNothing, s.out.Idle()
	}
	return PollNothing, nil
}

// read passes one batch of the split on, or a watermark that stands where no record is. It reports whether there was anything.
func (s *sourceOp[T]) read(sp *split[T], limit int) (bool, error) {
	b := s.pool.Get()
	buf := b.Records[:min(cap(b.Records), limit)]
	n, err := sp.reader.Read(s.c, buf)
	if n == 0 {
		b.Free()
		if err != nil || sp.dictates == nil {
			return false, err
		}
		return s.heed(sp, nil)
	}
	b.Records = buf[:n]
	b.Times = slices.Grow(b.Times, n)[:n]
	s.last, s.lastRead = sp, n
	s.look(sp)
	if s.time.Extract == nil {
		clear(b.Times)
	} else if bad, err := s.time.Extract(b.Records, b.Times); err != nil {
		where := sp.reader.Where(bad)
		b.Free()
		return false, &connect.RecordError{Where: where, Err: err}
	}
	s.saidIdle = false
	if s.combiner.Status(sp.index) == progress.Idle {
		if out, moved := s.combiner.SetIdle(sp.index, false); moved {
			s.wm = out
			b.Advance(0, out)
		}
	}
	switch {
	case sp.dictates != nil:
		if _, err := s.heed(sp, b); err != nil {
			b.Free()
			return false, err
		}
	case s.time.Extract != nil:
		s.observe(sp, b)
	}
	if s.c.Origins {
		s.origins(sp, b)
	}
	sp.records += int64(n)
	c := s.c.Counters
	c.In.Add(int64(n))
	c.Out.Add(int64(n))
	s.countBytes(sp)
	if err := s.out.Process(b); err != nil {
		return false, err
	}
	return true, s.sayIdle()
}

// origins notes where the records of a batch come from.
func (s *sourceOp[T]) origins(sp *split[T], b *element.Of[T]) {
	if sp.name == nil {
		sp.name = &element.SplitName{Source: s.c.ID, Split: sp.ID}
	}
	b.Origins = b.Origins[:0]
	for i := range b.Records {
		b.Origins = append(b.Origins, element.Origin{Split: sp.name, Record: sp.records + int64(i), Place: sp.reader.Where(i)})
	}
}

// sayIdle says it when all splits are idle because their readers say so. Nothing says it of the others.
func (s *sourceOp[T]) sayIdle() error {
	if s.saidIdle || !s.combiner.AllIdle() {
		return nil
	}
	s.saidIdle = true
	return s.out.Idle()
}

// heed takes the watermark that the reader of the split dictates: as a step behind the records of b, or by itself when there
// are none. It reports whether anything has changed.
func (s *sourceOp[T]) heed(sp *split[T], b *element.Of[T]) (changed bool, err error) {
	wm, idle := sp.dictates.Watermark()
	if wm == element.EndTime {
		return false, fmt.Errorf("split %s: its reader says that the watermark is at the end: it must return io.EOF instead", sp.ID)
	}
	before := s.wm
	if wm > sp.wm {
		changed, sp.wm = true, wm
		s.wm, _ = s.combiner.Advance(sp.index, wm)
	}
	if idle && s.combiner.Status(sp.index) != progress.Idle {
		changed = true
		s.wm, _ = s.combiner.SetIdle(sp.index, true)
	}
	s.c.Counters.Watermark.Store(s.wm)
	if b != nil {
		if s.time.Extract != nil {
			s.seen(sp, slices.Max(b.Times))
		}
		if s.wm > before {
			b.Advance(b.Len(), s.wm)
		}
		return changed, nil
	}
	awake := s.saidIdle && !s.combiner.AllIdle() // those after the source must hear of it, also when the watermark stays
	if s.wm > before || awake && s.wm > element.NoTime {
		s.saidIdle = s.saidIdle && !awake
		if err := s.out.Watermark(s.wm); err != nil {
			return changed, err
		}
	}
	return changed, s.sayIdle()
}

// seen notes the largest event time of a batch of which the watermark is not made.
func (s *sourceOp[T]) seen(sp *split[T], t int64) {
	sp.bounded.Observe(t)
	s.newest(sp)
}

func (s *sourceOp[T]) newest(sp *split[T]) {
	c := s.c.Counters
	if newest := sp.bounded.State(); newest > c.Newest.Load() || c.Newest.Load() == 0 {
		c.Newest.Store(newest)
	}
}

func (s *sourceOp[T]) countBytes(sp *split[T]) {
	if read := sp.reader.BytesRead(); read != sp.bytes {
		s.c.Counters.BytesRead.Add(read - sp.bytes)
		sp.bytes = read
	}
}

// observe puts into the batch how each record moves the watermark.
func (s *sourceOp[T]) observe(sp *split[T], b *element.Of[T]) {
	top := sp.bounded.State()
	for i, t := range b.Times {
		if t <= top { // nearly all records of a stream with disorder
			continue
		}
		wm, advanced := sp.bounded.Observe(t)
		if !advanced {
			continue
		}
		sp.wm, top = wm, t
		if out, moved := s.combiner.Advance(sp.index, wm); moved {
			s.wm = out
			b.Advance(i+1, out)
		}
	}
	s.newest(sp)
	s.c.Counters.Watermark.Store(s.wm)
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
	if s.DiscoverEvery() > 0 { // others may come: this one's end is not that of the source
		done = s.combiner.Remove
	}
	out, moved := done(sp.index)
	if moved && out < element.EndTime {
		s.wm = out
		return s.out.Watermark(out)
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

// Freeze notes the positions of all splits.
func (s *sourceOp[T]) Freeze(uint64) (Cut, error) {
	state := sourceState{Watermark: s.wm, Splits: make([]splitState, len(s.splits))}
	for i, sp := range s.splits {
		if sp.reader != nil {
			sp.pos = sp.reader.Position()
		}
		state.Splits[i] = splitState{
			ID: sp.ID, Position: sp.pos, Newest: sp.bounded.State(), Status: s.combiner.Status(sp.index),
			Records: sp.records, Bytes: sp.bytes,
		}
		if sp.told && !sp.ended {
			state.Splits[i].Watermark = &sp.wm
		}
	}
	b, err := json.Marshal(state)
	if err != nil {
		return Cut{}, fmt.Errorf("encode source positions: %w", err)
	}
	return Cut{State: b}, nil
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
