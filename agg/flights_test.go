package agg

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// flight is a record of the real data; the ID stands first, so it breaks ties.
type flight struct {
	ID     int64
	TS     int64
	Delay  int32
	Origin string
	Dest   string
}

func (f flight) when() time.Time { return time.UnixMilli(f.TS) }

// flightsByOrigin reads the 508,239 flights of a month. They are not part of the repository.
func flightsByOrigin(t testing.TB) map[string][]flight {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "flights_2001_01.csv.gz"))
	if err != nil {
		t.Skipf("no real data here: %v", err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r, all := csv.NewReader(z), map[string][]flight{}
	r.ReuseRecord = true
	for line := 0; ; line++ {
		row, err := r.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if line > 0 {
			x := flight{
				ID: number[int64](t, row[0]), TS: number[int64](t, row[1]), Delay: number[int32](t, row[2]),
				Origin: strings.Clone(row[4]), Dest: strings.Clone(row[5]),
			}
			all[x.Origin] = append(all[x.Origin], x)
		}
	}
}

func number[N Integer](t testing.TB, s string) N {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return N(n)
}

// fold divides records among three accumulators and merges them.
func fold[T, A, R any](t *testing.T, a Aggregator[T, A, R], records []T) R {
	t.Helper()
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	accs := []*A{newAcc(a), newAcc(a), newAcc(a)}
	for i := range records {
		if a.Check != nil {
			if err := a.Check(&records[i]); err != nil {
				t.Fatal(err)
			}
		}
		a.Add(accs[i%3], &records[i])
	}
	a.Merge(accs[1], accs[2])
	a.Merge(accs[0], accs[1])
	if a.Verify != nil {
		if err := a.Verify(accs[0]); err != nil {
			t.Fatal(err)
		}
	}
	return a.Result(accs[0])
}

// sqlRow is a row of testdata/flights.csv.
type sqlRow struct {
	t   *testing.T
	row map[string]string
}

func (r sqlRow) equal(column string, got int64) {
	r.t.Helper()
	if want := number[int64](r.t, r.row[column]); got != want {
		r.t.Errorf("%s: %s is %d, in SQL %d", r.row["origin"], column, got, want)
	}
}

func (r sqlRow) near(column string, got, within float64) {
	r.t.Helper()
	if r.row[column] == "" {
		if !math.IsNaN(got) {
			r.t.Errorf("%s: %s is %v, in SQL NULL", r.row["origin"], column, got)
		}
		return
	}
	want, err := strconv.ParseFloat(r.row[column], 64)
	if err != nil {
		r.t.Fatal(err)
	}
	if !(math.Abs(got-want) <= within*math.Abs(want)) {
		r.t.Errorf("%s: %s is %v, in SQL %v", r.row["origin"], column, got, want)
	}
}

func (r sqlRow) list(column string) (out []float64) {
	r.t.Helper()
	for s := range strings.SplitSeq(strings.Trim(r.row[column], "{}"), ",") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func sqlRows(t *testing.T) []sqlRow {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "flights.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []sqlRow
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		out = append(out, sqlRow{t, m})
	}
	return out
}

func TestAgainstSQL(t *testing.T) {
	byOrigin := flightsByOrigin(t)
	rows := sqlRows(t)
	if len(rows) != len(byOrigin) {
		t.Fatalf("%d airports, in SQL %d", len(byOrigin), len(rows))
	}
	delay := func(f flight) int32 { return f.Delay }
	type pair struct {
		Dest  string
		Delay int32
	}
	worst := 0.0
	for _, r := range rows {
		all := byOrigin[r.row["origin"]]
		r.equal("n", int64(len(all)))
		r.equal("first", fold(t, First(flight.when), all).ID)
		r.equal("last", fold(t, Last(flight.when), all).ID)
		r.near("var_samp", fold(t, Variance(delay), all), 1e-15)
		r.near("var_pop", fold(t, VariancePop(delay), all), 1e-15)
		r.near("stddev_tenth", fold(t, StdDev(func(f flight) float64 { return float64(f.Delay) * 0.1 }), all), 1e-13)
		for i, n := range fold(t, Histogram(delay, -10, 0, 15, 60), all) {
			r.equal([]string{"early", "early_10", "late_15", "late_60", "very_late"}[i], n)
		}
		r.equal("delays", fold(t, DistinctBits(delay), all))
		r.equal("times", fold(t, DistinctBits(func(f flight) int64 { return f.TS }), all))
		distinct := func(f flight) pair { return pair{f.Dest, f.Delay} }
		exact := fold(t, CountDistinct(distinct), all)
		r.equal("dest_delays", exact)
		approx := fold(t, ApproxDistinct(distinct), all)
		if exact <= 1024 && approx != exact {
			t.Errorf("%s: about %d different pairs, in fact %d", r.row["origin"], approx, exact)
		}
		worst = max(worst, math.Abs(float64(approx-exact))/float64(exact))
		quantilesAgainstSQL(t, r, all)
	}
	// Four standard errors of 0.81%.
	if t.Logf("the worst of %d estimates is off by %.2f%%", len(rows), 100*worst); worst > 0.033 {
		t.Error("ApproxDistinct is too far off")
	}
}

func quantilesAgainstSQL(t *testing.T, r sqlRow, all []flight) {
	t.Helper()
	qs := []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 1}
	got := fold(t, Quantiles(func(f flight) int32 { return f.Delay }, qs...), all)
	sorted := make([]float64, len(all))
	for i := range all {
		sorted[i] = float64(all[i].Delay)
	}
	slices.Sort(sorted)
	for i, want := range r.list("quantiles") {
		exact := between(sorted, qs[i])
		if math.Abs(exact-want) > 1e-9 {
			t.Fatalf("%s: quantile %v is %v, in SQL %v", r.row["origin"], qs[i], exact, want)
		}
		if len(all) <= exactValues || qs[i] == 0 || qs[i] == 1 {
			if got[i] != exact {
				t.Errorf("%s: quantile %v of %d is %v, in SQL %v", r.row["origin"], qs[i], len(all), got[i], want)
			}
			continue
		}
		// Delays are whole minutes, so what is a little off lies between two of them, and is as far off in rank as the next one.
		if off := rankError(sorted, got[i], qs[i]); off > rankBound(0.005, qs[i], len(all)) {
			t.Errorf("%s: quantile %v of %d is %v, in SQL %v: %.4f off in rank", r.row["origin"], qs[i], len(all), got[i], want, off)
		}
	}
}

// rankError is how far v is from quantile q, as a part of all values. Values in one place have all the ranks of that place, and so has a
// point between two values from the one to the other. The last bits of v do not count: the mean of sevens may be 6.999999999999999.
func rankError(sorted []float64, v, q float64) float64 {
	bit := 1e-14 * math.Abs(v)
	below, _ := slices.BinarySearch(sorted, v-bit)
	upTo, _ := slices.BinarySearch(sorted, math.Nextafter(v+bit, math.Inf(1)))
	at, last := q*float64(len(sorted)-1), float64(len(sorted)-1)
	low, high := float64(below), float64(upTo-1)
	if below == upTo {
		low, high = float64(below-1), float64(below)
	}
	return max(0, low-at, at-high) / last
}

// rankBound is what the error in rank may be in the middle; it is less at the ends, and the rank of a single value is always allowed.
func rankBound(middle, q float64, n int) float64 {
	return middle*math.Min(1, 8*math.Min(q, 1-q)) + 1.5/float64(n)
}
