package operator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWakeups: entries come out by time, whatever the order in which they went in and others came out.
func TestWakeups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wakeups[int]
		var want []int64
		for i, n := 0, rapid.IntRange(1, 200).Draw(t, "n"); i < n; i++ {
			if len(want) > 0 && rapid.Bool().Draw(t, "pop") {
				slices.Sort(want)
				e := w.pop()
				if e.at != want[0] || e.key != int(e.at)*3 {
					t.Fatalf("got %+v, want the time %d", e, want[0])
				}
				want = want[1:]
				continue
			}
			at := rapid.Int64Range(-20, 20).Draw(t, "at")
			w.push(wakeup[int]{at: at, key: int(at) * 3})
			want = append(want, at)
		}
		if len(w) != len(want) {
			t.Fatalf("%d entries, want %d", len(w), len(want))
		}
	})
}

// TestWakeupsDoNotAllocate: a heap that has its size is used without the garbage collector.
func TestWakeupsDoNotAllocate(t *testing.T) {
	w := make(wakeups[string], 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		for i := range 64 {
			w.push(wakeup[string]{at: int64(i * 37 % 64), key: "k"})
		}
		for range 64 {
			w.pop()
		}
	}); n > 0 {
		t.Errorf("%v allocations for 64 entries, want 0", n)
	}
}
