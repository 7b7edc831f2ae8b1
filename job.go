package millrace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"time"

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

// SourceOption is an option of From.
type SourceOption[T any] interface {
	// apply returns the time spec of the option.
	apply() operator.TimeSpec[T]
}

// Timing says how records of a source get their event time and its splits their watermarks. Its methods return changed copies.
type Timing[T any] struct{ spec operator.TimeSpec[T] }

func (t Timing[T]) apply() operator.TimeSpec[T] { return t.spec }

// Event times out of this range do not fit into int64 nanoseconds.
var (
	minTime = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ErrTimeRange says that a time is before 1678 or after 2261.
var ErrTimeRange = errors.New("time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right")

// nanos turns a time into ns since 1970.
func nanos(t time.Time) (int64, error) {
	s := t.Unix()
	if s < minTime.Unix() || s >= maxTime.Unix() {
		return 0, fmt.Errorf("%v: %w", t.UTC(), ErrTimeRange)
	}
	return s*int64(time.Second) + int64(t.Nanosecond()), nil
}

// EventTime gives records the event time that f returns, in any location. Without further options records must come in order
// within each split: the watermark is the largest event time seen, minus a nanosecond.
func EventTime[T any](f func(T) time.Time) Timing[T] {
	if f == nil {
		return noTiming[T]()
	}
	return Timing[T]{operator.TimeSpec[T]{Extract: func(records []T, times []int64) (int, error) {
		for i := range records {
			t, err := nanos(f(records[i]))
			if err != nil {
				return i, fmt.Errorf("event time: %w", err)
			}
			times[i] = t
		}
		return 0, nil
	}}}
}

// EventNanosRef is EventTime for a time in nanoseconds since 1970 UTC, with the record by pointer.
func EventNanosRef[T any](f func(*T) int64) Timing[T] {
	if f == nil {
		return noTiming[T]()
	}
	lo, hi := minTime.Unix()*int64(time.Second), maxTime.Unix()*int64(time.Second)
	return Timing[T]{operator.TimeSpec[T]{Extract: func(records []T, times []int64) (int, error) {
		for i := range records {
			t := f(&records[i])
			if t < lo || t >= hi {
				return i, fmt.Errorf("event time: %d ns: %w", t, ErrTimeRange)
			}
			times[i] = t
		}
		return 0, nil
	}}}
}

// noTiming has an Extract, which never runs, so that those after the source do not complain of missing event times too.
func noTiming[T any]() Timing[T] {
	return Timing[T]{operator.TimeSpec[T]{
		Extract: func([]T, []int64) (int, error) { return 0, nil },
		Err:     errors.New("EventTime: the function is nil"),
	}}
}

// OutOfOrderness says that a record may come up to d after one with a later event time, in the same split: the watermark
// is the largest event time seen - d - 1 ns. It delays results by d; what comes later still is late.
func (t Timing[T]) OutOfOrderness(d time.Duration) Timing[T] {
	t.spec.Bound = d
	return t
}

// IdleAfter lets the watermark go on without a split that is at its end for now and has been quiet for d. It matters to
// sources that are followed. Time in which the job could not have read does not count.
func (t Timing[T]) IdleAfter(d time.Duration) Timing[T] {
	t.spec.IdleAfter = d
	return t
}

// From adds a source. The id names its positions in checkpoints.
func (j *Job) From[T any](id string, src connect.Source[T], opts ...SourceOption[T]) Stream[T] {
	var spec operator.TimeSpec[T]
	n := &graph.Node{ID: id, Kind: graph.KindSource}
	for _, o := range opts {
		if o == nil {
			n.Errs = append(n.Errs, errors.New("a source option is nil"))
			continue
		}
		spec = o.apply()
	}
	n.Errs = append(n.Errs, spec.Err)
	if len(opts) > 1 {
		n.Errs = append(n.Errs, errors.New("more than one EventTime: a source has one event time"))
	}
	if src == nil {
		n.Errs = append(n.Errs, errors.New("the source is nil"))
	}
	if spec.Bound < 0 || spec.Bound == math.MaxInt64 {
		n.Errs = append(n.Errs, fmt.Errorf("OutOfOrderness is %v: it must not be negative", spec.Bound))
	}
	if spec.IdleAfter < 0 {
		n.Errs = append(n.Errs, fmt.Errorf("IdleAfter is %v: it must not be negative", spec.IdleAfter))
	}
	switch c := src.(type) {
	case connect.SourceChecker:
		n.Errs = append(n.Errs, c.CheckSource())
	case connect.Checker:
		n.Errs = append(n.Errs, c.Check())
	}
	pool := newPool[T](operator.BatchSize)
	n.Op = &operator.Spec{NewSource: func() operator.Source { return operator.NewSource(src, spec, pool) }}
	return Stream[T]{job: j, node: j.add(1, n), timed: spec.Extract != nil}
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
