package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// TestWatermarksOfOnesOwnSurviveCrashes: what is late by a generator, by punctuation and by times assigned behind the source is what plain Go says,
// wherever the job is killed.
func TestWatermarksOfOnesOwnSurviveCrashes(t *testing.T) {
	in := disordered(800)
	type learned struct{ Newest, Worst int64 }
	learn := func(s *learned, at int64) int64 {
		s.Newest = max(s.Newest, at)
		if d := s.Newest - at; d < 15 {
			s.Worst = max(s.Worst, d)
		}
		return s.Newest - s.Worst
	}
	own := millrace.EventTime(ride.time).Watermarks(func(s *learned, r ride, _ time.Time) (time.Time, bool) {
		return time.Unix(learn(s, r.At), 0), true
	})
	mark := func(r ride) (int64, bool) { return r.At - 5, r.N%10 == 0 }
	punctuated := millrace.EventTime(ride.time).Punctuated(func(r ride) (time.Time, bool) {
		at, ok := mark(r)
		return time.Unix(at, 0), ok
	})
	late := func(watermark func(r ride) (s int64, ok bool)) map[int64]bool {
		out, wm := map[int64]bool{}, int64(-1<<40)
		for _, r := range in {
			if (r.At/20+1)*20 <= wm { // the window has its last tick before its end
				out[r.N] = true
			}
			if at, ok := watermark(r); ok {
				wm = max(wm, at)
			}
		}
		return out
	}
	var state learned
	byLearning := late(func(r ride) (int64, bool) { return learn(&state, r.At), true })
	byMarks := late(mark)
	for name, c := range map[string]struct {
		from func(job *millrace.Job) millrace.Stream[ride]
		late map[int64]bool
	}{
		"own":        {func(job *millrace.Job) millrace.Stream[ride] { return job.From("in", memory.Of(in...), own) }, byLearning},
		"punctuated": {func(job *millrace.Job) millrace.Stream[ride] { return job.From("in", memory.Of(in...), punctuated) }, byMarks},
		"assigned": {func(job *millrace.Job) millrace.Stream[ride] {
			return job.From("in", memory.Of(in...)).AssignTime("time", own)
		}, byLearning},
		"assigned and punctuated": {func(job *millrace.Job) millrace.Stream[ride] {
			return job.From("in", memory.Of(in...)).AssignTime("time", punctuated)
		}, byMarks},
	} {
		t.Run(name, func(t *testing.T) {
			millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
				job := millrace.NewJob("own")
				win := c.from(job).KeyBy(ride.base).Window(window.Tumbling(20 * time.Second))
				win.Aggregate("n", count()).To("out", w.Collect[millrace.Pane[string, int64]]("out"))
				win.Late().To("late", w.Collect[ride]("late"))
				return job
			}, millracetest.Kills(6), millracetest.Check(func(w *millracetest.Trial) error {
				got := w.Collect[ride]("late").Records()
				for _, r := range got {
					if !c.late[r.N] {
						return fmt.Errorf("%v is late and must not be", r)
					}
				}
				if len(got) != len(c.late) || len(got) < 10 {
					return fmt.Errorf("%d records are late, want %d, and 10 at least", len(got), len(c.late))
				}
				return nil
			}))
		})
	}
}

// TestAnotherStateOfWatermarksIsRefused: a checkpoint with the state of another generator is not taken for that of the new one.
func TestAnotherStateOfWatermarksIsRefused(t *testing.T) {
	dir, out := t.TempDir(), memory.NewSink[ride]()
	job := func(timing millrace.Timing[ride]) *millrace.Job {
		job := millrace.NewJob("job")
		job.From("in", memory.Of(disordered(500)...), timing).To("out", out)
		return job
	}
	by := millrace.EventTime(ride.time)
	killAt(t, job(by.Watermarks(func(_ *int64, r ride, _ time.Time) (time.Time, bool) { return r.time(), true })), small(dir), "commit.after", 1)
	for now, timing := range map[string]millrace.Timing[ride]{
		"string": by.Watermarks(func(_ *string, r ride, _ time.Time) (time.Time, bool) { return r.time(), true }),
		"":       by,
	} {
		err := millrace.Run(context.Background(), job(timing), small(dir))
		if want := fmt.Sprintf(`watermarks was "int64" in the checkpoint and is %q now`, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// setClock is a clock that a test moves; it does not run by itself.
type setClock struct{ ns atomic.Int64 }

func (c *setClock) Now() time.Time { return time.Unix(0, c.ns.Load()) }

// TestProcessingTimeWindowsFollowTheClock: a window of processing time fires when the clock passes its end, without another record, and a job
// with an exact sink is warned.
func TestProcessingTimeWindowsFollowTheClock(t *testing.T) {
	noLeaks(t)
	clock := &setClock{}
	clock.ns.Store(int64(90 * time.Second))
	world := &env.Env{Sched: task.System{Clock: clock}, FS: fsx.OS{}}
	out := counts()
	script := millracetest.Script[ride]().Records(ride{Base: "a", At: 7}, ride{Base: "b", At: 1}, ride{Base: "a", At: -5}).StayOpen()
	job := millrace.NewJob("clock")
	minute(job.From("in", script, millrace.ProcessingTime[ride]())).Aggregate("n", count()).To("out", out)
	log, text := logged()
	ctx, cancel := context.WithCancelCause(env.With(context.Background(), world))
	defer cancel(nil)
	var before string
	looks := 0
	cfg := millrace.Config{Parallelism: 2, Log: log, ObserveEvery: time.Nanosecond, Checkpoint: millrace.CheckpointConfig{Interval: time.Second}}
	cfg.Observe = func(s millrace.Status) {
		switch {
		case s.Ended:
		case s.In < 3:
			clock.ns.Add(1) // so that it is asked again
		case looks < 20: // the clock hardly moves: nothing fires
			looks++
			clock.ns.Add(1)
			before = panes(out)
		case panes(out) == "":
			clock.ns.Add(int64(time.Second))
		default:
			cancel(errEnough)
		}
	}
	if err := millrace.Run(ctx, job, cfg); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if got := panes(out); before != "" || got != "a@1=2 b@1=1" {
		t.Errorf("before the end of the minute %q, after it %q", before, got)
	}
	if !strings.Contains(text(), "source takes event times from the clock") {
		t.Errorf("no warning in %s", text())
	}
}

// TestProcessingTimeLosesAndRepeatsNothingOverCrashes: the times of records that are read again differ, but each counts once.
func TestProcessingTimeLosesAndRepeatsNothingOverCrashes(t *testing.T) {
	in := disordered(600)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		panes := w.Once("panes", memory.NewSink[millrace.Pane[string, int64]])
		w.Output("sums", func() []string { // by key, over all windows
			sums := map[string]int64{}
			for _, p := range panes.Records() {
				sums[p.Key] += p.Value
			}
			var lines []string
			for k, n := range sums {
				lines = append(lines, fmt.Sprint(k, " ", n))
			}
			slices.Sort(lines)
			return lines
		})
		job := millrace.NewJob("clock")
		job.From("in", memory.Splits(in[:300], in[300:]), millrace.ProcessingTime[ride]()).KeyBy(ride.base).
			Window(window.Tumbling(time.Millisecond)).Aggregate("n", count()).To("out", panes)
		return job
	}, millracetest.Kills(8))
}
