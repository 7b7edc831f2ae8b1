package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/clock"
)

// rounds is how often each contender runs.
const rounds = 5

// maxSpread is how much the CPU time of the reference may vary, largest to smallest, before nothing can be said.
const maxSpread = 1.15

// contender is one way to do the task. The first of a table is the reference.
type contender struct {
	name string
	// run does the task. Nil compares the runs of the contender before it with another one.
	run func() tally
	// must and moonshot are the targets for the ratio to the contender named by of (empty: the reference); 0 means none.
	must, moonshot float64
	of             string
	// target names the benchmark in the design, such as B3.
	target string
	// once says that it is so slow that it runs in the first round only.
	once bool

	cpu, wall []float64 // ns for a record, by round
}

// compare runs the contenders in turn and prints the table.
func compare(b *testing.B, title string, records int, cs []*contender) {
	b.Helper()
	compareAll(b, title, records, cs)
}

// compareAll is compare for several tasks over the same records: the contenders of each give the same, and all run in turn.
func compareAll(b *testing.B, title string, records int, tasks ...[]*contender) {
	b.Helper()
	want := make([]tally, len(tasks))
	for round := range rounds {
		for task, cs := range tasks {
			for i, c := range cs {
				if c.run == nil || c.once && round > 0 {
					continue
				}
				runtime.GC()
				cpu, wall := cpuTime(b), clock.System{}.Now()
				got := c.run()
				c.wall = append(c.wall, float64(clock.System{}.Now().Sub(wall))/float64(records))
				c.cpu = append(c.cpu, float64(cpuTime(b)-cpu)/float64(records))
				if round == 0 && i == 0 {
					want[task] = got
				}
				if got != want[task] {
					b.Fatalf("%s: %q gave %+v, the reference %+v", title, c.name, got, want[task])
				}
			}
		}
	}
	for _, cs := range tasks {
		report(b, title, records, cs)
	}
}

func report(b *testing.B, title string, records int, cs []*contender) {
	b.Helper()
	spread := slices.Max(cs[0].cpu) / slices.Min(cs[0].cpu)
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s: %d records, medians of %d interleaved rounds, ns for a record\n", title, records, rounds)
	fmt.Fprintf(&out, "%-4s %-36s %8s %8s %7s  %-24s %6s %6s  %s\n", "", "", "CPU", "wall", "ratio", "to", "must", "moon", "verdict")
	for i, c := range cs {
		if c.run == nil {
			c.cpu, c.wall = cs[i-1].cpu, cs[i-1].wall
		}
		of := cs[0]
		for _, o := range cs {
			if o.name == c.of {
				of = o
			}
		}
		ratio := median(c.cpu) / median(of.cpu)
		fmt.Fprintf(&out, "%-4s %-36s %8.1f %8.1f %7.2f  %-24s %6s %6s  %s\n", c.target, c.name, median(c.cpu), median(c.wall), ratio,
			of.name, limit(c.must), limit(c.moonshot), verdict(ratio, spread, c))
		if c.target != "" {
			b.ReportMetric(ratio, c.target+"-ratio")
		}
	}
	fmt.Fprintf(&out, "CPU time of the reference varied by %.0f %% (void above %.0f %%)\n", (spread-1)*100, (maxSpread-1)*100)
	say(out.String())
}

// say prints a result. The log of a benchmark is cut after a few lines.
func say(text string) { fmt.Fprintln(os.Stdout, text) }

func limit(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

func verdict(ratio, spread float64, c *contender) string {
	switch {
	case c.must == 0:
		return ""
	case spread > maxSpread:
		return "void"
	case c.moonshot > 0 && ratio <= c.moonshot:
		return "moonshot"
	case ratio <= c.must:
		return "ok"
	}
	return "MISSED"
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
