package model

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// Windows says how a keyed stream is cut. A Gap makes sessions, of which Size, Slide and Offset say nothing. A Step makes windows that begin
// every Slide and grow by it up to Size.
type Windows[K comparable, T, R any] struct {
	Size, Slide, Offset, Gap, Step int64
	// Date, if set, returns the bounds of the only window of a time; Size, Slide and Offset say nothing then.
	Date func(at int64) (start, end int64)
	// Lateness is the allowed lateness in ns.
	Lateness int64
	Key      func(T) K
	// GapOf, if set, makes sessions of which each record has a gap of its own.
	GapOf func(T) int64
	// Compare is the order of keys that fire at the same time.
	Compare func(a, b K) int
	// Result makes the value of a pane from its records, in the order in which they came.
	Result func([]T) R
}

// Output is what comes out of windows.
type Output[K comparable, T, R any] struct {
	Panes []Item[window.Pane[K, R]]
	Late  []Item[T]
	// Missed are the records that came too late for some of their windows or for all, with these.
	Missed []Item[window.Missed[K, T]]
}

// numbered is a record with its place in the order in which they came.
type numbered[T any] struct {
	n      int
	record T
}

// held is a window or session of one key.
type held[K comparable, T any] struct {
	key        K
	start, end int64
	// newest is the time of the newest record of a session.
	newest  int64
	records []numbered[T]
	// panes is how many have been emitted.
	panes int32
	// shown are the bounds of the panes that the next one takes the place of.
	shown []window.Span
}

func (h *held[K, T]) last() int64 { return h.end - 1 }

// run is windows at work.
type run[K comparable, T, R any] struct {
	Windows[K, T, R]
	Output[K, T, R]
	open  []*held[K, T]
	clock int64
	came  int
	// marked is the last watermark emitted.
	marked int64
}

// sessions reports whether the windows are sessions.
func (w Windows[K, T, R]) sessions() bool { return w.Gap > 0 || w.GapOf != nil }

// Run returns what the windows make of a stream.
func (w Windows[K, T, R]) Run(in []Item[T]) Output[K, T, R] {
	r := &run[K, T, R]{Windows: w, clock: None, marked: None}
	for _, x := range in {
		r.came++
		switch {
		case x.Mark && w.sessions() && x.Time != End:
			// A record a whole gap after the last one still joins: what is at the watermark or before it is final, so
			// a session ends a tick after its last moment.
			r.advance(x.Time - 1)
		case x.Mark:
			r.advance(x.Time)
		case w.sessions():
			r.session(x)
		default:
			r.aligned(x)
		}
	}
	return r.Output
}

// past reports whether a window takes no more records.
func (r *run[K, T, R]) past(end int64) bool { return add(end-1, r.Lateness) <= r.clock }

// add gives the largest number for sums beyond it.
func add(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// windows returns all windows that hold a time, by their ends.
func (w Windows[K, T, R]) windows(at int64) (all []window.Span) {
	if w.Date != nil {
		start, end := w.Date(at)
		return []window.Span{{Start: start, End: end}}
	}
	shortest, step := w.Size, w.Size
	if w.Step > 0 {
		shortest, step = w.Step, w.Step
	}
	first := floor(at-w.Size-w.Offset, w.Slide)*w.Slide + w.Offset
	for start := first; start <= at; start += w.Slide {
		for end := start + shortest; end <= start+w.Size; end += step {
			if at < end {
				all = append(all, window.Span{Start: start, End: end})
			}
		}
	}
	return all
}

// aligned puts a record into every window that holds its time.
func (r *run[K, T, R]) aligned(x Item[T]) {
	key, taken := r.Key(x.Value), false
	var missed []window.Span
	for _, w := range r.windows(x.Time) {
		if r.past(w.End) {
			missed = append(missed, w)
			continue
		}
		taken = true
		h := r.find(key, w.Start, w.End)
		h.records = append(h.records, numbered[T]{r.came, x.Value})
		if h.last() <= r.clock {
			r.emit(h, window.Late)
		}
	}
	if !taken {
		r.Late = append(r.Late, x)
	}
	r.miss(key, x, missed)
}

// miss notes which windows a record has missed, if any.
func (o *Output[K, T, R]) miss(key K, x Item[T], windows []window.Span) {
	if len(windows) > 0 {
		m := window.Missed[K, T]{Key: key, Record: x.Value, Windows: window.SpansOf(windows...)}
		o.Missed = append(o.Missed, Item[window.Missed[K, T]]{Value: m, Time: x.Time})
	}
}

// floor divides and rounds down, below zero too.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (r *run[K, T, R]) find(key K, start, end int64) *held[K, T] {
	for _, h := range r.open {
		if h.key == key && h.start == start && h.end == end {
			return h
		}
	}
	h := &held[K, T]{key: key, start: start, end: end}
	r.open = append(r.open, h)
	return h
}

// session merges a record with the sessions of its key that it touches, unless what comes of it is past.
func (r *run[K, T, R]) session(x Item[T]) {
	gap := r.Gap
	if r.GapOf != nil {
		gap = r.GapOf(x.Value)
	}
	h := &held[K, T]{key: r.Key(x.Value), start: x.Time, end: x.Time + gap, newest: x.Time, records: []numbered[T]{{r.came, x.Value}}}
	touches := func(o *held[K, T]) bool { return o.key == h.key && o.start <= x.Time+gap && x.Time <= o.end }
	span := window.Span{Start: h.start, End: h.end}
	for _, o := range r.open {
		if touches(o) {
			span = window.Span{Start: min(span.Start, o.start), End: max(span.End, o.end)}
		}
	}
	if r.past(span.End) {
		r.Late = append(r.Late, x)
		r.miss(h.key, x, []window.Span{span})
		return
	}
	for _, o := range r.open {
		if touches(o) {
			h.newest = max(h.newest, o.newest)
			h.records = append(h.records, o.records...)
			h.panes = max(h.panes, o.panes)
			h.shown = append(h.shown, o.shown...)
		}
	}
	h.start, h.end = span.Start, span.End
	slices.SortFunc(h.shown, func(a, b window.Span) int { return cmp.Compare(a.Start, b.Start) })
	r.open = append(slices.DeleteFunc(r.open, touches), h)
	if h.last() <= r.clock {
		r.emit(h, window.Late)
	}
}

// advance fires what ends, in the order of windows and then of keys, and forgets what takes no more records.
func (r *run[K, T, R]) advance(t int64) {
	var due []*held[K, T]
	for _, h := range r.open {
		if r.clock < h.last() && h.last() <= t {
			due = append(due, h)
		}
	}
	slices.SortFunc(due, func(a, b *held[K, T]) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), r.Compare(a.key, b.key))
	})
	for _, h := range due {
		r.mark(h.end - 2) // those behind see the same marks, however far this one has jumped
		r.emit(h, window.OnTime)
	}
	r.clock = max(r.clock, t)
	r.open = slices.DeleteFunc(r.open, func(h *held[K, T]) bool { return r.past(h.end) })
	r.mark(t)
}

// mark emits a watermark, unless it is there already.
func (r *run[K, T, R]) mark(t int64) {
	if t > r.marked {
		r.marked = t
		r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Time: t, Mark: true})
	}
}

func (r *run[K, T, R]) emit(h *held[K, T], kind window.Firing) {
	slices.SortFunc(h.records, func(a, b numbered[T]) int { return cmp.Compare(a.n, b.n) })
	records := make([]T, len(h.records))
	for i, x := range h.records {
		records[i] = x.record
	}
	p := window.Pane[K, R]{
		Key: h.key, Start: time.Unix(0, h.start).UTC(), End: time.Unix(0, h.end).UTC(),
		Value: r.Result(records), Revision: h.panes, Kind: kind,
	}
	if span := (window.Span{Start: h.start, End: h.end}); r.sessions() {
		p.Gap = time.Duration(h.end - h.newest)
		if !slices.Equal(h.shown, []window.Span{span}) {
			p.Replaces = window.SpansOf(h.shown...)
		}
		h.shown = []window.Span{span}
	}
	h.panes++
	r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Value: p, Time: h.last()})
}
