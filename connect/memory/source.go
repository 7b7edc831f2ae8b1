// Package memory reads records from slices and collects results in memory. It is for examples, tests and benchmarks: a
// job with it runs like any other, checkpoints and exactly-once commits included, as long as the process lives.
package memory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-stream/millrace/connect"
)

// Source reads slices; each is a split. It implements connect.Source.
type Source[T any] struct{ splits [][]T }

// Of returns a source of one split with the given records.
func Of[T any](records ...T) *Source[T] { return &Source[T]{splits: [][]T{records}} }

// Splits returns a source with one split for each slice. The slices must not change while a job reads them.
func Splits[T any](splits ...[]T) *Source[T] { return &Source[T]{splits: splits} }

// Splits lists the slices.
func (s *Source[T]) Splits(context.Context) ([]connect.Split, error) {
	out := make([]connect.Split, len(s.splits))
	for i := range s.splits {
		out[i] = connect.Split{ID: splitID(i)}
	}
	return out, nil
}

func splitID(i int) string { return fmt.Sprintf("slice-%06d", i) }

// Open returns a reader of one slice.
func (s *Source[T]) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[T], error) {
	var index int
	if _, err := fmt.Sscanf(split.ID, "slice-%d", &index); err != nil || index < 0 || index >= len(s.splits) {
		return nil, fmt.Errorf("memory: there is no split %q, only %d slices", split.ID, len(s.splits))
	}
	r := &reader[T]{id: split.ID, records: s.splits[index]}
	if position != nil {
		at, n := binary.Uvarint(position)
		if n != len(position) {
			return nil, fmt.Errorf("memory: split %s: the position %x is not one of a slice", split.ID, position)
		}
		if at > uint64(len(r.records)) {
			return nil, fmt.Errorf("memory: split %s has %d records, but it was read up to record %d: it is not the slice that was read before", split.ID, len(r.records), at)
		}
		r.next = int(at)
	}
	return r, nil
}

type reader[T any] struct {
	id      string
	records []T
	first   int
	next    int
}

func (r *reader[T]) Read(_ context.Context, out []T) (int, error) {
	if r.next == len(r.records) {
		return 0, io.EOF
	}
	r.first = r.next
	n := copy(out, r.records[r.next:])
	r.next += n
	return n, nil
}

func (r *reader[T]) Position() []byte { return binary.AppendUvarint(nil, uint64(r.next)) }

func (r *reader[T]) Where(i int) string { return fmt.Sprintf("%s[%d]", r.id, r.first+i) }

func (r *reader[T]) BytesRead() int64 { return 0 }

func (r *reader[T]) Close() error { return nil }

var errNoCheckpoint = errors.New("memory: the sink holds committed records, but the job starts from nothing: use a new sink")
