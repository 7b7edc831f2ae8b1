package model_test

import (
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"

	"pgregory.net/rapid"
)

// dateTick is the unit of time of trials with calendars: some of it are a day.
const dateTick = int64(6 * time.Hour)

// dateZones are zones whose days are of all kinds near the dates of drawDate.
var dateZones = []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"}

// drawDate draws the time at which a trial with calendars begins: among others, just before clocks change in some zone.
func drawDate(t *rapid.T) int64 {
	days := rapid.SampledFrom([]string{"1970-01-01", "1969-12-27", "2024-03-29", "2024-10-25", "2018-02-16", "2018-11-02", "2011-12-28", "2024-04-05"})
	at, err := time.Parse(time.DateOnly, days.Draw(t, "date"))
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixNano()
}

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// label numbers the days, weeks, months or quarters that clocks show.
func label(unit window.Unit, t time.Time) int {
	year, month, day := t.Date()
	days := int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
	switch unit {
	case window.Week:
		return (days + 700_003) / 7 // 1970-01-01 is a Thursday
	case window.Month:
		return year*12 + int(month)
	case window.Quarter:
		return year*4 + int(month-1)/3
	}
	return days
}

type dated struct {
	unit window.Unit
	zone string
	at   time.Time
}

// found are the bounds found so far.
var found = map[dated][2]int64{}

// date walks from a time in both directions, as long as the clocks show the same. All clocks change at a quarter of an hour.
func (w windows) date(at int64) (start, end int64) {
	const step = 15 * time.Minute
	z := zone(w.Zone)
	from := time.Unix(0, at).UTC().Truncate(step)
	key := dated{w.Unit, w.Zone, from}
	if f, ok := found[key]; ok {
		return f[0], f[1]
	}
	is := label(w.Unit, from.In(z))
	first, last := from, from.Add(step)
	for label(w.Unit, first.Add(-step).In(z)) == is {
		first = first.Add(-step)
	}
	for label(w.Unit, last.In(z)) == is {
		last = last.Add(step)
	}
	found[key] = [2]int64{first.UnixNano(), last.UnixNano()}
	return first.UnixNano(), last.UnixNano()
}

// modelWindows gives windows of the model their bounds.
func modelWindows[K comparable, T, R any](w windows, m model.Windows[K, T, R]) model.Windows[K, T, R] {
	m.Size, m.Slide, m.Offset, m.Gap, m.Step, m.Lateness = w.Size, w.Slide, w.Offset, w.Gap, w.Step, w.Lateness
	if w.Unit > 0 {
		m.Date = w.date
	}
	return m
}
