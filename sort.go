package millrace

import (
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Sorted is a stream whose records come in the order of event time.
type Sorted[T any] struct {
	Stream[T]
}

// SortByTime holds each record until the watermark has reached its event time and then lets it go: those of a key in the order
// of event time, those of the same time in the order of arrival. With a parallelism of 1 the whole stream is in that order, with
// those of the same time ordered by key first. What follows, such as a Process, need not look out for disorder.
//
// A record that comes when the watermark has reached it already is too late for its place: it is counted and goes to the
// output Late.
//
// Records that wait are part of checkpoints, under the name id, so T must be a type that package codec can encode. An epoch writes all
// that wait for each key that has changed: keep the bound of disorder, which is how long they wait, as small as the input allows.
//
// S is the type of the id. The method has it so that it is only compiled where it is called, and not for every type of keyed stream.
func (k Keyed[K, T]) SortByTime[S ~string](id S) Sorted[T] {
	n := k.node(string(id), "sort")
	detach, err := codec.Detach[T]()
	var held codec.Codec[operator.Waiting[T]]
	if err == nil {
		held, err = codec.For[operator.Waiting[T]]()
	}
	if err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the records that wait cannot be kept in checkpoints: %w", err))
	}
	if !k.stream.timed {
		n.Errs = append(n.Errs, errors.New("SortByTime needs event time: give EventTime to the source"))
	}
	n.Types["record"] = codec.Describe[T]()
	cfg := operator.SortConfig[K, T]{Key: k.key, KeyCodec: k.codec, Held: held, Detach: detach, Pool: newPool[T](operator.BatchSize)}
	n.Op = &operator.Spec{Partition: k.partition(), New: func() operator.Op { return operator.NewSort(cfg) }}
	return Sorted[T]{Stream[T]{job: k.stream.job, node: k.stream.job.add(1, n), timed: k.stream.timed}}
}

// Late returns the records that came too late to be put in order.
func (s Sorted[T]) Late() Stream[T] { return s.output(operator.LateSide) }
