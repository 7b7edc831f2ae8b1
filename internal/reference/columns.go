package reference

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/window"
)

// column makes the result of an aggregator a column.
func column[T, A, R any](a agg.Aggregator[T, A, R]) agg.Aggregator[T, A, Row] {
	return agg.Then(a, func(r R) Row { return Row{show(r)} })
}

func count[T any]() agg.Aggregator[T, int64, Row] { return column(agg.Count[T]()) }

// The joins put the columns of aggregators side by side.

func join2[T, A, B any](a agg.Aggregator[T, A, Row], b agg.Aggregator[T, B, Row]) agg.Aggregator[T, agg.State2[A, B], Row] {
	return agg.Combine2(a, b, func(a, b Row) Row { return slices.Concat(a, b) })
}

func join3[T, A, B, C any](
	a agg.Aggregator[T, A, Row], b agg.Aggregator[T, B, Row], c agg.Aggregator[T, C, Row],
) agg.Aggregator[T, agg.State2[agg.State2[A, B], C], Row] {
	return agg.Combine3(a, b, c, func(a, b, c Row) Row { return slices.Concat(a, b, c) })
}

func join4[T, A, B, C, D any](
	a agg.Aggregator[T, A, Row], b agg.Aggregator[T, B, Row], c agg.Aggregator[T, C, Row], d agg.Aggregator[T, D, Row],
) agg.Aggregator[T, agg.State2[agg.State2[A, B], agg.State2[C, D]], Row] {
	return agg.Combine4(a, b, c, d, func(a, b, c, d Row) Row { return slices.Concat(a, b, c, d) })
}

// everything is the key of records that are not grouped.
func everything[T any](*T) bool { return true }

// perKey writes panes as key, start, end and columns.
func perKey[K comparable](panes millrace.Stream[millrace.Pane[K, Row]]) outputs {
	return outputs{rows: panes.Map(func(p millrace.Pane[K, Row]) Row {
		return append(Row{show(p.Key), millis(p.Start), millis(p.End)}, p.Value...)
	})}
}

// perWindow writes panes of records that are not grouped as start, end and columns.
func perWindow(panes millrace.Stream[millrace.Pane[bool, Row]]) outputs {
	return outputs{rows: panes.Map(func(p millrace.Pane[bool, Row]) Row {
		return append(Row{millis(p.Start), millis(p.End)}, p.Value...)
	})}
}

// ranked writes the n panes with the largest values of each window, which is of the given size. Ties go by key.
func ranked[K comparable](panes millrace.Stream[millrace.Pane[K, int64]], n int, size time.Duration) outputs {
	type scored = millrace.Pane[K, int64]
	top := panes.
		KeyByRef(func(p *scored) time.Time { return p.End }).
		Window(window.Tumbling(size)).
		Aggregate("top", agg.TopN(n, func(a, b scored) int { return cmp.Compare(a.Value, b.Value) }))
	type list = millrace.Pane[time.Time, []scored]
	return outputs{rows: top.FlatMap(func(_ *millrace.Context, l list, emit func(Row)) error {
		for i, p := range l.Value {
			emit(Row{millis(p.Start), millis(p.End), show(int64(i + 1)), show(p.Key), show(p.Value)})
		}
		return nil
	})}
}

// countLate counts records over tumbling windows, with an aggregator for what was in time; the others leave as late rows.
func countLate[T, A any](s millrace.Stream[T], size time.Duration, at func(*T) time.Time, a agg.Aggregator[T, A, Row]) outputs {
	windows := s.KeyByRef(everything[T]).Window(window.Tumbling(size))
	out := perWindow(windows.Aggregate("kept", a))
	out.hasLate = true
	out.late = windows.Late().Map(func(r T) Row {
		start := at(&r).Truncate(size) // since year 1, which differs from since 1970 by whole days
		return Row{millis(start), millis(start.Add(size))}
	})
	return out
}
