package pane

import (
	"math"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/window"
)

func zone(t fataler, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestWindowsOfKnownDates: bounds as the rules of the zones say, taken from announcements of the changes and not from a computation.
func TestWindowsOfKnownDates(t *testing.T) {
	for _, tc := range []struct {
		why, zone     string
		unit          window.Unit
		t, start, end string
	}{
		{"clocks go forward: 23 hours", "Europe/Berlin", window.Day, "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"clocks go back: 25 hours", "Europe/Berlin", window.Day, "2024-10-27T00:30:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"},
		{"a month with an hour less", "Europe/Berlin", window.Month, "2024-03-01T12:00:00Z", "2024-02-29T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"a year has both changes", "Europe/Berlin", window.Year, "2024-07-01T00:00:00Z", "2023-12-31T23:00:00Z", "2024-12-31T23:00:00Z"},
		{"a quarter from winter to summer", "Europe/Berlin", window.Quarter, "2024-02-29T00:00:00Z", "2023-12-31T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"a week with 167 hours", "Europe/Berlin", window.Week, "2024-03-31T12:00:00Z", "2024-03-24T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"forward", "America/New_York", window.Day, "2024-03-10T06:59:59Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"},
		{"back", "America/New_York", window.Day, "2024-11-03T06:30:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},
		{"there is no midnight", "America/Sao_Paulo", window.Day, "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"the day before there is no midnight", "America/Sao_Paulo", window.Day, "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"the last hour of the day comes twice", "America/Sao_Paulo", window.Day, "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
		{"three quarters of an hour", "Asia/Kathmandu", window.Day, "2024-05-01T00:00:00Z", "2024-04-30T18:15:00Z", "2024-05-01T18:15:00Z"},
		{"before the date that is missing", "Pacific/Apia", window.Day, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"after the date that is missing", "Pacific/Apia", window.Day, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"a month of 30 days instead of 31", "Pacific/Apia", window.Month, "2011-12-30T10:00:00Z", "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"half an hour more", "Australia/Lord_Howe", window.Day, "2024-04-07T12:00:00Z", "2024-04-06T13:00:00Z", "2024-04-07T13:30:00Z"},
		{"half an hour less", "Australia/Lord_Howe", window.Day, "2024-10-05T13:30:00Z", "2024-10-05T13:30:00Z", "2024-10-06T13:00:00Z"},
		{"back from a minute after midnight", "America/St_Johns", window.Day, "2006-10-29T02:30:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z"},
		{"the evening before for the second time", "America/St_Johns", window.Day, "2006-10-29T02:45:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z"},
		{"leap year", "UTC", window.Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"no leap year", "UTC", window.Month, "1900-02-28T23:59:59Z", "1900-02-01T00:00:00Z", "1900-03-01T00:00:00Z"},
		{"last quarter", "UTC", window.Quarter, "2024-12-31T00:00:00Z", "2024-10-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{"a week over the new year", "UTC", window.Week, "2025-01-01T00:00:00Z", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z"},
		{"Sunday is the last day", "UTC", window.Week, "2024-06-09T23:59:59Z", "2024-06-03T00:00:00Z", "2024-06-10T00:00:00Z"},
		{"before 1970", "UTC", window.Day, "1969-12-31T23:59:59Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"local mean time", "Europe/Berlin", window.Day, "1800-01-01T12:00:00Z", "1799-12-31T23:06:32Z", "1800-01-01T23:06:32Z"},
	} {
		l := layout(t, window.Calendar(tc.unit, zone(t, tc.zone)))
		at := func(s string) int64 {
			x, err := time.Parse(time.RFC3339, s)
			if err != nil {
				t.Fatal(err)
			}
			return x.UnixNano()
		}
		got, want := l.Pane(at(tc.t)), window.Span{Start: at(tc.start), End: at(tc.end)}
		if got != want {
			t.Errorf("%s: %v of %s in %s is %v, want %v", tc.why, tc.unit, tc.t, tc.zone, got, want)
		}
		if l.First(at(tc.t)) != got || l.Last(at(tc.t)) != got || l.FirstAfter(at(tc.t), got.Last()-1) != got || len(l.AppendWindows(nil, at(tc.t))) != 1 {
			t.Errorf("%s: the pane is not the only window", tc.why)
		}
	}
	sundays := layout(t, window.Calendar(window.Week, time.UTC).FirstWeekday(time.Sunday))
	if got, want := sundays.Pane(0).String(), "[1969-12-28T00:00:00Z, 1970-01-04T00:00:00Z)"; got != want {
		t.Errorf("the week of 1970-01-01 from Sunday is %s, want %s", got, want)
	}
}

// TestWindowsOfCalendarsAtTheEndsOfTheRange: bounds that do not fit stand at the ends, as for other windows.
func TestWindowsOfCalendarsAtTheEndsOfTheRange(t *testing.T) {
	l := layout(t, window.Calendar(window.Year, time.UTC))
	if got := l.Pane(math.MaxInt64 - 1); got.Start != time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() || got.End != math.MaxInt64 {
		t.Errorf("the last year is %v", got)
	}
	if got := l.Pane(math.MinInt64 + 1); got.End != time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() || got.Start != math.MinInt64 {
		t.Errorf("the first year is %v", got)
	}
}

var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "America/St_Johns",
	"America/Havana", "Asia/Tehran", "Africa/Casablanca", "Pacific/Kwajalein", "Asia/Manila", "America/Godthab", "Antarctica/Troll", "Asia/Amman",
}

// midnight finds, by looking at every second around it, the first instant at which the clocks show the date or a later one.
func midnight(z *time.Location, year int, month time.Month, day int) int64 {
	want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	shows := func(s int64) bool {
		_, offset := time.Unix(s, 0).In(z).Zone()
		return s+int64(offset) >= want
	}
	s := want - 26*3600
	for !shows(s+59) && !shows(s) {
		s += 60
	}
	for !shows(s) {
		s++
	}
	return s * int64(time.Second)
}

// TestCalendarAgainstSearch compares with a search over instants, which knows no bounds of zones.
func TestCalendarAgainstSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		unit := window.Unit(rapid.IntRange(int(window.Day), int(window.Year)).Draw(t, "unit"))
		first := time.Monday
		if unit == window.Week {
			first = time.Weekday(rapid.IntRange(0, 6).Draw(t, "first weekday"))
		}
		at := time.Unix(rapid.Int64Range(-2_200_000_000, 4_100_000_000).Draw(t, "time"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		if rapid.Bool().Draw(t, "at a change of clocks") {
			if _, change := at.In(z).ZoneBounds(); !change.IsZero() {
				at = change.Add(time.Duration(rapid.Int64Range(-90, 90).Draw(t, "minutes")) * time.Minute)
			}
		}
		// The window of the date that is shown, or the one after it where clocks have gone back across midnight.
		year, month, day := at.In(z).Date()
		months := 0
		switch unit {
		case window.Week:
			day -= (int(at.In(z).Weekday()) + 7 - int(first)) % 7
		case window.Month:
			day, months = 1, 1
		case window.Quarter:
			month, day, months = (month-1)/3*3+1, 1, 3
		case window.Year:
			month, day, months = 1, 1, 12
		}
		days := map[window.Unit]int{window.Day: 1, window.Week: 7}[unit]
		begin := func(n int) int64 { return midnight(z, year, month+time.Month(n*months), day+n*days) }
		want := window.Span{Start: begin(0), End: begin(1)}
		for n := 1; want.End <= at.UnixNano(); n++ {
			want = window.Span{Start: begin(n), End: begin(n + 1)}
		}
		l := layout(t, window.Calendar(unit, z).FirstWeekday(first))
		got := l.Pane(at.UnixNano())
		if got != want {
			t.Fatalf("%v of %v in %v from %v is %v, want %v", unit, at.UTC(), z, first, got, want)
		}
		if !got.Contains(at.UnixNano()) || l.Pane(got.Start) != got || l.Pane(got.Last()) != got || l.Pane(got.End).Start != got.End {
			t.Fatalf("%v in %v: the windows around %v do not follow each other", unit, z, got)
		}
	})
}

func BenchmarkCalendar(b *testing.B) {
	l := layout(b, window.Calendar(window.Month, zone(b, "Europe/Berlin")))
	var sum, t int64
	for b.Loop() {
		sum += l.Pane(t).Start
		t += int64(24 * time.Hour)
	}
	_ = sum
}
