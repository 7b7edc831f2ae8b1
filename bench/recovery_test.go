package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/window"
)

// looped reads events again and again, each time with times after those of the time before, and does not end by itself before it has
// done so loops times.
type looped struct {
	events []event
	loops  int
	// waits says that the split stays open behind the last record.
	waits bool
	// asked is called when a record is asked for first.
	asked func()
}

func (l looped) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: "events"}}, nil
}

func (l looped) Open(_ context.Context, _ connect.Split, position []byte) (connect.Reader[event], error) {
	r := &loopReader{looped: l}
	if position != nil {
		if _, err := fmt.Sscanf(string(position), "%d %d", &r.loop, &r.next); err != nil {
			return nil, fmt.Errorf("position %q: %w", position, err)
		}
	}
	return r, nil
}

type loopReader struct {
	looped
	loop, next int
}

func (r *loopReader) Read(_ context.Context, out []event) (int, error) {
	if r.asked != nil {
		r.asked()
		r.asked = nil
	}
	if r.next == len(r.events) {
		r.loop, r.next = r.loop+1, 0
	}
	if r.loop >= r.loops {
		if r.waits {
			r.loop, r.next = r.loop-1, len(r.events)
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(out, r.events[r.next:])
	if later := int64(r.loop) * int64(len(r.events)) * spacing; later > 0 {
		for i := range out[:n] {
			out[i].Time += later
		}
	}
	r.next += n
	return n, nil
}

func (r *loopReader) Position() []byte { return fmt.Appendf(nil, "%d %d", r.loop, r.next) }
func (r *loopReader) Where(int) string { return "events" }
func (r *loopReader) BytesRead() int64 { return 0 }
func (r *loopReader) Close() error     { return nil }

// totalsOf is the job of the benchmarks over a source.
func totalsOf(source connect.Source[event], size time.Duration, sink connect.Sink[pane]) *millrace.Job {
	job := millrace.NewJob("bench")
	job.From("events", source, millrace.EventNanosRef(func(e *event) int64 { return e.Time }).OutOfOrderness(time.Duration(disorder))).
		KeyByRef(func(e *event) uint64 { return e.Key }).
		Window(window.Tumbling(size)).
		Aggregate("totals", totals()).
		To("out", sink)
	return job
}

// BenchmarkCheckpoints is B10: a job with a million keys without checkpoints, and with one every 10 s and every second. Each run
// takes over 20 seconds, so that there are two of the longer interval.
func BenchmarkCheckpoints(b *testing.B) {
	const keys, records, loops = 1_000_000, 20_000_000, 10
	events := makeInput(records, keys)
	var notes []string
	run := func(every time.Duration) func() tally {
		return func() tally {
			sink := &countingSink[pane]{add: func(t *tally, p *pane) { t.add(p.Key, p.Start.UnixNano(), p.Value.Count, p.Value.Sum) }}
			r := engine{parallelism: 1, every: every}.runJob(b, totalsOf(looped{events: events, loops: loops}, time.Duration(windowSize), sink))
			if every > 0 {
				notes = append(notes, fmt.Sprintf("every %v: %d epochs, the last took %v, longest pause %v", every, r.status.Epochs, r.status.EpochTime, r.status.BarrierPause))
			}
			return sink.mu.committed
		}
	}
	cs := []*contender{
		{name: "no checkpoints", run: run(0)},
		{name: "every 10 s", run: run(10 * time.Second), target: "B10-10s", must: 1 / 0.95, moonshot: 1 / 0.98},
		{name: "every second", run: run(time.Second), target: "B10-1s", must: 1 / 0.85, moonshot: 1 / 0.95},
	}
	for b.Loop() {
		for _, c := range cs {
			c.cpu, c.wall = nil, nil
		}
		compare(b, "tumbling 10 s, 1M keys", records*loops, cs)
	}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(notes))) {
		say(n)
	}
}

// BenchmarkRecovery is B12: from the start of a job with a checkpoint of a million keys to the moment at which it asks for its
// next record, against inserting a million keys into a table written by hand,
// which has the right size from the start.
func BenchmarkRecovery(b *testing.B) {
	const keys = 1_000_000
	events := makeInput(10*keys, keys)[:keys]
	for i := range events {
		events[i].Key = spread(uint64(i)) // each key once
	}
	defer func() { inputs.events, inputs.keys = nil, 0 }()
	job := func(asked func()) *millrace.Job {
		return totalsOf(looped{events: events, loops: 1, waits: true, asked: asked}, 100_000*time.Hour, memory.NewSink[pane]())
	}
	var hand, recovery, wall []float64
	for b.Loop() {
		dir := b.TempDir()
		ctx, stop := context.WithCancelCause(b.Context())
		done := errors.New("all is in a checkpoint")
		cfg := millrace.Config{
			Parallelism: 1, Log: slog.New(slog.DiscardHandler), ObserveEvery: 10 * time.Millisecond,
			Checkpoint: millrace.CheckpointConfig{Dir: dir, Interval: 50 * time.Millisecond},
			Observe: func(s millrace.Status) {
				if s.In == keys && s.Epochs > 0 {
					stop(done)
				}
			},
		}
		if err := millrace.Run(ctx, job(nil), cfg); !errors.Is(err, done) {
			b.Fatal(err)
		}
		for range rounds {
			before := cpuTime(b)
			t := newHandTable()
			t.resize(1 << 21) // of the right size at once: the table of the job knows from the checkpoint how many come
			for i := range events {
				s := t.slot(events[i].Key)
				s.count, s.sum = 1, events[i].Val
			}
			hand = append(hand, float64(cpuTime(b)-before)/keys)

			ctx, stop := context.WithCancelCause(b.Context())
			var asked atomic.Int64
			var in int64
			before, began := cpuTime(b), clock.System{}.Now()
			cfg.Observe = func(s millrace.Status) { in = s.In }
			err := millrace.Run(ctx, job(func() {
				asked.Store(int64(cpuTime(b) - before))
				wall = append(wall, float64(clock.System{}.Now().Sub(began))/1e6)
				stop(done)
			}), cfg)
			if !errors.Is(err, done) || in != keys || asked.Load() == 0 {
				b.Fatalf("restored %d of %d records: %v", in, keys, err)
			}
			recovery = append(recovery, float64(asked.Load())/keys)
		}
	}
	ratio := median(recovery) / median(hand)
	say(fmt.Sprintf("B12: restore of %d keys %.1f ns CPU for a key, %.1f ms wall in all; insert by hand %.1f ns: ratio %.2f, must 5, moonshot 2: %s", keys,
		median(recovery), median(wall), median(hand), ratio, verdict(ratio, slices.Max(hand)/slices.Min(hand), &contender{must: 5, moonshot: 2})))
	b.ReportMetric(ratio, "B12-ratio")
}
