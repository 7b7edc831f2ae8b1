package scenario_test

import (
	"slices"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/window"
)

// firing is when windows give results.
type firing struct {
	alone, early, late window.Trigger
	discarding         bool
}

// when reads a part that says when windows give results: "trigger count 2", "early event-time 5s", "late watermark", "discarding".
func (b *builder) when(w []string) {
	switch w[0] {
	case "discarding":
		b.firing.discarding = true
	case "trigger":
		b.firing.alone = b.trigger(w[1:])
	case "early":
		b.firing.early = b.trigger(w[1:])
	case "late":
		b.firing.late = b.trigger(w[1:])
	}
}

// trigger reads a trigger; "or" stands between several of which any one counts, "then" between those that follow each other.
func (b *builder) trigger(w []string) window.Trigger {
	for word, join := range map[string]func(...window.Trigger) window.RepeatedTrigger{"or": window.AnyOf, "then": window.Sequence} {
		if i := slices.Index(w, word); i >= 0 {
			return join(b.trigger(w[:i]), b.trigger(w[i+1:]))
		}
	}
	w = append(slices.Clone(w), "") // the words are read again for the next run
	switch w[0] {
	case "record":
		return window.PerRecord()
	case "watermark":
		return window.PerWatermark()
	case "event-time":
		return window.EveryEventTime(b.duration(w, 1))
	case "processing":
		return window.Every(b.duration(w, 1))
	case "count":
		return window.EveryCount(b.number(w, 1))
	}
	b.fail("there is no trigger %q", w[0])
	return window.PerRecord()
}

// records reads count windows: "records 3", "records 3 every 2", each perhaps with "partial".
func (b *builder) records(w []string) window.Assigner {
	n := b.number(w, 1)
	every := n
	if i := slices.Index(w, "every"); i >= 0 {
		every = b.number(w, i+1)
	}
	count := window.CountSliding(n, every)
	if slices.Contains(w, "partial") {
		count = count.Partial()
	}
	return count
}

// fire gives windows the trigger of the scenario.
func (b *builder) fire(w millrace.Windowed[string, rec]) millrace.Windowed[string, rec] {
	f := b.firing
	if f.discarding {
		w = w.Discarding()
	}
	if f.alone != nil {
		return w.Trigger(f.alone)
	}
	if f.early == nil && f.late == nil {
		return w
	}
	t := window.AtEnd()
	if f.early != nil {
		t = t.Early(f.early)
	}
	if f.late != nil {
		t = t.Late(f.late)
	}
	return w.Trigger(t)
}
