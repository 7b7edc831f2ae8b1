package millrace

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// Pane is one result of a window. See window.Pane.
type Pane[K comparable, R any] = window.Pane[K, R]

// Windowed is a handle on a keyed stream cut into windows.
type Windowed[K comparable, T any] struct {
	keyed    Keyed[K, T]
	assigner window.Assigner
	lateness time.Duration
	pre      preAggregation
	firing   firing
	// single says that one subtask holds all windows.
	single bool
	// first is the first operator on these windows: the one whose late output Late returns.
	first *int
}

// Window cuts the records of each key into windows: of event time, of a number of records (window.Count), or one of all (window.Global).
func (k Keyed[K, T]) Window(a window.Assigner) Windowed[K, T] {
	first := -1
	return Windowed[K, T]{keyed: k, assigner: a, first: &first}
}

// AllowedLateness keeps windows for d of event time after they have fired. A record that comes in this time makes them
// emit again, with the next revision.
func (w Windowed[K, T]) AllowedLateness(d time.Duration) Windowed[K, T] {
	w.lateness = d
	return w
}

// Late returns the records that came too late for all of their windows. Call it after Aggregate
// or Apply.
func (w Windowed[K, T]) Late() Stream[T] {
	s := w.keyed.stream
	if *w.first < 0 {
		return Stream[T]{job: s.job, node: nothingYet(s, "Late"), timed: s.timed}
	}
	return Stream[T]{job: s.job, node: *w.first, side: "late", timed: s.timed}
}

// Aggregate combines the records of each key and window into one value. The id names the state.
func (w Windowed[K, T]) Aggregate[A, R any](id string, a agg.Aggregator[T, A, R]) Stream[Pane[K, R]] {
	return Stream[Pane[K, R]]{job: w.keyed.stream.job, node: addWindows(w, id, "aggregate", a, nil), timed: w.timed()}
}

// addWindows adds the operator of the windows. It is called by the verbs only. Own, if not nil, makes the aggregators of subtasks.
func addWindows[K comparable, T, A, R any](
	w Windowed[K, T], id string, kind graph.Kind, a agg.Aggregator[T, A, R], own operator.Own[T, A, R],
) int {
	k := w.keyed
	n := k.node(id, kind)
	if w.single {
		n.Parallelism = 1
	}
	check := func(err error) {
		if err != nil {
			n.Errs = append(n.Errs, err)
		}
	}
	check(a.Err)
	if a.Err == nil && (a.Add == nil || a.Result == nil) {
		check(errors.New("the aggregator has no Add or no Result"))
	}
	if w.lateness < 0 {
		check(fmt.Errorf("AllowedLateness is %v: it must not be negative", w.lateness))
	}
	if !k.stream.timed && !w.endless() {
		check(errors.New("windows need event time: give EventTime to the source"))
	}
	spec := &operator.Spec{Partition: k.partition()}
	switch {
	case w.assigner == nil:
		check(errors.New("the window assigner is nil"))
	case w.assigner.Check() != nil:
		check(w.assigner.Check())
	case w.triggered():
		if w.pre == preAggregateAlways {
			check(errors.New("PreAggregate(true): a trigger sees every record, so nothing can be aggregated before the exchange"))
		}
		spec.New = triggered(w, a, own, n, check)
	case w.assigner.Spec().Kind == window.KindSession, w.assigner.Spec().Kind == window.KindSessionBy:
		if w.pre == preAggregateAlways {
			check(errors.New("PreAggregate(true): sessions are not known before the exchange, so nothing can be aggregated there"))
		}
		spec.New = sessions(w, a, own, n, check)
	default:
		spec.New = aligned(w, a, own, n, check)
		panes, err := pane.New(w.assigner.Spec())
		switch {
		case own != nil && w.pre == preAggregateAlways:
			check(errors.New("PreAggregate(true): Apply keeps all records, so nothing can be aggregated before the exchange"))
		case own == nil && err == nil:
			spec.Combine = combine(w, a, panes, n)
		}
	}
	n.Op = spec
	at := k.stream.job.add(2, n)
	if *w.first < 0 {
		*w.first = at
	}
	return at
}

// aligned makes the operator of windows that do not depend on records: all but sessions.
func aligned[K comparable, T, A, R any](
	w Windowed[K, T], a agg.Aggregator[T, A, R], own operator.Own[T, A, R], n *graph.Node, check func(error),
) func() operator.Op {
	spec := w.assigner.Spec()
	panes, err := pane.New(spec)
	check(err)
	acc, err := codec.For[A]()
	check(accumulator(err))
	n.Types["window"] = spec.String()
	n.Types["state"] = codec.Describe[A]()
	if a.Merge == nil && err == nil && panes.PanesPerWindow() > 1 {
		check(fmt.Errorf("%v windows share panes, and this aggregator has no Merge to combine them", spec))
	}
	cfg := operator.WindowConfig[K, T, A, R]{
		Panes: panes, Lateness: int64(w.lateness), Key: w.keyed.key, KeyCodec: w.keyed.codec, Acc: acc, AccLayout: codec.LayoutOf[A](), Agg: a,
		Pool: newPool[Pane[K, R]](operator.BatchSize), LatePool: newPool[T](operator.ExchangeSize),
		MissedPool: newPool[window.Missed[K, T]](operator.ExchangeSize), Own: own,
	}
	return func() operator.Op { return operator.NewWindow(cfg) }
}

// sessions makes the operator of session windows.
func sessions[K comparable, T, A, R any](
	w Windowed[K, T], a agg.Aggregator[T, A, R], own operator.Own[T, A, R], n *graph.Node, check func(error),
) func() operator.Op {
	spec := w.assigner.Spec()
	value, err := codec.For[operator.Sessions[A]]()
	check(accumulator(err))
	if a.Merge == nil {
		check(errors.New("sessions merge, and this aggregator has no Merge"))
	}
	n.Types["window"] = spec.String()
	n.Types["state"] = codec.Describe[A]()
	cfg := operator.SessionConfig[K, T, A, R]{
		Gap: int64(spec.Gap), Lateness: int64(w.lateness), Key: w.keyed.key, KeyCodec: w.keyed.codec, Value: value, Agg: a,
		Pool: newPool[Pane[K, R]](operator.BatchSize), LatePool: newPool[T](operator.ExchangeSize),
		MissedPool: newPool[window.Missed[K, T]](operator.ExchangeSize), Own: own,
	}
	cfg.GapOf = w.gapOf(check)
	return func() operator.Op { return operator.NewSession(cfg) }
}

// gapOf returns the function of sessions of which each record has a gap of its own; nil for other windows.
func (w Windowed[K, T]) gapOf(check func(error)) func(r *T) time.Duration {
	if w.assigner.Spec().Kind != window.KindSessionBy {
		return nil
	}
	by, ok := w.assigner.(window.SessionByWindows[T])
	if !ok {
		check(fmt.Errorf("%T is made for records of another type than those of the stream, %v", w.assigner, reflect.TypeFor[T]()))
	}
	return func(r *T) time.Duration { return by.Gap(*r) }
}

func accumulator(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the accumulator cannot be kept in checkpoints: %w", err)
}
