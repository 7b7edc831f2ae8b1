package agg

import "testing"

// wide has six fields, ten words: more than fit into registers at a call by value.
type wide struct {
	Origin, Dest string
	Time         int64
	Delay, Miles int64
	Fare         float64
}

func benchAdd[A, R any](b *testing.B, name string, a Aggregator[wide, A, R]) {
	records := make([]wide, 256)
	for i := range records {
		records[i] = wide{Origin: "ORD", Dest: "JFK", Time: int64(i), Delay: int64(i * 7919 % 256), Miles: 100, Fare: 1.5}
	}
	acc := newAcc(a)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a.Add(acc, &records[i&255])
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	delay := func(w wide) int64 { return w.Delay }
	benchAdd(b, "Count", Count[wide]())
	benchAdd(b, "Sum", Sum(delay))
	benchAdd(b, "SumFloat", Sum(func(w wide) float64 { return w.Fare }))
	benchAdd(b, "Max", Max(delay))
	benchAdd(b, "MaxBy", MaxBy(delay))
	benchAdd(b, "CountDistinct", CountDistinct(delay))
	benchAdd(b, "TopN10", TopN(10, func(x, y wide) int { return int(x.Delay - y.Delay) }))
	benchAdd(b, "TopBy10", TopBy(10, delay))
	benchAdd(b, "Reduce", Reduce(func(x, y wide) wide { x.Fare += y.Fare; return x }))
	benchAdd(b, "Variance", Variance(delay))
	benchAdd(b, "VarianceFloat", Variance(func(w wide) float64 { return w.Fare }))
	benchAdd(b, "Histogram10", Histogram(delay, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
	benchAdd(b, "DistinctBits", DistinctBits(delay))
	benchAdd(b, "ApproxDistinct", ApproxDistinctAt(8, delay))
	benchAdd(b, "Quantiles", Quantiles(delay, 0.5))
	type four struct{ n, sum, low, high int64 }
	join := func(n, s, l, h int64) four { return four{n, s, l, h} }
	benchAdd(b, "CountSumMinMax", Combine4(Count[wide](), Sum(delay), Min(delay), Max(delay), join))
	benchAdd(b, "SumByPointer", Aggregator[wide, SumState[int64], int64]{Add: byPointerAdd(func(w *wide) int64 { return w.Delay })})
	benchAdd(b, "OwnStruct", Aggregator[wide, four, four]{Add: func(a *four, w *wide) {
		a.n++
		a.sum += w.Delay
		a.low, a.high = min(a.low, w.Delay), max(a.high, w.Delay)
	}})
}

// byPointerAdd is what Sum would do with a function that takes a pointer, for comparison.
func byPointerAdd(f func(*wide) int64) func(*SumState[int64], *wide) {
	return func(acc *SumState[int64], w *wide) { acc.add(f(w)) }
}

// BenchmarkRestore is the decoding of one accumulator of the largest size.
func BenchmarkRestore(b *testing.B) {
	q, d, s := Quantiles(self[int64], 0.5), ApproxDistinct(self[int64]), DistinctBits(self[int64])
	x, y, z := newAcc(q), newAcc(d), newAcc(s)
	for v := range int64(100_000) {
		even := 2 * v
		q.Add(x, &v)
		d.Add(y, &v)
		s.Add(z, &even)
	}
	benchRestore(b, "Quantiles", x)
	benchRestore(b, "ApproxDistinct", y)
	benchRestore(b, "DistinctBits", z)
}

func benchRestore[A any](b *testing.B, name string, acc *A) {
	data := encode(b, acc)
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			decode[A](b, data)
		}
	})
}
