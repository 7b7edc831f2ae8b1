package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

type total struct{ Count, Sum int64 }

// totals is count and sum in one accumulator.
func totals() agg.Aggregator[event, total, total] {
	return agg.Aggregator[event, total, total]{
		Add:    func(t *total, e *event) { t.Count++; t.Sum += e.Val },
		Merge:  func(dst, src *total) { dst.Count += src.Count; dst.Sum += src.Sum },
		Result: func(t *total) total { return *t },
	}
}

// engineRun is what a run of the engine gave.
type engineRun struct {
	results tally
	status  millrace.Status
	// stateBytes is the most that the directory of checkpoints was seen to hold.
	stateBytes int64
}

// engine is how a job is run.
type engine struct {
	parallelism int
	// every is the time between checkpoints; 0 runs without a directory, and so without state files.
	every time.Duration
	// size of the windows; 0 means windowSize. With a slide they are sliding ones.
	size, slide time.Duration
	// plain turns off the aggregation before the exchange.
	plain bool
	// work makes the aggregation slow: rounds of a hash for each record.
	work int
	// splits are the events in several splits; nil means one.
	splits [][]event
	// observe is called often, if set.
	observe func(millrace.Status)
}

// run runs the windowed job over events.
func (c engine) run(tb testing.TB, events []event) engineRun {
	tb.Helper()
	if c.size == 0 {
		c.size = time.Duration(windowSize)
	}
	var windows window.Assigner = window.Tumbling(c.size)
	if c.slide > 0 {
		windows = window.Sliding(c.size, c.slide)
	}
	sink := &countingSink[pane]{add: func(t *tally, p *pane) {
		t.add(p.Key, p.Start.UnixNano(), p.Value.Count, p.Value.Sum)
	}}
	sums := totals()
	if c.work > 0 {
		sums.Add = func(t *total, e *event) {
			x := e.Key
			for range c.work {
				x = x*0x9e3779b97f4a7c15 + 1
			}
			if x == 0 { // which it is not, but the compiler does not know
				return
			}
			t.Count++
			t.Sum += e.Val
		}
	}
	job := millrace.NewJob("bench")
	if c.splits == nil {
		c.splits = [][]event{events}
	}
	job.From("events", memory.Splits(c.splits...),
		millrace.EventNanosRef(func(e *event) int64 { return e.Time }).OutOfOrderness(time.Duration(disorder))).
		KeyByRef(func(e *event) uint64 { return e.Key }).
		Window(windows).
		PreAggregate(!c.plain).
		Aggregate("totals", sums).
		To("out", sink)
	r := c.runJob(tb, job)
	r.results = sink.mu.committed
	return r
}

// runJob runs a job to its end.
func (c engine) runJob(tb testing.TB, job *millrace.Job) engineRun {
	tb.Helper()
	var last millrace.Status
	var largest int64
	dir := ""
	if c.every > 0 {
		var err error
		//nolint:usetesting // one for each of many runs, removed after it
		if dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
			tb.Fatal(err)
		}
		defer os.RemoveAll(dir)
	}
	cfg := millrace.Config{
		Parallelism: c.parallelism, Log: slog.New(slog.DiscardHandler),
		Observe: func(s millrace.Status) {
			last = s
			largest = max(largest, fileBytes(tb, dir))
			if c.observe != nil {
				c.observe(s)
			}
		},
	}
	cfg.Checkpoint = millrace.CheckpointConfig{Dir: dir, Interval: c.every}
	if err := millrace.Run(tb.Context(), job, cfg); err != nil {
		tb.Fatal(err)
	}
	return engineRun{status: last, stateBytes: largest}
}

// deal deals events to n splits in turn.
func deal(events []event, n int) [][]event {
	splits := make([][]event, n)
	for i, e := range events {
		splits[i%n] = append(splits[i%n], e)
	}
	return splits
}

// fileBytes adds up the files in a directory, which may come and go.
func fileBytes(tb testing.TB, dir string) int64 {
	if dir == "" {
		return 0
	}
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n += info.Size()
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// pane is a result of the job.
type pane = millrace.Pane[uint64, total]

// countingSink adds up results and forgets them. What it has added becomes visible when its epoch is committed, like the
// output of any exactly-once sink.
type countingSink[T any] struct {
	// add adds a result to a tally; addAll, if set, adds those of a batch in its place.
	add    func(*tally, *T)
	addAll func(*tally, []T)
	mu     struct {
		sync.Mutex
		committed tally
		epoch     uint64
	}
}

func (s *countingSink[T]) Guarantee() connect.Guarantee { return connect.ExactlyOnce }

func (s *countingSink[T]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[T], error) {
	return &countingWriter[T]{add: s.add, addAll: s.addAll}, nil
}

func (s *countingSink[T]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return countingCommitter[T]{s}, nil
}

type countingWriter[T any] struct {
	add    func(*tally, *T)
	addAll func(*tally, []T)
	t      tally
}

func (w *countingWriter[T]) Write(_ context.Context, records []T) error {
	if w.addAll != nil {
		w.addAll(&w.t, records)
		return nil
	}
	for i := range records {
		w.add(&w.t, &records[i])
	}
	return nil
}

func (w *countingWriter[T]) Prepare(context.Context, uint64) (connect.Finish, error) {
	t := w.t
	w.t = tally{}
	return func(context.Context) ([]byte, error) {
		b := binary.BigEndian.AppendUint64(nil, uint64(t.Count))
		return binary.BigEndian.AppendUint64(b, t.Sum), nil
	}, nil
}

func (w *countingWriter[T]) Flush(context.Context) error { return nil }
func (w *countingWriter[T]) Close() error                { return nil }

type countingCommitter[T any] struct{ *countingSink[T] }

func (c countingCommitter[T]) Recover(_ context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	if epoch != 0 || len(committables) != 0 {
		return nil, fmt.Errorf("bench: the counting sink cannot go on from epoch %d", epoch)
	}
	return nil, nil
}

func (c countingCommitter[T]) Commit(_ context.Context, epoch uint64, committables [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch <= c.mu.epoch {
		return nil
	}
	c.mu.epoch = epoch
	for _, b := range committables {
		if len(b) != 16 {
			return fmt.Errorf("bench: a committable of %d bytes, want 16", len(b))
		}
		c.mu.committed.Count += int64(binary.BigEndian.Uint64(b))
		c.mu.committed.Sum += binary.BigEndian.Uint64(b[8:])
	}
	return nil
}

func (c countingCommitter[T]) Close() error { return nil }
