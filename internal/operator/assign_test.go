package operator

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/task"
)

// tens takes ten times the record for its event time.
func tens(records, times []int64) (int, error) {
	for i, r := range records {
		times[i] = 10 * r
	}
	return 0, nil
}

// openAssign opens subtask i of n.
func openAssign(t *testing.T, spec TimeSpec[int64], i, n int, old ...[]byte) (Op, *recorder) {
	t.Helper()
	op := NewAssign(spec, element.NewPool[int64](8))
	r := newRecorder(t)
	c := testContext(r)
	c.Subtask, c.Parallelism, c.Old, c.Env = i, n, old, &env.Env{Sched: task.System{Clock: &handClock{now: 1000}}}
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	return op, r
}

func give(t *testing.T, op Op, wm int64, records ...int64) {
	t.Helper()
	b := element.NewPool[int64](8).Get()
	for i, v := range records {
		b.Add(&v, -7)
		if i == 0 && wm > element.NoTime {
			b.Advance(1, wm)
		}
	}
	if err := op.Input(0).Process(b); err != nil {
		t.Fatal(err)
	}
}

// TestAssignMakesItsOwnWatermarks: event times and watermarks are those of the new times; of the input's only its end and its idleness go on.
func TestAssignMakesItsOwnWatermarks(t *testing.T) {
	op, r := openAssign(t, TimeSpec[int64]{Extract: tens, Bound: 5}, 0, 1)
	in := op.Input(0)
	give(t, op, 1<<40, 1, 3, 2)
	if err := in.Watermark(1 << 50); err != nil {
		t.Fatal(err)
	}
	give(t, op, element.NoTime, 4)
	if want := []seen{{1, element.NoTime}, {3, 4}, {2, 24}, {4, 24}}; !slices.Equal(r.seen, want) || r.wm != 34 {
		t.Fatalf("saw %v and then %d, want %v", r.seen, r.wm, want)
	}
	if want := []int64{10, 30, 20, 40}; !slices.Equal(r.times, want) {
		t.Fatalf("times are %v", r.times)
	}
	if err := in.Idle(); err != nil || r.idle != 1 {
		t.Fatalf("idle %d times, error %v", r.idle, err)
	}
	give(t, op, element.EndTime, 5) // a step at the end of a batch
	if r.wm != element.EndTime || len(r.seen) != 5 {
		t.Errorf("the end did not come through: %d", r.wm)
	}
}

// TestAssignWakesThoseBehind: when the input has said that it is idle and moves its watermark, those behind must wait for it again.
func TestAssignWakesThoseBehind(t *testing.T) {
	op := NewAssign(TimeSpec[int64]{Extract: tens}, element.NewPool[int64](8))
	k := &kindsReceiver{}
	c := testContext(k)
	c.Parallelism = 1
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	give(t, op, element.NoTime, 1)
	for _, step := range []func() error{
		func() error { return op.Input(0).Idle() },
		func() error { return op.Input(0).Watermark(5) },
		func() error { return op.Input(0).Watermark(6) }, // says nothing new
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want := []element.Kind{element.KindBatch, element.KindIdle, element.KindWatermark}
	if !slices.Equal(k.got, want) {
		t.Errorf("passed on %v, want %v", k.got, want)
	}
}

// kindsReceiver notes the kinds of what comes.
type kindsReceiver struct{ got []element.Kind }

func (k *kindsReceiver) Process(b element.Batch) error {
	k.got = append(k.got, element.KindBatch)
	b.Free()
	return nil
}

func (k *kindsReceiver) Watermark(int64) error {
	k.got = append(k.got, element.KindWatermark)
	return nil
}
func (k *kindsReceiver) Idle() error { k.got = append(k.got, element.KindIdle); return nil }

// TestAssignIsRestored: after a restore between any two batches records see the watermarks that they would have seen, whether bounded disorder or a
// generator makes them.
func TestAssignIsRestored(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spec := TimeSpec[int64]{Extract: tens, Bound: time.Duration(rapid.IntRange(0, 30).Draw(rt, "bound"))}
		if rapid.Bool().Draw(rt, "generator") {
			spec.NewGenerator = byMarker
		}
		whole, all := openAssign(t, spec, 0, 1)
		part, saw := openAssign(t, spec, 0, 1)
		var got []seen
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			records := rapid.SliceOfN(rapid.Int64Range(-9, 9), 1, 8).Draw(rt, "records")
			give(t, whole, element.NoTime, records...)
			if rapid.Bool().Draw(rt, "restart") {
				cut, err := part.Freeze(1)
				if err != nil {
					rt.Fatal(err)
				}
				got = append(got, saw.seen...)
				wm := saw.wm
				if part, saw = openAssign(t, spec, 0, 1, cut.State); saw.wm != wm {
					rt.Fatalf("the restored watermark is %d, it was %d, and those behind are not told", saw.wm, wm)
				}
			}
			give(t, part, element.NoTime, records...)
		}
		if got = append(got, saw.seen...); !slices.Equal(got, all.seen) {
			rt.Fatalf("saw %v, want %v", got, all.seen)
		}
	})
}

// TestAssignAtAnotherParallelism: each takes the state of the one that was furthest behind, or its own when their number is the same.
func TestAssignAtAnotherParallelism(t *testing.T) {
	spec := TimeSpec[int64]{Extract: tens}
	var old [][]byte
	for i, v := range []int64{30, 10, 20} {
		op, _ := openAssign(t, spec, i, 3)
		give(t, op, element.NoTime, v)
		cut, err := op.Freeze(1)
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, cut.State)
	}
	for _, c := range []struct {
		i, n int
		want int64
	}{{0, 3, 299}, {1, 3, 99}, {2, 3, 199}, {0, 2, 99}, {1, 2, 99}, {3, 4, 99}} {
		if _, r := openAssign(t, spec, c.i, c.n, old...); r.wm != c.want {
			t.Errorf("subtask %d of %d begins at %d, want %d", c.i, c.n, r.wm, c.want)
		}
	}
}
