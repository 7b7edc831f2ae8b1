package nexmark

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"

	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/connect"
)

// totals adds up the lines of windows of the clock: A is the key, and the number behind the comma of a line is added up.
func totals(lines []row.Line) (out []row.Line) {
	sums := map[int64]int64{}
	for _, l := range lines {
		var key, n int64
		if _, err := fmt.Sscanf(l.CSV, "%d,%d\n", &key, &n); err != nil {
			out = append(out, l) // no result will be equal to one with it
			continue
		}
		sums[key] += n
	}
	for key, n := range sums {
		csv := append(strconv.AppendInt(append(strconv.AppendInt(nil, key, 10), ','), n, 10), '\n')
		out = append(out, row.Line{A: key, CSV: string(csv)})
	}
	return out
}

// asLines is a sink that gives rows as lines to another one.
type asLines[R row.Row] struct{ connect.Sink[row.Line] }

func (s asLines[R]) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[R], error) {
	w, err := s.Sink.OpenWriter(ctx, info)
	return &lineWriter[R]{Writer: w}, err
}

type lineWriter[R row.Row] struct {
	connect.Writer[row.Line]
	lines []row.Line
}

func (w *lineWriter[R]) Write(ctx context.Context, rows []R) error {
	w.lines = w.lines[:0]
	for _, r := range rows {
		w.lines = append(w.lines, row.LineOf(r))
	}
	return w.Writer.Write(ctx, w.lines)
}

// Counter is where a job adds up its rows. Like the output of any exactly-once sink, what is added becomes visible when its epoch is committed.
type Counter struct {
	mu struct {
		sync.Mutex
		committed row.Tally
		epoch     uint64
	}
}

// Tally returns what has been committed.
func (c *Counter) Tally() row.Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.committed
}

// counting is the sink of a Counter for one type of rows.
type counting[R any] struct {
	*Counter
	sum func([]R) uint64
}

func (c counting[R]) Guarantee() connect.Guarantee { return connect.ExactlyOnce }

func (c counting[R]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[R], error) {
	return &countingWriter[R]{sum: c.sum}, nil
}

func (c counting[R]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return committer{c.Counter}, nil
}

type countingWriter[R any] struct {
	sum func([]R) uint64
	row.Tally
}

func (w *countingWriter[R]) Write(_ context.Context, rows []R) error {
	w.Add(row.Tally{Rows: int64(len(rows)), Sum: w.sum(rows)})
	return nil
}

func (w *countingWriter[R]) Prepare(context.Context, uint64) (connect.Finish, error) {
	t := w.Tally
	w.Tally = row.Tally{}
	return func(context.Context) ([]byte, error) {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(t.Rows)), t.Sum), nil
	}, nil
}

func (w *countingWriter[R]) Flush(context.Context) error { return nil }
func (w *countingWriter[R]) Close() error                { return nil }

type committer struct{ *Counter }

func (c committer) Recover(_ context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	if epoch != 0 || len(committables) != 0 {
		return nil, fmt.Errorf("nexmark: a counter does not outlive its process, and the job goes on from epoch %d: start it with an empty directory", epoch)
	}
	return nil, nil
}

func (c committer) Commit(_ context.Context, epoch uint64, committables [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch <= c.mu.epoch {
		return nil
	}
	c.mu.epoch = epoch
	for _, b := range committables {
		if len(b) != 16 {
			return fmt.Errorf("nexmark: a committable of %d bytes, want 16", len(b))
		}
		c.mu.committed.Add(row.Tally{Rows: int64(binary.BigEndian.Uint64(b)), Sum: binary.BigEndian.Uint64(b[8:])})
	}
	return nil
}

func (c committer) Close() error { return nil }
