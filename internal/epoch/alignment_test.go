package epoch

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/millrace-stream/millrace/internal/element"
)

// history is the definition of alignment: everything that happened to one task so far.
type history struct {
	seen    [][]uint64 // barriers of each input
	aborted uint64
	waits   uint64 // the largest epoch for which inputs are blocked
}

func (h *history) clone() *history {
	c := &history{aborted: h.aborted, waits: h.waits}
	for _, s := range h.seen {
		c.seen = append(c.seen, slices.Clone(s))
	}
	return c
}

func (h *history) last(i int) uint64 {
	if s := h.seen[i]; len(s) > 0 {
		return s[len(s)-1]
	}
	return 0
}

// newest returns the largest epoch that any input has brought.
func (h *history) newest() (e uint64) {
	for k := range h.seen {
		e = max(e, h.last(k))
	}
	return e
}

// complete reports whether all inputs have brought the barrier.
func (h *history) complete(epoch uint64) bool {
	for _, s := range h.seen {
		if !slices.Contains(s, epoch) {
			return false
		}
	}
	return true
}

// blocked: the input has brought what is waited for, and that is an epoch to wait for.
func (h *history) blocked(i int) bool { return h.brought(i) && h.last(i) <= h.waits }

// brought: the last barrier of the input is that of the newest epoch that any input has brought, which is neither complete nor given up.
func (h *history) brought(i int) bool {
	newest := h.newest()
	return newest > 0 && h.last(i) == newest && newest > h.aborted && !h.complete(newest)
}

// TestAlignmentExhaustive runs all sequences of barriers and aborts up to a depth against the definition.
func TestAlignmentExhaustive(t *testing.T) {
	exhaust(t, math.MaxUint64)
}

// TestTrackingExhaustive does so for tasks that wait for no epoch, and for epoch 1 only.
func TestTrackingExhaustive(t *testing.T) {
	exhaust(t, 0)
	exhaust(t, 1)
}

func exhaust(t *testing.T, waits uint64) {
	for _, size := range []struct {
		inputs, depth int
		epochs        uint64
	}{{1, 5, 4}, {2, 6, 4}, {3, 6, 3}} {
		if testing.Short() || waits < math.MaxUint64 { // more is allowed without waiting, so there are more sequences
			size.depth--
		}
		steps := 0
		var visit func(a *Alignment, h *history, path []string)
		visit = func(a *Alignment, h *history, path []string) {
			if len(path) == size.depth {
				return
			}
			for e := uint64(1); e <= size.epochs; e++ {
				for i := range size.inputs {
					steps++
					a2, h2, path := cloneAlignment(a), h.clone(), append(path, fmt.Sprintf("%d on %d", e, i))
					wantErr := h.blocked(i) || e <= h.last(i)
					got, err := a2.Barrier(i, element.Barrier{Epoch: e})
					if (err != nil) != wantErr {
						t.Fatalf("%v: error %v, want one: %v", path, err, wantErr)
					}
					if err != nil {
						continue
					}
					h2.seen[i] = append(h2.seen[i], e)
					// A newer barrier says that the epoch was given up before this task heard of it.
					if want := h2.complete(e) && e > h.aborted && e == h2.newest(); got != want {
						t.Fatalf("%v: aligned %v, want %v", path, got, want)
					}
					checkBlocked(t, a2, h2, path)
					visit(a2, h2, path)
				}
				a2, h2, path := cloneAlignment(a), h.clone(), append(path, fmt.Sprintf("abort %d", e))
				before := a2.Current()
				h2.aborted = max(h2.aborted, e)
				if released := a2.Abort(e); released != (before > 0 && before <= e) {
					t.Fatalf("%v: released %v, waited for %d", path, released, before)
				}
				checkBlocked(t, a2, h2, path)
				visit(a2, h2, path)
			}
		}
		a, err := NewAlignment(size.inputs, 0)
		if waits < math.MaxUint64 {
			a, err = NewTracking(size.inputs, 0, waits)
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(a, &history{seen: make([][]uint64, size.inputs), waits: waits}, nil)
		t.Logf("%d inputs, depth %d: %d steps", size.inputs, size.depth, steps)
	}
}

func cloneAlignment(a *Alignment) *Alignment {
	c := *a
	c.inputs = slices.Clone(a.inputs)
	return &c
}

func checkBlocked(t *testing.T, a *Alignment, h *history, path []string) {
	t.Helper()
	some := false
	for i := range h.seen {
		if a.Blocked(i) != h.blocked(i) {
			t.Fatalf("A1: %v: input %d blocked %v, want %v", path, i, a.Blocked(i), h.blocked(i))
		}
		some = some || h.brought(i)
		if a.Current() != 0 && slices.Contains(a.Missing(), i) == h.brought(i) {
			t.Fatalf("%v: missing %v, input %d blocked %v", path, a.Missing(), i, h.blocked(i))
		}
	}
	if some != (a.Current() != 0) {
		t.Fatalf("%v: waits for %d, but some input has brought it: %v", path, a.Current(), some)
	}
}

func TestAlignmentWithoutInputs(t *testing.T) {
	a, err := NewAlignment(0, 7)
	if err != nil {
		t.Fatal(err)
	}
	if aligned, err := a.Barrier(0, element.Barrier{Epoch: 8}); !aligned || err != nil {
		t.Errorf("Barrier = %v, %v, want it aligned at once", aligned, err)
	}
	if _, err := NewAlignment(-1, 0); err == nil {
		t.Error("NewAlignment(-1): no error")
	}
}

func TestAlignmentRejects(t *testing.T) {
	type in struct {
		input int
		epoch uint64
		final bool
	}
	for name, seq := range map[string][]in{
		"an input that does not exist":        {{2, 8, false}},
		"a negative input":                    {{-1, 8, false}},
		"the restored epoch":                  {{0, 7, false}},
		"epoch 0":                             {{0, 0, false}},
		"a barrier from a blocked input":      {{0, 8, false}, {0, 9, false}},
		"a barrier twice":                     {{0, 8, false}, {1, 8, false}, {0, 8, false}},
		"disagreement whether it is final":    {{0, 8, true}, {1, 8, false}},
		"disagreement the other way":          {{0, 8, false}, {1, 8, true}},
		"an epoch after the final one":        {{0, 8, true}, {1, 8, true}, {0, 9, false}},
		"an epoch after the final of another": {{0, 8, true}, {1, 9, false}},
		"a final one before another":          {{0, 9, false}, {1, 8, true}},
	} {
		a, err := NewAlignment(2, 7)
		if err != nil {
			t.Fatal(err)
		}
		for k, b := range seq {
			_, err := a.Barrier(b.input, element.Barrier{Epoch: b.epoch, Final: b.final})
			if last := k == len(seq)-1; (err != nil) != last {
				t.Errorf("%s: barrier %d of %d gave %v", name, k+1, len(seq), err)
			}
		}
	}
}

func TestAlignmentFinalIsTriedAgain(t *testing.T) {
	a, _ := NewAlignment(2, 0)
	for _, s := range []struct {
		input int
		b     element.Barrier
		want  bool
	}{
		{0, element.Barrier{Epoch: 1}, false},
		{1, element.Barrier{Epoch: 1}, true},
		{0, element.Barrier{Epoch: 2, Final: true}, false},
		{1, element.Barrier{Epoch: 3, Final: true}, false}, // 2 failed before this source was told of it
		{0, element.Barrier{Epoch: 3, Final: true}, true},
	} {
		if got, err := a.Barrier(s.input, s.b); got != s.want || err != nil {
			t.Fatalf("Barrier(%d, %+v) = %v, %v, want %v", s.input, s.b, got, err, s.want)
		}
	}
}
