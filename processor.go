package millrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/keyed/states"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/state"
)

// Processor is a process function that is a struct: with several states, and with connections, caches and whatever else lives as long as a
// subtask. It is used by one goroutine.
//
// A processor may have these methods besides:
//
//	Open(c *millrace.OpenContext) error                    // once, before anything else
//	OnTimer(c *millrace.Call[K, O], t millrace.Timer) error // for each timer that is due
//	Close() error                                          // once, at the end, if Open has returned without error
type Processor[K comparable, T, O any] interface {
	// Record is called for each record. An error fails the job, unless OnError says otherwise.
	Record(c *Call[K, O], r T) error
}

// BroadcastProcessor is a Processor that takes the records of a broadcast stream besides those of its own.
type BroadcastProcessor[K comparable, T, B, O any] interface {
	Processor[K, T, O]
	// Broadcast is called for each broadcast record, in all subtasks. What it keeps belongs into a state.Broadcast; there is no key. It
	// must do the same in all subtasks. An error fails the job.
	Broadcast(r B) error
}

// OpenContext tells a processor where it is. Its context is done when the job ends.
type OpenContext struct {
	context.Context //nolint:containedctx // it is the context of the processor's whole life

	// Job and Operator are the ids.
	Job, Operator string
	// Subtask is the number of this instance, from 0 to Parallelism-1.
	Subtask, Parallelism int
	// Log is that of the job.
	Log *slog.Logger
}

// opener and timerProcessor are what a Processor may be besides.
type opener interface{ Open(c *OpenContext) error }

type timerProcessor[K comparable, O any] interface {
	OnTimer(c *Call[K, O], t Timer) error
}

// Processing is a keyed stream with options for the process function behind it.
type Processing[K comparable, T any] struct {
	keyed Keyed[K, T]
	ttl   states.TTL
	sides []operator.SideOutput
	// origin says that the function asks for the origins of records.
	origin bool
	errs   []error
}

func (k Keyed[K, T]) processing() Processing[K, T] { return Processing[K, T]{keyed: k} }

// StateTTL lets the state of a key expire, where a call of Proc.State counts as writing. It is an option of Process; the states of ProcessWith have each
// their own.
func (k Keyed[K, T]) StateTTL(ttl state.TTL) Processing[K, T] { return k.processing().StateTTL(ttl) }

// SideOutputs declares outputs of the process function besides the main one. Each is read with Stream.Side.
func (k Keyed[K, T]) SideOutputs(outputs ...AnySideOutput) Processing[K, T] {
	return k.processing().SideOutputs(outputs...)
}

// WithOrigin makes Call.Origin tell where a record comes from. The sources in front of it then note the place of each of their records, which
// costs time and memory for all on the way; without it nothing is noted.
func (k Keyed[K, T]) WithOrigin() Processing[K, T] { return k.processing().WithOrigin() }

// WithOrigin is Keyed.WithOrigin.
func (k Processing[K, T]) WithOrigin() Processing[K, T] {
	k.origin = true
	return k
}

// StateTTL is Keyed.StateTTL.
func (k Processing[K, T]) StateTTL(ttl state.TTL) Processing[K, T] {
	if k.ttl.Set {
		k.errs = append(k.errs[:len(k.errs):len(k.errs)], errors.New("StateTTL is given twice"))
	}
	k.ttl = ttl.Spec()
	return k
}

// SideOutputs is Keyed.SideOutputs.
func (k Processing[K, T]) SideOutputs(outputs ...AnySideOutput) Processing[K, T] {
	sides, errs := declareSides(k.sides, outputs)
	k.sides, k.errs = sides, append(k.errs[:len(k.errs):len(k.errs)], errs...)
	return k
}

// ProcessWith calls the methods of a processor for each record and timer. The factory makes one for each subtask, and declares its states;
// it is also called while the job is built, to learn them, and should do nothing else: what has to be opened is opened by
// Open. The id names the states. It is the form of Process for several states and for what has a life of its own.
func (k Keyed[K, T]) ProcessWith[O any, P Processor[K, T, O]](id string, factory func(s *state.Set[K]) P) Stream[O] {
	return processWith[K, T, O](k.processing(), id, factory, nil)
}

// ProcessWith is Keyed.ProcessWith with the options that were given before.
func (k Processing[K, T]) ProcessWith[O any, P Processor[K, T, O]](id string, factory func(s *state.Set[K]) P) Stream[O] {
	return processWith[K, T, O](k, id, factory, nil)
}

// ProcessBroadcast is ProcessWith with a second stream, a small one, of which each record goes to all subtasks: rules, settings, a table. What it
// leaves in a state.Broadcast is the same in all of them, and can be read for each record of the main stream.
//
// Broadcast records are applied in the order in which they arrive, the same one in all subtasks; with regard to the records of the
// main stream there is no order between the two. When it must be known which of them hold at an event time, keep the record until a timer, which
// fires when the watermark of both streams has come; or use TemporalJoin. The watermark is the smaller one of the two streams.
func (k Keyed[K, T]) ProcessBroadcast[B, O any, P BroadcastProcessor[K, T, B, O]](id string, broadcast Stream[B], factory func(s *state.Set[K]) P) Stream[O] {
	return processBroadcast[K, T, B, O](k.processing(), id, broadcast, factory)
}

// ProcessBroadcast is Keyed.ProcessBroadcast with the options that were given before.
func (k Processing[K, T]) ProcessBroadcast[B, O any, P BroadcastProcessor[K, T, B, O]](id string, broadcast Stream[B], factory func(s *state.Set[K]) P) Stream[O] {
	return processBroadcast[K, T, B, O](k, id, broadcast, factory)
}

// second is the broadcast input of a processor.
type second[P any] struct {
	// add makes the node read it.
	add func(n *graph.Node)
	// receive makes what gives its records to the processor.
	receive func(p P, x operator.Broadcaster) operator.Receiver
	// partition spreads them.
	partition func(to []operator.Sender) operator.Receiver
}

func processBroadcast[K comparable, T, B, O any, P BroadcastProcessor[K, T, B, O]](k Processing[K, T], id string, broadcast Stream[B], factory func(*state.Set[K]) P) Stream[O] {
	return processWith[K, T, O](k, id, factory, &second[P]{
		add:       func(n *graph.Node) { broadcastInput(4, n, k.keyed.stream.job, broadcast) },
		partition: func(to []operator.Sender) operator.Receiver { return operator.NewBroadcastTo(to) },
		receive: func(p P, x operator.Broadcaster) operator.Receiver {
			return operator.NewBroadcastInput(x, func(r *B) error { return p.Broadcast(*r) })
		},
	})
}

// processWith adds a processor; it is called by the verbs only, by way of at most one other function.
func processWith[K comparable, T, O any, P Processor[K, T, O]](k Processing[K, T], id string, factory func(*state.Set[K]) P, other *second[P]) Stream[O] {
	n := k.node(id)
	var types map[string]string
	if factory == nil {
		n.Errs = append(n.Errs, errors.New("the factory is nil"))
	} else {
		probe := states.New(k.keyed.codec, k.keyed.stream.timed)
		n.Errs = append(n.Errs, checkProcessor[K, T, O](factory(state.NewSet(probe))), probe.Err())
		probe.Seal()
		types = probe.Types()
		maps.Copy(n.Types, types)
	}
	if k.ttl.Set {
		n.Errs = append(n.Errs, errors.New("StateTTL is an option of Process: give each state of a processor its own, where it is declared"))
	}
	pool := newPool[O](operator.BatchSize)
	spec := k.spec(func() operator.Op {
		c := processConfig(k, pool)
		p := factory(state.NewSet(c.States))
		c.States.Seal()
		bindProcessor(&c, p, types)
		if other != nil {
			c.Broadcast = func(x operator.Broadcaster) operator.Receiver { return other.receive(p, x) }
		}
		return operator.NewProcess(c)
	})
	if other != nil {
		other.add(n)
		main := spec.Partition
		spec.Partition = func(port, groups int, to []operator.Sender) operator.Receiver {
			if port == 1 {
				return other.partition(to)
			}
			return main(port, groups, to)
		}
	}
	n.Op = spec
	skip := 2
	if other != nil {
		skip = 3
	}
	return Stream[O]{job: k.keyed.stream.job, node: k.keyed.stream.job.add(skip, n), timed: k.keyed.stream.timed}
}

// bindProcessor makes an instance call the methods of a processor.
func bindProcessor[K comparable, T, O any, P Processor[K, T, O]](c *operator.ProcessConfig[K, T, O], p P, types map[string]string) {
	call := &Call[K, O]{}
	c.OnRecord = func(op *operator.Proc[K, O], r *T) error {
		call.p, call.err = op, nil
		return call.take(p.Record(call, *r))
	}
	if t, ok := any(p).(timerProcessor[K, O]); ok {
		c.OnTimer = func(op *operator.Proc[K, O], timer operator.Timer) error {
			call.p = op
			return call.take(t.OnTimer(call, timerOf(timer)))
		}
	}
	c.Open = func(oc *operator.Context) error {
		if !c.States.Same(types) {
			return fmt.Errorf("the factory declares other states now than when the job was built: %v, and before %v: it must always declare the same",
				c.States.Types(), types)
		}
		if o, ok := any(p).(opener); ok {
			return o.Open(&OpenContext{
				Context: oc.Context, Job: oc.Job, Operator: oc.ID, Subtask: oc.Subtask, Parallelism: oc.Parallelism, Log: oc.Log,
			})
		}
		return nil
	}
	if closer, ok := any(p).(io.Closer); ok {
		c.Close = closer.Close
	}
}

// checkProcessor finds methods that have the name of one that a processor may have, and another type: they would never be called.
func checkProcessor[K comparable, T, O any, P Processor[K, T, O]](p P) error {
	v := reflect.ValueOf(&p).Elem()
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Interface) && v.IsNil() {
		return errors.New("the factory returns nil")
	}
	var errs []error
	t := reflect.TypeOf(any(p))
	wrong := func(name, want string) {
		errs = append(errs, fmt.Errorf("method %s of %v would never be called: it must be %s", name, t, want))
	}
	if _, ok := any(p).(opener); !ok {
		if _, has := t.MethodByName("Open"); has {
			wrong("Open", "Open(*millrace.OpenContext) error")
		}
	}
	if _, ok := any(p).(timerProcessor[K, O]); !ok {
		if _, has := t.MethodByName("OnTimer"); has {
			wrong("OnTimer", fmt.Sprintf("OnTimer(%v, millrace.Timer) error", reflect.TypeFor[*Call[K, O]]()))
		}
	}
	if _, ok := any(p).(io.Closer); !ok {
		if _, has := t.MethodByName("Close"); has {
			wrong("Close", "Close() error")
		}
	}
	return errors.Join(errs...)
}

// node begins the node of a process function.
func (k Processing[K, T]) node(id string) *graph.Node {
	n := k.keyed.node(id, "process")
	n.Errs = append(n.Errs, k.errs...)
	n.WantsOrigins = k.origin
	return n
}

// spec returns what the graph holds of a process function.
func (k Processing[K, T]) spec(instance func() operator.Op) *operator.Spec {
	return &operator.Spec{Partition: k.keyed.partition(), Sides: k.sides, New: instance}
}

// processConfig begins the configuration of an instance.
func processConfig[K comparable, T, O any](k Processing[K, T], pool *element.Pool[O]) operator.ProcessConfig[K, T, O] {
	return operator.ProcessConfig[K, T, O]{
		Key: k.keyed.key, KeyCodec: k.keyed.codec, Pool: pool, Sides: k.sides, Origins: k.origin, States: states.New(k.keyed.codec, k.keyed.stream.timed),
	}
}
