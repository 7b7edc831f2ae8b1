package agg

import (
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/codec"
)

// DistinctState is the accumulator of CountDistinct.
type DistinctState[V comparable] struct{ seen map[V]struct{} }

// CountDistinct counts the different values of f, exactly: every one of them is kept. V must be a type that can be a key
// (codec.KeyFor), without times: take UnixNano of those.
func CountDistinct[T any, V comparable](f func(T) V) Aggregator[T, DistinctState[V], int64] {
	_, keyErr := codec.KeyFor[V]()
	_, stateErr := codec.For[DistinctState[V]]()
	detach, _ := codec.Detach[V]()
	err := errors.Join(missing("CountDistinct", f == nil), keyErr, stateErr)
	if err != nil {
		err = fmt.Errorf("agg: CountDistinct: %w", err)
	}
	return Aggregator[T, DistinctState[V], int64]{
		Add: func(acc *DistinctState[V], t *T) {
			v := f(*t)
			if _, known := acc.seen[v]; known {
				return
			}
			if acc.seen == nil {
				acc.seen = map[V]struct{}{}
			}
			if detach != nil {
				// The copy goes to the heap, but only for a value that is new.
				own := v
				detach(&own)
				v = own
			}
			acc.seen[v] = struct{}{}
		},
		Merge: func(dst, src *DistinctState[V]) {
			if dst.seen == nil {
				dst.seen = make(map[V]struct{}, len(src.seen))
			}
			for v := range src.seen {
				dst.seen[v] = struct{}{}
			}
		},
		Result: func(acc *DistinctState[V]) int64 { return int64(len(acc.seen)) },
		Exact:  true,
		Err:    err,
	}
}
