package agg

import (
	"cmp"
	"math"
	"math/big"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// exactVariance computes with rational numbers.
func exactVariance[T any, N Number](f func(T) N, less int) func([]T) float64 {
	return func(r []T) float64 {
		if len(r) <= less {
			return math.NaN()
		}
		n, mean, total := big.NewRat(int64(len(r)), 1), new(big.Rat), new(big.Rat)
		rat := func(v N) *big.Rat {
			if isFloat[N]() {
				return new(big.Rat).SetFloat64(float64(v))
			}
			i, _ := new(big.Int).SetString(decimal(v), 10)
			return new(big.Rat).SetInt(i)
		}
		for _, x := range r {
			mean.Add(mean, rat(f(x)))
		}
		mean.Quo(mean, n)
		for _, x := range r {
			d := new(big.Rat).Sub(rat(f(x)), mean)
			total.Add(total, d.Mul(d, d))
		}
		out, _ := total.Quo(total, big.NewRat(int64(len(r)-less), 1)).Float64()
		return out
	}
}

func decimal[N Number](v N) string {
	if v < 0 {
		return big.NewInt(int64(v)).String()
	}
	return new(big.Int).SetUint64(uint64(v)).String()
}

func exactly(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestVarianceOfIntegersIsExact(t *testing.T) {
	checkEqual(t, Variance(cents), genTrip(), exactVariance(cents, 1), exactly)
	checkEqual(t, VariancePop(miles), genTrip(), exactVariance(miles, 0), exactly)
	checkEqual(t, Variance(self[int64]), rapid.Int64(), exactVariance(self[int64], 1), exactly)
	checkEqual(t, VariancePop(self[int64]), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MaxInt64 - 1}),
		exactVariance(self[int64], 0), exactly)
	checkEqual(t, VariancePop(self[uint64]), rapid.SampledFrom([]uint64{0, 1, math.MaxUint64, math.MaxUint64 - 1}),
		exactVariance(self[uint64], 0), exactly)
	root := func(r []trip) float64 { return math.Sqrt(exactVariance(cents, 1)(r)) }
	checkEqual(t, StdDev(cents), genTrip(), root, exactly)
	rootPop := func(r []trip) float64 { return math.Sqrt(exactVariance(cents, 0)(r)) }
	checkEqual(t, StdDevPop(cents), genTrip(), rootPop, exactly)
}

// TestVarianceOfFloatsIsStable has values whose distances are tiny against them: the mean of squares less the square of the mean would leave
// nothing, and Welford's method with a mean of 53 bits six digits.
func TestVarianceOfFloatsIsStable(t *testing.T) {
	near := func(a, b float64) bool { return exactly(a, b) || math.Abs(a-b) <= 1e-14*b }
	gen := rapid.Custom(func(t *rapid.T) float64 { return 1e9 + rapid.Float64Range(0, 1).Draw(t, "f") })
	checkEqual(t, Variance(self[float64]), gen, exactVariance(self[float64], 1), near)
	checkEqual(t, VariancePop(self[float64]), gen, exactVariance(self[float64], 0), near)
	checkEqual(t, Variance(self[float32]), rapid.Float32Range(-1e6, 1e6), exactVariance(self[float32], 1), near)
	rnd, values := rand.New(rand.NewSource(1)), make([]float64, 20_000)
	for i := range values {
		values[i] = 1e12 + rnd.NormFloat64()
	}
	want := exactVariance(self[float64], 1)(values)
	got := fold(t, Variance(self[float64]), values)
	if off := math.Abs(got-want) / want; off > 1e-13 {
		t.Errorf("the variance of 1e12 ± 1 is %v, want %v: %.1g off", got, want, off)
	}
}

func TestVarianceThatOverflowsIsAnError(t *testing.T) {
	for _, values := range [][]float64{{1e200, -1e200}, {math.MaxFloat64, -math.MaxFloat64, 0}, {math.MaxFloat64, math.MaxFloat64, math.MaxFloat64}} {
		a := StdDev(self[float64])
		acc, other := newAcc(a), newAcc(a)
		for _, v := range values {
			if err := a.Check(&v); err != nil {
				t.Fatal(err)
			}
			a.Add(acc, &v)
		}
		if err := a.Verify(acc); err == nil || !strings.Contains(err.Error(), "agg: StdDev: ") {
			t.Errorf("%v: the result is %v, error %v", values, a.Result(acc), err)
		}
		if a.Merge(other, acc); a.Verify(other) == nil {
			t.Errorf("%v: merged, the result is %v", values, a.Result(other))
		}
	}
}

func TestFirstAndLast(t *testing.T) {
	// Two zones show that instants are compared, not clocks; far years, that nothing overflows.
	when := func(x trip) time.Time {
		at := time.Date(2001+1000*int(x.Cents), 1, 1, 12, 0, 0, 0, time.UTC)
		if x.Miles%2 == 0 {
			at = at.In(time.FixedZone("far", 9*3600))
		}
		return at
	}
	up := func(a, b trip) int { return cmp.Compare(a.Cents, b.Cents) }
	down := func(a, b trip) int { return cmp.Compare(b.Cents, a.Cents) }
	check(t, First(when), genTrip(), firstOf(up))
	check(t, Last(when), genTrip(), firstOf(down))
}

func TestNumbersWithoutPlaceAreRejected(t *testing.T) {
	nan, inf, huge, fine := math.NaN(), math.Inf(-1), 1e300, 1e9
	reject := func(name string, check func(*float64) error, bad ...float64) {
		t.Helper()
		for _, v := range bad {
			if err := check(&v); err == nil || !strings.Contains(err.Error(), "agg: "+name+": ") {
				t.Errorf("%s: %v: error %v", name, v, err)
			}
		}
		if err := check(&fine); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	reject("Variance", Variance(self[float64]).Check, nan, inf)
	reject("VariancePop", VariancePop(self[float64]).Check, nan, inf)
	reject("StdDev", StdDev(self[float64]).Check, nan, inf)
	reject("StdDevPop", StdDevPop(self[float64]).Check, nan, inf)
	reject("Quantiles", Quantiles(self[float64], 0.5).Check, nan, inf, huge)
	reject("Histogram", Histogram(self[float64], 0).Check, nan)
	if Variance(self[int]).Check != nil || Quantiles(self[int], 0.5).Check != nil {
		t.Error("integers are checked for NaN")
	}
}

func TestMistakesInSketches(t *testing.T) {
	nan := math.NaN()
	for want, err := range map[string]error{
		"First: the function is nil":          First[int](nil).Err,
		"Last: the function is nil":           Last[int](nil).Err,
		"First keeps records":                 First(func(chan int) time.Time { return time.Time{} }).Err,
		"Variance: the function is nil":       Variance[int, int](nil).Err,
		"StdDevPop: the function is nil":      StdDevPop[int, float64](nil).Err,
		"Quantiles: the function is nil":      Quantiles[int, int](nil, 0.5).Err,
		"there is no quantile":                Quantiles(self[int]).Err,
		"1.5 is not a quantile":               Quantiles(self[int], 0.5, 1.5).Err,
		"-0.1 is not a quantile":              Quantiles(self[int], -0.1).Err,
		"NaN is not a quantile":               Quantiles(self[int], nan).Err,
		"DistinctBits: the function is nil":   DistinctBits[int, int](nil).Err,
		"ApproxDistinct: the function is nil": ApproxDistinct[int, int](nil).Err,
		"float64 cannot be (part of) a key":   ApproxDistinct(self[float64]).Err,
		"the precision is 3":                  ApproxDistinctAt(3, self[int]).Err,
		"the precision is 19":                 ApproxDistinctAt(19, self[int]).Err,
		"Histogram: the function is nil":      Histogram[int](nil, 1).Err,
		"there are no bounds":                 Histogram(self[int]).Err,
		"bound 2 (1) is not above bound 1":    Histogram(self[int], 1, 1).Err,
		"bound 3 (2) is not above bound 2":    Histogram(self[int], 1, 3, 2).Err,
		"bound 1 is NaN":                      Histogram(self[float64], nan).Err,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestBoundsAndQuantilesAreCopied(t *testing.T) {
	bounds, qs, v := []int{5}, []float64{0}, 3
	h, q := Histogram(self[int], bounds...), Quantiles(self[int], qs...)
	bounds[0], qs[0] = 0, 7
	x, y := newAcc(h), newAcc(q)
	h.Add(x, &v)
	q.Add(y, &v)
	if got := h.Result(x); !reflect.DeepEqual(got, []int64{1, 0}) || h.Verify(x) != nil {
		t.Errorf("histogram %v, error %v", got, h.Verify(x))
	}
	if got := q.Result(y); !reflect.DeepEqual(got, []float64{3}) {
		t.Errorf("quantiles %v", got)
	}
}
