package millrace_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// TestOriginsComeThroughStatelessOperators: also after crashes, at any parallelism. What a window has made has none, and neither have records of a
// job in which nobody asks.
func TestOriginsComeThroughStatelessOperators(t *testing.T) {
	splits := make([][]ride, 3)
	want := []string{}
	for i := range 600 {
		s, n := i%3, i/3
		r := ride{Base: fmt.Sprint("b", i%7), At: int64(i), N: int64(i)}
		splits[s] = append(splits[s], r)
		if i%2 == 0 {
			for range i % 4 { // two or none
				want = append(want, fmt.Sprintf("%d: {in slice-%06d %d slice-%06d[%d]} true", i+1, s, n, s, n))
			}
		}
		if i < 50 {
			want = append(want, fmt.Sprintf("%d: {few slice-000000 %d slice-000000[%d]} true", -i, i, i))
		}
	}
	for i := range 10 {
		want = append(want, fmt.Sprintf("%d: %v false", 1000+i, millrace.Origin{}))
	}
	job := func(w *millracetest.Trial, asks bool) *millrace.Job {
		job := millrace.NewJob("origins")
		many := job.From("in", memory.Splits(splits...), millrace.EventTime(ride.time).OutOfOrderness(time.Hour)).
			Filter(func(r ride) bool { return r.N%2 == 0 }).
			FilterMap(func(r ride) (ride, bool) { return r, r.N%4 != 0 }). // those that would become none
			FlatMap(func(_ *millrace.Context, r ride, emit func(ride)) error {
				for range r.N % 4 {
					emit(r)
				}
				return nil
			}).
			Map(func(r ride) ride { r.N++; return r })
		few := job.From("few", memory.Of(splitsOf(50)...), millrace.EventTime(ride.time).OutOfOrderness(time.Hour))
		windows := few.KeyBy(ride.base).Window(window.Tumbling(5*time.Second)).Aggregate("count", agg.Count[ride]()).
			Map(func(p millrace.Pane[string, int64]) ride {
				return ride{Base: p.Key, At: p.Start.Unix(), N: 1000 + p.Start.Unix()/5}
			})
		keyed := many.Union(few.UpdateRef(func(r *ride) { r.N = -r.N }), windows).KeyBy(ride.base)
		f := func(p *millrace.Proc[string, int64, string], r ride) error {
			o, ok := p.Origin()
			p.Emit(fmt.Sprintf("%d: %v %v", r.N, o, ok))
			return nil
		}
		var out millrace.Stream[string]
		if asks {
			out = keyed.WithOrigin().Process("p", f)
		} else {
			out = keyed.Process("p", f)
		}
		out.To("out", w.Collect[string]("out"))
		return job
	}
	slices.Sort(want)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job { return job(w, true) }, millracetest.Kills(6),
		millracetest.Check(func(w *millracetest.Trial) error {
			if got := slices.Sorted(slices.Values(w.Collect[string]("out").Records())); !slices.Equal(got, want) {
				return fmt.Errorf("%d results, want %d; first difference: %s", len(got), len(want), firstDifference(got, want))
			}
			return nil
		}))
	none := 0
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job { return job(w, false) }, millracetest.Kills(1),
		millracetest.Check(func(w *millracetest.Trial) error {
			for _, s := range w.Collect[string]("out").Records() {
				if s[len(s)-5:] != "false" {
					return fmt.Errorf("nobody has asked, and %s", s)
				}
				none++
			}
			return nil
		}))
	if none == 0 {
		t.Error("nothing was looked at")
	}
}

// splitsOf returns the rides of a base of its own.
func splitsOf(n int) (rs []ride) {
	for i := range n {
		rs = append(rs, ride{Base: "few", At: int64(i), N: int64(i)})
	}
	return rs
}
