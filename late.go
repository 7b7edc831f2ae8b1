package millrace

import (
	"fmt"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/window"
)

// Missed returns the records that came too late for some of their windows or for all, each with the windows that it has missed. So
// a record of sliding windows that is in time for the rest of them is here and in their results; Late has only those that
// missed all. Call it after Aggregate or Apply.
func Missed[K comparable, T any](w Windowed[K, T]) Stream[window.Missed[K, T]] {
	s := w.keyed.stream
	if *w.first < 0 {
		return Stream[window.Missed[K, T]]{job: s.job, node: nothingYet(s, "Missed"), timed: s.timed}
	}
	return Stream[window.Missed[K, T]]{job: s.job, node: *w.first, side: "missed", timed: s.timed}
}

// nothingYet adds a node that stands for an output of windows that there are no results of. It is called by the verbs only.
func nothingYet[T any](s Stream[T], verb string) int {
	n := &graph.Node{Kind: "late", Inputs: s.input(false), Op: &operator.Spec{New: operator.NewUnion}}
	n.Errs = []error{fmt.Errorf("%s before Aggregate: nothing has put records into these windows yet", verb)}
	return s.job.add(2, n)
}
