package millrace_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// TestResultsThatComeAgainAreKnown: a write-through sink gets results again after a kill; told apart by their names, they are those of a calm run.
func TestResultsThatComeAgainAreKnown(t *testing.T) {
	noLeaks(t)
	type named struct {
		ID    string
		Value int64
	}
	id, err := millrace.ResultID[int, int64]("sum")
	if err != nil {
		t.Fatal(err)
	}
	start := func(m *machine, point string, pass, parallelism int, out *recorder[named]) error {
		job := millrace.NewJob("named")
		job.From("in", memory.Of(numbers(300)...), millrace.EventTime(func(n int) time.Time { return time.Unix(int64(n), 0) })).
			KeyBy(func(n int) int { return n % 3 }).
			Window(window.Tumbling(10*time.Second)).
			Aggregate("sum", agg.Sum(func(n int) int64 { return int64(n) })).
			Map(func(p millrace.Pane[int, int64]) named { return named{id(p), p.Value} }).
			To("out", out)
		return millrace.Run(m.start(point, pass), job, delivered(millrace.ExactlyOnce, parallelism))
	}
	calm := &recorder[named]{}
	if err := start(newMachine(), "", 0, 1, calm); err != nil {
		t.Fatal(err)
	}
	want := calm.sorted(func(a, b named) int { return cmp.Compare(a.ID, b.ID) })
	if len(slices.Compact(slices.Clone(want))) != 90 {
		t.Fatalf("%d results of a calm run", len(want))
	}
	again := 0
	for pass := 3; pass < 30; pass += 4 {
		m, out := newMachine(), &recorder[named]{}
		if err := start(m, "manifest.write", pass, 1, out); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if err := start(m, "", 0, 2, out); err != nil {
			t.Fatal(err)
		}
		got := out.sorted(func(a, b named) int { return cmp.Compare(a.ID, b.ID) })
		again += len(got) - len(want)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("pass %d: %d results by name, want %d", pass, len(got), len(want))
		}
	}
	if again == 0 {
		t.Error("no result came again")
	}
	if _, err := millrace.ResultID[float64, int]("x"); err == nil {
		t.Error("a float is a key")
	}
}
