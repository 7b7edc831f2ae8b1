package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed/states"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Call is what a process function has in its hands when it is called for a record or a timer: a key, times, timers, and outputs, of which the
// main one has the type O. It is valid during the call.
type Call[K comparable, O any] struct {
	p   *operator.Proc[K, O]
	err error
}

// Key returns the key of the record or timer.
func (c *Call[K, O]) Key() K { return c.p.Key }

// EventTime returns, in UTC, the event time of the record, or the time for which the timer was set. In a timer of processing time it is the first
// event time behind the watermark.
func (c *Call[K, O]) EventTime() time.Time { return operator.Time(c.p.Event) }

// ProcessingTime returns the time of the machine's clock, in UTC: one time for the whole call. A result that depends on it can be another
// after a restart.
func (c *Call[K, O]) ProcessingTime() time.Time { return operator.Time(c.p.Now()) }

// Origin returns where the record comes from. Ok is false when that is not known: without WithOrigin, in timers, and for records that a stateful
// operator, such as a window, has made.
func (c *Call[K, O]) Origin() (o Origin, ok bool) {
	from := c.p.Origin()
	if from == nil {
		return Origin{}, false
	}
	return Origin{Source: from.Split.Source, Split: from.Split.Split, Record: from.Record, Place: from.Place}, true
}

// Watermark returns the operator's clock: the watermark before this record, or in a timer of event time its time, if that is later. ok is
// false before the first.
func (c *Call[K, O]) Watermark() (t time.Time, ok bool) {
	w := c.p.Watermark()
	return operator.Time(w), w > element.NoTime
}

// Emit puts out a record with the event time of this call.
func (c *Call[K, O]) Emit(o O) { c.p.Emit(o) }

// EmitSide puts a record into a side output, with the event time of this call. The job fails when the operator has not declared the output.
// An output that nobody reads costs nothing.
func (c *Call[K, O]) EmitSide[T any](to SideOutput[T], r T) { c.p.EmitSide(to.name, &r) }

// SetTimer sets the timer of this key and name; if there is one, it is moved. It fires when the watermark reaches at. Timers fire
// in the order of time, key and name. One that is set for a time already reached fires at the next watermark, or, when a timer
// sets it, after those that stand at that time. A timer function that runs at the end of bounded input can set no more; the attempt
// is counted. Without a timer function the call fails.
func (c *Call[K, O]) SetTimer(name string, at time.Time) {
	if t, ok := c.nanos("SetTimer", name, at); ok {
		c.p.SetTimer(name, t)
	}
}

// DeleteTimer removes the timer of this key and name, if there is one.
func (c *Call[K, O]) DeleteTimer(name string) { c.p.DeleteTimer(name) }

// SetProcessingTimer sets the timer of processing time of this key and name; if there is one, it is moved. It fires when the machine's clock
// has reached at, between records, in the order of time, key and name; one that came due while the job was down fires when it is
// up again. At the end of bounded input all that are set fire at once, in that order; a timer function can then set no more, and the attempt
// is counted. Timers of event time and of processing time may have the same names.
func (c *Call[K, O]) SetProcessingTimer(name string, at time.Time) {
	if t, ok := c.nanos("SetProcessingTimer", name, at); ok {
		c.p.SetProcessingTimer(name, t)
	}
}

// DeleteProcessingTimer removes the timer of processing time of this key and name, if there is one.
func (c *Call[K, O]) DeleteProcessingTimer(name string) { c.p.DeleteProcessingTimer(name) }

func (c *Call[K, O]) nanos(verb, name string, at time.Time) (int64, bool) {
	t, err := nanos(at)
	if err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("%s(%q): %w", verb, name, err))
	}
	return t, err == nil
}

// take returns what went wrong in a call, and forgets it.
func (c *Call[K, O]) take(err error) error {
	if c.err != nil {
		err = errors.Join(err, c.err)
		c.err = nil
	}
	return err
}

// Proc is a Call with a state of type S for each key.
type Proc[K comparable, S, O any] struct {
	Call[K, O]
	value *states.Value[K, S]
	state *S // that of the call at hand, once it has been asked for
}

// State returns the state of the key: a zero S when there was none. What is changed through the pointer during the call is
// saved with the epoch.
func (p *Proc[K, S, O]) State() *S {
	if p.state == nil {
		p.state = p.value.Ref()
	}
	return p.state
}

// Clear forgets the state of the key.
func (p *Proc[K, S, O]) Clear() {
	p.value.Clear()
	p.state = nil
}

// Origin is where a record comes from.
type Origin struct {
	// Source is the id of the source, Split that of the split, such as a file.
	Source, Split string
	// Record is the number of the record in its split, from 0. It is the same in every run.
	Record int64
	// Place is the place in words of the source, such as "flights.csv:17".
	Place string
}

// Timer is a timer that fires.
type Timer struct {
	// Name is the name given to SetTimer or SetProcessingTimer.
	Name string
	// At is the time for which it was set, in UTC.
	At time.Time
	// ProcessingTime says that it is a timer of processing time.
	ProcessingTime bool
}

func timerOf(t operator.Timer) Timer {
	return Timer{Name: t.Name, At: operator.Time(t.At), ProcessingTime: t.Processing}
}

// Process calls f for each record with the state of its key, and onTimer, of which there may be one, for each timer that is due. The
// id names the state. S must be a type that package codec can encode; if it has pointers, slices or maps, checkpoints
// take longer. An error of f fails the job, unless OnError says otherwise; one of onTimer always does.
func (k Keyed[K, T]) Process[S, O any](id string, f func(p *Proc[K, S, O], r T) error, onTimer ...func(p *Proc[K, S, O], t Timer) error) Stream[O] {
	return processState(k.processing(), id, f, onTimer)
}

// Process is Keyed.Process with the options that were given before.
func (k Processing[K, T]) Process[S, O any](id string, f func(p *Proc[K, S, O], r T) error, onTimer ...func(p *Proc[K, S, O], t Timer) error) Stream[O] {
	return processState(k, id, f, onTimer)
}

// processState adds a process function with one state per key; it is called by the verbs only.
func processState[K comparable, T, S, O any](k Processing[K, T], id string, f func(*Proc[K, S, O], T) error, onTimer []func(*Proc[K, S, O], Timer) error) Stream[O] {
	n := k.node(id)
	if _, err := codec.For[S](); err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the state cannot be kept in checkpoints: %w", err))
	} else {
		probe := states.New(k.keyed.codec, k.keyed.stream.timed)
		states.NewValue[S](probe, "state", oneState, k.ttl)
		n.Errs = append(n.Errs, probe.Err())
		n.Types[oneState] = probe.Types()[oneState]
	}
	if f == nil {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	if len(onTimer) > 1 {
		n.Errs = append(n.Errs, errors.New("more than one timer function: look at the name of the timer instead"))
	}
	if len(onTimer) == 1 && onTimer[0] == nil {
		n.Errs = append(n.Errs, errors.New("the timer function is nil: leave it out"))
	}
	pool := newPool[O](operator.BatchSize)
	n.Op = k.spec(func() operator.Op {
		c := processConfig(k, pool)
		p := &Proc[K, S, O]{value: states.NewValue[S](c.States, "state", oneState, k.ttl)}
		c.OnRecord = func(op *operator.Proc[K, O], r *T) error {
			p.p, p.state, p.err = op, nil, nil
			return p.take(f(p, *r))
		}
		if len(onTimer) == 1 {
			c.OnTimer = func(op *operator.Proc[K, O], t operator.Timer) error {
				p.p, p.state = op, nil
				return p.take(onTimer[0](p, timerOf(t)))
			}
		}
		return operator.NewProcess(c)
	})
	return Stream[O]{job: k.keyed.stream.job, node: k.keyed.stream.job.add(2, n), timed: k.keyed.stream.timed}
}

// oneState is the place in checkpoints of the state of a process function that has one.
const oneState = "state"
