package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
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

var errKilled = errors.New("killed by the test")

// killer makes the n-th pass of any fault point fail for good and lets nothing pass after it, as death does.
type killer struct {
	mu     sync.Mutex
	after  int
	hits   map[string]int
	killed string
}

func (k *killer) point(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.killed != "" {
		return errKilled
	}
	k.hits[name]++
	if k.after--; k.after < 0 {
		k.killed = name
		return fmt.Errorf("at %s: %w", name, errKilled)
	}
	return nil
}

func withKiller(k *killer) context.Context {
	return env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: k.point})
}

// TestKilledAnywhereGivesEachResultOnce kills a job at every fault point that a run passes, one run for each, restores it, and
// compares with an undisturbed run.
func TestKilledAnywhereGivesEachResultOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var in []ride
	for i := range 3000 {
		in = append(in, ride{Base: fmt.Sprintf("base-%d", rng.IntN(20)), At: int64(i) + rng.Int64N(300) - 150, N: rng.Int64N(10)})
	}
	build := func(out *memory.Sink[millrace.Pane[string, int64]], late *memory.Sink[ride], sess *memory.Sink[millrace.Pane[string, int64]]) *millrace.Job {
		job := millrace.NewJob("rides")
		byBase := job.From("rides", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(100*time.Second)).KeyBy(ride.base)
		w := byBase.Window(window.Sliding(time.Minute, 20*time.Second))
		w.Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).To("out", out)
		w.Late().To("late", late)
		byBase.Window(window.Session(30*time.Second)).Aggregate("sessions", agg.Count[ride]()).To("sess", sess)
		return job
	}
	result := func(o *memory.Sink[millrace.Pane[string, int64]], l *memory.Sink[ride], s *memory.Sink[millrace.Pane[string, int64]]) []string {
		var all []string
		for _, p := range o.Records() {
			all = append(all, fmt.Sprint("sum ", p))
		}
		for _, r := range l.Records() {
			all = append(all, fmt.Sprint("late ", r))
		}
		for _, p := range s.Records() {
			all = append(all, fmt.Sprint("session ", p))
		}
		slices.Sort(all)
		return all
	}
	cfg := func(dir string, p int) millrace.Config {
		return millrace.Config{Parallelism: p, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: dir, EveryRecords: 400, Interval: time.Hour}}
	}
	type sinks struct {
		o, s *memory.Sink[millrace.Pane[string, int64]]
		l    *memory.Sink[ride]
	}
	newSinks := func() sinks {
		return sinks{memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[ride]()}
	}
	plain := newSinks()
	count := &killer{after: 1 << 30, hits: map[string]int{}}
	if err := millrace.Run(withKiller(count), build(plain.o, plain.l, plain.s), cfg(t.TempDir(), 1)); err != nil {
		t.Fatal(err)
	}
	want := result(plain.o, plain.l, plain.s)
	if len(want) < 500 || len(plain.l.Records()) < 10 {
		t.Fatalf("the job gives %d results and %d late records: too few to show anything", len(want), len(plain.l.Records()))
	}
	passes := 0
	for _, n := range count.hits {
		passes += n
	}
	kills := map[string]int{}
	for n := 0; n < passes; n += 1 + n/40 {
		k := &killer{after: n, hits: map[string]int{}}
		got := newSinks()
		dir := t.TempDir()
		err := millrace.Run(withKiller(k), build(got.o, got.l, got.s), cfg(dir, 1))
		if k.killed == "" {
			t.Fatalf("nothing was killed after %d of %d points", n, passes)
		}
		// Some points only tidy up: the job outlives their failure.
		if err != nil && !errors.Is(err, errKilled) {
			t.Fatalf("killed at %s (pass %d): %v", k.killed, n, err)
		}
		kills[k.killed]++
		for _, p := range []int{1 + n%3} {
			if err := millrace.Run(context.Background(), build(got.o, got.l, got.s), cfg(dir, p)); err != nil {
				t.Fatalf("restore after %s (pass %d): %v", k.killed, n, err)
			}
		}
		if g := result(got.o, got.l, got.s); !slices.Equal(g, want) {
			t.Fatalf("killed at %s (pass %d): %d results, want %d; first difference %s", k.killed, n, len(g), len(want), firstDifference(g, want))
		}
	}
	t.Logf("%d passes of fault points, kills by point: %v", passes, kills)
	if len(kills) < 5 {
		t.Errorf("only %d points were hit: %v", len(kills), kills)
	}
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%q, want %q", a[i], b[i])
		}
	}
	return "in length only"
}
