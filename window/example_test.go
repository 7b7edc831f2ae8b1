package window_test

import (
	"fmt"
	"time"

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

func ExampleSpan() {
	s := window.Span{Start: 0, End: int64(time.Hour)}
	fmt.Println(s)
	fmt.Println(s.Contains(0), s.Contains(s.Last()), s.Contains(s.End))
	// Output:
	// [1970-01-01T00:00:00Z, 1970-01-01T01:00:00Z)
	// true true false
}
