package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Proc is what a process function has in its hands: a key, its state of type S, its timers, and the output of type O. It
// is valid during the call.
type Proc[K comparable, S, O any] struct {
	p   *operator.Proc[K, S, O]
	err error
}

// Key returns the key of the record or timer.
func (p *Proc[K, S, O]) Key() K { return p.p.Key() }

// EventTime returns the event time of the record, or the time for which the timer was set, in UTC.
func (p *Proc[K, S, O]) EventTime() time.Time { return operator.Time(p.p.EventTime()) }

// Watermark returns the operator's clock. ok is false before the first watermark; after the end of bounded input the
// time is that of the largest watermark.
func (p *Proc[K, S, O]) Watermark() (t time.Time, ok bool) {
	w := p.p.Watermark()
	return operator.Time(w), w > element.NoTime
}

// State returns the state of the key: a zero S when there was none. What is changed through the pointer during the call is
// saved with the epoch.
func (p *Proc[K, S, O]) State() *S { return p.p.State() }

// Clear forgets the state of the key.
func (p *Proc[K, S, O]) Clear() { p.p.Clear() }

// Emit puts out a record with the event time of this call.
func (p *Proc[K, S, O]) Emit(o O) { p.p.Emit(o) }

// SetTimer sets the timer of this key and name; if there is one, it is moved. It fires when the watermark reaches at: at
// the next watermark, if that is past. Timers of one watermark fire in the order of time, key and name. A timer
// function that runs at the end of bounded input can set no more; the attempt is counted.
func (p *Proc[K, S, O]) SetTimer(name string, at time.Time) {
	t, err := nanos(at)
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("SetTimer(%q): %w", name, err))
		return
	}
	p.p.SetTimer(name, t)
}

// DeleteTimer removes the timer of this key and name, if there is one.
func (p *Proc[K, S, O]) DeleteTimer(name string) { p.p.DeleteTimer(name) }

// Timer is a timer that fires.
type Timer struct {
	// Name is the name given to SetTimer.
	Name string
	// At is the time for which it was set, in UTC.
	At time.Time
}

// Process calls f for each record with the state of its key, and onTimer, of which there may be one, for each timer that is due. The
// id names the state. S must be a type that package codec can encode; if it has pointers, slices or maps, checkpoints
// take longer. An error fails the job.
func (k Keyed[K, T]) Process[S, O any](id string, f func(p *Proc[K, S, O], r T) error, onTimer ...func(p *Proc[K, S, O], t Timer) error) Stream[O] {
	n := k.node(id, "process")
	state, err := codec.For[S]()
	if err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the state cannot be kept in checkpoints: %w", err))
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
	n.Types["state"] = codec.Describe[S]()
	cfg := operator.ProcessConfig[K, T, S, O]{
		Key: k.key, KeyCodec: k.codec, State: state, Layout: codec.LayoutOf[S](), Pool: newPool[O](operator.BatchSize),
	}
	n.Op = &operator.Spec{Partition: k.partition(), New: func() operator.Op {
		c, p := cfg, &Proc[K, S, O]{}
		c.OnRecord = func(op *operator.Proc[K, S, O], r *T) error {
			p.p = op
			return errors.Join(f(p, *r), p.takeErr())
		}
		if len(onTimer) == 1 && onTimer[0] != nil {
			c.OnTimer = func(op *operator.Proc[K, S, O], name string, at int64) error {
				p.p = op
				return errors.Join(onTimer[0](p, Timer{Name: name, At: operator.Time(at)}), p.takeErr())
			}
		}
		return operator.NewProcess(c)
	}}
	return Stream[O]{job: k.stream.job, node: k.stream.job.add(1, n), timed: k.stream.timed}
}

func (p *Proc[K, S, O]) takeErr() error {
	err := p.err
	p.err = nil
	return err
}
