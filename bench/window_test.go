package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkTumblingSmall is count and sum for 10,000 keys: state that fits into the cache.
func BenchmarkTumblingSmall(b *testing.B) {
	tumbling(b, "10k keys", 10_000, 60_000_000, targets{chained: [2]float64{2.5, 1.5}, maps: [2]float64{1.3, 1}, exchange: [2]float64{3, 2.2}})
}

// BenchmarkTumblingLarge is the same for a million keys: state far larger than the cache.
func BenchmarkTumblingLarge(b *testing.B) {
	tumbling(b, "1M keys", 1_000_000, 20_000_000, targets{chained: [2]float64{1.6, 1.2}, maps: [2]float64{1, 0.65}, exchange: [2]float64{1.8, 1.3}})
}

// targets are ratios, must and moonshot, of the engine to hand-written loops.
type targets struct{ chained, maps, exchange [2]float64 }

func tumbling(b *testing.B, title string, keys uint64, records int, goal targets) {
	events := makeInput(records, keys)
	first := "B3"
	if keys > 100_000 {
		first = "B4"
	}
	var runs []string
	job := func(name string, parallelism int) func() tally {
		return func() tally {
			r := engine{parallelism: parallelism, every: time.Second}.run(b, events)
			runs = append(runs, fmt.Sprintf("%s: %d epochs, at most %.1f MB of checkpoints, the last one took %v, longest pause %v",
				name, r.status.Epochs, float64(r.stateBytes)/1e6, r.status.EpochTime, r.status.BarrierPause))
			if r.status.Epochs < 3 { // two that the clock began, and the last
				runs = append(runs, "  only "+fmt.Sprint(r.status.Epochs)+" checkpoints: the figures flatter it")
			}
			return r.results
		}
	}
	cs := []*contender{
		{name: "hand, own table", run: func() tally { return handLoop(events) }},
		{name: "hand, map", run: func() tally { return mapLoop(events) }},
		{name: "engine, chained", run: job("chained", 1), target: first, must: goal.chained[0], moonshot: goal.chained[1]},
		{name: "engine, chained", of: "hand, map", target: "B5", must: goal.maps[0], moonshot: goal.maps[1]},
		{name: "engine, keyed exchange, 2 subtasks", run: job("exchange", 2), target: "B6", must: goal.exchange[0], moonshot: goal.exchange[1]},
	}
	for b.Loop() {
		for _, c := range cs {
			c.cpu, c.wall = nil, nil
		}
		compare(b, "tumbling 10 s, "+title, records, cs)
		if keys > 100_000 {
			speedUp := median(cs[0].wall) / median(cs[4].wall)
			say(fmt.Sprintf("B7: wall time of the loop on one core : engine on two = %.2f, must 1.10, moonshot 1.50: %s", speedUp,
				verdict(1/speedUp, slices.Max(cs[0].wall)/slices.Min(cs[0].wall), &contender{must: 1 / 1.1, moonshot: 1 / 1.5})))
			b.ReportMetric(speedUp, "B7-ratio")
		}
	}
	say(strings.Join(runs, "\n"))
}
