package reference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/env"
)

// Way is a way to run a query.
type Way string

// The ways. The last two write files; the others keep results in memory.
const (
	// Plain is at parallelism 1, with no directory for checkpoints.
	Plain Way = "plain"
	// Epochs forces an epoch every so many records.
	Epochs Way = "epochs"
	// Killed forces epochs and kills the run twice; the third start finishes.
	Killed Way = "killed"
	// Parallel runs at parallelism 2, at 4, and killed at 1, again at 2, to finish at 4.
	Parallel Way = "parallel"
)

// Ways returns all ways.
func Ways() []Way { return []Way{Plain, Epochs, Killed, Parallel} }

// Result is what became of a query that was run in a way.
type Result struct {
	// Rows is the number of rows of the reference.
	Rows int
	// Took is the time of all runs, that of reading and comparing results not included.
	Took time.Duration
	// Kills says of each kill how it came.
	Kills []string
}

// Run runs a query in a way, and compares the results of all its runs with the reference. The error says what differs.
func (s *Suite) Run(ctx context.Context, q Query, w Way) (Result, error) {
	want, err := readTable(filepath.Join(s.data, "expected", q.Name+".csv"))
	if err != nil {
		return Result{}, err
	}
	r := Result{Rows: len(want.rows)}
	for _, legs := range plan(w) {
		if err := s.series(ctx, q, legs, want, &r); err != nil {
			return r, fmt.Errorf("%s, %s: %w", q.Name, w, err)
		}
	}
	return r, nil
}

// leg is a start of a job.
type leg struct {
	parallelism int
	epochs      bool
	killed      bool
}

// plan returns the series of starts of a way. The starts of a series go on from each other's checkpoints.
func plan(w Way) [][]leg {
	switch w {
	case Plain:
		return [][]leg{{{parallelism: 1}}}
	case Epochs:
		return [][]leg{{{parallelism: 1, epochs: true}}}
	case Killed:
		return [][]leg{{{1, true, true}, {1, true, true}, {1, true, false}}}
	case Parallel:
		return [][]leg{{{parallelism: 2}}, {{parallelism: 4}}, {{1, true, true}, {2, true, true}, {4, true, false}}}
	}
	return nil
}

// series makes the starts of one series and compares what has come out in the end.
func (s *Suite) series(ctx context.Context, q Query, legs []leg, want table, r *Result) (err error) {
	s.runs++
	dir := filepath.Join(s.work, fmt.Sprintf("run-%d", s.runs))
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := newOutlet(dir, len(legs) > 1)
	for i, l := range legs {
		begin := clock.System{}.Now()
		last, err := s.start(ctx, q, dir, out, l, i, r)
		r.Took += clock.System{}.Now().Sub(begin)
		if err != nil {
			return fmt.Errorf("start %d at parallelism %d: %w", i+1, l.parallelism, err)
		}
		if l.killed {
			continue
		}
		if err := check(last, q, l, i); err != nil {
			return fmt.Errorf("start %d at parallelism %d: %w", i+1, l.parallelism, err)
		}
	}
	rows, err := out.rows()
	if err != nil {
		return err
	}
	if out.late.sink != nil {
		late, err := out.late.rows()
		if err != nil {
			return err
		}
		rows = withDropped(rows, late)
	}
	return want.compare(rows)
}

// start runs the job once, to its end or to its death.
func (s *Suite) start(ctx context.Context, q Query, dir string, out *outlet, l leg, index int, r *Result) (millrace.Status, error) {
	job := millrace.NewJob(q.Name)
	o := q.build(job, s.path(q))
	o.rows.To("rows", out.sink)
	if o.hasLate {
		if out.late.sink == nil {
			out.late.open()
		}
		o.late.To("late", out.late.sink)
	}
	var last millrace.Status
	cfg := millrace.Config{Parallelism: l.parallelism, Log: slog.New(slog.DiscardHandler), Observe: func(s millrace.Status) { last = s }}
	if l.epochs {
		// An hour: epochs begin by the number of records alone, so that there are as many on a fast machine as on a slow one.
		cfg.Checkpoint = millrace.CheckpointConfig{Dir: filepath.Join(dir, "state"), Interval: time.Hour, EveryRecords: q.input.epoch}
	}
	if !l.killed {
		return last, millrace.Run(ctx, job, cfg)
	}
	k := s.killer(q, index)
	err := millrace.Run(env.With(ctx, k.env()), job, cfg)
	decided, dead := k.died()
	switch {
	case !dead:
		return last, fmt.Errorf("it ended without passing %s after %d epochs: %w", k.point, k.after, err)
	case !errors.Is(err, errKilled):
		return last, fmt.Errorf("killed at %s, it ended with another error: %w", k.point, err)
	case last.InputEnded || last.In == 0:
		return last, fmt.Errorf("killed at %s, but with %d of %d records read it was not in the middle of its work", k.point, last.In, q.Records())
	}
	r.Kills = append(r.Kills, fmt.Sprintf("%s at %s, after %d decided epochs, with %d of %d records read",
		q.Name, k.point, decided, last.In, q.Records()))
	return last, nil
}

// killer chooses where a start dies, so that the queries together die at every point. A quarter of the epochs goes before.
func (s *Suite) killer(q Query, index int) *killer {
	n := slices.IndexFunc(Queries(), func(o Query) bool { return o.Name == q.Name })
	epochs := int(q.Records() / q.input.epoch)
	return &killer{point: killPoints[(2*n+index+int(s.Shift%uint(len(killPoints))))%len(killPoints)], after: max(1, epochs/4)}
}

// check looks at the totals of a start that has finished.
func check(last millrace.Status, q Query, l leg, restarts int) error {
	switch {
	case !last.Finished:
		return errors.New("it has not finished")
	case last.In != q.Records():
		return fmt.Errorf("it counts %d records read, there are %d", last.In, q.Records())
	case last.Restarts != restarts:
		return fmt.Errorf("it counts %d restarts, there were %d", last.Restarts, restarts)
	case l.epochs && last.Epochs < 3:
		return fmt.Errorf("it counts %d epochs: too few to show anything", last.Epochs)
	}
	return nil
}

// outlet is where results go, over all starts of a series.
type outlet struct {
	sink connect.Sink[Row]
	rows func() ([]Row, error)
	open func()
	late *outlet
}

// newOutlet makes an open outlet, to files or to memory, and one for late rows that is not open yet.
func newOutlet(dir string, files bool) *outlet {
	late := outletTo(filepath.Join(dir, "late"), files)
	main := outletTo(filepath.Join(dir, "rows"), files)
	main.late = late
	main.open()
	return main
}

func outletTo(dir string, files bool) *outlet {
	o := &outlet{}
	o.open = func() {
		if files {
			o.sink = file.JSONL[Row](dir)
			o.rows = func() ([]Row, error) { return readRows(dir) }
			return
		}
		m := memory.NewSink[Row]()
		o.sink = m
		o.rows = func() ([]Row, error) { return m.Records(), nil }
	}
	return o
}
