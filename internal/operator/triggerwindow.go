package operator

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/window"
)

// Cell is one window of one key.
type Cell[A any] struct {
	// Start and End are the bounds of the window. Those of sessions move. The Start of a count window is the number of records of the
	// key before it; global windows have no bounds.
	Start, End int64
	// First and Last are the smallest and largest event time: of sessions from the beginning, of count and global windows since they
	// were purged.
	First, Last int64
	// Records counts the records since the window was purged, New those since the last result.
	Records, New int64
	// Revision is that of the next pane.
	Revision int32
	// Shown are the spans of the panes of a session that the next one takes the place of.
	Shown []window.Span
	// Slots and States are what the trigger remembers.
	Slots  []int64
	States [][]byte
	Acc    A
}

// Cells are the windows of a key, by end and start.
type Cells[A any] struct {
	List []Cell[A]
	// Seen counts the records of the key, for count windows.
	Seen int64
	// Wake and Alarm are the event time and the processing time for which the key has timers, or never. They are made anew after a
	// restore.
	Wake, Alarm int64
}

// TriggerConfig describes an aggregation over windows of any kind that a trigger fires.
type TriggerConfig[K comparable, T, A, R any] struct {
	// Kind is that of the windows.
	Kind window.Kind
	// Windows appends the windows of a time to dst, for windows that are aligned. Single says that there is one for each time.
	Windows func(dst []window.Span, t int64) []window.Span
	Single  bool
	// Gap is how long a record keeps a session open, in ns. If GapOf is set it says so, and Gap says nothing.
	Gap   int64
	GapOf func(r *T) time.Duration
	// Count is the number of records in a count window, Every how many lie between the starts of two. Partial says that those that
	// are not full at the end of the input fire.
	Count, Every int64
	Partial      bool

	Trigger window.TriggerSpec
	// Discarding says that a result makes a window forget its content.
	Discarding bool
	// Lateness is how long after its end a window takes records, in ns.
	Lateness int64
	// Timed says that records have event times. If not, the processing time stands for them.
	Timed    bool
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Value    codec.Codec[Cells[A]]
	Agg      agg.Aggregator[T, A, R]
	// Own, if set, makes the aggregator in the place of Agg.
	Own        Own[T, A, R]
	Pool       *element.Pool[window.Pane[K, R]]
	LatePool   *element.Pool[T]
	MissedPool *element.Pool[window.Missed[K, T]]
}

// triggerOp aggregates records per key over windows of any kind, which a trigger fires.
//
// Unlike the operators without a trigger it keeps the windows of a key together, each with its own accumulator, since each has its own
// history: a record is added to all windows that it is in.
//
// What happens at an event time (the end of a window, a timer of a trigger, the time at which a window is forgotten) happens in the order
// of that time, then of the windows by end and start, then of the encoded keys, and the clock moves by way of these times: so it
// does not matter by how many steps the watermark came (ADR 0007). The same holds for processing times.
//
// Each key has one timer for the next event time at which it has something to do, or an earlier one, and one for the processing time. The
// truth is in the cells: the timers are made anew after a restore.
type triggerOp[K comparable, T, A, R any] struct {
	TriggerConfig[K, T, A, R]
	program *triggerProgram

	c      *Context
	clock  int64
	space  *keyed.Space[K, Cells[A]]
	pane   *keyed.Pane[K, Cells[A]]
	events *keyed.Timers[K]
	alarms *keyed.Timers[K]
	emit   *Emitter[window.Pane[K, R]]
	late   *lateOutput[K, T]
	open   int64
	idle   bool
	before int64 // the watermark that stands before results, if they come because the clock moved
	past   int   // how often in a row a trigger has set its timer for the next instant

	// What follows is of the record or window at hand; local ones would be allocated for each.
	key   K
	hash  uint64
	call  triggerCall
	at    triggerContext
	spans []window.Span
	due   []dueCell[K]
	spare [][]int64 // slots of cells that are gone

	// These are bound once.
	onEvent, onAlarm func(k *K, hash uint64, name string, at int64) error
	onReach, onRing  func(d *dueCell[K], x *Cell[A]) (gone bool, err error)
}

// dueCell is a window of a key that has something to do at a time.
type dueCell[K comparable] struct {
	at   int64
	span window.Span
	hash uint64
	key  K
}

const triggerState = "triggered"

// maxSpare is how many slices of slots are kept for the next windows.
const maxSpare = 256

// NewTriggered returns the operator. The spec of the trigger has been checked.
func NewTriggered[K comparable, T, A, R any](cfg TriggerConfig[K, T, A, R]) Op {
	return &triggerOp[K, T, A, R]{TriggerConfig: cfg, program: newTriggerProgram(cfg.Trigger)}
}

func (w *triggerOp[K, T, A, R]) Open(c *Context) error {
	w.c = c
	w.emit = NewEmitter(w.Pool, c.Outputs(""), &c.Counters.Out)
	w.late = newLateOutput(c, w.LatePool, w.MissedPool)
	w.onEvent = func(k *K, hash uint64, _ string, at int64) error { w.collectEvents(k, hash, at); return nil }
	w.onAlarm = func(k *K, hash uint64, _ string, at int64) error { w.collectAlarms(k, hash, at); return nil }
	w.onReach, w.onRing = w.reach, w.ring
	w.at.discarded, w.at.call, w.call.context = &c.Counters.TimersDiscarded, &w.call, &w.at
	w.call.earliest, w.before = math.MinInt64, element.NoTime
	w.space = newWokenSpace(c, triggerState, w.KeyCodec, w.Value, func(v *Cells[A]) ([2]*int64, *bool) {
		return [2]*int64{&v.Wake, &v.Alarm}, nil
	})
	for _, timers := range []**keyed.Timers[K]{&w.events, &w.alarms} {
		var err error
		*timers, err = keyed.NewTimers(keyed.TimersConfig[K]{
			Operator: c.ID, State: timerState, Key: w.KeyCodec, Layout: codec.LayoutOf[K](), Groups: c.Groups, Lo: c.Lo, Hi: c.Hi, Memory: c.Memory,
		})
		if err != nil {
			return err
		}
	}
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	w.clock = clock
	w.tell() // those after it start anew
	if err := c.Load(triggerState, w.space.Restore()); err != nil {
		return err
	}
	w.pane = w.space.Ensure(0)
	restored := ownAggregator(&w.Agg, w.Own)
	w.pane.Rebuild(func(k *K, v *Cells[A], h uint64) bool {
		v.Wake, v.Alarm = never, never
		for i := range v.List {
			x := &v.List[i]
			if len(x.Slots) != w.program.slots || len(x.States) != w.program.states {
				err = fmt.Errorf("window %v of key %v in the checkpoint is of another trigger than %v", w.span(x), *k, w.Trigger)
				return false
			}
			if restored != nil {
				restored(&x.Acc)
			}
			w.queue(k, h, v, x)
		}
		w.open += int64(len(v.List))
		return true
	})
	return err
}

func (w *triggerOp[K, T, A, R]) Input(int) Receiver { return w }

// Process adds the records of a batch, with the clock moving where its steps say.
func (w *triggerOp[K, T, A, R]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	w.idle = false
	w.c.Counters.In.Add(int64(len(in.Records)))
	w.call.now = w.c.Now()
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := w.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		if err := w.add(in, i); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := w.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return w.flush()
}

// Watermark moves the clock.
func (w *triggerOp[K, T, A, R]) Watermark(t int64) error {
	w.idle = false
	w.call.now = w.c.Now()
	if err := w.advance(t); err != nil {
		return err
	}
	return w.flush()
}

// Idle passes on that nothing holds the watermark.
func (w *triggerOp[K, T, A, R]) Idle() error {
	w.idle = true
	if err := w.late.Idle(); err != nil {
		return err
	}
	return w.emit.to.Idle()
}

func (w *triggerOp[K, T, A, R]) flush() error {
	w.c.Counters.Watermark.Store(w.clock)
	w.c.Counters.OpenWindows.Store(w.open)
	if err := w.late.Flush(); err != nil {
		return err
	}
	return w.emit.Flush()
}

// tell passes the clock on, behind what has been emitted.
func (w *triggerOp[K, T, A, R]) tell() {
	w.emit.Advance(w.clock)
	w.late.Advance(w.clock)
}

// add puts one record into its windows.
func (w *triggerOp[K, T, A, R]) add(in *element.Of[T], i int) error {
	r, t := &in.Records[i], in.Times[i]
	if !w.Timed {
		t = w.call.now
	}
	if w.Agg.Check != nil {
		if err := w.Agg.Check(r); err != nil {
			return recordError(err, t)
		}
	}
	w.key = w.Key(r)
	if w.KeyCodec.Canon != nil {
		w.KeyCodec.Canon(&w.key)
	}
	if len(in.Hashes) > 0 {
		w.hash = in.Hashes[i]
	} else {
		w.hash = w.KeyCodec.Hash(&w.key)
	}
	w.call.record, w.call.time = r, t
	switch w.Kind {
	case window.KindSession, window.KindSessionBy:
		return w.addToSession(r, t)
	case window.KindGlobal:
		v := w.cells()
		if len(v.List) == 0 {
			w.insert(v, 0, window.Span{})
		}
		return w.put(v, 0, r, t)
	case window.KindCount:
		return w.addToGroups(r, t)
	default:
		return w.addToAligned(r, t)
	}
}

// cells returns the windows of the key at hand.
func (w *triggerOp[K, T, A, R]) cells() *Cells[A] {
	v, fresh := w.pane.Upsert(&w.key, w.hash)
	if fresh {
		v.Wake, v.Alarm = never, never
	}
	return v
}

// insert adds an empty window to those of a key.
func (w *triggerOp[K, T, A, R]) insert(v *Cells[A], i int, span window.Span) {
	x := Cell[A]{Start: span.Start, End: span.End, First: element.EndTime, Last: element.NoTime}
	if n := len(w.spare); n > 0 {
		x.Slots, w.spare = w.spare[n-1], w.spare[:n-1]
	} else if w.program.slots > 0 {
		x.Slots = make([]int64, w.program.slots)
	}
	if w.program.states > 0 {
		x.States = make([][]byte, w.program.states)
	}
	w.program.start(x.Slots, x.States)
	if w.Agg.Init != nil {
		w.Agg.Init(&x.Acc)
	}
	v.List = slices.Insert(v.List, i, x)
	w.open++
}

// remove forgets windows of a key.
func (w *triggerOp[K, T, A, R]) remove(v *Cells[A], lo, hi int) {
	for i := lo; i < hi; i++ {
		if s := v.List[i].Slots; s != nil && len(w.spare) < maxSpare {
			w.spare = append(w.spare, s)
		}
	}
	v.List = slices.Delete(v.List, lo, hi)
	w.open -= int64(hi - lo)
}

// tooLate gives a record that no window takes to the late output.
func (w *triggerOp[K, T, A, R]) tooLate(r *T, t int64, missed ...window.Span) error {
	w.c.Counters.Late.Add(1)
	w.c.Counters.LateWindows.Add(int64(len(missed)))
	return w.late.all(&w.key, r, t, missed)
}

// expired reports whether a window with this end takes no more records.
func (w *triggerOp[K, T, A, R]) expired(end int64) bool {
	return satAdd(satAdd(end, -1), w.Lateness) <= w.clock
}

func (w *triggerOp[K, T, A, R]) addToAligned(r *T, t int64) error {
	if !w.Single || len(w.spans) == 0 || !w.spans[0].Contains(t) {
		w.spans = w.Windows(w.spans[:0], t)
	}
	missed := 0 // the windows that are past stand first, by their ends
	for missed < len(w.spans) && w.expired(w.spans[missed].End) {
		missed++
	}
	switch {
	case missed == len(w.spans):
		return w.tooLate(r, t, w.spans...)
	case missed > 0:
		w.c.Counters.LateWindows.Add(int64(missed))
		if err := w.late.some(&w.key, r, t, w.spans[:missed]); err != nil {
			return err
		}
	}
	v := w.cells()
	i := 0
	for _, s := range w.spans[missed:] {
		for i < len(v.List) && bySpan(v.List[i].Start, v.List[i].End, s) < 0 {
			i++
		}
		if i == len(v.List) || v.List[i].Start != s.Start || v.List[i].End != s.End {
			w.insert(v, i, s)
		}
		if err := w.put(v, i, r, t); err != nil {
			return err
		}
	}
	return nil
}

// bySpan is the order of windows: by end, then by start.
func bySpan(start, end int64, s window.Span) int {
	return cmp.Or(cmp.Compare(end, s.End), cmp.Compare(start, s.Start))
}

// addToSession merges first, then tests whether the merged session is past.
func (w *triggerOp[K, T, A, R]) addToSession(r *T, t int64) error {
	gap, err := sessionGap(w.GapOf, w.Gap, r)
	if err != nil {
		return recordError(err, t)
	}
	span := window.Span{Start: t, End: satAdd(t, gap)}
	v := w.pane.Update(&w.key, w.hash)
	lo, hi := 0, 0
	if v != nil {
		for lo < len(v.List) && v.List[lo].End < span.Start {
			lo++
		}
		for hi = lo; hi < len(v.List) && v.List[hi].Start <= span.End; hi++ {
			span = span.Cover(window.Span{Start: v.List[hi].Start, End: v.List[hi].End})
		}
	}
	if w.expired(span.End) {
		return w.tooLate(r, t, span)
	}
	if v == nil {
		v = w.cells()
	}
	if lo == hi {
		w.insert(v, lo, span)
		return w.put(v, lo, r, t)
	}
	for i := lo + 1; i < hi; i++ {
		if err := w.merge(&v.List[lo], &v.List[i]); err != nil {
			return recordError(err, t)
		}
	}
	w.remove(v, lo+1, hi)
	x := &v.List[lo]
	x.Start, x.End = span.Start, span.End
	if !w.ended(x) && w.program.late != w.program.early {
		// If it had ended it goes on: what waited for a late result is in the result at the end.
		w.program.late.start(x.Slots, x.States)
	}
	return w.put(v, lo, r, t)
}

// merge adds session y to x, but for the bounds.
func (w *triggerOp[K, T, A, R]) merge(x, y *Cell[A]) error {
	w.Agg.Merge(&x.Acc, &y.Acc)
	x.First, x.Last = min(x.First, y.First), max(x.Last, y.Last)
	x.Records += y.Records
	x.New += y.New
	// A session that swallows one that has fired is a later revision of it.
	x.Revision = max(x.Revision, y.Revision)
	x.Shown = append(x.Shown, y.Shown...)
	w.load(x)
	w.program.merge(&w.call, y.Slots, y.States)
	return w.call.err
}

// addToGroups puts a record into the count windows of the key that are open.
func (w *triggerOp[K, T, A, R]) addToGroups(r *T, t int64) error {
	v := w.cells()
	if v.Seen%w.Every == 0 {
		w.insert(v, len(v.List), window.Span{Start: v.Seen})
	}
	v.Seen++
	full := v.Seen-v.List[0].Start == w.Count // the others are younger
	for i := range v.List {
		x := &v.List[i]
		w.take(x, r, t)
		if i == 0 && full {
			if err := w.end(&w.key, x, window.OnTime); err != nil {
				return err
			}
			continue
		}
		if err := w.tellTrigger(v, x); err != nil {
			return err
		}
	}
	if full {
		w.remove(v, 0, 1)
		w.tidy(&w.key, w.hash, v)
	}
	return nil
}

// put adds a record to a window and asks the trigger.
func (w *triggerOp[K, T, A, R]) put(v *Cells[A], i int, r *T, t int64) error {
	w.take(&v.List[i], r, t)
	return w.tellTrigger(v, &v.List[i])
}

// take adds a record to a window.
func (w *triggerOp[K, T, A, R]) take(x *Cell[A], r *T, t int64) {
	w.Agg.Add(&x.Acc, r)
	x.First, x.Last = min(x.First, t), max(x.Last, t)
	x.Records++
	x.New++
}

// tellTrigger tells the trigger of the record at hand, which a window has taken.
func (w *triggerOp[K, T, A, R]) tellTrigger(v *Cells[A], x *Cell[A]) error {
	if err := w.ask(&w.key, x, w.program.phase(w.ended(x)), gotRecord, w.kind(x)); err != nil {
		return err
	}
	w.queue(&w.key, w.hash, v, x)
	return nil
}

// ended reports whether the clock has reached the end of a window.
func (w *triggerOp[K, T, A, R]) ended(x *Cell[A]) bool {
	return w.bounded() && satAdd(x.End, -1) <= w.clock
}

// bounded reports whether windows end at an event time.
func (w *triggerOp[K, T, A, R]) bounded() bool {
	return w.Kind != window.KindCount && w.Kind != window.KindGlobal
}

// sessions reports whether windows are sessions.
func (w *triggerOp[K, T, A, R]) sessions() bool {
	return w.Kind == window.KindSession || w.Kind == window.KindSessionBy
}

// kind returns the kind of panes that a window has now, unless it is just ending.
func (w *triggerOp[K, T, A, R]) kind(x *Cell[A]) window.Firing {
	if w.ended(x) {
		return window.Late
	}
	return window.Early
}

// load makes the call that of a window.
func (w *triggerOp[K, T, A, R]) load(x *Cell[A]) {
	w.call.slots, w.call.states, w.call.clock = x.Slots, x.States, w.clock
	w.call.purge, w.call.err = false, nil
}

// ask tells a trigger what happened and does what it says.
func (w *triggerOp[K, T, A, R]) ask(k *K, x *Cell[A], n *triggerNode, m moment, kind window.Firing) error {
	if n == nil {
		return nil
	}
	w.load(x)
	if w.program.custom {
		w.at.records, w.at.fresh, w.at.span, w.at.moment, w.at.ended = x.Records, x.New, w.span(x), m, w.ended(x)
	}
	fire := n.fires(m, &w.call)
	purge := w.call.purge
	if w.call.err != nil {
		return fmt.Errorf("window %v of key %v: %w", w.span(x), *k, w.call.err)
	}
	if fire {
		if err := w.result(k, x, kind); err != nil {
			return err
		}
	}
	if purge && x.Records > 0 {
		w.purge(x)
	}
	return nil
}

// result emits a window, if it has content.
func (w *triggerOp[K, T, A, R]) result(k *K, x *Cell[A], kind window.Firing) error {
	if x.Records == 0 {
		return nil
	}
	w.emit.Advance(w.before)
	span := w.span(x)
	at := span.Last()
	if !w.bounded() && at <= w.emit.told {
		// It would be late for those after the operator.
		at = satAdd(w.emit.told, 1)
	}
	if w.Agg.Verify != nil {
		if err := w.Agg.Verify(&x.Acc); err != nil {
			return resultError(err, k, span.Start, span.End)
		}
	}
	p := window.Pane[K, R]{
		Key: *k, Start: span.StartTime(), End: span.EndTime(), Value: w.Agg.Result(&x.Acc), Revision: x.Revision, Kind: kind,
	}
	if w.sessions() {
		p.Gap, p.Replaces = time.Duration(x.End-x.Last), replaced(x.Shown, span)
		x.Shown = append(x.Shown[:0], span)
	}
	x.Revision++
	x.New = 0
	if w.Discarding {
		w.purge(x)
	}
	return w.emit.Emit(&p, at)
}

// span returns the bounds of a window's panes.
func (w *triggerOp[K, T, A, R]) span(x *Cell[A]) window.Span {
	switch {
	case w.bounded():
		return window.Span{Start: x.Start, End: x.End}
	case x.Records == 0:
		return window.Span{}
	}
	return window.Span{Start: x.First, End: satAdd(x.Last, 1)}
}

// purge makes a window forget its content.
func (w *triggerOp[K, T, A, R]) purge(x *Cell[A]) {
	var empty A
	x.Acc, x.Records, x.New, x.Shown = empty, 0, 0, x.Shown[:0]
	if !w.bounded() {
		x.First, x.Last = element.EndTime, element.NoTime
	}
	if w.Agg.Init != nil {
		w.Agg.Init(&x.Acc)
	}
}

func (w *triggerOp[K, T, A, R]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(w.clock), Frozen: []NamedFrozen{{triggerState, w.space.Freeze(epoch)}}}, nil
}

func (w *triggerOp[K, T, A, R]) Completed(epoch uint64) { w.space.Completed(epoch) }

func (w *triggerOp[K, T, A, R]) Close() error { return nil }
