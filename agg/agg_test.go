package agg

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func cents(t trip) int32  { return t.Cents }
func fare(t trip) float64 { return t.Fare }
func miles(t trip) uint8  { return t.Miles }
func zone(t trip) string  { return t.Zone }

// byOrder sorts records as codec.Ordered does, written by hand.
func byOrder(a, b trip) int {
	return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(floatKey(a.Fare), floatKey(b.Fare)),
		cmp.Compare(a.Cents, b.Cents), cmp.Compare(a.Miles, b.Miles))
}

// floatKey puts -0 before 0.
func floatKey(f float64) float64 {
	if f == 0 && math.Signbit(f) {
		return -math.SmallestNonzeroFloat64
	}
	return f
}

func TestCountSumAndMean(t *testing.T) {
	check(t, Count[trip](), genTrip(), func(r []trip) int64 { return int64(len(r)) })
	sumCents := func(r []trip) (n int32) {
		for _, x := range r {
			n += x.Cents
		}
		return n
	}
	check(t, Sum(cents), genTrip(), sumCents)
	check(t, Sum(func(t trip) uint64 { return uint64(t.Miles) }), genTrip(), func(r []trip) (n uint64) {
		for _, x := range r {
			n += uint64(x.Miles)
		}
		return n
	})
	meanCents := func(r []trip) float64 { return float64(sumCents(r)) / float64(len(r)) }
	checkEqual(t, Mean(cents), genTrip(), meanCents, sameFloat)
}

// sameFloat allows for the last bit.
func sameFloat(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 4e-16*math.Max(math.Abs(a), math.Abs(b))
}

func exactSum(r []trip) float64 {
	total := new(big.Float).SetPrec(2000)
	for _, x := range r {
		total.Add(total, new(big.Float).SetFloat64(x.Fare))
	}
	f, _ := total.Float64()
	return f
}

func TestFloatSumsLoseNothingThatMatters(t *testing.T) {
	// The error of a compensated sum of n values is below n * eps^2 * (sum of the absolute values) plus a rounding of the result:
	// 30 * 2^-104 * 3e19 = 5e-11. A plain sum would be off by up to 30 * 2^-52 * 3e19 = 200,000.
	near := func(got, want float64) bool { return sameFloat(got, want) || math.Abs(got-want) <= 5e-11 }
	checkEqual(t, Sum(fare), genTrip(), exactSum, near)
	checkEqual(t, Mean(fare), genTrip(), func(r []trip) float64 { return exactSum(r) / float64(len(r)) }, near)
	a, acc := Sum(func(v float64) float64 { return v }), SumState[float64]{}
	for _, v := range []float64{1, 1e100, 1, -1e100} {
		a.Add(&acc, &v)
	}
	if got := a.Result(&acc); got != 2 {
		t.Errorf("1 + 1e100 + 1 - 1e100 is %v", got)
	}
	inf := math.Inf(1)
	a.Add(&acc, &inf)
	if got := a.Result(&acc); got != inf {
		t.Errorf("with an infinite value the sum is %v", got)
	}
}

func TestIntegerSumsOutOfRangeAreErrors(t *testing.T) {
	a, acc := Sum(func(v int64) int64 { return v }), SumState[int64]{}
	for _, v := range []int64{math.MaxInt64, math.MaxInt64, -5} {
		a.Add(&acc, &v)
	}
	if err := a.Verify(&acc); err == nil || !strings.Contains(err.Error(), "does not fit into int64") || !strings.Contains(err.Error(), "1.84467440737095") {
		t.Errorf("got error %v", err)
	}
	for _, v := range []int64{math.MinInt64, math.MinInt64} {
		a.Add(&acc, &v)
	}
	if err := a.Verify(&acc); err != nil || a.Result(&acc) != -7 {
		t.Errorf("back in range: %d, error %v", a.Result(&acc), err)
	}
	small, s := Sum(func(v int8) int8 { return v }), SumState[int8]{}
	for _, v := range []int8{-100, -28} {
		small.Add(&s, &v)
	}
	if err := small.Verify(&s); err != nil || small.Result(&s) != -128 {
		t.Errorf("-128 as int8: %d, error %v", small.Result(&s), err)
	}
	one := int8(-1)
	if small.Add(&s, &one); small.Verify(&s) == nil {
		t.Error("-129 fits into int8")
	}
	u, us := Sum(func(v uint64) uint64 { return v }), SumState[uint64]{}
	most := uint64(math.MaxUint64)
	if u.Add(&us, &most); u.Verify(&us) != nil || u.Result(&us) != most {
		t.Error("the largest uint64 is refused")
	}
	if u.Add(&us, &most); u.Verify(&us) == nil {
		t.Error("twice the largest uint64 is accepted")
	}
}

func TestMeanOfBigIntegers(t *testing.T) {
	for _, c := range []struct {
		values []int64
		want   float64
	}{
		{[]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64}, math.MaxInt64},
		{[]int64{math.MinInt64, math.MinInt64}, math.MinInt64},
		{[]int64{-1, -2}, -1.5},
		{nil, math.NaN()},
	} {
		a, acc := Mean(func(v int64) int64 { return v }), MeanState[int64]{}
		for _, v := range c.values {
			a.Add(&acc, &v)
		}
		if got := a.Result(&acc); !sameFloat(got, c.want) {
			t.Errorf("mean of %v is %v, want %v", c.values, got, c.want)
		}
	}
	u, us := Mean(func(v uint64) uint64 { return v }), MeanState[uint64]{}
	most := uint64(math.MaxUint64)
	u.Add(&us, &most)
	u.Add(&us, &most)
	if got := u.Result(&us); got != math.MaxUint64 {
		t.Errorf("mean of the largest uint64 is %v", got)
	}
	if got := (&MeanState[int64]{n: 1, sum: SumState[int64]{hi: 5}}).result(); !math.IsNaN(got) {
		t.Errorf("a damaged accumulator has the mean %v", got)
	}
}

func extremeModel[V cmp.Ordered](f func(trip) V, pick func(a, b V) V) func([]trip) V {
	return func(r []trip) (best V) {
		for i, x := range r {
			if v := f(x); i == 0 {
				best = v
			} else {
				best = pick(best, v)
			}
		}
		if zero := *new(V); best == zero {
			return zero
		}
		return best
	}
}

func lower[V cmp.Ordered](a, b V) V  { return min(a, b) }
func higher[V cmp.Ordered](a, b V) V { return max(a, b) }

func TestMinAndMax(t *testing.T) {
	check(t, Min(cents), genTrip(), extremeModel(cents, lower))
	check(t, Max(cents), genTrip(), extremeModel(cents, higher))
	check(t, Min(zone), genTrip(), extremeModel(zone, lower))
	check(t, Max(zone), genTrip(), extremeModel(zone, higher))
	bits := func(got, want float64) bool { return math.Float64bits(got) == math.Float64bits(want) }
	checkEqual(t, Min(fare), genTrip(), extremeModel(fare, lower), bits)
	checkEqual(t, Max(fare), genTrip(), extremeModel(fare, higher), bits)
}

// firstOf is the first record in an order, ties broken by byOrder.
func firstOf(order func(a, b trip) int) func([]trip) trip {
	return func(r []trip) trip {
		if len(r) == 0 {
			return trip{}
		}
		slices.SortFunc(r, func(a, b trip) int { return cmp.Or(order(a, b), byOrder(a, b)) })
		return r[0]
	}
}

func TestMinByAndMaxByBreakTies(t *testing.T) {
	up := func(a, b trip) int { return cmp.Compare(a.Fare, b.Fare) }
	down := func(a, b trip) int { return cmp.Compare(b.Fare, a.Fare) }
	check(t, MinBy(fare), genTrip(), firstOf(up))
	check(t, MaxBy(fare), genTrip(), firstOf(down))
}

func TestTopN(t *testing.T) {
	order := func(a, b trip) int { return cmp.Compare(a.Cents, b.Cents) }
	model := func(n int) func(r []trip) []trip {
		return func(r []trip) []trip {
			slices.SortFunc(r, func(a, b trip) int { return cmp.Or(order(b, a), byOrder(a, b)) })
			return append([]trip{}, r[:min(n, len(r))]...)
		}
	}
	check(t, TopN(1, order), genTrip(), model(1))
	check(t, TopN(4, order), genTrip(), model(4))
	check(t, TopN(100, order), genTrip(), model(100))
	check(t, TopBy(4, cents), genTrip(), model(4))
}

func TestCollectAndCountDistinct(t *testing.T) {
	check(t, Collect[trip](), genTrip(), func(r []trip) []trip {
		slices.SortFunc(r, byOrder)
		return append([]trip{}, r...)
	})
	distinct := func(r []trip) int64 {
		seen := map[string]bool{}
		for _, x := range r {
			seen[x.Zone] = true
		}
		return int64(len(seen))
	}
	check(t, CountDistinct(zone), genTrip(), distinct)
}

type bag struct{ Items []int8 }

func genBag() *rapid.Generator[bag] {
	return rapid.Custom(func(t *rapid.T) bag { return bag{rapid.SliceOfN(rapid.Int8(), 1, 4).Draw(t, "items")} })
}

func compareBags(a, b bag) int { return slices.Compare(a.Items, b.Items) }

func TestRecordsWithSlicesAreNotShared(t *testing.T) {
	check(t, Collect[bag](), genBag(), func(r []bag) []bag {
		slices.SortFunc(r, compareBags)
		return append([]bag{}, r...)
	})
	check(t, TopN(2, compareBags), genBag(), func(r []bag) []bag {
		slices.SortFunc(r, func(a, b bag) int { return compareBags(b, a) })
		return append([]bag{}, r[:min(2, len(r))]...)
	})
	joined := Reduce(func(a, b bag) bag { return bag{slices.Sorted(slices.Values(append(a.Items, b.Items...)))} })
	check(t, joined, rapid.Custom(func(t *rapid.T) bag { return bag{[]int8{rapid.Int8().Draw(t, "n")}} }), func(r []bag) (all bag) {
		for _, x := range r {
			all.Items = append(all.Items, x.Items...)
		}
		slices.Sort(all.Items)
		return all
	})
	first := MaxBy(func(b bag) int { return len(b.Items) })
	acc, in := BestState[bag, int]{}, bag{[]int8{1, 2}}
	first.Add(&acc, &in)
	in.Items[0] = 9
	out := first.Result(&acc)
	if out.Items[0] != 1 {
		t.Error("the accumulator shares memory with the record")
	}
	out.Items[0] = 9
	if first.Result(&acc).Items[0] != 1 {
		t.Error("the result shares memory with the accumulator")
	}
}

func TestReduce(t *testing.T) {
	check(t, Reduce(func(a, b trip) trip {
		return trip{Zone: max(a.Zone, b.Zone), Cents: a.Cents + b.Cents, Miles: min(a.Miles, b.Miles)}
	}), rapid.Map(genTrip(), func(t trip) trip { t.Fare = 0; return t }), func(r []trip) (all trip) {
		for i, x := range r {
			if i == 0 {
				all = x
				continue
			}
			all = trip{Zone: max(all.Zone, x.Zone), Cents: all.Cents + x.Cents, Miles: min(all.Miles, x.Miles)}
		}
		return all
	})
}

func TestReduceDoesNotAppendIntoTheMemoryOfAnother(t *testing.T) {
	a := Reduce(func(a, b bag) bag { return bag{append(a.Items, b.Items...)} })
	from := func(items ...int8) *ReduceState[bag] {
		// Room behind the end, as a merge before may have left it.
		return &ReduceState[bag]{value: bag{append(make([]int8, 0, 10), items...)}, some: true}
	}
	src, left, right := from(1, 2), newAcc(a), newAcc(a)
	for _, dst := range []*ReduceState[bag]{left, right} {
		a.Merge(dst, src)
	}
	a.Merge(left, from(3))
	a.Merge(right, from(4))
	if got := a.Result(left).Items; !slices.Equal(got, []int8{1, 2, 3}) {
		t.Errorf("got %v, want 1 2 3", got)
	}
}
