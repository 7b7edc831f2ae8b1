package millrace

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// ErrorPolicy says what an operator does with a record that fails: one that its source cannot read, that has no usable event time, or for which a
// function of the job returns an error or panics. The zero policy fails the job.
type ErrorPolicy struct {
	// Action is what becomes of the record in the end.
	Action ErrorAction
	// Retries is how often the record is tried again before that, and Backoff the wait before the first time, doubled each time up to MaxBackoff; 0
	// means 100 ms and 10 s. The subtask waits, and with it epochs and all that comes behind the record. It is not for sources, where a record would
	// be no other when read again.
	Retries             int
	Backoff, MaxBackoff time.Duration
}

// ErrorAction says what becomes of a record that fails.
type ErrorAction = operator.ErrorAction

// What can become of a record that fails.
const (
	// FailJob fails the job, with an OperatorError that names the record.
	FailJob = operator.FailJob
	// SkipRecord leaves the record out. It is counted, as Skipped in the Status, and logged, with a bound on the number of lines.
	SkipRecord = operator.SkipRecord
	// DeadLetterRecord turns the record into a DeadLetter, which goes to the stream DeadLetters. That must be read.
	DeadLetterRecord = operator.DeadLetterRecord
)

// DeadLetter is a record that could not be handled, and what is known about it. It is a record like any other, of the epoch in which it failed: an exactly-once
// sink has it once, whatever happens to the job.
type DeadLetter = operator.DeadLetter

// errorKinds are the operators that can have an error policy.
var errorKinds = []graph.Kind{graph.KindSource, "map", "update", "filter", "filtermap", "flatmap", "process"}

// The waits of an ErrorPolicy that says none.
const (
	errorBackoff    = 100 * time.Millisecond
	errorMaxBackoff = 10 * time.Second
)

// OnError gives the operator whose output s is an error policy; without one, a record that fails fails the job. It can be given to a source,
// to Map, UpdateRef, Filter, FilterMap and FlatMap in all their forms, to Apply, whose records are panes, and to Process, ProcessWith and ProcessBroadcast.
//
// A record that has failed has had no effect on the job: what its call has emitted, its changes to states and its timers are taken back. So is
// each attempt before a retry. What a function has changed elsewhere (in a processor's own fields, in memory that the record points to, in a service) stays.
//
// Some failures fail the job under any policy: those of functions that give a record its key or, with Watermarks, its watermark; of timers; of
// records that a source cannot find the end of, such as a line longer than MaxLine; and mistakes of the job such as a side output that is not declared.
//
// With a policy an operator is somewhat slower: Process notes how to take back each call. Without one nothing is.
func (s Stream[T]) OnError(p ErrorPolicy) Stream[T] {
	s.job.onError(s.node, s.side, p)
	return s
}

func (j *Job) onError(node int, side string, p ErrorPolicy) {
	n := j.g.Nodes[node]
	spec, _ := n.Op.(*operator.Spec)
	wrong := func(format string, args ...any) { n.Errs = append(n.Errs, fmt.Errorf("OnError: "+format, args...)) }
	switch {
	case side != "" || !slices.Contains(errorKinds, n.Kind):
		wrong("the stream is not the main output of an operator that can have an error policy: those are sources, Map, UpdateRef, Filter, FilterMap, FlatMap and Process")
		return
	case spec.Errors != nil:
		wrong("it is given twice")
		return
	}
	if p.Action > DeadLetterRecord {
		wrong("Action is %d: it must be FailJob, SkipRecord or DeadLetterRecord", p.Action)
	}
	if p.Retries < 0 || p.Backoff < 0 || p.MaxBackoff < 0 {
		wrong("Retries is %d, Backoff %v and MaxBackoff %v: none may be negative", p.Retries, p.Backoff, p.MaxBackoff)
		return
	}
	if p.Retries > 0 && n.Kind == graph.KindSource {
		wrong("Retries is %d at a source: a record is no other when it is read again", p.Retries)
	}
	if p.Backoff == 0 {
		p.Backoff = errorBackoff
	}
	if p.MaxBackoff == 0 {
		p.MaxBackoff = max(errorMaxBackoff, p.Backoff)
	}
	if p.MaxBackoff < p.Backoff {
		wrong("MaxBackoff is %v, less than Backoff, %v", p.MaxBackoff, p.Backoff)
	}
	if p.Action == FailJob && p.Retries == 0 {
		return // as without a policy
	}
	spec.Errors = &operator.ErrorSpec{Action: p.Action, Retries: p.Retries, Backoff: p.Backoff, MaxBackoff: p.MaxBackoff}
	if p.Action == DeadLetterRecord {
		n.Sides = append(n.Sides, operator.DeadLetterSide)
		n.WantsOrigins = true
	}
}

// DeadLetters returns the records that have failed at the operator whose output s is, as dead letters. Call it after OnError with DeadLetterRecord. On its
// way a letter has the event time of its record, or, from a source, the first one behind the watermark.
func DeadLetters[T any](s Stream[T]) Stream[DeadLetter] {
	n := s.job.g.Nodes[s.node]
	if spec, ok := n.Op.(*operator.Spec); !ok || s.side != "" || spec.Errors == nil || spec.Errors.Action != DeadLetterRecord {
		n.Errs = append(n.Errs, errors.New("DeadLetters: there are none here: call it on the stream of an operator after OnError with DeadLetterRecord"))
		return Stream[DeadLetter]{job: s.job, node: s.node, timed: s.timed}
	}
	return Stream[DeadLetter]{job: s.job, node: s.node, side: operator.DeadLetterSide, timed: s.timed}
}
