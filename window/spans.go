package window

import (
	"fmt"
	"strings"
	"time"
)

// Spans is a list of spans of event time as text: intervals in the notation of ISO 8601, "start/end" in UTC, with a space between
// two. As text it is small when empty, can be compared with ==, and is written to files as it is.
type Spans string

// SpansOf returns the list of the given spans, in their order.
func SpansOf(spans ...Span) Spans {
	if len(spans) == 0 {
		return ""
	}
	var b []byte
	for i, s := range spans {
		if i > 0 {
			b = append(b, ' ')
		}
		b = s.StartTime().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '/')
		b = s.EndTime().AppendFormat(b, time.RFC3339Nano)
	}
	return Spans(b)
}

// List returns the spans. It fails when the text is not one that SpansOf makes.
func (s Spans) List() ([]Span, error) {
	if s == "" {
		return nil, nil
	}
	var out []Span
	for text := range strings.SplitSeq(string(s), " ") {
		from, to, ok := strings.Cut(text, "/")
		start, err := time.Parse(time.RFC3339Nano, from)
		if err == nil && ok {
			var end time.Time
			if end, err = time.Parse(time.RFC3339Nano, to); err == nil {
				out = append(out, Span{Start: start.UnixNano(), End: end.UnixNano()})
				continue
			}
		}
		return nil, fmt.Errorf("window: %q is not a span: it must be two times in RFC 3339 with a slash between", text)
	}
	return out, nil
}
