package millracetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// twoSources counts what two sources bring; one that is quiet for a minute holds nothing back.
func twoSources(quiet, busy millracetest.Scripted[sale], out *memory.Sink[pane], late *memory.Sink[sale]) *millrace.Job {
	job := millrace.NewJob("two")
	w := job.From("quiet", quiet, millrace.EventTime(sale.time).IdleAfter(time.Minute)).
		Union(job.From("busy", busy, millrace.EventTime(sale.time))).
		KeyBy(sale.shop).
		Window(window.Tumbling(time.Minute))
	w.Aggregate("count", agg.Count[sale]()).To("counts", out)
	w.Late().To("late", late)
	return job
}

// TestVirtualTimeRunsOut: a source is idle when its minute is over, and no second before; the test does not take that minute.
func TestVirtualTimeRunsOut(t *testing.T) {
	quiet := millracetest.Script[sale]().Records(sale{"q", sec(1), 1}).Wait(2 * time.Minute)
	busy := millracetest.Script[sale]().
		Records(sale{"b", sec(200), 1}).
		Wait(59 * time.Second).Records(sale{"in time", sec(5), 1}).
		Wait(2 * time.Second).Records(sale{"late", sec(6), 1})
	for _, p := range []int{1, 2} {
		out, late := millracetest.Collect[pane](), millracetest.Collect[sale]()
		s := millracetest.Run(t, twoSources(quiet, busy, out, late), millracetest.Virtual(), millracetest.Parallelism(p), millracetest.StuckAfter(time.Second))
		millracetest.Equal(t, late.Records(), []sale{{"late", sec(6), 1}})
		if n := len(out.Records()); n != 3 {
			t.Errorf("%d results, want those of b, q and the record that is in time: %v", n, out.Records())
		}
		if s.Elapsed < 2*time.Minute || s.Elapsed > 2*time.Minute+time.Second {
			t.Errorf("the run took %v of virtual time, want two minutes", s.Elapsed)
		}
	}
}

// TestWaitsAreToTheRecordsBehindThem: a batch is full, or has waited, whichever is first.
func TestWaitsAreToTheRecordsBehindThem(t *testing.T) {
	for wait, want := range map[time.Duration]string{2900 * time.Millisecond: "[[1 2 3]]", 3100 * time.Millisecond: "[[1 2] [3]]"} {
		job, out := millrace.NewJob("batches"), memory.NewSink[[]int]()
		in := millracetest.Script[int]().Records(1, 2).Wait(wait).Records(3)
		millrace.Batch(job.From("in", in), 10, 3*time.Second).To("out", out)
		millracetest.Run(t, job, millracetest.Virtual(), millracetest.Configure(func(c *millrace.Config) {
			c.Checkpoint.Interval = time.Hour // an epoch ends a batch too
		}))
		if got := fmt.Sprint(out.Records()); got != want {
			t.Errorf("after %v: %s, want %s", wait, got, want)
		}
	}
}

// TestWaitLeavesTheWatermark: a wait between the steps of a script that dictates the watermark changes nothing of it.
func TestWaitLeavesTheWatermark(t *testing.T) {
	in := millracetest.Script[sale]().
		Records(sale{"a", sec(1), 1}).Watermark(sec(30)).
		Wait(time.Minute).
		Records(sale{"a", sec(2), 1}).Watermark(sec(60)).
		Wait(time.Minute).Wait(time.Minute).
		Records(sale{"a", sec(3), 1})
	out, late := millracetest.Collect[pane](), millracetest.Collect[sale]()
	millracetest.Run(t, sums(in, out, late), millracetest.Virtual())
	millracetest.Equal(t, late.Records(), []sale{{"a", sec(3), 1}})
	if got := out.Records(); len(got) != 1 || got[0].Value != 2 {
		t.Errorf("got %v, want a sum of 2", got)
	}
}

// TestCrashesInVirtualTime: kills come and waits begin again, with time that nobody waits for.
func TestCrashesInVirtualTime(t *testing.T) {
	in := millracetest.Script[sale]()
	for i, s := range sales(60, 3) {
		in = in.Records(s)
		if i%10 == 9 {
			in = in.Wait(time.Minute)
		}
	}
	report := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		return sums(in, memoryOf[pane](trial, "sums"), memoryOf[sale](trial, "late"))
	}, millracetest.Virtual(), millracetest.Kills(6), millracetest.Parallelism(1, 2))
	if report.Kills < 6 || report.Trials == 0 || report.Results == 0 {
		t.Errorf("report %+v", report)
	}
}

func memoryOf[T any](trial *millracetest.Trial, name string) *memory.Sink[T] {
	return trial.Collect[T](name)
}

func TestVirtualNeedsATest(t *testing.T) {
	job := seenJob(millracetest.Script[sale](), memory.NewSink[int64]())
	want := "option Virtual needs a *testing.T, this is a *millracetest_test.fake"
	fails(t, func(tb millracetest.TB) { millracetest.Run(tb, job, millracetest.Virtual()) }, want)
	build := func(trial *millracetest.Trial) *millrace.Job {
		return sums(memory.Of[sale](), memoryOf[pane](trial, "a"), memoryOf[sale](trial, "b"))
	}
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build, millracetest.Virtual()) }, want)
	in := millracetest.Script[sale]().Wait(0)
	if err := in.Check(); err == nil || err.Error() != "step 0 of the script: Wait(0s): it must be greater than 0" {
		t.Errorf("got %v", err)
	}
}
