package stdin_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/connect/stdin"
)

// Lines of a pipe, as in "journalctl -f | alerts". Here the pipe is a string.
func ExampleLines() {
	pipe := strings.NewReader("info: started\nerror: disk full\nerror: disk full\n")
	out := memory.NewSink[string]()
	job := millrace.NewJob("alerts")
	job.From("log", stdin.Lines().From(pipe)).
		Filter(func(line string) bool { return strings.HasPrefix(line, "error: ") }).
		To("alerts", out)
	var status millrace.Status
	err := millrace.Run(context.Background(), job, millrace.Config{
		Log: slog.New(slog.DiscardHandler), Observe: func(s millrace.Status) { status = s },
	})
	fmt.Println(strings.Join(out.Records(), ", "), err)
	fmt.Println(status.Warnings)
	// Output:
	// error: disk full, error: disk full <nil>
	// [source "log" cannot seek (stdin): in a crash the records since the last checkpoint are lost, so they have their effect at most once]
}

// One JSON value per line.
func ExampleJSON() {
	type order struct {
		ID    int
		Cents int64
	}
	pipe := strings.NewReader(`{"ID": 1, "Cents": 250}` + "\n" + `{"ID": 2, "Cents": 990}` + "\n")
	out := memory.NewSink[string]()
	job := millrace.NewJob("orders")
	job.From("orders", stdin.JSON[order]().From(pipe)).
		Map(func(o order) string { return fmt.Sprintf("order %d: %.2f", o.ID, float64(o.Cents)/100) }).
		To("out", out)
	if err := millrace.Run(context.Background(), job, millrace.Config{Log: slog.New(slog.DiscardHandler)}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Join(out.Records(), "\n"))
	// Output:
	// order 1: 2.50
	// order 2: 9.90
}
