package millrace_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// The warmest reading of each minute, at the second reading already, and at the end of the minute, when it is certain.
func ExampleWindowed_Trigger() {
	job := millrace.NewJob("warmest")
	out := memory.NewSink[millrace.Pane[string, float64]]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Minute)).Trigger(window.AtEnd().Early(window.EveryCount(2))).
		Aggregate("max", agg.Max(Reading.celsius)).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), p.Key, p.Value, p.Kind, p.Revision)
	}
	// Output:
	// <nil>
	// 12:00 roof 21.5 early 0
	// 12:01 roof 999 early 0
	// 12:00 cellar 12 on-time 0
	// 12:00 roof 21.5 on-time 1
	// 12:01 roof 999 on-time 1
	// 12:02 cellar 11 on-time 0
}

// How many readings there were since the last result: the results of a window add up.
func ExampleWindowed_Discarding() {
	job := millrace.NewJob("news")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(time.Minute)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Hour)).Trigger(window.EveryCount(3)).Discarding().
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), p.Key, p.Value, p.Kind, p.Revision)
	}
	// Output:
	// <nil>
	// 12:00 roof 3 early 0
	// 12:00 cellar 2 on-time 0
	// 12:00 roof 1 on-time 1
}
