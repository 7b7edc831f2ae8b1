package millrace_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// slowStart is a scheduler on which the first source subtask starts late, when there is a second one.
type slowStart struct {
	task.System
	mu   sync.Mutex
	held func()
	two  bool
}

func (s *slowStart) Go(name string, fn func()) {
	s.mu.Lock()
	switch name {
	case "in/0":
		s.held = fn
		s.mu.Unlock()
		return
	case "in/1":
		s.two = true
	}
	two := s.two
	s.mu.Unlock()
	if !two {
		s.release()
	}
	s.System.Go(name, fn)
}

func (s *slowStart) release() {
	s.mu.Lock()
	fn := s.held
	s.held = nil
	s.mu.Unlock()
	if fn != nil {
		s.System.Go("in/0", fn)
	}
}

// TestEndedSplitHoldsNothingAfterRestart restores a job of which one split has ended. The subtask that would get it, however late it
// starts, has no say in which records of the other split are late.
func TestEndedSplitHoldsNothingAfterRestart(t *testing.T) {
	var short, long []ride
	for i := range int64(10) {
		short = append(short, ride{Base: "short", At: i})
	}
	for i := range int64(12000) {
		r := ride{Base: "long", At: i, N: i}
		if i%10 == 9 {
			r.At -= 50 // late by some windows of 10 s
		}
		long = append(long, r)
	}
	run := func(ctx context.Context, dir string, parallelism int, every int64, seen func(ride) bool, late *memory.Sink[ride], out *memory.Sink[millrace.Pane[string, int64]]) error {
		job := millrace.NewJob("ended")
		w := job.From("in", memory.Splits(short, long), millrace.EventTime(ride.time)).Filter(seen).
			KeyBy(ride.base).Window(window.Tumbling(10 * time.Second))
		w.Aggregate("count", agg.Count[ride]()).To("out", out)
		w.Late().To("late", late)
		return millrace.Run(ctx, job, millrace.Config{
			Parallelism: parallelism, Log: quiet(),
			Checkpoint: millrace.CheckpointConfig{Dir: dir, Interval: time.Hour, EveryRecords: every},
		})
	}
	all := func(ride) bool { return true }
	want, wantOut := memory.NewSink[ride](), memory.NewSink[millrace.Pane[string, int64]]()
	if err := run(context.Background(), t.TempDir(), 1, 500, all, want, wantOut); err != nil {
		t.Fatal(err)
	}

	late, out := memory.NewSink[ride](), memory.NewSink[millrace.Pane[string, int64]]()
	dir := filepath.Join(t.TempDir(), "state")
	var decided atomic.Int64
	killed := errors.New("killed")
	fault := func(point string) error {
		if point == "manifest.published" {
			decided.Add(1)
		}
		if decided.Load() >= 4 {
			return killed
		}
		return nil
	}
	ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: fault})
	if err := run(ctx, dir, 1, 500, all, late, out); !errors.Is(err, killed) {
		t.Fatalf("got %v, want a kill", err)
	}
	sched := &slowStart{System: task.NewSystem()}
	var n atomic.Int64
	ctx = env.With(context.Background(), &env.Env{Sched: sched, FS: fsx.OS{}})
	counting := func(ride) bool {
		if n.Add(1) == 7000 {
			sched.release()
		}
		return true
	}
	if err := run(ctx, dir, 2, 0, counting, late, out); err != nil {
		t.Fatal(err)
	}
	if n.Load() < 8000 || n.Load() > 11000 {
		t.Fatalf("%d records were read after the restart: the kill was not in the middle", n.Load())
	}
	if got, want := late.Records(), want.Records(); len(want) < 100 || !slices.Equal(got, want) {
		t.Errorf("%d records are late, without the crash %d are", len(got), len(want))
	}
	if got, want := len(out.Records()), len(wantOut.Records()); got != want {
		t.Errorf("%d results, without the crash %d", got, want)
	}
}
