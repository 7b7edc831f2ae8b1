package gen

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-stream/millrace/connect"
)

// Options say how events are read.
type Options struct {
	// Splits is the number of parts that are read beside each other; 0 means one.
	Splits int
	// Ranges makes each split a range of positions. Without it split k of n has the positions k, k + n, k + 2n and so on.
	Ranges bool
	// NoWatermarks leaves watermarks to the job, which then needs a bound of disorder of at least Group / Rate seconds. Without it the reader
	// tells the exact one behind each batch.
	NoWatermarks bool
}

// Source returns a source of the events.
func (g *Generator) Source(o Options) connect.Source[Event] { return source{g, g.Fill, o} }

type source struct {
	*Generator
	fill func(events []Event, from, step int64)
	Options
}

func (s source) splits() int64 { return int64(max(s.Options.Splits, 1)) }

// Check returns what is wrong with the options.
func (s source) Check() error {
	if s.Options.Splits < 0 {
		return fmt.Errorf("nexmark: Splits is %d: it must not be negative", s.Options.Splits)
	}
	return nil
}

// Splits lists the splits.
func (s source) Splits(context.Context) ([]connect.Split, error) {
	out := make([]connect.Split, s.splits())
	for i := range out {
		out[i].ID = fmt.Sprintf("events-%06d", i)
	}
	return out, nil
}

var errPosition = errors.New("nexmark: the position is not one of this split: was the checkpoint made with other events or splits?")

// Open returns a reader of a split. The position is the number of events that have been read of it.
func (s source) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[Event], error) {
	var k int64
	if _, err := fmt.Sscanf(split.ID, "events-%d", &k); err != nil || k < 0 || k >= s.splits() {
		return nil, fmt.Errorf("nexmark: there is no split %q, only %d", split.ID, s.splits())
	}
	r := &reader{source: s, id: split.ID, start: k, step: s.splits(), end: s.Events}
	if s.Ranges {
		r.start, r.step, r.end = k*s.Events/s.splits(), 1, (k+1)*s.Events/s.splits()
	}
	if position != nil {
		n, size := binary.Uvarint(position)
		if size != len(position) || n > uint64(s.Events) || r.position(int64(n)) >= r.end+r.step {
			return nil, errPosition
		}
		r.next = int64(n)
	}
	if s.NoWatermarks {
		return r, nil
	}
	return exactReader{r}, nil
}

type reader struct {
	source
	id    string
	start int64 // the first position,
	step  int64 // from one to the next,
	end   int64 // and the one at which there is none any more
	next  int64 // the number of events read
	batch int64 // next, before the last Read
}

func (r *reader) position(n int64) int64 { return r.start + n*r.step }

func (r *reader) Read(_ context.Context, events []Event) (int, error) {
	left := (r.end - r.position(r.next) + r.step - 1) / r.step
	if left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(events)), left)
	r.fill(events[:n], r.position(r.next), r.step)
	r.batch = r.next
	r.next += n
	return int(n), nil
}

func (r *reader) Position() []byte { return binary.AppendUvarint(nil, uint64(r.next)) }

func (r *reader) Where(i int) string {
	return fmt.Sprintf("%s: position %d", r.id, r.position(r.batch+int64(i)))
}

func (r *reader) BytesRead() int64 { return 0 }
func (r *reader) Close() error     { return nil }

// exactReader is a reader that knows the watermark.
type exactReader struct{ *reader }

// Watermark returns the watermark in front of the next position.
func (r exactReader) Watermark() (int64, bool) {
	return r.source.Watermark(r.position(r.next)), false
}
