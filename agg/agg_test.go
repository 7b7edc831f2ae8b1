package agg

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace-stream/millrace/codec"
	"pgregory.net/rapid"
)

type trip struct {
	Zone  string
	Fare  float64
	Cents int32
	Miles uint8
}

func genTrip() *rapid.Generator[trip] {
	return rapid.Custom(func(t *rapid.T) trip {
		return trip{
			Zone:  rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone"),
			Fare:  rapid.SampledFrom([]float64{-1e18, -1, math.Copysign(0, -1), 0, 0.1, 1, 1e18}).Draw(t, "fare"),
			Cents: rapid.Int32Range(-3, 3).Draw(t, "cents"), Miles: rapid.Uint8().Draw(t, "miles"),
		}
	})
}

// check compares an aggregator with a model: a plain loop over all records. The records come in any order and are divided among
// accumulators that are merged as any tree, encoded and decoded on the way.
func check[T, A, R any](t *testing.T, a Aggregator[T, A, R], gen *rapid.Generator[T], model func([]T) R) {
	t.Helper()
	checkEqual(t, a, gen, model, func(got, want R) bool { return reflect.DeepEqual(got, want) })
}

func checkEqual[T, A, R any](
	t *testing.T, a Aggregator[T, A, R], gen *rapid.Generator[T], model func([]T) R, equal func(got, want R) bool,
) {
	t.Helper()
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	c, err := codec.For[A]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(gen, 0, 30).Draw(t, "records")
		want := model(slices.Clone(records))
		accs := make([]*A, rapid.IntRange(1, 5).Draw(t, "accumulators"))
		for i := range accs {
			accs[i] = newAcc(a)
		}
		for _, r := range rapid.Permutation(records).Draw(t, "order") {
			if a.Check != nil {
				if err := a.Check(&r); err != nil {
					t.Fatal(err)
				}
			}
			i := rapid.IntRange(0, len(accs)-1).Draw(t, "where")
			a.Add(accs[i], &r)
			if rapid.Bool().Draw(t, "restart") {
				accs[i] = restart(t, c, accs[i])
			}
		}
		for len(accs) > 1 {
			i := rapid.IntRange(1, len(accs)-1).Draw(t, "merge")
			j := rapid.IntRange(0, i-1).Draw(t, "into")
			before := c.Append(nil, accs[i])
			a.Merge(accs[j], accs[i])
			if after := c.Append(nil, accs[i]); !bytes.Equal(before, after) {
				t.Fatalf("Merge changed its source: %x to %x", before, after)
			}
			accs = slices.Delete(accs, i, i+1)
		}
		acc := restart(t, c, accs[0])
		before := c.Append(nil, acc)
		if a.Verify != nil {
			if err := a.Verify(acc); err != nil {
				t.Fatal(err)
			}
		}
		got := a.Result(acc)
		if !equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		scribble(reflect.ValueOf(&got).Elem())
		if after := c.Append(nil, acc); !bytes.Equal(before, after) {
			t.Fatalf("the result shares memory with the accumulator, or Result has changed it: %x to %x", before, after)
		}
	})
}

func newAcc[T, A, R any](a Aggregator[T, A, R]) *A {
	acc := new(A)
	if a.Init != nil {
		a.Init(acc)
	}
	return acc
}

// restart returns what a restored job would have in place of acc.
func restart[A any](t *rapid.T, c codec.Codec[A], acc *A) *A {
	out := new(A)
	if rest, err := c.Decode(c.Append(nil, acc), out); err != nil || len(rest) > 0 {
		t.Fatalf("the accumulator cannot be decoded: %d bytes left, error %v", len(rest), err)
	}
	return out
}

// scribble writes to all memory that a result can be written through.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				scribble(v.Field(i))
			}
		}
	}
}

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
	check(t, SumOf(func(t *trip) int32 { return t.Cents }), genTrip(), sumCents)
	check(t, Sum(func(t trip) uint64 { return uint64(t.Miles) }), genTrip(), func(r []trip) (n uint64) {
		for _, x := range r {
			n += uint64(x.Miles)
		}
		return n
	})
	meanCents := func(r []trip) float64 { return float64(sumCents(r)) / float64(len(r)) }
	checkEqual(t, Mean(cents), genTrip(), meanCents, sameFloat)
	checkEqual(t, MeanOf(func(t *trip) int32 { return t.Cents }), genTrip(), meanCents, sameFloat)
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
	checkEqual(t, Sum(fare), genTrip(), exactSum, sameFloat)
	checkEqual(t, Mean(fare), genTrip(), func(r []trip) float64 { return exactSum(r) / float64(len(r)) }, sameFloat)
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
	check(t, MinOf(func(t *trip) uint8 { return t.Miles }), genTrip(), extremeModel(miles, lower))
	check(t, MaxOf(func(t *trip) uint8 { return t.Miles }), genTrip(), extremeModel(miles, higher))
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
	check(t, MinByOf(func(t *trip) float64 { return t.Fare }), genTrip(), firstOf(up))
	check(t, MaxByOf(func(t *trip) float64 { return t.Fare }), genTrip(), firstOf(down))
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
	check(t, CountDistinctOf(func(t *trip) string { return t.Zone }), genTrip(), distinct)
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

type summary struct {
	N        int64
	Sum, Max int32
	Zones    []trip
}

func summaryModel(r []trip) summary {
	s := summary{N: int64(len(r)), Max: extremeModel(cents, higher)(r)}
	for _, x := range r {
		s.Sum += x.Cents
	}
	slices.SortFunc(r, byOrder)
	s.Zones = append([]trip{}, r...)
	return s
}

func TestCombine(t *testing.T) {
	type two struct {
		N   int64
		Sum int32
	}
	check(t, Combine2(Count[trip](), Sum(cents), func(n int64, s int32) two { return two{n, s} }), genTrip(),
		func(r []trip) two { s := summaryModel(r); return two{s.N, s.Sum} })
	check(t, Combine3(Count[trip](), Sum(cents), Max(cents), func(n int64, s, m int32) summary { return summary{N: n, Sum: s, Max: m} }),
		genTrip(), func(r []trip) summary { s := summaryModel(r); s.Zones = nil; return s })
	check(t, Combine4(Count[trip](), Sum(cents), Max(cents), Collect[trip](),
		func(n int64, s, m int32, z []trip) summary { return summary{n, s, m, z} }), genTrip(), summaryModel)
	check(t, Then(Count[trip](), func(n int64) string { return strings.Repeat("x", int(n)) }), genTrip(),
		func(r []trip) string { return strings.Repeat("x", len(r)) })
}

func TestCombinePassesEverythingOn(t *testing.T) {
	from := Aggregator[trip, int64, int64]{
		Init:   func(acc *int64) { *acc = 100 },
		Add:    func(acc *int64, _ *trip) { *acc++ },
		Result: func(acc *int64) int64 { return *acc },
		Check:  func(r *trip) error { return map[bool]error{true: errors.New("refused")}[r.Cents == 13] },
		Verify: func(acc *int64) error { return map[bool]error{true: errors.New("too many")}[*acc > 101] },
		Err:    errors.New("mistake"),
	}
	plain := Count[trip]()
	all := Combine4(plain, from, plain, plain, func(a, b, c, d int64) int64 { return a*1000 + b })
	acc := newAcc(all)
	all.Add(acc, &trip{})
	if got := all.Result(acc); got != 1101 {
		t.Errorf("result %d, want 1101", got)
	}
	if err := all.Verify(acc); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if all.Add(acc, &trip{}); all.Verify(acc) == nil {
		t.Error("Verify is not passed on")
	}
	if all.Check(&trip{Cents: 13}) == nil || all.Check(&trip{}) != nil {
		t.Error("Check is not passed on")
	}
	if all.Err == nil || all.Merge != nil {
		t.Errorf("error %v; Merge is nil: %v, want true", all.Err, all.Merge == nil)
	}
	simple := Combine2(plain, plain, func(a, b int64) int64 { return a + b })
	if simple.Init != nil || simple.Check != nil || simple.Verify != nil || simple.Err != nil || simple.Merge == nil {
		t.Error("functions that nobody needs")
	}
}

func TestNaNIsRejectedAsOrderValue(t *testing.T) {
	nan, one := trip{Fare: math.NaN()}, trip{Fare: 1}
	byFare := func(a, b trip) int {
		switch {
		case a.Fare < b.Fare:
			return -1
		case a.Fare == b.Fare:
			return 0
		}
		return 1
	}
	for name, f := range map[string]func(*trip) error{
		"Min": Min(fare).Check, "Max": Max(fare).Check, "MinBy": MinBy(fare).Check, "MaxBy": MaxBy(fare).Check,
		"TopBy": TopBy(1, fare).Check, "TopN": TopN(1, byFare).Check,
		"Min of a named type": Min(func(t trip) dollars { return dollars(t.Fare) }).Check,
	} {
		if f(&nan) == nil || f(&one) != nil {
			t.Errorf("%s: NaN gives %v, 1 gives %v", name, f(&nan), f(&one))
		}
	}
	if Min(cents).Check != nil {
		t.Error("a check for integers")
	}
}

type dollars float64

func TestMistakesAreReported(t *testing.T) {
	type odd struct{ C chan int }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"Collect":             {Collect[odd]().Err, "odd.C: chan int has no stable encoding"},
		"Reduce":              {Reduce(func(a, _ odd) odd { return a }).Err, "odd.C: chan int"},
		"MinBy":               {MinBy(func(odd) int { return 0 }).Err, "odd.C: chan int"},
		"TopN":                {TopN(0, byOrder).Err, "n is 0"},
		"TopBy":               {TopBy(-1, cents).Err, "n is -1"},
		"CountDistinct":       {CountDistinct(fare).Err, "float64 cannot be (part of) a key"},
		"CountDistinct times": {CountDistinct(func(trip) time.Time { return time.Time{} }).Err, "use UnixNano"},
		"Sum nil":             {Sum[trip, int](nil).Err, "the function is nil"},
		"Min nil":             {Min[trip, int](nil).Err, "the function is nil"},
		"MaxBy nil":           {MaxBy[trip, int](nil).Err, "the function is nil"},
		"TopN nil":            {TopN[trip](1, nil).Err, "the function is nil"},
		"Reduce nil":          {Reduce[trip](nil).Err, "the function is nil"},
		"CountDistinct nil":   {CountDistinct[trip, int](nil).Err, "the function is nil"},
		"Then nil":            {Then[trip, int64, int64, int](Count[trip](), nil).Err, "the function is nil"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, c.err, c.want)
		}
	}
}

func TestKeptStringsAreCopied(t *testing.T) {
	line := []byte("zone,rest of the batch")
	in := trip{Zone: unsafe.String(&line[0], 4), Cents: 1}
	top, best, all, low, red := TopBy(1, cents), MaxBy(cents), Collect[trip](), Min(zone), Reduce(func(_, b trip) trip { return b })
	distinct := CountDistinct(zone)
	ts, bs, cs, ls, rs, ds := newAcc(top), newAcc(best), newAcc(all), newAcc(low), newAcc(red), newAcc(distinct)
	top.Add(ts, &in)
	best.Add(bs, &in)
	all.Add(cs, &in)
	low.Add(ls, &in)
	red.Add(rs, &in)
	distinct.Add(ds, &in)
	clear(line)
	got := []string{top.Result(ts)[0].Zone, best.Result(bs).Zone, all.Result(cs)[0].Zone, low.Result(ls), red.Result(rs).Zone}
	for v := range ds.seen {
		got = append(got, v)
	}
	if want := slices.Repeat([]string{"zone"}, 6); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
