package millrace

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// IntervalJoined is a handle on two keyed streams whose records are joined when they have one key and event times that are not too
// far apart. Inner, Left, Right and Full say what becomes of them.
type IntervalJoined[K comparable, L, R any] struct {
	left         Keyed[K, L]
	right        Keyed[K, R]
	lower, upper time.Duration
	// first is the first operator on this join: the one whose late outputs LateLeft and LateRight return.
	first *int
}

// IntervalJoin pairs each record of the stream, the left one, with the records of right that have its key and an event time in
// [its own + lower, its own + upper], both bounds inclusive. Bounds may be negative: with -5 s and 0 the right record comes
// up to five seconds before the left one. A stream may be joined with itself; a record is then a partner of itself when the
// bounds hold 0.
//
// The event time of a pair is the larger of the two. A pair leaves when the second of its records comes; pairs of one
// record are ordered by the event time and then the arrival of their partners. The join has the smaller watermark of
// both inputs. A record whose event time the watermark has reached when it comes is late, whatever the bounds: some of its
// partners may be forgotten. It joins nothing, is counted, and goes to LateLeft or LateRight. Since the watermark is that of both
// inputs, a record that is late in its own input may still be in time when the other one is further behind; what is in time in
// its own input is never late.
//
// A left record is kept until the watermark reaches its event time + upper, a right one until it reaches its event time - lower, and
// then up to a sixteenth of the interval longer. So memory holds what comes within the interval, and while one input is
// behind the other, the records that the other brings meanwhile.
func (k Keyed[K, T]) IntervalJoin[R any](right Keyed[K, R], lower, upper time.Duration) IntervalJoined[K, T, R] {
	first := -1
	return IntervalJoined[K, T, R]{left: k, right: right, lower: lower, upper: upper, first: &first}
}

// Inner emits what f makes of each pair. The id names the state. F must not change what its arguments point to.
func (j IntervalJoined[K, L, R]) Inner[O any](id string, f func(l L, r R) O) Stream[O] {
	return j.join(id, "inner", f != nil, false, false, func(l *L, r *R) O { return f(*l, *r) })
}

// Left is Inner that also emits each left record without partner, once, with a zero r and ok false. That is known when the watermark
// reaches the event time of the record + upper, or its event time if upper is negative: this is the event time of the
// result.
func (j IntervalJoined[K, L, R]) Left[O any](id string, f func(l L, r R, ok bool) O) Stream[O] {
	return j.join(id, "left", f != nil, true, false, func(l *L, r *R) O {
		var none R
		if r == nil {
			return f(*l, none, false)
		}
		return f(*l, *r, true)
	})
}

// Right is Inner that also emits each right record without partner, once, with a zero l and ok false. That is known when the watermark
// reaches the event time of the record - lower, or its event time if lower is positive: this is the event time of the
// result.
func (j IntervalJoined[K, L, R]) Right[O any](id string, f func(l L, r R, ok bool) O) Stream[O] {
	return j.join(id, "right", f != nil, false, true, func(l *L, r *R) O {
		var none L
		if l == nil {
			return f(none, *r, false)
		}
		return f(*l, *r, true)
	})
}

// Full is Left and Right in one: a record without partner leaves with hasLeft or hasRight false, and a zero value for the other.
func (j IntervalJoined[K, L, R]) Full[O any](id string, f func(l L, r R, hasLeft, hasRight bool) O) Stream[O] {
	return j.join(id, "full", f != nil, true, true, func(l *L, r *R) O {
		var noLeft L
		var noRight R
		switch {
		case l == nil:
			return f(noLeft, *r, false, true)
		case r == nil:
			return f(*l, noRight, true, false)
		}
		return f(*l, *r, true, true)
	})
}

// LateLeft returns the left records that came too late to be joined. Call it after Inner, Left, Right or Full.
func (j IntervalJoined[K, L, R]) LateLeft() Stream[L] {
	if *j.first < 0 {
		return noJoinYet(j.left.stream)
	}
	return Stream[L]{job: j.left.stream.job, node: *j.first, side: "late-left", timed: true}
}

// LateRight returns the right records that came too late to be joined. Call it after Inner, Left, Right or Full.
func (j IntervalJoined[K, L, R]) LateRight() Stream[R] {
	if *j.first < 0 {
		return noJoinYet(j.right.stream)
	}
	return Stream[R]{job: j.left.stream.job, node: *j.first, side: "late-right", timed: true}
}

// noJoinYet adds a node with a mistake in the place of the late records of a join that is not there.
func noJoinYet[T any](s Stream[T]) Stream[T] {
	n := &graph.Node{Kind: "late", Inputs: s.input(false), Op: &operator.Spec{New: operator.NewUnion}}
	n.Errs = []error{errors.New("late records of a join that is not there yet: call the verb that joins before")}
	return Stream[T]{job: s.job, node: s.job.add(2, n), timed: s.timed}
}

// join adds the operator; it is called by the verbs only.
func (j IntervalJoined[K, L, R]) join[O any](id, kind string, ok, left, right bool, out func(*L, *R) O) Stream[O] {
	n := joinNode(id, "interval join", j.left, j.right)
	n.Types["interval"] = fmt.Sprintf("%s [%v, %v]", kind, j.lower, j.upper)
	if !ok {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	switch {
	case j.lower > j.upper:
		n.Errs = append(n.Errs, fmt.Errorf("the lower bound %v is above the upper bound %v: no pair can be between them", j.lower, j.upper))
	case j.lower == math.MinInt64:
		n.Errs = append(n.Errs, fmt.Errorf("the lower bound %v is out of range", j.lower))
	}
	cfg := operator.JoinConfig[K, L, R, O]{
		Lower: int64(j.lower), Upper: int64(j.upper), KeyCodec: j.left.codec, Out: out, Pool: newPool[O](operator.BatchSize),
		Left: joinSide(n, j.left, "left"), Right: joinSide(n, j.right, "right"),
	}
	cfg.Left.Outer, cfg.Right.Outer = left, right
	n.Op = &operator.Spec{New: func() operator.Op { return operator.NewJoin(cfg) }, Partition: eitherPartition(j.left, j.right)}
	at := j.left.stream.job.add(2, n)
	if *j.first < 0 {
		*j.first = at
	}
	return Stream[O]{job: j.left.stream.job, node: at, timed: true}
}

// joinNode begins the node of an operator with two keyed inputs.
func joinNode[K comparable, L, R any](id string, kind graph.Kind, left Keyed[K, L], right Keyed[K, R]) *graph.Node {
	n := left.node(id, kind)
	if right.stream.job != left.stream.job {
		n.Errs = append(n.Errs, errors.New("the right stream is of another job: both sides of a join must be of one job"))
	} else {
		n.Inputs = append(n.Inputs, graph.Input{Node: right.stream.node, Side: right.stream.side, Port: 1, Keyed: true})
	}
	if right.err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("KeyBy of the right stream: %w", right.err))
	}
	for side, timed := range map[string]bool{"left": left.stream.timed, "right": right.stream.timed} {
		if !timed {
			n.Errs = append(n.Errs, fmt.Errorf("joins need event time, and the %s stream has none: give EventTime to its source", side))
		}
	}
	n.Types["left"], n.Types["right"] = codec.Describe[L](), codec.Describe[R]()
	return n
}

// joinSide describes one side to the operator, and notes in n what is wrong with its record type.
func joinSide[K comparable, T any](n *graph.Node, k Keyed[K, T], name string) operator.SideConfig[K, T] {
	value, err := codec.For[operator.HeldList[T]]()
	if err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the records of the %s stream cannot be kept in checkpoints: %w", name, err))
		return operator.SideConfig[K, T]{}
	}
	cfg := operator.SideConfig[K, T]{Key: k.key, Value: value, LatePool: newPool[T](operator.ExchangeSize)}
	cfg.Keep, _ = codec.Detach[T]() // its error is that of For
	if codec.LayoutOf[T]() == codec.Deep {
		cfg.Give = cfg.Keep
	}
	return cfg
}

// eitherPartition spreads the records of both sides by the same keys.
func eitherPartition[K comparable, L, R any](left Keyed[K, L], right Keyed[K, R]) func(int, int, []operator.Sender) operator.Receiver {
	l, r := left.partition(), right.partition()
	return func(port, groups int, to []operator.Sender) operator.Receiver {
		if port == 1 {
			return r(port, groups, to)
		}
		return l(port, groups, to)
	}
}
