package operator

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// ProcessConfig describes a keyed process function with a state struct per key and named event-time timers.
type ProcessConfig[K comparable, T, S, O any] struct {
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	State    codec.Codec[S]
	Layout   codec.Layout
	Pool     *element.Pool[O]
	// OnRecord is called for each record, OnTimer for each timer; OnTimer may be nil. They belong to one instance.
	OnRecord func(p *Proc[K, S, O], r *T) error
	OnTimer  func(p *Proc[K, S, O], name string, at int64) error
}

// Proc is what a process function works with during one call.
type Proc[K comparable, S, O any] struct {
	op    procOp[K, S, O]
	key   K
	hash  uint64
	time  int64
	err   error
	state *S
}

// procOp is the side of the operator that does not depend on the record type.
type procOp[K comparable, S, O any] struct {
	c      *Context
	codec  *codec.Key[K]
	space  *keyed.Space[K, S]
	pane   *keyed.Pane[K, S]
	timers *keyed.Timers[K]
	emit   *Emitter[O]
	clock  int64
	// ending says that the final watermark is handled.
	ending bool
}

// Key returns the key of the record or timer.
func (p *Proc[K, S, O]) Key() K { return p.key }

// EventTime returns the event time of the record, or the time of the timer, in ns.
func (p *Proc[K, S, O]) EventTime() int64 { return p.time }

// Watermark returns the operator's clock in ns.
func (p *Proc[K, S, O]) Watermark() int64 { return p.op.clock }

// State returns the state of the key, made if there was none. It is valid during the call.
func (p *Proc[K, S, O]) State() *S {
	if p.state == nil {
		p.state, _ = p.op.pane.Upsert(&p.key, p.hash)
	}
	return p.state
}

// Clear forgets the state of the key.
func (p *Proc[K, S, O]) Clear() {
	p.op.pane.Delete(&p.key, p.hash)
	p.state = nil
}

// Emit puts out a record with the event time of the call.
func (p *Proc[K, S, O]) Emit(o O) {
	if p.err == nil {
		p.err = p.op.emit.Emit(&o, p.time)
	}
}

// SetTimer sets or moves the key's timer of this name.
func (p *Proc[K, S, O]) SetTimer(name string, at int64) {
	if p.op.ending {
		// The input has ended: no watermark will come that could fire it, and a timer that sets itself again would
		// keep the job from ending.
		p.op.c.Counters.TimersDiscarded.Add(1)
		return
	}
	p.op.timers.Set(&p.key, p.hash, name, at)
}

// DeleteTimer removes the key's timer of this name, if there is one.
func (p *Proc[K, S, O]) DeleteTimer(name string) { p.op.timers.Delete(&p.key, p.hash, name) }

type processOp[K comparable, T, S, O any] struct {
	ProcessConfig[K, T, S, O]
	Proc[K, S, O]
	onFire func(k *K, hash uint64, name string, at int64) error // fire, bound once
}

const (
	processState = "state"
	timerState   = "timer"
)

// NewProcess returns the operator.
func NewProcess[K comparable, T, S, O any](cfg ProcessConfig[K, T, S, O]) Op {
	return &processOp[K, T, S, O]{ProcessConfig: cfg}
}

func (x *processOp[K, T, S, O]) Open(c *Context) error {
	o := &x.op
	x.onFire = x.fire
	o.c, o.codec = c, x.KeyCodec
	o.emit = NewEmitter(x.Pool, c.Outputs(""), &c.Counters.Out)
	o.space = newSpace[K, S](c, processState, x.KeyCodec, x.ProcessConfig.State, x.Layout)
	timers, err := keyed.NewTimers(keyed.TimersConfig[K]{
		Operator: c.ID, State: timerState, Key: x.KeyCodec, Layout: codec.LayoutOf[K](), Groups: c.Groups, Lo: c.Lo, Hi: c.Hi,
	})
	if err != nil {
		return err
	}
	o.timers = timers
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	o.clock = clock
	if clock > element.NoTime { // tell those after it, who start anew
		o.emit.Advance(clock)
	}
	if err := c.Load(processState, o.space.Restore()); err != nil {
		return err
	}
	o.pane = o.space.Ensure(0)
	return c.Load(timerState, o.timers.Restore())
}

func (x *processOp[K, T, S, O]) Input(int) Receiver { return x }

// Process calls the function for each record, with the clock moving where the steps of the batch say.
func (x *processOp[K, T, S, O]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	o := &x.op
	o.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := x.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		x.key = x.ProcessConfig.Key(&in.Records[i])
		if o.codec.Canon != nil {
			o.codec.Canon(&x.key)
		}
		if len(in.Hashes) > 0 {
			x.hash = in.Hashes[i]
		} else {
			x.hash = o.codec.Hash(&x.key)
		}
		x.time, x.state = in.Times[i], nil
		if err := x.OnRecord(&x.Proc, &in.Records[i]); err != nil {
			return recordError(err, x.time)
		}
		if x.err != nil {
			return x.err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := x.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return x.flush()
}

func (x *processOp[K, T, S, O]) flush() error {
	x.op.c.Counters.Watermark.Store(x.op.clock)
	return x.op.emit.Flush()
}

// Watermark moves the clock.
func (x *processOp[K, T, S, O]) Watermark(t int64) error {
	if err := x.advance(t); err != nil {
		return err
	}
	return x.flush()
}

// Idle passes on that nothing holds the watermark.
func (x *processOp[K, T, S, O]) Idle() error { return x.op.emit.to.Idle() }

// maxPast is how many times in a row timers may set timers for a time that they have reached.
const maxPast = 1 << 20

// advance moves the clock to t, by the times of the timers that are due. They fire in the order of time, key and name; those
// that they set, up to t, among them. So it does not matter by how many steps the watermark came to t.
func (x *processOp[K, T, S, O]) advance(t int64) error {
	o := &x.op
	if t <= o.clock {
		return nil
	}
	o.ending = t == element.EndTime
	past := 0
	for {
		at, ok := o.timers.Next()
		if !ok || at > t {
			break
		}
		if at > o.clock {
			o.clock, past = at, 0
			o.emit.Advance(at - 1)
		} else if past++; past > maxPast {
			return fmt.Errorf("timers set timers for times that are past, %d times in a row: set them for later than %s",
				maxPast, timeOf(o.clock).Format(time.RFC3339Nano))
		}
		if _, err := o.timers.Fire(at, x.onFire); err != nil {
			return err
		}
	}
	o.clock = t
	o.emit.Advance(t)
	return nil
}

// fire calls the function of one timer.
func (x *processOp[K, T, S, O]) fire(k *K, hash uint64, name string, at int64) error {
	if x.OnTimer == nil {
		return nil
	}
	x.key, x.hash, x.time, x.state = *k, hash, at, nil
	if err := x.OnTimer(&x.Proc, name, at); err != nil {
		return recordError(err, at)
	}
	return x.err
}

func (x *processOp[K, T, S, O]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(x.op.clock), Frozen: []NamedFrozen{
		{processState, x.op.space.Freeze(epoch)},
		{timerState, x.op.timers.Freeze(epoch)},
	}}, nil
}

func (x *processOp[K, T, S, O]) Completed(epoch uint64) {
	x.op.space.Completed(epoch)
	x.op.timers.Completed(epoch)
}

func (x *processOp[K, T, S, O]) Close() error { return nil }

// Time turns ns into a time in UTC; it is here for the API, which speaks of times.
func Time(ns int64) time.Time { return timeOf(ns) }
