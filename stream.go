package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Stream is a handle on the output of an operator: an unbounded sequence of records of type T. It is a small value; a
// stream may be read by any number of operators.
type Stream[T any] struct {
	job   *Job
	side  string
	node  int
	timed bool
}

// input is the edge to an operator that reads s.
func (s Stream[T]) input(keyed bool) []graph.Input {
	return []graph.Input{{Node: s.node, Side: s.side, Keyed: keyed}}
}

// then adds a stateless operator behind s; it is called by the verbs only.
func (s Stream[T]) then(kind graph.Kind, ok bool, spec *operator.Spec) int {
	n := &graph.Node{Kind: kind, Inputs: s.input(false), Op: spec}
	if !ok {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	return s.job.add(2, n)
}

// As names the stateless operator whose output s is, for metrics and errors. Other operators have their id.
func (s Stream[T]) As(name string) Stream[T] {
	n := s.job.g.Nodes[s.node]
	if n.Stateful || n.Kind == graph.KindSource {
		n.Errs = append(n.Errs, fmt.Errorf("As(%q): this operator has the id %q already", name, n.ID))
		return s
	}
	n.Name = name
	return s
}

// Map turns each record into another, which keeps its event time.
func (s Stream[T]) Map[U any](f func(T) U) Stream[U] {
	pool := newPool[U](operator.BatchSize)
	fn := func(in []T, out []U) {
		for i := range in {
			out[i] = f(in[i])
		}
	}
	at := s.then("map", f != nil, &operator.Spec{New: func() operator.Op { return operator.NewMap(pool, fn) }})
	return Stream[U]{job: s.job, node: at, timed: s.timed}
}

// MapRef is Map with records by pointer: f fills out from in. Out is a zero value.
func (s Stream[T]) MapRef[U any](f func(in *T, out *U)) Stream[U] {
	pool := newPool[U](operator.BatchSize)
	fn := func(in []T, out []U) {
		clear(out)
		for i := range in {
			f(&in[i], &out[i])
		}
	}
	at := s.then("map", f != nil, &operator.Spec{New: func() operator.Op { return operator.NewMap(pool, fn) }})
	return Stream[U]{job: s.job, node: at, timed: s.timed}
}

// UpdateRef changes records in place. The event time stays.
func (s Stream[T]) UpdateRef(f func(*T)) Stream[T] {
	fn := func(records []T) {
		for i := range records {
			f(&records[i])
		}
	}
	at := s.then("update", f != nil, &operator.Spec{New: func() operator.Op { return operator.NewUpdate(fn) }})
	return Stream[T]{job: s.job, node: at, timed: s.timed}
}

// Filter keeps the records for which keep returns true; the others are counted.
func (s Stream[T]) Filter(keep func(T) bool) Stream[T] {
	fn := func(records []T, verdict []bool) {
		for i := range records {
			verdict[i] = keep(records[i])
		}
	}
	at := s.then("filter", keep != nil, &operator.Spec{New: func() operator.Op { return operator.NewFilter(fn) }})
	return Stream[T]{job: s.job, node: at, timed: s.timed}
}

// FilterRef is Filter with the record by pointer; keep must not change it.
func (s Stream[T]) FilterRef(keep func(*T) bool) Stream[T] {
	fn := func(records []T, verdict []bool) {
		for i := range records {
			verdict[i] = keep(&records[i])
		}
	}
	at := s.then("filter", keep != nil, &operator.Spec{New: func() operator.Op { return operator.NewFilter(fn) }})
	return Stream[T]{job: s.job, node: at, timed: s.timed}
}

// FilterMap is Filter and Map in one: it turns the records for which f returns true into others, which keep their event time. The rest is
// left out and counted.
func (s Stream[T]) FilterMap[U any](f func(T) (U, bool)) Stream[U] {
	fn := func(in []T, out []U, from []int32) (kept int) {
		for i := range in {
			if u, ok := f(in[i]); ok {
				out[kept], from[kept] = u, int32(i)
				kept++
			}
		}
		return kept
	}
	at := s.then("filtermap", f != nil, filterMap(fn))
	return Stream[U]{job: s.job, node: at, timed: s.timed}
}

// FilterMapRef is FilterMap with records by pointer: f fills out from in and returns whether it is kept. Out is a zero value.
func (s Stream[T]) FilterMapRef[U any](f func(in *T, out *U) bool) Stream[U] {
	fn := func(in []T, out []U, from []int32) (kept int) {
		var zero U
		clear(out)
		for i := range in {
			if f(&in[i], &out[kept]) {
				from[kept] = int32(i)
				kept++
			} else {
				out[kept] = zero // what f has left there
			}
		}
		return kept
	}
	at := s.then("filtermap", f != nil, filterMap(fn))
	return Stream[U]{job: s.job, node: at, timed: s.timed}
}

func filterMap[T, U any](fn func(in []T, out []U, from []int32) int) *operator.Spec {
	pool := newPool[U](operator.BatchSize)
	return &operator.Spec{New: func() operator.Op { return operator.NewFilterMap(pool, fn) }}
}

// Context tells a FlatMap function about the record in its hands.
type Context struct{ time int64 }

// EventTime returns the event time of the record, in UTC.
func (c *Context) EventTime() time.Time { return operator.Time(c.time) }

// FlatMap turns each record into any number of others, with the same event time. An error fails the job, unless OnError says otherwise.
func (s Stream[T]) FlatMap[U any](f func(c *Context, r T, emit func(U)) error) Stream[U] {
	pool := newPool[U](operator.BatchSize)
	at := s.then("flatmap", f != nil, &operator.Spec{New: func() operator.Op {
		c := &Context{}
		return operator.NewFlatMap(pool, func(in *T, t int64, emit func(U)) error {
			c.time = t
			return f(c, *in, emit)
		})
	}})
	return Stream[U]{job: s.job, node: at, timed: s.timed}
}

// Union joins streams of one type. There is no order between them; the watermark is the smallest.
func (s Stream[T]) Union(others ...Stream[T]) Stream[T] {
	n := &graph.Node{Kind: "union", Op: &operator.Spec{New: operator.NewUnion}}
	timed := s.timed
	for i, o := range append([]Stream[T]{s}, others...) {
		if o.job != s.job {
			n.Errs = append(n.Errs, fmt.Errorf("stream %d is of another job", i))
			continue
		}
		n.Inputs = append(n.Inputs, graph.Input{Node: o.node, Side: o.side, Port: i})
		timed = timed && o.timed
	}
	if len(others) == 0 {
		n.Errs = append(n.Errs, errors.New("a union needs at least two streams"))
	}
	return Stream[T]{job: s.job, node: s.job.add(1, n), timed: timed}
}

// Keyed is a handle on a stream whose records have a key of type K. Records of one key are handled in their order, by one
// subtask.
type Keyed[K comparable, T any] struct {
	stream Stream[T]
	key    func(*T) K
	codec  *codec.Key[K]
	err    error
}

// KeyBy gives records a key: a string, integer, bool, byte array, time.Time, or a struct or array of them. Which subtask owns a key
// depends on its value alone, so f must return the same key for the same record.
func (s Stream[T]) KeyBy[K comparable](f func(T) K) Keyed[K, T] {
	if f == nil {
		return Keyed[K, T]{stream: s, err: errors.New("the key function is nil")}
	}
	return s.KeyByRef(func(r *T) K { return f(*r) })
}

// KeyByRef is KeyBy with the record by pointer; f must not change it.
func (s Stream[T]) KeyByRef[K comparable](f func(*T) K) Keyed[K, T] {
	k := Keyed[K, T]{stream: s, key: f}
	k.codec, k.err = codec.KeyFor[K]()
	if f == nil {
		k.err = errors.New("the key function is nil")
	}
	return k
}

// node begins the node of a keyed operator.
func (k Keyed[K, T]) node(id string, kind graph.Kind) *graph.Node {
	n := &graph.Node{
		ID: id, Kind: kind, Stateful: true, Inputs: k.stream.input(true),
		Types: map[string]string{"key": codec.Describe[K]()},
	}
	if k.err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("KeyBy: %w", k.err))
	}
	return n
}

// partition returns what spreads records over the subtasks of a keyed operator.
func (k Keyed[K, T]) partition() func(int, int, []operator.Sender) operator.Receiver {
	pool := newPool[T](operator.ExchangeSize)
	return func(_, groups int, to []operator.Sender) operator.Receiver {
		return operator.NewPartition(k.key, k.codec, pool, groups, to)
	}
}

// newPool returns a pool of batches that know how much memory their records hold.
func newPool[T any](capacity int) *element.Pool[T] {
	return element.NewPool[T](capacity).Sized(codec.SizeOf[T]())
}
