package pane

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// calendar is the windows of a time zone.
//
// A window begins at the first instant at which the clocks of the zone show its first midnight or more. So windows are ranges of time even
// where clocks go back across midnight, when a date comes twice; and a date that the zone leaves out has an empty window, which nothing is in.
type calendar struct {
	unit  window.Unit
	zone  *time.Location
	first time.Weekday
}

// span returns the window that t, in ns since 1970, falls into.
func (c *calendar) span(t int64) window.Span {
	at := time.Unix(0, t).In(c.zone)
	from := c.floor(at)
	start, end := c.begin(from), c.begin(c.next(from))
	// After clocks have gone back across midnight they show a date whose window is over, perhaps.
	for !at.Before(end) {
		from = c.next(from)
		start, end = end, c.begin(c.next(from))
	}
	return window.Span{Start: nanos(start), End: nanos(end)}
}

// floor returns the first midnight of the window of the date that the clocks show at t. Midnights are times in UTC that look like those of the zone.
func (c *calendar) floor(t time.Time) time.Time {
	year, month, day := t.Date()
	switch c.unit {
	case window.Week:
		day -= (int(t.Weekday()) - int(c.first) + 7) % 7
	case window.Month:
		day = 1
	case window.Quarter:
		month, day = month-(month-1)%3, 1
	case window.Year:
		month, day = time.January, 1
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// next returns the first midnight of the window after one.
func (c *calendar) next(from time.Time) time.Time {
	switch c.unit {
	case window.Week:
		return from.AddDate(0, 0, 7)
	case window.Month:
		return from.AddDate(0, 1, 0)
	case window.Quarter:
		return from.AddDate(0, 3, 0)
	case window.Year:
		return from.AddDate(1, 0, 0)
	}
	return from.AddDate(0, 0, 1)
}

// farthest is more than the clocks of any zone are away from UTC.
const farthest = 26 * time.Hour

// begin returns the first instant at which the clocks of the zone show a midnight or more.
func (c *calendar) begin(midnight time.Time) time.Time {
	at := midnight.Add(-farthest) // the clocks do not show it yet
	for {
		_, end := at.In(c.zone).ZoneBounds()
		_, offset := at.In(c.zone).Zone()
		if t := midnight.Add(-time.Duration(offset) * time.Second); end.IsZero() || t.Before(end) {
			if t.After(at) {
				return t
			}
			return at // the clocks have gone forward over it
		}
		at = end
	}
}

// nanos returns t in ns since 1970, or the end of their range.
func nanos(t time.Time) int64 {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	default:
		return s * int64(time.Second)
	}
}
