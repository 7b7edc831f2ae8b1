//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/bits"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/window"
)

const (
	// origin is the first event time, a multiple of all window sizes.
	origin = int64(1_699_999_200 * time.Second)
	// disorder is how far an event time may lie behind one before it.
	disorder = int64(5 * time.Second)
)

// event is a record.
type event struct {
	Time int64 // ns since 1970
	Key  uint64
	Val  int64
}

// input says which records there are. They are computed one by one, so that a run holds nothing but its state.
type input struct {
	Records int64         `json:"records"`
	Keys    uint64        `json:"keys"`
	Skew    string        `json:"skew,omitempty"` // "" is uniform, else zipf or hot
	Spacing time.Duration `json:"spacing"`        // event time between records before they are moved back

	tail float64 // of zipf: how much of the distribution is left behind the last key, to the power of -1/10
}

// ready computes what all records need. With zipf, the key of rank r is as frequent as 1 / r^1.1.
func (in *input) ready() { in.tail = math.Pow(float64(in.Keys)+1, -0.1) }

// mix makes a number without a pattern of another one.
func mix(x uint64) uint64 {
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// key returns the key that chance, an even number of 64 bits, stands for.
func (in *input) key(chance uint64) uint64 {
	rank := chance % in.Keys
	switch in.Skew {
	case "hot": // Every second record has the same key.
		if chance>>63 == 0 {
			rank = 0
		}
	case "zipf": // The inverse of the distribution of a continuous rank, which is close to that of whole ones: v to the power of -10.
		v := 1 - float64(chance>>11)/(1<<53)*(1-in.tail)
		v *= v
		rank = min(uint64(1/(v*v*v*v*v))-1, in.Keys-1)
	}
	return mix(rank + 1)
}

// at returns record i.
func (in *input) at(i int64) event {
	chance := mix(uint64(i)*0x9e3779b97f4a7c15 + 1)
	late := int64(mix(chance)>>1) % disorder
	return event{Time: origin + i*int64(in.Spacing) + disorder - late, Key: in.key(chance), Val: i & 1023}
}

// source gives the records in as many splits: record i goes to split i modulo splits.
type source struct {
	in     input
	splits int
}

// Splits lists the splits.
func (s source) Splits(context.Context) ([]connect.Split, error) {
	out := make([]connect.Split, s.splits)
	for i := range out {
		out[i].ID = fmt.Sprintf("%03d", i)
	}
	return out, nil
}

// Open returns a reader. A run is not continued.
func (s source) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[event], error) {
	r := &reader{source: s}
	if _, err := fmt.Sscanf(split.ID, "%d", &r.next); err != nil || position != nil {
		return nil, fmt.Errorf("curves: cannot open split %q at %x: %w", split.ID, position, err)
	}
	return r, nil
}

type reader struct {
	source
	next int64
}

// Read computes the next records.
func (r *reader) Read(_ context.Context, records []event) (int, error) {
	n := 0
	for n < len(records) && r.next < r.in.Records {
		records[n] = r.in.at(r.next)
		r.next += int64(r.splits)
		n++
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *reader) Position() []byte { return binary.AppendUvarint(nil, uint64(r.next)) }
func (r *reader) Where(int) string { return fmt.Sprintf("before record %d", r.next) }
func (r *reader) BytesRead() int64 { return 0 }
func (r *reader) Close() error     { return nil }

// tally is a checksum over results that does not depend on their order.
type tally struct {
	Results int64  `json:"results"`
	Sum     uint64 `json:"sum"`
}

func (t *tally) add(key uint64, end, count, sum int64) {
	t.Results++
	t.Sum += mix(mix(mix(key+uint64(end))+uint64(count)) + uint64(sum))
}

// sink adds up results and forgets them.
type sink[A any] struct {
	read  func(*A) (count, sum int64)
	mu    sync.Mutex
	tally tally
}

// Guarantee is at least once: a run has no crashes.
func (s *sink[A]) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

// OpenWriter opens a writer with a tally of its own.
func (s *sink[A]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[millrace.Pane[uint64, A]], error) {
	return &writer[A]{sink: s}, nil
}

// OpenCommitter returns nil: nothing is committed.
func (s *sink[A]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type writer[A any] struct {
	*sink[A]
	own tally
}

// Write adds results.
func (w *writer[A]) Write(_ context.Context, panes []millrace.Pane[uint64, A]) error {
	for i := range panes {
		count, sum := w.read(&panes[i].Value)
		w.own.add(panes[i].Key, panes[i].End.UnixNano(), count, sum)
	}
	return nil
}

// Prepare has nothing to prepare.
func (w *writer[A]) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }

// Flush does nothing.
func (w *writer[A]) Flush(context.Context) error { return nil }

// Close adds the tally to that of the sink.
func (w *writer[A]) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.Results += w.own.Results
	w.tally.Sum += w.own.Sum
	return nil
}

// total is an accumulator of 16 bytes, wide one of 32.
type (
	total struct{ Count, Sum int64 }
	wide  struct{ Count, Sum, Least, Most int64 }
)

func totals() agg.Aggregator[event, total, total] {
	return agg.Aggregator[event, total, total]{
		Add:    func(t *total, e *event) { t.Count++; t.Sum += e.Val },
		Merge:  func(dst, src *total) { dst.Count += src.Count; dst.Sum += src.Sum },
		Result: func(t *total) total { return *t },
	}
}

func wides() agg.Aggregator[event, wide, wide] {
	return agg.Aggregator[event, wide, wide]{
		Add: func(t *wide, e *event) {
			t.Count++
			t.Sum += e.Val
			t.Least = min(t.Least, e.Val)
			t.Most = max(t.Most, e.Val)
		},
		Merge: func(dst, src *wide) {
			dst.Count += src.Count
			dst.Sum += src.Sum
			dst.Least, dst.Most = min(dst.Least, src.Least), max(dst.Most, src.Most)
		},
		Result: func(t *wide) wide { return *t },
	}
}

// work is what one process does: a job over an input.
type work struct {
	Input       input         `json:"input"`
	Parallelism int           `json:"parallelism"`
	Size        time.Duration `json:"size"`
	Slide       time.Duration `json:"slide,omitempty"`       // 0 is tumbling
	Checkpoints int64         `json:"checkpoints,omitempty"` // about so many in a run, as many however busy the machine is
	Plain       bool          `json:"plain,omitempty"`       // without aggregation before the exchange
	Wide        bool          `json:"wide,omitempty"`        // accumulators of 32 bytes
	// Flat fills a table without an engine instead: see flatTable.
	Flat bool `json:"flat,omitempty"`
}

// measured is what a process tells about its work. CPU and Wall do not include its start.
type measured struct {
	Tally  tally         `json:"tally"`
	CPU    time.Duration `json:"cpu"`
	Wall   time.Duration `json:"wall"`
	Epochs int64         `json:"epochs"`
	// PeakBytes is the most memory that the process had, as the operating system counts it.
	PeakBytes int64 `json:"peak_bytes"`
}

// do does the work.
func (w work) do(ctx context.Context) (m measured, err error) {
	w.Input.ready()
	cpu, wall := cpuTime(), time.Now()
	switch {
	case w.Flat:
		m.Tally = flat(w)
	case w.Wide:
		m, err = run(ctx, w, wides(), func(t *wide) (int64, int64) { return t.Count, t.Sum })
	default:
		m, err = run(ctx, w, totals(), func(t *total) (int64, int64) { return t.Count, t.Sum })
	}
	m.CPU, m.Wall = cpuTime()-cpu, time.Since(wall)
	return m, err
}

func run[A any](ctx context.Context, w work, a agg.Aggregator[event, A, A], read func(*A) (count, sum int64)) (m measured, err error) {
	s := &sink[A]{read: read}
	j := millrace.NewJob("curves")
	var windows window.Assigner = window.Tumbling(w.Size)
	if w.Slide > 0 {
		windows = window.Sliding(w.Size, w.Slide)
	}
	j.From("events", source{w.Input, w.Parallelism}, millrace.EventNanosRef(func(e *event) int64 { return e.Time }).OutOfOrderness(time.Duration(disorder))).
		KeyByRef(func(e *event) uint64 { return e.Key }).Window(windows).PreAggregate(!w.Plain).Aggregate("totals", a).To("out", s)
	cfg := millrace.Config{
		Parallelism: w.Parallelism, Log: slog.New(slog.DiscardHandler), Observe: func(s millrace.Status) { m.Epochs = s.Epochs },
	}
	cfg.Checkpoint.Interval = 1000 * time.Hour // Without a directory, checkpoints would be kept in memory.
	if w.Checkpoints > 0 {
		var dir string
		if dir, err = os.MkdirTemp("", "millrace-curves-"); err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cfg.Checkpoint.Dir = dir
		cfg.Checkpoint.EveryRecords = max(1, w.Input.Records/w.Checkpoints/int64(w.Parallelism))
	}
	err = millrace.Run(ctx, j, cfg)
	m.Tally = s.tally
	return m, err
}

// flat does what a job with one window and no checkpoints does, in a table that is made as large as it needs to be at once: keys and
// accumulators of 32 bytes side by side, three quarters full, so 54 bytes for each key. Nothing could hold them in much less.
func flat(w work) (out tally) {
	type slot struct {
		key uint64
		wide
	}
	slots := make([]slot, w.Input.Keys*27/20)
	for i := range w.Input.Records {
		e := w.Input.at(i)
		home, _ := bits.Mul64(e.Key, uint64(len(slots)))
		at := int(home)
		for slots[at].Count != 0 && slots[at].key != e.Key {
			if at++; at == len(slots) {
				at = 0
			}
		}
		s := &slots[at]
		s.key = e.Key
		s.Count++
		s.Sum += e.Val
		s.Least, s.Most = min(s.Least, e.Val), max(s.Most, e.Val)
	}
	end := (origin/int64(w.Size) + 1) * int64(w.Size)
	for i := range slots {
		if s := &slots[i]; s.Count != 0 {
			out.add(s.key, end, s.Count, s.Sum)
		}
	}
	return out
}

// cpuTime returns the time that all threads of the process have run.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
