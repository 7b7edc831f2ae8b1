package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// message is a record of the dedup benchmarks.
type message struct {
	Time int64 // ns since 1970
	ID   [16]byte
}

const (
	// dedupDisorder is how far back an event time may lie behind one before it.
	dedupDisorder = int64(time.Second)
	// repeats is how many of a hundred records repeat an id, of one at most repeatWithin records before.
	repeats      = 5
	repeatWithin = 1_000_000
)

// makeMessages returns n records of random ids, of which about 5 % repeat one of the million records before that is no repeat
// itself: so none is nearly a horizon away from the record that was passed on, where buckets alone cannot tell.
func makeMessages(n int) []message {
	rng := rand.New(rand.NewPCG(2, 14))
	out, repeat := make([]message, n), make([]bool, n)
	for i := range out {
		m := &out[i]
		from := i - 1 - rng.IntN(max(1, min(i, repeatWithin)))
		if from >= 0 && rng.IntN(100) < repeats && !repeat[from] {
			m.ID, repeat[i] = out[from].ID, true
		} else {
			binary.LittleEndian.PutUint64(m.ID[:], rng.Uint64())
			binary.LittleEndian.PutUint64(m.ID[8:], rng.Uint64())
		}
		m.Time = origin + int64(i)*spacing + dedupDisorder - rng.Int64N(dedupDisorder)
	}
	return out
}

func (t *tally) addMessage(m *message) {
	t.add(binary.LittleEndian.Uint64(m.ID[:]), m.Time, int64(binary.LittleEndian.Uint64(m.ID[8:])), 0)
}

// dedupByMaps is the reference: one of Go's maps for each quarter of the horizon, made as large as the one before it became, and
// dropped as a whole. A record is asked for in the maps that the horizon before and after it touches, the newest first.
func dedupByMaps(messages []message, horizon int64) tally {
	type bucket map[[16]byte]struct{}
	var out tally
	width := (horizon-1)/4 + 1
	first := messages[0].Time/width - 1 // the number of open[0]
	var open []bucket
	newest := int64(0)
	for len(messages) > 0 {
		n := min(batch, len(messages))
	next:
		for i := range messages[:n] {
			m := &messages[i]
			newest = max(newest, m.Time)
			at := int(m.Time/width - first)
			for b := min(len(open)-1, at+4); b >= max(0, at-4); b-- {
				if _, ok := open[b][m.ID]; ok {
					continue next
				}
			}
			for at >= len(open) {
				size := 0
				if len(open) > 0 {
					size = len(open[len(open)-1])
				}
				open = append(open, make(bucket, size))
			}
			open[at][m.ID] = struct{}{}
			out.addMessage(m)
		}
		messages = messages[n:]
		for clock := newest - dedupDisorder; len(open) > 0 && (first+1)*width+horizon <= clock; first++ {
			open = open[1:]
		}
	}
	return out
}

// dedup runs the job that the maps do by hand.
func (c engine) dedup(tb testing.TB, messages []message, horizon int64) engineRun {
	tb.Helper()
	sink := &countingSink[message]{add: (*tally).addMessage}
	job := millrace.NewJob("bench")
	job.From("messages", memory.Splits(messages),
		millrace.EventNanosRef(func(m *message) int64 { return m.Time }).OutOfOrderness(time.Duration(dedupDisorder))).
		Dedup("dedup", func(m message) [16]byte { return m.ID }, time.Duration(horizon)).AllowedLateness(0).
		To("out", sink)
	r := c.runJob(tb, job)
	r.results = sink.mu.committed
	return r
}

// BenchmarkDedup is B14: ten million ids of 16 bytes, all held at the end in four buckets; and the same with a horizon that drops
// most of them on the way. With -short, a tenth of the ids.
func BenchmarkDedup(b *testing.B) {
	n := 10_000_000
	if testing.Short() {
		n /= 10
	}
	messages := makeMessages(n)
	for b.Loop() {
		for _, c := range []struct {
			name    string
			horizon int64
		}{{"all held", int64(n) * spacing}, {"a fifth held", int64(n) * spacing / 5}} {
			compare(b, fmt.Sprintf("exact dedup of %d ids, %s", n, c.name), n, []*contender{
				{name: "hand, map per bucket", run: func() tally { return dedupByMaps(messages, c.horizon) }},
				{name: "engine", run: func() tally { return engine{parallelism: 1, every: time.Hour}.dedup(b, messages, c.horizon).results },
					target: "B14", must: 1, moonshot: 0.5},
				{name: "engine, 2 subtasks", run: func() tally { return engine{parallelism: 2, every: time.Hour}.dedup(b, messages, c.horizon).results }},
				{name: "engine, checkpoints every second", run: func() tally {
					return engine{parallelism: 1, every: time.Second}.dedup(b, messages, c.horizon).results
				}},
			})
		}
	}
	runtime.KeepAlive(messages)
}

// BenchmarkEngineDedup runs the engine alone, for use with -cpuprofile.
func BenchmarkEngineDedup(b *testing.B) {
	const n = 10_000_000
	messages := makeMessages(n)
	b.ResetTimer()
	start := cpuTime(b)
	for b.Loop() {
		engine{parallelism: 1, every: time.Hour}.dedup(b, messages, n*spacing)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/n, "cpu-ns/record")
}
