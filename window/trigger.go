package window

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Trigger says when a window gives a result: once, when the watermark has passed it (AtEnd), or before and after that too. It is a
// plain value that is given to Trigger of a windowed stream:
//
//	w.Trigger(window.AtEnd().
//		Early(window.Every(10 * time.Second)).
//		Late(window.PerRecord()))
//
// A trigger works for each key and window by itself, and what it remembers is in the checkpoint. It decides when there is a result and
// whether the window forgets its content after it, and never what is in it. A window without content gives no result, whatever its
// trigger says.
//
// Every, EveryCount, PerRecord, EveryEventTime and PerWatermark look at what has come since the last result of the key and window, so
// they give none when nothing is new. They begin anew after each result, whatever was the reason for it.
//
// A trigger other than AtEnd and Custom, given as it is, also gives a result at the end of the window, and when the window is forgotten,
// if something has come since the last one: so every record is in a result.
//
// Trigger is implemented by the types of this package only.
type Trigger interface {
	// TriggerSpec returns what the trigger says.
	TriggerSpec() TriggerSpec
	// Check returns all mistakes, joined; nil when there are none.
	Check() error

	sealedTrigger()
}

// TriggerKind is the family of a trigger.
type TriggerKind uint8

// The kinds of triggers.
const (
	// TriggerAtEnd fires when the watermark passes the end of the window.
	TriggerAtEnd TriggerKind = iota + 1
	// TriggerCount fires after a number of records.
	TriggerCount
	// TriggerProcessingTime fires a processing time after the first new record.
	TriggerProcessingTime
	// TriggerEventTime fires when the watermark reaches the next multiple of a length of event time.
	TriggerEventTime
	// TriggerWatermark fires when the watermark moves.
	TriggerWatermark
	// TriggerAnyOf fires when one of its parts does.
	TriggerAnyOf
	// TriggerAllOf fires when all of its parts have.
	TriggerAllOf
	// TriggerSequence fires as its first part does, then as its second, and so on.
	TriggerSequence
	// TriggerCustom is a user's own.
	TriggerCustom
)

// TriggerSpec is what a trigger says, in the form that the engine reads and describes in checkpoints.
type TriggerSpec struct {
	// Kind is the family.
	Kind TriggerKind
	// Count is that of TriggerCount.
	Count int64
	// Every is the length of TriggerProcessingTime and TriggerEventTime.
	Every time.Duration
	// Parts are those of TriggerAnyOf, TriggerAllOf and TriggerSequence. One of Kind 0 stands for nil.
	Parts []TriggerSpec
	// Early and Late are those of TriggerAtEnd, or nil.
	Early, Late *TriggerSpec
	// Custom is that of TriggerCustom.
	Custom *CustomSpec
}

// String returns the call that makes the trigger, such as "AtEnd().Early(Every(10s))".
func (s TriggerSpec) String() string {
	switch s.Kind {
	case TriggerAtEnd:
		call := "AtEnd()"
		if s.Early != nil {
			call += fmt.Sprintf(".Early(%v)", *s.Early)
		}
		if s.Late != nil {
			call += fmt.Sprintf(".Late(%v)", *s.Late)
		}
		return call
	case TriggerCount:
		if s.Count == 1 {
			return "PerRecord()"
		}
		return fmt.Sprintf("EveryCount(%d)", s.Count)
	case TriggerProcessingTime:
		return fmt.Sprintf("Every(%v)", s.Every)
	case TriggerEventTime:
		return fmt.Sprintf("EveryEventTime(%v)", s.Every)
	case TriggerWatermark:
		return "PerWatermark()"
	case TriggerAnyOf, TriggerAllOf, TriggerSequence:
		parts := make([]string, len(s.Parts))
		for i, p := range s.Parts {
			parts[i] = p.String()
		}
		name := map[TriggerKind]string{TriggerAnyOf: "AnyOf", TriggerAllOf: "AllOf", TriggerSequence: "Sequence"}[s.Kind]
		return fmt.Sprintf("%s(%s)", name, strings.Join(parts, ", "))
	case TriggerCustom:
		return s.Custom.String()
	}
	return "nil"
}

// Check returns all mistakes of the spec, joined; each says the part and the rule that it breaks.
func (s TriggerSpec) Check() error {
	if s.Kind != TriggerAtEnd {
		return s.checkPart()
	}
	var errs []error
	for _, p := range []*TriggerSpec{s.Early, s.Late} {
		if p != nil {
			errs = append(errs, p.checkPart())
		}
	}
	return errors.Join(errs...)
}

// checkPart checks a trigger that stands for itself or within others.
func (s TriggerSpec) checkPart() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("window: %v: "+format, append([]any{s}, args...)...)
	}
	switch s.Kind {
	case TriggerAtEnd:
		return wrong("AtEnd cannot be a part of another trigger: begin with it, and give it the others by Early and Late")
	case TriggerCount:
		if s.Count < 1 {
			return wrong("count is %d, it must be at least 1", s.Count)
		}
	case TriggerProcessingTime, TriggerEventTime:
		if s.Every <= 0 {
			return wrong("the time is %v, it must be greater than 0", s.Every)
		}
	case TriggerWatermark:
	case TriggerAnyOf, TriggerAllOf, TriggerSequence:
		if len(s.Parts) == 0 {
			return wrong("it has no parts: give it the triggers to join")
		}
		var errs []error
		for _, p := range s.Parts {
			errs = append(errs, p.checkPart())
		}
		return errors.Join(errs...)
	case TriggerCustom:
		return s.Custom.check()
	default:
		return errors.New("window: a trigger is nil: leave it out")
	}
	return nil
}

// Uses reports whether the trigger is of a kind or has a part that is.
func (s TriggerSpec) Uses(kind TriggerKind) bool {
	found := false
	s.Walk(func(p TriggerSpec) { found = found || p.Kind == kind })
	return found
}

// Walk calls f for the trigger and then for all its parts, one after the other.
func (s TriggerSpec) Walk(f func(TriggerSpec)) {
	f(s)
	for _, p := range s.Parts {
		p.Walk(f)
	}
	if s.Early != nil {
		s.Early.Walk(f)
	}
	if s.Late != nil {
		s.Late.Walk(f)
	}
}

// specOf returns the spec of a trigger that may be nil.
func specOf(t Trigger) TriggerSpec {
	if t == nil {
		return TriggerSpec{}
	}
	return t.TriggerSpec()
}

// AtEndTrigger is made by AtEnd.
type AtEndTrigger struct{ spec TriggerSpec }

// AtEnd returns the trigger that windows have when they are given none: a result when the watermark passes the end of the window, and
// one for each record that comes after that, within the allowed lateness.
//
// When results have come before, by Early, the one at the end comes all the same if the window keeps its content, since it says that
// the window is complete. If the window is discarding it comes only if something is new.
func AtEnd() AtEndTrigger { return AtEndTrigger{TriggerSpec{Kind: TriggerAtEnd}} }

// Early adds results before the end of the window, when t says so. They have the kind Early.
func (o AtEndTrigger) Early(t Trigger) AtEndTrigger {
	s := specOf(t)
	o.spec.Early = &s
	return o
}

// Late says when there are results of records that come after the end of the window, within the allowed lateness: t, instead of one
// for each record. What is new when the window is forgotten gives a last result, whatever t says. Late results have the kind Late.
func (o AtEndTrigger) Late(t Trigger) AtEndTrigger {
	s := specOf(t)
	o.spec.Late = &s
	return o
}

// TriggerSpec returns what the trigger says.
func (o AtEndTrigger) TriggerSpec() TriggerSpec { return o.spec }

// Check returns all mistakes, joined.
func (o AtEndTrigger) Check() error { return o.spec.Check() }

// String returns the call that makes the trigger.
func (o AtEndTrigger) String() string { return o.spec.String() }

func (AtEndTrigger) sealedTrigger() {}

// RepeatedTrigger is made by the functions of this package that return a trigger which fires again and again.
type RepeatedTrigger struct{ spec TriggerSpec }

// Every gives a result the processing time d after the first record that is new. So there is one at most each d, and none while nothing
// comes. When the job was not running at that time, the result comes at the start. When bounded input ends, the window fires
// as it does at its end, and not a second time for d.
func Every(d time.Duration) RepeatedTrigger {
	return RepeatedTrigger{TriggerSpec{Kind: TriggerProcessingTime, Every: d}}
}

// EveryCount gives a result when n records are new.
func EveryCount(n int64) RepeatedTrigger {
	return RepeatedTrigger{TriggerSpec{Kind: TriggerCount, Count: n}}
}

// PerRecord gives a result for each record.
func PerRecord() RepeatedTrigger { return EveryCount(1) }

// EveryEventTime gives a result when the watermark reaches a multiple of d of event time, counted from the start of 1970 in UTC, and a
// record before that time is new. So the records before that time are all in it. Unlike Every, it gives the same results in each run.
func EveryEventTime(d time.Duration) RepeatedTrigger {
	return RepeatedTrigger{TriggerSpec{Kind: TriggerEventTime, Every: d}}
}

// PerWatermark gives a result when the watermark moves and something is new. As a late trigger it makes one result of the late records
// that come together.
func PerWatermark() RepeatedTrigger { return RepeatedTrigger{TriggerSpec{Kind: TriggerWatermark}} }

// AnyOf gives a result when one of the triggers does. All of them then begin anew.
func AnyOf(triggers ...Trigger) RepeatedTrigger { return joined(TriggerAnyOf, triggers) }

// AllOf gives a result when all the triggers have said so since the last one, in any order.
func AllOf(triggers ...Trigger) RepeatedTrigger { return joined(TriggerAllOf, triggers) }

// Sequence gives the first result as the first trigger says, the second as the second one does, and so on; the last one goes on. It never
// goes back: what else gives results in between does not count. Sequence(PerRecord(), Every(time.Minute)) gives a first
// result at once and others each minute.
func Sequence(triggers ...Trigger) RepeatedTrigger { return joined(TriggerSequence, triggers) }

func joined(kind TriggerKind, triggers []Trigger) RepeatedTrigger {
	s := TriggerSpec{Kind: kind}
	for _, t := range triggers {
		s.Parts = append(s.Parts, specOf(t))
	}
	return RepeatedTrigger{s}
}

// TriggerSpec returns what the trigger says.
func (r RepeatedTrigger) TriggerSpec() TriggerSpec { return r.spec }

// Check returns all mistakes, joined.
func (r RepeatedTrigger) Check() error { return r.spec.Check() }

// String returns the call that makes the trigger.
func (r RepeatedTrigger) String() string { return r.spec.String() }

func (RepeatedTrigger) sealedTrigger() {}
