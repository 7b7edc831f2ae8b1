package agg_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/agg"
)

type sample struct {
	At    time.Time
	N     int64
	Price float64
}

func (s sample) at() time.Time  { return s.At }
func (s sample) n() int64       { return s.N }
func (s sample) price() float64 { return s.Price }

// said is whether an aggregator says that its merges are exact.
func said[A, R any](a agg.Aggregator[sample, A, R]) bool { return a.MergesExactly() }

func TestWhichAggregatorsMergeExactly(t *testing.T) {
	noMerge := agg.Count[sample]()
	noMerge.Merge = nil
	own := agg.Aggregator[sample, float64, float64]{
		Add: func(acc *float64, s *sample) { *acc += s.Price }, Merge: func(dst, src *float64) { *dst += *src },
		Result: func(acc *float64) float64 { return *acc },
	}
	largest := own
	largest.Merge, largest.Exact = func(dst, src *float64) { *dst = max(*dst, *src) }, true
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"count", said(agg.Count[sample]()), true},
		{"without merge", said(noMerge), false},
		{"sum of integers", said(agg.Sum(sample.n)), true},
		{"sum of floats", said(agg.Sum(sample.price)), false},
		{"mean of integers", said(agg.Mean(sample.n)), true},
		{"mean of floats", said(agg.Mean(sample.price)), false},
		{"deviation of integers", said(agg.StdDev(sample.n)), true},
		{"deviation of floats", said(agg.StdDev(sample.price)), false},
		{"quantiles, also of integers", said(agg.Quantiles(sample.n, 0.5)), false},
		{"largest float", said(agg.Max(sample.price)), true},
		{"record with the smallest float", said(agg.MinBy(sample.price)), true},
		{"first record", said(agg.First(sample.at)), true},
		{"top records", said(agg.TopBy(3, sample.price)), true},
		{"distinct", said(agg.CountDistinct(sample.n)), true},
		{"about distinct", said(agg.ApproxDistinct(sample.n)), true},
		{"histogram of floats", said(agg.Histogram(sample.price, 1, 2)), true},
		{"reduction of records with a float", said(agg.Reduce(func(a, _ sample) sample { return a })), false},
		{"own with a float", said(own), false},
		{"own with a float that says so", said(largest), true},
		{"then", said(agg.Then(agg.Max(sample.price), func(f float64) string { return fmt.Sprint(f) })), true},
		{"two exact", said(agg.Combine2(agg.Max(sample.price), agg.Count[sample](), func(f float64, n int64) float64 { return f })), true},
		{"two, one of them not", said(agg.Combine2(agg.Sum(sample.price), agg.Count[sample](), func(f float64, n int64) float64 { return f })), false},
		{"three", said(agg.Combine3(agg.Max(sample.price), agg.Count[sample](), agg.Min(sample.price), func(f float64, n int64, g float64) float64 { return f })), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}
