package window_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/window"
)

func TestSpansGiveBackWhatTheyWereMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) window.Span {
			return window.Span{Start: rapid.Int64().Draw(t, "start"), End: rapid.Int64().Draw(t, "end")}
		})).Draw(t, "spans")
		got, err := window.SpansOf(want...).List()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %v and %v, want %v", got, err, want)
		}
	})
	edge := []window.Span{{Start: math.MinInt64, End: math.MaxInt64}}
	if got, err := window.SpansOf(edge...).List(); err != nil || !slices.Equal(got, edge) {
		t.Errorf("got %v and %v, want %v", got, err, edge)
	}
	if s := window.SpansOf(); s != "" {
		t.Errorf("no span is %q", s)
	}
}

func TestSpansNamesWhatItCannotRead(t *testing.T) {
	good := string(window.SpansOf(window.Span{Start: 1, End: 2}))
	for _, c := range []struct{ text, want string }{
		{" ", `window: "" is not a span: it must be two times in RFC 3339 with a slash between`},
		{good + " ", `window: "" is not a span: it must be two times in RFC 3339 with a slash between`},
		{good + " 1970-01-01T00:00:00Z", `window: "1970-01-01T00:00:00Z" is not a span: it must be two times in RFC 3339 with a slash between`},
		{"a/b", `window: "a/b" is not a span: it must be two times in RFC 3339 with a slash between`},
		{"1970-01-01T00:00:00Z/b", `window: "1970-01-01T00:00:00Z/b" is not a span: it must be two times in RFC 3339 with a slash between`},
	} {
		if _, err := window.Spans(c.text).List(); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
}

func TestAllIsWrittenAsAWord(t *testing.T) {
	b, err := json.Marshal(window.Pane[window.All, int]{})
	want := `{"key":"all","start":"0001-01-01T00:00:00Z","end":"0001-01-01T00:00:00Z","value":0,"revision":0,"kind":"on-time"}`
	if err != nil || string(b) != want {
		t.Errorf("got %s and %v, want %s", b, err, want)
	}
	var p window.Pane[window.All, int]
	if err := json.Unmarshal(b, &p); err != nil || p != (window.Pane[window.All, int]{}) {
		t.Errorf("got %+v and %v", p, err)
	}
	err = json.Unmarshal([]byte(`{"key":"some"}`), &p)
	if want := `window: "some" is not the key of windows over all records, which is "all"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := codec.KeyFor[window.All](); err != nil {
		t.Error(err)
	}
}

// A pane can be state, a key of a map, and part of an order.
func TestPanesOfSessionsCanBeState(t *testing.T) {
	type pane = window.Pane[string, int]
	p := pane{
		Key: "k", Start: time.Unix(1, 0).UTC(), End: time.Unix(9, 0).UTC(), Value: 3, Revision: 2, Kind: window.Late, Gap: time.Second,
		Replaces: window.SpansOf(window.Span{Start: 1, End: 2}),
	}
	c, err := codec.For[pane]()
	if err != nil {
		t.Fatal(err)
	}
	var got pane
	rest, err := c.Decode(c.Append(nil, &p), &got)
	if err != nil || len(rest) != 0 || got != p {
		t.Errorf("got %+v, %d bytes and %v", got, len(rest), err)
	}
	if l := codec.LayoutOf[pane](); l != codec.Immutable {
		t.Errorf("the layout is %v", l)
	}
	if _, err := codec.Compare[pane](); err != nil {
		t.Error(err)
	}
}
