package window_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// Four rides of a morning in windows of each kind.
func Example() {
	at := func(clock string) time.Time { t, _ := time.Parse("15:04", clock); return t.AddDate(2026, 0, 0) }
	rides := []time.Time{at("08:05"), at("08:30"), at("08:55"), at("09:10")}
	count := func(a window.Assigner) string {
		job := millrace.NewJob("rides")
		out := memory.NewSink[millrace.Pane[string, int64]]()
		job.From("rides", memory.Of(rides...), millrace.EventTime(func(t time.Time) time.Time { return t })).
			KeyBy(func(time.Time) string { return "all" }).Window(a).Aggregate("count", agg.Count[time.Time]()).To("out", out)
		if err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: slog.New(slog.DiscardHandler)}); err != nil {
			return err.Error()
		}
		var all []string
		for _, p := range out.Records()[:min(4, len(out.Records()))] {
			all = append(all, fmt.Sprintf("%s-%s: %d", p.Start.Format("15:04"), p.End.Format("15:04"), p.Value))
		}
		return strings.Join(all, ", ")
	}
	fmt.Println("tumbling  ", count(window.Tumbling(time.Hour)))
	fmt.Println("sliding   ", count(window.Sliding(time.Hour, 30*time.Minute)))
	fmt.Println("cumulative", count(window.Cumulative(24*time.Hour, time.Hour)))
	fmt.Println("session   ", count(window.Session(20*time.Minute)))
	fmt.Println("calendar  ", count(window.Calendar(window.Day, time.UTC)))
	// Output:
	// tumbling   08:00-09:00: 3, 09:00-10:00: 1
	// sliding    07:30-08:30: 1, 08:00-09:00: 3, 08:30-09:30: 3, 09:00-10:00: 1
	// cumulative 00:00-09:00: 3, 00:00-10:00: 4, 00:00-11:00: 4, 00:00-12:00: 4
	// session    08:05-08:25: 1, 08:30-08:50: 1, 08:55-09:30: 2
	// calendar   00:00-00:00: 4
}
