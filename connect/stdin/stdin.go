// Package stdin reads records from the standard input, or from any other stream of lines that can be read once: a pipe, a socket.
//
// Such a stream cannot seek. A job that goes on from a checkpoint takes what comes then, so what it had read since that checkpoint when it died is
// lost: at most once, whatever the job promises, and the job says so when it starts. What an upstream writes again is read again.
package stdin

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
)

// defaultMaxLine is the longest line that is read when MaxLine is not set.
const defaultMaxLine = 1 << 20

// splitID names the one split.
const splitID = "stdin"

// Input is a stream of lines, read once. It is a connect.Source with one split. Its methods return changed copies that share the stream; it
// is one source of one job. At the end of the stream the source ends.
//
// The stream is read ahead, up to about 256 KiB: what has been read ahead when the process ends is lost, also when the job is stopped. A start
// within the process, after a failure that may go away, takes it over.
type Input[T any] struct {
	pump    *pump
	decode  func(line string, out *T) error
	maxLine int
}

// standard reads the standard input: there is one, whoever reads it.
var standard = &pump{from: os.Stdin}

// Lines reads plain lines, without their line ends (LF or CR LF).
func Lines() Input[string] {
	return Input[string]{pump: standard, maxLine: defaultMaxLine, decode: func(line string, out *string) error {
		*out = line
		return nil
	}}
}

// JSON reads one JSON value per line, as encoding/json does. A line of white space is an error like any other that is no value of T.
func JSON[T any]() Input[T] {
	return Input[T]{pump: standard, maxLine: defaultMaxLine, decode: func(line string, out *T) error {
		var zero T
		*out = zero
		return json.Unmarshal([]byte(line), out)
	}}
}

// From reads from r instead of the standard input. A Read of r that has begun is not ended when the job ends; it is waited for by nobody.
func (in Input[T]) From(r io.Reader) Input[T] {
	in.pump = &pump{from: r}
	return in
}

// MaxLine sets the longest line that is read, in bytes without the line end; a longer one is an error. The default is 1 MiB.
func (in Input[T]) MaxLine(n int) Input[T] {
	in.maxLine = n
	return in
}

// Check returns what is wrong with the options.
func (in Input[T]) Check() error {
	if in.pump == nil {
		return errors.New("stdin: the Input is the zero value: use Lines or JSON")
	}
	var errs []error
	if in.pump.from == nil {
		errs = append(errs, errors.New("stdin: From(nil): there is nothing to read from"))
	}
	if in.maxLine <= 0 {
		errs = append(errs, fmt.Errorf("stdin: MaxLine(%d): must be above 0", in.maxLine))
	}
	return errors.Join(errs...)
}

// Splits returns the one split, which cannot seek.
func (in Input[T]) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: splitID, Unseekable: true}}, nil
}

// Open returns a reader of what nobody has read yet. There is one reader at a time.
func (in Input[T]) Open(ctx context.Context, split connect.Split, _ []byte) (connect.Reader[T], error) {
	if split.ID != splitID {
		return nil, fmt.Errorf("stdin: there is no split %q, only %q", split.ID, splitID)
	}
	if !in.pump.open(env.From(ctx).Sched) {
		return nil, errors.New("stdin: it is being read already: have one source read it, and use the stream of that source twice")
	}
	return &reader[T]{Input: in}, nil
}

// reader takes lines from the pump.
type reader[T any] struct {
	Input[T]
	first int64 // The number of the first line of the last Read, from 1.
	lines []string
	bytes int64
	bad   error // What the line after those of the last Read is, if it is no record.
}

// Read returns the lines that are there, and 0, nil when there is none yet.
func (r *reader[T]) Read(_ context.Context, records []T) (int, error) {
	if err := r.bad; err != nil {
		r.bad = nil
		return 0, err
	}
	var err error
	r.lines, r.first, err = r.pump.take(r.lines[:0], len(records), r.maxLine)
	if len(r.lines) == 0 {
		return 0, err
	}
	for i, line := range r.lines {
		r.bytes += int64(len(line))
		text := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if err := r.decode(text, &records[i]); err != nil {
			bad := &connect.RecordError{Where: r.Where(i), Raw: []byte(text), Err: err}
			r.pump.giveBack(r.lines[i+1:])
			if i == 0 {
				return 0, bad
			}
			r.bad = bad
			return i, nil
		}
	}
	return len(r.lines), nil
}

// Position returns the number of lines read, which nobody can go back to.
func (r *reader[T]) Position() []byte {
	return binary.AppendVarint(nil, r.first+int64(len(r.lines)))
}

// Where returns the number of a line, counted since the process has begun to read.
func (r *reader[T]) Where(i int) string { return fmt.Sprintf("stdin:%d", r.first+int64(i)) }

// BytesRead counts the bytes of the lines that were returned.
func (r *reader[T]) BytesRead() int64 { return r.bytes }

// Close lets another reader follow.
func (r *reader[T]) Close() error {
	r.pump.close()
	return nil
}

// cut returns the first line of b with its line end. The last one may have none.
func cut(b []byte, ended bool) (line []byte, ok bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], true
	}
	return b, ended && len(b) > 0
}

// DecodeRecord implements connect.RecordDecoder.
func (in Input[T]) DecodeRecord(_ context.Context, _ string, raw []byte) (record T, err error) {
	err = in.decode(string(raw), &record)
	return record, err
}
