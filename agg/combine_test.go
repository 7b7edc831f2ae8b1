package agg

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace-stream/millrace/codec"
)

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
	ts, bs, cs, ls, rs, rf, ds := newAcc(top), newAcc(best), newAcc(all), newAcc(low), newAcc(red), newAcc(red), newAcc(distinct)
	top.Add(ts, &in)
	best.Add(bs, &in)
	all.Add(cs, &in)
	low.Add(ls, &in)
	red.Add(rs, &trip{Zone: "first"})
	red.Add(rs, &in)
	red.Add(rf, &in)
	distinct.Add(ds, &in)
	clear(line)
	got := []string{top.Result(ts)[0].Zone, best.Result(bs).Zone, all.Result(cs)[0].Zone, low.Result(ls), red.Result(rs).Zone, red.Result(rf).Zone}
	for v := range ds.seen {
		got = append(got, v)
	}
	if want := slices.Repeat([]string{"zone"}, 7); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAddingFlatRecordsAllocatesNothing(t *testing.T) {
	type flat struct{ A, B int64 }
	a := func(f flat) int64 { return f.A }
	all := Combine4(Sum(a), MaxBy(a), TopBy(3, a), Reduce(func(x, y flat) flat { return flat{x.A + y.A, max(x.B, y.B)} }),
		func(int64, flat, []flat, flat) int { return 0 })
	acc, r := newAcc(all), &flat{A: 1}
	all.Add(acc, r)
	if got := testing.AllocsPerRun(100, func() { r.A++; r.B--; all.Add(acc, r) }); got != 0 {
		t.Errorf("%v allocations per record", got)
	}
	distinct := CountDistinct(a)
	seen := newAcc(distinct)
	distinct.Add(seen, r)
	if got := testing.AllocsPerRun(100, func() { distinct.Add(seen, r) }); got != 0 {
		t.Errorf("CountDistinct: %v allocations for a known value", got)
	}
}

func TestAccumulatorsOfOtherNumbersAreDescribedOtherwise(t *testing.T) {
	if a, b := codec.Describe[SumState[int64]](), codec.Describe[SumState[float64]](); a == b {
		t.Errorf("a sum of int64 and one of float64 are both %s", a)
	}
}
