package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/window"
)

// event is a record of the input.
type event struct {
	Key, At, Value int64
}

// splits is into how many parts the input is cut.
const splits = 2

// repeat: behind so many new keys comes one that was there before.
const repeat = 10

// keyOf returns the n-th key: each number gives another, and they are in no order.
func keyOf(n int64) int64 { return int64(uint64(n)*0x9e3779b97f4a7c15 ^ 0x5bd1e995) }

// recordOf returns record i of the keys [from, ...).
func recordOf(from, i int64) event {
	n := i / (repeat + 1) * repeat
	if r := i % (repeat + 1); r < repeat {
		n += r
	} else {
		n = int64(mix(uint64(from+i)) % uint64(n+repeat))
	}
	return event{Key: keyOf(from + n), At: 1 + i, Value: i%1000 + 1}
}

// recordsIn returns the number of records of so many keys, a multiple of repeat.
func recordsIn(keys int64) int64 { return keys / repeat * (repeat + 1) }

func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// tally is what results come to, in any order.
type tally struct {
	Results, Records int64
	Sum              uint64
}

func (t *tally) add(key, count, sum int64) {
	t.Results++
	t.Records += count
	t.Sum += mix(uint64(key) + mix(uint64(count)+mix(uint64(sum))))
}

// expect computes what the job should give: in a slice by the number of the key, with no engine.
func expect(keys int64) tally {
	var t tally
	part := keys / splits / repeat * repeat
	for s := range int64(splits) {
		counts, sums := make([]uint8, part), make([]int32, part)
		for i := range recordsIn(part) {
			n := i / (repeat + 1) * repeat
			if r := i % (repeat + 1); r < repeat {
				n += r
			} else {
				n = int64(mix(uint64(s*part+i)) % uint64(n+repeat))
			}
			counts[n]++
			sums[n] += int32(i%1000 + 1)
		}
		for n := range part {
			t.add(keyOf(s*part+n), int64(counts[n]), int64(sums[n]))
		}
	}
	return t
}

// generator is the source.
type generator struct{ part int64 }

// Splits implements connect.Source.
func (generator) Splits(context.Context) ([]connect.Split, error) {
	var list []connect.Split
	for i := range splits {
		list = append(list, connect.Split{ID: strconv.Itoa(i)})
	}
	return list, nil
}

// Open implements connect.Source.
func (g generator) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[event], error) {
	n, err := strconv.ParseInt(split.ID, 10, 64)
	r := &reader{from: n * g.part, end: recordsIn(g.part)}
	if len(position) == 8 {
		r.next = int64(binary.BigEndian.Uint64(position))
	}
	return r, err
}

// reader reads one split.
type reader struct{ from, next, end int64 }

// Read implements connect.Reader.
func (r *reader) Read(_ context.Context, records []event) (int, error) {
	n := int(min(int64(len(records)), r.end-r.next))
	if n == 0 {
		return 0, io.EOF
	}
	for i := range records[:n] {
		records[i] = recordOf(r.from, r.next)
		r.next++
	}
	return n, nil
}

// Position implements connect.Reader.
func (r *reader) Position() []byte { return binary.BigEndian.AppendUint64(nil, uint64(r.next)) }

// Where implements connect.Reader.
func (r *reader) Where(i int) string { return strconv.FormatInt(r.next+int64(i), 10) }

// BytesRead implements connect.Reader.
func (r *reader) BytesRead() int64 { return 0 }

// Close implements connect.Reader.
func (r *reader) Close() error { return nil }

type pane = millrace.Pane[int64, total]

type total struct{ Count, Sum int64 }

// results is the sink: it adds up what it is given.
type results struct {
	mu struct {
		sync.Mutex
		tally
	}
}

// Guarantee implements connect.Sink.
func (*results) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

// OpenWriter implements connect.Sink.
func (r *results) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[pane], error) {
	return writer{r}, nil
}

// OpenCommitter implements connect.Sink.
func (*results) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

type writer struct{ *results }

// Write implements connect.Writer.
func (w writer) Write(_ context.Context, records []pane) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		w.mu.add(records[i].Key, records[i].Value.Count, records[i].Value.Sum)
	}
	return nil
}

// Prepare implements connect.Writer.
func (writer) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }

// Flush implements connect.Writer.
func (writer) Flush(context.Context) error { return nil }

// Close implements connect.Writer.
func (writer) Close() error { return nil }

// job counts and adds up by key, in one window over all.
func job(part int64, to *results) *millrace.Job {
	j := millrace.NewJob("large")
	j.From("events", generator{part}, millrace.EventNanosRef(func(e *event) int64 { return e.At })).
		KeyByRef(func(e *event) int64 { return e.Key }).
		Window(window.Tumbling(24*time.Hour)).
		Aggregate("totals", agg.Aggregator[event, total, total]{
			Add:    func(t *total, e *event) { t.Count++; t.Sum += e.Value },
			Merge:  func(dst, src *total) { dst.Count += src.Count; dst.Sum += src.Sum },
			Result: func(t *total) total { return *t },
		}).
		To("out", to)
	return j
}

// errHalf stops a run that is to be started again.
var errHalf = errors.New("two thirds are done")

// runner runs a backend.
type runner struct {
	options
	report  report
	started time.Time
	results results
	// begun is when the start at hand began, first that its first record has been seen.
	begun time.Time
	first bool
	// halt ends the run at hand.
	halt context.CancelCauseFunc
}

func (r *runner) run(ctx context.Context) error {
	part := r.keys / splits / repeat * repeat
	cfg := millrace.Config{
		Checkpoint:   millrace.CheckpointConfig{Dir: r.dir, Interval: r.interval},
		State:        millrace.StateConfig{Backend: millrace.StateBackend(r.child)},
		Observe:      r.observe,
		ObserveEvery: 500 * time.Millisecond,
		Log:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		StopTimeout:  time.Hour,
	}
	if cfg.State.Backend == millrace.DiskBackend {
		cfg.State.MemoryBudget = r.memory
	}
	if r.stop {
		half, halt := context.WithCancelCause(ctx)
		r.halt, r.begun, r.first = halt, time.Now(), true
		if err := millrace.Run(half, job(part, &r.results), cfg); !errors.Is(err, errHalf) {
			return errors.Join(errors.New("the run was not stopped on the way"), err)
		}
		r.report.StateBytes = sizeOf(filepath.Join(r.dir, "large"))
	}
	r.halt, r.begun, r.first = nil, time.Now(), !r.stop
	if err := millrace.Run(ctx, job(part, &r.results), cfg); err != nil {
		return err
	}
	r.report.Records, r.report.Seconds, r.report.CPU = recordsIn(part)*splits, time.Since(r.started).Seconds(), cpu()
	r.report.Results = r.results.mu.tally
	return nil
}

// observe takes a sample.
func (r *runner) observe(s millrace.Status) {
	now := time.Now()
	if !r.first && s.InRun > 0 {
		r.first, r.report.Recovery = true, now.Sub(r.begun).Seconds()
	}
	x := sample{
		Seconds: now.Sub(r.started).Seconds(), RSS: rss(), Records: s.In, Cold: s.State.ColdEntries, Evicted: s.State.Evicted, DiskReads: s.State.DiskReads,
	}
	rep := &r.report
	rep.Samples = append(rep.Samples, x)
	rep.PeakRSS = max(rep.PeakRSS, x.RSS)
	rep.DiskBytes = max(rep.DiskBytes, s.State.Disk)
	rep.Evicted, rep.DiskReads = max(rep.Evicted, x.Evicted), max(rep.DiskReads, x.DiskReads)
	if r.halt != nil && s.In > recordsIn(r.keys)/3*2 {
		r.halt(errHalf)
	}
}

// rss returns the memory of the process in bytes, 0 where it is not known.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// cpu returns the processor time of the process in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// sizeOf returns the size of the files below a directory.
func sizeOf(dir string) int64 {
	n := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		return 0
	}
	return n
}
