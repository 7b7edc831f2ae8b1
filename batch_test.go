package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

func TestMistakesOfBatchesAreNamed(t *testing.T) {
	got := mistakes(func(j *millrace.Job) { millrace.Batch(rides(j), 0, -time.Second).To("out", memory.NewSink[[]ride]()) })
	const want = `JOB:LINE: operator "batch-1": the longest wait of a Batch is -1s: it must be more than 0` + "\n\t" +
		`JOB:LINE: operator "batch-1": the size of a Batch is 0: it must be 1 or more`
	if got != want {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
}

// TestBatchesKilledAnywhereHoldEachRecordOnce: how records are put together is a matter of luck, which records come and in which windows their
// batches fall is not.
func TestBatchesKilledAnywhereHoldEachRecordOnce(t *testing.T) {
	var in []ride
	for i := range 1500 {
		in = append(in, ride{Base: string(rune('a' + i*i%5)), At: int64(i), N: int64(i)})
	}
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("batches")
		source := job.From("in", memory.Of(in...), millrace.EventTime(ride.time))
		batches := millrace.Batch(source, 7, time.Hour)
		batches.FlatMap(func(_ *millrace.Context, b []ride, emit func(ride)) error {
			if len(b) == 0 || len(b) > 7 {
				return fmt.Errorf("a batch of %d", len(b))
			}
			for i, r := range b {
				if i > 0 && r.N != b[i-1].N+1 {
					return fmt.Errorf("out of order: %v", b)
				}
				emit(r)
			}
			return nil
		}).To("out", w.Collect[ride]("out"))
		// No batch is late: all are counted, in one window.
		late := batches.KeyBy(func([]ride) int { return 1 }).Window(window.Tumbling(time.Second))
		late.Aggregate("n", agg.Sum(func(b []ride) int64 { return int64(len(b)) })).
			Filter(func(millrace.Pane[int, int64]) bool { return false }).To("counts", w.Collect[millrace.Pane[int, int64]]("n"))
		late.Late().To("late", w.Collect[[]ride]("late"))
		return job
	}, millracetest.Kills(10), millracetest.Check(func(w *millracetest.Trial) error {
		got := w.Collect[ride]("out").Records()
		slices.SortFunc(got, func(a, b ride) int { return int(a.N - b.N) })
		if !slices.Equal(got, in) {
			return fmt.Errorf("%d records of %d", len(got), len(in))
		}
		if late := w.Collect[[]ride]("late").Records(); len(late) > 0 {
			return fmt.Errorf("late: %v", late)
		}
		return nil
	}))
}

// TestBatchLeavesWhenItHasWaited: a source that has nothing to say for now does not keep what came before it waiting.
func TestBatchLeavesWhenItHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out := millrace.NewJob("job"), memory.NewSink[[]ride]()
		source := millracetest.Script[ride]().Records(ride{N: 1}, ride{N: 2}, ride{N: 3}).StayOpen()
		var left time.Duration
		start := time.Now()
		millrace.Batch(job.From("in", source), 2, 3*time.Second).UpdateRef(func(b *[]ride) {
			if len(*b) == 1 {
				left = time.Since(start)
			}
		}).To("out", out)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// No epoch, no end: only the wait can let the third record go.
		if err := millrace.Run(ctx, job, millrace.Config{Parallelism: 1, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Interval: time.Hour}}); err == nil {
			t.Fatal("the job has ended by itself")
		}
		if got := fmt.Sprint(out.Records()); got != "[[{ 0 1} { 0 2}] [{ 0 3}]]" || left != 3*time.Second {
			t.Errorf("got %s, the last after %v", got, left)
		}
	})
}
