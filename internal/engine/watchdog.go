package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/task"
)

// watched is the event of a task. It tells the watchdog when the task waits: then no operator keeps it.
type watched struct {
	task.Event
	t *taskRun
}

func (w *watched) Wait(timeout time.Duration) bool {
	w.t.rests.Store(true)
	set := w.Event.Wait(timeout)
	w.t.turns.Add(1)
	w.t.rests.Store(false)
	return set
}

// watchdog sees when a task is kept by one call of an operator, and when the watermark stands still although something is ahead of it.
type watchdog struct {
	looked time.Time
	tasks  []vigil
	// watermark is the smallest of the sources, since when it stands, and when that was last told.
	watermark   int64
	since, told time.Time
	asked       bool
	// held is what holds the watermark, for the status.
	held string
}

// vigil is what the watchdog knows about a task.
type vigil struct {
	turns uint64
	since time.Time
	told  time.Duration
}

// holder is what holds the watermark of the subtask of a source.
type holder struct {
	known            bool
	split            string
	watermark, ahead int64
}

// watch is called by the coordinator each time it looks at the clock.
func (a *attempt) watch() {
	w, now := &a.dog, a.env.Sched.Now()
	if now.Sub(w.looked) < min(a.cfg.BlockedAfter, a.cfg.StuckAfter)/8 {
		return
	}
	w.looked = now
	if w.tasks == nil {
		w.tasks = make([]vigil, len(a.tasks))
		w.watermark, w.since = element.NoTime, now
	}
	for i, t := range a.tasks {
		a.watchTask(&w.tasks[i], t, now)
	}
	a.watchWatermark(now)
}

func (a *attempt) watchTask(v *vigil, t *taskRun, now time.Time) {
	turns := t.turns.Load()
	if t.rests.Load() || t.ended.Load() || turns != v.turns || v.since.IsZero() {
		*v = vigil{turns: turns, since: now}
		t.busyIn.Store(nil)
		return
	}
	busy := now.Sub(v.since)
	if busy < a.cfg.BlockedAfter || a.cfg.BlockedAfter <= 0 {
		return
	}
	id, n := "", t.running()
	if n != nil {
		id = n.ID
	}
	t.busy.Store(int64(busy))
	t.busyIn.Store(n)
	if v.told == 0 || busy >= 2*v.told {
		v.told = busy
		a.cfg.Log.Warn("an operator does not return", "job", a.cfg.Job, "operator", id, "subtask", t.subtask, "for", busy, "stack", stackOf(t.name))
	}
	if a.cfg.FailBlocked {
		a.fail(t.operatorError(&BlockedError{For: busy, Stack: stackOf(t.name)}))
	}
}

// BlockedError says that an operator has been in one call for too long.
type BlockedError struct {
	For time.Duration
	// Stack is where it was, as far as it could be found.
	Stack string
}

// Error says for how long.
func (e *BlockedError) Error() string {
	return fmt.Sprintf("it has not returned for %v, which Watchdog does not allow", e.For)
}

// stackOf returns where the goroutine of a task is.
func stackOf(name string) string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return ""
	}
	label := fmt.Sprintf("%q:%q", "task", name)
	for part := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(part, label) {
			return part
		}
	}
	return ""
}

// watchWatermark tells which split of which source holds the watermark, when it has not moved for long and others are ahead.
func (a *attempt) watchWatermark(now time.Time) {
	w := &a.dog
	low := int64(element.EndTime)
	for _, t := range a.tasks {
		if t.source != nil {
			low = min(low, t.watermark())
		}
	}
	if low != w.watermark || low == element.EndTime {
		w.watermark, w.since, w.told, w.asked, w.held = low, now, time.Time{}, false, ""
		return
	}
	if now.Sub(w.since) < a.cfg.StuckAfter {
		return
	}
	if !w.asked {
		w.asked = true
		for _, t := range a.tasks {
			if t.source != nil {
				t.command(func() { t.ctl.asked, t.ctl.holder = true, holder{} })
			}
		}
		return
	}
	w.asked = false
	w.held = a.holds()
	if w.held != "" && (w.told.IsZero() || now.Sub(w.told) >= w.told.Sub(w.since)) {
		w.told = now
		a.cfg.Log.Warn("the watermark stands still", "job", a.cfg.Job, "for", now.Sub(w.since), "held", w.held)
	}
}

// holds says what holds the watermark, as the sources have answered; nothing when nobody is ahead.
func (a *attempt) holds() string {
	at, ahead := holder{watermark: element.EndTime}, int64(element.NoTime)
	source := ""
	for _, t := range a.tasks {
		if t.source == nil {
			continue
		}
		t.ctl.Lock()
		h := t.ctl.holder
		t.ctl.Unlock()
		ahead = max(ahead, h.ahead)
		if h.known && h.split != "" && h.watermark < at.watermark {
			at, source = h, t.ops[0].node.ID
		}
	}
	if source == "" || ahead <= at.watermark {
		return ""
	}
	stands := "has no watermark yet"
	if at.watermark > element.NoTime {
		stands = "stands at " + operator.Time(at.watermark).Format(time.RFC3339Nano)
	}
	front := "the end"
	if ahead < element.EndTime {
		front = operator.Time(ahead).Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("split %q of source %q %s, while others are at %s: if it is quiet, give the source IdleAfter", at.split, source, stands, front)
}

// abandonedError says that a function of the job has not returned when the job was to end. It can be no reason to start again within the process.
type abandonedError struct {
	operators []string
	after     time.Duration
	err       error
}

func (e *abandonedError) Error() string {
	s := fmt.Sprintf("the job was left without its end: %s had not returned %v after being told to; what it still does is no part of the job any more",
		strings.Join(e.operators, ", "), e.after)
	if e.err != nil {
		s += fmt.Sprintf(" (the job had failed: %v)", e.err)
	}
	return s
}

// As finds what the job had failed with; Is does not, since an error that may go away must not start the job again.
func (e *abandonedError) As(target any) bool { return e.err != nil && errors.As(e.err, target) }

// lastCall is how much longer than the stop timeout the end of an attempt is waited for.
const lastCall = 5 * time.Second

// await waits for all that the attempt has started, and gives up in the end.
func (a *attempt) await(err error) error {
	limit := a.cfg.StopTimeout + lastCall
	if a.group.WaitFor(limit) {
		return err
	}
	left := &abandonedError{after: limit, err: err}
	for _, t := range a.tasks {
		if t.ended.Load() {
			continue
		}
		id := t.name
		if n := t.running(); n != nil {
			id = n.ID
		}
		left.operators = append(left.operators, fmt.Sprintf("operator %q (subtask %d)", id, t.subtask))
		a.cfg.Log.Error("an operator has not returned", "job", a.cfg.Job, "operator", id, "subtask", t.subtask, "stack", stackOf(t.name))
	}
	if left.operators == nil {
		left.operators = []string{"a sink that prepares or commits"}
	}
	return left
}
