package errorpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// log notes what a job logs.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// TestF37BlockedFunction: a function that does not return is named while it is in its call; a job that may fail because of it does, and Run returns though
// the function never does.
func TestF37BlockedFunction(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails: ", fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				job, out := millrace.NewJob("blocks"), millracetest.Collect[int64]()
				job.From("in", memory.Of[int64](1, 2, 3)).
					Map(func(n int64) int64 {
						if n == 2 {
							<-release
						}
						return n
					}).As("waits").
					To("out", out)
				l := &log{}
				var busy atomic.Int64
				cfg := millrace.Config{
					Log: l.logger(), Parallelism: 1, StopTimeout: 7 * time.Second,
					Restart:  millrace.RestartConfig{Attempts: 5, AnyError: true},
					Watchdog: millrace.WatchdogConfig{BlockedAfter: time.Minute, FailBlocked: fails},
					Observe: func(s millrace.Status) {
						for _, o := range s.Operators {
							if o.Busy > 0 && o.ID != "waits" {
								t.Errorf("%q is busy for %v", o.ID, o.Busy)
							}
							busy.Store(max(busy.Load(), int64(o.Busy)))
						}
					},
				}
				if !fails {
					time.AfterFunc(10*time.Minute, func() { close(release) })
				}
				began := time.Now()
				err := millrace.Run(context.Background(), job, cfg)
				took := time.Since(began)
				if !strings.Contains(l.String(), `msg="an operator does not return" job=blocks operator=waits subtask=0 for=1m`) {
					t.Errorf("the log does not name the operator:\n%s", l)
				}
				if !fails {
					if err != nil || fmt.Sprint(out.Records()) != "[1 2 3]" || time.Duration(busy.Load()) < 9*time.Minute {
						t.Errorf("%v: %v, busy for %v", err, out.Records(), time.Duration(busy.Load()))
					}
					return
				}
				defer close(release)
				var be *millrace.BlockedError
				var oe *millrace.OperatorError
				if !errors.As(err, &be) || !errors.As(err, &oe) || oe.Operator != "waits" || be.For < time.Minute {
					t.Errorf("%v", err)
				}
				want := `millrace: the job was left without its end: operator "waits" (subtask 0) had not returned 12s after being told to`
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got %v\nwant %s...", err, want)
				}
				if took > 2*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestStandingWatermarkIsNamed: a split that is quiet holds the watermark of another; the log and the status say which one.
func TestStandingWatermarkIsNamed(t *testing.T) {
	type ev struct{ At int64 }
	quiet := millracetest.Script[ev]().Records(ev{5}).Wait(10 * time.Minute).Records(ev{100})
	busy := millracetest.Script[ev]().Records(ev{1}, ev{50})
	job := millrace.NewJob("held")
	job.From("in", millracetest.Splits(quiet, busy), millrace.EventTime(func(e ev) time.Time { return time.Unix(e.At, 0) })).
		To("out", millracetest.Collect[ev]())
	l := &log{}
	held := map[string]bool{}
	millracetest.Run(t, job, millracetest.Virtual(), millracetest.StuckAfter(time.Hour), millracetest.Configure(func(cfg *millrace.Config) {
		cfg.Log = l.logger()
		cfg.Watchdog.StuckAfter = 2 * time.Minute
		cfg.Observe = func(s millrace.Status) { held[s.Held] = true }
	}))
	want := `split "script-000000" of source "in" stands at 1970-01-01T00:00:04.999999999Z, while others are at 1970-01-01T00:00:49.999999999Z: if it is quiet, give the source IdleAfter`
	if !held[want] || !held[""] || len(held) != 2 {
		t.Errorf("the status said %v, want %q", held, want)
	}
	if n := strings.Count(l.String(), "the watermark stands still"); n < 1 || n > 4 {
		t.Errorf("it is logged %d times:\n%s", n, l)
	}
}

// flaky is a sink that fails in the middle of some writes, as a service does that is down.
type flaky struct {
	*memory.Sink[int64]
	fail func() error
}

func (f flaky) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[int64], error) {
	w, err := f.Sink.OpenWriter(ctx, info)
	return &flakyWriter{w, f.fail}, err
}

type flakyWriter struct {
	connect.Writer[int64]
	fail func() error
}

func (w *flakyWriter) Write(ctx context.Context, records []int64) error {
	if err := w.Writer.Write(ctx, records); err != nil {
		return err
	}
	return w.fail()
}

// TestF39RestartStrategies: the waits of each restart strategy, in virtual time. What a failed write has left behind is never committed.
func TestF39RestartStrategies(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name    string
		restart millrace.RestartConfig
		fails   int
		retry   bool
		waited  time.Duration
		gaveUp  string
	}{
		{"exponential", millrace.RestartConfig{Attempts: 9, Backoff: 100 * ms, MaxBackoff: 400 * ms}, 5, true, (100 + 200 + 400 + 400 + 400) * ms, ""},
		{"fixed", millrace.RestartConfig{Strategy: millrace.RestartFixed, Attempts: 5, Backoff: 100 * ms}, 5, true, 500 * ms, ""},
		{"gives up", millrace.RestartConfig{Attempts: 3, Backoff: 100 * ms}, 5, true, 700 * ms, "gave up after 3 restarts without a new checkpoint: "},
		{"never", millrace.RestartConfig{Strategy: millrace.RestartNever, Attempts: 3}, 5, true, 0, "job restarts: operator"},
		{"no attempts", millrace.RestartConfig{}, 5, true, 0, "job restarts: operator"},
		{"not retryable", millrace.RestartConfig{Attempts: 3}, 5, false, 0, "job restarts: operator"},
		{"any error", millrace.RestartConfig{Attempts: 6, Backoff: 100 * ms, AnyError: true}, 3, false, 700 * ms, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := 0
				sink := flaky{memory.NewSink[int64](), func() error {
					if failed++; failed > c.fails {
						return nil
					}
					if c.retry {
						return connect.Retryable(errors.New("the service is down"))
					}
					return errors.New("the row is refused")
				}}
				job := millrace.NewJob("restarts")
				job.From("in", memory.Of[int64](1, 2, 3)).To("out", sink)
				var status millrace.Status
				began := time.Now()
				err := millrace.Run(context.Background(), job, millrace.Config{
					Log: slog.New(slog.DiscardHandler), Parallelism: 1, Restart: c.restart, Observe: func(s millrace.Status) { status = s },
				})
				if took := time.Since(began); took < c.waited || took > c.waited+1200*ms { // the last epoch may wait for its interval
					t.Errorf("it took %v, with waits of %v", took, c.waited)
				}
				want := "[1 2 3]"
				if c.gaveUp != "" {
					want = "[]"
				}
				if got := fmt.Sprint(sink.Records()); got != want {
					t.Errorf("committed: %s, want %s", got, want)
				}
				if c.gaveUp == "" && (err != nil || status.Restarts != c.fails) || c.gaveUp != "" && (err == nil || !strings.HasPrefix(err.Error(), "millrace: "+c.gaveUp)) {
					t.Errorf("%v after %d restarts", err, status.Restarts)
				}
			})
		})
	}
}

// TestRestartsBeginAnew: failures that lie far enough apart never use the attempts up, and those that do not, do.
func TestRestartsBeginAnew(t *testing.T) {
	for _, reset := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			writes := 0
			sink := flaky{memory.NewSink[int64](), func() error {
				if writes++; writes%3 == 0 { // a record each 10 s, and an epoch between
					return connect.Retryable(errors.New("down"))
				}
				return nil
			}}
			job := millrace.NewJob("anew")
			s := millracetest.Script[int64]()
			for i := range int64(20) {
				s = s.Records(i).Wait(10 * time.Second)
			}
			job.From("in", s).To("out", sink)
			err := millrace.Run(context.Background(), job, millrace.Config{
				Log: slog.New(slog.DiscardHandler), Parallelism: 1, Restart: millrace.RestartConfig{Attempts: 2, Backoff: time.Millisecond, ResetAfter: reset},
			})
			if fails := reset == time.Hour; fails != (err != nil) || err != nil && !strings.Contains(err.Error(), "gave up after 2 restarts") {
				t.Errorf("reset after %v: %v", reset, err)
			}
			if err == nil && len(sink.Records()) != 20 {
				t.Errorf("reset after %v: %v", reset, sink.Records())
			}
		})
	}
}

// TestFailureBudget: what is over the budget is not committed, also with several subtasks and after restarts, and what is within it is.
func TestFailureBudget(t *testing.T) {
	numbers := make([][]int64, 4)
	for i := range int64(4000) {
		numbers[i%4] = append(numbers[i%4], i)
	}
	for _, c := range []struct {
		budget millrace.FailureBudget
		err    string
	}{
		{millrace.FailureBudget{}, ""},
		{millrace.FailureBudget{Records: 40, Share: 0.01}, ""},
		{millrace.FailureBudget{Records: 39}, `40 records have failed, and FailureBudget.Records is 39: 40 at operator "odd"; epoch 1 is not committed: correct what fails, or raise the budget`},
		{millrace.FailureBudget{Share: 0.0099}, `40 of 4000 records have failed, and FailureBudget.Share is 0.0099: 40 at operator "odd"; epoch 1 is not committed: correct what fails, or raise the budget`},
	} {
		job, out := millrace.NewJob("budget"), millracetest.Collect[int64]()
		job.From("in", memory.Splits(numbers...)).Map(func(n int64) int64 {
			if n%100 == 99 {
				panic("no")
			}
			return n
		}).As("odd").OnError(millrace.ErrorPolicy{Action: millrace.SkipRecord}).To("out", out)
		err := millrace.Run(context.Background(), job, millrace.Config{
			Log: slog.New(slog.DiscardHandler), Parallelism: 4, FailureBudget: c.budget, Checkpoint: millrace.CheckpointConfig{Interval: time.Hour},
			Restart: millrace.RestartConfig{Attempts: 2, AnyError: true, Backoff: time.Millisecond},
		})
		var be *millrace.BudgetError
		switch {
		case c.err == "":
			if err != nil || len(out.Records()) != 3960 {
				t.Errorf("%+v: %d records, %v", c.budget, len(out.Records()), err)
			}
		case err == nil || err.Error() != "millrace: "+c.err || !errors.As(err, &be) || be.Failed != 40 || be.Read != 4000 || len(out.Records()) != 0:
			t.Errorf("%+v: %d records, %v", c.budget, len(out.Records()), err)
		}
	}
}

// TestMistakesInTheConfiguration compares the messages.
func TestMistakesInTheConfiguration(t *testing.T) {
	err := millrace.Config{
		Restart: millrace.RestartConfig{Strategy: "often", ResetAfter: -1}, FailureBudget: millrace.FailureBudget{Records: -1, Share: 1.5},
		Watchdog: millrace.WatchdogConfig{BlockedAfter: -1, StuckAfter: -2},
	}.Validate()
	want := `millrace: config: Restart.ResetAfter is -1ns: it must not be negative
millrace: config: Watchdog.BlockedAfter is -1ns: it must not be negative
millrace: config: Watchdog.StuckAfter is -2ns: it must not be negative
millrace: config: FailureBudget.Records is -1: it must not be negative
millrace: config: Restart.Strategy is "often": it must be "exponential", "fixed" or "never"
millrace: config: FailureBudget.Share is 1.5: it must be from 0 to 1`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
