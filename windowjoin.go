package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// JoinWindow names the window and key of a group of records. Start and End are in UTC; the window is [Start, End).
type JoinWindow[K comparable] struct {
	Key        K
	Start, End time.Time
}

// WindowJoined is a handle on two keyed streams cut into the same windows. Inner and CoGroup say what becomes of the records.
type WindowJoined[K comparable, L, R any] struct {
	left     Keyed[K, L]
	right    Keyed[K, R]
	assigner window.Assigner
	// first is the first operator on this join: the one whose late outputs LateLeft and LateRight return.
	first *int
}

// WindowJoin brings together the records of the stream, the left one, and of right that have one key and are in one window: any
// window that Aggregate takes; a session is one of the records of both sides. Results leave when the watermark of both inputs reaches
// the last nanosecond of the window, which is their event time, ordered by window and key. A record of sliding windows is in several of
// them, and so are its results. A record that comes when all of its windows have fired goes to LateLeft or LateRight and is counted.
// Memory holds all records of the open windows.
func (k Keyed[K, T]) WindowJoin[R any](right Keyed[K, R], a window.Assigner) WindowJoined[K, T, R] {
	first := -1
	return WindowJoined[K, T, R]{left: k, right: right, assigner: a, first: &first}
}

// Inner emits what f makes of each pair of a left and a right record of one window and key. The pairs of a window are ordered by the
// left and then the right record, in the order of codec.Ordered. The id names the state.
func (w WindowJoined[K, L, R]) Inner[O any](id string, f func(l L, r R) O) Stream[O] {
	return w.group(id, f != nil, func(_ JoinWindow[K], left []L, right []R, emit func(O)) error {
		for i := range left {
			for k := range right {
				emit(f(left[i], right[k]))
			}
		}
		return nil
	})
}

// CoGroup calls f once for each window and key with all records of both sides, each in the order of codec.Ordered; one of the two may
// be empty. So f can be any kind of join. An error fails the job. The id names the state.
func (w WindowJoined[K, L, R]) CoGroup[O any](id string, f func(w JoinWindow[K], left []L, right []R, emit func(O)) error) Stream[O] {
	return w.group(id, f != nil, f)
}

// LateLeft returns the left records that came too late for all of their windows. Call it after Inner or CoGroup.
func (w WindowJoined[K, L, R]) LateLeft() Stream[L] {
	if *w.first < 0 {
		return noJoinYet[L](w.left.stream)
	}
	return lateOf(w.left.stream.job, *w.first, func(e *either[L, R]) (*L, bool) { return &e.Left, !e.IsRight })
}

// LateRight returns the right records that came too late for all of their windows. Call it after Inner or CoGroup.
func (w WindowJoined[K, L, R]) LateRight() Stream[R] {
	if *w.first < 0 {
		return noJoinYet[R](w.right.stream)
	}
	return lateOf(w.left.stream.job, *w.first, func(e *either[L, R]) (*R, bool) { return &e.Right, e.IsRight })
}

// either is a record of one of two sides.
type either[L, R any] struct {
	Left    L
	Right   R
	IsRight bool
}

// bothSides is what a window holds of a key.
type bothSides[L, R any] struct {
	Left  agg.CollectState[L]
	Right agg.CollectState[R]
}

// groupOf are the records of a window and key.
type groupOf[L, R any] struct {
	Left  []L
	Right []R
}

// collectBoth collects the records of either side.
func collectBoth[L, R any]() agg.Aggregator[either[L, R], bothSides[L, R], groupOf[L, R]] {
	l, r := agg.Collect[L](), agg.Collect[R]()
	return agg.Aggregator[either[L, R], bothSides[L, R], groupOf[L, R]]{
		Add: func(acc *bothSides[L, R], e *either[L, R]) {
			if e.IsRight {
				r.Add(&acc.Right, &e.Right)
				return
			}
			l.Add(&acc.Left, &e.Left)
		},
		Merge: func(dst, src *bothSides[L, R]) {
			l.Merge(&dst.Left, &src.Left)
			r.Merge(&dst.Right, &src.Right)
		},
		Result: func(acc *bothSides[L, R]) groupOf[L, R] {
			return groupOf[L, R]{l.Result(&acc.Left), r.Result(&acc.Right)}
		},
		Err: errors.Join(l.Err, r.Err),
	}
}

// group adds the operators: both streams are made streams of either, which windows collect and f takes apart. They are made without
// the verbs of Stream and Keyed: a method may not wrap the type of its receiver. It is called by the verbs only.
func (w WindowJoined[K, L, R]) group[O any](id string, ok bool, f func(JoinWindow[K], []L, []R, func(O)) error) Stream[O] {
	n := joinNode(id, "window join", w.left, w.right)
	job := w.left.stream.job
	if !ok {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	if len(n.Inputs) == 2 { // else the sides are of two jobs
		n.Inputs[0].Node, n.Inputs[0].Side = sideNode(job, n.Inputs[0], func(l *L, e *either[L, R]) { *e = either[L, R]{Left: *l} }), ""
		n.Inputs[1].Node, n.Inputs[1].Side = sideNode(job, n.Inputs[1], func(r *R, e *either[L, R]) { *e = either[L, R]{Right: *r, IsRight: true} }), ""
	}
	leftKey, rightKey, kc := w.left.key, w.right.key, w.left.codec
	key := func(e *either[L, R]) K {
		if e.IsRight {
			return rightKey(&e.Right)
		}
		return leftKey(&e.Left)
	}
	pool := newPool[either[L, R]](operator.ExchangeSize)
	n.Op = &operator.Spec{
		New: newWindowJoin(n, w.assigner, key, kc, pool),
		Partition: func(_, groups int, to []operator.Sender) operator.Receiver {
			return operator.NewPartition(key, kc, pool, groups, to)
		},
	}
	at := job.add(2, n)
	if *w.first < 0 {
		*w.first = at
	}
	out := newPool[O](operator.BatchSize)
	apart := &graph.Node{Kind: "flatmap", Inputs: []graph.Input{{Node: at}}, Op: &operator.Spec{New: func() operator.Op {
		return operator.NewFlatMap(out, func(p *window.Pane[K, groupOf[L, R]], _ int64, emit func(O)) error {
			return f(JoinWindow[K]{Key: p.Key, Start: p.Start, End: p.End}, p.Value.Left, p.Value.Right, emit)
		})
	}}}
	return Stream[O]{job: job, node: job.add(2, apart), timed: true}
}

// sideNode adds the operator that makes records of one side records of either.
func sideNode[T, E any](job *Job, in graph.Input, fn func(*T, *E)) int {
	pool := newPool[E](operator.BatchSize)
	return job.add(3, &graph.Node{
		Kind: "side", Inputs: []graph.Input{{Node: in.Node, Side: in.Side}},
		Op: &operator.Spec{New: func() operator.Op {
			return operator.NewMap(pool, func(in []T, out []E) {
				for i := range in {
					fn(&in[i], &out[i])
				}
			})
		}},
	})
}

// lateOf adds the operator that takes the late records of one side out of those of a window join.
func lateOf[E, T any](job *Job, join int, fn func(*E) (*T, bool)) Stream[T] {
	pool := newPool[T](operator.ExchangeSize)
	n := &graph.Node{Kind: "late", Inputs: []graph.Input{{Node: join, Side: "late"}}, Op: &operator.Spec{New: func() operator.Op {
		return operator.NewFlatMap(pool, func(e *E, _ int64, emit func(T)) error {
			if r, ok := fn(e); ok {
				emit(*r)
			}
			return nil
		})
	}}}
	return Stream[T]{job: job, node: job.add(2, n), timed: true}
}

// newWindowJoin makes the operator that collects both sides, and notes in n what is wrong.
func newWindowJoin[K comparable, L, R any](
	n *graph.Node, a window.Assigner, key func(*either[L, R]) K, kc *codec.Key[K], late *element.Pool[either[L, R]],
) func() operator.Op {
	check := func(err error) {
		if err != nil {
			n.Errs = append(n.Errs, err)
		}
	}
	if a == nil {
		check(errors.New("the window assigner is nil"))
		return nil
	}
	spec := a.Spec()
	if err := a.Check(); err != nil {
		check(err)
		return nil
	}
	if spec.Kind == window.KindSessionBy {
		check(errors.New("a window join takes no SessionBy, whose function knows one of the two types of records only: take Session"))
		return nil
	}
	if spec.Kind == window.KindCount || spec.Kind == window.KindGlobal {
		check(fmt.Errorf("a window join takes no %v windows, which have no end in event time: take Tumbling, Sliding or Session", spec))
		return nil
	}
	both := collectBoth[L, R]()
	if both.Err != nil {
		check(fmt.Errorf("the records cannot be kept in checkpoints: %w", both.Err))
		return nil
	}
	n.Types["window"] = spec.String()
	pool := newPool[window.Pane[K, groupOf[L, R]]](operator.BatchSize)
	if spec.Kind == window.KindSession {
		value, err := codec.For[operator.Sessions[bothSides[L, R]]]()
		check(accumulator(err))
		cfg := operator.SessionConfig[K, either[L, R], bothSides[L, R], groupOf[L, R]]{
			Gap: int64(spec.Gap), Key: key, KeyCodec: kc, Value: value, Agg: both, Pool: pool, LatePool: late,
		}
		return func() operator.Op { return operator.NewSession(cfg) }
	}
	panes, err := pane.New(spec)
	check(err)
	acc, err := codec.For[bothSides[L, R]]()
	check(accumulator(err))
	cfg := operator.WindowConfig[K, either[L, R], bothSides[L, R], groupOf[L, R]]{
		Panes: panes, Key: key, KeyCodec: kc, Acc: acc, AccLayout: codec.LayoutOf[bothSides[L, R]](), Agg: both, Pool: pool, LatePool: late,
	}
	return func() operator.Op { return operator.NewWindow(cfg) }
}
