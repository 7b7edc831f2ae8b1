package file

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// timeForm is how a CSV column writes a time: with a layout of package time, or as a number since the epoch in units
// of unit nanoseconds.
type timeForm struct {
	layout string
	unit   int64
}

const (
	secondsLayout = "2006-01-02 15:04:05"
	dayLayout     = "2006-01-02"
)

func newTimeForm(layout string) timeForm {
	switch layout {
	case "":
		return timeForm{layout: time.RFC3339Nano}
	case "unix":
		return timeForm{unit: 1e9}
	case "unixms":
		return timeForm{unit: 1e6}
	case "unixus":
		return timeForm{unit: 1e3}
	case "unixnano":
		return timeForm{unit: 1}
	}
	return timeForm{layout: layout}
}

// firstSecond and lastSecond bound the years 0 to 9999, which all layouts can write.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

func (f timeForm) parse(s string) (time.Time, error) {
	if f.unit == 0 {
		if len(s) == len(f.layout) && (f.layout == secondsLayout || f.layout == dayLayout) {
			if t, ok := plainTime(s); ok {
				return t, nil
			}
		}
		t, err := time.Parse(f.layout, s)
		if err != nil {
			reason := ""
			if pe, ok := errors.AsType[*time.ParseError](err); ok {
				reason = pe.Message
			}
			return t, fmt.Errorf("%q is not a time of the form %s%s", s, f.layout, reason)
		}
		if t.Location() != time.UTC {
			t = t.UTC()
		}
		return t, nil
	}
	n, err := parseInt(s, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q %w", s, err)
	}
	perSecond := 1_000_000_000 / f.unit
	sec, rest := n/perSecond, n%perSecond
	if sec < firstSecond || sec > lastSecond {
		return time.Time{}, fmt.Errorf("time out of range: %s lies outside the years 0 to 9999: is the unit right?", s)
	}
	return time.Unix(sec, rest*f.unit).UTC(), nil
}

// append writes t so that parse gives it back, as far as the form holds it.
func (f timeForm) append(dst []byte, t time.Time) ([]byte, error) {
	if sec := t.Unix(); sec < firstSecond || sec > lastSecond {
		return dst, fmt.Errorf("time out of range: %v lies outside the years 0 to 9999", t)
	}
	if f.layout == secondsLayout || f.layout == dayLayout {
		return appendPlainTime(dst, t.UTC(), f.layout == secondsLayout), nil
	}
	if f.unit == 0 {
		return t.UTC().AppendFormat(dst, f.layout), nil
	}
	perSecond := 1_000_000_000 / f.unit
	sec := t.Unix()
	if f.unit == 1 && (sec < math.MinInt64/perSecond+1 || sec > math.MaxInt64/perSecond-1) {
		return dst, fmt.Errorf("time out of range: %v does not fit into nanoseconds since 1970", t)
	}
	return strconv.AppendInt(dst, sec*perSecond+int64(t.Nanosecond())/f.unit, 10), nil
}

// plainTime reads the two commonest layouts by hand; it gives up on anything unusual.
func plainTime(s string) (time.Time, bool) {
	if s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	year := two(s, 0)*100 + two(s, 2)
	month, day := two(s, 5), two(s, 8)
	hour, minute, second := 0, 0, 0
	if len(s) == len(secondsLayout) {
		if s[10] != ' ' || s[13] != ':' || s[16] != ':' {
			return time.Time{}, false
		}
		hour, minute, second = two(s, 11), two(s, 14), two(s, 17)
	}
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 28 || uint(hour) > 23 || uint(minute) > 59 || uint(second) > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), true
}

// appendPlainTime writes the two commonest layouts by hand.
func appendPlainTime(dst []byte, t time.Time, seconds bool) []byte {
	year, month, day := t.Date()
	dst = appendTwo(appendTwo(dst, year/100), year%100)
	dst = appendTwo(append(dst, '-'), int(month))
	dst = appendTwo(append(dst, '-'), day)
	if !seconds {
		return dst
	}
	hour, minute, second := t.Clock()
	dst = appendTwo(append(dst, ' '), hour)
	dst = appendTwo(append(dst, ':'), minute)
	return appendTwo(append(dst, ':'), second)
}

// appendTwo writes a number below 100 with two digits.
func appendTwo(dst []byte, n int) []byte { return append(dst, '0'+byte(n/10), '0'+byte(n%10)) }

// two returns the number that two digits make, or one far below 0.
func two(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return -1 << 20
	}
	return int(a)*10 + int(b)
}

// durationUnits are the layouts of a CSV column of durations: whole numbers of a unit, or text (0).
var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "text": 0,
}

// parseDuration reads a duration as appendDuration writes it.
func parseDuration(s string, unit time.Duration) (time.Duration, error) {
	if unit == 0 {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%.60q is not a duration such as 1h2m3.5s", s)
		}
		return d, nil
	}
	n, err := parseInt(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%.60q %w", s, err)
	}
	if n > math.MaxInt64/int64(unit) || n < math.MinInt64/int64(unit) {
		return 0, fmt.Errorf("%s is out of range: a duration is at most 292 years: is the unit right?", s)
	}
	return time.Duration(n) * unit, nil
}

// appendDuration writes d. What a unit cannot hold is an error: a sum of durations would be wrong without a word.
func appendDuration(dst []byte, d, unit time.Duration) ([]byte, error) {
	if unit == 0 {
		return append(dst, d.String()...), nil
	}
	if d%unit != 0 {
		return dst, fmt.Errorf("%v is not a whole number of %v", d, unit)
	}
	return strconv.AppendInt(dst, int64(d/unit), 10), nil
}
