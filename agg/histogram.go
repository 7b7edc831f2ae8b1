package agg

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/millrace-stream/millrace/codec"
	"github.com/zeebo/xxh3"
)

// HistogramState is the accumulator of Histogram.
type HistogramState[V cmp.Ordered] struct {
	// kind has no size; it shows in the description of the state that the bounds are of type V.
	kind [0]V //nolint:unused // read by codec.Describe
	// bounds tells the bounds that the counts belong to from others. A job may be started again with other ones.
	bounds uint64
	counts []int64
	mixed  bool
}

// Histogram counts how many values of f fall between bounds, which must rise. With n bounds the result has n+1 counts: values below
// the first bound, values from each bound (inclusive) to the next (exclusive), and values from the last bound on; these are the
// numbers that width_bucket of SQL gives. A record whose value is NaN is rejected.
func Histogram[T any, V cmp.Ordered](f func(T) V, bounds ...V) Aggregator[T, HistogramState[V], []int64] {
	bounds = slices.Clone(bounds)
	mark, err := markBounds(bounds)
	if f == nil {
		err = missing("Histogram", true)
	}
	// start returns false when the accumulator belongs to other bounds, which Verify reports.
	start := func(acc *HistogramState[V]) bool {
		if acc.counts == nil {
			acc.bounds, acc.counts = mark, make([]int64, len(bounds)+1)
		}
		return acc.bounds == mark && len(acc.counts) == len(bounds)+1
	}
	return Aggregator[T, HistogramState[V], []int64]{
		Exact: true,
		Add: func(acc *HistogramState[V], t *T) {
			v := f(*t)
			if start(acc) {
				acc.counts[sort.Search(len(bounds), func(i int) bool { return bounds[i] > v })]++
			}
		},
		Merge: func(dst, src *HistogramState[V]) {
			switch {
			case src.counts == nil:
				dst.mixed = dst.mixed || src.mixed
			case dst.counts == nil:
				dst.bounds, dst.counts, dst.mixed = src.bounds, slices.Clone(src.counts), dst.mixed || src.mixed
			case dst.bounds != src.bounds || len(dst.counts) != len(src.counts):
				dst.mixed = true
			default:
				dst.mixed = dst.mixed || src.mixed
				for i, n := range src.counts {
					dst.counts[i] += n
				}
			}
		},
		Result: func(acc *HistogramState[V]) []int64 {
			if acc.counts == nil {
				return make([]int64, len(bounds)+1)
			}
			return slices.Clone(acc.counts)
		},
		Verify: func(acc *HistogramState[V]) error {
			if acc.mixed || acc.counts != nil && !start(acc) {
				return fmt.Errorf("agg: Histogram: the stored counts belong to other bounds than %v; go back to the ones from before, "+
					"or give the operator another name so that it starts anew", bounds)
			}
			return nil
		},
		Check: rejectNaN("Histogram", byPointer(f)),
		Err:   err,
	}
}

// markBounds checks bounds and returns a hash of them, the same in every run.
func markBounds[V cmp.Ordered](bounds []V) (uint64, error) {
	if len(bounds) == 0 {
		return 0, fmt.Errorf("agg: Histogram: there are no bounds; give it one or more")
	}
	for i, b := range bounds {
		if b != b {
			return 0, fmt.Errorf("agg: Histogram: bound %d is NaN, which has no place in an order", i+1)
		}
		if i > 0 && bounds[i-1] >= b {
			return 0, fmt.Errorf("agg: Histogram: bound %d (%v) is not above bound %d (%v); bounds must rise", i+1, b, i, bounds[i-1])
		}
	}
	c, err := codec.For[[]V]()
	if err != nil {
		return 0, fmt.Errorf("agg: Histogram: %w", err)
	}
	return xxh3.Hash(c.Append(nil, &bounds)), nil
}
