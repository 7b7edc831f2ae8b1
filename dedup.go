package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Deduped is a stream in which no id comes twice. Its methods say how; call them before the job runs.
type Deduped[T any] struct {
	Stream[T]
	set *dedupSettings[T]
}

// dedupSettings are what the methods of Deduped change.
type dedupSettings[T any] struct {
	lateness time.Duration
	content  func(*T) uint64
}

// Dedup leaves out records whose id was seen before: the first one in the order of arrival is passed on. An id that comes
// again horizon or more away in event time, earlier or later, is another thing and is passed on too. It is exact, also over
// restarts: what was seen is part of checkpoints, under the name id. Records keep their event times, and those of one id
// their order.
//
// A record that is behind the watermark by the allowed lateness or more, which is the horizon unless AllowedLateness says
// otherwise, cannot be judged: it is counted and goes to the output Late. Duplicates are counted and go to the
// output Duplicates.
//
// An id is remembered until the watermark is horizon + allowed lateness past the event time of its record, and forgotten at the
// latest when it is a quarter of the horizon past that. So memory is for the ids of that time: 16 bytes for each and what the id
// takes, times about 2 for the room that tables leave, and up to 7 bytes for a filter. Content takes as much again.
//
// Two duplicates of different splits arrive in any order; which of them is the first is then not determined.
func (s Stream[T]) Dedup[ID comparable](id string, eventID func(T) ID, horizon time.Duration) Deduped[T] {
	k := s.KeyBy(eventID)
	n := k.node(id, "dedup")
	if horizon <= 0 {
		n.Errs = append(n.Errs, fmt.Errorf("the horizon of Dedup is %v: it must be more than 0", horizon))
	}
	if !s.timed {
		n.Errs = append(n.Errs, errors.New("the horizon of Dedup is event time: give EventTime to the source"))
	}
	set := &dedupSettings[T]{lateness: horizon}
	n.Types["horizon"], n.Types["lateness"], n.Types["content"] = horizon.String(), horizon.String(), "none"
	pool := newPool[T](operator.BatchSize)
	n.Op = &operator.Spec{Partition: k.partition(), New: func() operator.Op {
		return operator.NewDedup(operator.DedupConfig[ID, T]{
			Horizon: int64(horizon), Lateness: int64(set.lateness), Key: k.key, KeyCodec: k.codec, Content: set.content, Pool: pool,
		})
	}}
	return Deduped[T]{Stream: Stream[T]{job: s.job, node: s.job.add(1, n), timed: s.timed}, set: set}
}

// op returns the node of the operator.
func (d Deduped[T]) op() *graph.Node { return d.job.g.Nodes[d.node] }

// AllowedLateness lets records be judged that are less than t behind the watermark; 0 makes late all that the watermark has
// reached. Less than the horizon saves memory. It is fixed at the first start of the job. It returns d.
func (d Deduped[T]) AllowedLateness(t time.Duration) Deduped[T] {
	if t < 0 {
		d.op().Errs = append(d.op().Errs, fmt.Errorf("AllowedLateness is %v: it must not be negative", t))
	}
	d.set.lateness, d.op().Types["lateness"] = t, t.String()
	return d
}

// Content also counts, as conflicts, the duplicates whose content is not that of the record that was passed on. f returns what must be
// equal, as a key of KeyBy; 64 bits of hash are compared. It is fixed at the first start of the job. It returns d.
func (d Deduped[T]) Content[C comparable](f func(T) C) Deduped[T] {
	key, err := codec.KeyFor[C]()
	if f == nil {
		err = errors.New("the function is nil")
	}
	if err != nil {
		d.op().Errs = append(d.op().Errs, fmt.Errorf("Content: %w", err))
		return d
	}
	d.op().Types["content"] = codec.Describe[C]()
	d.set.content = func(r *T) uint64 {
		c := f(*r)
		if key.Canon != nil {
			key.Canon(&c)
		}
		return key.Hash(&c)
	}
	return d
}

// Late returns the records that came too late to be judged.
func (d Deduped[T]) Late() Stream[T] { return d.output(operator.LateSide) }

// Duplicates returns the records that were left out.
func (d Deduped[T]) Duplicates() Stream[T] { return d.output(operator.DuplicateSide) }

// output returns a side output of the operator whose main output s is.
func (s Stream[T]) output(name string) Stream[T] {
	return Stream[T]{job: s.job, node: s.node, side: name, timed: s.timed}
}
