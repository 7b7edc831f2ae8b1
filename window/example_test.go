package window_test

import (
	"fmt"
	"time"
	_ "time/tzdata" // so that the example works without a time zone database on the machine

	"github.com/millrace-stream/millrace/window"
)

// One window per hour.
func ExampleTumbling() {
	w := window.Tumbling(time.Hour)
	fmt.Println(w, w.Check())
	// Output: Tumbling(1h0m0s) <nil>
}

// Days as they begin in a zone eight hours ahead of UTC.
func ExampleTumblingWindows_Offset() {
	w := window.Tumbling(24 * time.Hour).Offset(-8 * time.Hour)
	fmt.Println(w, w.Check())
	// Output: Tumbling(24h0m0s).Offset(-8h0m0s) <nil>
}

// The last hour, every minute.
func ExampleSliding() {
	w := window.Sliding(time.Hour, time.Minute)
	fmt.Println(w, w.Check())

	fmt.Println(window.Sliding(time.Second, 0).Check())
	// Output:
	// Sliding(1h0m0s, 1m0s) <nil>
	// window: Sliding(1s, 0s): slide is 0s, it must be greater than 0
}

// A visit ends when its visitor has done nothing for half an hour.
func ExampleSession() {
	w := window.Session(30 * time.Minute)
	fmt.Println(w, w.Check())
	// Output: Session(30m0s) <nil>
}

// The day so far, every hour.
func ExampleCumulative() {
	w := window.Cumulative(24*time.Hour, time.Hour)
	fmt.Println(w, w.Check())

	fmt.Println(window.Cumulative(24*time.Hour, 7*time.Hour).Check())
	// Output:
	// Cumulative(24h0m0s, 1h0m0s) <nil>
	// window: Cumulative(24h0m0s, 7h0m0s): size 24h0m0s is not a multiple of step 7h0m0s, so the longest window would not end with a step
}

// The trading day so far, which begins at six in the morning.
func ExampleCumulativeWindows_Offset() {
	w := window.Cumulative(24*time.Hour, time.Hour).Offset(6 * time.Hour)
	fmt.Println(w, w.Check())
	// Output: Cumulative(24h0m0s, 1h0m0s).Offset(6h0m0s) <nil>
}

// Days as they are in Berlin, of 23 hours in spring and of 25 in autumn.
func ExampleCalendar() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	w := window.Calendar(window.Day, berlin)
	fmt.Println(w, w.Check())

	fmt.Println(window.Calendar(window.Month, nil).Check())
	// Output:
	// Calendar(Day, Europe/Berlin) <nil>
	// window: Calendar(Month, nil): the time zone is nil, take one from time.LoadLocation, or time.UTC
}

// Weeks that begin on Sunday.
func ExampleCalendarWindows_FirstWeekday() {
	w := window.Calendar(window.Week, time.UTC).FirstWeekday(time.Sunday)
	fmt.Println(w, w.Check())
	// Output: Calendar(Week, UTC).FirstWeekday(Sunday) <nil>
}

func ExampleSpan() {
	s := window.Span{Start: 0, End: int64(time.Hour)}
	fmt.Println(s)
	fmt.Println(s.Contains(0), s.Contains(s.Last()), s.Contains(s.End))
	// Output:
	// [1970-01-01T00:00:00Z, 1970-01-01T01:00:00Z)
	// true true false
}
