package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// Of these queries the design has targets for the ratio of the job's CPU time to the loop's (B18); the moonshot is for some.
var targets = map[string]float64{"q0": 1.5, "q1": 1.5, "q2": 1.5, "q3": 0, "q4": 0, "q5": 1.5, "q7": 1.5, "q8": 0, "q11": 0, "q12": 1.5}

const (
	must = 3.0
	// maxSpread is how much the CPU time of the loop may vary, largest to smallest, before nothing can be said.
	maxSpread = 1.15
)

// samples are what rounds took.
type samples struct{ cpu, wall []time.Duration }

// time runs f and notes what it took.
func (s *samples) time(f func() error) error {
	runtime.GC()
	cpu, wall := cpuTime(), time.Now()
	err := f()
	s.cpu, s.wall = append(s.cpu, cpuTime()-cpu), append(s.wall, time.Since(wall))
	return err
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// compare measures the queries and prints a line for each.
func compare(ctx context.Context, o options, g *gen.Generator, queries []nexmark.Query, needs []need) error {
	start := time.Now()
	tape := g.Record()
	fmt.Printf("%d events at %d per second, made in %v; %d subtasks, a checkpoint every %v; medians of %d interleaved rounds\n",
		o.events, o.rate, time.Since(start).Round(10*time.Millisecond), o.parallelism, o.checkpoint, o.rounds)
	collectOften()
	fmt.Printf("%-4s %-36s %9s %9s  %8s %8s  %9s %9s %6s %-8s  %8s %9s %9s %9s\n", "", "", "rows", "events/s", "job", "loop", "job", "loop", "ratio", "target",
		"peak", "saved", "epoch", "pause")
	fmt.Printf("%-4s %-36s %9s %9s  %17s  %19s %6s %-8s  %8s %9s %9s %9s\n", "", "", "", "wall", "CPU ns per event", "K events per CPU-s", "", "", "MB", "MB", "ms", "ms")
	return profiled(o.profile, func() error {
		for i := range queries {
			if err := compareQuery(ctx, o, tape, &queries[i], &needs[i]); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// profiled runs f and writes a CPU profile of it to a file, if there is a name.
func profiled(name string, f func() error) error {
	if name == "" {
		return f()
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// collectOften lets the garbage collector run as often as in a process that has not all events in memory: after some tens of MB.
func collectOften() {
	const between = 64 << 20
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(max(1, int(between*100/(m.HeapAlloc+1))))
}

func compareQuery(ctx context.Context, o options, tape *gen.Tape, q *nexmark.Query, n *need) error {
	var read, job, loop samples
	var rows row.Tally
	for range o.rounds {
		err := errors.Join(
			read.time(func() error {
				in := nexmark.Replay(tape)
				for events, _ := in(); len(events) > 0; {
					events, _ = in()
				}
				return nil
			}),
			loop.time(func() error { rows = q.HandTally(nexmark.Replay(tape)); return nil }),
			job.time(func() error {
				got, err := runJob(ctx, o, q, tape.Source(gen.Options{}), nil)
				if err == nil && !same(q, o, got, rows) {
					err = fmt.Errorf("%s: the job gives %+v, the loop %+v", q.Name, got, rows)
				}
				return err
			}),
		)
		if err != nil {
			return err
		}
	}
	perEvent := func(s *samples) float64 { return float64(median(s.cpu)-median(read.cpu)) / float64(o.events) }
	jobCPU, loopCPU := perEvent(&job), max(perEvent(&loop), 0.01)
	ratio := jobCPU / loopCPU
	spread := float64(slices.Max(loop.cpu)) / float64(slices.Min(loop.cpu))
	fmt.Printf("%-4s %-36s %9d %9.0f  %8.1f %8.1f  %9.0f %9.0f %6.2f %-8s  %8.1f %9.2f %9.1f %9.2f\n", q.Name, q.Title, rows.Rows,
		float64(o.events)/median(job.wall).Seconds(), jobCPU, loopCPU, 1e6/jobCPU, 1e6/loopCPU, ratio, verdict(q.Name, ratio, spread),
		mega(n.Peak), mega(n.Saved), milli(n.Epoch), milli(n.Pause))
	return nil
}

func mega(bytes int64) float64      { return float64(bytes) / 1e6 }
func milli(d time.Duration) float64 { return d.Seconds() * 1000 }

// same compares two results.
func same(q *nexmark.Query, o options, a, b row.Tally) bool {
	switch {
	case q.ByClock: // the windows are others
		return a.Sum == b.Sum
	case o.parallelism > 1 && q.Updates: // what comes in between depends on the order of subtasks
		return a.Rows == b.Rows
	}
	return a == b
}

func verdict(query string, ratio, spread float64) string {
	moonshot, ok := targets[query]
	switch {
	case !ok:
		return ""
	case spread > maxSpread:
		return "void"
	case ratio <= moonshot:
		return "moonshot"
	case ratio <= must:
		return "ok"
	}
	return "MISSED"
}

// runJob runs the job of a query with checkpoints in a directory of its own, and returns what its rows add up to. Observe is told the bytes in the directory too.
func runJob(ctx context.Context, o options, q *nexmark.Query, source source, observe func(s millrace.Status, saved int64)) (row.Tally, error) {
	dir, err := os.MkdirTemp("", "millrace-nexmark-")
	if err != nil {
		return row.Tally{}, err
	}
	var counter nexmark.Counter
	cfg := millrace.Config{
		Parallelism: o.parallelism, Log: slog.New(slog.DiscardHandler),
		Checkpoint: millrace.CheckpointConfig{Dir: dir, Interval: o.checkpoint},
	}
	if observe != nil {
		cfg.ObserveEvery = 20 * time.Millisecond
		cfg.Observe = func(s millrace.Status) { observe(s, bytesIn(dir)) }
	}
	err = millrace.Run(ctx, q.Tally(source, &counter), cfg)
	return counter.Tally(), errors.Join(err, os.RemoveAll(dir))
}

// bytesIn adds up the files in a directory, which may come and go.
func bytesIn(dir string) (n int64) {
	//nolint:errcheck // what has gone is not there
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what has gone is not there
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
