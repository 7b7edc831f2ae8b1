package progress

import (
	"math"
	"slices"
	"testing"
	"time"
)

// decide is the definition of idleness over the whole history: the intervals since the last record whose ends are both fair add up
// to After, and from then on nothing waits to be read.
func decide(after time.Duration, history []Look) bool {
	fair := func(l Look) bool { return l.AtEnd && !l.InFlight && !l.Backpressured }
	idle := false
	for now := range history {
		last := -1 // the last look with records
		for i := range history[:now+1] {
			if history[i].GotRecords {
				last = i
			}
		}
		var quiet int64
		for i := max(last, 0) + 1; i <= now; i++ {
			if fair(history[i]) && fair(history[i-1]) {
				quiet += max(history[i].Now-history[i-1].Now, 0)
			}
		}
		l := history[now]
		switch {
		case l.GotRecords || !l.AtEnd || l.InFlight:
			idle = false
		case !l.Backpressured && quiet >= int64(after):
			idle = true
		}
	}
	return idle
}

// TestIdlenessExhaustive compares with the definition on all short histories.
func TestIdlenessExhaustive(t *testing.T) {
	depth := 4
	if testing.Short() {
		depth = 3
	}
	const after = 3
	var visit func(d Idleness, history []Look)
	visit = func(d Idleness, history []Look) {
		if len(history) == depth {
			return
		}
		for bits := range 32 {
			l := Look{
				Now: 10, AtEnd: bits&1 != 0, InFlight: bits&2 != 0, Backpressured: bits&4 != 0, GotRecords: bits&8 != 0,
			}
			if len(history) > 0 {
				// Half of After or all of it, so that pauses matter.
				l.Now = history[len(history)-1].Now + 2 + int64(bits>>4)
			}
			next := slices.Concat(history, []Look{l})
			e := d
			if got, want := e.Observe(l), decide(after, next); got != want {
				t.Fatalf("after %+v: idle %v, want %v", next, got, want)
			}
			visit(e, next)
		}
	}
	visit(Idleness{After: after}, nil)
}

func TestIdlenessOff(t *testing.T) {
	for _, after := range []time.Duration{0, -1} {
		d := Idleness{After: after}
		for now := range int64(5) {
			if d.Observe(Look{Now: now * 1e15, AtEnd: true}) {
				t.Errorf("idle with After = %v", after)
			}
		}
	}
	if (&Idleness{After: -1}).Check() == nil || (&Idleness{}).Check() != nil {
		t.Error("Check must reject a negative After and accept 0")
	}
}

func TestIdlenessClockAtItsEnds(t *testing.T) {
	d := Idleness{After: math.MaxInt64}
	d.Observe(Look{Now: math.MinInt64, AtEnd: true})
	if !d.Observe(Look{Now: math.MaxInt64, AtEnd: true}) {
		t.Error("not idle after more time than a duration holds")
	}
	d = Idleness{After: 2}
	d.Observe(Look{Now: 10, AtEnd: true})
	d.Observe(Look{Now: 5, AtEnd: true}) // a clock set back counts nothing
	if d.Observe(Look{Now: 6, AtEnd: true}) {
		t.Error("idle after 1 ns")
	}
	if !d.Observe(Look{Now: 7, AtEnd: true}) {
		t.Error("not idle after 2 ns")
	}
}
