package operator

import (
	"cmp"
	"slices"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
)

// Arrivals are the records of a key and window with their place in the order of arrival.
type Arrivals[T any] struct{ list []arrival[T] }

// arrival is a record and its number, which rises with every record that the subtask takes. Windows that share slices put lists together, so
// the order within a list is not enough.
type arrival[T any] struct {
	number uint64
	record T
}

// Own makes the aggregator of a subtask whose functions share a state that does not belong to one accumulator, and a function that is
// shown each restored accumulator before the first record.
type Own[T, A, R any] func() (a agg.Aggregator[T, A, R], restored func(acc *A))

// ownAggregator replaces a by one of the subtask, if there is one, and returns what is to be shown the restored accumulators, or nil.
func ownAggregator[T, A, R any](a *agg.Aggregator[T, A, R], own Own[T, A, R]) (restored func(*A)) {
	if own != nil {
		*a, restored = own()
	}
	return restored
}

// InOrder keeps all records and gives them back in their order of arrival. The error is that of codec.For.
func InOrder[T any]() (Own[T, Arrivals[T], []T], error) {
	keep, err := codec.Detach[T]()
	if err != nil {
		return nil, err
	}
	var give func(*T)
	if codec.LayoutOf[T]() == codec.Deep {
		give = keep
	}
	return func() (agg.Aggregator[T, Arrivals[T], []T], func(*Arrivals[T])) {
		// The numbers are only compared among those of one key, which are all in one subtask: going on behind the largest that
		// was restored keeps their order, whatever subtasks they come from.
		last := uint64(0)
		a := agg.Aggregator[T, Arrivals[T], []T]{
			Add: func(acc *Arrivals[T], r *T) {
				last++
				acc.list = append(acc.list, arrival[T]{last, *r})
				if keep != nil {
					keep(&acc.list[len(acc.list)-1].record)
				}
			},
			Merge:  func(dst, src *Arrivals[T]) { dst.list = append(dst.list, src.list...) },
			Result: func(acc *Arrivals[T]) []T { return acc.records(give) },
		}
		return a, func(acc *Arrivals[T]) {
			for i := range acc.list {
				last = max(last, acc.list[i].number)
			}
		}
	}, nil
}

// records returns the records in their order, as copies that give, if not nil, gives memory of their own.
func (a *Arrivals[T]) records(give func(*T)) []T {
	byNumber := func(x, y arrival[T]) int { return cmp.Compare(x.number, y.number) }
	list := a.list
	if !slices.IsSortedFunc(list, byNumber) {
		list = slices.Clone(list)
		slices.SortFunc(list, byNumber)
	}
	out := make([]T, len(list))
	for i := range list {
		out[i] = list[i].record
		if give != nil {
			give(&out[i])
		}
	}
	return out
}
