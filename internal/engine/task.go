package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/exchange"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/progress"
	"github.com/millrace-stream/millrace/internal/task"
)

// A source whose splits are all at their end looks again after firstPoll, and from then on after twice as long each time, up to pollInterval: one that has records
// every millisecond does not make them wait, and one that is quiet costs nothing.
const (
	firstPoll    = 100 * time.Microsecond
	pollInterval = 10 * time.Millisecond
)

// taskRun is one task: a chain of operator instances, the edges into and out of it, and the goroutine that runs them.
//
// The goroutine waits in one place, on ev, for input, for room downstream, for the clock and for commands alike.
//
//	inbox ----> combiner (watermark) ----> operator ----> operator ----> edges
//	  |                                       |               |            ^
//	  +-> alignment --- barrier ---------> Freeze ------> Freeze ---> barrier
type taskRun struct {
	id      int
	name    string
	subtask int
	attempt *attempt
	ctx     context.Context //nolint:containedctx // the root context of the task
	ev      task.Event

	ops    []*instance
	exits  []*graph.Node // the operators behind keyed exchanges, whose key functions run here
	source operator.Source
	inbox  *exchange.Inbox
	heads  []operator.Receiver // by input
	clocks *progress.Combiner
	// saidIdle says that those behind this task know that all its inputs are idle.
	saidIdle bool
	align    *epoch.Alignment
	edges    []*exchange.Edge // all edges out
	flush    []operator.Flusher
	// at is the operator that runs, for errors and the watchdog: an index of ops, or behind them of exits.
	at atomic.Int32
	// turns counts the turns of the task's loop and its waits; rests says that it waits, ended that it has ended.
	turns        atomic.Uint64
	rests, ended atomic.Bool
	// busy is for how long, in ns, the operator busyIn has been in one call, when the watchdog has noticed.
	busy    atomic.Int64
	busyIn  atomic.Pointer[graph.Node]
	lastOut time.Time
	// pause is the longest time, in ns, for which a barrier kept the operators from records; see cut.
	pause atomic.Int64
	// clock is the watermark of the inputs together, for reports. That of a source is counted by its operator.
	clock atomic.Int64

	// unsaved counts records read since the last barrier; asked says that an epoch has been asked for because of it.
	unsaved int64
	asked   bool
	drained bool
	// replayed says that dead letters have been handled again.
	replayed bool
	// nextPoll is how long the source has waited before it looked again, 0 when it had records.
	nextPoll time.Duration
	stopped  bool // a final barrier has been sent: nothing more is read

	cutting *cut // a cut whose state is not all encoded yet

	ticked  []ticking
	limited []operator.Limited
	// begun says that the restored watermarks have gone through this task. Until then operators are not ticked, and nobody is asked for room:
	// what they passed on would be judged without those watermarks.
	begun  bool
	woken  atomic.Bool // Wake was called and no tick has come since
	sealed bool        // a final barrier has passed: operators are not ticked any more

	inputs []input
	wait   *exchange.Waiter

	// writing holds the cuts that are to be written beside the task.
	writing struct {
		sync.Mutex
		queue []*cut
		busy  bool
	}

	// memory bounds the keyed state of the operators; nil for no bounds.
	memory *keyed.Memory

	cancelled atomic.Bool
	ctl       struct {
		sync.Mutex
		trigger   *element.Barrier
		completed uint64
		aborted   uint64
		splits    []connect.Split
		changed   bool
		drain     bool
		// asked says that the coordinator wants to know what holds the watermark of the source, which is told in holder.
		asked  bool
		holder holder
	}
}

// instance is one operator of the chain.
type instance struct {
	node     *graph.Node
	op       operator.Op
	context  *operator.Context
	counters *operator.Counters
}

// guard notes which operator runs, so that an error or panic can be told with its operator.
type guard struct {
	operator.Receiver
	t     *taskRun
	index int32
}

func (g *guard) Process(b element.Batch) error {
	before := g.t.at.Load()
	g.t.at.Store(g.index)
	if err := g.Receiver.Process(b); err != nil {
		return err
	}
	g.t.at.Store(before)
	return nil
}

func (g *guard) Watermark(w int64) error {
	before := g.t.at.Load()
	g.t.at.Store(g.index)
	if err := g.Receiver.Watermark(w); err != nil {
		return err
	}
	g.t.at.Store(before)
	return nil
}

// run is the life of the task.
func (t *taskRun) run() {
	err := t.guarded()
	for i := len(t.ops) - 1; i >= 0; i-- {
		if cerr := t.ops[i].op.Close(); cerr != nil && err == nil {
			t.at.Store(int32(i))
			err = t.operatorError(fmt.Errorf("close: %w", cerr))
		}
	}
	if errors.Is(err, exchange.ErrCancelled) {
		err = nil
	}
	t.ended.Store(true)
	t.attempt.mail.post(mail{taskEnded: t, err: err})
}

func (t *taskRun) guarded() (err error) {
	defer func() {
		p := recover()
		if failed := diskFailure(p); failed != nil {
			err = t.operatorError(failed)
		} else if p != nil {
			err = t.operatorError(&PanicError{Value: p, Stack: debug.Stack()})
		}
	}()
	if err := t.open(); err != nil {
		return t.operatorError(err)
	}
	if t.source != nil {
		err = t.readLoop()
	} else {
		err = t.inputLoop()
	}
	if err != nil && !errors.Is(err, exchange.ErrCancelled) {
		return t.operatorError(err)
	}
	return err
}

// open opens the operators, last first, so that each finds those after it ready.
func (t *taskRun) open() error {
	for i := len(t.ops) - 1; i >= 0; i-- {
		t.at.Store(int32(i))
		if err := t.ops[i].op.Open(t.ops[i].context); err != nil {
			return err
		}
	}
	t.lastOut = t.now()
	if t.source == nil {
		return nil
	}
	t.ctl.Lock()
	splits := t.ctl.splits
	t.ctl.splits = nil
	t.ctl.Unlock()
	if err := t.source.Assign(splits); err != nil {
		return err
	}
	if err := t.source.Start(); err != nil {
		return err
	}
	return t.begin(element.Barrier{Epoch: t.attempt.base})
}

// begin sends the barrier of the restored epoch on. It stands behind the restored watermarks: a task that has it from all
// inputs knows what it knew at the checkpoint, and takes no record before. Else records of one input would be judged
// without the watermark of another, and be late or not by chance. After a first start there is nothing to know.
func (t *taskRun) begin(b element.Barrier) error {
	t.begun = true
	if b.Epoch == 0 {
		return nil
	}
	if err := t.flushAll(); err != nil {
		return err
	}
	for _, e := range t.edges {
		if err := e.Push(element.Element{Kind: element.KindBarrier, Barrier: b}); err != nil {
			return err
		}
	}
	return nil
}

func (t *taskRun) now() time.Time { return t.attempt.env.Sched.Now() }

// takeSplits gives newly assigned splits to the source.
func (t *taskRun) takeSplits() error {
	t.ctl.Lock()
	splits := t.ctl.splits
	t.ctl.splits = nil
	t.ctl.Unlock()
	if len(splits) == 0 {
		return nil
	}
	return t.source.Assign(splits)
}

// command wakes the task with a changed ctl. The lock is not held.
func (t *taskRun) command(f func()) {
	t.ctl.Lock()
	f()
	t.ctl.changed = true
	t.ctl.Unlock()
	t.ev.Set()
}

// obey handles commands. A barrier to start stays in ctl until the loop of a source takes it.
func (t *taskRun) obey() error {
	if t.cancelled.Load() {
		return exchange.ErrCancelled
	}
	t.ctl.Lock()
	if !t.ctl.changed {
		t.ctl.Unlock()
		return nil
	}
	t.ctl.changed = false
	if t.ctl.asked && t.source != nil {
		t.ctl.asked = false
		t.ctl.holder.split, t.ctl.holder.watermark, t.ctl.holder.ahead = t.source.Holder()
		t.ctl.holder.known = true
	}
	completed, aborted, splits, drain := t.ctl.completed, t.ctl.aborted, len(t.ctl.splits) > 0, t.ctl.drain
	t.ctl.completed, t.ctl.aborted, t.ctl.drain = 0, 0, false
	t.ctl.Unlock()
	if aborted > 0 && t.align != nil && t.align.Abort(aborted) {
		t.follow()
	}
	if completed > 0 {
		for _, o := range t.ops {
			o.op.Completed(completed)
		}
	}
	if splits {
		if err := t.takeSplits(); err != nil {
			return err
		}
	}
	if drain {
		t.at.Store(0)
		return t.source.Drain()
	}
	return nil
}

// trigger takes the barrier that the source must start, if there is one.
func (t *taskRun) trigger() *element.Barrier {
	t.ctl.Lock()
	defer t.ctl.Unlock()
	b := t.ctl.trigger
	t.ctl.trigger = nil
	return b
}

// readLoop is the loop of a task whose chain begins with a source.
func (t *taskRun) readLoop() error {
	for {
		t.turns.Add(1)
		if err := t.obey(); err != nil {
			return err
		}
		if err := t.replay(); err != nil {
			return err
		}
		if b := t.trigger(); b != nil {
			if err := t.cut(*b); err != nil {
				return err
			}
		}
		if t.cutting != nil {
			t.stepCut()
		}
		if err := t.tick(); err != nil {
			return err
		}
		t.memory.Settle()
		if t.stopped || t.mustPause() {
			if err := t.rest(task.Forever); err != nil {
				return err
			}
			continue
		}
		room := t.room()
		if room <= 0 {
			if err := t.hold(); err != nil {
				return err
			}
			continue
		}
		if err := t.poll(room); err != nil {
			return err
		}
	}
}

// mustPause reports whether the source waits for an epoch because it has read as many records as may be replayed.
func (t *taskRun) mustPause() bool {
	every := t.attempt.cfg.Records
	if every <= 0 || t.unsaved < every || t.drained {
		return false
	}
	if !t.asked {
		t.asked = true
		t.attempt.mail.post(mail{request: true})
	}
	return true
}

// poll reads at most limit records.
func (t *taskRun) poll(limit int) error {
	if every := t.attempt.cfg.Records; every > 0 {
		limit = int(min(int64(limit), every-t.unsaved))
	}
	t.at.Store(0)
	before := t.ops[0].counters.In.Load()
	result, err := t.source.Poll(max(limit, 1))
	if err != nil {
		return err
	}
	t.unsaved += t.ops[0].counters.In.Load() - before
	switch result {
	case operator.PollMore:
		t.nextPoll = 0
		return t.linger()
	case operator.PollEnded:
		if !t.drained {
			t.drained = true
			if err := t.flushAll(); err != nil {
				return err
			}
			t.attempt.mail.post(mail{drained: t})
		}
		return t.rest(task.Forever)
	default:
		t.nextPoll = min(max(2*t.nextPoll, firstPoll), pollInterval)
		return t.rest(t.nextPoll)
	}
}

// rest flushes what is held back, since nothing is there to add to it, and waits.
func (t *taskRun) rest(timeout time.Duration) error {
	if err := t.flushAll(); err != nil {
		return err
	}
	if t.cutting != nil {
		return nil // there is work to do
	}
	t.ev.Wait(t.untilTick(timeout))
	return nil
}

// linger flushes when records have been held back for the linger time.
func (t *taskRun) linger() error {
	if len(t.flush) == 0 {
		return nil
	}
	if now := t.now(); now.Sub(t.lastOut) >= t.attempt.cfg.Linger {
		return t.flushAll()
	}
	return nil
}

func (t *taskRun) flushAll() error {
	if len(t.flush) == 0 {
		return nil
	}
	for _, f := range t.flush {
		if _, err := f.Flush(); err != nil {
			return err
		}
	}
	t.lastOut = t.now()
	return nil
}

// inputLoop is the loop of a task that is fed by others.
func (t *taskRun) inputLoop() error {
	t.begun = t.attempt.base == 0
	for {
		t.turns.Add(1)
		if err := t.obey(); err != nil {
			return err
		}
		if err := t.replay(); err != nil {
			return err
		}
		if t.cutting != nil {
			t.stepCut()
		}
		if err := t.tick(); err != nil {
			return err
		}
		t.memory.Settle()
		if !t.sealed && t.room() <= 0 {
			if err := t.hold(); err != nil {
				return err
			}
			continue
		}
		input, el, ok := t.inbox.Next()
		if !ok {
			if err := t.rest(task.Forever); err != nil {
				return err
			}
			continue
		}
		if err := t.take(input, el); err != nil {
			return err
		}
		if err := t.linger(); err != nil {
			return err
		}
	}
}

// take handles one element of an input.
func (t *taskRun) take(input int, el element.Element) error {
	t.at.Store(0)
	switch el.Kind {
	case element.KindBatch:
		h := el.Batch.Head()
		if err := t.wakeInput(input); err != nil {
			return err
		}
		t.combine(input, h)
		return t.heads[input].Process(el.Batch)
	case element.KindWatermark:
		awake := t.saidIdle
		if err := t.wakeInput(input); err != nil {
			return err
		}
		out, advanced := t.clocks.Advance(input, el.Time)
		if awake && !t.saidIdle && out > element.NoTime {
			advanced = true // those behind must hear that the watermark holds again, also when it stays
		}
		if err := t.moved(input, out, advanced); err != nil {
			return err
		}
		return t.sayIdle(input) // the end of the last input that was active leaves the idle ones
	case element.KindIdle:
		out, advanced := t.clocks.SetIdle(input, true)
		if err := t.moved(input, out, advanced); err != nil {
			return err
		}
		return t.sayIdle(input)
	case element.KindBarrier:
		aligned, err := t.align.Barrier(input, el.Barrier)
		if err != nil {
			return err
		}
		t.follow()
		switch {
		case !aligned:
			return nil
		case el.Barrier.Epoch == t.attempt.base:
			return t.begin(el.Barrier)
		}
		return t.cut(el.Barrier)
	}
	return fmt.Errorf("engine: unknown kind of element %d", el.Kind)
}

// follow makes the inbox take from the inputs that the alignment does not block.
func (t *taskRun) follow() {
	for i := range t.heads {
		t.inbox.Block(i, t.align.Blocked(i))
	}
}

// sayIdle says, once, that the inputs that are left are all idle.
func (t *taskRun) sayIdle(input int) error {
	if t.saidIdle || !t.clocks.AllIdle() {
		return nil
	}
	t.saidIdle = true
	return t.heads[input].Idle()
}

// wakeInput ends the idleness of an input that has something to say.
func (t *taskRun) wakeInput(input int) error {
	if t.clocks.Status(input) != progress.Idle {
		return nil
	}
	t.saidIdle = false
	out, advanced := t.clocks.SetIdle(input, false)
	return t.moved(input, out, advanced)
}

func (t *taskRun) moved(input int, out int64, advanced bool) error {
	if !advanced {
		return nil
	}
	t.clock.Store(out)
	return t.heads[input].Watermark(out)
}

// combine turns the steps of one input's batch into steps of the task's watermark.
func (t *taskRun) combine(input int, h *element.Header) {
	kept := h.Steps[:0]
	for _, s := range h.Steps {
		if out, advanced := t.clocks.Advance(input, s.Time); advanced {
			t.clock.Store(out)
			kept = element.AppendStep(kept, element.Step{At: s.At, Time: out})
		}
	}
	h.Steps = kept
}

// cut ends an epoch in this task: all operators freeze their state, then the barrier goes on.
func (t *taskRun) cut(b element.Barrier) error {
	if err := t.obey(); err != nil { // a completed epoch must be known before the next one is cut
		return err
	}
	for t.cutting != nil { // an epoch that was given up; its sinks' output is still wanted
		t.stepCut()
	}
	start := t.now()
	c := &cut{barrier: b, task: t}
	for i, o := range t.ops {
		t.at.Store(int32(i))
		piece, err := o.op.Freeze(b.Epoch)
		if err != nil {
			return err
		}
		counters := map[string]int64{}
		o.counters.Add(counters)
		counters["held"] = piece.Held
		c.pieces = append(c.pieces, cutPiece{node: o.node, Cut: piece, counters: counters})
	}
	// Passing the barrier on is not part of the pause: there the task waits for those after it, as with any batch.
	if d := int64(t.now().Sub(start)); d > t.pause.Load() {
		t.pause.Store(d)
	}
	if err := t.flushAll(); err != nil {
		return err
	}
	for _, e := range t.edges {
		if err := e.Push(element.Element{Kind: element.KindBarrier, Barrier: b}); err != nil {
			return err
		}
	}
	t.unsaved, t.asked = 0, false
	t.stopped = b.Final && t.source != nil
	t.sealed = b.Final
	t.cutting = c
	t.stepCut()
	return nil
}

// stepCut encodes a part of the state that only this goroutine may read, and hands the cut to a writer when all the rest
// can be read by others.
func (t *taskRun) stepCut() {
	c := t.cutting
	for i := range c.pieces {
		for _, f := range c.pieces[i].Frozen {
			if f.Pending() {
				f.Step()
				return
			}
		}
	}
	t.cutting = nil
	t.attempt.write(c)
}

// running returns the operator that runs, or nil.
func (t *taskRun) running() *graph.Node {
	at := int(t.at.Load())
	switch behind := at - len(t.ops); {
	case at < 0 || behind >= len(t.exits):
		return nil
	case behind >= 0:
		return t.exits[behind]
	}
	return t.ops[at].node
}

func (t *taskRun) operatorError(err error) error {
	if _, ok := errors.AsType[*OperatorError](err); ok {
		return err
	}
	e := &OperatorError{Job: t.attempt.cfg.Job, Subtask: t.subtask, Err: err}
	if n := t.running(); n != nil {
		e.Operator = n.ID
		e.File, e.Line = n.File, n.Line
	}
	if t.source != nil {
		e.Place = t.source.Place()
	}
	return e
}
