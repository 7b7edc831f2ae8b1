package window

import "time"

// CumulativeWindows is made by Cumulative.
type CumulativeWindows struct{ spec Spec }

// Cumulative returns windows that share a start and grow by step until they have the size, when the next ones start: with a size of a
// day and a step of an hour, they hold the day up to one o'clock, up to two, and so on, and each of them has its result. A record is in
// the window that ends with its step and in all that follow with the same start. The size must be a multiple of step.
//
// A record costs one update, whatever the number of windows. The aggregator needs a Merge unless step is the size.
func Cumulative(size, step time.Duration) CumulativeWindows {
	return CumulativeWindows{Spec{Kind: KindCumulative, Size: size, Slide: size, Step: step}}
}

// Offset returns the same windows moved by d, which must be shorter than the size and may be negative.
func (w CumulativeWindows) Offset(d time.Duration) CumulativeWindows { w.spec.Offset = d; return w }

// Spec returns what the assigner says.
func (w CumulativeWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w CumulativeWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w CumulativeWindows) String() string { return w.spec.String() }

func (CumulativeWindows) sealed() {}

func (s Spec) checkCumulative(wrong func(format string, args ...any)) {
	if s.Size <= 0 {
		wrong("size is %v, it must be greater than 0", s.Size)
	}
	if s.Step <= 0 {
		wrong("step is %v, it must be greater than 0", s.Step)
	}
	if s.Size <= 0 || s.Step <= 0 {
		return
	}
	switch n := s.Size / s.Step; {
	case s.Slide != s.Size:
		wrong("slide is %v, for cumulative windows it must be the size, %v", s.Slide, s.Size)
	case s.Size%s.Step != 0:
		wrong("size %v is not a multiple of step %v, so the longest window would not end with a step", s.Size, s.Step)
	case n > MaxPanes:
		wrong("size %v has %d steps of %v; %d are the most allowed: make the step longer", s.Size, n, s.Step, MaxPanes)
	}
}
