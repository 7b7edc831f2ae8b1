package operator

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/task"
)

// fakeClock is a clock that the test moves.
type fakeClock struct{ now int64 }

func (c *fakeClock) Now() time.Time { return time.Unix(0, c.now) }

// clockedContext is a context with a clock that the test moves.
func clockedContext(out Receiver) (*Context, *fakeClock) {
	clock := &fakeClock{now: 1_000_000}
	c := testContext(out)
	c.Env = &env.Env{Sched: task.System{Clock: clock}}
	return c, clock
}

// grouped is a batch as one behind the operator sees it.
type grouped struct {
	records []int64
	at      int64 // its event time
	wm      int64 // the watermark before it
}

// groupRecorder notes the batches that it gets.
type groupRecorder struct {
	recorder
	groups []grouped
}

func (r *groupRecorder) Process(b element.Batch) error {
	in := b.(*element.Of[[]int64])
	step := 0
	for i, v := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) <= i; step++ {
			r.advance(in.Steps[step].Time)
		}
		r.groups = append(r.groups, grouped{slices.Clone(v), in.Times[i], r.wm})
	}
	for ; step < len(in.Steps); step++ {
		r.advance(in.Steps[step].Time)
	}
	b.Free()
	return nil
}

// TestBatchLosesNothingAndIsNeverLate puts records, watermarks, ticks, idle marks and barriers in any order, and compares with what the
// page says: whole batches, the rest at the moments named, a batch no later than its latest record, the watermark as far as it may be.
func TestBatchLosesNothingAndIsNeverLate(t *testing.T) {
	pool := element.NewPool[int64](8)
	rapid.Check(t, func(t *rapid.T) {
		size, wait := rapid.IntRange(1, 5).Draw(t, "size"), rapid.Int64Range(1, 50).Draw(t, "wait")
		out := &groupRecorder{recorder: *newRecorder(t)}
		c, clock := clockedContext(out)
		op := NewBatch(element.NewPool[[]int64](4), size, time.Duration(wait)).(*batchOp[int64])
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		var want []grouped
		var held []int64
		heldAt, since, wm, told := int64(0), int64(0), int64(element.NoTime), int64(element.NoTime)
		// pass and release are the rules told in another way.
		pass := func() {
			limit := int64(math.MaxInt64)
			if len(held) > 0 {
				limit = heldAt - 1
			}
			told = max(told, min(limit, wm))
		}
		release := func() {
			if len(held) > 0 {
				want = append(want, grouped{held, heldAt, told})
				held = nil
			}
			pass()
		}
		next, idles := int64(0), 0
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(0, 20).Draw(t, "acts") {
			switch rapid.SampledFrom([]string{"records", "records", "records", "watermark", "tick", "idle", "barrier"}).Draw(t, "act") {
			case "records":
				b := pool.Get()
				for range rapid.IntRange(1, 7).Draw(t, "n") {
					if rapid.Bool().Draw(t, "step") {
						wm = max(wm, 0) + rapid.Int64Range(1, 9).Draw(t, "by")
						b.Advance(b.Len(), wm)
						pass()
					}
					at := max(wm, 0) + rapid.Int64Range(-3, 9).Draw(t, "at")
					b.Add(&next, at)
					if len(held) == 0 {
						since, heldAt = clock.now, at
					}
					held, heldAt = append(held, next), max(heldAt, at)
					next++
					pass()
					if len(held) == size {
						release()
					}
				}
				must(op.Process(b))
			case "watermark":
				wm = max(wm, 0) + rapid.Int64Range(1, 9).Draw(t, "by")
				pass()
				must(op.Watermark(wm))
			case "tick":
				clock.now += rapid.Int64Range(0, 40).Draw(t, "later")
				if due := op.NextTick(); len(held) > 0 && due != since+wait || len(held) == 0 && due != math.MaxInt64 {
					t.Fatalf("the next tick is at %d; %d records are held since %d", due, len(held), since)
				}
				if clock.now >= since+wait {
					release()
				}
				must(op.Tick(clock.now))
			case "idle":
				release()
				idles++
				must(op.Idle())
			case "barrier":
				release()
				_, err := op.Freeze(1)
				must(err)
			}
			if out.wm != told {
				t.Fatalf("those behind the batches know the watermark %d, it should be %d: held %v of time %d, watermark %d", out.wm, told, held, heldAt, wm)
			}
		}
		release()
		must(op.Watermark(element.EndTime))
		if got, want := fmt.Sprint(out.groups), fmt.Sprint(want); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
		if out.wm != element.EndTime || out.idle != idles || c.Counters.In.Load() != next || c.Counters.Out.Load() != int64(len(want)) {
			t.Fatalf("at the end the watermark is %d, %d of %d idle marks came, %d in, %d out", out.wm, out.idle, idles, c.Counters.In.Load(), c.Counters.Out.Load())
		}
	})
}
