package operator

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// stamped is a recorder that notes when records come.
type stamped struct {
	*recorder
	clock *fakeClock
	at    []int64
}

func (s *stamped) Process(b element.Batch) error {
	err := s.recorder.Process(b)
	for len(s.at) < len(s.seen) {
		s.at = append(s.at, s.clock.now)
	}
	return err
}

// TestRateLimitKeepsTheRate lets batches come at any times, as from another task, at any rate and burst. Over any stretch of time no more records
// may pass than burst and rate allow, but for those that a barrier has let go, which are paid for later. Each record leaves by one output, behind
// the watermark that it was behind, in its order.
func TestRateLimitKeepsTheRate(t *testing.T) {
	pool := element.NewPool[int64](16)
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, pool)
		perSecond, burst := float64(rapid.IntRange(1, 5000).Draw(t, "rate")), rapid.IntRange(1, 12).Draw(t, "burst")
		mode := rapid.SampledFrom([]RateMode{RateHold, RateDropNewest, RateDropOldest}).Draw(t, "mode")
		sides := map[string]*recorder{"": newRecorder(t), DroppedSide: newRecorder(t)}
		c, clock := clockedContext(nil)
		c.Parallelism, c.Task = 1, &byHand{clock: clock}
		main := &stamped{recorder: sides[""], clock: clock}
		c.Outputs = func(side string) Receiver {
			if side == "" {
				return main
			}
			return sides[side]
		}
		op := NewRate(element.NewPool[int64](4), perSecond, burst, mode).(*rateOp[int64])
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		start := clock.now
		barriers := false
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for len(batches) > 0 {
			switch rapid.SampledFrom([]string{"batch", "batch", "tick", "due", "barrier"}).Draw(t, "act") {
			case "batch":
				b := batches[0]
				batches = batches[1:]
				tokens := op.available(c.Env.Sched.Now())
				before := op.held
				out, n := len(sides[""].seen), b.Len()
				must(op.Process(b))
				if got := len(sides[""].seen) - out; got != min(tokens, before+n) {
					t.Fatalf("%d records pass where there are %d tokens, and %d wait already and %d come", got, tokens, before, n)
				}
				if mode == RateDropOldest && op.held > burst || mode == RateDropNewest && op.held > 0 {
					t.Fatalf("%d records wait", op.held)
				}
			case "tick":
				clock.now += rapid.Int64Range(0, 3e9/int64(perSecond)).Draw(t, "later")
				must(op.Tick(clock.now))
			case "due":
				if due := op.NextTick(); due < math.MaxInt64 {
					clock.now = max(clock.now, due)
					out := len(sides[""].seen)
					must(op.Tick(clock.now))
					if op.held > 0 && len(sides[""].seen) == out {
						t.Fatalf("nothing passes when it is due, and %d records wait", op.held)
					}
				} else if op.held > 0 {
					t.Fatalf("%d records wait for nothing", op.held)
				}
			case "barrier":
				barriers = barriers || op.held > 0
				_, err := op.Freeze(1)
				must(err)
				if op.held > 0 || op.queue.len() > 0 {
					t.Fatalf("%d records wait behind a barrier", op.held)
				}
			}
			if room := op.Room(); mode == RateHold && op.held > 0 && room != 0 {
				t.Fatalf("room for %d records while %d wait", room, op.held)
			}
		}
		must(op.Idle())
		must(op.Watermark(element.EndTime))
		passed := main.at
		n := len(passed)
		if !barriers {
			for i := range n {
				for j := i; j < n; j++ {
					if most := float64(burst) + perSecond*float64(passed[j]-passed[i])/1e9 + 0.001; float64(j-i+1) > most {
						t.Fatalf("%d records pass within %d ns, %.2f are allowed", j-i+1, passed[j]-passed[i], most)
					}
				}
			}
		}
		// The same from the beginning on.
		if most := float64(burst) + perSecond*float64(clock.now-start)/1e9 + 0.001; !barriers && float64(n) > most {
			t.Fatalf("%d records passed, %.2f are allowed", n, most)
		}
		if mode == RateHold && n != len(want) {
			t.Fatalf("%d of %d records passed", n, len(want))
		}
		got := slices.Concat(sides[""].seen, sides[DroppedSide].seen)
		for name, r := range sides {
			if r.wm != element.EndTime || r.idle != 1 || last > r.wm {
				t.Fatalf("output %q: watermark %d and %d idle marks at the end", name, r.wm, r.idle)
			}
			if !slices.IsSortedFunc(r.seen, func(a, b seen) int { return cmp.Compare(a.record, b.record) }) {
				t.Fatalf("output %q is out of order: %v", name, r.seen)
			}
		}
		slices.SortFunc(got, func(a, b seen) int { return cmp.Compare(a.record, b.record) })
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if k := c.Counters; k.In.Load() != int64(len(want)) || k.Out.Load() != int64(n) || k.Dropped.Load() != int64(len(want)-n) {
			t.Fatalf("%d in, %d out, %d dropped, want %d, %d, %d", k.In.Load(), k.Out.Load(), k.Dropped.Load(), len(want), n, len(want)-n)
		}
	})
}

// TestRateLimitPaysForWhatABarrierLetGo: 5 records with one token, let go at a barrier, are four tokens of the future.
func TestRateLimitPaysForWhatABarrierLetGo(t *testing.T) {
	out := newRecorder(t)
	c, clock := clockedContext(out)
	c.Parallelism = 1
	op := NewRate(element.NewPool[int64](4), 10, 1, RateHold).(*rateOp[int64])
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	b := element.NewPool[int64](8).Get()
	for v := range int64(5) {
		b.Add(&v, v)
	}
	if err := op.Process(b); err != nil {
		t.Fatal(err)
	}
	if len(out.seen) != 1 || op.Room() != 0 {
		t.Fatalf("%d records pass with one token, room for %d", len(out.seen), op.Room())
	}
	if _, err := op.Freeze(1); err != nil || len(out.seen) != 5 {
		t.Fatalf("%d records have passed at the barrier, %v", len(out.seen), err)
	}
	start := clock.now
	for range 20 {
		if op.Room() > 0 {
			break
		}
		clock.now = op.NextTick()
		if err := op.Tick(clock.now); err != nil {
			t.Fatal(err)
		}
	}
	if d := clock.now - start; d < 499e6 || d > 501e6 {
		t.Errorf("the next record may pass after %d ns, want half a second: four tokens spent before their time and one for itself", d)
	}
}

// TestRateLimitIsDivided: each of several subtasks has its part of the rate and of the burst, of which it has one at least.
func TestRateLimitIsDivided(t *testing.T) {
	for _, w := range []struct{ burst, parallelism, room int }{{100, 4, 25}, {3, 4, 1}, {1, 1, 1}} {
		c, _ := clockedContext(newRecorder(t))
		c.Parallelism = w.parallelism
		op := NewRate(element.NewPool[int64](4), 1000, w.burst, RateHold).(*rateOp[int64])
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		if room := op.Room(); room != w.room || op.perSecond != 1000/float64(w.parallelism) {
			t.Errorf("%+v: room for %d, %v per second", w, room, op.perSecond)
		}
	}
}

// TestInFlightWaitsForDecidedEpochs goes through epochs that are decided, given up, and missed.
func TestInFlightWaitsForDecidedEpochs(t *testing.T) {
	c, clock := clockedContext(newRecorder(t))
	work := &byHand{clock: clock}
	c.Parallelism, c.Task = 2, work
	op := NewInFlight(20).(*InFlight)
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	feed := func(n int) {
		b := element.NewPool[int64](8).Get()
		for range n {
			next++
			b.Add(&next, next)
		}
		if err := op.Process(b); err != nil {
			t.Fatal(err)
		}
	}
	room := func(want, epochs int) {
		t.Helper()
		if got := op.Room(); got != want || work.epochs != epochs {
			t.Fatalf("room for %d records after %d requests for an epoch, want %d and %d", got, work.epochs, want, epochs)
		}
	}
	freeze := func(n uint64) {
		if _, err := op.Freeze(n); err != nil {
			t.Fatal(err)
		}
	}
	room(10, 0)
	feed(7)
	room(3, 0)
	freeze(1)
	feed(3)
	room(0, 1)
	room(0, 1) // it asks once
	freeze(2)  // epoch 1 was given up
	room(0, 1)
	op.Completed(1)
	room(7, 1) // what is of epoch 2 is still in flight
	op.Completed(2)
	room(10, 1)
	feed(10)
	room(0, 2)
	freeze(3)
	if due := op.NextTick(); due != clock.now+int64(epochAgain) {
		t.Fatalf("it looks again at %d, in %d ns", due, due-clock.now)
	}
	clock.now = op.NextTick()
	if err := op.Tick(clock.now); err != nil {
		t.Fatal(err)
	}
	room(0, 3) // epoch 3 is long in coming
	freeze(4)
	op.Completed(4) // and holds epoch 3
	room(10, 3)
	if op.NextTick() != math.MaxInt64 {
		t.Error("it wants to be woken though there is room")
	}
}
