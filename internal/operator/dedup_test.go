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
	seen, err := codec.For[Seen]()
	if err != nil {
		t.Fatal(err)
	}
	return NewDedup(DedupConfig[int64, int64]{
		Horizon: horizon, Lateness: lateness, Key: id, KeyCodec: key, Seen: seen, Pool: element.NewPool[int64](8),
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
