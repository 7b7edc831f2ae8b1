package millrace_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

type ride struct {
	Base string
	At   int64
	N    int64
}

func (r ride) time() time.Time { return time.Unix(r.At, 0) }
func (r ride) base() string    { return r.Base }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestWindowsOverSeveralSubtasksGiveEachKeyOnce(t *testing.T) {
	var in []ride
	want := map[string]int64{}
	for i := range 10000 {
		b := string(rune('a' + i%7))
		in = append(in, ride{Base: b, At: int64(i), N: 1})
		want[b]++
	}
	for _, p := range []int{1, 2, 4} {
		job := millrace.NewJob("rides")
		out := memory.NewSink[millrace.Pane[string, int64]]()
		job.From("rides", memory.Of(in...), millrace.EventTime(ride.time)).
			KeyBy(ride.base).
			Window(window.Tumbling(time.Minute)).
			Aggregate("count", agg.Count[ride]()).
			To("out", out)
		err := millrace.Run(context.Background(), job, millrace.Config{
			Parallelism: p, Log: quiet(),
			Checkpoint: millrace.CheckpointConfig{Dir: t.TempDir(), EveryRecords: 500},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, r := range out.Records() {
			got[r.Key] += r.Value
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("parallelism %d: key %s: got %d records, want %d", p, k, got[k], v)
			}
		}
	}
}
