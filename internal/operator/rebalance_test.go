package operator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// TestRebalanceKeepsWatermarks: each record comes to one target, behind no watermark that was not before it, and all targets know the last one.
func TestRebalanceKeepsWatermarks(t *testing.T) {
	pool := element.NewPool[int64](8)
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, pool)
		targets := make([]Sender, rapid.IntRange(2, 4).Draw(t, "targets"))
		records := make([]*recorder, len(targets))
		for i := range targets {
			records[i] = newRecorder(t)
			targets[i] = &wakeable{recorder: records[i]}
		}
		r := NewRebalance(targets)
		for _, b := range batches {
			if rapid.Bool().Draw(t, "idle") {
				if err := r.Idle(); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Process(b); err != nil {
				t.Fatal(err)
			}
			for i, s := range targets {
				if s.(*wakeable).idle && records[i].wm > element.NoTime {
					t.Fatalf("target %d is idle while another has records", i)
				}
			}
		}
		var got []seen
		for i, s := range records {
			if s.wm != last {
				t.Fatalf("target %d knows the watermark %d, want %d", i, s.wm, last)
			}
			got = append(got, s.seen...)
		}
		slices.SortFunc(got, func(a, b seen) int { return int(a.record - b.record) })
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// wakeable is a target that hears a watermark again when it is not idle any more.
type wakeable struct {
	*recorder
	idle bool
}

func (w *wakeable) Push(el element.Element) error {
	again := w.idle && el.Kind == element.KindWatermark && el.Time == w.wm
	w.idle = el.Kind == element.KindIdle
	if again {
		return nil
	}
	return w.recorder.Push(el)
}
