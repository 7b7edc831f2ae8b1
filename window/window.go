package window

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the family of an assigner.
type Kind uint8

// The kinds of windows.
const (
	// KindTumbling windows follow each other without gap or overlap.
	KindTumbling Kind = iota + 1
	// KindSliding windows have one length and start at a shorter distance, so each record is in several.
	KindSliding
	// KindSession windows last until no record of the key has come for a gap of event time.
	KindSession
	// KindCumulative windows share a start and grow by a step, until they begin anew.
	KindCumulative
	// KindCalendar windows are days, weeks, months, quarters or years of a time zone.
	KindCalendar
	// KindSessionBy windows are sessions of which each record says how long it keeps them open.
	KindSessionBy
	// KindCount windows hold a number of records of a key.
	KindCount
	// KindGlobal windows hold all records of a key.
	KindGlobal
)

// String returns the kind in one word.
func (k Kind) String() string {
	switch k {
	case KindTumbling:
		return "tumbling"
	case KindSliding:
		return "sliding"
	case KindSession:
		return "session"
	case KindCumulative:
		return "cumulative"
	case KindCalendar:
		return "calendar"
	case KindCount:
		return "count"
	case KindGlobal:
		return "global"
	case KindSessionBy:
		return "session by record"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Spec is what an assigner says, in the form that the engine reads and stores in checkpoints.
type Spec struct {
	// Kind is the family.
	Kind Kind
	// Size is the length of a window, of cumulative ones that of the longest. It is 0 for sessions and calendars.
	Size time.Duration
	// Slide is the distance of two starts: Size for tumbling and cumulative windows, 0 for sessions and calendars.
	Slide time.Duration
	// Step is by how much cumulative windows grow. It is 0 for the other kinds.
	Step time.Duration
	// Gap ends a session. It is 0 for the other kinds.
	Gap time.Duration
	// Offset moves all starts: they are the times k*Slide + Offset.
	Offset time.Duration
	// Unit, Zone and FirstWeekday are those of calendars, the last of weeks only.
	Unit         Unit
	Zone         *time.Location
	FirstWeekday time.Weekday
	// Records is the number of records in a count window, Every how many records lie between the starts of two. Partial says that
	// those that are not full at the end of bounded input fire.
	Records, Every int64
	Partial        bool
}

// String returns the call that makes the spec, such as "Sliding(1h0m0s, 1m0s)".
func (s Spec) String() string {
	var call string
	switch s.Kind {
	case KindTumbling:
		call = fmt.Sprintf("Tumbling(%v)", s.Size)
	case KindSliding:
		call = fmt.Sprintf("Sliding(%v, %v)", s.Size, s.Slide)
	case KindSession:
		call = fmt.Sprintf("Session(%v)", s.Gap)
	case KindCumulative:
		call = fmt.Sprintf("Cumulative(%v, %v)", s.Size, s.Step)
	case KindCalendar:
		call = s.calendar()
	case KindCount:
		call = fmt.Sprintf("Count(%d)", s.Records)
		if s.Every != s.Records {
			call = fmt.Sprintf("CountSliding(%d, %d)", s.Records, s.Every)
		}
		if s.Partial {
			call += ".Partial()"
		}
	case KindGlobal:
		call = "Global()"
	case KindSessionBy:
		call = "SessionBy(gap)"
	default:
		return fmt.Sprintf("%v", s.Kind)
	}
	if s.Offset != 0 {
		call += fmt.Sprintf(".Offset(%v)", s.Offset)
	}
	return call
}

// MaxPanes is the largest number of panes that a sliding window may be cut into. The state of a window is kept per pane, and a
// pane is as long as the greatest common divisor of size and slide, so an odd pair of lengths can ask for billions of them.
const MaxPanes = 1 << 20

// Check returns all mistakes of the spec, joined; each says the value and the rule that it breaks.
func (s Spec) Check() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("window: %v: "+format, append([]any{s}, args...)...))
	}
	switch s.Kind {
	case KindTumbling:
		if s.Size <= 0 {
			wrong("size is %v, it must be greater than 0", s.Size)
		} else if s.Slide != s.Size {
			wrong("slide is %v, for tumbling windows it must be the size, %v", s.Slide, s.Size)
		}
	case KindSliding:
		if s.Size <= 0 {
			wrong("size is %v, it must be greater than 0", s.Size)
		}
		if s.Slide <= 0 {
			wrong("slide is %v, it must be greater than 0", s.Slide)
		}
		if len(errs) > 0 {
			break
		}
		if s.Slide > s.Size {
			wrong("slide %v is greater than size %v: the times between two windows would be in none, so records would be lost; "+
				"it must be at most the size", s.Slide, s.Size)
		} else if n := s.Size / gcd(s.Size, s.Slide); n > MaxPanes {
			wrong("size %v and slide %v share no divisor longer than %v, so a window has %d panes; %d are the most allowed: "+
				"make the size a multiple of the slide", s.Size, s.Slide, gcd(s.Size, s.Slide), n, MaxPanes)
		}
	case KindSession:
		if s.Gap <= 0 {
			wrong("gap is %v, it must be greater than 0", s.Gap)
		}
		if s.Offset != 0 {
			wrong("offset is %v, sessions begin with their first record and have none", s.Offset)
		}
	case KindCumulative:
		s.checkCumulative(wrong)
	case KindCalendar:
		s.checkCalendar(wrong)
	case KindCount:
		s.checkCount(wrong)
	case KindGlobal:
	case KindSessionBy:
		if s != (Spec{Kind: KindSessionBy}) {
			wrong("sessions by record have no lengths")
		}
	default:
		wrong("made by none of the functions of this package")
	}
	if s.Slide > 0 && (s.Offset <= -s.Slide || s.Offset >= s.Slide) {
		wrong("offset is %v, it must lie between -%v and %v, both excluded", s.Offset, s.Slide, s.Slide)
	}
	return errors.Join(errs...)
}

// gcd returns the greatest common divisor of two durations greater than 0.
func gcd(a, b time.Duration) time.Duration {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Assigner says which windows a record belongs to. It is implemented by the types of this package only.
type Assigner interface {
	// Spec returns what the assigner says.
	Spec() Spec
	// Check returns all mistakes, joined; nil when there are none.
	Check() error

	sealed()
}

// TumblingWindows is made by Tumbling.
type TumblingWindows struct{ spec Spec }

// Tumbling returns windows of the given length that follow each other: each record is in exactly one.
func Tumbling(size time.Duration) TumblingWindows {
	return TumblingWindows{Spec{Kind: KindTumbling, Size: size, Slide: size}}
}

// Offset returns the same windows moved by d, which must be shorter than the size and may be negative: days in a zone eight
// hours ahead of UTC begin at an offset of -8 hours.
func (w TumblingWindows) Offset(d time.Duration) TumblingWindows { w.spec.Offset = d; return w }

// Spec returns what the assigner says.
func (w TumblingWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w TumblingWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w TumblingWindows) String() string { return w.spec.String() }

func (TumblingWindows) sealed() {}

// SlidingWindows is made by Sliding.
type SlidingWindows struct{ spec Spec }

// Sliding returns windows of the given size of which one starts every slide: each record is in size/slide of them (one more or
// less when slide does not divide size). A slide greater than the size is a mistake.
func Sliding(size, slide time.Duration) SlidingWindows {
	return SlidingWindows{Spec{Kind: KindSliding, Size: size, Slide: slide}}
}

// Offset returns the same windows moved by d, which must be shorter than the slide and may be negative.
func (w SlidingWindows) Offset(d time.Duration) SlidingWindows { w.spec.Offset = d; return w }

// Spec returns what the assigner says.
func (w SlidingWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w SlidingWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w SlidingWindows) String() string { return w.spec.String() }

func (SlidingWindows) sealed() {}

// SessionWindows is made by Session.
type SessionWindows struct{ spec Spec }

// Session returns windows that hold the records of a key which follow each other at a distance of at most gap. A record at t
// opens [t, t+gap); windows that touch or overlap become one.
func Session(gap time.Duration) SessionWindows {
	return SessionWindows{Spec{Kind: KindSession, Gap: gap}}
}

// Spec returns what the assigner says.
func (w SessionWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w SessionWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w SessionWindows) String() string { return w.spec.String() }

func (SessionWindows) sealed() {}
