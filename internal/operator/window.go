package operator

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// WindowConfig describes an aggregation over aligned windows: tumbling, sliding and cumulative ones, and those of a calendar.
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
// State is kept per slice: the span of time that all windows take or leave as a whole. A record updates one
// accumulator, whatever the number of windows it is in; a window merges its slices when it fires. A tumbling window is
// its own only slice.
//
// Invariants:
//  1. A window has fired if and only if its end - 1 <= clock, and it held a record at that time or since.
//  2. A slice exists while a window that contains it can still take records or fire: until the end of the last such
//     window - 1 + lateness <= clock.
//  3. What is merged is made of slices whose windows have begun to fire, and is never saved: see fold.
type windowOp[K comparable, T, A, R any] struct {
	WindowConfig[K, T, A, R]

	c     *Context
	clock int64
	space *keyed.Space[K, A]
	revs  *keyed.Space[K, int32] // revisions of late panes by window end; nil without lateness
	fold  fold[K, A]
	emit  *Emitter[window.Pane[K, R]]
	late  *lateOutput[K, T]

	slices []*slice[K, A] // open ones, by start
	near   near[K, A]
	// past is a slice that was found to be gone.
	past window.Span
	// wake is the first watermark that has work to do: something fires or expires.
	wake  int64
	far   bool
	next  lookups[K, A]
	again []window.Span // the windows that a late record makes emit
	held  []int64       // the starts of slices that have its key
	// exact says that a record of an open slice may put something out, behind the watermark that stands before it.
	exact bool
	// single says that there is one key only, as in windows over all records: then nothing is looked up for each of them.
	single bool
}

// slice is an open slice and the watermarks that matter to it.
type slice[K comparable, A any] struct {
	start int64
	width uint64
	// number counts slices, as pane.Layout.Index does.
	number int64
	pane   *keyed.Pane[K, A]
	// fired is when the first window that contains the slice fires, last when the last one does, expired when that takes no more
	// records.
	fired, last, expired int64
}

// holds reports whether t is in the slice.
func (s *slice[K, A]) holds(t int64) bool { return uint64(t-s.start) < s.width }

const (
	windowState   = "window"
	revisionState = "revision"
)

// NewWindow returns the operator.
func NewWindow[K comparable, T, A, R any](cfg WindowConfig[K, T, A, R]) Op {
	return &windowOp[K, T, A, R]{WindowConfig: cfg}
}

func (w *windowOp[K, T, A, R]) Open(c *Context) error {
	w.c = c
	w.emit = NewEmitter(w.Pool, c.Outputs(""), &c.Counters.Out)
	w.late = newLateOutput(c, w.LatePool, w.MissedPool)
	w.exact = w.Lateness > 0 || w.late.named()
	if w.single = reflect.TypeFor[K]().Size() == 0; w.single {
		for i := range w.next.hashes {
			w.next.hashes[i] = w.KeyCodec.Hash(&w.next.keys[i])
		}
	}
	w.space = newSpace[K, A](c, windowState, w.KeyCodec, w.Acc, w.AccLayout)
	w.fold.open(w.Panes, w.KeyCodec, w.AccLayout, w.Agg.Init, w.Agg.Merge, newSpace[K, A](c, "merged", w.KeyCodec, w.Acc, w.AccLayout))
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
		span := w.Panes.Pane(start)
		if span.Start != start {
			return fmt.Errorf("the checkpoint holds a window from %s, which now begins at %s: the time zone data has changed; "+
				"start with that of the run before", timeOf(start).Format(time.RFC3339Nano), timeOf(span.Start).Format(time.RFC3339Nano))
		}
		w.insert(len(w.slices), w.newSlice(span))
	}
	w.schedule()
	return nil
}

// newSlice returns the slice of a span, without its accumulators.
func (w *windowOp[K, T, A, R]) newSlice(span window.Span) slice[K, A] {
	first, last := w.Panes.First(span.Start), w.Panes.Last(span.Start)
	return slice[K, A]{
		start: span.Start, width: uint64(span.End - span.Start), number: w.Panes.Index(span.Start),
		fired: first.Last(), last: last.Last(), expired: satAdd(last.Last(), w.Lateness),
	}
}

// insert opens a slice; it is the i-th.
func (w *windowOp[K, T, A, R]) insert(i int, s slice[K, A]) *slice[K, A] {
	s.pane = w.space.Ensure(s.start)
	if len(w.slices) == 0 {
		w.near.reset(&s)
	}
	w.slices = slices.Insert(w.slices, i, &s)
	return &s
}

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
	for clock := w.clock; ; {
		win, ok := w.windowAfter(clock)
		if !ok || win.Last() > t {
			return nil
		}
		// Before the panes of a window stands the last watermark that does not reach them, also when the clock has jumped
		// over several windows: those after the operator see the same, however many steps the clock took.
		w.emit.Advance(satAdd(win.Last(), -1))
		if err := w.fireWindow(win); err != nil {
			return err
		}
		clock = win.Last()
		// At the end of the range of times, several windows end at once.
		for last := w.lastWindow(); win.End == math.MaxInt64 && earlier(win, last); {
			win = w.Panes.Next(win)
			if err := w.fireWindow(win); err != nil {
				return err
			}
		}
	}
}

// windowAfter returns the first window that fires after the clock and holds a record.
func (w *windowOp[K, T, A, R]) windowAfter(clock int64) (window.Span, bool) {
	// The first slice that is in a window after the clock is in the first of these: slices and windows have one order.
	i := sort.Search(len(w.slices), func(i int) bool { return w.slices[i].last > clock })
	if i == len(w.slices) {
		return window.Span{}, false
	}
	return w.Panes.FirstAfter(w.slices[i].start, clock), true
}

// lastWindow returns the last window that holds a record.
func (w *windowOp[K, T, A, R]) lastWindow() window.Span {
	return w.Panes.Last(w.slices[len(w.slices)-1].start)
}

// earlier reports whether a window comes before another in the order of the layout.
func earlier(a, b window.Span) bool { return a.End < b.End || a.Start < b.Start }

func (w *windowOp[K, T, A, R]) fireWindow(win window.Span) error {
	start, end, at := win.StartTime(), win.EndTime(), win.Last()
	return w.fold.each(win, w.within(win), func(k *K, acc *A) error {
		if w.Agg.Verify != nil {
			if err := w.Agg.Verify(acc); err != nil {
				return resultError(err, k, win.Start, win.End)
			}
		}
		p := w.emit.Next(at)
		p.Key, p.Start, p.End, p.Value = *k, start, end, w.Agg.Result(acc)
		p.Revision, p.Kind, p.Gap, p.Replaces = 0, window.OnTime, 0, ""
		return w.emit.Done()
	})
}

// within returns the open slices of a window.
func (w *windowOp[K, T, A, R]) within(win window.Span) []*slice[K, A] {
	return between(w.slices, win.Start, win.End)
}

// between returns the slices, of those in order, that begin in [from, to).
func between[K comparable, A any](s []*slice[K, A], from, to int64) []*slice[K, A] {
	lo := sort.Search(len(s), func(i int) bool { return s[i].start >= from })
	hi := lo + sort.Search(len(s)-lo, func(i int) bool { return s[lo+i].start >= to })
	return s[lo:hi]
}

// expire drops the slices, and the revisions, that no record can reach any more.
func (w *windowOp[K, T, A, R]) expire() {
	gone := 0
	for gone < len(w.slices) && w.slices[gone].expired <= w.clock {
		w.space.Drop(w.slices[gone].start)
		gone++
	}
	if gone > 0 {
		w.slices = slices.Delete(w.slices, 0, gone)
		w.near.clear()
	}
	w.fold.forget(w.clock)
	if w.revs == nil {
		return
	}
	for _, end := range w.revs.Spans() {
		if satAdd(end-1, w.Lateness) <= w.clock {
			w.revs.Drop(end)
		}
	}
}

// schedule sets wake from the open slices.
func (w *windowOp[K, T, A, R]) schedule() {
	w.wake = math.MaxInt64
	if len(w.slices) > 0 {
		w.wake = w.slices[0].expired
	}
	if win, ok := w.windowAfter(w.clock); ok {
		w.wake = min(w.wake, win.Last())
	}
	bytes := 0
	for i := len(w.slices) - 1; i >= 0 && w.slices[i].fired > w.clock; i-- {
		bytes += w.slices[i].pane.Bytes()
	}
	w.far = bytes > keyed.FarBytes
	if w.revs != nil {
		for _, end := range w.revs.Spans() {
			w.wake = min(w.wake, satAdd(end-1, w.Lateness))
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
	errShort64     = errors.New("number in the checkpoint is shorter than 8 bytes")
)
