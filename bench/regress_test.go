package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// BenchmarkRegression is the check of CI: short runs of what other benchmarks measure well, which fail when the engine takes far more than it
// did, in relation to the loop beside it. The bounds are twice the figures seen, or more: a machine that does other work must not fail them, and
// something that costs each record an allocation, a lock or a copy too many must. A ratio over its bound is measured again, as what else
// the machine does comes and goes.
func BenchmarkRegression(b *testing.B) {
	const records = 2_000_000
	events := makeInput(records, 10_000)
	tumbling := func(parallelism int) func() tally {
		return func() tally { return engine{parallelism: parallelism, every: time.Second}.run(b, events).results }
	}
	fives := make([]five, records)
	for i := range fives {
		fives[i] = five{A: int64(i), B: int64(i * 3), C: int64(i & 63)}
	}
	checks := []struct {
		name  string
		bound float64
		loop  func() tally
		job   func() tally
	}{
		{"a chain of map, filter and map : a loop", 5, func() tally { return handChain(fives, 1) }, func() tally {
			sink := &countingSink[five]{addAll: addFives}
			engine{parallelism: 1, every: time.Second}.runJob(b, chainJob(memory.Splits(fives), sink))
			return sink.mu.committed
		}},
		{"tumbling windows : a loop", 4, func() tally { return handLoop(events) }, tumbling(1)},
		{"tumbling windows behind an exchange : a loop", 6, func() tally { return handLoop(events) }, tumbling(2)},
		{"sliding windows : tumbling windows", 4, nil, func() tally { return sliding(1).run(b, events).results }},
	}
	const tries = 5
	for b.Loop() {
		for _, c := range checks {
			var seen []string
			best := c.bound + 1
			for range tries {
				cs := []*contender{{name: "loop", run: c.loop}, {name: "job", run: c.job}}
				if c.loop == nil { // other results: the reference is a job too
					cs[0].run = tumbling(1)
					compareAll(b, c.name, records, cs[:1], cs[1:])
				} else {
					compareAll(b, c.name, records, cs)
				}
				ratio := median(cs[1].cpu) / median(cs[0].cpu)
				seen, best = append(seen, fmt.Sprintf("%.2f", ratio)), min(best, ratio)
				if best <= c.bound {
					break
				}
			}
			say(fmt.Sprintf("%s: %s, at most %.0f", c.name, strings.Join(seen, ", "), c.bound))
			if best > c.bound {
				b.Errorf("%s: CPU time for a record is %s times that of the reference, want at most %.0f", c.name, strings.Join(seen, ", "), c.bound)
			}
		}
	}
}

// chainJob is the job of BenchmarkChain.
func chainJob(in *memory.Source[five], sink *countingSink[five]) *millrace.Job {
	job := millrace.NewJob("bench")
	job.From("in", in).
		UpdateRef(func(r *five) { r.A += r.B }).
		FilterRef(func(r *five) bool { return r.A&15 != 0 }).
		UpdateRef(func(r *five) { r.B ^= r.C }).
		To("out", sink)
	return job
}

// handChain does the same in one loop over the input, so many times.
func handChain(in []five, times int) tally {
	var t tally
	out := make([]five, 0, batch)
	for range times {
		for i := range in {
			r := in[i]
			r.A += r.B
			if r.A&15 == 0 {
				continue
			}
			r.B ^= r.C
			if out = append(out, r); len(out) == cap(out) {
				addFives(&t, out)
				out = out[:0]
			}
		}
	}
	addFives(&t, out)
	return t
}
