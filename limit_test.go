package millrace_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

func TestMistakesOfLimitsAreNamed(t *testing.T) {
	out := func() *memory.Sink[ride] { return memory.NewSink[ride]() }
	for _, c := range []struct {
		name  string
		build func(*millrace.Job)
		want  string
	}{
		{
			"rate", func(j *millrace.Job) {
				rides(j).RateLimit(0, 0).To("a", out())
				rides2(j).RateLimit(math.NaN(), 1).RateLimit(math.Inf(1), 1).To("b", out())
			},
			`JOB:LINE: operator "ratelimit-1": the burst of a RateLimit is 0: it must be 1 or more` + "\n\t" +
				`JOB:LINE: operator "ratelimit-1": the rate of a RateLimit is 0 records per second: it must be more than 0 and finite` + "\n\t" +
				`JOB:LINE: operator "ratelimit-2": the rate of a RateLimit is NaN records per second: it must be more than 0 and finite` + "\n\t" +
				`JOB:LINE: operator "ratelimit-3": the rate of a RateLimit is +Inf records per second: it must be more than 0 and finite`,
		},
		{
			"nothing dropped", func(j *millrace.Job) {
				r := rides(j).RateLimit(1, 1)
				r.Dropped().To("dropped", out())
				r.To("out", out())
			},
			`JOB:LINE: operator "ratelimit-1": Dropped: no record is left out: say DropNewest or DropOldest before`,
		},
		{
			"in flight", func(j *millrace.Job) { rides(j).MaxInFlight(0).To("out", out()) },
			`JOB:LINE: operator "maxinflight-1": MaxInFlight(0): it must be 1 or more`,
		},
		{
			"in flight behind a window", func(j *millrace.Job) {
				minute(rides(j)).Aggregate("n", count()).Map(func(millrace.Pane[string, int64]) ride { return ride{} }).MaxInFlight(1).To("out", out())
			},
			`JOB:LINE: operator "maxinflight-1": MaxInFlight must stand in the chain of a source: the aggregate at JOB:LINE comes before it`,
		},
		{
			"in flight behind a union", func(j *millrace.Job) { rides(j).Union(rides2(j)).MaxInFlight(1).To("out", out()) },
			`JOB:LINE: operator "maxinflight-1": MaxInFlight must stand in the chain of a source: the union at JOB:LINE comes before it`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mistakes(c.build); got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
}

func numbered(n int) (in []ride) {
	for i := range n {
		in = append(in, ride{Base: string(rune('a' + i*i%5)), At: int64(i), N: int64(i)})
	}
	return in
}

// TestRateLimitHoldsTheSourceAndNotTheEpochs: 1000 records at 100 per second with a burst of 10 take 9.9 s; while the source waits, epochs come each
// second, and its split does not become idle.
func TestRateLimitHoldsTheSourceAndNotTheEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out, late := millrace.NewJob("job"), memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[ride]()
		w := job.From("in", memory.Of(numbered(1000)...), millrace.EventTime(ride.time).IdleAfter(time.Millisecond)).RateLimit(100, 10).
			KeyBy(ride.base).Window(window.Tumbling(time.Minute))
		w.Aggregate("n", count()).To("out", out)
		w.Late().To("late", late)
		cfg := millrace.Config{Parallelism: 1, Log: quiet(), ObserveEvery: 100 * time.Millisecond, Checkpoint: millrace.CheckpointConfig{Interval: time.Second}}
		start := time.Now()
		var last millrace.Status
		cfg.Observe = func(s millrace.Status) {
			last = s
			if most := 10 + 100*time.Since(start).Seconds() + 1; float64(s.In) > most {
				t.Errorf("%d records are read after %v, %.0f may be", s.In, time.Since(start), most)
			}
		}
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 9900*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("took %v, want 9.9 s and an epoch", took)
		}
		if last.Epochs < 9 || last.In != 1000 || len(late.Records()) > 0 || len(out.Records()) != 3*17 {
			t.Errorf("%d epochs, %d records read, %d late, %d results", last.Epochs, last.In, len(late.Records()), len(out.Records()))
		}
	})
}

// TestRateLimitInTheMiddleOfAJob: behind an exchange batches come whole, and wait.
func TestRateLimitInTheMiddleOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out := millrace.NewJob("job"), memory.NewSink[ride]()
		keep := func(p *millrace.Proc[string, int64, ride], r ride) error { p.Emit(r); return nil }
		job.From("in", memory.Of(numbered(300)...), millrace.EventTime(ride.time)).KeyBy(ride.base).Process("p", keep).RateLimit(100, 4).To("out", out)
		cfg := millrace.Config{Parallelism: 2, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Interval: time.Second}}
		start := time.Now()
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		// Two of three keys have 120 records each: a subtask that has both needs 4.8 s at its half of the rate, one that has all 6 s.
		if took := time.Since(start); len(out.Records()) != 300 || took < 2900*time.Millisecond || took > 7*time.Second {
			t.Errorf("%d records took %v", len(out.Records()), took)
		}
	})
}

// TestDroppedRecordsAreCountedAndCanBeHad, with the newest or the oldest left out.
func TestDroppedRecordsAreCountedAndCanBeHad(t *testing.T) {
	for _, oldest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			job, out, dropped := millrace.NewJob("job"), memory.NewSink[ride](), memory.NewSink[ride]()
			r := job.From("in", memory.Of(numbered(20)...), millrace.EventTime(ride.time)).RateLimit(10, 3)
			if oldest {
				r = r.DropOldest()
			} else {
				r = r.DropNewest()
			}
			r.To("out", out)
			r.Dropped().To("dropped", dropped)
			var last millrace.Status
			cfg := quietly
			cfg.Observe = func(s millrace.Status) { last = s }
			if err := millrace.Run(context.Background(), job, cfg); err != nil {
				t.Fatal(err)
			}
			number := func(rs []ride) (n []int64) {
				for _, r := range rs {
					n = append(n, r.N)
				}
				return n
			}
			want, left := "[0 1 2]", "[3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]"
			if oldest {
				want, left = "[0 1 2 17 18 19]", "[3 4 5 6 7 8 9 10 11 12 13 14 15 16]"
			}
			if got := fmt.Sprint(number(out.Records())); got != want {
				t.Errorf("oldest %v: passed %s, want %s", oldest, got, want)
			}
			if got := fmt.Sprint(number(dropped.Records())); got != left {
				t.Errorf("oldest %v: left out %s, want %s", oldest, got, left)
			}
			n := int64(len(dropped.Records()))
			if o := last.Operators[1]; last.Dropped != n || o.Dropped != n || o.In != 20 || o.Out != 20-n {
				t.Errorf("oldest %v: counted %d and %+v, want %d", oldest, last.Dropped, o, n)
			}
		})
	}
}

// TestMaxInFlightWaitsForEpochs: the source never has more than 10 records that no decided epoch holds, and asks for epochs by itself.
func TestMaxInFlightWaitsForEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out := millrace.NewJob("job"), memory.NewSink[ride]()
		read, most := 0, 0
		job.From("in", memory.Of(numbered(200)...), millrace.EventTime(ride.time)).MaxInFlight(10).
			UpdateRef(func(*ride) {
				read++
				most = max(most, read-len(out.Records()))
			}).To("out", out)
		var last millrace.Status
		cfg := millrace.Config{
			Parallelism: 1, Log: quiet(), Observe: func(s millrace.Status) { last = s },
			Checkpoint: millrace.CheckpointConfig{Interval: time.Hour},
		}
		start := time.Now()
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		// A decided epoch is committed beside the task: up to one more may be read before what it holds can be seen.
		if len(out.Records()) != 200 || last.Epochs < 20 || most > 20 || most < 10 {
			t.Errorf("%d results in %d epochs, %d records at most read and not committed", len(out.Records()), last.Epochs, most)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v: it waited for the interval", took)
		}
	})
}

// TestLimitsKilledAnywhereLoseNothing: a limit in records, one in time, and one record made into several between them.
func TestLimitsKilledAnywhereLoseNothing(t *testing.T) {
	in := numbered(800)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("limits")
		job.From("in", memory.Splits(in[:300], in[300:500], in[500:]), millrace.EventTime(ride.time).OutOfOrderness(20*time.Minute)).
			MaxInFlight(150).
			FlatMap(func(_ *millrace.Context, r ride, emit func(ride)) error { emit(r); emit(r); return nil }).
			RateLimit(200_000, 50).
			KeyBy(ride.base).Window(window.Tumbling(time.Minute)).Aggregate("sum", agg.Sum(sumOf)).
			To("out", w.Collect[millrace.Pane[string, int64]]("out"))
		return job
	}, millracetest.Kills(10), millracetest.Check(func(w *millracetest.Trial) error {
		var sum, want int64
		for _, p := range w.Collect[millrace.Pane[string, int64]]("out").Records() {
			sum += p.Value
		}
		for _, r := range in {
			want += 2 * r.N
		}
		if sum != want {
			return fmt.Errorf("the sum is %d, want %d", sum, want)
		}
		return nil
	}))
}
