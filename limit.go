package millrace

import (
	"errors"
	"fmt"
	"math"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// RateLimited is a stream that brings no more records than a rate allows. Its methods say how; call them before the job runs.
type RateLimited[T any] struct {
	Stream[T]
	mode *operator.RateMode
}

// RateLimit lets perSecond records pass on average, and up to burst at once after a pause. Both are for all subtasks together and are
// divided among them in equal parts, of which each has a burst of 1 at least.
//
// Records that come faster wait, and with them all before: right behind a source, which is the place for it, the source reads no faster, its
// split is not taken for idle, and barriers start on time. Behind KeyBy barriers wait in the queue with the records, which at a low
// rate makes epochs long. DropNewest and DropOldest leave records out instead.
//
// A burst of some milliseconds' worth of records lets high rates be reached: a task looks at the clock about that often. Time that passes
// while the job is not running is not saved up.
func (s Stream[T]) RateLimit(perSecond float64, burst int) RateLimited[T] {
	pool := newPool[T](operator.BatchSize)
	mode := new(operator.RateMode)
	at := s.then("ratelimit", true, &operator.Spec{New: func() operator.Op { return operator.NewRate(pool, perSecond, burst, *mode) }})
	n := s.job.g.Nodes[at]
	if !(perSecond > 0) || math.IsInf(perSecond, 0) { // a NaN is wrong too
		n.Errs = append(n.Errs, fmt.Errorf("the rate of a RateLimit is %v records per second: it must be more than 0 and finite", perSecond))
	}
	if burst < 1 {
		n.Errs = append(n.Errs, fmt.Errorf("the burst of a RateLimit is %d: it must be 1 or more", burst))
	}
	return RateLimited[T]{Stream: Stream[T]{job: s.job, node: at, timed: s.timed}, mode: mode}
}

// DropNewest leaves records out that come too fast, instead of letting them wait: they are counted and go to the output Dropped. Which
// ones depends on the clock, so results differ from run to run. It returns r.
func (r RateLimited[T]) DropNewest() RateLimited[T] {
	*r.mode = operator.RateDropNewest
	return r
}

// DropOldest lets up to a burst of records wait and leaves out, when one more comes, the one that has waited longest: for those who want the
// latest. Records that wait hold back the watermark. A barrier lets them all go, at the cost of the rate after it. Otherwise it is like
// DropNewest. It returns r.
func (r RateLimited[T]) DropOldest() RateLimited[T] {
	*r.mode = operator.RateDropOldest
	return r
}

// Dropped returns the records that were left out. Call it after DropNewest or DropOldest.
func (r RateLimited[T]) Dropped() Stream[T] {
	if *r.mode == operator.RateHold {
		n := r.job.g.Nodes[r.node]
		n.Errs = append(n.Errs, errors.New("Dropped: no record is left out: say DropNewest or DropOldest before"))
	}
	return r.output(operator.DroppedSide)
}

// MaxInFlight lets a source wait while n records, in all subtasks together, have passed here whose results are not committed: those of epochs
// that are not decided. It asks for an epoch when that is reached. So it bounds what an epoch holds, what is read again after a crash, and how
// far the job runs ahead of what can be seen of it; a small n costs throughput. EveryRecords of the configuration does not wait for
// the decision and holds for all sources.
//
// It stands in the chain of a source: behind From, before KeyBy, Union and joins. When a FlatMap before it makes several records of one, those of
// one record may exceed the limit.
func (s Stream[T]) MaxInFlight(n int64) Stream[T] {
	at := s.then("maxinflight", true, &operator.Spec{New: func() operator.Op { return operator.NewInFlight(n) }})
	node := s.job.g.Nodes[at]
	if n < 1 {
		node.Errs = append(node.Errs, fmt.Errorf("MaxInFlight(%d): it must be 1 or more", n))
	}
	for up := node; up.Kind != graph.KindSource; up = s.job.g.Nodes[up.Inputs[0].Node] {
		if len(up.Inputs) != 1 || up.Inputs[0].Keyed {
			node.Errs = append(node.Errs, fmt.Errorf("MaxInFlight must stand in the chain of a source: the %s at %s comes before it", up.Kind, up.Where()))
			break
		}
	}
	return Stream[T]{job: s.job, node: at, timed: s.timed}
}
