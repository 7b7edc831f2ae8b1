package operator

import (
	"errors"
	"math"
	"slices"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// WindowConfig describes an aggregation over aligned windows, tumbling or sliding.
type WindowConfig[K comparable, T, A, R any] struct {
	// Panes says where windows and the panes that they share begin and end.
	Panes pane.Layout
	// Lateness is how long after its end a window takes records, in ns.
	Lateness  int64
	Key       func(*T) K
	KeyCodec  *codec.Key[K]
	Acc       codec.Codec[A]
	AccLayout codec.Layout
	Agg       agg.Aggregator[T, A, R]
	// Own, if set, makes the aggregator in the place of Agg.
	Own      Own[T, A, R]
	Pool     *element.Pool[window.Pane[K, R]]
	LatePool *element.Pool[T]
	// MissedPool is for the output "missed"; nil when there is none.
	MissedPool *element.Pool[window.Missed[K, T]]
}

// windowOp aggregates records per key over aligned windows.
//
// State is kept per slice: the span of gcd(size, slide) that all windows take or leave as a whole. A record updates one
// accumulator, whatever the number of windows it is in; a window merges its slices when it fires. A tumbling window is
// its own only slice.
//
// Invariants:
//  1. A window has fired if and only if its end - 1 <= clock, and it held a record at that time or since.
//  2. A slice exists while a window that contains it can still take records or fire: until the end of the last such
//     window - 1 + lateness <= clock.
type windowOp[K comparable, T, A, R any] struct {
	WindowConfig[K, T, A, R]
	size, slide, slice int64

	c       *Context
	clock   int64
	space   *keyed.Space[K, A]
	revs    *keyed.Space[K, int32] // revisions of late panes by window start; nil without lateness
	scratch *keyed.Space[K, A]
	emit    *Emitter[window.Pane[K, R]]
	late    *lateOutput[K, T]

	slices []*slice[K, A] // open ones, by start
	// current and other are the slices of the last records; disorder makes records go to and fro between two.
	current, other *slice[K, A]
	// wake is the first watermark that has work to do: something fires or expires.
	wake int64
	next lookups[K, A]
	due  []int64
	// exact says that a record of an open slice may put something out, behind the watermark that stands before it.
	exact bool
}

// slice is an open slice and the watermarks that matter to it.
type slice[K comparable, A any] struct {
	start int64
	// fired is when the first window that contains the slice fires, expired when the last one takes no more records.
	fired, expired int64
	pane           *keyed.Pane[K, A]
}

const (
	windowState   = "window"
	revisionState = "revision"
	// scratchSpan is where the slices of a window are merged.
	scratchSpan = 0
)

// NewWindow returns the operator.
func NewWindow[K comparable, T, A, R any](cfg WindowConfig[K, T, A, R]) Op {
	return &windowOp[K, T, A, R]{
		WindowConfig: cfg, size: cfg.Panes.Size(), slide: cfg.Panes.Slide(), slice: cfg.Panes.PaneSize(),
	}
}

func (w *windowOp[K, T, A, R]) Open(c *Context) error {
	w.c = c
	w.emit = NewEmitter(w.Pool, c.Outputs(""), &c.Counters.Out)
	w.late = newLateOutput(c, w.LatePool, w.MissedPool)
	w.exact = w.Lateness > 0 || w.late.named()
	w.space = newSpace[K, A](c, windowState, w.KeyCodec, w.Acc, w.AccLayout)
	w.scratch = newSpace[K, A](c, "scratch", w.KeyCodec, w.Acc, w.AccLayout)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	w.clock = clock
	w.tell() // those after it start anew
	if err := c.Load(windowState, w.space.Restore()); err != nil {
		return err
	}
	if restored := ownAggregator(&w.Agg, w.Own); restored != nil {
		for _, start := range w.space.Spans() {
			w.space.Pane(start).Each(func(_ *K, acc *A, _ uint64) bool { restored(acc); return true })
		}
	}
	if w.Lateness > 0 {
		w.revs = newSpace[K, int32](c, revisionState, w.KeyCodec, codecInt32, codec.Flat)
		if err := c.Load(revisionState, w.revs.Restore()); err != nil {
			return err
		}
	}
	for _, start := range w.space.Spans() {
		w.slices = append(w.slices, w.newSlice(start, w.space.Pane(start)))
	}
	w.schedule()
	return nil
}

func (w *windowOp[K, T, A, R]) newSlice(start int64, p *keyed.Pane[K, A]) *slice[K, A] {
	first, last := w.firstWindow(start), w.lastWindow(start)
	return &slice[K, A]{
		start: start, pane: p,
		fired:   satAdd(first, w.size-1),
		expired: satAdd(satAdd(last, w.size-1), w.Lateness),
	}
}

// lastWindow returns the start of the last window that contains the slice.
func (w *windowOp[K, T, A, R]) lastWindow(slice int64) int64 { return w.Panes.Last(slice).Start }

// firstWindow returns the start of the first window that contains the slice.
func (w *windowOp[K, T, A, R]) firstWindow(slice int64) int64 { return w.Panes.First(slice).Start }

func satAdd(a, b int64) int64 {
	s := a + b
	if a > 0 && b > 0 && s < 0 {
		return math.MaxInt64
	}
	if a < 0 && b < 0 && s >= 0 {
		return math.MinInt64
	}
	return s
}

func (w *windowOp[K, T, A, R]) Input(int) Receiver { return w }

// Process adds the records of a batch, with the clock moving where its steps say.
func (w *windowOp[K, T, A, R]) Process(b element.Batch) error {
	var err error
	switch in := b.(type) {
	case *element.Of[Partial[K, A]]:
		err = w.mergePartials(in)
	case *element.Of[T]:
		w.c.Counters.In.Add(int64(len(in.Records)))
		err = w.add(in)
	}
	b.Free()
	if err != nil {
		return err
	}
	return w.flush()
}

// Watermark moves the clock.
func (w *windowOp[K, T, A, R]) Watermark(t int64) error {
	if err := w.advance(t); err != nil {
		return err
	}
	return w.flush()
}

// Idle passes on that nothing holds the watermark.
func (w *windowOp[K, T, A, R]) Idle() error {
	if err := w.late.Idle(); err != nil {
		return err
	}
	return w.emit.to.Idle()
}

func (w *windowOp[K, T, A, R]) flush() error {
	w.c.Counters.Watermark.Store(w.clock)
	w.c.Counters.OpenWindows.Store(int64(len(w.slices)))
	if err := w.late.Flush(); err != nil {
		return err
	}
	return w.emit.Flush()
}

// advance moves the clock and fires and clears what is due.
func (w *windowOp[K, T, A, R]) advance(t int64) error {
	if t <= w.clock {
		return nil
	}
	if t >= w.wake {
		w.tell()
		if err := w.fire(t); err != nil {
			return err
		}
	}
	w.clock = t
	if t >= w.wake {
		w.expire()
		w.schedule()
	}
	w.tell() // all results leave before the watermark that caused them
	return nil
}

// tell passes the clock on, behind what has been emitted.
func (w *windowOp[K, T, A, R]) tell() {
	w.emit.Advance(w.clock)
	w.late.Advance(w.clock)
}

// fire emits all windows that end between the clock and t, in the order of their ends and then of the encoded keys.
func (w *windowOp[K, T, A, R]) fire(t int64) error {
	// A window fires at t when clock < start + Size - 1 <= t.
	lo, hi := satAdd(satAdd(w.clock, 1), -(w.size-1)), satAdd(t, -(w.size-1))
	w.due = w.due[:0]
	for _, s := range w.slices {
		if s.pane.Len() == 0 {
			continue
		}
		first, last := w.firstWindow(s.start), w.lastWindow(s.start)
		if first < lo {
			first = w.ceil(lo)
		}
		for ws := first; ws <= min(last, hi); ws += w.slide {
			w.due = append(w.due, ws)
		}
	}
	slices.Sort(w.due)
	w.due = slices.Compact(w.due)
	for _, ws := range w.due {
		// Before the panes of a window stands the last watermark that does not reach them, also when the clock has jumped
		// over several windows: those after the operator see the same, however many steps the clock took.
		w.emit.Advance(satAdd(ws, w.size-2))
		if err := w.fireWindow(ws); err != nil {
			return err
		}
	}
	return nil
}

// ceil returns the first window start that is not below t.
func (w *windowOp[K, T, A, R]) ceil(t int64) int64 {
	f := w.lastWindow(t)
	if f < t {
		return satAdd(f, w.slide)
	}
	return f
}

func (w *windowOp[K, T, A, R]) fireWindow(ws int64) error {
	parts := w.within(ws)
	from := parts[0].pane
	if len(parts) > 1 {
		from = w.merge(parts)
		defer w.scratch.Drop(scratchSpan)
	}
	end := satAdd(ws, w.size)
	start, until, at := timeOf(ws), timeOf(end), satAdd(ws, w.size-1)
	return from.EachSorted(func(k *K, acc *A) error {
		if w.Agg.Verify != nil {
			if err := w.Agg.Verify(acc); err != nil {
				return resultError(err, k, ws, end)
			}
		}
		p := w.emit.Next(at)
		p.Key, p.Start, p.End, p.Value = *k, start, until, w.Agg.Result(acc)
		p.Revision, p.Kind, p.Gap, p.Replaces = 0, window.OnTime, 0, ""
		return w.emit.Done()
	})
}

// merge combines the slices of a window.
func (w *windowOp[K, T, A, R]) merge(parts []*slice[K, A]) *keyed.Pane[K, A] {
	dst := w.scratch.Ensure(scratchSpan)
	for _, s := range parts {
		s.pane.Each(func(k *K, v *A, h uint64) bool {
			acc, fresh := dst.Upsert(k, h)
			if fresh && w.Agg.Init != nil {
				w.Agg.Init(acc)
			}
			w.Agg.Merge(acc, v)
			return true
		})
	}
	return dst
}

// expire drops the slices, and the revisions, that no record can reach any more.
func (w *windowOp[K, T, A, R]) expire() {
	kept := w.slices[:0]
	for _, s := range w.slices {
		if s.expired <= w.clock {
			w.space.Drop(s.start)
			w.current, w.other = nil, nil
			continue
		}
		kept = append(kept, s)
	}
	clear(w.slices[len(kept):])
	w.slices = kept
	if w.revs == nil {
		return
	}
	for _, ws := range w.revs.Spans() {
		if satAdd(satAdd(ws, w.size-1), w.Lateness) <= w.clock {
			w.revs.Drop(ws)
		}
	}
}

// schedule sets wake from the open slices.
func (w *windowOp[K, T, A, R]) schedule() {
	w.wake = math.MaxInt64
	lo := satAdd(satAdd(w.clock, 1), -(w.size - 1))
	for _, s := range w.slices {
		w.wake = min(w.wake, s.expired)
		ws := w.firstWindow(s.start)
		if ws < lo {
			ws = w.ceil(lo)
		}
		if ws <= w.lastWindow(s.start) {
			w.wake = min(w.wake, satAdd(ws, w.size-1))
		}
	}
	if w.revs != nil {
		for _, ws := range w.revs.Spans() {
			w.wake = min(w.wake, satAdd(satAdd(ws, w.size-1), w.Lateness))
		}
	}
}

func (w *windowOp[K, T, A, R]) Freeze(epoch uint64) (Cut, error) {
	cut := Cut{State: clockState(w.clock), Frozen: []NamedFrozen{{windowState, w.space.Freeze(epoch)}}}
	if w.revs != nil {
		cut.Frozen = append(cut.Frozen, NamedFrozen{revisionState, w.revs.Freeze(epoch)})
	}
	return cut, nil
}

func (w *windowOp[K, T, A, R]) Completed(epoch uint64) {
	w.space.Completed(epoch)
	if w.revs != nil {
		w.revs.Completed(epoch)
	}
}

func (w *windowOp[K, T, A, R]) Close() error { return nil }

var (
	errBadClock    = errors.New("operator clock in the checkpoint is not readable")
	errBadRevision = errors.New("revision in the checkpoint is not readable")
)
