package bench

import (
	"fmt"
	"testing"
	"time"
)

// The sliding windows of the benchmarks: each record is in 60 of them.
const (
	slidingSize  = int64(time.Minute)
	slidingSlide = int64(time.Second)
)

func sliding(parallelism int) engine {
	return engine{parallelism: parallelism, every: time.Second, size: time.Duration(slidingSize), slide: time.Duration(slidingSlide)}
}

// BenchmarkSliding is B8 and B9: what 60 windows for each record cost the engine, against its own tumbling windows, and against a loop
// that updates every window of each record. The panes that a second of records brings out are part of it: one for each of 10,000 keys and 100,000
// records.
func BenchmarkSliding(b *testing.B) {
	const keys, records, naiveRecords = 10_000, 20_000_000, 10_000_000
	events := makeInput(records, keys)
	for b.Loop() {
		var overTumbling, naive, fast float64
		measured := []*contender{
			{name: "hand, two stacks over own tables", run: func() tally { return handSliding(events) }},
			{name: "engine, sliding", run: func() tally { return sliding(1).run(b, events).results }},
			{name: "engine, sliding, keyed exchange", run: func() tally { return sliding(2).run(b, events).results }},
		}
		tumbling := []*contender{
			{name: "hand, tumbling 10 s", run: func() tally { return handLoop(events) }},
			{name: "engine, tumbling 10 s", run: func() tally { return engine{parallelism: 1, every: time.Second}.run(b, events).results }},
		}
		compareAll(b, "sliding 60 s / 1 s, 10k keys", records, tumbling, measured)
		overTumbling = median(measured[1].cpu) / median(tumbling[1].cpu)

		// The loop takes a minute for what the engine does in a moment: it runs once, and over a beginning.
		begin := []*contender{{name: "engine, sliding", run: func() tally { return sliding(1).run(b, events[:naiveRecords]).results }}}
		slow := []*contender{{name: "hand, 60 map updates", once: true, run: func() tally { return naiveSliding(events[:naiveRecords]) }}}
		compareAll(b, "the same, a beginning", naiveRecords, append(begin, slow...))
		naive, fast = median(slow[0].cpu), median(begin[0].cpu)

		say(fmt.Sprintf("B8: engine, sliding : engine, tumbling = %.2f, must 2, moonshot 1.2: %s", overTumbling,
			verdict(overTumbling, 1, &contender{must: 2, moonshot: 1.2})))
		say(fmt.Sprintf("B9: 60 map updates : engine, sliding = %.0f, must 100, moonshot 250: %s", naive/fast,
			verdict(fast/naive, 1, &contender{must: 1.0 / 100, moonshot: 1.0 / 250})))
		b.ReportMetric(overTumbling, "B8-ratio")
		b.ReportMetric(naive/fast, "B9-ratio")
	}
}

// BenchmarkEngineSliding runs the engine alone, for use with -cpuprofile.
func BenchmarkEngineSliding(b *testing.B) {
	const keys, records = 10_000, 20_000_000
	events := makeInput(records, keys)
	b.ResetTimer()
	start := cpuTime(b)
	for b.Loop() {
		sliding(1).run(b, events)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/float64(records), "cpu-ns/record")
}
