package millrace

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// firing says when windows give results and what stays in them.
type firing struct {
	trigger    window.Trigger
	given      bool // Trigger was called
	discarding bool
}

// Trigger says when the windows give results; without it they do when the watermark passes their end, and again for each late record
// within the allowed lateness. With a trigger that says something else, or Discarding, a record is added to each of the windows that it
// is in: sliding windows cost as many times more as they overlap.
func (w Windowed[K, T]) Trigger(t window.Trigger) Windowed[K, T] {
	w.firing.trigger, w.firing.given = t, true
	return w
}

// Discarding makes a window forget its content when it gives a result, so that each result is of other records and those of a window
// add up. Without it windows are accumulating: each result is of all records of the window, and replaces the one before.
func (w Windowed[K, T]) Discarding() Windowed[K, T] {
	w.firing.discarding = true
	return w
}

// spec returns the trigger of the windows.
func (f firing) spec() window.TriggerSpec {
	if f.trigger == nil {
		return window.AtEnd().TriggerSpec()
	}
	return f.trigger.TriggerSpec()
}

// triggered reports whether the windows need the operator that asks a trigger. The others are faster.
func (w Windowed[K, T]) triggered() bool {
	s := w.firing.spec()
	return w.endless() || w.firing.discarding || w.firing.given && w.firing.trigger == nil || s.Kind != window.TriggerAtEnd || s.Early != nil || s.Late != nil
}

// endless reports whether the windows have no end in event time, and so can do without.
func (w Windowed[K, T]) endless() bool {
	if w.assigner == nil {
		return false
	}
	kind := w.assigner.Spec().Kind
	return kind == window.KindCount || kind == window.KindGlobal
}

// timed reports whether the results have event times by which others can put them into windows.
func (w Windowed[K, T]) timed() bool { return w.keyed.stream.timed || !w.endless() }

// triggered makes the operator of windows that a trigger fires.
func triggered[K comparable, T, A, R any](
	w Windowed[K, T], a agg.Aggregator[T, A, R], own operator.Own[T, A, R], n *graph.Node, check func(error),
) func() operator.Op {
	spec, trigger := w.assigner.Spec(), w.firing.spec()
	value, err := codec.For[operator.Cells[A]]()
	check(accumulator(err))
	n.Types["window"] = spec.String()
	n.Types["state"] = codec.Describe[A]()
	n.Types["trigger"] = describeTrigger(trigger, w.firing.discarding)
	check(w.checkTrigger(trigger))
	cfg := operator.TriggerConfig[K, T, A, R]{
		Kind: spec.Kind, Count: spec.Records, Every: spec.Every, Partial: spec.Partial,
		Trigger: trigger, Discarding: w.firing.discarding, Lateness: int64(w.lateness), Timed: w.keyed.stream.timed,
		Key: w.keyed.key, KeyCodec: w.keyed.codec, Value: value, Agg: a,
		Pool: newPool[Pane[K, R]](operator.BatchSize), LatePool: newPool[T](operator.ExchangeSize),
		MissedPool: newPool[window.Missed[K, T]](operator.ExchangeSize), Own: own,
	}
	switch spec.Kind {
	case window.KindSession, window.KindSessionBy:
		if a.Merge == nil {
			check(errors.New("sessions merge, and this aggregator has no Merge"))
		}
		cfg.Gap, cfg.GapOf = int64(spec.Gap), w.gapOf(check)
	case window.KindCount, window.KindGlobal:
	default:
		panes, err := pane.New(spec)
		check(err)
		cfg.Windows, cfg.Single = panes.AppendWindows, panes.PanesPerWindow() == 1
	}
	return func() operator.Op { return operator.NewTriggered(cfg) }
}

// describeTrigger says all that decides how the state of a trigger is read.
func describeTrigger(s window.TriggerSpec, discarding bool) string {
	text := s.String()
	s.Walk(func(p window.TriggerSpec) {
		if p.Kind == window.TriggerCustom {
			text += fmt.Sprintf(" %s: %s", p.Custom.Name, p.Custom.State)
		}
	})
	if discarding {
		text += " discarding"
	}
	return text
}

// checkTrigger returns what is wrong with the trigger, or does not go together with the windows.
func (w Windowed[K, T]) checkTrigger(s window.TriggerSpec) error {
	spec := w.assigner.Spec()
	if w.firing.given && w.firing.trigger == nil {
		return errors.New("the trigger is nil: leave Trigger out")
	}
	if err := s.Check(); err != nil {
		return err
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case spec.Kind == window.KindGlobal && !w.firing.given:
		wrong("%v windows never end, so they need a trigger that says when there are results: give them one with Trigger, such as "+
			"window.EveryCount(100) or window.Every(time.Minute)", spec)
	case w.endless() && s.Late != nil:
		wrong("%v: no record is late for %v windows: leave Late out", s, spec)
	case s.Late != nil && w.lateness == 0:
		wrong("%v: without AllowedLateness no late record is taken: give it, or leave Late out", s)
	}
	if w.endless() && w.lateness > 0 {
		wrong("AllowedLateness is %v: no record is late for %v windows: leave it out", w.lateness, spec)
	}
	if w.endless() && !w.keyed.stream.timed && (s.Uses(window.TriggerEventTime) || s.Uses(window.TriggerWatermark)) {
		wrong("%v needs event time: give EventTime to the source", s)
	}
	s.Walk(func(p window.TriggerSpec) {
		if p.Kind != window.TriggerCustom {
			return
		}
		if want := reflect.TypeFor[T](); p.Custom.Record != want {
			wrong("%v is a trigger for records of type %v, and these are of type %v", p, p.Custom.Record, want)
		}
		if (spec.Kind == window.KindSession || spec.Kind == window.KindSessionBy) && !p.Custom.Merges {
			wrong("%v: sessions merge, and this trigger has no OnMerge", p)
		}
	})
	return errors.Join(errs...)
}
