package window_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// sale is a sale of a shop at a second past noon.
type sale struct {
	Shop   string
	Second int
	Cents  int64
}

func (s sale) shop() string  { return s.Shop }
func (s sale) cents() int64  { return s.Cents }
func (s sale) at() time.Time { return noon(s.Second) }

func noon(second int) time.Time {
	return time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC)
}

// sales begins a script.
func sales() millracetest.Scripted[sale] { return millracetest.Script[sale]() }

// sums runs a job that sums the sales of each shop in windows, and prints what it gives.
func sums(script millracetest.Scripted[sale], cut func(millrace.Keyed[string, sale]) millrace.Windowed[string, sale]) {
	job := millrace.NewJob("sums")
	out := memory.NewSink[window.Pane[string, int64]]()
	cut(job.From("sales", script, millrace.EventTime(sale.at).OutOfOrderness(time.Minute)).KeyBy(sale.shop)).
		Aggregate("sum", agg.Sum(sale.cents)).To("out", out)
	if err := millrace.Run(context.Background(), job, millrace.Config{Log: slog.New(slog.DiscardHandler)}); err != nil {
		fmt.Println(err)
	}
	for _, p := range out.Records() {
		fmt.Printf("%s %s-%s %d #%d %v\n", p.Key, p.Start.Format("15:04:05"), p.End.Format("15:04:05"), p.Value, p.Revision, p.Kind)
	}
}

// minutes cuts sales into windows of a minute with a trigger.
func minutes(t window.Trigger) func(millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
	return func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
		return k.Window(window.Tumbling(time.Minute)).AllowedLateness(time.Hour).Trigger(t)
	}
}

// Early figures every ten seconds of processing time, the final one at the end of the window, and another for each late sale.
func ExampleAtEnd() {
	t := window.AtEnd().Early(window.Every(10 * time.Second)).Late(window.PerRecord())
	fmt.Println(t, t.Check())
	// The input of this example is over in no time, so nothing is early.
	sums(sales().
		Records(sale{"Berlin", 1, 100}).
		Watermark(noon(60)).
		Records(sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}),
		minutes(t))
	// Output:
	// AtEnd().Early(Every(10s)).Late(PerRecord()) <nil>
	// Berlin 12:00:00-12:01:00 100 #0 on-time
	// Berlin 12:00:00-12:01:00 120 #1 late
	// Berlin 12:00:00-12:01:00 123 #2 late
}

// A result at the second sale, and the final one.
func ExampleAtEndTrigger_Early() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}),
		minutes(window.AtEnd().Early(window.EveryCount(2))))
	// Output:
	// Berlin 12:00:00-12:01:00 120 #0 early
	// Berlin 12:00:00-12:01:00 123 #1 on-time
}

// One result for two late sales that come together.
func ExampleAtEndTrigger_Late() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}).
		Watermark(noon(60)).
		Records(sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}).
		Watermark(noon(61)),
		minutes(window.AtEnd().Late(window.PerWatermark())))
	// Output:
	// Berlin 12:00:00-12:01:00 100 #0 on-time
	// Berlin 12:00:00-12:01:00 123 #1 late
}

// What comes within a second of processing time comes out as one result, at the latest when the input ends.
func ExampleEvery() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
			return k.Window(window.Tumbling(time.Minute)).Trigger(window.Every(time.Second))
		})
	// Output: Berlin 12:00:00-12:01:00 120 #0 on-time
}

// A result for each two sales, and at the end of the window one for what is left.
func ExampleEveryCount() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
			return k.Window(window.Tumbling(time.Minute)).Trigger(window.EveryCount(2)).Discarding()
		})
	// Output:
	// Berlin 12:00:00-12:01:00 120 #0 early
	// Berlin 12:00:00-12:01:00 3 #1 on-time
}

// A running total.
func ExamplePerRecord() {
	sums(sales().Records(sale{"Berlin", 1, 100}, sale{"Oslo", 2, 7}, sale{"Berlin", 3, 20}), minutes(window.PerRecord()))
	// Output:
	// Berlin 12:00:00-12:01:00 100 #0 early
	// Oslo 12:00:00-12:01:00 7 #0 early
	// Berlin 12:00:00-12:01:00 120 #1 early
}

// The total of the minute so far, every twenty seconds of event time in which something was sold.
func ExampleEveryEventTime() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}).Watermark(noon(10)).
		Records(sale{"Berlin", 15, 20}).Watermark(noon(30)).
		Records(sale{"Berlin", 41, 3}).Watermark(noon(50)),
		minutes(window.AtEnd().Early(window.EveryEventTime(20*time.Second))))
	// Output:
	// Berlin 12:00:00-12:01:00 120 #0 early
	// Berlin 12:00:00-12:01:00 123 #1 on-time
}

// A result each time the watermark moves and something is new.
func ExamplePerWatermark() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}).Watermark(noon(10)).Watermark(noon(20)).
		Records(sale{"Berlin", 30, 3}).Watermark(noon(90)),
		minutes(window.PerWatermark()))
	// Output:
	// Berlin 12:00:00-12:01:00 120 #0 early
	// Berlin 12:00:00-12:01:00 123 #1 early
}

// Batches of up to three sales, of which none waits longer than a minute.
func ExampleAnyOf() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}, sale{"Berlin", 4, 7}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
			return k.Window(window.Global()).Discarding().Trigger(window.AnyOf(window.EveryCount(3), window.Every(time.Minute)))
		})
	// Output:
	// Berlin 12:00:01-12:00:03 123 #0 early
	// Berlin 12:00:04-12:00:04 7 #1 on-time
}

// A result when two sales are new and the watermark has moved.
func ExampleAllOf() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}).Watermark(noon(5)).
		Records(sale{"Berlin", 10, 20}).Watermark(noon(15)).
		Records(sale{"Berlin", 20, 3}, sale{"Berlin", 21, 7}).Watermark(noon(25)),
		minutes(window.AllOf(window.EveryCount(2), window.PerWatermark())))
	// Output:
	// Berlin 12:00:00-12:01:00 120 #0 early
	// Berlin 12:00:00-12:01:00 130 #1 early
}

// A first result at once, and then one for every two sales.
func ExampleSequence() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}, sale{"Berlin", 4, 7}, sale{"Berlin", 5, 1}),
		minutes(window.Sequence(window.PerRecord(), window.EveryCount(2))))
	// Output:
	// Berlin 12:00:00-12:01:00 100 #0 early
	// Berlin 12:00:00-12:01:00 123 #1 early
	// Berlin 12:00:00-12:01:00 131 #2 early
}

// A trigger of one's own: a result when the sales since the last one come to a euro. It works for sessions too, since it says what
// becomes of its state when two of them merge.
func ExampleCustom() {
	type since struct{ Cents int64 }
	euro := window.Custom[sale, since]{
		Name: "euro",
		OnRecord: func(_ window.TriggerContext, s *since, r *sale) window.Decision {
			if s.Cents += r.Cents; s.Cents < 100 {
				return window.Continue
			}
			s.Cents = 0
			return window.Fire
		},
		OnEventTime: func(c window.TriggerContext, s *since) window.Decision {
			if c.Ended() && c.NewRecords() > 0 {
				return window.Fire
			}
			return window.Continue
		},
		OnMerge: func(dst, src *since) { dst.Cents += src.Cents },
	}
	sums(sales().Records(
		sale{"Berlin", 1, 60}, sale{"Berlin", 20, 30}, sale{"Berlin", 10, 50}, sale{"Berlin", 30, 5},
	), func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
		return k.Window(window.Session(10 * time.Second)).Trigger(euro)
	})
	// Output:
	// Berlin 12:00:01-12:00:30 140 #0 early
	// Berlin 12:00:01-12:00:40 145 #1 on-time
}

// Two sales at a time, whenever they were. One is left over.
func ExampleCount() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 30, 20}, sale{"Berlin", 3, 3}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] { return k.Window(window.Count(2)) })
	// Output: Berlin 12:00:01-12:00:30 120 #0 on-time
}

// The last three sales, at every second one.
func ExampleCountSliding() {
	sums(sales().Records(
		sale{"Berlin", 1, 1}, sale{"Berlin", 2, 2}, sale{"Berlin", 3, 4}, sale{"Berlin", 4, 8}, sale{"Berlin", 5, 16}, sale{"Berlin", 6, 32},
	), func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
		return k.Window(window.CountSliding(3, 2))
	})
	// Output:
	// Berlin 12:00:01-12:00:03 7 #0 on-time
	// Berlin 12:00:03-12:00:05 28 #0 on-time
}

// The sale that is left over is in a result when the input ends.
func ExampleCountWindows_Partial() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
			return k.Window(window.Count(2).Partial())
		})
	// Output:
	// Berlin 12:00:01-12:00:02 120 #0 on-time
	// Berlin 12:00:03-12:00:03 3 #0 on-time
}

// The total of all time, at every second sale and when the input ends.
func ExampleGlobal() {
	sums(sales().
		Records(sale{"Berlin", 1, 100}, sale{"Berlin", 2, 20}, sale{"Berlin", 3, 3}),
		func(k millrace.Keyed[string, sale]) millrace.Windowed[string, sale] {
			return k.Window(window.Global()).Trigger(window.EveryCount(2))
		})
	// Output:
	// Berlin 12:00:01-12:00:02 120 #0 early
	// Berlin 12:00:01-12:00:03 123 #1 on-time
}
