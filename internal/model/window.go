package model

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// Windows says how a keyed stream is cut. A Gap makes sessions, of which Size, Slide and Offset say nothing.
type Windows[K comparable, T, R any] struct {
	Size, Slide, Offset, Gap int64
	// Lateness is the allowed lateness in ns.
	Lateness int64
	Key      func(T) K
	// Compare is the order of keys that fire at the same time.
	Compare func(a, b K) int
	// Result makes the value of a pane from its records, in no order.
	Result func([]T) R
}

// Output is what comes out of windows.
type Output[K comparable, T, R any] struct {
	Panes []Item[window.Pane[K, R]]
	Late  []Item[T]
	// Missed counts the windows that a record came too late for.
	Missed int64
}

// held is a window or session of one key.
type held[K comparable, T any] struct {
	key        K
	start, end int64
	records    []T
	// panes is how many have been emitted.
	panes int32
}

func (h *held[K, T]) last() int64 { return h.end - 1 }

// run is windows at work.
type run[K comparable, T, R any] struct {
	Windows[K, T, R]
	Output[K, T, R]
	open  []*held[K, T]
	clock int64
}

// Run returns what the windows make of a stream.
func (w Windows[K, T, R]) Run(in []Item[T]) Output[K, T, R] {
	r := &run[K, T, R]{Windows: w, clock: None}
	for _, x := range in {
		switch {
		case x.Mark:
			r.advance(x.Time)
		case w.Gap > 0:
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

// aligned puts a record into every window that holds its time.
func (r *run[K, T, R]) aligned(x Item[T]) {
	key, taken := r.Key(x.Value), false
	first := floor(x.Time-r.Size-r.Offset, r.Slide)*r.Slide + r.Offset
	for start := first; start <= x.Time; start += r.Slide {
		end := start + r.Size
		switch {
		case end <= x.Time:
		case r.past(end):
			r.Missed++
		default:
			taken = true
			h := r.find(key, start, end)
			h.records = append(h.records, x.Value)
			if h.last() <= r.clock {
				r.emit(h, window.Late)
			}
		}
	}
	if !taken {
		r.Late = append(r.Late, x)
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
		if h.key == key && h.start == start {
			return h
		}
	}
	h := &held[K, T]{key: key, start: start, end: end}
	r.open = append(r.open, h)
	return h
}

// session merges a record with the sessions of its key that it touches, unless what comes of it is past.
func (r *run[K, T, R]) session(x Item[T]) {
	h := &held[K, T]{key: r.Key(x.Value), start: x.Time, end: x.Time + r.Gap, records: []T{x.Value}}
	touches := func(o *held[K, T]) bool { return o.key == h.key && o.start <= x.Time+r.Gap && x.Time <= o.end }
	end := h.end
	for _, o := range r.open {
		if touches(o) {
			end = max(end, o.end)
		}
	}
	if r.past(end) {
		r.Missed++
		r.Late = append(r.Late, x)
		return
	}
	for _, o := range r.open {
		if touches(o) {
			h.start, h.end = min(h.start, o.start), max(h.end, o.end)
			h.records = append(h.records, o.records...)
			h.panes = max(h.panes, o.panes)
		}
	}
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
		r.emit(h, window.OnTime)
	}
	r.clock = max(r.clock, t)
	r.open = slices.DeleteFunc(r.open, func(h *held[K, T]) bool { return r.past(h.end) })
	r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Time: t, Mark: true})
}

func (r *run[K, T, R]) emit(h *held[K, T], kind window.Firing) {
	p := window.Pane[K, R]{
		Key: h.key, Start: time.Unix(0, h.start).UTC(), End: time.Unix(0, h.end).UTC(),
		Value: r.Result(slices.Clone(h.records)), Revision: h.panes, Kind: kind,
	}
	h.panes++
	r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Value: p, Time: h.last()})
}
