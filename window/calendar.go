package window

import (
	"fmt"
	"time"
)

// Unit is the length of the windows of a calendar.
type Unit uint8

// The units of Calendar. Shorter windows are those of Tumbling: hours are as long in every zone.
const (
	// Day is a date.
	Day Unit = iota + 1
	// Week is seven dates, from Monday or the day that FirstWeekday names.
	Week
	// Month is a month of the year.
	Month
	// Quarter is three months, from January, April, July or October.
	Quarter
	// Year is a year, from the first of January.
	Year
)

// String returns the name of the unit.
func (u Unit) String() string {
	switch u {
	case Day:
		return "Day"
	case Week:
		return "Week"
	case Month:
		return "Month"
	case Quarter:
		return "Quarter"
	case Year:
		return "Year"
	}
	return fmt.Sprintf("Unit(%d)", uint8(u))
}

// CalendarWindows is made by Calendar.
type CalendarWindows struct{ spec Spec }

// Calendar returns windows that are the days, weeks, months, quarters or years of a time zone. They follow each other like tumbling windows and
// are as long as the calendar says: the day on which clocks go forward has 23 hours, that on which they go back 25, February 28 days.
//
// A window begins at the first instant at which the clocks of the zone show its first date or a later one. That is midnight; where
// clocks go forward at midnight, it is one o'clock; a date that a zone has left out has no window; and where clocks go back from just after
// midnight to the evening before, the day has begun with the first of the two midnights.
//
// Take the zone from time.LoadLocation, which reads the time zone database of the machine; import time/tzdata to have a copy of it in
// the program. time.Local is refused, because results would differ from machine to machine. The name of the zone is stored in
// checkpoints. When a new release of the database moves the bounds of a window that a checkpoint holds open, the job does not start.
//
// Start and End of a pane are in UTC; time.Time.In shows them as the zone does.
func Calendar(unit Unit, zone *time.Location) CalendarWindows {
	return CalendarWindows{Spec{Kind: KindCalendar, Unit: unit, Zone: zone, FirstWeekday: time.Monday}}
}

// FirstWeekday returns the same weeks beginning on another day than Monday. For other units it is a mistake.
func (w CalendarWindows) FirstWeekday(d time.Weekday) CalendarWindows {
	w.spec.FirstWeekday = d
	return w
}

// Spec returns what the assigner says.
func (w CalendarWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w CalendarWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w CalendarWindows) String() string { return w.spec.String() }

func (CalendarWindows) sealed() {}

// calendar returns the call that makes the spec. The zone stands there by its name.
func (s Spec) calendar() string {
	zone := "nil"
	if s.Zone != nil {
		zone = s.Zone.String()
	}
	call := fmt.Sprintf("Calendar(%v, %s)", s.Unit, zone)
	if s.FirstWeekday != time.Monday {
		call += fmt.Sprintf(".FirstWeekday(%v)", s.FirstWeekday)
	}
	return call
}

func (s Spec) checkCalendar(wrong func(format string, args ...any)) {
	if s.Unit < Day || s.Unit > Year {
		wrong("the unit is none of Day, Week, Month, Quarter and Year")
	}
	switch {
	case s.Zone == nil:
		wrong("the time zone is nil, take one from time.LoadLocation, or time.UTC")
	case s.Zone.String() == "Local":
		wrong("the time zone is that of the machine, and results would differ from one to another: take it by its name from time.LoadLocation")
	case s.Zone.String() == "":
		wrong("the time zone has no name, so a checkpoint could not tell it from another: give it one")
	}
	if s.FirstWeekday < time.Sunday || s.FirstWeekday > time.Saturday {
		wrong("the first weekday is %d, it must be from time.Sunday to time.Saturday", int(s.FirstWeekday))
	} else if s.Unit != Week && s.FirstWeekday != time.Monday {
		wrong("only weeks have a first weekday")
	}
	if s.Offset != 0 {
		wrong("offset is %v, calendars have none: the zone says when days begin", s.Offset)
	}
}
