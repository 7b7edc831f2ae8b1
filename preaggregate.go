package millrace

import (
	"errors"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/pane"
)

// preAggregation says whether records are aggregated before the exchange.
type preAggregation uint8

const (
	// preAggregateExact is the default: when no result can depend on it.
	preAggregateExact preAggregation = iota
	preAggregateNever
	preAggregateAlways
)

// PreAggregate turns the aggregation of records before their exchange off, or on where it is not by itself.
//
// Tumbling and sliding windows have it by default, since nothing but the speed can depend on it: the subtasks before the windows add up
// what they send of the most frequent keys, so that a key with half of all records does not make one subtask do half of the work. When
// keys are too many for that they let it be, and try again now and then. Aggregators whose results depend on how records
// were divided, if only in the last digits, as those of sums of floating-point numbers, are left out (agg.Aggregator.MergesExactly):
// with PreAggregate(true) they are not, and the last digits may differ from run to run. Sessions do not have it.
func (w Windowed[K, T]) PreAggregate(on bool) Windowed[K, T] {
	w.pre = preAggregateNever
	if on {
		w.pre = preAggregateAlways
	}
	return w
}

// combine returns what makes the senders of aligned windows aggregate records, or nil when they do not, and checks that what was asked
// for can be had.
func combine[K comparable, T, A, R any](w Windowed[K, T], a agg.Aggregator[T, A, R], panes pane.Layout, n *graph.Node) func(int, [][]byte, []operator.Sender) operator.Receiver {
	switch {
	case w.pre == preAggregateAlways && a.Merge == nil && a.Err == nil:
		n.Errs = append(n.Errs, errors.New("PreAggregate(true): this aggregator has no Merge to combine what was aggregated before the exchange"))
	case w.pre == preAggregateAlways, w.pre == preAggregateExact && a.MergesExactly():
		cfg := operator.CombineConfig[K, T, A, R]{
			Panes: panes, Key: w.keyed.key, KeyCodec: w.keyed.codec, Agg: a,
			Pool: newPool[T](operator.ExchangeSize), Partials: newPool[operator.Partial[K, A]](operator.ExchangeSize),
		}
		return func(groups int, old [][]byte, to []operator.Sender) operator.Receiver {
			return operator.NewCombiner(cfg, groups, old, to)
		}
	}
	return nil
}
