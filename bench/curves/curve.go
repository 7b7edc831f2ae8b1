//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// curve is a number of points that differ in one thing.
type curve struct {
	name, title, axis string
	// plot says that there is a picture of it, wall that it shows wall time too; logarithmic that its x axis is one.
	plot, wall, logarithmic bool
	points                  []*point
}

// point is a work, and what it took.
type point struct {
	series string
	x      string // as it is shown; a number unless the curve has no scale
	work   work
	cpu    []time.Duration
	wall   []time.Duration
	last   measured
}

// perRecord returns ns for a record.
func (p *point) perRecord(all []time.Duration) float64 {
	return float64(median(all)) / float64(p.work.Input.Records)
}

// checkpoints is how many there are in a run.
const checkpoints = 10

// tumbling is the size of windows unless a curve is about them.
const tumbling = 10 * time.Second

// allCurves returns the curves. What is not said is as in the benchmarks of tumbling windows: events 10 us apart, 10,000 keys alike.
func allCurves(o options) []*curve {
	return []*curve{parallelismCurve(o), skewCurve(o), keysCurve(o), panesCurve(o), memoryCurve(o)}
}

func parallelismCurve(o options) *curve {
	c := &curve{name: "parallelism", title: "Subtasks of source and window, 10,000 keys", axis: "parallelism", plot: true, wall: true, logarithmic: true}
	for _, n := range []int{1, 2, 4, 8} {
		for _, plain := range []bool{false, true} {
			p := &point{series: "as it is", x: strconv.Itoa(n), work: work{Input: input{Records: o.records, Keys: 10_000, Spacing: 10 * time.Microsecond}, Parallelism: n, Size: tumbling, Checkpoints: checkpoints, Plain: plain}}
			if plain {
				p.series = "each record exchanged"
			}
			c.points = append(c.points, p)
		}
	}
	return c
}

func skewCurve(o options) *curve {
	c := &curve{name: "skew", title: "Skew of keys, 2 subtasks", axis: "keys", plot: true}
	for _, k := range []struct {
		name string
		keys uint64
		skew string
	}{
		{"10k alike", 10_000, ""},
		{"10k, one has half", 10_000, "hot"},
		{"10k, Zipf 1.1", 10_000, "zipf"},
		{"1M alike", 1_000_000, ""},
		{"1M, one has half", 1_000_000, "hot"},
		{"1M, Zipf 1.1", 1_000_000, "zipf"},
	} {
		for _, plain := range []bool{false, true} {
			p := &point{series: "as it is", x: k.name, work: work{Input: input{Records: o.records, Keys: k.keys, Skew: k.skew, Spacing: 10 * time.Microsecond}, Parallelism: 2, Size: tumbling, Checkpoints: checkpoints, Plain: plain}}
			if plain {
				p.series = "each record exchanged"
			}
			c.points = append(c.points, p)
		}
	}
	return c
}

// forever is a window that nothing leaves before the end of the input.
const forever = 100_000 * time.Hour

func keysCurve(o options) *curve {
	c := &curve{name: "keys", title: "Keys held, 1 subtask", axis: "keys", plot: true, logarithmic: true}
	for keys := 1e4; keys <= o.maxKeys; keys *= 10 {
		in := input{Records: max(o.records, 4*int64(keys)), Keys: uint64(keys), Spacing: 10 * time.Microsecond}
		c.points = append(c.points,
			&point{series: "no checkpoints", x: strconv.FormatFloat(keys, 'f', 0, 64), work: work{Input: in, Parallelism: 1, Size: forever}},
			&point{series: "ten checkpoints", x: strconv.FormatFloat(keys, 'f', 0, 64), work: work{Input: in, Parallelism: 1, Size: forever, Checkpoints: checkpoints}})
	}
	return c
}

func panesCurve(o options) *curve {
	c := &curve{name: "panes", title: "Panes of a sliding window, each a second, 1,000 keys, 1 subtask", axis: "panes", plot: true, logarithmic: true}
	const perSecond = 2000 // records in a second of event time, so about one result for two records
	for _, panes := range []int64{1, 2, 6, 20, 60, 200, 600, 1800, 3600} {
		seconds := max(2*panes, o.records/perSecond) // at least half of the run has windows that are full
		c.points = append(c.points, &point{series: "sliding windows", x: strconv.FormatInt(panes, 10), work: work{
			Input: input{Records: seconds * perSecond, Keys: 1000, Spacing: time.Second / perSecond}, Parallelism: 1,
			Size: time.Duration(panes) * time.Second, Slide: time.Second, Checkpoints: checkpoints,
		}})
	}
	return c
}

// memoryCurve is B20: the memory of a process with ten million keys and values of 32 bytes.
func memoryCurve(o options) *curve {
	c := &curve{name: "memory", title: "B20: memory with values of 32 bytes, four records for a key", axis: "keys"}
	keys := min(o.maxKeys, 1e7)
	x := strconv.FormatFloat(keys, 'f', 0, 64)
	in := input{Records: 4 * int64(keys), Keys: uint64(keys), Spacing: 10 * time.Microsecond}
	c.points = []*point{
		{series: "flat table", x: x, work: work{Input: in, Flat: true, Size: forever}},
		{series: "job", x: x, work: work{Input: in, Parallelism: 1, Size: forever, Wide: true}},
		{series: "job, ten checkpoints", x: x, work: work{Input: in, Parallelism: 1, Size: forever, Wide: true, Checkpoints: checkpoints}},
	}
	return c
}

// measure does the work of all points in turn, so that what else the machine does hits all alike.
func (c *curve) measure(ctx context.Context, rounds int, do func(context.Context, work) (measured, error)) error {
	want := map[string]tally{}
	for range rounds {
		for _, p := range c.points {
			m, err := do(ctx, p.work)
			if err != nil {
				return err
			}
			same := fmt.Sprint(p.work.Input, p.work.Size, p.work.Slide)
			if first, ok := want[same]; !ok {
				want[same] = m.Tally
			} else if first != m.Tally {
				return fmt.Errorf("%s at %s %s gave %+v, the first run over the same records %+v", p.series, c.axis, p.x, m.Tally, first)
			}
			p.cpu, p.wall = append(p.cpu, m.CPU), append(p.wall, m.Wall)
			m.PeakBytes = max(m.PeakBytes, p.last.PeakBytes)
			p.last = m
		}
	}
	return nil
}

// print writes the table of a curve.
func (c *curve) print(out io.Writer) {
	fmt.Fprintf(out, "%s\n%-30s %20s %12s %12s %9s %9s %11s %7s\n", c.title, "", c.axis, "records", "results", "CPU ns", "wall ns", "peak", "epochs")
	for _, p := range c.points {
		fmt.Fprintf(out, "%-30s %20s %12d %12d %9.1f %9.1f %8.1f MB %7d\n", p.series, p.x, p.work.Input.Records, p.last.Tally.Results,
			p.perRecord(p.cpu), p.perRecord(p.wall), float64(p.last.PeakBytes)/1e6, p.last.Epochs)
	}
	if c.name == "memory" {
		c.printMemory(out)
	}
	fmt.Fprintln(out)
}

// Targets of B20, ratios of the memory of a job to that of a flat table.
const (
	b20Must     = 2.0
	b20Moonshot = 1.3
)

func (c *curve) printMemory(out io.Writer) {
	reference := float64(c.points[0].last.PeakBytes)
	for _, p := range c.points[1:] {
		ratio := float64(p.last.PeakBytes) / reference
		word := "MISSED"
		switch {
		case ratio <= b20Moonshot:
			word = "moonshot"
		case ratio <= b20Must:
			word = "ok"
		}
		fmt.Fprintf(out, "B20  %-30s %5.1f bytes for a key, flat table %.1f: ratio %.2f, must %.1f, moonshot %.1f: %s\n", p.series,
			float64(p.last.PeakBytes)/float64(p.work.Input.Keys), reference/float64(p.work.Input.Keys), ratio, b20Must, b20Moonshot, word)
	}
}

// fill takes what an earlier run has measured from the rows of its CSV file.
func (c *curve) fill(rows [][]string) error {
	for _, p := range c.points {
		i := slices.IndexFunc(rows, func(r []string) bool { return r[0] == c.name && r[1] == p.series && r[2] == p.x })
		if i < 0 {
			return fmt.Errorf("%s at %s %s is not in the CSV file: measure it first", p.series, c.axis, p.x)
		}
		var numbers [6]float64
		for k := range numbers {
			var err error
			if numbers[k], err = strconv.ParseFloat(rows[i][3+k], 64); err != nil {
				return fmt.Errorf("%s at %s %s: %w", p.series, c.axis, p.x, err)
			}
		}
		records := numbers[0]
		p.work.Input.Records = int64(records)
		p.cpu, p.wall = []time.Duration{time.Duration(numbers[2] * records)}, []time.Duration{time.Duration(numbers[3] * records)}
		p.last = measured{Tally: tally{Results: int64(numbers[1])}, PeakBytes: int64(numbers[4]), Epochs: int64(numbers[5])}
	}
	return nil
}

// rows are those of the CSV file.
func (c *curve) rows() (rows [][]string) {
	for _, p := range c.points {
		rows = append(rows, []string{
			c.name, p.series, p.x, strconv.FormatInt(p.work.Input.Records, 10), strconv.FormatInt(p.last.Tally.Results, 10),
			strconv.FormatFloat(p.perRecord(p.cpu), 'f', 1, 64), strconv.FormatFloat(p.perRecord(p.wall), 'f', 1, 64),
			strconv.FormatInt(p.last.PeakBytes, 10), strconv.FormatInt(p.last.Epochs, 10),
		})
	}
	return rows
}
