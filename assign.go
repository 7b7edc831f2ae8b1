package millrace

import (
	"errors"
	"slices"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// AssignTime gives the records of a stream another event time, or their first one, behind the source: when the time is known only after
// decoding, or when another of the record's times counts from here on. The id names the state from which watermarks are made.
//
// Watermarks are made anew: one for each subtask, from all records in the order in which they come by, whatever split they are of. So the bound
// of disorder must cover how far splits are apart, and which records are late can differ from run to run where a subtask reads several
// splits. An EventTime at the source has neither drawback: prefer it where the time can be known there. The watermark of s, other than its
// end and its idleness, is forgotten.
func (s Stream[T]) AssignTime(id string, t Timing[T]) Stream[T] {
	n := &graph.Node{ID: id, Kind: "assign", Stateful: true, Inputs: s.input(false), Types: t.types(), Errs: slices.Clone(t.errs)}
	if t.spec.Extract == nil && len(t.errs) == 0 {
		n.Errs = append(n.Errs, errors.New("AssignTime: the Timing has no EventTime"))
	}
	if t.spec.IdleAfter != 0 {
		n.Errs = append(n.Errs, errors.New("AssignTime: IdleAfter is for sources: a stream is idle when its sources are"))
	}
	if t.spec.Align != nil {
		n.Errs = append(n.Errs, errors.New("AssignTime: AlignWithin is for sources: only they can wait"))
	}
	spec, pool := t.spec, newPool[T](operator.BatchSize)
	n.Op = &operator.Spec{New: func() operator.Op { return operator.NewAssign(spec, pool) }, LeavesOut: spec.LeavesOut()}
	return Stream[T]{job: s.job, node: s.job.add(1, n), timed: true}
}
