package millrace

import (
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/keyed/states"
	"github.com/millrace-stream/millrace/internal/operator"
)

// LatestJoined is a handle on a keyed stream and a table of which its records ask for what is known when they come. Inner and Left say what
// becomes of them.
type LatestJoined[K comparable, T, V any] struct {
	left  Keyed[K, T]
	table Keyed[K, V]
}

// LatestJoin reads another stream as a table, of which the record of a key that came last counts, whatever its event time. A record of the stream
// is joined, when it comes, with what the table holds for its key at that moment; nothing waits. So results depend on which of the two came first, and can be
// others in another run. When that must not be, use TemporalJoin, which asks for the version at the event time and waits for it.
//
// Records without a match are counted as misses. The table is kept in checkpoints. The watermark is the smaller one of both inputs: a table
// that says little should have IdleAfter.
func (k Keyed[K, T]) LatestJoin[V any](table Keyed[K, V]) LatestJoined[K, T, V] {
	return LatestJoined[K, T, V]{left: k, table: table}
}

// Inner emits what f makes of each record and the latest one of the table, with the event time of the record. Records for which there is none are
// left out. The id names the state. F must not change what its arguments point to.
func (j LatestJoined[K, T, V]) Inner[O any](id string, f func(r T, v V) O) Stream[O] {
	return j.join(id, true, f != nil, func(r *T, v *V) O { return f(*r, *v) })
}

// Left is Inner that also emits records for which there is none: ok is false then, and v zero.
func (j LatestJoined[K, T, V]) Left[O any](id string, f func(r T, v V, ok bool) O) Stream[O] {
	return j.join(id, false, f != nil, orNone(f))
}

// orNone calls f with a zero value when nothing was found.
func orNone[T, V, O any](f func(T, V, bool) O) func(*T, *V) O {
	return func(r *T, v *V) O {
		if v == nil {
			var none V
			return f(*r, none, false)
		}
		return f(*r, *v, true)
	}
}

// join adds the operator; it is called by the verbs only.
func (j LatestJoined[K, T, V]) join[O any](id string, inner, ok bool, out func(*T, *V) O) Stream[O] {
	n := j.left.node(id, "latest join")
	tableInput(n, j.left.stream.job, j.table)
	if j.table.stream.job == j.left.stream.job {
		n.Inputs = append(n.Inputs, graph.Input{Node: j.table.stream.node, Side: j.table.stream.side, Port: 1, Keyed: true})
	}
	if !ok {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	look := lookupConfig(inner, out)
	left, table := j.left, j.table
	n.Op = &operator.Spec{Partition: eitherPartition(left, table), New: func() operator.Op {
		r := states.New(left.codec, left.stream.timed)
		return operator.NewLatest(operator.LatestConfig[K, T, V, O]{
			LookupConfig: look, KeyCodec: left.codec, Key: left.key, TableKey: table.key, States: r,
			Table: states.NewValue[V](r, "table", "table", states.TTL{}),
		})
	}}
	return Stream[O]{job: left.stream.job, node: left.stream.job.add(2, n), timed: left.stream.timed}
}

// lookupConfig says what a join makes of a record.
func lookupConfig[T, V, O any](inner bool, out func(*T, *V) O) operator.LookupConfig[T, V, O] {
	cfg := operator.LookupConfig[T, V, O]{Out: out, Inner: inner, Pool: newPool[O](operator.BatchSize)}
	if codec.LayoutOf[V]() == codec.Deep {
		cfg.Give, _ = codec.Detach[V]() // its error is found by tableInput
	}
	return cfg
}

// tableInput notes in n what is wrong with the table of a join.
func tableInput[K comparable, V any](n *graph.Node, job *Job, table Keyed[K, V]) {
	if table.stream.job != job {
		n.Errs = append(n.Errs, errors.New("the table is of another job: both streams must be of one job"))
	}
	if table.err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("KeyBy of the table: %w", table.err))
	}
	if _, err := codec.For[V](); err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the records of the table cannot be kept in checkpoints: %w", err))
	}
	n.Types["table"] = codec.Describe[V]()
}

// BroadcastJoined is a handle on a stream and a small table that all its subtasks have. Inner and Left say what becomes of the records.
type BroadcastJoined[T any, E comparable, V any] struct {
	stream Stream[T]
	table  Keyed[E, V]
	key    func(T) E
}

// BroadcastJoin joins records with a small table, such as one of currencies or shops: each subtask has all of it, so the stream itself need not be
// exchanged by key. Key tells which entry a record asks for. As in LatestJoin, the record of the table that came last counts, at the moment at
// which a record of the stream comes, and misses are counted.
//
// The whole table is in the memory of each subtask. The watermark is the smaller one of both inputs: a table that says little should have
// IdleAfter.
func (s Stream[T]) BroadcastJoin[E comparable, V any](table Keyed[E, V], key func(r T) E) BroadcastJoined[T, E, V] {
	return BroadcastJoined[T, E, V]{stream: s, table: table, key: key}
}

// Inner emits what f makes of each record and its entry, with the event time of the record. Records without one are left out. The id names the
// state. F must not change what its arguments point to.
func (j BroadcastJoined[T, E, V]) Inner[O any](id string, f func(r T, v V) O) Stream[O] {
	return j.join(id, true, f != nil, func(r *T, v *V) O { return f(*r, *v) })
}

// Left is Inner that also emits records without an entry: ok is false then, and v zero.
func (j BroadcastJoined[T, E, V]) Left[O any](id string, f func(r T, v V, ok bool) O) Stream[O] {
	return j.join(id, false, f != nil, orNone(f))
}

// join adds the operator; it is called by the verbs only.
func (j BroadcastJoined[T, E, V]) join[O any](id string, inner, ok bool, out func(*T, *V) O) Stream[O] {
	n := &graph.Node{
		ID: id, Kind: "broadcast join", Stateful: true, Inputs: j.stream.input(false), Types: map[string]string{"key": codec.Describe[E]()},
	}
	tableInput(n, j.stream.job, j.table)
	if !ok {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	if j.key == nil {
		n.Errs = append(n.Errs, errors.New("the key function is nil"))
	}
	if j.table.stream.job == j.stream.job {
		broadcastInput(2, n, j.stream.job, j.table.stream)
	}
	look := lookupConfig(inner, out)
	key, tableKey := j.key, j.table.key
	n.Op = &operator.Spec{
		Partition: func(_, _ int, to []operator.Sender) operator.Receiver { return operator.NewBroadcastTo(to) },
		New: func() operator.Op {
			r := states.New[struct{}](nil, true)
			return operator.NewBroadcastJoin(operator.BroadcastJoinConfig[E, T, V, O]{
				LookupConfig: look, Key: func(r *T) E { return key(*r) }, TableKey: tableKey, States: r,
				Table: states.NewTable[E, V](r, "table", "table"),
			})
		},
	}
	return Stream[O]{job: j.stream.job, node: j.stream.job.add(2, n), timed: j.stream.timed}
}
