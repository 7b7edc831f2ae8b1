package millrace_test

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// The time of a record may be a number in a large struct that is not copied for it.
func ExampleEventNanosRef() {
	type frame struct {
		Nanos  int64
		Pixels [64]byte
	}
	job := millrace.NewJob("frames")
	out := memory.NewSink[string]()
	job.From("frames", memory.Of(frame{Nanos: 1e9}, frame{Nanos: 2e9}), millrace.EventNanosRef(func(f *frame) int64 { return f.Nanos })).
		KeyByRef(func(f *frame) byte { return f.Pixels[0] }).
		Window(window.Tumbling(time.Minute)).
		Aggregate("count", agg.Count[frame]()).
		Map(func(p millrace.Pane[byte, int64]) string {
			return fmt.Sprintf("%d from %s on", p.Value, p.Start.Format("15:04"))
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 2 from 00:00 on
}

// A source that has said nothing for a while holds back nothing.
func ExampleTiming_IdleAfter() {
	job := millrace.NewJob("houses")
	out := memory.NewSink[Reading]()
	timing := millrace.EventTime(Reading.taken)
	quiet := millracetest.Script[Reading]().Records(Reading{"old house", at("12:00:00"), 20}).Wait(400 * time.Millisecond)
	busy := millracetest.Script[Reading]().
		Records(Reading{"new house", at("12:05:00"), 20}).
		Wait(200 * time.Millisecond).
		Records(Reading{"new house", at("12:00:30"), 20})
	w := job.From("quiet", quiet, timing.IdleAfter(20*time.Millisecond)).
		Union(job.From("busy", busy, timing)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Minute))
	w.Aggregate("count", agg.Count[Reading]()).To("counts", memory.NewSink[millrace.Pane[string, int64]]())
	w.Late().To("late", out)
	fmt.Println(run(job))
	for _, r := range out.Records() {
		fmt.Println(clock(r.Taken), "is late")
	}
	// Output:
	// <nil>
	// 12:00 is late
}

// Duplicates whose content is another are counted, and a sign that something is wrong with the ids.
func ExampleDeduped_Content() {
	job := millrace.NewJob("once")
	twice := []Reading{{"roof", at("12:00:10"), 21.5}, {"roof", at("12:00:10"), 21.5}, {"roof", at("12:00:10"), 99}}
	out := memory.NewSink[Reading]()
	job.From("readings", memory.Of(twice...), millrace.EventTime(Reading.taken)).
		Dedup("once", func(r Reading) string { return r.Sensor + r.Taken.String() }, time.Hour).
		Content(func(r Reading) int64 { return int64(r.Celsius * 1000) }).
		To("out", out)
	cfg := quietly
	cfg.Observe = func(s millrace.Status) {
		if s.Ended {
			fmt.Println(len(out.Records()), "reading,", s.Duplicates, "duplicates,", s.Conflicts, "with another content")
		}
	}
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		fmt.Println(err)
	}
	// Output: 1 reading, 2 duplicates, 1 with another content
}

// A timer is taken back when what it waits for has come.
func ExampleCall_DeleteTimer() {
	job := millrace.NewJob("silence")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second)).
		KeyBy(Reading.sensor).
		Process("silence", func(p *millrace.Proc[string, int, string], r Reading) error {
			if !r.plausible() { // broken: nothing is expected of it any more
				p.DeleteTimer("silent")
				p.Clear()
				return nil
			}
			*p.State()++
			p.SetTimer("silent", r.Taken.Add(time.Minute))
			return nil
		}, func(p *millrace.Proc[string, int, string], t millrace.Timer) error {
			p.Emit(fmt.Sprintf("%s: silent at %s, after %d readings", p.Key(), clock(t.At), *p.State()))
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// cellar: silent at 12:03, after 2 readings
}
