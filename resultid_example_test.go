package millrace_test

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// A service that is told of alerts may be told again after a crash: it knows them by their names.
func ExampleResultID() {
	type fault struct {
		Machine string
		At      time.Time
	}
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	out := memory.NewSink[string]()
	id, err := millrace.ResultID[string, int64]("faults")
	if err != nil {
		fmt.Println(err)
		return
	}
	job := millrace.NewJob("faults")
	job.From("faults-in", memory.Of(fault{"press", noon}, fault{"press", noon.Add(time.Second)}), millrace.EventTime(func(f fault) time.Time { return f.At })).
		KeyBy(func(f fault) string { return f.Machine }).
		Window(window.Tumbling(time.Minute)).
		Aggregate("faults", agg.Count[fault]()).
		Map(func(p millrace.Pane[string, int64]) string { return fmt.Sprintf("%s: %d", id(p), p.Value) }).
		To("out", out)
	if err := millrace.Run(context.Background(), job, millrace.Config{Log: quiet()}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(out.Records()[0])
	// Output:
	// faults/cHJlc3MAAA/1777636800000000000/1777636860000000000/0: 2
}
