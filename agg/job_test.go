package agg_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
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

type hit struct {
	Page   string
	User   int64
	Millis float64
	At     int64
}

type hitStats struct {
	About, Users int64
	Slow         []int64
	Millis       string
	First        hit
}

// sketches has all aggregators that encode themselves, within others.
func sketches() agg.Aggregator[hit, hitState, hitStats] {
	user := func(h hit) int64 { return h.User }
	millis := func(h hit) float64 { return h.Millis }
	return agg.Combine2(
		agg.Combine4(agg.ApproxDistinctAt(6, user), agg.DistinctBits(user), agg.Histogram(millis, 10, 1000), agg.Quantiles(millis, 0.5, 0.99),
			func(about, users int64, slow []int64, q []float64) hitStats {
				return hitStats{About: about, Users: users, Slow: slow, Millis: fmt.Sprint(q)}
			}),
		agg.Combine2(agg.First(func(h hit) time.Time { return time.Unix(h.At, 0) }), agg.StdDev(millis),
			func(first hit, dev float64) hitStats { return hitStats{First: first, Millis: fmt.Sprint(dev)} }),
		func(a, b hitStats) hitStats { a.First, a.Millis = b.First, a.Millis+" ± "+b.Millis; return a },
	)
}

type hitState = agg.State2[
	agg.State2[agg.State2[agg.ApproxState[int64], agg.BitsState[int64]], agg.State2[agg.HistogramState[float64], agg.QuantilesState]],
	agg.State2[agg.BestState[hit, time.Time], agg.VarianceState[float64]],
]

type pane = millrace.Pane[string, hitStats]

// hitJob has windows of one slice, windows of several and sessions: what a window keeps is added to, merged, stored and restored.
func hitJob(in []hit) (*millrace.Job, func() []string) {
	job := millrace.NewJob("hits")
	pages := job.From("hits", memory.Of(in...), millrace.EventTime(func(h hit) time.Time { return time.Unix(h.At, 0) }).OutOfOrderness(time.Minute)).
		KeyBy(func(h hit) string { return h.Page })
	var sinks []*memory.Sink[pane]
	for name, w := range map[string]window.Assigner{
		"tumbling": window.Tumbling(20 * time.Minute), "sliding": window.Sliding(30*time.Minute, 10*time.Minute), "session": window.Session(5 * time.Second),
	} {
		out := memory.NewSink[pane]()
		sinks = append(sinks, out)
		pages.Window(w).Aggregate(name, sketches()).To(name+"-out", out)
	}
	return job, func() (all []string) {
		for _, s := range sinks {
			for _, p := range s.Records() {
				all = append(all, fmt.Sprint(p))
			}
		}
		slices.Sort(all)
		return all
	}
}

// TestSketchesInAJobThatIsKilled compares a job that was killed and restored with one that was not. There is one split, so even
// quantiles must be the same to the last bit.
func TestSketchesInAJobThatIsKilled(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var in []hit
	for i := range 8000 {
		in = append(in, hit{
			Page: fmt.Sprint("/", rnd.Intn(3)), User: int64(rnd.Intn(400)), Millis: rnd.ExpFloat64() * 100, At: int64(i) - rnd.Int63n(50),
		})
	}
	config := func(dir string) millrace.Config {
		return millrace.Config{
			Parallelism: 1, Log: slog.New(slog.DiscardHandler),
			Checkpoint: millrace.CheckpointConfig{Dir: dir, EveryRecords: 700, Interval: time.Hour},
		}
	}
	job, results := hitJob(in)
	passes := 0
	if err := millrace.Run(dying(func() error { passes++; return nil }), job, config(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	want := results()
	if len(want) < 100 {
		t.Fatalf("only %d results", len(want))
	}
	killed := errors.New("killed by the test")
	died := 0
	for _, after := range []int{passes / 4, passes / 2, passes * 3 / 4} {
		job, results := hitJob(in)
		dir, n := t.TempDir(), 0
		err := millrace.Run(dying(func() error {
			if n++; n > after {
				return killed
			}
			return nil
		}), job, config(dir))
		if err != nil {
			died++
		}
		early := len(results())
		if err := millrace.Run(context.Background(), job, config(dir)); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed after %d of %d fault points: %d results before, %d in the end", after, passes, early, len(results()))
		if got := results(); !slices.Equal(got, want) {
			t.Errorf("killed after %d of %d fault points: %d results, want %d, or other ones", after, passes, len(got), len(want))
		}
	}
	if died == 0 {
		t.Error("the job was never killed")
	}
}

// dying returns a context in which the job asks at every fault point whether it goes on.
func dying(fault func() error) context.Context {
	calls := make(chan func() error, 1)
	calls <- fault
	return env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: func(string) error {
		// Fault points are passed by several goroutines.
		f := <-calls
		defer func() { calls <- f }()
		return f()
	}})
}
