package millrace

import (
	"errors"

	"github.com/millrace-stream/millrace/internal/operator"
)

// TemporalJoined is a handle on a keyed stream and a table whose versions its records ask for. Lookup says what becomes of them.
type TemporalJoined[K comparable, L, V any] struct {
	left  Keyed[K, L]
	table Keyed[K, V]
	// first is the first operator on this join: the one whose late outputs LateLeft and LateTable return.
	first *int
}

// TemporalJoin reads another stream as a table: each of its records is the version of its key from its event time on, until the next
// one. A record of the stream is joined with the version that is valid at its event time, a version of the same time included; of
// versions of one key and time the one that came last is. So a price, a rate or an owner is that of the time at which something
// happened, whatever the table says by now. A table in which entries are removed needs a version that
// says so.
//
// A record waits until the watermark of both inputs reaches its event time. A record that comes after that goes to LateLeft and is counted. A
// version that comes after that is counted too and goes to LateTable: records have been answered without it. It is valid all the same for
// those that have not. Memory holds the records that wait, the last version of each key, and the versions after the watermark.
func (k Keyed[K, T]) TemporalJoin[V any](table Keyed[K, V]) TemporalJoined[K, T, V] {
	first := -1
	return TemporalJoined[K, T, V]{left: k, table: table, first: &first}
}

// Lookup emits what f makes of each record and the version of its key at its time, with the event time of the record; ok is false, and v
// zero, when there is none. Results are ordered by event time, then key, then arrival. The id names the state. F must not change what its
// arguments point to.
func (j TemporalJoined[K, L, V]) Lookup[O any](id string, f func(l L, v V, ok bool) O) Stream[O] {
	n := joinNode(id, "temporal join", j.left, j.table)
	if f == nil {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	cfg := operator.TemporalConfig[K, L, V, O]{
		KeyCodec: j.left.codec, Pool: newPool[O](operator.BatchSize),
		Left: joinSide(n, j.left, "left"), Table: joinSide(n, j.table, "right"),
		Out: func(l *L, v *V) O {
			var none V
			if v == nil {
				return f(*l, none, false)
			}
			return f(*l, *v, true)
		},
	}
	n.Op = &operator.Spec{New: func() operator.Op { return operator.NewTemporal(cfg) }, Partition: eitherPartition(j.left, j.table)}
	at := j.left.stream.job.add(1, n)
	if *j.first < 0 {
		*j.first = at
	}
	return Stream[O]{job: j.left.stream.job, node: at, timed: true}
}

// LateLeft returns the records that came too late to be joined. Call it after Lookup.
func (j TemporalJoined[K, L, V]) LateLeft() Stream[L] {
	if *j.first < 0 {
		return noJoinYet(j.left.stream)
	}
	return Stream[L]{job: j.left.stream.job, node: *j.first, side: "late-left", timed: true}
}

// LateTable returns the versions that came after records that they were valid for may have been answered. Call it after Lookup.
func (j TemporalJoined[K, L, V]) LateTable() Stream[V] {
	if *j.first < 0 {
		return noJoinYet(j.table.stream)
	}
	return Stream[V]{job: j.left.stream.job, node: *j.first, side: "late-right", timed: true}
}
