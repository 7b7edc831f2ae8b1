package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/window"
)

// total is the result of a key in a window.
type total struct {
	Count int64
	// Due is when the last record was due.
	Due int64
}

type pane = millrace.Pane[uint64, total]

// results says which results are timed, from which record.
type results uint8

const (
	// perRecord times the result that each record gives at once, from that record.
	perRecord results = iota + 1
	// atEnd times the results of windows, from the record that has shown that the window is over.
	atEnd
)

// job sends the records through a keyed exchange and a window.
func job(ctx context.Context, o options, p pacing, of results, checkpoints bool) (r outcome, err error) {
	c := &clock{pacing: p}
	s := &sink{clock: c, of: of, took: newHistogram()}
	j := millrace.NewJob("latency")
	keyed := j.From("records", source{c}, millrace.EventNanosRef(func(r *record) int64 { return r.Due }).Monotonic()).
		KeyByRef(func(r *record) uint64 { return r.Key })
	totals := agg.Aggregator[record, total, total]{
		Add:    func(t *total, r *record) { t.Count++; t.Due = max(t.Due, r.Due) },
		Merge:  func(dst, src *total) { dst.Count += src.Count; dst.Due = max(dst.Due, src.Due) },
		Result: func(t *total) total { return *t },
	}
	if of == perRecord {
		keyed.Window(window.Tumbling(10*time.Second)).Trigger(window.PerRecord()).Aggregate("totals", totals).To("out", s)
	} else {
		keyed.Window(window.Tumbling(o.window)).Aggregate("totals", totals).To("out", s)
	}
	cfg := millrace.Config{
		Parallelism: o.parallelism, Linger: 100 * time.Microsecond, Log: slog.New(slog.DiscardHandler), ObserveEvery: 50 * time.Millisecond,
		Observe: func(s millrace.Status) {
			r.epochs, r.pause, r.slowest = s.Epochs, s.BarrierPause, max(r.slowest, s.EpochTime)
		},
	}
	cfg.Checkpoint.Interval = 1000 * time.Hour // Without a directory, checkpoints would be kept in memory.
	if checkpoints {
		var dir string
		if dir, err = os.MkdirTemp("", "millrace-latency-"); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cfg.Checkpoint = millrace.CheckpointConfig{Dir: dir, Interval: o.every}
	}
	if err := millrace.Run(ctx, j, cfg); err != nil {
		return r, err
	}
	if !checkpoints {
		r.epochs = 0 // That of the end does not count.
	}
	r.took, r.records, r.behind = s.took, s.records, s.last.Sub(c.start)-p.after(p.total)
	if r.records != p.total {
		return r, fmt.Errorf("%d records are in the results, %d were offered", r.records, p.total)
	}
	return r, nil
}

// sink times results, and counts the records in them. It is written through, so that they are timed at once.
type sink struct {
	clock *clock
	of    results
	mu    sync.Mutex // Of what the writers leave here when they are closed.
	took  *hdrhistogram.Histogram
	// records counts the records whose results have come; last is when that was.
	records int64
	last    time.Time
}

// Guarantee is at least once.
func (s *sink) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

// OpenWriter opens a writer with a histogram of its own.
func (s *sink) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[pane], error) {
	return &writer{sink: s, took: newHistogram(), timedFrom: -1}, nil
}

// OpenCommitter returns nil: nothing is committed.
func (s *sink) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type writer struct {
	*sink
	took      *hdrhistogram.Histogram
	timedFrom int64 // When the first record that is timed was due; -1 until the first result is there.
	records   int64
	last      time.Time
}

// Write times results.
func (w *writer) Write(_ context.Context, panes []pane) error {
	if w.timedFrom < 0 { // The clock began before the first record came.
		w.timedFrom = w.clock.start.Add(w.clock.after(w.clock.warmup)).UnixNano()
	}
	w.last = time.Now()
	for i := range panes {
		due := panes[i].Value.Due
		if w.of == perRecord {
			w.records++
		} else {
			w.records += panes[i].Value.Count
			i := w.clock.first(panes[i].End.Sub(w.clock.start))
			if i >= w.clock.total {
				continue // It is the end of the input that has ended this window.
			}
			due = w.clock.start.Add(w.clock.after(i)).UnixNano()
		}
		if due < w.timedFrom {
			continue
		}
		if err := note(w.took, time.Duration(w.last.UnixNano()-due)); err != nil {
			return fmt.Errorf("latency: %w", err)
		}
	}
	return nil
}

// Prepare has nothing to prepare.
func (w *writer) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }

// Flush does nothing: what was written is out.
func (w *writer) Flush(context.Context) error { return nil }

// Close adds what was timed to the sink.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dropped := w.sink.took.Merge(w.took); dropped > 0 {
		return fmt.Errorf("latency: %d results took longer than the histogram holds", dropped)
	}
	w.sink.records += w.records
	if w.last.After(w.sink.last) {
		w.sink.last = w.last
	}
	return nil
}
