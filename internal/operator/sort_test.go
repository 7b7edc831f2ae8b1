package operator

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

func newTestSort(t *rapid.T, out, late *recorder) *sortOp[int64, int64] {
	key, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	held, err := codec.For[Waiting[int64]]()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSort(SortConfig[int64, int64]{
		Key: func(r *int64) int64 { return *r % 3 }, KeyCodec: key, Held: held, Pool: element.NewPool[int64](4),
	}).(*sortOp[int64, int64])
	sides := map[string]Receiver{"": out, LateSide: late}
	if err := s.Open(keyedContext(func(side string) Receiver { return sides[side] })); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSortLetsRecordsGoInOrder: they come by time, key and arrival, each right behind the last watermark that does not reach it;
// and it is all the same when watermarks without a record between them are merged.
func TestSortLetsRecordsGoInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		single, merged := newRecorder(t), newRecorder(t)
		late, lateMerged := newRecorder(t), newRecorder(t)
		a, b := newTestSort(t, single, late), newTestSort(t, merged, lateMerged)
		batch := b.Pool.Get()
		clock, times, tooLate := int64(element.NoTime), []int64{}, 0
		for i := range rapid.Int64Range(0, 40).Draw(t, "records") {
			for range rapid.IntRange(0, 2).Draw(t, "watermarks") {
				clock = max(clock, -1) + rapid.Int64Range(1, 4).Draw(t, "by")
				if err := a.Watermark(clock); err != nil {
					t.Fatal(err)
				}
				batch.Advance(len(batch.Records), clock)
			}
			at := max(clock, 0) + rapid.Int64Range(-2, 9).Draw(t, "at")
			times = append(times, at)
			if at <= clock {
				tooLate++
			}
			one := a.Pool.Get()
			one.Add(&i, at)
			batch.Add(&i, at)
			if err := a.Process(one); err != nil {
				t.Fatal(err)
			}
		}
		batch.Advance(len(batch.Records), element.EndTime)
		if err := cmp.Or(a.Watermark(element.EndTime), b.Process(batch)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(single.seen, merged.seen) || !slices.Equal(late.seen, lateMerged.seen) {
			t.Fatalf("watermarks one by one give %v and late %v, merged they give %v and %v", single.seen, late.seen, merged.seen, lateMerged.seen)
		}
		if len(late.seen) != tooLate || len(single.seen)+tooLate != len(times) || a.space.Len() != 0 || len(a.queue) != 0 {
			t.Fatalf("of %d records, %d of them late, %d were let go and %d late; %d keys and %d entries are left",
				len(times), tooLate, len(single.seen), len(late.seen), a.space.Len(), len(a.queue))
		}
		order := func(a, b seen) int {
			return cmp.Or(cmp.Compare(times[a.record], times[b.record]), cmp.Compare(a.record%3, b.record%3), cmp.Compare(a.record, b.record))
		}
		if !slices.IsSortedFunc(single.seen, order) {
			t.Fatalf("not in order: %v, times %v", single.seen, times)
		}
		for _, s := range single.seen {
			if s.wm != times[s.record]-1 {
				t.Fatalf("record %d of time %d comes at the watermark %d", s.record, times[s.record], s.wm)
			}
		}
	})
}
