package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
)

// latencies collects how long it took from the arrival of a payment to an alert.
type latencies struct {
	mu struct {
		sync.Mutex
		all []time.Duration
	}
}

// add notes alerts that have got there now.
func (l *latencies) add(arrived []int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range arrived {
		l.mu.all = append(l.mu.all, time.Duration(now.UnixNano()-a))
	}
}

// of returns the number of alerts, and the latency that the share q of them does not exceed.
func (l *latencies) of(q float64) (n int, latency time.Duration) {
	l.mu.Lock()
	all := slices.Clone(l.mu.all)
	l.mu.Unlock()
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return len(all), all[min(len(all)-1, int(q*float64(len(all))))]
}

// timedFiles is the exactly-once file sink, with a clock at the end of its Commit: from then on, alerts are there for every reader.
type timedFiles struct {
	file.Files[Alert]
	took *latencies
	// prepared are the arrivals of the alerts of epochs that are not committed yet. All writers and the committer share it.
	prepared *prepared
}

type prepared struct {
	mu struct {
		sync.Mutex
		arrivals map[uint64][]int64
	}
}

func newTimedFiles(dir string, took *latencies) timedFiles {
	p := &prepared{}
	p.mu.arrivals = map[uint64][]int64{}
	return timedFiles{file.JSONL[Alert](dir), took, p}
}

// OpenWriter opens the writer of the files.
func (f timedFiles) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[Alert], error) {
	w, err := f.Files.OpenWriter(ctx, info)
	return &timedWriter{Writer: w, prepared: f.prepared}, err
}

// OpenCommitter opens the committer of the files.
func (f timedFiles) OpenCommitter(ctx context.Context, info connect.SinkInfo) (connect.Committer, error) {
	c, err := f.Files.OpenCommitter(ctx, info)
	return &timedCommitter{c, f.took, f.prepared}, err
}

type timedWriter struct {
	connect.Writer[Alert]
	prepared *prepared
	arrivals []int64
}

// Write notes when the payments had arrived.
func (w *timedWriter) Write(ctx context.Context, alerts []Alert) error {
	for i := range alerts {
		w.arrivals = append(w.arrivals, alerts[i].Arrived)
	}
	return w.Writer.Write(ctx, alerts)
}

// Prepare ends the epoch.
func (w *timedWriter) Prepare(ctx context.Context, epoch uint64) (connect.Finish, error) {
	w.prepared.mu.Lock()
	w.prepared.mu.arrivals[epoch] = append(w.prepared.mu.arrivals[epoch], w.arrivals...)
	w.prepared.mu.Unlock()
	w.arrivals = w.arrivals[:0]
	return w.Writer.Prepare(ctx, epoch)
}

type timedCommitter struct {
	connect.Committer
	took     *latencies
	prepared *prepared
}

// Commit makes the alerts visible, and then looks at the clock.
func (c *timedCommitter) Commit(ctx context.Context, epoch uint64, committables [][]byte) error {
	if err := c.Committer.Commit(ctx, epoch, committables); err != nil {
		return err
	}
	now := time.Now()
	c.prepared.mu.Lock()
	defer c.prepared.mu.Unlock()
	for e, arrived := range c.prepared.mu.arrivals {
		if e <= epoch { // with those of epochs that were given up
			c.took.add(arrived, now)
			delete(c.prepared.mu.arrivals, e)
		}
	}
	return nil
}

// notifier is an at-least-once sink: each subtask appends alerts to a file of its own as soon as it has them, as one would call the
// system that blocks cards. After a crash the alerts of the last epoch come again.
type notifier struct {
	dir  string
	took *latencies
}

// Guarantee is at least once.
func (n notifier) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

// OpenWriter opens the file.
func (n notifier) OpenWriter(_ context.Context, info connect.SinkInfo) (connect.Writer[Alert], error) {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return nil, fmt.Errorf("fraud: notifications: %w", err)
	}
	name := fmt.Sprintf("notify-%d-%d.jsonl", info.Term, info.Subtask)
	f, err := os.OpenFile(filepath.Join(n.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fraud: notifications: %w", err)
	}
	return &notifyWriter{f: f, took: n.took}, nil
}

// OpenCommitter returns nil: nothing is committed.
func (n notifier) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type notifyWriter struct {
	f    *os.File
	took *latencies
	buf  bytes.Buffer
	// arrivals are those of the alerts in buf.
	arrivals []int64
}

// Write keeps the alerts for a moment: all of a batch go out at once.
func (w *notifyWriter) Write(_ context.Context, alerts []Alert) error {
	enc := json.NewEncoder(&w.buf)
	for i := range alerts {
		if err := enc.Encode(&alerts[i]); err != nil {
			return fmt.Errorf("fraud: notify: %w", err)
		}
		w.arrivals = append(w.arrivals, alerts[i].Arrived)
	}
	return nil
}

// Flush sends them. The job calls it whenever it has nothing else to do, and after the linger time at the latest.
func (w *notifyWriter) Flush(context.Context) error {
	if w.buf.Len() == 0 {
		return nil
	}
	if _, err := w.buf.WriteTo(w.f); err != nil {
		return fmt.Errorf("fraud: notify: %w", err)
	}
	w.took.add(w.arrivals, time.Now())
	w.arrivals = w.arrivals[:0]
	return nil
}

// Prepare sends what is left: when the epoch is decided, its alerts must have gone out.
func (w *notifyWriter) Prepare(ctx context.Context, _ uint64) (connect.Finish, error) {
	return nil, w.Flush(ctx)
}

// Close closes the file.
func (w *notifyWriter) Close() error { return w.f.Close() }
