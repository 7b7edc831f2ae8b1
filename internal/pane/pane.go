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

// Layout is the alignment of tumbling or sliding windows, ready for use per record.
type Layout struct {
	size, slide, pane int64
	// slideOff and paneOff are the offset of the windows, brought into [0, slide) and [0, pane).
	slideOff, paneOff int64
}

// New returns the layout of tumbling or sliding windows. It fails when the spec has a mistake or is of another kind.
func New(s window.Spec) (Layout, error) {
	if err := s.Check(); err != nil {
		return Layout{}, fmt.Errorf("pane: %w", err)
	}
	if s.Kind != window.KindTumbling && s.Kind != window.KindSliding {
		return Layout{}, fmt.Errorf("pane: %v windows have no panes", s.Kind)
	}
	l := Layout{size: int64(s.Size), slide: int64(s.Slide)}
	l.pane = gcd(l.size, l.slide)
	// Window ends are aligned like starts modulo the pane, because the pane divides the size.
	l.slideOff = mod(int64(s.Offset), l.slide)
	l.paneOff = mod(int64(s.Offset), l.pane)
	return l, nil
}

// Size returns the length of a window in ns.
func (l *Layout) Size() int64 { return l.size }

// Slide returns the distance of two window starts in ns.
func (l *Layout) Slide() int64 { return l.slide }

// PaneSize returns the length of a pane in ns.
func (l *Layout) PaneSize() int64 { return l.pane }

// PanesPerWindow returns how many panes a window is made of.
func (l *Layout) PanesPerWindow() int { return int(l.size / l.pane) }

// Pane returns the pane that t falls into. Any time of a pane, its start included, gives the same pane.
func (l *Layout) Pane(t int64) window.Span {
	back := since(t, l.pane, l.paneOff)
	return window.Span{Start: subSat(t, back), End: addSat(t, l.pane-back)}
}

// First returns the earliest window that holds t.
func (l *Layout) First(t int64) window.Span {
	back := since(t, l.slide, l.slideOff)
	back += (l.size - 1 - back) / l.slide * l.slide
	return l.window(t, back)
}

// Last returns the latest window that holds t. When it is gone the pane of t is needed no more.
func (l *Layout) Last(t int64) window.Span {
	return l.window(t, since(t, l.slide, l.slideOff))
}

// AppendWindows appends to dst all windows that hold t, earliest first. They are the same for all times of a pane.
func (l *Layout) AppendWindows(dst []window.Span, t int64) []window.Span {
	back := since(t, l.slide, l.slideOff)
	for b := back + (l.size-1-back)/l.slide*l.slide; b >= back; b -= l.slide {
		dst = append(dst, l.window(t, b))
	}
	return dst
}

// AppendPanes appends to dst the panes of the window w, earliest first.
func (l *Layout) AppendPanes(dst []window.Span, w window.Span) []window.Span {
	for t := w.Start; t < w.End; {
		p := l.Pane(t)
		dst = append(dst, p)
		t = p.End
	}
	return dst
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
