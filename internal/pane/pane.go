// Package pane is the arithmetic of windows: which pane a time falls into, and which windows a pane is part of.
//
// The bounds of sliding windows cut time into panes that each window holds whole or not at all. State is kept per pane, so a
// record is added once and not once per window:
//
//	size 3, slide 2, pane 1 (their greatest common divisor)
//
//	time     0   1   2   3   4   5   6   7
//	panes    |   |   |   |   |   |   |   |
//	windows  [-----------)
//	                 [-----------)
//	                         [-----------)
//
// Cumulative windows are cut by their step, windows of a calendar are one pane each.
//
// Times are int64 nanoseconds and may be negative. A bound that does not fit stands at the end of the range instead; as the
// largest int64 is no event time (it is the watermark after the end), every event time is still inside its windows.
//
// The package is not for sessions, which have no alignment, except for the span that one record opens.
package pane

import (
	"fmt"
	"math"

	"github.com/millrace-stream/millrace/window"
)

// Layout says where windows and panes begin and end. It is read by all subtasks of an operator.
//
// The windows of a pane, and so of a time, have an order: by end and, where ends are cut off at the end of the range, by start. A window that
// ends later than another holds no pane that is older than all of the other's. First, Last, Next and FirstAfter go by that order.
type Layout struct {
	size, slide, pane int64
	// slideOff and paneOff are the offset of the windows, brought into [0, slide) and [0, pane).
	slideOff, paneOff int64
	// grows says that windows share a start and grow by a pane.
	grows bool
	// dates, if not nil, are the windows, and nothing above counts.
	dates *calendar
}

// New returns the layout of windows. It fails when the spec has a mistake or is of sessions.
func New(s window.Spec) (Layout, error) {
	if err := s.Check(); err != nil {
		return Layout{}, fmt.Errorf("pane: %w", err)
	}
	l := Layout{size: int64(s.Size), slide: int64(s.Slide)}
	switch s.Kind {
	case window.KindTumbling, window.KindSliding:
		l.pane = gcd(l.size, l.slide)
	case window.KindCumulative:
		l.pane, l.grows = int64(s.Step), true
	case window.KindCalendar:
		return Layout{dates: &calendar{unit: s.Unit, zone: s.Zone, first: s.FirstWeekday}}, nil
	default:
		return Layout{}, fmt.Errorf("pane: %v windows have no panes", s.Kind)
	}
	// Window ends are aligned like starts modulo the pane, because the pane divides the size.
	l.slideOff = mod(int64(s.Offset), l.slide)
	l.paneOff = mod(int64(s.Offset), l.pane)
	return l, nil
}

// Size returns the length of the longest window in ns. A calendar has none.
func (l *Layout) Size() int64 { return l.size }

// PanesPerWindow returns how many panes a window is made of at most.
func (l *Layout) PanesPerWindow() int {
	if l.dates != nil {
		return 1
	}
	return int(l.size / l.pane)
}

// Grows reports whether windows share a start and grow by a pane.
func (l *Layout) Grows() bool { return l.grows }

// Pane returns the pane that t falls into. Any time of a pane, its start included, gives the same pane.
func (l *Layout) Pane(t int64) window.Span {
	if l.dates != nil {
		return l.dates.span(t)
	}
	back := since(t, l.pane, l.paneOff)
	return window.Span{Start: subSat(t, back), End: addSat(t, l.pane-back)}
}

// Index returns the number of the pane that t falls into: those after each other have numbers after each other. A calendar does
// not number its panes: it gives 0.
func (l *Layout) Index(t int64) int64 {
	if l.dates != nil {
		return 0
	}
	n := t / l.pane
	if t%l.pane < 0 {
		n--
	}
	if mod(t, l.pane) < l.paneOff {
		n--
	}
	return n
}

// First returns the first window that holds t.
func (l *Layout) First(t int64) window.Span {
	if l.dates != nil {
		return l.dates.span(t)
	}
	back := since(t, l.slide, l.slideOff)
	if l.grows {
		return window.Span{Start: subSat(t, back), End: l.Pane(t).End}
	}
	back += (l.size - 1 - back) / l.slide * l.slide
	return l.window(t, back)
}

// Last returns the last window that holds t. When it is gone the pane of t is needed no more.
func (l *Layout) Last(t int64) window.Span {
	if l.dates != nil {
		return l.dates.span(t)
	}
	return l.window(t, since(t, l.slide, l.slideOff))
}

// Next returns the window after w among those of a pane. It must not be the last one of a pane.
func (l *Layout) Next(w window.Span) window.Span {
	if l.grows {
		return window.Span{Start: w.Start, End: addSat(w.End, l.pane)}
	}
	return l.shift(w, l.slide)
}

// FirstAfter returns the first window that holds t and whose last instant is after the clock. The last one that holds t must be such.
func (l *Layout) FirstAfter(t, clock int64) window.Span {
	first := l.First(t)
	if first.Last() > clock {
		return first
	}
	step := l.slide
	if l.grows {
		step = l.pane
	}
	by := ((clock-first.Last())/step + 1) * step
	if l.grows {
		return window.Span{Start: first.Start, End: addSat(first.End, by)}
	}
	return l.shift(first, by)
}

// shift moves a sliding window, to one that has a time in common with it.
func (l *Layout) shift(w window.Span, by int64) window.Span {
	if w.Start > math.MinInt64 {
		return window.Span{Start: addSat(w.Start, by), End: addSat(addSat(w.Start, by), l.size)}
	}
	// The start is cut off, and so the end is what counts.
	end := addSat(w.End, by)
	return window.Span{Start: subSat(end, l.size), End: end}
}

// AppendWindows appends to dst all windows that hold t, in their order. They are the same for all times of a pane.
func (l *Layout) AppendWindows(dst []window.Span, t int64) []window.Span {
	if l.dates != nil {
		return append(dst, l.dates.span(t))
	}
	w, last := l.First(t), l.Last(t)
	for ; w.End < last.End || w.Start < last.Start; w = l.Next(w) {
		dst = append(dst, w)
	}
	return append(dst, last)
}

// window returns the window that started back ns before t.
func (l *Layout) window(t, back int64) window.Span {
	return window.Span{Start: subSat(t, back), End: addSat(t, l.size-back)}
}

// Session returns the session that one record at t opens.
func Session(t, gap int64) window.Span { return window.Span{Start: t, End: addSat(t, gap)} }

// since returns how long before t the last multiple of step, moved by off, lies. It needs 0 <= off < step.
func since(t, step, off int64) int64 {
	r := mod(t, step) - off
	if r < 0 {
		r += step
	}
	return r
}

// mod returns t modulo step in [0, step), for negative t too.
func mod(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return r
}

// addSat returns a + b for b >= 0, or the largest int64 when that does not fit.
func addSat(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// subSat returns a - b for b >= 0, or the smallest int64 when that does not fit.
func subSat(a, b int64) int64 {
	if a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}

// gcd returns the greatest common divisor of two numbers greater than 0.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
