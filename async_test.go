package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	c, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-c.Done()
}

func double(_ context.Context, r ride) (int64, error) { return 2 * r.N, nil }

func TestMistakesOfAsyncAreNamed(t *testing.T) {
	out := func() *memory.Sink[int64] { return memory.NewSink[int64]() }
	for _, c := range []struct {
		name  string
		build func(*millrace.Job)
		want  string
	}{
		{
			"no function", func(j *millrace.Job) { rides(j).Async[int64]("a", nil).To("out", out()) },
			`JOB:LINE: operator "a": the function is nil`,
		},
		{
			"no id", func(j *millrace.Job) { rides(j).Async("", double).To("out", out()) },
			`JOB:LINE: the id of this async is empty: it names the operator in checkpoints and metrics and must be given`,
		},
		{
			"no codec", func(j *millrace.Job) {
				j.From("in", memory.Of[withFunc]()).Async("a", func(context.Context, withFunc) (int64, error) { return 0, nil }).To("out", out())
			},
			`JOB:LINE: operator "a": the requests in flight cannot be kept in checkpoints: codec: field withFunc.F: func() has no stable encoding; ` +
				`leave it out of the state, or give the type around it AppendState and DecodeState`,
		},
		{
			"options", func(j *millrace.Job) {
				rides(j).Async("a", double).Capacity(0).Timeout(-1).Fallback(nil).Retry(millrace.AsyncRetry{}).
					Retry(millrace.AsyncRetry{Attempts: 2, Backoff: time.Minute, MaxBackoff: time.Second}).
					Retry(millrace.AsyncRetry{Attempts: 2, Jitter: 1.5}).To("out", out())
			},
			`JOB:LINE: operator "a": Capacity(0): it must be 1 or more` + "\n\t" +
				`JOB:LINE: operator "a": Fallback: the function is nil` + "\n\t" +
				`JOB:LINE: operator "a": Retry: Attempts is 0: it must be 1 or more` + "\n\t" +
				`JOB:LINE: operator "a": Retry: Backoff is 1m0s and MaxBackoff 1s: they must not be negative, and MaxBackoff not be less` + "\n\t" +
				`JOB:LINE: operator "a": Retry: Jitter is 1.5: it must be from 0 to 1` + "\n\t" +
				`JOB:LINE: operator "a": Timeout(-1ns): it must be more than 0`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mistakes(c.build); got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
}

// asyncInput makes records of four splits with some disorder.
func asyncInput(n int) (splits [][]ride, all []ride) {
	splits = make([][]ride, 4)
	for i := range n {
		r := ride{Base: string(rune('a' + i*i%7)), At: int64(i + i*7%40), N: int64(i)}
		splits[i%4] = append(splits[i%4], r)
		all = append(all, r)
	}
	return splits, all
}

// TestAsyncKilledAnywhereGivesEachResultOnce has requests in a chain with sources, behind windows, and before a sink, ordered and unordered, with some
// that fail for a while. It kills the job at all kinds of moments, with requests in flight, and starts it at other parallelisms.
func TestAsyncKilledAnywhereGivesEachResultOnce(t *testing.T) {
	splits, all := asyncInput(1200)
	want := map[string]int64{}
	for _, r := range all {
		want[fmt.Sprint(r.Base, r.At/60*60)] += 2 * r.N
	}
	var calls atomic.Int64
	slow := func(ctx context.Context, n int64) error {
		calls.Add(1)
		pause(ctx, time.Duration(50+n*37%200)*time.Microsecond)
		return ctx.Err()
	}
	report := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		var failed sync.Map // this process has seen the request fail
		job := millrace.NewJob("async")
		asked := job.From("in", memory.Splits(splits...), millrace.EventTime(ride.time).OutOfOrderness(time.Minute)).
			Async("ask", func(ctx context.Context, r ride) (ride, error) {
				if _, again := failed.LoadOrStore(r.N, true); !again && r.N%50 == 0 {
					return ride{}, errors.New("busy")
				}
				r.N *= 2
				return r, slow(ctx, r.N)
			}).Capacity(8).Retry(millrace.AsyncRetry{Attempts: 2, Backoff: time.Millisecond})
		win := asked.KeyBy(ride.base).Window(window.Tumbling(time.Minute))
		sums := win.Aggregate("sum", agg.Sum(sumOf))
		win.Late().To("late", w.Collect[ride]("late"))
		sums.
			Async("store", func(ctx context.Context, p millrace.Pane[string, int64]) (string, error) {
				return fmt.Sprintf("%s%d=%d", p.Key, p.Start.Unix(), p.Value), slow(ctx, p.Value)
			}).Capacity(3).Unordered().
			To("out", w.Collect[string]("out"))
		return job
	}, millracetest.Kills(12), millracetest.Check(func(w *millracetest.Trial) error {
		var lines []string
		for k, n := range want {
			lines = append(lines, fmt.Sprintf("%s=%d", k, n))
		}
		got := w.Collect[string]("out").Records()
		slices.Sort(lines)
		slices.Sort(got)
		if late := w.Collect[ride]("late").Records(); len(late) > 0 {
			return fmt.Errorf("%d records are late behind their requests", len(late))
		}
		if !slices.Equal(got, lines) {
			return fmt.Errorf("first difference: %s", firstDifference(got, lines))
		}
		return nil
	}))
	if runs := report.Trials + 4; int(calls.Load()) <= runs*(len(all)+len(want)) {
		t.Errorf("%d calls in %d runs of %d records: no request was made again, so none was in flight at a kill", calls.Load(), runs, len(all)+len(want))
	}
}

// TestAsyncKeepsTheOrderOfASplit: results come as the records did, however long each request takes; without an order the quick ones are first.
func TestAsyncKeepsTheOrderOfASplit(t *testing.T) {
	in := []ride{{N: 6}, {N: 1}, {N: 4}, {N: 2}, {N: 3}}
	for _, c := range []struct {
		unordered bool
		capacity  int
		want      string
		took      time.Duration
	}{
		{false, 10, "[6 1 4 2 3]", 6 * time.Second},
		{true, 10, "[1 2 3 4 6]", 6 * time.Second},
		{false, 1, "[6 1 4 2 3]", 16 * time.Second},
		{true, 2, "[1 4 6 2 3]", 9 * time.Second}, // the 4 goes when the 1 is there, the 2 when the 4 is, the 3 when the 6 is
	} {
		synctest.Test(t, func(t *testing.T) {
			job, out := millrace.NewJob("job"), memory.NewSink[int64]()
			a := job.From("in", memory.Of(in...)).Async("a", func(ctx context.Context, r ride) (int64, error) {
				pause(ctx, time.Duration(r.N)*time.Second)
				return r.N, ctx.Err()
			}).Capacity(c.capacity)
			if c.unordered {
				a = a.Unordered()
			}
			a.To("out", out)
			start := time.Now()
			if err := millrace.Run(context.Background(), job, quietly); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(out.Records()); got != c.want {
				t.Errorf("unordered %v, capacity %d: got %s, want %s", c.unordered, c.capacity, got, c.want)
			}
			if took := time.Since(start).Truncate(time.Second); took != c.took {
				t.Errorf("unordered %v, capacity %d: took %v, want %v", c.unordered, c.capacity, took, c.took)
			}
		})
	}
}

// bubble returns a context whose job has its files in memory and its clock from the bubble of the test.
func bubble() context.Context {
	return env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.NewMem()})
}

// TestBarriersDoNotWaitForRequests: while requests hang, no more are made than there is room for, no more is read, epochs are decided, and the job can be
// stopped. What was in flight is asked again by the next run.
func TestBarriersDoNotWaitForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in []ride
		for i := range 50 {
			in = append(in, ride{At: int64(i), N: int64(i)})
		}
		out := memory.NewSink[int64]()
		var asked atomic.Int64
		build := func(hang bool) *millrace.Job {
			job := millrace.NewJob("job")
			job.From("in", memory.Of(in...), millrace.EventTime(ride.time)).Async("a", func(ctx context.Context, r ride) (int64, error) {
				asked.Add(1)
				if hang && r.N >= 10 {
					<-ctx.Done()
				}
				return r.N, ctx.Err()
			}).Capacity(4).To("out", out)
			return job
		}
		ctx := bubble()
		cfg := millrace.Config{Parallelism: 1, Log: quiet(), ObserveEvery: 10 * time.Millisecond, Checkpoint: millrace.CheckpointConfig{Dir: "/state", Interval: time.Second}}
		var last millrace.Status
		cfg.Observe = func(s millrace.Status) {
			if !s.Ended {
				last = s
			}
		}
		stop, cancel := context.WithTimeoutCause(ctx, time.Minute, errEnough)
		defer cancel()
		start := time.Now()
		if err := millrace.Run(stop, build(true), cfg); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 62*time.Second {
			t.Errorf("it took %v to stop after a minute", took)
		}
		if last.Epochs < 50 || last.In != 14 || last.Out != 10 || last.Operators[1].InFlight != 4 {
			t.Errorf("%d epochs, %d records read, %d results, %d in flight; want 50 or more, 14, 10 and 4", last.Epochs, last.In, last.Out, last.Operators[1].InFlight)
		}
		if n := asked.Load(); n != 14 {
			t.Errorf("%d requests were made, want 14", n)
		}
		if n := len(out.Records()); n != 10 {
			t.Errorf("%d results are committed, want 10", n)
		}
		if err := millrace.Run(ctx, build(false), cfg); err != nil {
			t.Fatal(err)
		}
		got := out.Records()
		for i, n := range got {
			if n != int64(i) {
				t.Fatalf("result %d is %d: %v", i, n, got)
			}
		}
		if len(got) != 50 || asked.Load() != 14+40 {
			t.Errorf("%d results from %d requests, want 50 from 54", len(got), asked.Load())
		}
	})
}

// TestAsyncFailuresNameTheOperator: errors, timeouts and panics of calls end the job, all others with them, and say where.
func TestAsyncFailuresNameTheOperator(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(ctx context.Context, r ride) (int64, error)
		want string
	}{
		{"error", func(ctx context.Context, r ride) (int64, error) { return 0, errors.New("no such base") }, "record with event time 1970-01-01T00:00:03Z: attempt 2 of 2: no such base"},
		{"timeout", func(ctx context.Context, r ride) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }, "record with event time 1970-01-01T00:00:03Z: attempt 2 of 2: no answer within 1s: context deadline exceeded"},
		{"panic", func(ctx context.Context, r ride) (int64, error) { panic("oh no") }, "panic: oh no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			synctest.Test(t, func(t *testing.T) {
				job, out := millrace.NewJob("job"), memory.NewSink[int64]()
				job.From("in", memory.Of(ride{At: 1}, ride{At: 2}, ride{At: 3, N: 1}), millrace.EventTime(ride.time)).
					Async("ask", func(ctx context.Context, r ride) (int64, error) {
						if r.N == 1 {
							return c.call(ctx, r)
						}
						<-ctx.Done() // until the job ends
						return 0, ctx.Err()
					}).Retry(millrace.AsyncRetry{Attempts: 2, If: func(err error) bool { return !errors.Is(err, context.Canceled) }}).To("out", out)
				if c.name == "timeout" {
					job = millrace.NewJob("job")
					job.From("in", memory.Of(ride{At: 3}), millrace.EventTime(ride.time)).Async("ask", c.call).Timeout(time.Second).
						Retry(millrace.AsyncRetry{Attempts: 2}).To("out", out)
				}
				err := millrace.Run(context.Background(), job, quietly)
				first, _, _ := strings.Cut(normal(err, ""), " (while handling")
				first, _, _ = strings.Cut(first, "\n")
				if want := `millrace: job job: operator "ask" (subtask 0, made at JOB:LINE): ` + c.want; first != want {
					t.Errorf("got\n%s\nwant\n%s", first, want)
				}
				var pe *millrace.PanicError
				if c.name == "panic" && (!errors.As(err, &pe) || !strings.Contains(string(pe.Stack), "async_test.go")) {
					t.Errorf("the stack does not lead to the function: %v", err)
				}
			})
		})
	}
}

// TestAsyncFallbackAndRetriesAreCounted goes through two failures, a timeout and an answer.
func TestAsyncFallbackAndRetriesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out := millrace.NewJob("job"), memory.NewSink[string]()
		tries := map[int64]int{}
		var mu sync.Mutex
		job.From("in", memory.Of(ride{N: 1}, ride{N: 2}, ride{N: 3})).Async("ask", func(ctx context.Context, r ride) (string, error) {
			mu.Lock()
			tries[r.N]++
			try := tries[r.N]
			mu.Unlock()
			switch {
			case r.N == 2 && try < 3:
				return "", errors.New("busy")
			case r.N == 3:
				<-ctx.Done()
				return "", ctx.Err()
			}
			return fmt.Sprint("answer ", r.N), nil
		}).Timeout(time.Second).Retry(millrace.AsyncRetry{Attempts: 3, Backoff: time.Second}).
			Fallback(func(r ride, err error) (string, error) {
				if !errors.Is(err, context.DeadlineExceeded) {
					return "", err
				}
				return fmt.Sprint("nothing for ", r.N), nil
			}).To("out", out)
		var last millrace.Status
		cfg := quietly
		cfg.Observe = func(s millrace.Status) { last = s }
		start := time.Now()
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(out.Records()); got != "[answer 1 answer 2 nothing for 3]" {
			t.Errorf("got %s", got)
		}
		if o := last.Operators[1]; o.ID != "ask" || o.In != 3 || o.Out != 3 || o.Retries != 4 || o.Fallbacks != 1 || o.InFlight != 0 {
			t.Errorf("counted %+v; want 4 retries and 1 fallback", o)
		}
		// Three timeouts of 1 s, after waits of 1 s and 2 s.
		if took := time.Since(start).Truncate(time.Second); took != 6*time.Second {
			t.Errorf("took %v, want 6 s", took)
		}
	})
}
