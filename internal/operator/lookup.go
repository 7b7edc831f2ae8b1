package operator

import (
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/states"
)

// lookupCore is what joins have in common that look a record up in a table as it is when the record comes.
type lookupCore[T, V, O any] struct {
	LookupConfig[T, V, O]
	c     *Context
	emit  *Emitter[O]
	clock int64
	found V // what is given away; a local one would be allocated for each record
	reg   interface {
		Open(c states.Config) error
		Freeze(epoch uint64, add func(section string, f keyed.Frozen))
		Completed(epoch uint64)
	}
}

// LookupConfig says what such a join makes of a record.
type LookupConfig[T, V, O any] struct {
	// Out makes the result of a record and what was found, nil if nothing. It must not keep the pointers.
	Out func(r *T, v *V) O
	// Give gives a record of the table memory of its own before it is given away; nil if nobody can disturb it.
	Give func(*V)
	// Inner leaves out records for which nothing is found.
	Inner bool
	Pool  *element.Pool[O]
}

func (x *lookupCore[T, V, O]) Open(c *Context) error {
	x.c = c
	x.emit = NewEmitter(x.Pool, c.Outputs(""), &c.Counters.Out)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	x.clock = clock
	if clock > element.NoTime { // tell those after it, who start anew
		x.emit.Advance(clock)
	}
	return x.reg.Open(statesConfig(c))
}

// answer puts out the result of a record.
func (x *lookupCore[T, V, O]) answer(r *T, v *V, t int64) error {
	if v == nil {
		x.c.Counters.Misses.Add(1)
		if x.Inner {
			return nil
		}
	} else if x.Give != nil {
		x.found = *v
		x.Give(&x.found)
		v = &x.found
	}
	*x.emit.Next(t) = x.Out(r, v)
	return x.emit.Done()
}

func (x *lookupCore[T, V, O]) advance(t int64) error {
	if t > x.clock {
		x.clock = t
		x.emit.Advance(t)
	}
	return nil
}

func (x *lookupCore[T, V, O]) flush() error {
	x.c.Counters.Watermark.Store(x.clock)
	return x.emit.Flush()
}

func (x *lookupCore[T, V, O]) count(n int) { x.c.Counters.In.Add(int64(n)) }

// Idle passes on that nothing holds the watermark.
func (x *lookupCore[T, V, O]) Idle() error { return x.emit.to.Idle() }

func (x *lookupCore[T, V, O]) Freeze(epoch uint64) (Cut, error) {
	cut := Cut{State: clockState(x.clock)}
	x.reg.Freeze(epoch, func(section string, f keyed.Frozen) { cut.Frozen = append(cut.Frozen, NamedFrozen{section, f}) })
	return cut, nil
}

func (x *lookupCore[T, V, O]) Completed(epoch uint64) { x.reg.Completed(epoch) }
func (x *lookupCore[T, V, O]) Close() error           { return nil }

// LatestConfig describes one instance of a join of a stream, port 0, with the record of its key that came last in a table, port 1.
type LatestConfig[K comparable, T, V, O any] struct {
	LookupConfig[T, V, O]
	KeyCodec *codec.Key[K]
	Key      func(*T) K
	TableKey func(*V) K
	States   *states.Registry[K]
	Table    *states.Value[K, V]
}

type latestOp[K comparable, T, V, O any] struct {
	lookupCore[T, V, O]
	cfg LatestConfig[K, T, V, O]
	key K // of the record at hand; a local one would be allocated for each record
}

// NewLatest returns the operator.
func NewLatest[K comparable, T, V, O any](cfg LatestConfig[K, T, V, O]) Op {
	return &latestOp[K, T, V, O]{lookupCore: lookupCore[T, V, O]{LookupConfig: cfg.LookupConfig, reg: cfg.States}, cfg: cfg}
}

// Input returns the receiver of a side.
func (x *latestOp[K, T, V, O]) Input(port int) Receiver {
	if port == 1 {
		return &inputPort[V]{x, func(in *element.Of[V], i int) error {
			x.aim(x.cfg.TableKey(&in.Records[i]), &in.Header, i)
			x.cfg.Table.Set(in.Records[i])
			return nil
		}}
	}
	return &inputPort[T]{x, func(in *element.Of[T], i int) error {
		x.aim(x.cfg.Key(&in.Records[i]), &in.Header, i)
		return x.answer(&in.Records[i], x.cfg.Table.Get(), in.Times[i])
	}}
}

// aim makes the key the one at hand.
func (x *latestOp[K, T, V, O]) aim(k K, h *element.Header, i int) {
	x.key = k
	if x.cfg.KeyCodec.Canon != nil {
		x.cfg.KeyCodec.Canon(&x.key)
	}
	var hash uint64
	if len(h.Hashes) > 0 {
		hash = h.Hashes[i]
	} else {
		hash = x.cfg.KeyCodec.Hash(&x.key)
	}
	x.cfg.States.Call(&x.key, hash, h.Times[i], x.clock)
}

// BroadcastJoinConfig describes one instance of a join of a stream, port 0, with a table that all subtasks have, port 1.
type BroadcastJoinConfig[E comparable, T, V, O any] struct {
	LookupConfig[T, V, O]
	// Key tells where in the table to look for a record, TableKey where one of the table belongs.
	Key      func(*T) E
	TableKey func(*V) E
	States   *states.Registry[struct{}]
	Table    *states.Table[E, V]
}

type broadcastJoinOp[E comparable, T, V, O any] struct {
	lookupCore[T, V, O]
	cfg BroadcastJoinConfig[E, T, V, O]
}

// NewBroadcastJoin returns the operator.
func NewBroadcastJoin[E comparable, T, V, O any](cfg BroadcastJoinConfig[E, T, V, O]) Op {
	cfg.States.Broadcasting = true
	return &broadcastJoinOp[E, T, V, O]{lookupCore: lookupCore[T, V, O]{LookupConfig: cfg.LookupConfig, reg: cfg.States}, cfg: cfg}
}

// Input returns the receiver of a side.
func (x *broadcastJoinOp[E, T, V, O]) Input(port int) Receiver {
	if port == 1 {
		return &inputPort[V]{x, func(in *element.Of[V], i int) error {
			r := &in.Records[i]
			x.cfg.Table.Set(x.cfg.TableKey(r), *r)
			return nil
		}}
	}
	return &inputPort[T]{x, func(in *element.Of[T], i int) error {
		v, ok := x.cfg.Table.Get(x.cfg.Key(&in.Records[i]))
		if !ok {
			return x.answer(&in.Records[i], nil, in.Times[i])
		}
		x.found = v
		return x.answer(&in.Records[i], &x.found, in.Times[i])
	}}
}
