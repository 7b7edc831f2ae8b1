package operator

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/task"
)

// told is a Read of a split whose reader dictates the watermark: its records, and what the reader says behind them.
type told struct {
	records []int64
	wm      int64
	idle    bool
}

type toldSource map[string][]told

func (s toldSource) Splits(context.Context) (out []connect.Split, err error) {
	for id := range s {
		out = append(out, connect.Split{ID: id})
	}
	slices.SortFunc(out, func(a, b connect.Split) int { return int(a.ID[0]) - int(b.ID[0]) })
	return out, nil
}

func (s toldSource) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[int64], error) {
	r := &toldReader{reads: s[split.ID], wm: element.NoTime}
	if position != nil {
		at, _ := binary.Uvarint(position)
		r.at = int(at)
	}
	return r, nil
}

type toldReader struct {
	reads []told
	at    int
	wm    int64
	idle  bool
}

func (r *toldReader) Read(_ context.Context, records []int64) (int, error) {
	if r.at == len(r.reads) {
		return 0, io.EOF
	}
	d := r.reads[r.at]
	r.at++
	r.wm, r.idle = d.wm, d.idle
	return copy(records, d.records), nil
}

func (r *toldReader) Watermark() (int64, bool) { return r.wm, r.idle }
func (r *toldReader) Position() []byte         { return binary.AppendUvarint(nil, uint64(r.at)) }
func (r *toldReader) Where(int) string         { return "there" }
func (r *toldReader) BytesRead() int64         { return 0 }
func (r *toldReader) Close() error             { return nil }

// openTold opens a source over the splits, from old states if there are any.
func openTold(t *testing.T, src toldSource, old ...[]byte) (Source, *recorder) {
	t.Helper()
	spec := TimeSpec[int64]{Extract: func(records, times []int64) (int, error) { copy(times, records); return 0, nil }}
	op := NewSource(src, spec, element.NewPool[int64](8))
	r := newRecorder(t)
	c := testContext(r)
	c.Old, c.Env = old, &env.Env{Sched: task.NewSystem()}
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	splits, _ := op.List(t.Context())
	if err := op.Assign(splits); err != nil {
		t.Fatal(err)
	}
	if err := op.Start(); err != nil {
		t.Fatal(err)
	}
	return op, r
}

// pollTold polls until the source ends, or until n polls have found something.
func pollTold(t *testing.T, op Source, n int) {
	t.Helper()
	for range n {
		if result, err := op.Poll(8); err != nil {
			t.Fatal(err)
		} else if result == PollEnded {
			return
		}
	}
}

// TestReaderDictatesTheWatermark: what the reader says stands behind its records, whatever their event times are, and also
// where there are none.
func TestReaderDictatesTheWatermark(t *testing.T) {
	op, r := openTold(t, toldSource{"a": {
		{records: []int64{100, 50}, wm: element.NoTime},
		{records: []int64{60}, wm: 40},
		{wm: 55},
		{records: []int64{10}, wm: 30}, // goes back: taken for 55
		{records: []int64{70}, wm: 55},
	}})
	pollTold(t, op, 100)
	want := []seen{{100, element.NoTime}, {50, element.NoTime}, {60, element.NoTime}, {10, 55}, {70, 55}}
	if !slices.Equal(r.seen, want) || r.wm != element.EndTime {
		t.Fatalf("saw %v and at the end %d, want %v", r.seen, r.wm, want)
	}
}

// TestDictatedWatermarksAreCombined: the smallest of the splits counts, an idle one does not until its next record.
func TestDictatedWatermarksAreCombined(t *testing.T) {
	op, r := openTold(t, toldSource{
		"a": {{records: []int64{1}, wm: 10}, {records: []int64{2}, wm: 20, idle: true}, {records: []int64{5}, wm: 25}},
		"b": {{records: []int64{3}, wm: 12}, {records: []int64{4}, wm: 22, idle: true}},
	})
	pollTold(t, op, 100)
	// Polls take the split that is furthest behind: a to 10, b to 12, a to 20 and idle, b to 22 and idle, a again.
	want := []seen{{1, element.NoTime}, {3, element.NoTime}, {2, 10}, {4, 12}, {5, 22}}
	if !slices.Equal(r.seen, want) || r.idle != 1 || r.wm != element.EndTime {
		t.Fatalf("saw %v, idle %d times, at the end %d; want %v", r.seen, r.idle, r.wm, want)
	}
}

// TestDictatedWatermarkIsRestored: after a restore at any read, records see the watermarks that they would have seen.
func TestDictatedWatermarkIsRestored(t *testing.T) {
	src := toldSource{"a": {{records: []int64{9}, wm: 3}, {wm: 5}, {records: []int64{8}, wm: 5, idle: true}, {wm: 6}, {records: []int64{7}, wm: 8}, {records: []int64{1}, wm: 8}}}
	op, whole := openTold(t, src)
	pollTold(t, op, 100)
	for n := range 6 {
		op, before := openTold(t, src)
		pollTold(t, op, n)
		cut, err := op.Freeze(1)
		if err != nil {
			t.Fatal(err)
		}
		// A second epoch without a read between: the reader of the restored split has not been opened yet.
		op, _ = openTold(t, src, cut.State)
		if cut, err = op.Freeze(2); err != nil {
			t.Fatal(err)
		}
		op, after := openTold(t, src, cut.State)
		pollTold(t, op, 100)
		if got := slices.Concat(before.seen, after.seen); !slices.Equal(got, whole.seen) || after.wm != whole.wm {
			t.Errorf("restored after %d reads: %v, want %v", n, got, whole.seen)
		}
	}
}

// TestDictatedEndIsRefused: the end is told by io.EOF, and a reader that is not at its end must not say so.
func TestDictatedEndIsRefused(t *testing.T) {
	op, _ := openTold(t, toldSource{"a": {{records: []int64{1}, wm: element.EndTime}}})
	if _, err := op.Poll(8); err == nil {
		t.Fatal("a reader may say that the watermark is at the end")
	}
}
