package millrace_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// Flight is the record of the example in the README.
type Flight struct {
	Origin    string    `csv:"origin"`
	Scheduled time.Time `csv:"scheduled,2006-01-02 15:04"`
	Delay     int64     `csv:"delay_min"`
}

func (f Flight) DepartsFrom() string  { return f.Origin }
func (f Flight) Departure() time.Time { return f.Scheduled }
func (f Flight) DelayMinutes() int64  { return f.Delay }

func readmeJob(ctx context.Context) error {
	// README
	job := millrace.NewJob("flights")

	flights := job.From("flights", file.CSV[Flight]("flights/*.csv"),
		millrace.EventTime(Flight.Departure).OutOfOrderness(3*time.Hour))

	perOrigin := flights.
		Filter(func(f Flight) bool { return f.Delay < 24*60 }).
		KeyBy(Flight.DepartsFrom).
		Window(window.Tumbling(time.Hour)).AllowedLateness(30 * time.Minute)

	perOrigin.Aggregate("mean-delay", agg.Mean(Flight.DelayMinutes)).
		To("delays", file.JSONL[millrace.Pane[string, float64]]("out/delays"))

	perOrigin.Late().To("late", file.CSV[Flight]("out/late"))

	return millrace.Run(ctx, job, millrace.Config{
		Checkpoint: millrace.CheckpointConfig{Dir: "checkpoints", Interval: time.Second},
	})
	// end
}

// TestTheExampleInTheReadmeIsThisOneAndRuns runs the code of the README and compares its text.
func TestTheExampleInTheReadmeIsThisOneAndRuns(t *testing.T) {
	readme := goBlock(t, "README.md")
	source := between(t, "readme_test.go", "// README", "// end")
	if readme != source {
		t.Errorf("the example in README.md is not that of readme_test.go.\nREADME.md:\n%s\nreadme_test.go:\n%s", readme, source)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("flights", 0o700); err != nil {
		t.Fatal(err)
	}
	in := "origin,scheduled,delay_min\nATL,2001-01-01 10:10,5\nATL,2001-01-01 10:50,7\nORD,2001-01-01 15:00,0\nATL,2001-01-01 10:00,99\nORD,2001-01-01 15:05,9999\n"
	if err := os.WriteFile("flights/day.csv", []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readmeJob(t.Context()); err != nil {
		t.Fatal(err)
	}
	delays, late := parts(t, "out/delays"), parts(t, "out/late")
	if n := strings.Count(delays, "\n"); n != 2 || !strings.Contains(delays, `"value":6`) {
		t.Errorf("delays:\n%s", delays)
	}
	if !strings.Contains(late, "ATL,2001-01-01 10:00,99") {
		t.Errorf("late:\n%s", late)
	}
}

// parts returns what a reader sees in an output directory.
func parts(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "part-*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no parts in %s: %v", dir, err)
	}
	var all strings.Builder
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// goBlock returns the first Go block of a page, without indentation.
func goBlock(t *testing.T, path string) string {
	t.Helper()
	return between(t, path, "```go", "```")
}

func between(t *testing.T, path, from, to string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	in := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		switch {
		case !in && line == from:
			in = true
		case in && line == to:
			return strings.Join(out, "\n")
		case in:
			out = append(out, line)
		}
	}
	t.Fatal(fmt.Errorf("%s has no block from %q to %q", path, from, to))
	return ""
}
