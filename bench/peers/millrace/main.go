// Millrace does the task of package input with millrace: exactly once, with checkpoints to a real directory.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/bench/peers/input"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/window"
)

func main() {
	path := flag.String("input", "", "file of events")
	parallelism := flag.Int("parallelism", 1, "subtasks of the windows")
	flag.Parse()
	if err := run(*path, *parallelism); err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
		os.Exit(1)
	}
}

func run(path string, parallelism int) (err error) {
	dir, err := os.MkdirTemp("", "millrace-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	job := millrace.NewJob("peers")
	job.From("events", file{path}, millrace.EventNanosRef(func(e *input.Event) int64 { return e.Time * int64(time.Millisecond) }).OutOfOrderness(input.Disorder)).
		KeyByRef(func(e *input.Event) int64 { return e.Key }).
		Window(window.Tumbling(input.Window)).
		Aggregate("sums", agg.Sum(func(e input.Event) int64 { return e.Val })).
		To("out", &lines{out: out})
	err = millrace.Run(context.Background(), job, millrace.Config{
		Parallelism: parallelism, Log: slog.New(slog.DiscardHandler), Checkpoint: millrace.CheckpointConfig{Dir: dir, Interval: time.Second},
	})
	return errors.Join(err, out.Flush())
}

// file is a source of one split.
type file struct{ path string }

func (f file) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: f.path}}, nil
}

func (f file) Open(_ context.Context, _ connect.Split, position []byte) (connect.Reader[input.Event], error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	r := &reader{in: in, buf: bufio.NewReaderSize(in, 1<<16)}
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
		_, err = in.Seek(r.at, io.SeekStart)
	}
	return r, err
}

type reader struct {
	in  *os.File
	buf *bufio.Reader
	at  int64
}

func (r *reader) Read(_ context.Context, events []input.Event) (int, error) {
	for n := range events {
		b, err := r.buf.Peek(input.Bytes)
		if err != nil {
			if n > 0 {
				return n, nil // What is wrong comes again.
			}
			if errors.Is(err, io.EOF) && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		events[n] = input.Decode(b)
		if _, err := r.buf.Discard(input.Bytes); err != nil {
			return n, err
		}
		r.at += input.Bytes
	}
	return len(events), nil
}

func (r *reader) Position() []byte { return binary.BigEndian.AppendUint64(nil, uint64(r.at)) }
func (r *reader) Where(int) string { return fmt.Sprintf("%s before byte %d", r.in.Name(), r.at) }
func (r *reader) BytesRead() int64 { return r.at }
func (r *reader) Close() error     { return r.in.Close() }

// lines prints results.
type lines struct {
	mu  sync.Mutex
	out *bufio.Writer
	buf []byte
}

func (l *lines) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

func (l *lines) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[window.Pane[int64, int64]], error) {
	return &writer{lines: l}, nil
}

func (l *lines) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type writer struct{ *lines }

func (w *writer) Write(_ context.Context, panes []window.Pane[int64, int64]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.buf[:0]
	for i := range panes {
		w.buf = input.AppendResult(w.buf, panes[i].Start, panes[i].Key, panes[i].Value)
	}
	_, err := w.out.Write(w.buf)
	return err
}

func (w *writer) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }
func (w *writer) Flush(context.Context) error                             { return nil }
func (w *writer) Close() error                                            { return nil }
