package agg

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/codec"
)

// ReduceState is the accumulator of Reduce.
type ReduceState[T any] struct {
	value T
	some  bool
}

// Reduce joins records two by two. The function must be associative, and commutative too, since records of different splits
// come in any order; it must not change memory that its arguments refer to. Without records the result is a zero record.
func Reduce[T any](f func(a, b T) T) Aggregator[T, ReduceState[T], T] {
	keep, err := codec.DetachFrom[T]()
	if err != nil {
		err = fmt.Errorf("agg: Reduce keeps records: %w", err)
	}
	var give func(*T)
	if codec.LayoutOf[T]() == codec.Deep {
		give, _ = codec.Detach[T]()
	}
	return Aggregator[T, ReduceState[T], T]{
		Add: func(acc *ReduceState[T], t *T) {
			if !acc.some {
				acc.value, acc.some = *t, true
				if keep != nil {
					keep(&acc.value, *new(T))
				}
				return
			}
			if keep == nil {
				acc.value = f(acc.value, *t)
				return
			}
			old := acc.value
			acc.value = f(old, *t)
			keep(&acc.value, old)
		},
		Merge: func(dst, src *ReduceState[T]) {
			switch {
			case !src.some:
			case !dst.some:
				*dst = *src
				if give != nil {
					// A slice of src may have room behind its end, which an append in f must not use.
					give(&dst.value)
				}
			default:
				dst.value = f(dst.value, src.value)
			}
		},
		Result: func(acc *ReduceState[T]) T {
			v := acc.value
			if give != nil {
				give(&v)
			}
			return v
		},
		Err: errors.Join(err, missing("Reduce", f == nil)),
	}
}

// CollectState is the accumulator of Collect.
type CollectState[T any] struct{ items []T }

// Collect keeps all records. They come out in the order of codec.Ordered, field by field: the order of arrival differs from run
// to run as soon as there is more than one split, and results must not. For another order, sort in Then.
func Collect[T any]() Aggregator[T, CollectState[T], []T] {
	it, err := itemsOf[T]("Collect")
	return Aggregator[T, CollectState[T], []T]{
		Add:   func(acc *CollectState[T], t *T) { acc.items = append(acc.items, it.own(t)) },
		Merge: func(dst, src *CollectState[T]) { dst.items = append(dst.items, src.items...) },
		Result: func(acc *CollectState[T]) []T {
			out := it.list(acc.items)
			slices.SortFunc(out, func(a, b T) int { return it.compare(&a, &b) })
			return out
		},
		Err: err,
	}
}

// list returns copies that may be given away.
func (it *items[T]) list(from []T) []T {
	out := make([]T, len(from))
	for i := range from {
		out[i] = it.out(&from[i])
	}
	return out
}

// TopState is the accumulator of TopN: at most n records, the best first.
type TopState[T any] struct{ items []T }

// TopN is the n largest records in the order of compare, the largest first; among equals, the one that comes first in the order of
// codec.Ordered is before the others. Compare is negative, zero or positive like that of package cmp. A record that does not compare
// equal to itself, as a NaN may make it, is rejected.
func TopN[T any](n int, compare func(a, b T) int) Aggregator[T, TopState[T], []T] {
	a := topN("TopN", n, func(x, y *T) int { return compare(*x, *y) })
	a.Err = errors.Join(a.Err, missing("TopN", compare == nil))
	a.Check = func(t *T) error {
		if compare(*t, *t) != 0 {
			return errors.New("agg: TopN: the record does not compare equal to itself (a NaN?), so it has no place in an order")
		}
		return nil
	}
	return a
}

// TopBy is TopN in the order of the values of f: the records with the n largest values, the largest first. A record whose value is NaN
// is rejected.
func TopBy[T any, V cmp.Ordered](n int, f func(T) V) Aggregator[T, TopState[T], []T] {
	a := topN("TopBy", n, func(x, y *T) int { return cmp.Compare(f(*x), f(*y)) })
	a.Err = errors.Join(a.Err, missing("TopBy", f == nil))
	a.Check = rejectNaN("TopBy", byPointer(f))
	return a
}

func topN[T any](name string, n int, compare func(a, b *T) int) Aggregator[T, TopState[T], []T] {
	it, err := itemsOf[T](name)
	if n < 1 {
		err = errors.Join(err, fmt.Errorf("agg: %s: n is %d; it must be at least 1", name, n))
	}
	// before says that a stands before b in the result.
	before := func(a, b *T) bool {
		c := compare(a, b)
		return c > 0 || c == 0 && it.compare(a, b) < 0
	}
	// insert returns false when the list is full of better records.
	insert := func(acc *TopState[T], t *T, own func(*T) T) bool {
		if len(acc.items) == n && !before(t, &acc.items[n-1]) {
			return false
		}
		lo, hi := 0, len(acc.items)
		for lo < hi {
			mid := int(uint(lo+hi) >> 1)
			if before(t, &acc.items[mid]) {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		v := own(t)
		if len(acc.items) < n {
			acc.items = append(acc.items, v)
		}
		copy(acc.items[lo+1:], acc.items[lo:])
		acc.items[lo] = v
		return true
	}
	return Aggregator[T, TopState[T], []T]{
		Add: func(acc *TopState[T], t *T) { insert(acc, t, it.own) },
		Merge: func(dst, src *TopState[T]) {
			for i := range src.items {
				if !insert(dst, &src.items[i], func(t *T) T { return *t }) {
					return
				}
			}
		},
		Result: func(acc *TopState[T]) []T { return it.list(acc.items) },
		Exact:  true,
		Err:    err,
	}
}
