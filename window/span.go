package window

import (
	"fmt"
	"time"
)

// Span is a range of event time in nanoseconds since the start of 1970 in UTC. Start belongs to it, End does not.
//
// A span that would reach beyond what an int64 holds (the years 1677 and 2262) ends there.
type Span struct {
	Start, End int64
}

// Last returns the last instant of the span: the event time of its results. The span fires when the watermark reaches it.
func (s Span) Last() int64 { return s.End - 1 }

// Contains reports whether the instant t is in the span.
func (s Span) Contains(t int64) bool { return s.Start <= t && t < s.End }

// Touches reports whether s and o overlap or one begins where the other ends. Sessions that touch are one.
func (s Span) Touches(o Span) bool { return s.Start <= o.End && o.Start <= s.End }

// Cover returns the shortest span that holds both.
func (s Span) Cover(o Span) Span { return Span{min(s.Start, o.Start), max(s.End, o.End)} }

// StartTime returns the start as a time in UTC.
func (s Span) StartTime() time.Time { return time.Unix(0, s.Start).UTC() }

// EndTime returns the end as a time in UTC.
func (s Span) EndTime() time.Time { return time.Unix(0, s.End).UTC() }

// String returns the span with its bounds in UTC, such as "[2026-01-01T00:00:00Z, 2026-01-01T01:00:00Z)".
func (s Span) String() string {
	return fmt.Sprintf("[%s, %s)", s.StartTime().Format(time.RFC3339Nano), s.EndTime().Format(time.RFC3339Nano))
}
