package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// hooked is a memory sink whose writers ask before they write, and before what they wrote becomes durable.
type hooked[T any] struct {
	*memory.Sink[T]
	write  func(context.Context, []T) error
	finish func(context.Context) error
}

func (h hooked[T]) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[T], error) {
	w, err := h.Sink.OpenWriter(ctx, info)
	return hookedWriter[T]{w, h}, err
}

type hookedWriter[T any] struct {
	connect.Writer[T]
	h hooked[T]
}

func (w hookedWriter[T]) Write(ctx context.Context, r []T) error {
	if w.h.write != nil {
		if err := w.h.write(ctx, r); err != nil {
			return err
		}
	}
	return w.Writer.Write(ctx, r)
}

func (w hookedWriter[T]) Prepare(ctx context.Context, epoch uint64) (connect.Finish, error) {
	f, err := w.Writer.Prepare(ctx, epoch)
	if f == nil || w.h.finish == nil {
		return f, err
	}
	return func(ctx context.Context) ([]byte, error) {
		if err := w.h.finish(ctx); err != nil {
			return nil, err
		}
		return f(ctx)
	}, err
}

// TestPanicsAndErrorsOfFunctionsAreTold has a function of each kind panic, and each that may return an error do so.
func TestPanicsAndErrorsOfFunctionsAreTold(t *testing.T) {
	fails := errors.New("fails on purpose")
	bad := func(r reading) bool { return r.N == 7 }
	sum := func(r reading) int64 { return r.N }
	sink := func() *memory.Sink[reading] { return memory.NewSink[reading]() }
	keep := func(p *millrace.Proc[string, int64, reading], r reading) error { return nil }
	for _, c := range []struct {
		name, operator string
		err            error // nil for a panic
		place          bool  // the operator is in the task of the source
		build          func(s millrace.Stream[reading])
	}{
		{"map", "map-1", nil, true, func(s millrace.Stream[reading]) {
			s.Map(func(r reading) reading { boom(bad(r)); return r }).To("out", sink())
		}},
		{"filter", "some", nil, true, func(s millrace.Stream[reading]) {
			s.Filter(func(r reading) bool { boom(bad(r)); return true }).As("some").To("out", sink())
		}},
		{"flatmap", "flatmap-1", nil, true, func(s millrace.Stream[reading]) {
			s.FlatMap(func(_ *millrace.Context, r reading, emit func(reading)) error { boom(bad(r)); return nil }).To("out", sink())
		}},
		{"flatmap error", "flatmap-1", fails, true, func(s millrace.Stream[reading]) {
			s.FlatMap(func(_ *millrace.Context, r reading, emit func(reading)) error {
				if bad(r) {
					return fails
				}
				return nil
			}).To("out", sink())
		}},
		{"key", "sum", nil, true, func(s millrace.Stream[reading]) {
			s.KeyBy(func(r reading) string { boom(bad(r)); return r.Key }).Window(window.Tumbling(time.Minute)).
				Aggregate("sum", agg.Sum(sum)).To("out", counts())
		}},
		{"aggregate", "sum", nil, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Window(window.Tumbling(time.Minute)).
				Aggregate("sum", agg.Sum(func(r reading) int64 { boom(bad(r)); return r.N })).To("out", counts())
		}},
		{"process", "p", nil, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p", func(p *millrace.Proc[string, int64, reading], r reading) error { boom(bad(r)); return nil }).To("out", sink())
		}},
		{"process error", "p", fails, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p", func(p *millrace.Proc[string, int64, reading], r reading) error {
				if bad(r) {
					return fails
				}
				return nil
			}).To("out", sink())
		}},
		{"timer", "p", nil, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p", func(p *millrace.Proc[string, int64, reading], r reading) error {
				p.SetTimer("t", r.At)
				return nil
			}, func(p *millrace.Proc[string, int64, reading], _ millrace.Timer) error { boom(true); return nil }).To("out", sink())
		}},
		{"timer error", "p", fails, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p", func(p *millrace.Proc[string, int64, reading], r reading) error {
				p.SetTimer("t", r.At)
				return nil
			}, func(*millrace.Proc[string, int64, reading], millrace.Timer) error { return fails }).To("out", sink())
		}},
		{"timer out of range", "p", millrace.ErrTimeRange, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p", func(p *millrace.Proc[string, int64, reading], r reading) error {
				p.SetTimer("t", r.At.AddDate(400, 0, 0))
				return nil
			}, keepTimer).To("out", sink())
		}},
		{"sink", "out", nil, true, func(s millrace.Stream[reading]) {
			s.To("out", hooked[reading]{Sink: sink(), write: func(context.Context, []reading) error { boom(true); return nil }})
		}},
		{"end of an epoch in the sink", "out", nil, false, func(s millrace.Stream[reading]) {
			s.To("out", hooked[reading]{Sink: sink(), finish: func(context.Context) error { boom(true); return nil }})
		}},
		{"sink error", "out", fails, true, func(s millrace.Stream[reading]) {
			s.To("out", hooked[reading]{Sink: sink(), write: func(context.Context, []reading) error { return fails }})
		}},
		{"function of an operator after the first", "p2", nil, false, func(s millrace.Stream[reading]) {
			s.KeyBy(reading.key).Process("p1", func(p *millrace.Proc[string, int64, reading], r reading) error { p.Emit(r); return nil }).
				KeyBy(reading.key).Process("p2", func(p *millrace.Proc[string, int64, reading], r reading) error { boom(bad(r)); return nil }).
				KeyBy(reading.key).Process("p3", keep).To("out", sink())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			in := t.TempDir()
			put(t, in, "in.csv", disorder(1, 200, 2))
			job := millrace.NewJob("job")
			c.build(job.From("in", file.CSV[reading](in), millrace.EventTime(reading.time).OutOfOrderness(5*time.Second)))
			err := millrace.Run(context.Background(), job, small(t.TempDir()))
			got := normal(err, in)
			if !strings.HasPrefix(got, fmt.Sprintf(`millrace: job job: operator %q (subtask `, c.operator)) || !strings.Contains(got, "made at JOB:LINE): ") {
				t.Errorf("the error does not name operator %q and its line:\n%s", c.operator, got)
			}
			if c.place && !strings.Contains(got, "(while handling records from DIR/in.csv:") {
				t.Errorf("the error does not say which records:\n%s", got)
			}
			var pe *millrace.PanicError
			switch {
			case c.err != nil:
				if !errors.Is(err, c.err) || errors.As(err, &pe) {
					t.Errorf("got %v, want %v", err, c.err)
				}
			case !errors.As(err, &pe) || pe.Value != "boom" || !strings.Contains(string(pe.Stack), "boom(") || !strings.Contains(got, "panic: boom"):
				t.Errorf("got %v, want a panic with its stack", err)
			}
		})
	}
}

func keepTimer(*millrace.Proc[string, int64, reading], millrace.Timer) error { return nil }

func boom(now bool) {
	if now {
		panic("boom")
	}
}

// total adds up the sums of panes.
func total(panes []millrace.Pane[string, int64]) (n int64) {
	for _, p := range panes {
		n += p.Value
	}
	return n
}

func manyRides(n int) []ride {
	in := make([]ride, n)
	for i := range in {
		in[i] = ride{Base: fmt.Sprint(i % 5), At: int64(i), N: 1}
	}
	return in
}

func TestRetryableErrorRestartsTheJob(t *testing.T) {
	for _, attempts := range []int{3, 1} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			noLeaks(t)
			var writes, failures atomic.Int64
			away := errors.New("server is away")
			out := hooked[millrace.Pane[string, int64]]{Sink: counts(), write: func(context.Context, []millrace.Pane[string, int64]) error {
				if n := writes.Add(1); n%4 == 3 && failures.Load() < 3 || failures.Load() == 1 { // two in a row
					failures.Add(1)
					return connect.Retryable(away)
				}
				return nil
			}}
			job := millrace.NewJob("job")
			minute(job.From("in", memory.Of(manyRides(2000)...), millrace.EventTime(ride.time))).Aggregate("n", count()).To("out", out)
			cfg := serial(t.TempDir())
			cfg.Restart = millrace.RestartConfig{Attempts: attempts, Backoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond}
			var last millrace.Status
			cfg.Observe = func(s millrace.Status) { last = s }
			err := millrace.Run(context.Background(), job, cfg)
			if attempts == 1 {
				if !errors.Is(err, away) || !strings.Contains(err.Error(), "gave up after 1 restarts without a new checkpoint: ") {
					t.Errorf("got %v", err)
				}
				if err := millrace.Run(context.Background(), job, cfg); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if n := total(out.Records()); n != 2000 || last.In != 2000 {
				t.Errorf("%d records counted, %d read, want 2000", n, last.In)
			}
			want := int(failures.Load())
			if attempts == 1 {
				want-- // the start that decided nothing before the first run gave up is forgotten
			}
			if last.Restarts != want {
				t.Errorf("%d restarts are told, want %d", last.Restarts, want)
			}
		})
	}
}

// TestBackoffDoublesAndStops watches the waits between restarts.
func TestBackoffDoublesAndStops(t *testing.T) {
	noLeaks(t)
	log, text := logged()
	out := hooked[ride]{Sink: memory.NewSink[ride](), write: func(context.Context, []ride) error { return connect.Retryable(errKilled) }}
	job := millrace.NewJob("job")
	job.From("in", memory.Of(manyRides(10)...)).To("out", out)
	cfg := serial(t.TempDir())
	cfg.Log, cfg.Restart = log, millrace.RestartConfig{Attempts: 4, Backoff: time.Millisecond, MaxBackoff: 3 * time.Millisecond}
	err := millrace.Run(context.Background(), job, cfg)
	if !errors.Is(err, errKilled) || !strings.Contains(err.Error(), `gave up after 4 restarts`) {
		t.Errorf("got %v", err)
	}
	for i, want := range []string{"restart=1 in=1ms", "restart=2 in=2ms", "restart=3 in=3ms", "restart=4 in=3ms"} {
		if !strings.Contains(text(), want) {
			t.Errorf("wait %d: the log does not say %q:\n%s", i, want, text())
		}
	}
}

// TestStoppedAnywhereAndRunAgain stops a job at fault points again and again, until it has finished.
func TestStoppedAnywhereAndRunAgain(t *testing.T) {
	in := t.TempDir()
	put(t, in, "in.csv", disorder(31, 1500, 8))
	want := undisturbed(t, in)
	cause := errors.New("told to stop")
	for _, stride := range []int{1, 7, 16, 40} {
		t.Run(fmt.Sprint(stride), func(t *testing.T) {
			noLeaks(t)
			out, state := t.TempDir(), t.TempDir()
			stops := 0
			for runs := 0; ; runs++ {
				ctx, cancel := context.WithCancelCause(context.Background())
				var passes atomic.Int64
				ctx = env.With(ctx, &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: func(string) error {
					if passes.Add(1) == int64(stride+runs%3) {
						cancel(cause)
					}
					return nil
				}})
				err := millrace.Run(ctx, sumJob(in, out), small(state))
				cancel(nil)
				if err == nil {
					break
				}
				if !errors.Is(err, cause) {
					t.Fatalf("run %d: got %v, want %v", runs, err, cause)
				}
				if stops++; stops == 12 { // a stop in the restore makes no progress: enough
					if err := millrace.Run(context.Background(), sumJob(in, out), small(state)); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
			if stops == 0 {
				t.Error("the job was never stopped")
			}
			same(t, "output", visible(t, out), want)
		})
	}
}

// TestStopTimeout: an epoch that does not end is given up, and its records are read again.
func TestStopTimeout(t *testing.T) {
	noLeaks(t)
	var hang atomic.Bool
	hang.Store(true)
	out := hooked[ride]{Sink: memory.NewSink[ride](), finish: func(ctx context.Context) error {
		if hang.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	job := millrace.NewJob("job")
	job.From("in", memory.Of(manyRides(500)...)).To("out", out)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := serial(t.TempDir())
	cfg.StopTimeout, cfg.ObserveEvery = 30*time.Millisecond, time.Nanosecond
	cfg.Observe = func(s millrace.Status) {
		if s.In > 0 {
			cancel()
		}
	}
	err := millrace.Run(ctx, job, cfg)
	if err == nil || !strings.Contains(err.Error(), "the last epoch was not complete within the stop timeout of 30ms: what was read since epoch 0 will be read again") {
		t.Errorf("got %v", err)
	}
	hang.Store(false)
	cfg.Observe = nil
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		t.Fatal(err)
	}
	if n := len(out.Records()); n != 500 {
		t.Errorf("%d records, want 500", n)
	}
}

// TestStoppedBeforeTheStart: a context that is done already still leaves a job that can go on.
func TestStoppedBeforeTheStart(t *testing.T) {
	noLeaks(t)
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, in, "in.csv", disorder(31, 300, 8))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := millrace.Run(ctx, sumJob(in, out), small(state)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := millrace.Run(context.Background(), sumJob(in, out), small(state)); err != nil {
		t.Fatal(err)
	}
	same(t, "output", visible(t, out), undisturbed(t, in))
}
