// Package stdout prints records, one line each, for trying a job out.
package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/millrace-stream/millrace/connect"
)

// Printer is a connect.Sink that prints. It writes through: after a crash the lines of the last epoch may come again.
// Lines of parallel subtasks are never mixed, but batches come in any order.
type Printer[T any] struct {
	out    *output
	format func(dst *bytes.Buffer, v *T) error
}

// output is shared by the subtasks of a sink.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// Text prints records as fmt does with %v, line ends and control characters included.
func Text[T any]() Printer[T] {
	return Printer[T]{out: &output{w: os.Stdout}, format: func(dst *bytes.Buffer, v *T) error {
		fmt.Fprintf(dst, "%v\n", *v)
		return nil
	}}
}

// JSON prints records as JSON, as encoding/json does without escapes for HTML.
func JSON[T any]() Printer[T] {
	return Printer[T]{out: &output{w: os.Stdout}, format: func(dst *bytes.Buffer, v *T) error {
		enc := json.NewEncoder(dst)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}}
}

// To returns a sink that prints to w instead of the standard output. w is used by one goroutine at a time.
func (p Printer[T]) To(w io.Writer) Printer[T] {
	p.out = &output{w: w}
	return p
}

// Guarantee is at least once.
func (p Printer[T]) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

// OpenWriter returns the writer of one subtask.
func (p Printer[T]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[T], error) {
	return &writer[T]{printer: p}, nil
}

// OpenCommitter returns nil: nothing is committed.
func (p Printer[T]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type writer[T any] struct {
	printer Printer[T]
	buf     bytes.Buffer
}

// Write prints the records. When one cannot be printed, those before it are.
func (w *writer[T]) Write(_ context.Context, records []T) error {
	w.buf.Reset()
	var failed error
	for i := range records {
		before := w.buf.Len()
		if err := w.printer.format(&w.buf, &records[i]); err != nil {
			w.buf.Truncate(before)
			failed = fmt.Errorf("stdout: print record: %w", err)
			break
		}
	}
	if w.buf.Len() > 0 {
		w.printer.out.mu.Lock()
		defer w.printer.out.mu.Unlock()
		if _, err := w.printer.out.w.Write(w.buf.Bytes()); err != nil {
			return fmt.Errorf("stdout: write: %w", err)
		}
	}
	return failed
}

// Prepare has nothing to prepare.
func (w *writer[T]) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }

// Flush does nothing: Write keeps nothing back.
func (w *writer[T]) Flush(context.Context) error { return nil }

// Close does nothing: the output is not the writer's.
func (w *writer[T]) Close() error { return nil }
