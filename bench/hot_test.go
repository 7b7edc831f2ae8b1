package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// hotRecords is the number of records of the benchmarks of frequent keys.
const hotRecords = 4_000_000

// BenchmarkHotKeys compares two subtasks on each side of the exchange with and without aggregation before it: where one key has half of
// the records, where frequencies fall as in language (Zipf), and where no key is frequent and nothing is to be gained.
func BenchmarkHotKeys(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 7))
	zipf := rand.NewZipf(rng, 1.1, 1, 1_000_000-1)
	half := func() uint64 {
		if rng.Uint64()&1 == 0 {
			return 0
		}
		return rng.Uint64N(10_000)
	}
	for _, c := range []struct {
		name string
		key  func() uint64
		// work is how long an aggregation takes for a record, in rounds of some ns.
		work int
	}{
		{"half of the records of one key, the rest of 10k", half, 0},
		{"the same, and an aggregation that takes its time", half, 400},
		{"Zipf 1.1 of 1M keys", zipf.Uint64, 0},
		{"10k keys alike", func() uint64 { return rng.Uint64N(10_000) }, 0},
		{"1M keys alike", func() uint64 { return rng.Uint64N(1_000_000) }, 0},
	} {
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) { hotKeys(b, c.name, c.key, c.work) })
	}
}

func hotKeys(b *testing.B, title string, key func() uint64, work int) {
	rng := rand.New(rand.NewPCG(8, 8))
	events := make([]event, hotRecords)
	for i := range events {
		events[i] = event{Time: origin + int64(i)*spacing + disorder - rng.Int64N(disorder), Key: spread(key()), Val: int64(i & 1023)}
	}
	splits := deal(events, 2)
	var aggregated []string
	run := func(plain bool) func() tally {
		return func() tally {
			r := engine{parallelism: 2, splits: splits, plain: plain, work: work}.run(b, events)
			for _, o := range r.status.Operators {
				if o.ID == "totals" && !plain {
					aggregated = append(aggregated, fmt.Sprintf("%.0f%%", 100*float64(o.PreAggregated)/hotRecords))
				}
			}
			return r.results
		}
	}
	cs := []*contender{
		{name: "each record exchanged", run: run(true)},
		{name: "aggregated before the exchange", run: run(false)},
	}
	for b.Loop() {
		for _, c := range cs {
			c.cpu, c.wall = nil, nil
		}
		compare(b, "tumbling 10 s, 2 subtasks, "+title, hotRecords, cs)
		b.ReportMetric(median(cs[1].wall)/median(cs[0].wall), "wall-ratio")
	}
	say("records aggregated before the exchange: " + strings.Join(aggregated, " "))
}
