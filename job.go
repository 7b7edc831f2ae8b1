package millrace

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Job is a graph of operators with a stable name. It is built by one goroutine and holds nothing that runs.
type Job struct {
	g graph.Graph
}

// NewJob returns an empty job. The name stands in checkpoints, output files and errors: letters, digits, '-', '_' and '.',
// at most 128. A job that goes on from a checkpoint must have the name that the checkpoint has.
func NewJob(name string) *Job { return &Job{g: graph.Graph{Job: name}} }

// Name returns the name of the job.
func (j *Job) Name() string { return j.g.Job }

// Validate returns all mistakes of the job at once, each with the operator's id and the line that made it, or nil. Run calls it.
func (j *Job) Validate() error { return j.g.Validate() }

// String draws the graph as text.
func (j *Job) String() string { return j.g.String() }

// add appends a node made by the caller of the verb: skip counts the frames between that caller and add.
func (j *Job) add(skip int, n *graph.Node) int {
	n.File, n.Line = caller(skip + 1)
	return j.g.Add(n)
}

// caller names a line of the job's code by the last two elements of its path.
func caller(skip int) (file string, line int) {
	_, file, line, ok := runtime.Caller(skip + 1)
	if !ok {
		return "unknown", 0
	}
	dir, base := filepath.Split(file)
	return filepath.ToSlash(filepath.Join(filepath.Base(dir), base)), line
}

// From adds a source. The id names its positions in checkpoints.
func (j *Job) From[T any](id string, src connect.Source[T], opts ...SourceOption[T]) Stream[T] {
	var t Timing[T]
	n := &graph.Node{ID: id, Kind: graph.KindSource}
	for _, o := range opts {
		if o == nil {
			n.Errs = append(n.Errs, errors.New("a source option is nil"))
			continue
		}
		t = o.timing()
	}
	n.Errs = append(n.Errs, t.errs...)
	if len(opts) > 1 {
		n.Errs = append(n.Errs, errors.New("more than one EventTime: a source has one event time"))
	}
	if src == nil {
		n.Errs = append(n.Errs, errors.New("the source is nil"))
	}
	switch c := src.(type) {
	case connect.SourceChecker:
		n.Errs = append(n.Errs, c.CheckSource())
	case connect.Checker:
		n.Errs = append(n.Errs, c.Check())
	}
	n.Types = t.types()
	spec, pool := t.spec, newPool[T](operator.BatchSize)
	n.Op = &operator.Spec{
		NewSource: func() operator.Source { return operator.NewSource(src, spec, pool) },
		Clocked:   spec.Clock, LeavesOut: spec.LeavesOut(),
	}
	return Stream[T]{job: j, node: j.add(1, n), timed: spec.Timed()}
}

// To adds a sink. The id names its output in checkpoints.
func (s Stream[T]) To(id string, sink connect.Sink[T]) {
	n := &graph.Node{ID: id, Kind: graph.KindSink, Inputs: s.input(false)}
	spec := &operator.Spec{New: func() operator.Op { return operator.NewSink(sink) }}
	if sink == nil {
		n.Errs = append(n.Errs, errors.New("the sink is nil"))
	} else {
		spec.Guarantee = sink.Guarantee()
		spec.Commit = func(ctx context.Context, info connect.SinkInfo) (connect.Committer, error) {
			return sink.OpenCommitter(ctx, info)
		}
		switch c := sink.(type) {
		case connect.SinkChecker:
			n.Errs = append(n.Errs, c.CheckSink())
		case connect.Checker:
			n.Errs = append(n.Errs, c.Check())
		}
	}
	n.Op = spec
	s.job.add(1, n)
}
