package operator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// keyedContext is that of the only subtask, at a first start.
func keyedContext(outputs func(string) Receiver) *Context {
	c := testContext(nil)
	c.Outputs, c.Groups, c.Hi = outputs, 4, 4
	c.Load = func(string, snapshot.Visitor) error { return nil }
	return c
}

func newTestDedup(t *rapid.T, horizon, lateness int64, id func(*int64) int64) *dedupOp[int64, int64] {
	key, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	return NewDedup(DedupConfig[int64, int64]{
		Horizon: horizon, Lateness: lateness, Key: id, KeyCodec: key, Pool: element.NewPool[int64](8),
	}).(*dedupOp[int64, int64])
}

// TestDedupKeepsTheWatermarkBeforeEachRecord: each record leaves by one output, with the same watermark before it as it had, and all
// outputs know the last one.
func TestDedupKeepsTheWatermarkBeforeEachRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, element.NewPool[int64](8))
		ids := rapid.Int64Range(1, 9).Draw(t, "ids")
		sides := map[string]*recorder{"": newRecorder(t), LateSide: newRecorder(t), DuplicateSide: newRecorder(t)}
		d := newTestDedup(t, 40, rapid.Int64Range(0, 30).Draw(t, "lateness"), func(r *int64) int64 { return *r % ids })
		if err := d.Open(keyedContext(func(side string) Receiver { return sides[side] })); err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if err := d.Process(b); err != nil {
				t.Fatal(err)
			}
		}
		var got []seen
		for name, r := range sides {
			got = append(got, r.seen...)
			if r.wm != last {
				t.Fatalf("output %q knows the watermark %d, not %d", name, r.wm, last)
			}
			if err := d.Idle(); err != nil || r.idle == 0 {
				t.Fatalf("output %q was not told that the input is idle: %v", name, err)
			}
		}
		slices.SortFunc(got, func(a, b seen) int { return int(a.record - b.record) })
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		c := d.c.Counters
		if sum := c.Out.Load() + c.Late.Load() + c.Duplicates.Load(); sum != c.In.Load() || sum != int64(len(want)) {
			t.Fatalf("%d records taken, %d accounted for", c.In.Load(), sum)
		}
	})
}

// TestDedupRemembersAsLongAsItSays: an id is there until the watermark is horizon + lateness past its record, and gone when it is a
// quarter of the horizon further. This holds near the ends of time too.
func TestDedupRemembersAsLongAsItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		horizon := rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 1<<62)).Draw(t, "horizon")
		lateness := rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 1<<62)).Draw(t, "lateness")
		d := newTestDedup(t, horizon, lateness, func(r *int64) int64 { return *r })
		if err := d.Open(keyedContext(func(string) Receiver { return Void{} })); err != nil {
			t.Fatal(err)
		}
		times := rapid.OneOf(rapid.Int64Range(-50, 50), rapid.Int64Range(-9_214_560_000e9, 9_214_646_399e9))
		added := map[int64]bool{}
		for range rapid.IntRange(1, 6).Draw(t, "records") {
			at := times.Draw(t, "at")
			if satAdd(at, lateness) > d.clock {
				added[at] = true
			}
			b := d.Pool.Get()
			b.Add(&at, at)
			if err := d.Process(b); err != nil {
				t.Fatal(err)
			}
			clock := times.Draw(t, "watermark")
			if len(added)%2 == 0 { // close to where the record is forgotten
				clock = satAdd(satAdd(satAdd(at, horizon), lateness), rapid.Int64Range(-20, 20).Draw(t, "near"))
			}
			if err := d.Watermark(clock); err != nil {
				t.Fatal(err)
			}
			for at := range added {
				until := satAdd(satAdd(at, horizon), lateness)
				held := d.find(&at, d.KeyCodec.Hash(&at), at) != nil
				switch {
				case d.clock < until && !held:
					t.Fatalf("%d is forgotten at the watermark %d, before %d", at, d.clock, until)
				case d.clock >= satAdd(until, d.width) && held:
					t.Fatalf("%d is held at the watermark %d: %d is past by a bucket of %d", at, d.clock, until, d.width)
				case !held:
					delete(added, at)
				}
			}
		}
		if err := d.Watermark(element.EndTime); err != nil || d.space.Len() != 0 {
			t.Fatalf("%d ids are held after the end: %v", d.space.Len(), err)
		}
	})
}

// TestDedupAgainstAList compares batches longer than what is looked up at once with a list of all records passed on: the same id may
// come twice in a batch, and buckets come and go within it.
func TestDedupAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		horizon, lateness := rapid.Int64Range(1, 60).Draw(t, "horizon"), rapid.Int64Range(0, 40).Draw(t, "lateness")
		ids := rapid.Int64Range(1, 30).Draw(t, "ids")
		times := map[int64]int64{} // of each record, by its number
		id := func(r int64) int64 { return r * r % 1009 % ids }
		type one struct{ record, id, at int64 }
		var passed []one
		var want [3][]int64 // passed on, late, duplicate
		clock, conflicts, next := int64(element.NoTime), int64(0), int64(0)
		judge := func(r int64) {
			at := times[r]
			if clock != element.NoTime && at+lateness <= clock {
				want[1] = append(want[1], r)
				return
			}
			var same *one
			for i := range passed { // of two that it meets, the later one in event time
				p := &passed[i]
				if p.id == id(r) && max(p.at-at, at-p.at) < horizon && (same == nil || p.at > same.at) {
					same = p
				}
			}
			if same == nil {
				passed = append(passed, one{r, id(r), at})
				want[0] = append(want[0], r)
				return
			}
			want[2] = append(want[2], r)
			if same.record%3 != r%3 {
				conflicts++
			}
		}
		sides := map[string]*recorder{"": newRecorder(t), LateSide: newRecorder(t), DuplicateSide: newRecorder(t)}
		d := newTestDedup(t, horizon, lateness, func(r *int64) int64 { return id(*r) })
		d.Content = func(r *int64) uint64 { return uint64(*r % 3) }
		if err := d.Open(keyedContext(func(side string) Receiver { return sides[side] })); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := d.Pool.Get()
			n := rapid.IntRange(1, 3*look).Draw(t, "records")
			for i := range n {
				if rapid.IntRange(0, 3).Draw(t, "step") == 0 {
					clock = max(clock, 0) + rapid.Int64Range(1, 30).Draw(t, "by")
					b.Advance(i, clock)
				}
				times[next] = max(clock, 0) + rapid.Int64Range(-50, 50).Draw(t, "at")
				b.Add(&next, times[next])
				judge(next)
				next++
			}
			if err := d.Process(b); err != nil {
				t.Fatal(err)
			}
		}
		for i, side := range []string{"", LateSide, DuplicateSide} {
			var got []int64
			for _, s := range sides[side].seen {
				got = append(got, s.record)
			}
			if !slices.Equal(got, want[i]) {
				t.Fatalf("output %q: got %v, want %v (times %v)", side, got, want[i], times)
			}
		}
		if got := d.c.Counters.Conflicts.Load(); got != conflicts {
			t.Fatalf("%d conflicts, want %d", got, conflicts)
		}
	})
}
