package model_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"

	"pgregory.net/rapid"
)

// class says what can be compared.
type class int

const (
	// exact: one split and one subtask. The output is the model's, in its order.
	exact class = iota
	// bag: one split, any number of subtasks. The output is the model's, in any order; what is late is late.
	bag
	// timely: several splits and nothing late. The output is the model's, in any order.
	timely
)

func (c class) String() string { return [...]string{"exact", "bag", "timely"}[c] }

// trial is a job and its input.
type trial struct {
	Class  class
	Bound  int64
	Splits [][]rec
	// Union joins the source with a second one and with a filtered copy of itself. Classes exact and bag have none: there
	// is no order between the inputs of a union.
	Union  bool
	Other  [][]rec
	Stages []stage
}

func (c trial) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "class %v bound %d union %v\n", c.Class, c.Bound, c.Union)
	for i, s := range c.Stages {
		fmt.Fprintf(&b, "  stage %d: %+v\n", i, s)
	}
	write := func(name string, splits [][]rec) {
		for i, sp := range splits {
			fmt.Fprintf(&b, "  %s %d, %d records:", name, i, len(sp))
			for _, r := range sp[:min(len(sp), 60)] {
				fmt.Fprintf(&b, " {At: %d, V: %d, K: %d},", r.At, r.V, r.K)
			}
			b.WriteString("\n")
		}
	}
	write("split", c.Splits)
	write("other split", c.Other)
	return b.String()
}

// job makes the job of a trial over sources.
func (c trial) job(source func(splits [][]rec) connect.Source[rec], out sinks) *millrace.Job {
	j := millrace.NewJob("trial")
	from := func(id string, splits [][]rec) millrace.Stream[rec] {
		return j.From(id, source(splits), millrace.EventTime(moment).OutOfOrderness(duration(c.Bound)))
	}
	s := from("source", c.Splits)
	if c.Union {
		s = s.Union(from("other", c.Other), s.Filter(keep).Map(twice))
	}
	for i, st := range c.Stages {
		s = st.build(s, fmt.Sprint(i), out)
	}
	out.take(s, "main")
	return j
}

// wanted asks the model.
func (c trial) wanted() wanted {
	out := wanted{sinks: map[string][]string{}}
	read := func(splits [][]rec) []model.Item[rec] {
		var all [][]model.Item[rec]
		for _, sp := range splits {
			all = append(all, model.Source(sp, at, c.Bound))
		}
		if c.Class != timely {
			return all[0]
		}
		return model.Union(all...)
	}
	s := read(c.Splits)
	if c.Union {
		some := model.FlatMap(s, func(r rec) []rec {
			if keep(r) {
				return []rec{twice(r)}
			}
			return nil
		})
		s = model.Union(s, read(c.Other), some)
	}
	for i, st := range c.Stages {
		s = st.model(s, fmt.Sprint(i), &out)
	}
	out.take(s, "main")
	return out
}

// ticks are the units of time of trials: small ones, one that leaves room for times just before and after a bound, and one for calendars.
var ticks = []int64{1, 2, 1000, dateTick}

// drawBase draws the time at which a trial begins.
func drawBase(t *rapid.T, tick int64) int64 {
	if tick == dateTick {
		return drawDate(t)
	}
	return rapid.SampledFrom([]int64{0, -30, 1_700_000_000_000_000}).Draw(t, "base") * tick
}

// drawTrial makes a random trial of a class.
func drawTrial(t *rapid.T, c class) trial {
	from := ticks
	if c != exact {
		from = ticks[1:] // see drawWindows
	}
	tick := rapid.SampledFrom(from).Draw(t, "tick")
	base := drawBase(t, tick)
	tr := trial{Class: c, Bound: int64(rapid.IntRange(0, 6).Draw(t, "bound")) * tick}
	splits := 1
	if c == timely {
		splits = rapid.IntRange(1, 3).Draw(t, "splits")
		tr.Union = rapid.IntRange(0, 3).Draw(t, "union") == 3
	}
	for range splits {
		tr.Splits = append(tr.Splits, drawRecords(t, base, tick))
	}
	if tr.Union {
		tr.Other = [][]rec{drawRecords(t, base, tick)}
	}
	if c == timely {
		tr.Bound = int64(rapid.IntRange(0, 2).Draw(t, "more than the disorder")) * tick
		for _, sp := range slices.Concat(tr.Splits, tr.Other) {
			tr.Bound = max(tr.Bound, disorder(sp))
		}
	}
	tr.Stages = drawStages(t, c, tick)
	return tr
}

// disorder is how far records come behind the newest before them.
func disorder(rs []rec) int64 {
	most := int64(0)
	for i, r := range rs {
		newest := slices.MaxFunc(rs[:i+1], func(a, b rec) int { return int(max(-1, min(1, a.At-b.At))) }).At
		most = max(most, newest-r.At)
	}
	return most
}

// drawRecords makes a split: often short, and now and then longer than the batches of the engine.
func drawRecords(t *rapid.T, base, tick int64) []rec {
	long := rapid.IntRange(0, 60).Draw(t, "long") == 60
	if long {
		return longRecords(base, tick, rapid.IntRange(200, 1300).Draw(t, "records"), rapid.Uint64().Draw(t, "seed"))
	}
	spread := int64(rapid.IntRange(0, 12).Draw(t, "spread"))
	now := int64(0)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rec {
		now += rapid.SampledFrom([]int64{0, 1, 1, 2, 3, 9}).Draw(t, "step")
		r := rec{At: base + (now-rapid.Int64Range(0, spread).Draw(t, "behind"))*tick}
		if tick > 2 {
			r.At += rapid.SampledFrom([]int64{0, 0, -1, 1}).Draw(t, "edge")
		}
		r.V = rapid.Int32Range(-9, 9).Draw(t, "v")
		r.K = uint8(rapid.IntRange(0, 7).Draw(t, "k"))
		return r
	}), 0, 40).Draw(t, "records")
}

// longRecords makes many records of a seed; drawing each would take the time of many short trials.
func longRecords(base, tick int64, n int, seed uint64) []rec {
	next := func(n uint64) int64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int64((seed >> 33) % n)
	}
	var out []rec
	now := int64(0)
	for range n {
		now += next(3)
		out = append(out, rec{At: base + (now-next(9))*tick, V: int32(next(19)) - 9, K: uint8(next(8))})
	}
	return out
}

func drawStages(t *rapid.T, c class, tick int64) []stage {
	var out []stage
	stateless := func() {
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "stateless") {
			out = append(out, stage{
				Op:  rapid.SampledFrom([]string{opMap, opFilter, opFlatMap}).Draw(t, "op"),
				Tap: rapid.IntRange(0, 3).Draw(t, "tap") == 3,
			})
		}
	}
	stateless()
	keyed := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2, 2}).Draw(t, "keyed")
	for i := range keyed {
		s := stage{
			Op: opWindow, Keys: rapid.IntRange(0, 3).Draw(t, "keys"), Agg: rapid.IntRange(0, aggs-1).Draw(t, "agg"), Tick: tick,
			Steady: c != timely,
			Tap:    rapid.IntRange(0, 3).Draw(t, "tap") == 3,
		}
		// In class bag the records behind a process, and panes emitted again, come late by chance.
		last := i == keyed-1
		inOrder := last && i == 0 || c == exact
		switch verb := rapid.SampledFrom([]string{opWindow, opWindow, opProcess, opDedup, opSort}).Draw(t, "verb"); {
		case verb == opProcess && inOrder:
			s.Op, s.Deep = opProcess, rapid.Bool().Draw(t, "deep")
			s.Program = drawProgram(t, c)
		case c == timely && last && rapid.IntRange(0, 1).Draw(t, "join") == 1:
			s.Op, s.Join = opJoin, drawJoin(t, tick)
			if rapid.Bool().Draw(t, "in windows") {
				s.Op, s.Win = opGroup, drawWindows(t, tick)
				s.Win.Lateness, s.Win.Each = 0, false
			}
		case verb == opDedup && inOrder && c != timely:
			s.Op = opDedup
			s.Horizon = rapid.Int64Range(1, 20).Draw(t, "horizon") * tick
			if rapid.Bool().Draw(t, "horizon less 1") {
				s.Horizon = max(1, s.Horizon-1)
			}
			s.Win.Lateness = drawLateness(t, tick)
		case verb == opSort:
			s.Op = opSort
		default:
			s.Win = drawWindows(t, tick)
			switch rapid.IntRange(0, 5).Draw(t, "form") {
			case 1:
				s.Apply, s.Ordered = true, inOrder && c != timely
			case 2:
				s.Keys = wholeStream
			case 3:
				s.Apply, s.Ordered, s.Keys = true, inOrder && c != timely, wholeStream
			case 4:
				s.PreAggregate = 1
			}
			s.Missed = rapid.IntRange(0, 2).Draw(t, "missed") == 2
			if c == bag && !last {
				s.Win.Lateness = 0
			}
		}
		out = append(out, s)
		stateless()
	}
	return out
}

// drawProgram draws what a process does.
func drawProgram(t *rapid.T, c class) int {
	if c == timely {
		return final
	}
	return rapid.SampledFrom([]int{running, timers, final, chains, chains}).Draw(t, "program")
}

// drawWindows draws windows.
func drawWindows(t *rapid.T, tick int64) windows {
	var w windows
	size := rapid.Int64Range(1, 12).Draw(t, "size")
	slide, unit := size, tick
	kinds := 3
	if tick == dateTick {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		w.Gap = size * tick
		w.Each = rapid.IntRange(0, 2).Draw(t, "gap of each") == 2
		w.Lateness = drawLateness(t, tick)
		return w
	case 1:
		slide = rapid.Int64Range(1, size).Draw(t, "slide")
	case 3:
		w.Step = rapid.Int64Range(1, 4).Draw(t, "step") * unit
		size = w.Step / unit * rapid.Int64Range(1, 5).Draw(t, "steps")
		slide = size
	case 4, 5:
		w.Unit = rapid.SampledFrom([]window.Unit{window.Day, window.Day, window.Week, window.Month, window.Quarter}).Draw(t, "unit")
		w.Zone = rapid.SampledFrom(dateZones).Draw(t, "zone")
		w.Lateness = drawLateness(t, tick)
		return w
	}
	w.Size, w.Slide = size*unit, slide*unit
	w.Offset = rapid.Int64Range(-slide+1, slide-1).Draw(t, "offset") * unit
	w.Lateness = drawLateness(t, tick)
	return w
}

func drawLateness(t *rapid.T, tick int64) int64 {
	n := rapid.SampledFrom([]int64{0, 0, 1, 2, 5, 20}).Draw(t, "lateness") * tick
	if n > 0 && tick > 2 {
		n += rapid.SampledFrom([]int64{0, 0, -1, 1}).Draw(t, "lateness edge")
	}
	return n
}
