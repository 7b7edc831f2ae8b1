package millrace_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// A function of all records of a window: how long the longest pause between two of them was.
func ExampleWindowed_Apply() {
	type pause struct {
		Sensor  string
		Longest time.Duration
	}
	job := millrace.NewJob("pauses")
	out := memory.NewSink[pause]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Hour)).
		Apply("pauses", func(p millrace.Pane[string, []Reading], emit func(pause)) error {
			longest, last := time.Duration(0), p.Start
			for _, r := range p.Value { // in the order in which they came
				longest, last = max(longest, r.Taken.Sub(last)), r.Taken
			}
			emit(pause{p.Key, longest})
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// {cellar 1m50s}
	// {roof 55s}
}

// A function of the window and its aggregate: the window is in the pane.
func ExampleWindowed_Aggregate_andThen() {
	job := millrace.NewJob("rates")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(2*time.Minute)).
		Aggregate("count", agg.Count[Reading]()).
		FlatMap(func(_ *millrace.Context, p millrace.Pane[string, int64], emit func(string)) error {
			if p.Value > 1 {
				emit(fmt.Sprintf("%s %s: %.1f a minute", clock(p.Start), p.Key, float64(p.Value)/p.End.Sub(p.Start).Minutes()))
			}
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12:00 roof: 2.0 a minute
}

// All sensors together.
func ExampleStream_WindowAll() {
	job := millrace.NewJob("all")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		Filter(Reading.plausible).
		WindowAll(window.Tumbling(time.Minute)).
		Aggregate("warmest", agg.MaxBy(Reading.celsius)).
		Map(func(p millrace.Pane[window.All, Reading]) string {
			return fmt.Sprint(p.Key, " ", clock(p.Start), " ", p.Value.Sensor, " ", p.Value.Celsius)
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// all 12:00 roof 21.5
	// all 12:01 roof 22.5
	// all 12:02 cellar 11
}

// The reading of 12:00:50 comes when the windows that end at 12:01 have fired.
func ExampleMissed() {
	job := millrace.NewJob("missed")
	windows := job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(5*time.Second)).
		KeyBy(Reading.sensor).
		Window(window.Sliding(2*time.Minute, time.Minute))
	counts, out := memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[string]()
	windows.Aggregate("count", agg.Count[Reading]()).To("counts", counts)
	millrace.Missed(windows).
		Map(func(m window.Missed[string, Reading]) string {
			return fmt.Sprint(m.Key, " ", m.Record.Taken.Format(time.TimeOnly), " missed ", m.Windows)
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// roof 12:00:50 missed 2026-01-01T11:59:00Z/2026-01-01T12:01:00Z
}

// A stage that looks at each single record is slower with what cannot gain: here it is left out.
func ExampleWindowed_PreAggregate() {
	job := millrace.NewJob("plain")
	out := memory.NewSink[int64]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Hour)).
		PreAggregate(false).
		Aggregate("count", agg.Count[Reading]()).
		Map(func(p millrace.Pane[string, int64]) int64 { return p.Value }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 2
	// 4
}
