package window_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/window"
)

func TestCheckAcceptsGoodAssigners(t *testing.T) {
	for _, a := range []window.Assigner{
		window.Tumbling(1),
		window.Tumbling(time.Hour).Offset(59 * time.Minute),
		window.Tumbling(24 * time.Hour).Offset(-8 * time.Hour),
		window.Tumbling(math.MaxInt64).Offset(-math.MaxInt64 + 1),
		window.Sliding(time.Hour, time.Minute),
		window.Sliding(time.Hour, time.Hour),
		window.Sliding(time.Hour, 7*time.Second),
		window.Sliding(time.Hour, time.Minute).Offset(-59 * time.Second),
		window.Session(1),
		window.Cumulative(24*time.Hour, time.Hour),
		window.Cumulative(time.Hour, time.Hour),
		window.Cumulative(24*time.Hour, time.Hour).Offset(-23*time.Hour - 59*time.Minute),
		window.Calendar(window.Day, time.UTC),
		window.Calendar(window.Year, time.FixedZone("JST", 9*3600)),
		window.Calendar(window.Week, time.UTC).FirstWeekday(time.Sunday),
	} {
		if err := a.Check(); err != nil {
			t.Errorf("%v: %v", a, err)
		}
	}
}

func TestCheckNamesValueAndRule(t *testing.T) {
	for _, tc := range []struct {
		a    window.Assigner
		want []string
	}{
		{window.Tumbling(0), []string{"Tumbling(0s)", "size is 0s", "greater than 0"}},
		{window.Tumbling(-time.Second), []string{"size is -1s", "greater than 0"}},
		{window.Tumbling(math.MinInt64), []string{"size is -2562047h47m16.854775808s"}},
		{window.Tumbling(time.Second).Offset(time.Second), []string{"Tumbling(1s).Offset(1s)", "offset is 1s", "between -1s and 1s"}},
		{window.Tumbling(time.Second).Offset(-time.Second), []string{"offset is -1s"}},
		{window.Tumbling(time.Second).Offset(math.MinInt64), []string{"offset is -2562047h"}},
		{window.Sliding(0, 0), []string{"size is 0s", "slide is 0s"}},
		{window.Sliding(time.Second, -1), []string{"slide is -1ns", "greater than 0"}},
		{window.Sliding(time.Minute, time.Hour), []string{"slide 1h0m0s is greater than size 1m0s"}},
		{window.Sliding(time.Hour, time.Minute).Offset(time.Minute), []string{"offset is 1m0s", "between -1m0s and 1m0s"}},
		{window.Sliding(time.Hour, 7), []string{"3600000000000 panes", "1048576", "multiple of the slide"}},
		{window.Session(0), []string{"Session(0s)", "gap is 0s", "greater than 0"}},
		{window.TumblingWindows{}, []string{"made by none of"}},
		{window.Cumulative(0, -1), []string{"Cumulative(0s, -1ns)", "size is 0s", "step is -1ns", "greater than 0"}},
		{window.Cumulative(time.Hour, 7*time.Minute), []string{"Cumulative(1h0m0s, 7m0s)", "size 1h0m0s is not a multiple of step 7m0s"}},
		{window.Cumulative(time.Minute, time.Hour), []string{"size 1m0s is not a multiple of step 1h0m0s"}},
		{window.Cumulative(time.Hour, 1), []string{"3600000000000 steps", "1048576", "make the step longer"}},
		{window.Cumulative(time.Hour, time.Minute).Offset(time.Hour), []string{"Offset(1h0m0s)", "between -1h0m0s and 1h0m0s"}},
		{window.Calendar(0, time.UTC), []string{"Calendar(Unit(0), UTC)", "the unit is none of"}},
		{window.Calendar(window.Day, nil), []string{"Calendar(Day, nil)", "the time zone is nil", "time.LoadLocation"}},
		{window.Calendar(window.Day, time.Local), []string{"Calendar(Day, Local)", "that of the machine", "by its name"}},
		{window.Calendar(window.Day, time.FixedZone("", 60)), []string{"the time zone has no name"}},
		{window.Calendar(window.Month, time.UTC).FirstWeekday(time.Sunday), []string{"Calendar(Month, UTC).FirstWeekday(Sunday)", "only weeks"}},
		{window.Calendar(window.Week, time.UTC).FirstWeekday(7), []string{"the first weekday is 7", "time.Sunday"}},
	} {
		err := tc.a.Check()
		if err == nil {
			t.Errorf("%v: no error, want one with %q", tc.a, tc.want)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: error %q lacks %q", tc.a, err, w)
			}
		}
	}
}

func TestCheckOfSpecsReadFromElsewhere(t *testing.T) {
	for _, s := range []window.Spec{
		{},
		{Kind: 9, Size: 1, Slide: 1},
		{Kind: window.KindTumbling, Size: 2, Slide: 1},
		{Kind: window.KindSession, Gap: 1, Offset: 1},
		{Kind: window.KindCumulative, Size: 2, Step: 1, Slide: 1},
		{Kind: window.KindCalendar, Unit: window.Day, Zone: time.UTC, FirstWeekday: time.Monday, Offset: 1},
	} {
		if s.Check() == nil {
			t.Errorf("%v (%d ns): no error", s, s.Size)
		}
	}
}

func TestSpan(t *testing.T) {
	s := window.Span{Start: 10, End: 20}
	for _, tc := range []struct {
		t    int64
		want bool
	}{{9, false}, {10, true}, {19, true}, {20, false}} {
		if got := s.Contains(tc.t); got != tc.want {
			t.Errorf("Contains(%d) = %v, want %v", tc.t, got, tc.want)
		}
	}
	for _, tc := range []struct {
		o    window.Span
		want bool
	}{
		{window.Span{Start: 0, End: 9}, false},
		{window.Span{Start: 0, End: 10}, true},
		{window.Span{Start: 12, End: 13}, true},
		{window.Span{Start: 20, End: 30}, true},
		{window.Span{Start: 21, End: 30}, false},
	} {
		if got := s.Touches(tc.o); got != tc.want {
			t.Errorf("Touches(%v) = %v, want %v", tc.o, got, tc.want)
		}
		if got := tc.o.Touches(s); got != tc.want {
			t.Errorf("touch is not symmetric for %v", tc.o)
		}
	}
	if got, want := s.Cover(window.Span{Start: 5, End: 15}), (window.Span{Start: 5, End: 20}); got != want {
		t.Errorf("Cover = %v, want %v", got, want)
	}
	if s.Last() != 19 {
		t.Errorf("Last = %d, want 19", s.Last())
	}
}

func TestKindsAndUnitsHaveNames(t *testing.T) {
	var got []string
	for k := window.KindTumbling; k <= window.KindGlobal+1; k++ {
		got = append(got, k.String())
	}
	for u := window.Day; u <= window.Year+1; u++ {
		got = append(got, u.String())
	}
	want := "tumbling sliding session cumulative calendar session by record count global Kind(9) Day Week Month Quarter Year Unit(6)"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
