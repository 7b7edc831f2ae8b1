package window_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// A call on hold is given more time than one in conversation.
func ExampleSessionBy() {
	type event struct{ OnHold bool }
	w := window.SessionBy(func(e event) time.Duration {
		if e.OnHold {
			return 20 * time.Minute
		}
		return 2 * time.Minute
	})
	fmt.Println(w, w.Check())
	fmt.Println(w.Gap(event{OnHold: true}))

	fmt.Println(window.SessionBy[event](nil).Check())
	// Output:
	// SessionBy(gap) <nil>
	// 20m0s
	// window: SessionBy: the function that returns the gap of a record is nil
}

func ExampleSpansOf() {
	s := window.SpansOf(window.Span{Start: 0, End: int64(time.Minute)}, window.Span{Start: int64(time.Hour), End: int64(2 * time.Hour)})
	fmt.Println(s)
	list, err := s.List()
	fmt.Println(len(list), list[1].StartTime().Format(time.TimeOnly), err)

	_, err = window.Spans("yesterday").List()
	fmt.Println(err)
	// Output:
	// 1970-01-01T00:00:00Z/1970-01-01T00:01:00Z 1970-01-01T01:00:00Z/1970-01-01T02:00:00Z
	// 2 01:00:00 <nil>
	// window: "yesterday" is not a span: it must be two times in RFC 3339 with a slash between
}

func ExamplePane_Last() {
	p := window.Pane[string, int]{End: time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC), Gap: 30 * time.Minute}
	fmt.Println(p.Last().Format(time.TimeOnly))
	// Output: 12:00:00
}
