package millracetest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// TestScriptedWatermarkDecidesWhatIsLate: a nanosecond before the end of the window nothing is late, at it everything is, whatever the
// out-of-orderness of the job.
func TestScriptedWatermarkDecidesWhatIsLate(t *testing.T) {
	for _, p := range []int{1, 3} {
		for at, wantLate := range map[time.Duration]bool{-2: false, -1: true, 0: true} {
			in := millracetest.Script[sale]().
				Records(sale{"a", sec(59), 1}, sale{"a", sec(200), 5}). // the job's own watermark would be 189.999999999
				Watermark(sec(60).Add(at)).
				Records(sale{"a", sec(1), 2})
			out, late := millracetest.Collect[pane](), millracetest.Collect[sale]()
			s := millracetest.Run(t, sums(in, out, late), millracetest.Parallelism(p))
			if got := len(late.Records()) == 1; got != wantLate || (s.Late == 1) != wantLate {
				t.Errorf("watermark %v from the end of the window: late %v, want %v", at, got, wantLate)
			}
		}
	}
}

// seenJob passes records through, one subtask, so that their order can be seen.
func seenJob(in connect.Source[sale], out connect.Sink[int64]) *millrace.Job {
	job := millrace.NewJob("seen")
	job.From("in", in, millrace.EventTime(sale.time)).Map(sale.n).To("out", out)
	return job
}

// TestScriptIsReadInItsOrder: also over several splits, at any parallelism, and with more records than a batch holds.
func TestScriptIsReadInItsOrder(t *testing.T) {
	in := millracetest.Script[sale]()
	var want []int64
	for i := range 3000 {
		in = in.Split(fmt.Sprint(i * i % 3)).Records(sale{N: int64(i), At: sec(i)})
		if i%700 == 699 {
			in = in.Watermark(sec(i))
		}
		want = append(want, int64(i))
	}
	for _, p := range []int{1, 4} {
		out := memory.NewSink[int64]()
		millracetest.Run(t, seenJob(in, out), millracetest.Parallelism(p))
		if !slices.Equal(out.Records(), want) {
			t.Errorf("at parallelism %d: another order", p)
		}
	}
}

// TestScriptedSplitsHoldTheWatermark: the slowest split counts until it is idle or has ended, and again when it has woken up.
func TestScriptedSplitsHoldTheWatermark(t *testing.T) {
	probe := sale{"a", sec(10), 1}
	begin := millracetest.Script[sale]().
		Split("slow").Watermark(sec(30)).
		Split("fast").Watermark(sec(100))
	for name, c := range map[string]struct {
		in   millracetest.Scripted[sale]
		late int64
	}{
		"slow split holds": {begin.Records(probe), 0},
		"idle":             {begin.Split("slow").Idle().Split("fast").Records(probe), 1},
		"ended":            {begin.Split("slow").EndSplit().Split("fast").Records(probe), 1},
		"never heard of":   {begin.Split("slow").Watermark(sec(90)).Split("third").Records(probe), 0},
		"awake again": {begin.Split("slow").Idle().Records(sale{"a", sec(101), 1}). // lifts the watermark to 100, wakes up behind it
												Split("fast").Records(probe), 1},
	} {
		s := millracetest.Run(t, sums(c.in, millracetest.Collect[pane](), millracetest.Collect[sale]()))
		if s.Late != c.late {
			t.Errorf("%s: %d late records, want %d", name, s.Late, c.late)
		}
	}
}

// TestIdleScriptHoldsNobody: of two sources, one that is idle does not hold back what is behind both; one that only says nothing does.
func TestIdleScriptHoldsNobody(t *testing.T) {
	quiet := millracetest.Script[sale]().Watermark(sec(1)).StayOpen()
	for want, in := range map[time.Time]millracetest.Scripted[sale]{sec(100): quiet.Idle(), sec(1): quiet} {
		busy := millracetest.Script[sale]().Records(sale{"a", sec(5), 1}).Watermark(sec(100)).StayOpen()
		job := millrace.NewJob("two")
		job.From("quiet", in, millrace.EventTime(sale.time)).
			Union(job.From("busy", busy, millrace.EventTime(sale.time))).
			KeyBy(sale.shop).
			Window(window.Tumbling(time.Hour)).
			Aggregate("count", agg.Count[sale]()).
			To("out", millracetest.Collect[pane]())
		var s millrace.Status
		fails(t, func(tb millracetest.TB) { s = millracetest.Run(tb, job, millracetest.StuckAfter(500*time.Millisecond)) }, "stuck")
		i := slices.IndexFunc(s.Operators, func(o millrace.OperatorStatus) bool { return o.ID == "count" })
		if i < 0 || !s.Operators[i].Watermark.Equal(want) || s.Operators[i].Ended {
			t.Errorf("want the watermark %v: %+v", want, s.Operators)
		}
	}
}

func TestScriptMistakesAreFound(t *testing.T) {
	script := millracetest.Script[sale]()
	for want, in := range map[string]millracetest.Scripted[sale]{
		"goes back":    script.Watermark(sec(9)).Watermark(sec(8)),
		"has ended":    script.EndSplit().Records(sale{}),
		"out of range": script.Watermark(time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		fails(t, func(tb millracetest.TB) { millracetest.Run(tb, seenJob(in, memory.NewSink[int64]())) }, want, `"in"`)
	}
	if err := script.Watermark(sec(9)).Split("b").Watermark(sec(8)).Check(); err != nil {
		t.Errorf("each split has a watermark of its own: %v", err)
	}
}

// TestScriptsShareABeginning: a script that goes on in two ways is two scripts.
func TestScriptsShareABeginning(t *testing.T) {
	begin := millracetest.Script[sale]().Records(sale{N: 1, At: sec(1)}).Records(sale{N: 2, At: sec(2)}).Records(sale{N: 3, At: sec(3)})
	one, other := begin.Records(sale{N: 10, At: sec(4)}), begin.Records(sale{N: 20, At: sec(4)})
	for want, in := range map[int64]millracetest.Scripted[sale]{10: one, 20: other} {
		out := memory.NewSink[int64]()
		millracetest.Run(t, seenJob(in, out))
		millracetest.Equal(t, out.Records(), []int64{1, 2, 3, want})
	}
}

// TestScriptSurvivesCrashes: watermarks, idleness and places come back as they were, wherever the job dies.
func TestScriptSurvivesCrashes(t *testing.T) {
	in := millracetest.Script[sale]()
	for i := range 60 {
		in = in.Split(fmt.Sprint(i%2)).Records(sale{"a", sec(i * 10), 1}, sale{"b", sec(max(0, i*10-300)), 1})
		switch i % 7 {
		case 2:
			in = in.Watermark(sec(i*10 - 20))
		case 4:
			in = in.Idle()
		}
	}
	r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return sums(in, w.Collect[pane]("sums"), w.Collect[sale]("late"))
	}, millracetest.Every(3), millracetest.Kills(15), millracetest.Check(func(w *millracetest.Trial) error {
		if n := len(w.Collect[sale]("late").Records()); n < 5 || n > 100 {
			return fmt.Errorf("%d late records: they show nothing", n)
		}
		return nil
	}))
	if r.InEpoch < 3 {
		t.Errorf("only %d kills at work", r.InEpoch)
	}
}
