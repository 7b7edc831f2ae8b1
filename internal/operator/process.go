package operator

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/states"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// ProcessConfig describes one instance of a keyed process function with states and named timers.
type ProcessConfig[K comparable, T, O any] struct {
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Pool     *element.Pool[O]
	// States are those that the function has declared.
	States *states.Registry[K]
	// Sides are the side outputs that it has declared.
	Sides []SideOutput
	// Origins says that the function asks where records come from.
	Origins bool
	// Open and Close are called once; they may be nil.
	Open  func(c *Context) error
	Close func() error
	// OnRecord is called for each record, OnTimer for each timer. OnTimer may be nil: then no timers can be set.
	OnRecord func(p *Proc[K, O], r *T) error
	OnTimer  func(p *Proc[K, O], t Timer) error
	// Broadcast takes the elements of port 1, if there is one.
	Broadcast func(x Broadcaster) Receiver
}

// Timer is a timer that fires.
type Timer struct {
	Name string
	// At is the time for which it was set, in ns.
	At int64
	// Processing says that it is one of processing time.
	Processing bool
}

// Proc is what a process function works with during one call. The key, the times and the states are in Registry.
type Proc[K comparable, O any] struct {
	*states.Registry[K]
	c      *Context
	emit   *Emitter[O]
	sides  sideOutputs
	timers *keyed.Timers[K]
	// clockTimers are the timers of processing time.
	clockTimers *keyed.Timers[K]
	clock       int64
	// ending says that the final watermark is handled, opened that the function has been opened.
	ending, opened bool
	// mute says that there is no function for timers.
	mute bool
	err  error
	// origin is that of the record at hand, nil when it is not known.
	origin *element.Origin
	// holds says that the call may have to be taken back: what it does to timers waits in pending until it has succeeded.
	holds   bool
	pending []timerChange
}

// timerChange is a timer that is to be set, or deleted.
type timerChange struct {
	clock  bool // it is one of processing time
	name   string
	at     int64
	remove bool
}

// Watermark returns the operator's clock in ns.
func (p *Proc[K, O]) Watermark() int64 { return p.clock }

// Origin returns where the record at hand comes from, or nil.
func (p *Proc[K, O]) Origin() *element.Origin { return p.origin }

// Emit puts out a record with the event time of the call.
func (p *Proc[K, O]) Emit(o O) {
	if p.err == nil {
		p.err = p.emit.Emit(&o, p.Event)
	}
}

// Fail makes the call fail.
func (p *Proc[K, O]) Fail(err error) {
	if p.err == nil {
		p.err = recordError(err, p.Event)
	}
}

// EmitSide puts a record into a side output.
func (p *Proc[K, O]) EmitSide[T any](name string, r *T) {
	if p.err == nil {
		p.err = emitSide(&p.sides, name, r, p.Event)
	}
}

// SetTimer sets or moves the key's timer of this name.
func (p *Proc[K, O]) SetTimer(name string, at int64) { p.set(timerChange{name: name, at: at}) }

// SetProcessingTimer sets or moves the key's timer of processing time of this name.
func (p *Proc[K, O]) SetProcessingTimer(name string, at int64) {
	p.set(timerChange{name: name, at: at, clock: true})
}

func (p *Proc[K, O]) set(c timerChange) {
	switch {
	case p.mute:
		p.Fail(fmt.Errorf("timer %q is set, and there is no function for timers: it could never be heard of", c.name))
	case p.ending:
		// The input has ended: no watermark will come that could fire it, and a timer that sets itself again would
		// keep the job from ending.
		p.c.Counters.TimersDiscarded.Add(1)
	default:
		p.change(c)
	}
}

// change sets or deletes a timer, now or when the call has succeeded.
func (p *Proc[K, O]) change(c timerChange) {
	if p.holds {
		p.pending = append(p.pending, c)
		return
	}
	timers := p.timers
	if c.clock {
		timers = p.clockTimers
	}
	if c.remove {
		timers.Delete(&p.Key, p.Hash, c.name)
	} else {
		timers.Set(&p.Key, p.Hash, c.name, c.at)
	}
}

// DeleteTimer removes the key's timer of this name, if there is one.
func (p *Proc[K, O]) DeleteTimer(name string) { p.change(timerChange{name: name, remove: true}) }

// DeleteProcessingTimer removes the key's timer of processing time of this name, if there is one.
func (p *Proc[K, O]) DeleteProcessingTimer(name string) {
	p.change(timerChange{name: name, remove: true, clock: true})
}

type processOp[K comparable, T, O any] struct {
	ProcessConfig[K, T, O]
	Proc[K, O]
	key K // of the record at hand; a local one would be allocated for each record
	// onFire and onClock are fire and fireClock, bound once.
	onFire, onClock func(k *K, hash uint64, name string, at int64) error
	fail            failures
	// With an error policy: the batch, the record at hand, and how many records there were in emit before it.
	in       *element.Of[T]
	at, mark int
	used     int64
}

const (
	timerState      = "timer"
	clockTimerState = "processing-timer"
)

// NewProcess returns the operator.
func NewProcess[K comparable, T, O any](cfg ProcessConfig[K, T, O]) Op {
	return &processOp[K, T, O]{ProcessConfig: cfg}
}

func (x *processOp[K, T, O]) Open(c *Context) error {
	p := &x.Proc
	x.onFire, x.onClock = x.fire, x.fireClock
	p.c, p.Registry, p.mute = c, x.States, x.OnTimer == nil
	p.emit = NewEmitter(x.Pool, c.Outputs(""), &c.Counters.Out)
	p.sides = openSides(x.Sides, c)
	x.fail.open(c)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	p.clock = clock
	if clock > element.NoTime { // tell those after it, who start anew
		x.tell()
	}
	if p.timers, err = x.openTimers(timerState); err != nil {
		return err
	}
	if p.clockTimers, err = x.openTimers(clockTimerState); err != nil {
		return err
	}
	if err := x.States.Open(statesConfig(c)); err != nil {
		return err
	}
	x.States.Clock = clock
	if x.ProcessConfig.Open != nil {
		if err := x.ProcessConfig.Open(c); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	p.opened = true
	return x.States.Err()
}

func (x *processOp[K, T, O]) openTimers(state string) (*keyed.Timers[K], error) {
	timers, err := keyed.NewTimers(keyed.TimersConfig[K]{
		Operator: x.c.ID, State: state, Key: x.KeyCodec, Layout: codec.LayoutOf[K](), Groups: x.c.Groups, Lo: x.c.Lo, Hi: x.c.Hi,
		Memory: x.c.Memory,
	})
	if err != nil {
		return nil, err
	}
	return timers, x.c.Load(state, timers.Restore())
}

// statesConfig tells declared states where they are.
func statesConfig(c *Context) states.Config {
	return states.Config{
		Operator: c.ID, Groups: c.Groups, Lo: c.Lo, Hi: c.Hi, Processing: c.Now, Memory: c.Memory,
		Load: func(section string, lo, hi int, v snapshot.Visitor) error {
			if lo == c.Lo && hi == c.Hi {
				return c.Load(section, v)
			}
			return c.LoadGroups(section, lo, hi, v)
		},
	}
}

// Input returns the operator, or what takes broadcast records.
func (x *processOp[K, T, O]) Input(port int) Receiver {
	if port == 1 {
		return x.Broadcast(x)
	}
	return x
}

// Process calls the function for each record, with the clock moving where the steps of the batch say.
func (x *processOp[K, T, O]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	p := &x.Proc
	p.c.Counters.In.Add(int64(len(in.Records)))
	if x.fail.on() {
		x.in = in
		if err := x.fail.each(&in.Header, len(in.Records), x); err != nil {
			return err
		}
		return x.flush()
	}
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := x.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		x.call(in, i)
		if err := x.OnRecord(p, &in.Records[i]); err != nil {
			return recordError(err, p.Event)
		}
		if err := p.failed(); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := x.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	p.c.Counters.Used.Add(int64(len(in.Records)))
	return x.flush()
}

// call begins the call for a record.
func (x *processOp[K, T, O]) call(in *element.Of[T], i int) {
	p := &x.Proc
	x.key = x.Key(&in.Records[i])
	if x.KeyCodec.Canon != nil {
		x.KeyCodec.Canon(&x.key)
	}
	var hash uint64
	if len(in.Hashes) > 0 {
		hash = in.Hashes[i]
	} else {
		hash = x.KeyCodec.Hash(&x.key)
	}
	p.Call(&x.key, hash, in.Times[i], p.clock)
	if x.Origins {
		p.origin = in.Origin(i)
	}
}

// run calls the function for records with an error policy, so that each call can be taken back.
func (x *processOp[K, T, O]) run(from, to int) (at int, err error) {
	p := &x.Proc
	defer func() {
		if r := recover(); r != nil {
			at, err = x.at, caught(r)
		}
	}()
	p.hold(true)
	for x.at = from; x.at < to && !p.emit.Full() && !p.sides.full(); x.at++ {
		x.mark = p.emit.Mark()
		p.sides.begin()
		p.Begin()
		x.call(x.in, x.at)
		if err := x.OnRecord(p, &x.in.Records[x.at]); err != nil {
			return x.at, err
		}
		if err := p.failed(); err != nil {
			return x.at, fatalError{err}
		}
		p.holds = false
		for _, c := range p.pending {
			p.change(c)
		}
		p.holds, p.pending = true, p.pending[:0]
		x.used++
	}
	return x.at, nil
}

// hold makes calls such that they can be taken back, or not any more.
func (p *Proc[K, O]) hold(on bool) {
	p.holds = on
	p.emit.Hold(on)
	p.sides.hold(on)
	if !on {
		p.End()
	}
}

// undo takes back what the call for a record that has failed has changed and put out.
func (x *processOp[K, T, O]) undo() {
	p := &x.Proc
	p.emit.Cut(x.mark)
	p.sides.cut()
	p.pending = p.pending[:0]
	p.Undo()
}

func (x *processOp[K, T, O]) settle() error {
	x.hold(false)
	x.c.Counters.Used.Add(x.used)
	x.used = 0
	if err := x.sides.flush(); err != nil {
		return err
	}
	if x.emit.Full() {
		return x.emit.Flush()
	}
	return nil
}

func (x *processOp[K, T, O]) step(t int64) error { return x.advance(t) }

func (x *processOp[K, T, O]) record(i int) any { return &x.in.Records[i] }

// failed returns what went wrong during a call, other than what the function has returned.
func (p *Proc[K, O]) failed() error {
	if p.err == nil && p.Misuse != nil {
		return recordError(p.Misuse, p.Event)
	}
	return p.err
}

// begin begins the call for a broadcast record, in which tables may be changed.
func (x *processOp[K, T, O]) begin(at int64) { x.Event, x.Broadcasting = at, true }

func (x *processOp[K, T, O]) end(err error) error {
	x.Broadcasting = false
	if err != nil {
		return recordError(err, x.Event)
	}
	return x.failed()
}

func (x *processOp[K, T, O]) count(n int) {
	x.c.Counters.In.Add(int64(n))
	x.c.Counters.Used.Add(int64(n)) // else the job fails
}

func (x *processOp[K, T, O]) flush() error {
	x.c.Counters.Watermark.Store(x.clock)
	if err := x.fail.follow(x.clock); err != nil {
		return err
	}
	if err := x.sides.flush(); err != nil {
		return err
	}
	return x.emit.Flush()
}

// Watermark moves the clock.
func (x *processOp[K, T, O]) Watermark(t int64) error {
	if err := x.advance(t); err != nil {
		return err
	}
	return x.flush()
}

// Idle passes on that nothing holds the watermark.
func (x *processOp[K, T, O]) Idle() error {
	if err := x.fail.idle(); err != nil {
		return err
	}
	if err := x.sides.idle(); err != nil {
		return err
	}
	return x.emit.to.Idle()
}

// maxPast is how many times in a row timers may set timers for a time that they have reached.
const maxPast = 1 << 20

// advance moves the clock to t, by the times of the timers that are due. They fire in the order of time, key and name; those
// that they set, up to t, among them. So it does not matter by how many steps the watermark came to t. At the end of the input, timers
// of processing time fire behind those of event time, before the clock reaches the end: to them, nothing has expired by that.
func (x *processOp[K, T, O]) advance(t int64) error {
	p := &x.Proc
	if t <= p.clock {
		return nil
	}
	p.ending = t == element.EndTime
	past := 0
	for {
		at, ok := p.timers.Next()
		if !ok || at > t {
			break
		}
		if at > p.clock {
			p.clock, past = at, 0
			x.announce(at - 1)
		} else if past++; past > maxPast {
			return fmt.Errorf("timers set timers for times that are past, %d times in a row: set them for later than %s",
				maxPast, timeOf(p.clock).Format(time.RFC3339Nano))
		}
		if _, err := p.timers.Fire(at, x.onFire); err != nil {
			return err
		}
	}
	if p.ending {
		if _, err := p.clockTimers.Fire(math.MaxInt64, x.onClock); err != nil {
			return err
		}
	}
	p.clock = t
	x.tell()
	if !p.ending { // what has expired at the end needs no tidying
		p.Advance(t)
	}
	return nil
}

// tell passes the clock on, behind what has been emitted.
func (x *processOp[K, T, O]) tell() { x.announce(x.clock) }

// announce passes a watermark on.
func (x *processOp[K, T, O]) announce(t int64) {
	x.emit.Advance(t)
	x.sides.advance(t)
}

// fire calls the function of one timer.
func (x *processOp[K, T, O]) fire(k *K, hash uint64, name string, at int64) error {
	return x.onTimer(k, hash, at, Timer{Name: name, At: at})
}

// fireClock calls the function of one timer of processing time. What that emits must not be late for those after it, so it has the first event
// time behind the watermark; before there is one, that of the call before.
func (x *processOp[K, T, O]) fireClock(k *K, hash uint64, name string, at int64) error {
	event := x.Event
	if x.clock > element.NoTime {
		event = x.clock + 1
	}
	return x.onTimer(k, hash, event, Timer{Name: name, At: at, Processing: true})
}

func (x *processOp[K, T, O]) onTimer(k *K, hash uint64, event int64, t Timer) error {
	if x.OnTimer == nil { // left by a job that had one
		return nil
	}
	p := &x.Proc
	p.Call(k, hash, event, p.clock)
	p.origin = nil
	if err := x.OnTimer(p, t); err != nil {
		return recordError(err, event)
	}
	return p.failed()
}

// NextTick implements Ticked.
func (x *processOp[K, T, O]) NextTick() int64 {
	due := x.States.NextTick()
	if at, ok := x.clockTimers.Next(); ok {
		due = min(due, at)
	}
	return due
}

// Tick fires the timers of processing time that are due, and removes what has expired. A timer that is set for a time already reached
// waits for the next tick, so that records come in between.
func (x *processOp[K, T, O]) Tick(now int64) error {
	if _, err := x.clockTimers.Fire(now, x.onClock); err != nil {
		return err
	}
	x.States.Tick()
	return x.flush()
}

func (x *processOp[K, T, O]) Freeze(epoch uint64) (Cut, error) {
	cut := Cut{State: clockState(x.clock)}
	x.States.Freeze(epoch, func(section string, f keyed.Frozen) {
		cut.Frozen = append(cut.Frozen, NamedFrozen{section, f})
	})
	cut.Frozen = append(cut.Frozen, NamedFrozen{timerState, x.timers.Freeze(epoch)}, NamedFrozen{clockTimerState, x.clockTimers.Freeze(epoch)})
	return cut, nil
}

func (x *processOp[K, T, O]) Completed(epoch uint64) {
	x.States.Completed(epoch)
	x.timers.Completed(epoch)
	x.clockTimers.Completed(epoch)
}

func (x *processOp[K, T, O]) Close() error {
	if x.ProcessConfig.Close == nil || !x.opened {
		return nil
	}
	return x.ProcessConfig.Close()
}

// Time turns ns into a time in UTC; it is here for the API, which speaks of times.
func Time(ns int64) time.Time { return timeOf(ns) }
