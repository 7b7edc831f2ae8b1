// Package model says what the operators must do, in the plainest way that can be written down: a stream is a slice, an
// operator is a function from slice to slice, and nothing is kept per pane, batched, shared or restored.
//
// The tests of this package run random jobs through the public API and compare what comes out with the model. So the
// model is written from the rules alone and takes nothing from the engine but the type of a window's result.
//
// The package is not for speed: a window holds all of its records.
package model

import (
	"math"
	"slices"
)

// End is the watermark after the last record of bounded input.
const End = math.MaxInt64

// None is the clock of an operator before the first watermark.
const None = math.MinInt64

// Item is one step of a stream: a record with its event time, or a watermark.
type Item[T any] struct {
	// Value is the record.
	Value T
	// Time is the event time of the record, or the watermark, in ns since 1970.
	Time int64
	// Mark says that the item is a watermark.
	Mark bool
}

// Source is a split that is read in order: after each record that is newer than all before it, the watermark is that
// record's time - bound - 1.
func Source[T any](records []T, time func(T) int64, bound int64) []Item[T] {
	var out []Item[T]
	newest := int64(None)
	for _, r := range records {
		t := time(r)
		out = append(out, Item[T]{Value: r, Time: t})
		if t > newest {
			newest = t
			out = append(out, Item[T]{Time: t - bound - 1, Mark: true})
		}
	}
	return append(out, Item[T]{Time: End, Mark: true})
}

// FlatMap puts what f returns in the place of each record. Map and filter are cases of it.
func FlatMap[T, U any](in []Item[T], f func(T) []U) []Item[U] {
	var out []Item[U]
	for _, x := range in {
		if x.Mark {
			out = append(out, Item[U]{Time: x.Time, Mark: true})
			continue
		}
		for _, u := range f(x.Value) {
			out = append(out, Item[U]{Value: u, Time: x.Time})
		}
	}
	return out
}

// Union joins streams of which nothing is late: their records in any order, then the final watermark.
func Union[T any](streams ...[]Item[T]) []Item[T] {
	all := slices.DeleteFunc(slices.Concat(streams...), func(x Item[T]) bool { return x.Mark })
	return append(all, Item[T]{Time: End, Mark: true})
}

// Records returns the records of a stream.
func Records[T any](in []Item[T]) []T {
	var out []T
	for _, x := range in {
		if !x.Mark {
			out = append(out, x.Value)
		}
	}
	return out
}
