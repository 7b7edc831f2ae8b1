package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// jobName is also the folder of its checkpoints.
const jobName = "chaos"

// The rows of the outputs have the columns of the references, so that lines can be compared as they are.
type (
	flight struct {
		ID       int64     `csv:"id"`
		At       time.Time `csv:"ts_ms,unixms"`
		Delay    int64     `csv:"delay_min"`
		Distance int64     `csv:"distance_mi"`
		Origin   string    `csv:"origin"`
	}
	span struct {
		Start time.Time `csv:"start,unixms"`
		End   time.Time `csv:"end,unixms"`
	}
	tumblingRow struct {
		Origin string `csv:"origin"`
		Span   span
		Four   four
	}
	slidingRow struct {
		Origin string `csv:"origin"`
		Span   span
		Three  three
	}
	keptRow struct {
		Span span
		Two  two
	}
	lateRow struct {
		ID    int64     `csv:"id"`
		Start time.Time `csv:"start,unixms"`
	}
	acceptedRow struct {
		ID int64 `csv:"id"`
	}
	refusedRow struct {
		ID    int64 `csv:"id"`
		Panic bool  `csv:"panic"`
	}
	two   struct{ A, B int64 }
	three struct{ A, B, C int64 }
	four  struct{ A, B, C, D int64 }
)

func (f flight) at() time.Time   { return f.At }
func (f flight) origin() string  { return f.Origin }
func (f flight) delay() int64    { return f.Delay }
func (f flight) distance() int64 { return f.Distance }
func (f flight) nothing() bool   { return true }

func (f flight) hub() bool {
	switch f.Origin {
	case "ATL", "ORD", "DFW", "LAX", "PHX":
		return true
	}
	return false
}

// outputNames are the folders of the outputs.
var outputNames = []string{"tumbling", "sliding", "sessions", "kept", "late", "accepted", "refused"}

// Flights from farther on are refused, those from farthest on by a panic. Of the others, those with a long delay are accepted.
const (
	farther   = 2500
	farthest  = 4000
	longDelay = 200
)

// accept fails for flights that go too far.
func accept(_ *millrace.Context, f flight, emit func(acceptedRow)) error {
	switch {
	case f.Distance >= farthest:
		panic(fmt.Sprintf("flight %d goes %d miles", f.ID, f.Distance))
	case f.Distance >= farther:
		return fmt.Errorf("flight %d goes %d miles", f.ID, f.Distance)
	case f.Delay >= longDelay:
		emit(acceptedRow{f.ID})
	}
	return nil
}

// refused takes a flight out of its dead letter.
func refused(l millrace.DeadLetter) (refusedRow, error) {
	var f flight
	if err := json.Unmarshal(l.Raw, &f); err != nil {
		return refusedRow{}, fmt.Errorf("dead letter of %s, encoded as %s: %w", l.Place, l.Encoding, err)
	}
	return refusedRow{f.ID, l.Panic}, nil
}

// build makes the job. One source waits for the worst delay of the month, the other for half an hour.
func build(data, out string) *millrace.Job {
	job := millrace.NewJob(jobName)
	dir := func(name string) string { return filepath.Join(out, name) }
	flights := job.From("flights", file.CSV[flight](data), millrace.EventTime(flight.at).OutOfOrderness(28*time.Hour))
	count, delays, latest := agg.Count[flight](), agg.Sum(flight.delay), agg.Max(flight.delay)

	flights.KeyBy(flight.origin).Window(window.Tumbling(time.Hour)).
		Aggregate("tumbling", agg.Combine4(count, delays, agg.Min(flight.delay), latest, func(a, b, c, d int64) four { return four{a, b, c, d} })).
		Map(func(p millrace.Pane[string, four]) tumblingRow {
			return tumblingRow{p.Key, span{p.Start, p.End}, p.Value}
		}).
		To("tumbling-files", file.CSV[tumblingRow](dir("tumbling")).RollBytes(16<<10))

	sliding := func(p millrace.Pane[string, three]) slidingRow {
		return slidingRow{p.Key, span{p.Start, p.End}, p.Value}
	}
	flights.Filter(flight.hub).KeyBy(flight.origin).Window(window.Sliding(time.Hour, 15*time.Minute)).
		Aggregate("sliding", agg.Combine3(count, delays, latest, func(a, b, c int64) three { return three{a, b, c} })).
		Map(sliding).To("sliding-files", file.CSV[slidingRow](dir("sliding")))
	flights.KeyBy(flight.origin).Window(window.Session(time.Hour)).
		Aggregate("sessions", agg.Combine3(count, agg.Sum(flight.distance), latest, func(a, b, c int64) three { return three{a, b, c} })).
		Map(sliding).To("sessions-files", file.CSV[slidingRow](dir("sessions")))

	accepted := flights.FlatMap(accept).As("accepted").OnError(millrace.ErrorPolicy{Action: millrace.DeadLetterRecord})
	accepted.To("accepted-files", file.CSV[acceptedRow](dir("accepted")))
	millrace.DeadLetters(accepted).
		FlatMap(func(_ *millrace.Context, l millrace.DeadLetter, emit func(refusedRow)) error {
			r, err := refused(l)
			if err == nil {
				emit(r)
			}
			return err
		}).
		To("refused-files", file.CSV[refusedRow](dir("refused")))

	hours := job.From("hasty", file.CSV[flight](data), millrace.EventTime(flight.at).OutOfOrderness(30*time.Minute)).
		KeyBy(flight.nothing).Window(window.Tumbling(time.Hour))
	hours.Aggregate("kept", agg.Combine2(count, delays, func(a, b int64) two { return two{a, b} })).
		Map(func(p millrace.Pane[bool, two]) keptRow { return keptRow{span{p.Start, p.End}, p.Value} }).
		To("kept-files", file.CSV[keptRow](dir("kept")))
	hours.Late().Map(func(f flight) lateRow { return lateRow{f.ID, f.At.Truncate(time.Hour)} }).
		To("late-files", file.CSV[lateRow](dir("late")))
	return job
}

// work runs the job of a directory until it has finished or dies.
func work(ctx context.Context, o options) error {
	f := &fault{out: os.Stdout}
	if o.fault != "" {
		if _, err := fmt.Sscanf(o.fault, "%s %d %d", &f.point, &f.epochs, &f.nth); err != nil {
			return fmt.Errorf("-fault %q: %w", o.fault, err)
		}
	}
	ctx = env.With(ctx, &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: f.pass})
	return millrace.Run(ctx, build(o.data, filepath.Join(o.dir, "out")), millrace.Config{
		Parallelism: o.parallelism,
		Log:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Checkpoint: millrace.CheckpointConfig{
			Dir: filepath.Join(o.dir, "state"), Interval: time.Hour, EveryRecords: o.every,
		},
	})
}

// fault reports every point that is passed and kills its own process at one of them.
type fault struct {
	mu     sync.Mutex
	out    io.Writer
	point  string
	epochs int // to let pass first
	nth    int // counted from then on
}

// pass is called at every point, by several goroutines. The lines tell the process that watches how far this one has come; when
// that one is gone, writing them ends this one.
func (f *fault) pass(point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	here := point == f.point && f.epochs <= 0
	if here {
		f.nth--
	}
	if here && f.nth == 0 {
		fmt.Fprintf(f.out, "kill %s\n", point)
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return fmt.Errorf("kill this process: %w", err)
		}
		select {} // the rest of the process may not go on while the signal is under way
	}
	fmt.Fprintf(f.out, "pass %s\n", point)
	if point == "commit.after" {
		f.epochs--
	}
	return nil
}
