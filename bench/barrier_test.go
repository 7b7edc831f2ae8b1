package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/clock"
)

// BenchmarkBarrierPause is B11: the longest time for which a barrier keeps an operator with a million keys from its records, over
// all epochs of five runs, against copying keys and values of the same state once (median).
func BenchmarkBarrierPause(b *testing.B) {
	const (
		keys           = 1_000_000
		must, moonshot = 0.5, 0.05
	)
	events := makeInput(10_000_000, keys)
	state, to := make([]handSlot, keys), make([]handSlot, keys)
	for i := range state { // memory that was never written takes no room in the machine, and no time to read
		state[i] = handSlot{key: uint64(i), count: 1}
	}
	copy(to, state)
	for b.Loop() {
		var pauses, copies []time.Duration
		var epochs, bytes int64
		for range rounds {
			start := clock.System{}.Now()
			copy(to, state)
			copies = append(copies, clock.System{}.Now().Sub(start))
			r := engine{parallelism: 1, every: 100 * time.Millisecond, size: 10_000 * time.Hour}.run(b, events)
			pauses = append(pauses, r.status.BarrierPause)
			epochs += r.status.Epochs
			bytes = max(bytes, r.stateBytes)
		}
		slices.Sort(copies)
		longest, reference := slices.Max(pauses), copies[rounds/2]
		ratio := float64(longest) / float64(reference)
		c := contender{must: must, moonshot: moonshot}
		say(fmt.Sprintf("B11: longest pause %v over %d epochs with up to %.0f MB of checkpoints (by run %v); memcpy of %d keys and values %v (%v): "+
			"ratio %.3f, must %.2f, moonshot %.2f: %s", longest, epochs, float64(bytes)/1e6, pauses, keys, reference, copies, ratio, must, moonshot,
			verdict(ratio, 1, &c)))
		b.ReportMetric(ratio, "B11-ratio")
	}
}
