package operator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// TestSplitSendsEachRecordToOneBranch: with the watermark before it as it had, in its order; and every branch knows the last watermark.
func TestSplitSendsEachRecordToOneBranch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, element.NewPool[int64](8))
		sides := []string{"a", "b", "c", "rest"}
		// The first record goes to nowhere by itself, so that the rest is not always empty.
		to := rapid.SliceOfN(rapid.IntRange(-1, 2), len(want)+1, len(want)+1).Draw(t, "to")
		outs := map[string]*recorder{}
		for _, s := range sides {
			outs[s] = newRecorder(t)
		}
		op := NewSplit(element.NewPool[int64](3), sides[:3], "rest", func(r *int64) int { return to[*r] })
		c := testContext(nil)
		c.Outputs = func(side string) Receiver { return outs[side] }
		if err := op.Open(c); err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if err := op.Input(0).Process(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := op.Input(0).Idle(); err != nil {
			t.Fatal(err)
		}
		for i, side := range sides {
			var of []seen
			for _, w := range want {
				if to[w.record] == i || i == 3 && to[w.record] < 0 {
					of = append(of, w)
				}
			}
			if r := outs[side]; !slices.Equal(r.seen, of) || r.wm != last || r.idle != 1 {
				t.Fatalf("branch %s saw %v, the watermark %d at the end and %d idle marks; want %v, %d and 1", side, r.seen, r.wm, r.idle, of, last)
			}
		}
		if in, out := c.Counters.In.Load(), c.Counters.Out.Load(); in != out || in != int64(len(want)) {
			t.Fatalf("%d records taken and %d passed on, of %d", in, out, len(want))
		}
	})
}
