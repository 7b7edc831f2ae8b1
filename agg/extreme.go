package agg

import (
	"cmp"
	"errors"
	"time"

	"github.com/millrace-stream/millrace/codec"
)

// ExtremeState is the accumulator of Min and Max.
type ExtremeState[V cmp.Ordered] struct {
	value V
	some  bool
}

// Min is the smallest value of f. A record whose value is NaN is rejected. Without records the result is zero.
func Min[T any, V cmp.Ordered](f func(T) V) Aggregator[T, ExtremeState[V], V] {
	a := extreme("Min", -1, byPointer(f))
	keep, _ := codec.Detach[V]()
	a.Add = func(acc *ExtremeState[V], t *T) {
		if v := f(*t); v < acc.value || !acc.some {
			acc.set(v, keep)
		}
	}
	return a
}

// Max is the largest value of f. A record whose value is NaN is rejected. Without records the result is zero.
func Max[T any, V cmp.Ordered](f func(T) V) Aggregator[T, ExtremeState[V], V] {
	a := extreme("Max", 1, byPointer(f))
	keep, _ := codec.Detach[V]()
	a.Add = func(acc *ExtremeState[V], t *T) {
		if v := f(*t); v > acc.value || !acc.some {
			acc.set(v, keep)
		}
	}
	return a
}

func (s *ExtremeState[V]) set(v V, keep func(*V)) {
	s.value, s.some = v, true
	if keep != nil {
		keep(&s.value)
	}
}

// extreme makes all but Add. The sign is that of the comparison which makes a value replace another.
func extreme[T any, V cmp.Ordered](name string, sign int, f func(*T) V) Aggregator[T, ExtremeState[V], V] {
	return Aggregator[T, ExtremeState[V], V]{
		Merge: func(dst, src *ExtremeState[V]) {
			if src.some && (!dst.some || cmp.Compare(src.value, dst.value) == sign) {
				*dst = *src
			}
		},
		Result: func(acc *ExtremeState[V]) V {
			var zero V
			if acc.value == zero {
				// -0 and 0 are equal, so which of them came first must not show.
				return zero
			}
			return acc.value
		},
		Check: rejectNaN(name, f),
		Exact: true,
		Err:   missing(name, f == nil),
	}
}

// BestState is the accumulator of MinBy, MaxBy, First and Last.
type BestState[T, V any] struct {
	item T
	by   V
	some bool
}

// MinBy is the record with the smallest value of f; among equals, the one that comes first in the order of codec.Ordered. A
// record whose value is NaN is rejected. Without records the result is a zero record.
func MinBy[T any, V cmp.Ordered](f func(T) V) Aggregator[T, BestState[T, V], T] {
	a := best("MinBy", -1, byPointer(f), cmp.Compare[V])
	a.Check = rejectNaN("MinBy", byPointer(f))
	return a
}

// MaxBy is the record with the largest value of f; among equals, the one that comes first in the order of codec.Ordered. A
// record whose value is NaN is rejected. Without records the result is a zero record.
func MaxBy[T any, V cmp.Ordered](f func(T) V) Aggregator[T, BestState[T, V], T] {
	a := best("MaxBy", 1, byPointer(f), cmp.Compare[V])
	a.Check = rejectNaN("MaxBy", byPointer(f))
	return a
}

// First is the record with the earliest time; among equals, the one that comes first in the order of codec.Ordered. The time is that of f,
// as a rule the one that the source was given as event time: which record arrived first differs from run to run. Without records
// the result is a zero record.
func First[T any](f func(T) time.Time) Aggregator[T, BestState[T, time.Time], T] {
	return best("First", -1, byPointer(f), time.Time.Compare)
}

// Last is the record with the latest time; among equals, the one that comes first in the order of codec.Ordered. Otherwise it is
// as First.
func Last[T any](f func(T) time.Time) Aggregator[T, BestState[T, time.Time], T] {
	return best("Last", 1, byPointer(f), time.Time.Compare)
}

func best[T, V any](name string, sign int, f func(*T) V, compare func(a, b V) int) Aggregator[T, BestState[T, V], T] {
	it, err := itemsOf[T](name)
	keep, _ := codec.Detach[V]()
	better := func(item *T, by V, acc *BestState[T, V]) bool {
		if !acc.some {
			return true
		}
		c := compare(by, acc.by)
		return c == sign || c == 0 && it.compare(item, &acc.item) < 0
	}
	return Aggregator[T, BestState[T, V], T]{
		Add: func(acc *BestState[T, V], t *T) {
			by := f(t)
			if !better(t, by, acc) {
				return
			}
			acc.item, acc.by, acc.some = *t, by, true
			if it.keep != nil {
				it.keep(&acc.item)
			}
			if keep != nil {
				keep(&acc.by)
			}
		},
		Merge: func(dst, src *BestState[T, V]) {
			if src.some && better(&src.item, src.by, dst) {
				*dst = *src
			}
		},
		Result: func(acc *BestState[T, V]) T { return it.out(&acc.item) },
		Exact:  true,
		Err:    errors.Join(err, missing(name, f == nil)),
	}
}
