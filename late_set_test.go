package millrace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// disordered are rides of which many are late: every record up to 40 s out of order, with a bound of 10 s.
func disordered(n int) []ride {
	rng := rand.New(rand.NewPCG(5, 5))
	var in []ride
	for i := range n {
		in = append(in, ride{Base: fmt.Sprint("b", rng.IntN(5)), At: int64(1000 + i - rng.IntN(40)), N: int64(i)})
	}
	return in
}

// farBehind are rides in order, of which, after a while, every seventh comes so late that it is late however far apart the inputs of a join are.
func farBehind(n int) []ride {
	var in []ride
	for i := range n {
		r := ride{Base: fmt.Sprint("b", i%5), At: int64(10_000 + i), N: int64(i)}
		if i > n/4 && i%7 == 0 {
			r.At -= 9000
		}
		in = append(in, r)
	}
	return in
}

// TestLateSetIsTheSameAfterAnyCrash kills jobs at all points, with power losses and changes of parallelism: clocks and watermarks are part of
// checkpoints, so the records that were late are late, and no others (FLINK-4616, FLINK-36663, KAFKA-20099). What is late is checked
// against plain Go as well, so that two wrongs do not agree.
func TestLateSetIsTheSameAfterAnyCrash(t *testing.T) {
	const n = 1200
	kills := 12
	if testing.Short() {
		kills = 4
	}
	type trial = millracetest.Trial
	type stream = millrace.Stream[ride]
	timing := millrace.EventTime(ride.time).OutOfOrderness(10 * time.Second)
	keep := func(l, r ride) ride { return ride{Base: l.Base, At: r.At, N: l.N<<32 | r.N} }
	behind := func(in []ride) (late []ride) { // those at or behind the watermark
		newest := int64(-1 << 40)
		for _, r := range in {
			if r.At < newest-10 { // the watermark is newest - 10 s - 1 ns
				late = append(late, r)
			}
			newest = max(newest, r.At)
		}
		return late
	}
	windowLate := func(size int64) func([]ride) []ride {
		return func(in []ride) []ride {
			_, numbers := byHand(in, size, size, 10)
			var late []ride
			for _, r := range in {
				if numbers[r.N] {
					late = append(late, r)
				}
			}
			return late
		}
	}
	for name, c := range map[string]struct {
		in    []ride
		build func(w *trial, s stream)
		late  func(in []ride) []ride // nil: some are
	}{
		"windows": {disordered(n), func(w *trial, s stream) {
			win := s.KeyBy(ride.base).Window(window.Tumbling(20 * time.Second))
			win.Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).To("out", w.Collect[millrace.Pane[string, int64]]("out"))
			win.Late().To("late", w.Collect[ride]("late"))
		}, windowLate(20)},
		"sliding windows with lateness": {disordered(n), func(w *trial, s stream) {
			win := s.KeyBy(ride.base).Window(window.Sliding(20*time.Second, 5*time.Second)).AllowedLateness(3 * time.Second)
			win.Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).To("out", w.Collect[millrace.Pane[string, int64]]("out"))
			win.Late().To("late", w.Collect[ride]("late"))
		}, nil},
		"sessions": {disordered(n), func(w *trial, s stream) {
			win := s.KeyBy(ride.base).Window(window.Session(3 * time.Second))
			win.Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).To("out", w.Collect[millrace.Pane[string, int64]]("out"))
			win.Late().To("late", w.Collect[ride]("late"))
		}, nil},
		"dedup": {disordered(n), func(w *trial, s stream) {
			d := s.Dedup("dedup", func(r ride) int64 { return r.N % 200 }, 30*time.Second).AllowedLateness(0)
			d.To("out", w.Collect[ride]("out"))
			d.Late().To("late", w.Collect[ride]("late"))
			d.Duplicates().To("duplicates", w.Collect[ride]("duplicates"))
		}, behind},
		"sort": {disordered(n), func(w *trial, s stream) {
			sorted := s.KeyBy(ride.base).SortByTime("sort")
			sorted.To("out", w.Collect[ride]("out"))
			sorted.Late().To("late", w.Collect[ride]("late"))
		}, behind},
		"interval join": {farBehind(4 * n), func(w *trial, s stream) {
			j := s.KeyBy(ride.base).IntervalJoin(s.Filter(func(r ride) bool { return r.N%2 == 0 }).KeyBy(ride.base), -20*time.Second, 20*time.Second)
			j.Inner("join", keep).To("out", w.Collect[ride]("out"))
			j.LateLeft().To("late", w.Collect[ride]("late"))
			j.LateRight().To("late-right", w.Collect[ride]("late-right"))
		}, behind},
		"window join": {farBehind(4 * n), func(w *trial, s stream) {
			j := s.KeyBy(ride.base).WindowJoin(s.Filter(func(r ride) bool { return r.N%2 == 0 }).KeyBy(ride.base), window.Tumbling(20*time.Second))
			j.Inner("join", keep).To("out", w.Collect[ride]("out"))
			j.LateLeft().To("late", w.Collect[ride]("late"))
			j.LateRight().To("late-right", w.Collect[ride]("late-right"))
		}, windowLate(20)},
		"temporal join": {farBehind(4 * n), func(w *trial, s stream) {
			j := s.KeyBy(ride.base).TemporalJoin(s.Filter(func(r ride) bool { return r.N%10 == 0 }).KeyBy(ride.base))
			j.Lookup("lookup", func(l, v ride, _ bool) ride { return keep(l, v) }).To("out", w.Collect[ride]("out"))
			j.LateLeft().To("late", w.Collect[ride]("late"))
			j.LateTable().To("late-table", w.Collect[ride]("late-table"))
		}, behind},
	} {
		t.Run(name, func(t *testing.T) {
			r := millracetest.Crash(t, func(w *trial) *millrace.Job {
				job := millrace.NewJob("late")
				c.build(w, job.From("in", memory.Of(c.in...), timing))
				return job
			}, millracetest.Kills(kills), millracetest.Configure(func(cfg *millrace.Config) { cfg.BufferRecords = 64 }),
				millracetest.Check(func(w *trial) error {
					got := w.Collect[ride]("late").Records()
					if len(got) < 20 {
						return fmt.Errorf("only %d records are late: the test shows nothing", len(got))
					}
					if c.late == nil {
						return nil
					}
					want, seen := map[int64]bool{}, map[int64]bool{}
					for _, r := range c.late(c.in) {
						want[r.N] = true
					}
					for _, r := range got {
						if !want[r.N] || seen[r.N] {
							return fmt.Errorf("record %v is late, or late twice, and must not be", r)
						}
						seen[r.N] = true
					}
					if len(got) != len(want) {
						return fmt.Errorf("%d records are late, want %d", len(got), len(want))
					}
					return nil
				}))
			if r.InEpoch < kills/2 {
				t.Errorf("only %d of %d kills hit the job at work", r.InEpoch, r.Kills)
			}
		})
	}
}
