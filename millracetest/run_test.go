package millracetest_test

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

func TestRunGivesResultsAndStatus(t *testing.T) {
	out, late := millracetest.Collect[pane](), millracetest.Collect[sale]()
	var seen int
	s := millracetest.Run(t, sums(memory.Of(sales(100, 30)...), out, late), millracetest.Parallelism(2), millracetest.Every(10),
		millracetest.Configure(func(c *millrace.Config) { c.Observe = func(millrace.Status) { seen++ } }))
	if s.In != 100 || !s.Finished || s.Epochs < 5 || len(out.Records()) == 0 || seen == 0 {
		t.Errorf("status %+v, %d results, observed %d times", s, len(out.Records()), seen)
	}
}

func TestRunFailsWithTheJob(t *testing.T) {
	job := millrace.NewJob("bad")
	job.From("in", memory.Of(1, 2)).FlatMap(func(*millrace.Context, int, func(int)) error { return errors.New("no good") }).
		To("out", memory.NewSink[int]())
	fails(t, func(tb millracetest.TB) { millracetest.Run(tb, job) }, "job bad", "no good", "subtask 0")
	fails(t, func(tb millracetest.TB) { millracetest.Run(tb, nil) }, "the job is nil")
	fails(t, func(tb millracetest.TB) { millracetest.Run(tb, millrace.NewJob("no operators")) }, "no operators")
}

func TestOptionsAreChecked(t *testing.T) {
	job := seenJob(millracetest.Script[sale](), memory.NewSink[int64]())
	for want, o := range map[string]millracetest.Option{
		"an option of Crash": millracetest.Kills(3), "Parallelism[1 2]": millracetest.Parallelism(1, 2), "Parallelism[0]": millracetest.Parallelism(0),
		"Every(0)": millracetest.Every(0), "StuckAfter(-1s)": millracetest.StuckAfter(-time.Second), "zero Option": {},
		"Configure: the function is nil": millracetest.Configure(nil),
	} {
		fails(t, func(tb millracetest.TB) { millracetest.Run(tb, job, o) }, want)
	}
	build := func(*millracetest.Trial) *millrace.Job { return job }
	for want, o := range map[string]millracetest.Option{
		"Kills(0)": millracetest.Kills(0), `no point "nowhere"`: millracetest.At("nowhere"), "no point is given": millracetest.At(),
		"Check: the function is nil": millracetest.Check(nil),
	} {
		fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build, o) }, want)
	}
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, nil) }, "builds the job is nil")
}

// TestStuckJobIsShown: a job whose input stays open and brings nothing is shown with its watermarks; one whose function does not
// return, with what waits for it and with its stack.
func TestStuckJobIsShown(t *testing.T) {
	open := millracetest.Script[sale]().Records(sale{"a", sec(3), 1}).Watermark(sec(42)).StayOpen()
	fails(t, func(tb millracetest.TB) {
		millracetest.Run(tb, sums(open, millracetest.Collect[pane](), millracetest.Collect[sale]()), millracetest.StuckAfter(500*time.Millisecond))
	}, "stuck", "1970-01-01T00:00:42Z", "sum ", "late ", "waiting")

	free := make(chan struct{})
	job := millrace.NewJob("blocked")
	job.From("in", memory.Of(sales(20_000, 3)...), millrace.EventTime(sale.time)).
		KeyBy(sale.shop).
		Process("block", func(*millrace.Proc[string, int64, int64], sale) error { return waitFor(free) }).
		To("out", memory.NewSink[int64]())
	tb := &fake{}
	s := millracetest.Run(tb, job, millracetest.Parallelism(2), millracetest.StuckAfter(500*time.Millisecond))
	for _, w := range []string{"is busy in", "waitFor", "does not return"} {
		if !strings.Contains(tb.failure, w) {
			t.Errorf("the failure does not say %q:\n%s", w, tb.failure)
		}
	}
	close(free)
	if len(s.Operators) != 3 || s.Operators[1].Queued == 0 {
		t.Errorf("nothing waits for the operator that is blocked: %+v", s.Operators)
	}
}

func waitFor(c chan struct{}) error {
	<-c
	return nil
}

func TestEqualComparesContents(t *testing.T) {
	one, other := 1, 1
	type deep struct {
		p     *int
		M     map[string][]int
		A     any
		T     time.Time
		inner struct{ s string }
	}
	a := deep{p: &one, M: map[string][]int{"x": {1}, "y": nil}, A: 1, T: sec(1)}
	b := deep{p: &other, M: map[string][]int{"y": {}, "x": {1}}, A: 1, T: sec(1).In(time.FixedZone("far", 3600))}
	millracetest.Equal(t, []deep{a, a, b}, []deep{b, b, a})
	millracetest.Equal(t, []float64{math.NaN(), 1}, []float64{1, math.NaN()})
	c := b
	c.A = int64(1)
	d := b
	d.inner.s = "1 2"
	for _, x := range []deep{c, d} {
		fails(t, func(tb millracetest.TB) { millracetest.Equal(tb, []deep{a, x}, []deep{a, b}) }, "missing (1)", "too many (1)")
	}
	fails(t, func(tb millracetest.TB) { millracetest.Equal(tb, []string{"a", "b", "b"}, []string{"b", "a", "a"}) },
		"3 records, want 3", "missing (1):\n    \"a\"", "too many (1):\n    \"b\"")
	fails(t, func(tb millracetest.TB) { millracetest.Equal(tb, make([]int, 30), nil) }, "30 records, want 0", "and 20 more")
	fails(t, func(tb millracetest.TB) { millracetest.Equal(tb, []string{"1", "2 3"}, []string{"1 2", "3"}) }, "missing")
	type ring struct{ next *ring }
	r := &ring{}
	r.next = r
	millracetest.Equal(t, []*ring{r}, []*ring{r})
}

// TestRunLeavesNothingBehind: the directory of the checkpoints is removed.
func TestRunLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	millracetest.Run(t, sums(memory.Of(sales(50, 3)...), millracetest.Collect[pane](), millracetest.Collect[sale]()))
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
