package operator

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// paneTape notes the values of panes and the idleness that it is told.
type paneTape struct {
	sums []int64
	told []string
}

func (p *paneTape) Process(b element.Batch) error {
	in := b.(*element.Of[window.Pane[int64, int64]])
	for i := range in.Records {
		p.sums = append(p.sums, in.Records[i].Value)
	}
	p.told = append(p.told, "batch")
	in.Free()
	return nil
}

func (p *paneTape) Watermark(int64) error { return nil }
func (p *paneTape) Idle() error           { p.told = append(p.told, "idle"); return nil }

// stoppedClock is a clock that a test moves.
type stoppedClock struct{ now int64 }

func (c *stoppedClock) Now() time.Time { return time.Unix(0, c.now) }

// triggeredSum is the operator that sums records of a key, which are their own event times, in windows of the given length.
func triggeredSum(t testing.TB, size int64, trigger window.Trigger, change func(*TriggerConfig[int64, int64, int64, int64])) (Op, *paneTape, *stoppedClock, *Context) {
	t.Helper()
	kc, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.For[Cells[int64]]()
	if err != nil {
		t.Fatal(err)
	}
	total := agg.Aggregator[int64, int64, int64]{
		Add: func(acc, r *int64) { *acc += *r }, Merge: func(dst, src *int64) { *dst += *src }, Result: func(acc *int64) int64 { return *acc },
	}
	cfg := TriggerConfig[int64, int64, int64, int64]{
		Kind: window.KindTumbling, Trigger: trigger.TriggerSpec(), Timed: true,
		Windows: func(dst []window.Span, at int64) []window.Span {
			start := at / size * size
			return append(dst, window.Span{Start: start, End: start + size})
		},
		Key: func(v *int64) int64 { return *v % 2 }, KeyCodec: kc, Value: value, Agg: total,
		Pool: element.NewPool[window.Pane[int64, int64]](64), LatePool: element.NewPool[int64](64),
	}
	if change != nil {
		change(&cfg)
	}
	out, clock := &paneTape{}, &stoppedClock{}
	c := testContext(out)
	c.Groups, c.Hi = 4, 4
	c.Env = &env.Env{Sched: task.System{Clock: clock}}
	c.Load = func(string, snapshot.Visitor) error { return nil }
	return NewTriggered(cfg), out, clock, c
}

func giveTo(t testing.TB, op Op, pool *element.Pool[int64], records ...int64) {
	t.Helper()
	b := pool.Get()
	for i := range records {
		b.Add(&records[i], records[i])
	}
	if err := op.Input(0).Process(b); err != nil {
		t.Fatal(err)
	}
}

// TestResultOfATickLeavesTheOutputIdle: what a tick emits says that the input is active, so it must say again that it is idle.
func TestResultOfATickLeavesTheOutputIdle(t *testing.T) {
	op, out, clock, c := triggeredSum(t, 100, window.Every(5), nil)
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	giveTo(t, op, element.NewPool[int64](8), 2, 4)
	if err := op.Input(0).Idle(); err != nil {
		t.Fatal(err)
	}
	ticked := op.(Ticked)
	if at := ticked.NextTick(); at != 5 {
		t.Fatalf("the next tick is at %d, want 5", at)
	}
	for _, clock.now = range []int64{4, 5, 6} {
		if err := ticked.Tick(clock.now); err != nil {
			t.Fatal(err)
		}
	}
	if at := ticked.NextTick(); at != math.MaxInt64 {
		t.Errorf("the next tick is at %d, want never", at)
	}
	// One late and one main output are idle, each time.
	if want := []string{"idle", "idle", "batch", "idle", "idle"}; !slices.Equal(out.told, want) || !slices.Equal(out.sums, []int64{6}) {
		t.Errorf("told %v with sums %v, want %v", out.told, out.sums, want)
	}
}

// TestTriggerThatMakesNoProgressIsStopped: a trigger that sets its timer for the next nanosecond would keep the job busy for years.
func TestTriggerThatMakesNoProgressIsStopped(t *testing.T) {
	busy := window.Custom[int64, struct{}]{
		Name: "busy",
		OnRecord: func(c window.TriggerContext, _ *struct{}, _ *int64) window.Decision {
			c.SetEventTimer(c.EventTime())
			return window.Continue
		},
		OnEventTime: func(c window.TriggerContext, _ *struct{}) window.Decision {
			c.SetEventTimer(c.EventTime())
			return window.Continue
		},
	}
	op, _, _, c := triggeredSum(t, math.MaxInt64/2, busy, nil)
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	giveTo(t, op, element.NewPool[int64](8), 2)
	err := op.Input(0).Watermark(1 << 40)
	if want := `Custom("busy") at 1970-01-01T00:00:00.001048579Z: the trigger sets its timer for the next instant again and again: set it for later`; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestMistakesOfCustomTriggersFailTheTask.
func TestMistakesOfCustomTriggersFailTheTask(t *testing.T) {
	for want, f := range map[string]func(c window.TriggerContext) window.Decision{
		"is beyond what ns since 1970 can say": func(c window.TriggerContext) window.Decision {
			c.SetEventTimer(time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC))
			return window.Continue
		},
		`window: trigger "bad" decides Decision(7): there is Continue, Fire, Purge and FireAndPurge`: func(window.TriggerContext) window.Decision { return 7 },
	} {
		bad := window.Custom[int64, int64]{Name: "bad", OnRecord: func(c window.TriggerContext, _ *int64, _ *int64) window.Decision { return f(c) }}
		op, _, _, c := triggeredSum(t, 10, window.AtEnd().Early(bad), nil)
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		v := int64(2)
		b := element.NewPool[int64](8).Get()
		b.Add(&v, v)
		err := op.Input(0).Process(b)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "of key 0") {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestTriggersDoNotAllocatePerRecord: records that are added to windows that exist cost no allocation, whether the trigger counts or
// waits.
func TestTriggersDoNotAllocatePerRecord(t *testing.T) {
	for name, trigger := range map[string]window.Trigger{
		"early":  window.AtEnd().Early(window.AnyOf(window.EveryCount(1<<40), window.Every(time.Hour), window.EveryEventTime(1<<40))),
		"custom": silent(),
	} {
		op, _, _, c := triggeredSum(t, 1<<50, trigger, nil)
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		pool := element.NewPool[int64](64)
		records := make([]int64, 64)
		for i := range records {
			records[i] = int64(i)
		}
		giveTo(t, op, pool, records...)
		if n := testing.AllocsPerRun(100, func() { giveTo(t, op, pool, records...) }); n > 1 {
			t.Errorf("%s: %v allocations for %d records", name, n, len(records))
		}
	}
}

// silent is a custom trigger with a state that does not fire.
func silent() window.Custom[int64, int64] {
	return window.Custom[int64, int64]{
		Name:     "silent",
		OnRecord: func(_ window.TriggerContext, s *int64, r *int64) window.Decision { *s += *r; return window.Continue },
	}
}

// TestTriggersOfLargeJoinsRemember: more parts than a word has bits.
func TestTriggersOfLargeJoinsRemember(t *testing.T) {
	var parts []window.Trigger
	for n := range int64(70) {
		parts = append(parts, window.EveryCount(n+1))
	}
	op, out, _, c := triggeredSum(t, 1<<50, window.AllOf(parts...), nil)
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	pool := element.NewPool[int64](64)
	for range 141 { // two times seventy and one
		giveTo(t, op, pool, 2)
	}
	if want := []int64{140, 280}; !slices.Equal(out.sums, want) {
		t.Errorf("got %v, want %v", out.sums, want)
	}
}

// TestTriggersDiscardTimersAtTheEnd: a custom trigger that is told of the end of the input cannot wait any more, and that is counted.
func TestTriggersDiscardTimersAtTheEnd(t *testing.T) {
	again := window.Custom[int64, struct{}]{
		Name: "again",
		OnRecord: func(c window.TriggerContext, _ *struct{}, _ *int64) window.Decision {
			c.SetProcessingTimer(c.ProcessingTime().Add(10))
			return window.Continue
		},
		OnProcessingTime: func(c window.TriggerContext, _ *struct{}) window.Decision {
			c.SetProcessingTimer(c.ProcessingTime().Add(10))
			return window.Fire
		},
	}
	op, out, _, c := triggeredSum(t, 10, again, nil)
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	giveTo(t, op, element.NewPool[int64](8), 2, 3, 14)
	if err := op.Input(0).Watermark(element.EndTime); err != nil {
		t.Fatal(err)
	}
	if want := []int64{2, 3, 14}; !slices.Equal(out.sums, want) || c.Counters.TimersDiscarded.Load() != 3 {
		t.Errorf("got %v and %d timers discarded, want %v and 3", out.sums, c.Counters.TimersDiscarded.Load(), want)
	}
	if at := op.(Ticked).NextTick(); at != math.MaxInt64 {
		t.Errorf("the next tick is at %d, want never", at)
	}
}
