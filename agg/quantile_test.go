package agg

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantilesOfFewAreExact(t *testing.T) {
	qs := []float64{0, 0.1, 0.5, 1}
	model := func(r []trip) (out []float64) {
		values := make([]float64, len(r))
		for i, x := range r {
			values[i] = x.Fare
		}
		slices.Sort(values)
		for _, q := range qs {
			out = append(out, between(values, q))
		}
		return out
	}
	bits := func(a, b []float64) bool { return slices.EqualFunc(a, b, exactly) }
	checkEqual(t, Quantiles(fare, qs...), genTrip(), model, bits)
	// The expected numbers are those of percentile_cont in PostgreSQL.
	for _, c := range []struct {
		values []int
		want   []float64
	}{
		{[]int{7}, []float64{7, 7, 7, 7}},
		{[]int{4, 1, 3, 2}, []float64{1, 1.3, 2.5, 4}},
		{[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, []float64{1, 2, 6, 11}},
	} {
		if got := fold(t, Quantiles(self[int], qs...), c.values); !slices.EqualFunc(got, c.want, sameFloat) {
			t.Errorf("quantiles %v of %v are %v, want %v", qs, c.values, got, c.want)
		}
	}
}

// shapes are values that a digest may find hard, in the order in which they come.
func shapes(n int) map[string][]float64 {
	rnd, out := rand.New(rand.NewSource(1)), map[string][]float64{}
	for i := range n {
		x := float64(i)
		out["rising"] = append(out["rising"], x)
		out["falling"] = append(out["falling"], -x)
		out["uniform"] = append(out["uniform"], rnd.Float64())
		out["long tail"] = append(out["long tail"], math.Exp(3*rnd.NormFloat64()))
		out["two hills"] = append(out["two hills"], rnd.NormFloat64()+float64(i%2)*1e6)
		out["few values"] = append(out["few values"], float64(rnd.Intn(5)))
		out["from both ends"] = append(out["from both ends"], x*float64(1-i%2*2))
		out["huge"] = append(out["huge"], 1e280*(2*rnd.Float64()-1))
	}
	return out
}

func TestErrorOfQuantiles(t *testing.T) {
	qs := []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1}
	a := Quantiles(self[float64], qs...)
	for _, parts := range []int{1, 40} {
		worst, at := 0.0, ""
		for name, values := range shapes(40_000) {
			acc := newAcc(a)
			for part := range slices.Chunk(values, len(values)/parts) {
				p := newAcc(a)
				for i := range part {
					a.Add(p, &part[i])
				}
				a.Merge(acc, p)
			}
			got := a.Result(acc)
			sorted := slices.Sorted(slices.Values(values))
			for i, q := range qs {
				off, bound := rankError(sorted, got[i], q), rankBound(0.001, q, len(values))
				if off > bound {
					t.Errorf("%s in %d parts: quantile %v is %v: %.5f off in rank, allowed %.5f", name, parts, q, got[i], off, bound)
				}
				if off/bound > worst {
					worst, at = off/bound, fmt.Sprintf("quantile %v, %s", q, name)
				}
			}
		}
		t.Logf("in %d parts, the worst error is %.0f%% of what is allowed (%s)", parts, 100*worst, at)
	}
}

// TestQuantilesStayWithinTheValues has digests with heavy and with equal ends, merged and not: the ends must be exact, and nothing beyond them.
func TestQuantilesStayWithinTheValues(t *testing.T) {
	qs := []float64{0, 1e-9, 1e-5, 0.2, 0.8, 1 - 1e-5, 1 - 1e-9, 1}
	for name, values := range shapes(6000) {
		low, high := slices.Min(values), slices.Max(values)
		for _, cut := range []float64{high, values[3000], 0.1} {
			a := Quantiles(func(v float64) float64 { return min(v, cut) }, qs...)
			accs := []*QuantilesState{newAcc(a), newAcc(a), newAcc(a)}
			for i := range values {
				a.Add(accs[i%3], &values[i])
			}
			a.Merge(accs[0], accs[1])
			for i, acc := range accs {
				if i == 0 && cut == high {
					a.Merge(acc, accs[2])
					if got := a.Result(acc); got[0] != low || got[7] != high {
						t.Errorf("%s: the ends are %v and %v, want %v and %v", name, got[0], got[7], low, high)
					}
				}
				got := a.Result(acc)
				if slices.Min(got) != got[0] || slices.Max(got) != got[7] {
					t.Errorf("%s: below %v, part %d: a quantile of %v is beyond the ends", name, cut, i, got)
				}
			}
		}
	}
}

// TestDigestGoesOnAfterRestart: what was restored and what never stopped are the same, bit by bit, after more records and merges.
func TestDigestGoesOnAfterRestart(t *testing.T) {
	a := Quantiles(self[float64], 0.3, 0.999)
	for name, values := range shapes(12_000) {
		acc, restored, other := newAcc(a), newAcc(a), newAcc(a)
		for i := range values {
			if i%3 == 0 {
				a.Add(other, &values[i])
				continue
			}
			a.Add(acc, &values[i])
			a.Add(restored, &values[i])
			if i%997 == 1 {
				restored = decode[QuantilesState](t, encode(t, restored))
			}
		}
		before := encode(t, other)
		for _, s := range []*QuantilesState{acc, restored} {
			a.Merge(s, other)
			a.Add(s, &values[0])
		}
		if !bytes.Equal(encode(t, acc), encode(t, restored)) {
			t.Errorf("%s: the restored accumulator is another one", name)
		}
		if got, want := a.Result(restored), a.Result(acc); !slices.Equal(got, want) {
			t.Errorf("%s: restored %v, otherwise %v", name, got, want)
		}
		empty := newAcc(a)
		a.Merge(empty, other)
		if !bytes.Equal(before, encode(t, empty)) {
			t.Errorf("%s: a merge into an empty accumulator is no copy", name)
		}
		a.Add(empty, &values[1])
		if !bytes.Equal(before, encode(t, other)) {
			t.Errorf("%s: Merge changed its source, or shares memory with it", name)
		}
	}
}

func TestDigestStaysSmall(t *testing.T) {
	a := Quantiles(self[float64], 0.5)
	for name, values := range shapes(40_000) {
		acc, most, bytes := newAcc(a), 0, 0
		for i := range values {
			a.Add(acc, &values[i])
			if i%100 == 0 && acc.digest != nil {
				most, bytes = max(most, len(acc.centroids())), max(bytes, len(encode(t, acc)))
			}
		}
		if t.Logf("%s: up to %d centroids, %d bytes in a checkpoint", name, most, bytes); most > 20*compression {
			t.Errorf("%s: %d centroids", name, most)
		}
	}
}

// damaged decodes bytes that may be damaged, and uses what comes out.
func damaged[A any](t *testing.T, data []byte, use func(*A)) {
	t.Helper()
	acc := new(A)
	s, ok := any(acc).(interface {
		DecodeState(src []byte) ([]byte, error)
	})
	if !ok {
		t.Fatalf("%T does not encode itself", acc)
	}
	rest, err := s.DecodeState(data)
	if err != nil {
		return
	}
	if len(rest) > len(data) {
		t.Fatalf("%d bytes left of %d", len(rest), len(data))
	}
	// What was accepted must be fit for use, and come back as it is.
	again := encode(t, acc)
	if !bytes.Equal(again, encode(t, decode[A](t, again))) {
		t.Fatalf("%T: an accepted accumulator does not survive another restart", *acc)
	}
	use(acc)
}

// using adds, merges and asks for the result.
func using[A, R any](a Aggregator[int64, A, R]) func(*A) {
	return func(acc *A) {
		other := newAcc(a)
		for v := range int64(5) {
			a.Add(acc, &v)
			a.Add(other, &v)
		}
		a.Merge(other, acc)
		a.Merge(acc, other)
		a.Result(acc)
	}
}

func decodeAny(t *testing.T, data []byte) {
	damaged(t, data, using(Quantiles(self[int64], 0, 0.1, 0.5, 1)))
	damaged(t, data, using(ApproxDistinctAt(6, self[int64])))
	damaged(t, data, using(DistinctBits(self[int64])))
}

// grown returns encodings of accumulators in all their forms.
func grown(t testing.TB) (out [][]byte) {
	for _, n := range []int64{0, 5, 300, 9000} {
		q, d, b := Quantiles(self[int64], 0.5), ApproxDistinctAt(6, self[int64]), DistinctBits(self[int64])
		x, y, z := newAcc(q), newAcc(d), newAcc(b)
		for v := range n {
			w := v * v % 10007 * (1 + v%2<<33)
			q.Add(x, &v)
			d.Add(y, &v)
			b.Add(z, &w)
		}
		out = append(out, encode(t, x), encode(t, y), encode(t, z))
	}
	z, b := new(BitsState[int64]), DistinctBits(self[int64])
	for v := range int64(100_000) {
		b.Add(z, &v)
	}
	return append(out, encode(t, z), []byte{formatVersion, approxMixed})
}

func TestDamagedSketches(t *testing.T) {
	all := grown(t)
	for _, data := range all {
		decodeAny(t, data)
	}
	rapid.Check(t, func(rt *rapid.T) {
		data := slices.Clone(rapid.SampledFrom(all).Draw(rt, "encoding"))
		for range rapid.IntRange(0, 3).Draw(rt, "changes") {
			// Lengths and counts are in front: that is where damage does most.
			i := rapid.IntRange(0, min(len(data)-1, 60)).Draw(rt, "at")
			data[i] = rapid.Byte().Draw(rt, "byte")
		}
		decodeAny(t, data[:rapid.IntRange(0, len(data)).Draw(rt, "cut")])
		decodeAny(t, data)
	})
}

func FuzzDecode(f *testing.F) {
	for _, data := range grown(f) {
		f.Add(data)
	}
	f.Fuzz(decodeAny)
}
