package agg_test

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/agg"
)

type Ride struct {
	Base  string
	Cents int64
	Miles float64
}

var rides = []Ride{{"B2", 900, 2.5}, {"B1", 1250, 4}, {"B2", 400, 0.5}, {"B1", 900, 3}}

// show runs an aggregator over the rides, as a window would.
func show[A, R any](a agg.Aggregator[Ride, A, R]) {
	var acc A
	if a.Init != nil {
		a.Init(&acc)
	}
	for i := range rides {
		a.Add(&acc, &rides[i])
	}
	fmt.Fprintln(os.Stdout, a.Result(&acc))
}

func ExampleAggregator() {
	show(agg.Aggregator[Ride, int64, string]{
		Add:    func(cents *int64, r *Ride) { *cents += r.Cents },
		Merge:  func(dst, src *int64) { *dst += *src },
		Result: func(cents *int64) string { return fmt.Sprintf("$%d.%02d", *cents/100, *cents%100) },
	})
	// Output: $34.50
}

func ExampleCount() {
	show(agg.Count[Ride]())
	// Output: 4
}

func ExampleSum() {
	show(agg.Sum(func(r Ride) int64 { return r.Cents }))
	show(agg.Sum(func(r Ride) float64 { return r.Miles }))
	// Output:
	// 3450
	// 10
}

func ExampleMean() {
	show(agg.Mean(func(r Ride) int64 { return r.Cents }))
	// Output: 862.5
}

func ExampleMin() {
	show(agg.Min(func(r Ride) float64 { return r.Miles }))
	// Output: 0.5
}

func ExampleMax() {
	show(agg.Max(func(r Ride) string { return r.Base }))
	// Output: B2
}

func ExampleMinBy() {
	show(agg.MinBy(func(r Ride) int64 { return r.Cents }))
	// Output: {B2 400 0.5}
}

func ExampleMaxBy() {
	show(agg.MaxBy(func(r Ride) float64 { return r.Miles }))
	// Output: {B1 1250 4}
}

func ExampleReduce() {
	show(agg.Reduce(func(a, b Ride) Ride {
		return Ride{Base: max(a.Base, b.Base), Cents: a.Cents + b.Cents, Miles: max(a.Miles, b.Miles)}
	}))
	// Output: {B2 3450 4}
}

func ExampleCollect() {
	show(agg.Collect[Ride]())
	// Output: [{B1 900 3} {B1 1250 4} {B2 400 0.5} {B2 900 2.5}]
}

func ExampleTopN() {
	show(agg.TopN(3, func(a, b Ride) int { return cmp.Compare(a.Cents, b.Cents) }))
	// Output: [{B1 1250 4} {B1 900 3} {B2 900 2.5}]
}

func ExampleTopBy() {
	show(agg.TopBy(2, func(r Ride) float64 { return r.Miles }))
	// Output: [{B1 1250 4} {B1 900 3}]
}

func ExampleCountDistinct() {
	show(agg.CountDistinct(func(r Ride) string { return r.Base }))
	// Output: 2
}

func ExampleDistinctBits() {
	show(agg.DistinctBits(func(r Ride) int64 { return r.Cents }))
	// Output: 3
}

func ExampleApproxDistinct() {
	show(agg.ApproxDistinct(func(r Ride) string { return r.Base }))
	// Output: 2
}

func ExampleApproxDistinctAt() {
	// 2^10 registers: a standard error of 3% in one kilobyte.
	show(agg.ApproxDistinctAt(10, func(r Ride) int64 { return r.Cents }))
	// Output: 3
}

func ExampleHistogram() {
	// Below 1, from 1 to below 3, from 3 on.
	show(agg.Histogram(func(r Ride) float64 { return r.Miles }, 1, 3))
	// Output: [1 1 2]
}

func ExampleQuantiles() {
	show(agg.Quantiles(func(r Ride) int64 { return r.Cents }, 0.5, 0.9))
	// Output: [900 1145]
}

func ExampleVariance() {
	show(agg.Variance(func(r Ride) int64 { return r.Cents }))
	// Output: 122291.66666666667
}

func ExampleVariancePop() {
	show(agg.VariancePop(func(r Ride) int64 { return r.Cents }))
	// Output: 91718.75
}

func ExampleStdDev() {
	show(agg.Then(agg.StdDev(func(r Ride) float64 { return r.Miles }), func(v float64) string { return fmt.Sprintf("%.3f", v) }))
	// Output: 1.472
}

func ExampleStdDevPop() {
	show(agg.Then(agg.StdDevPop(func(r Ride) float64 { return r.Miles }), func(v float64) string { return fmt.Sprintf("%.3f", v) }))
	// Output: 1.275
}

type Reading struct {
	At      time.Time
	Celsius float64
}

func ExampleFirst() {
	first := agg.First(func(r Reading) time.Time { return r.At })
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var acc agg.BestState[Reading, time.Time]
	first.Add(&acc, &Reading{noon.Add(time.Minute), 20.5})
	first.Add(&acc, &Reading{noon, 21})
	fmt.Println(first.Result(&acc).Celsius)
	// Output: 21
}

func ExampleLast() {
	last := agg.Last(func(r Reading) time.Time { return r.At })
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var acc agg.BestState[Reading, time.Time]
	last.Add(&acc, &Reading{noon.Add(time.Minute), 20.5})
	last.Add(&acc, &Reading{noon, 21})
	fmt.Println(last.Result(&acc).Celsius)
	// Output: 20.5
}

func ExampleCombine2() {
	type spend struct{ Rides, Cents int64 }
	show(agg.Combine2(agg.Count[Ride](), agg.Sum(func(r Ride) int64 { return r.Cents }),
		func(n, cents int64) spend { return spend{n, cents} }))
	// Output: {4 3450}
}

func ExampleCombine3() {
	miles := func(r Ride) float64 { return r.Miles }
	show(agg.Combine3(agg.Min(miles), agg.Mean(miles), agg.Max(miles),
		func(low, mean, high float64) string { return fmt.Sprintf("%g to %g, mean %g", low, high, mean) }))
	// Output: 0.5 to 4, mean 2.5
}

func ExampleCombine4() {
	cents := func(r Ride) int64 { return r.Cents }
	type stats struct{ N, Sum, Min, Max int64 }
	show(agg.Combine4(agg.Count[Ride](), agg.Sum(cents), agg.Min(cents), agg.Max(cents),
		func(n, sum, low, high int64) stats { return stats{n, sum, low, high} }))
	// Output: {4 3450 400 1250}
}

func ExampleThen() {
	bases := agg.Then(agg.Collect[Ride](), func(all []Ride) string {
		var names []string
		for _, r := range all {
			names = append(names, r.Base)
		}
		return strings.Join(names, " ")
	})
	show(bases)
	// Output: B1 B1 B2 B2
}
