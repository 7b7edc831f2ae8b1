package agg

import (
	"bytes"
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"pgregory.net/rapid"
)

func self[T any](v T) T { return v }

// encode is the accumulator as it stands in a checkpoint.
func encode[A any](t testing.TB, acc *A) []byte {
	t.Helper()
	c, err := codec.For[A]()
	if err != nil {
		t.Fatal(err)
	}
	return c.Append(nil, acc)
}

func decode[A any](t testing.TB, data []byte) *A {
	t.Helper()
	c, err := codec.For[A]()
	if err != nil {
		t.Fatal(err)
	}
	acc := new(A)
	if rest, err := c.Decode(data, acc); err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes left, error %v", len(rest), err)
	}
	return acc
}

func TestDistinctBits(t *testing.T) {
	distinct := func(r []trip) int64 {
		seen := map[int32]bool{}
		for _, x := range r {
			seen[x.Cents] = true
		}
		return int64(len(seen))
	}
	check(t, DistinctBits(cents), genTrip(), distinct)
	check(t, DistinctBits(self[int8]), rapid.Int8(), func(r []int8) int64 {
		slices.Sort(r)
		return int64(len(slices.Compact(r)))
	})
	a, acc := DistinctBits(self[int64]), new(BitsState[int64])
	for _, v := range []int64{0, -1, 1, math.MinInt64, math.MaxInt64, -1, 1 << 32} {
		a.Add(acc, &v)
	}
	if n := a.Result(acc); n != 6 {
		t.Errorf("%d values, want 6", n)
	}
}

func TestApproxDistinctIsExactForFew(t *testing.T) {
	zones := func(r []trip) int64 {
		seen := map[string]bool{}
		for _, x := range r {
			seen[x.Zone] = true
		}
		return int64(len(seen))
	}
	check(t, ApproxDistinct(zone), genTrip(), zones)
	check(t, ApproxDistinctAt(4, func(t trip) int32 { return t.Cents }), genTrip(), func(r []trip) int64 {
		seen := map[int32]bool{}
		for _, x := range r {
			seen[x.Cents] = true
		}
		return int64(len(seen))
	})
}

// TestSetsDoNotDependOnHistory brings the same values into an accumulator in many ways; what would stand in a checkpoint must be the same,
// and so the result.
func TestSetsDoNotDependOnHistory(t *testing.T) {
	wide := func(t *rapid.T) []uint32 {
		n := rapid.IntRange(1, 6000).Draw(t, "n")
		step := rapid.SampledFrom([]uint32{1, 2, 3, 977, 1 << 20}).Draw(t, "step")
		out := make([]uint32, n)
		for i := range out {
			out[i] = uint32(i) * step
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		values := wide(t)
		sameHistory(t, DistinctBits(self[uint32]), values)
		sameHistory(t, ApproxDistinctAt(8, self[uint32]), values)
		sameHistory(t, ApproxDistinct(self[uint32]), values)
		sameHistory(t, Histogram(self[uint32], 5, 100, 1<<20), values)
		sameHistory(t, VariancePop(self[uint32]), values)
	})
}

// TestFullSetsDoNotDependOnHistory has parts of 65,536 values that are full in the end, however they became so.
func TestFullSetsDoNotDependOnHistory(t *testing.T) {
	values := make([]uint32, 200_000)
	for i := range values {
		values[i] = uint32(i) + 1<<16 - 1000
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		if runs++; runs <= 10 { // they are large
			sameHistory(t, DistinctBits(self[uint32]), values)
		}
	})
}

func sameHistory[A, R any](t *rapid.T, a Aggregator[uint32, A, R], values []uint32) {
	t.Helper()
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	c, err := codec.For[A]()
	if err != nil {
		t.Fatal(err)
	}
	want := newAcc(a)
	for _, v := range values {
		a.Add(want, &v)
	}
	rnd := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
	accs := make([]*A, 1+rnd.Intn(4))
	for i := range accs {
		accs[i] = newAcc(a)
	}
	restartAt := rnd.Intn(len(values))
	for k, i := range rnd.Perm(len(values)) {
		j := rnd.Intn(len(accs))
		a.Add(accs[j], &values[i])
		if k == restartAt {
			accs[j] = restart(t, c, accs[j])
		}
	}
	for _, o := range accs[1:] {
		before := c.Append(nil, o)
		a.Merge(accs[0], o)
		a.Add(accs[0], &values[0])
		if _, counts := any(o).(codec.Self); !counts {
			// Of what is counted and not a set, one more is one more.
			a.Add(want, &values[0])
		}
		if !bytes.Equal(before, c.Append(nil, o)) {
			t.Fatal("Merge changed its source, or shares memory with it")
		}
	}
	if got, want := c.Append(nil, accs[0]), c.Append(nil, want); !bytes.Equal(got, want) {
		t.Fatalf("%T of %d values depends on their history: %d bytes, %d in one go", *accs[0], len(values), len(got), len(want))
	}
}

func TestErrorOfApproxDistinct(t *testing.T) {
	for _, precision := range []int{4, 8, 11, 14, 18} {
		a := ApproxDistinctAt(precision, self[int64])
		acc, sum, n := newAcc(a), 0.0, 0
		for v := range int64(300_000) {
			a.Add(acc, &v)
			// Estimates at points that are far apart are nearly independent of each other.
			if have := v + 1; have&(have-1) == 0 && int(have) > fewHashes(precision) {
				off := float64(a.Result(acc)-have) / float64(have)
				sum, n = sum+off*off, n+1
			}
		}
		promised := 1.04 / math.Sqrt(float64(int(1)<<precision))
		if got := math.Sqrt(sum / float64(n)); got > 1.7*promised {
			t.Errorf("precision %d: the error of %d estimates is %.2f%%, promised %.2f%%", precision, n, 100*got, 100*promised)
		} else {
			t.Logf("precision %d: the error of %d estimates is %.2f%%, promised %.2f%%", precision, n, 100*got, 100*promised)
		}
	}
	a := ApproxDistinct(self[int64])
	acc := newAcc(a)
	for v := range int64(300_000) {
		a.Add(acc, &v)
	}
	// The number must never change: results of a restored job would not fit to those before.
	if got := a.Result(acc); got != 300_939 {
		t.Errorf("the estimate has changed to %d", got)
	}
}

func TestApproxDistinctKeepsNoText(t *testing.T) {
	a, text := ApproxDistinct(self[string]), "cut from the buffer of a batch"
	acc := newAcc(a)
	if a.Add(acc, &text); acc.value != "" {
		t.Errorf("the accumulator holds on to %q", acc.value)
	}
}

func TestRegistersOfOtherPrecisionAreAnError(t *testing.T) {
	a, b := ApproxDistinctAt(8, self[int]), ApproxDistinctAt(10, self[int])
	x, y := newAcc(a), newAcc(b)
	for v := range 1000 {
		a.Add(x, &v)
		b.Add(y, &v)
	}
	if b.Merge(y, x); b.Verify(y) == nil || b.Verify(decode[ApproxState[int]](t, encode(t, y))) == nil {
		t.Error("registers of two precisions were merged")
	}
	if a.Verify(x) != nil {
		t.Error("an accumulator without fault is refused")
	}
}

func TestHistogramOfOtherBoundsIsAnError(t *testing.T) {
	a, b := Histogram(self[int], 1, 5), Histogram(self[int], 1, 6)
	x, y, z, one := newAcc(a), newAcc(b), newAcc(a), 1
	if a.Verify(x) != nil {
		t.Error("an empty accumulator is refused")
	}
	a.Add(x, &one)
	b.Add(y, &one)
	if b.Verify(x) == nil {
		t.Error("counts between other bounds are accepted")
	}
	b.Add(x, &one)
	if got := a.Result(x); !slices.Equal(got, []int64{0, 1, 0}) {
		t.Errorf("a value was counted between other bounds: %v", got)
	}
	if a.Merge(z, x); a.Verify(z) != nil {
		t.Error("a merge with an empty accumulator is refused")
	}
	if b.Merge(y, x); b.Verify(y) == nil {
		t.Error("counts between different bounds were merged")
	}
}

func TestHistogram(t *testing.T) {
	check(t, Histogram(cents, -1, 0, 3), genTrip(), func(r []trip) []int64 {
		out := make([]int64, 4)
		for _, x := range r {
			switch {
			case x.Cents < -1:
				out[0]++
			case x.Cents < 0:
				out[1]++
			case x.Cents < 3:
				out[2]++
			default:
				out[3]++
			}
		}
		return out
	})
	check(t, Histogram(zone, "b"), genTrip(), func(r []trip) []int64 {
		out := make([]int64, 2)
		for _, x := range r {
			if x.Zone < "b" {
				out[0]++
			} else {
				out[1]++
			}
		}
		return out
	})
}

func TestAddingToSketchesAllocatesNothing(t *testing.T) {
	allocates(t, "Variance", Variance(self[int64]))
	allocates(t, "Histogram", Histogram(self[int64], 10, 1000))
	allocates(t, "DistinctBits", DistinctBits(self[int64]))
	allocates(t, "ApproxDistinct of few", ApproxDistinct(self[int64]))
	allocates(t, "ApproxDistinct", ApproxDistinctAt(4, self[int64]))
	allocates(t, "ApproxDistinct of pairs", ApproxDistinctAt(4, func(v int64) [2]int64 { return [2]int64{v, v % 7} }))
	allocates(t, "First", First(func(v int64) time.Time { return time.Unix(-v, 0) }))
}

func allocates[A, R any](t *testing.T, name string, a Aggregator[int64, A, R]) {
	t.Helper()
	acc := newAcc(a)
	for v := range int64(400) {
		a.Add(acc, &v)
	}
	v := int64(0)
	if got := testing.AllocsPerRun(300, func() { v++; a.Add(acc, &v) }); got != 0 {
		t.Errorf("%s: %v allocations for a value", name, got)
	}
}
