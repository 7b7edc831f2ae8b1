package operator

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/window"
)

// next returns the next event time at which a window has something to do, or never. What it does at the end of the input needs no
// timer.
func (w *triggerOp[K, T, A, R]) next(x *Cell[A]) int64 {
	at, ended := int64(never), w.ended(x)
	if w.bounded() {
		at = satAdd(x.End, -1)
		if ended {
			at = satAdd(at, w.Lateness)
		}
	}
	if n := w.program.phase(ended); n != nil {
		// What is set for a time that is past waits until the clock moves.
		at = min(at, max(n.next(x.Slots, eventTimers), satAdd(w.clock, 1)))
	}
	return at
}

// alarm returns the next processing time at which a window has something to do, or never.
func (w *triggerOp[K, T, A, R]) alarm(x *Cell[A]) int64 {
	n, kind := w.program.phase(w.ended(x)), processingTimers
	if w.call.last {
		kind = lastTimers
	}
	if n == nil {
		return never
	}
	return n.next(x.Slots, kind)
}

// queue sees to it that the key is woken in time for a window. It may be woken too early: then its timer is set anew.
func (w *triggerOp[K, T, A, R]) queue(k *K, h uint64, v *Cells[A], x *Cell[A]) {
	if at := w.next(x); at < v.Wake {
		v.Wake = at
		w.events.Set(k, h, "", at)
	}
	if at := w.alarm(x); at < v.Alarm {
		v.Alarm = at
		w.alarms.Set(k, h, "", at)
	}
}

func (w *triggerOp[K, T, A, R]) requeue(k *K, h uint64, v *Cells[A]) {
	for i := range v.List {
		w.queue(k, h, v, &v.List[i])
	}
}

// tidy forgets a key that has no window left.
func (w *triggerOp[K, T, A, R]) tidy(k *K, h uint64, v *Cells[A]) {
	if len(v.List) > 0 {
		return
	}
	if v.Wake != never {
		w.events.Delete(k, h, "")
	}
	if v.Alarm != never {
		w.alarms.Delete(k, h, "")
	}
	w.pane.Delete(k, h)
}

// collectEvents notes the windows of a key that have something to do at an event time.
func (w *triggerOp[K, T, A, R]) collectEvents(k *K, h uint64, at int64) {
	v := w.pane.Update(k, h)
	v.Wake = never
	due := len(w.due)
	for i := range v.List {
		if x := &v.List[i]; w.next(x) <= at {
			w.note(k, h, x, at)
		}
	}
	if due == len(w.due) {
		w.requeue(k, h, v)
	}
}

// collectAlarms notes the windows of a key that have something to do up to a processing time, or ever if the input has ended.
func (w *triggerOp[K, T, A, R]) collectAlarms(k *K, h uint64, until int64) {
	if w.call.last {
		until = never
	}
	v := w.pane.Update(k, h)
	v.Alarm = never
	due := len(w.due)
	for i := range v.List {
		x := &v.List[i]
		if at := w.alarm(x); at <= until && at != never {
			w.note(k, h, x, at)
		}
	}
	if due == len(w.due) {
		w.requeue(k, h, v)
	}
}

func (w *triggerOp[K, T, A, R]) note(k *K, h uint64, x *Cell[A], at int64) {
	w.due = append(w.due, dueCell[K]{key: *k, hash: h, span: window.Span{Start: x.Start, End: x.End}, at: at})
}

// byTurn is the order in which windows do what they have to do: by time, end, start and key; if they have no bounds, by time, key and age.
func (w *triggerOp[K, T, A, R]) byTurn(a, b *dueCell[K]) int {
	spans := bySpan(a.span.Start, a.span.End, b.span)
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	if spans != 0 && w.bounded() {
		return spans
	}
	if c := w.KeyCodec.Compare(&a.key, &b.key); c != 0 {
		return c
	}
	return spans
}

// eachDue calls f for the windows that were noted, in their turn. If f returns true, the window is forgotten. Then the timers of their keys
// are set anew.
func (w *triggerOp[K, T, A, R]) eachDue(f func(d *dueCell[K], x *Cell[A]) (gone bool, err error)) error {
	slices.SortFunc(w.due, func(a, b dueCell[K]) int { return w.byTurn(&a, &b) })
	for i := range w.due {
		d := &w.due[i]
		v := w.pane.Update(&d.key, d.hash)
		j := 0
		for v.List[j].Start != d.span.Start || v.List[j].End != d.span.End {
			j++
		}
		gone, err := f(d, &v.List[j])
		if err != nil {
			return err
		}
		if gone {
			w.remove(v, j, j+1)
		}
	}
	for i := range w.due {
		d := &w.due[i]
		if v := w.pane.Update(&d.key, d.hash); v != nil {
			w.requeue(&d.key, d.hash, v)
			w.tidy(&d.key, d.hash, v)
		}
	}
	clear(w.due)
	w.due = w.due[:0]
	return nil
}

// maxInstants is at how many event times in a row, a nanosecond from each other, there may be something to do.
const maxInstants = 1 << 20

var errNoProgress = errors.New("the trigger sets its timer for the next instant again and again: set it for later")

// advance moves the clock to t, by the times at which windows have something to do.
func (w *triggerOp[K, T, A, R]) advance(t int64) error {
	if w.sessions() && t < element.EndTime && t > element.NoTime {
		t-- // the clock of sessions is a tick behind: see sessionOp
	}
	if t <= w.clock {
		return nil
	}
	if t == element.EndTime {
		if err := w.lastAlarms(); err != nil {
			return err
		}
	}
	// The end of the input is the end of windows without bounds. Their last results have a time just after the watermark before it, so
	// nothing may come between: timers of triggers do not fire any more.
	last := t == element.EndTime && !w.bounded()
	w.past = 0
	for !last {
		at, ok := w.events.Next()
		if !ok || at > t {
			break
		}
		if _, err := w.events.Fire(at, w.onEvent); err != nil {
			return err
		}
		if len(w.due) == 0 {
			continue
		}
		if at > satAdd(w.clock, 1) {
			w.past = 0
		} else if w.past++; w.past > maxInstants {
			return fmt.Errorf("%v at %s: %w", w.Trigger, timeOf(at).Format(time.RFC3339Nano), errNoProgress)
		}
		// Before a result stands the last watermark that does not reach it, as in windowOp.fire.
		w.clock, w.before = at, at-1
		if err := w.eachDue(w.onReach); err != nil {
			return err
		}
	}
	w.clock, w.before = t, element.NoTime
	if t == element.EndTime {
		w.pane.Each(func(k *K, v *Cells[A], h uint64) bool {
			for i := range v.List {
				w.note(k, h, &v.List[i], t)
			}
			return true
		})
		if err := w.eachDue(w.onReach); err != nil {
			return err
		}
	}
	w.tell()
	return nil
}

// reach does what a window has to do now that the clock has come to it, and reports whether that was the last of it.
func (w *triggerOp[K, T, A, R]) reach(d *dueCell[K], x *Cell[A]) (gone bool, err error) {
	k := &d.key
	if !w.bounded() {
		switch {
		case w.clock < element.EndTime:
			return false, w.ask(k, x, w.program.early, eventTime, window.Early)
		case w.Kind == window.KindCount && !w.Partial:
			return true, nil
		}
		return true, w.end(k, x, window.OnTime)
	}
	last := satAdd(x.End, -1)
	switch {
	case w.clock < last:
		return false, w.ask(k, x, w.program.early, eventTime, window.Early)
	case w.clock == last && w.Lateness == 0:
		return true, w.end(k, x, window.OnTime)
	case w.clock == last:
		return false, w.pass(k, x)
	case w.clock < satAdd(last, w.Lateness):
		return false, w.ask(k, x, w.program.late, eventTime, window.Late)
	}
	return true, w.end(k, x, window.Late)
}

// pass does what a window does at its end when it is kept for late records.
func (w *triggerOp[K, T, A, R]) pass(k *K, x *Cell[A]) error {
	if w.program.atEnd {
		if w.program.early != nil {
			w.program.early.start(x.Slots, x.States) // for a session that goes on
		}
		return w.result(k, x, window.OnTime)
	}
	if err := w.ask(k, x, w.program.early, windowEnd, window.OnTime); err != nil || w.program.alone || x.New == 0 {
		return err
	}
	w.program.early.again(x.Slots, w.call.now, false)
	return w.result(k, x, window.OnTime)
}

// end does what a window does before it is forgotten: at its end, or, if it was kept for late records, after it.
func (w *triggerOp[K, T, A, R]) end(k *K, x *Cell[A], kind window.Firing) error {
	var err error
	switch {
	case kind == window.Late:
		err = w.ask(k, x, w.program.late, eventTime, kind)
	case w.program.atEnd:
		err = w.result(k, x, kind)
	default:
		err = w.ask(k, x, w.program.early, windowEnd, kind)
	}
	if err != nil || w.program.alone || x.New == 0 {
		return err
	}
	return w.result(k, x, kind)
}

// NextTick is Ticked.
func (w *triggerOp[K, T, A, R]) NextTick() int64 {
	if at, ok := w.alarms.Next(); ok {
		return at
	}
	return never
}

// Tick is Ticked.
func (w *triggerOp[K, T, A, R]) Tick(now int64) error {
	before := w.c.Counters.Out.Load()
	if err := w.ringAll(now); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.idle && w.c.Counters.Out.Load() > before {
		return w.Idle() // what was emitted has said that this input is active
	}
	return nil
}

// ringAll does what is due up to a processing time, in order.
func (w *triggerOp[K, T, A, R]) ringAll(now int64) error {
	w.call.earliest = satAdd(now, 1)
	defer func() { w.call.earliest = math.MinInt64 }()
	for {
		at, ok := w.alarms.Next()
		if !ok || at > now {
			return nil
		}
		if _, err := w.alarms.Fire(at, w.onAlarm); err != nil {
			return err
		}
		if err := w.eachDue(w.onRing); err != nil {
			return err
		}
	}
}

// ring tells the trigger of a window that its processing time has come.
func (w *triggerOp[K, T, A, R]) ring(d *dueCell[K], x *Cell[A]) (gone bool, err error) {
	w.call.now = d.at
	return false, w.ask(&d.key, x, w.program.phase(w.ended(x)), processingTime, w.kind(x))
}

// lastAlarms rings once, in the order of their times, for custom triggers that wait for a processing time when the input ends. What
// other triggers wait for comes with the end of the windows.
func (w *triggerOp[K, T, A, R]) lastAlarms() error {
	if !w.program.custom {
		return nil
	}
	w.call.last = true // and for good: nothing comes after the final watermark
	if _, err := w.alarms.Fire(never, w.onAlarm); err != nil {
		return err
	}
	defer w.backTo(w.call.now)
	return w.eachDue(w.onRing)
}

// backTo makes it the processing time that it was.
func (w *triggerOp[K, T, A, R]) backTo(now int64) { w.call.now = now }
