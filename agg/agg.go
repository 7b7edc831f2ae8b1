// Package agg makes aggregators: what a window keeps of its records, and the result that comes out of it.
//
// A window is given one, and an id under which its state is kept:
//
//	rides.KeyBy(Ride.base).
//		Window(window.Tumbling(time.Hour)).
//		Aggregate("fares", agg.Sum(Ride.cents))
//
// # Which one
//
//	how many                     Count, CountDistinct; DistinctBits for integers, ApproxDistinct when there are too many
//	how much                     Sum, Mean, Min, Max, Variance, StdDev, Quantiles, Histogram
//	which record                 MinBy, MaxBy, TopBy, TopN; First and Last by time
//	all of them                  Collect, which keeps every record of the window
//	something else of the same   Reduce, from two records to one of the same type
//
// # Several at once
//
// Then changes the result of an aggregator. Combine2, Combine3 and Combine4 run several over the same records, and a function makes one result of
// theirs:
//
//	type fares struct {
//		Rides, Cents int64
//	}
//
//	agg.Combine2(agg.Count[Ride](), agg.Sum(Ride.cents), func(n, cents int64) fares { return fares{n, cents} })
//
// # One of one's own
//
// An Aggregator is a struct of functions over an accumulator, of any type that package codec can encode:
//
//	agg.Aggregator[Ride, int64, int64]{
//		Add:    func(total *int64, r *Ride) { *total += r.Cents },
//		Merge:  func(dst, src *int64) { *dst += *src },
//		Result: func(total *int64) int64 { return *total },
//	}
//
// Sliding windows, sessions, and whatever else puts accumulators together need Merge. A mistake in an aggregator, such as a number of
// quantiles that cannot be, is told with the other mistakes of the job before it runs.
//
// # What results depend on
//
// Functions over a field take the record by value (Sum, Min, ...). For a record of ten words the copy costs less than a nanosecond
// against a function that takes a pointer, so there is no second form of each.
//
// Results do not depend on the order of records, nor on how they were divided among accumulators before a merge: ties are
// broken by the order of package codec, collected items are sorted, integers are summed exactly. The exceptions are the last bits of float
// sums and variances, the quantiles of more than 256 values within their error, and functions given to Reduce or Then that depend on
// order themselves.
//
// Most results are exact. Those of ApproxDistinct, and of Quantiles for more than 256 values, are approximate, with bounded memory.
package agg

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/millrace-stream/millrace/codec"
)

// Aggregator turns records of type T into a result of type R by way of an accumulator of type A, which must be of a type
// that package codec can encode. The functions may be called from several goroutines, each with accumulators of its own.
type Aggregator[T, A, R any] struct {
	// Init makes a zero A an empty accumulator. Nil says that it is one already.
	Init func(acc *A)
	// Add adds a record. It must not keep the pointer, and must copy strings that it keeps (codec.Detach), since they may be
	// cut from the buffer of a whole batch.
	Add func(acc *A, record *T)
	// Merge adds what src has to dst, and leaves src as it is. The two may share only memory that is never written to. Nil says
	// that accumulators cannot be merged; windows that need it refuse the aggregator when the job is built.
	Merge func(dst, src *A)
	// Result returns the result so far. It must not change the accumulator, and the result must not share memory with it
	// that anybody may write to.
	Result func(acc *A) R
	// Check, if not nil, is called before Add; a record with an error is not added and goes to the error policy.
	Check func(record *T) error
	// Verify, if not nil, is called before Result; on an error there is no result, and the error goes to the error policy.
	Verify func(acc *A) error
	// Exact says that the result is the same to the last digit however the records were divided among accumulators before a merge. It
	// matters to accumulators with floating-point numbers only: see MergesExactly.
	Exact bool
	// Err is a mistake in the making of the aggregator: the job that uses it does not pass validation. The functions must
	// not be called then.
	Err error
}

// MergesExactly reports whether accumulators can be merged and the result is the same however the records were divided among them:
// Exact says so, or the accumulator holds no floating-point numbers, whose sums depend on their order. Only such records are
// aggregated before they are exchanged, unless the job asks for more.
func (a *Aggregator[T, A, R]) MergesExactly() bool {
	return a.Merge != nil && (a.Exact || !hasFloat(reflect.TypeFor[A](), nil))
}

// hasFloat reports whether values of a type hold floating-point numbers, or may.
func hasFloat(t reflect.Type, seen []reflect.Type) bool {
	if slices.Contains(seen, t) {
		return false
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128, reflect.Interface:
		return true
	case reflect.Array, reflect.Slice, reflect.Pointer:
		return hasFloat(t.Elem(), seen)
	case reflect.Map:
		return hasFloat(t.Key(), seen) || hasFloat(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if hasFloat(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// Integer is any integer type.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Float is any floating-point type.
type Float interface{ ~float32 | ~float64 }

// Number is any type that can be summed.
type Number interface{ Integer | Float }

// Count counts records.
func Count[T any]() Aggregator[T, int64, int64] {
	return Aggregator[T, int64, int64]{
		Add:    func(acc *int64, _ *T) { *acc++ },
		Merge:  func(dst, src *int64) { *dst += *src },
		Result: func(acc *int64) int64 { return *acc },
	}
}

// Then returns an aggregator whose result is f of the result of a. Of memory that it is given, f may do what it wants.
func Then[T, A, R, S any](a Aggregator[T, A, R], f func(R) S) Aggregator[T, A, S] {
	result := a.Result
	return Aggregator[T, A, S]{
		Init: a.Init, Add: a.Add, Merge: a.Merge, Check: a.Check, Verify: a.Verify, Exact: a.Exact,
		Result: func(acc *A) S { return f(result(acc)) },
		Err:    errors.Join(a.Err, missing("Then", f == nil)),
	}
}

// missing is the error for a function that is nil.
func missing(name string, isNil bool) error {
	if isNil {
		return fmt.Errorf("agg: %s: the function is nil; give it one", name)
	}
	return nil
}

// rejectNaN returns the Check for an order value that may be NaN, nil for types without NaN.
func rejectNaN[T any, O cmp.Ordered](name string, f func(*T) O) func(*T) error {
	if k := reflect.TypeFor[O]().Kind(); k != reflect.Float32 && k != reflect.Float64 {
		return nil
	}
	return func(t *T) error {
		if v := f(t); v != v {
			return fmt.Errorf("agg: %s: the value is NaN, which has no place in an order", name)
		}
		return nil
	}
}

// byPointer makes the pointer form of a function.
func byPointer[T, V any](f func(T) V) func(*T) V {
	if f == nil {
		return nil
	}
	return func(t *T) V { return f(*t) }
}

// items is how records are kept and given away.
type items[T any] struct {
	// keep gives a record memory of its own; nil when it has none.
	keep func(*T)
	// give does so for a result; nil when nobody can write to what it shares.
	give func(*T)
	// compare is the order that breaks ties.
	compare func(a, b *T) int
}

func itemsOf[T any](name string) (items[T], error) {
	var it items[T]
	var err error
	if it.keep, err = codec.Detach[T](); err != nil {
		return it, fmt.Errorf("agg: %s keeps records: %w", name, err)
	}
	if codec.LayoutOf[T]() == codec.Deep {
		it.give = it.keep
	}
	if it.compare, err = codec.Compare[T](); err != nil {
		return it, fmt.Errorf("agg: %s orders records: %w", name, err)
	}
	return it, nil
}

// own returns a copy of t with memory of its own.
func (it *items[T]) own(t *T) T {
	if it.keep == nil {
		return *t
	}
	v := *t
	it.keep(&v)
	return v
}

// out returns a copy of t that may be given away.
func (it *items[T]) out(t *T) T {
	if it.give == nil {
		return *t
	}
	v := *t
	it.give(&v)
	return v
}
