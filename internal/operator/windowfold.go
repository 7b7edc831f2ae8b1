package operator

import (
	"sort"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// fold merges the slices of windows, so that a window costs some merges and not one for each of its slices.
//
// Of sliding windows it keeps runs, which see. Of cumulative windows it keeps the one that has fired last, and adds the slices since.
//
// How accumulators are put together must not show in results, and it does where Merge rounds (sums of floats, digests). So the order depends
// on the numbers of the slices that have the key, and on nothing else: not on what other keys have, on what was merged before, on parallelism, or
// on a restart. Where one of two parts lacks the key, the other is taken as it is. Nothing here is saved: a restored operator merges again.
//
// A record that comes into a slice after it was merged must be followed by update.
type fold[K comparable, A any] struct {
	layout pane.Layout
	// runs is set for sliding windows of accumulators of which a copy is one of its own. Others are merged from slices for each window: sketches
	// and collections are large, and runs would hold them several times.
	runs  *runs[K, A]
	init  func(*A)
	merge func(dst, src *A)
	// begin makes an accumulator of the first one of a key; nil copies it.
	begin func(dst, src *A)
	// space holds the pane result.
	space *keyed.Space[K, A]
	// sum is the part of a cumulative window that result holds, and late that which the accumulator of a key holds while its late panes are
	// made.
	sum, late window.Span
	acc       A
}

// result is the pane of a window that is merged for its firing.
const result = 0

func (f *fold[K, A]) open(l pane.Layout, key *codec.Key[K], layout codec.Layout, init func(*A), merge func(dst, src *A), space *keyed.Space[K, A]) {
	f.layout, f.init, f.merge, f.space = l, init, merge, space
	switch {
	case layout == codec.Deep:
		f.begin = func(dst, src *A) {
			if f.init != nil {
				f.init(dst)
			}
			f.merge(dst, src)
		}
	case l.PanesPerWindow() > 1 && !l.Grows():
		f.runs = newRuns(&f.layout, key, merge)
	}
}

// add adds src, which may be nil, to an accumulator that is empty or not, and returns that it no longer is.
func (f *fold[K, A]) add(dst *A, empty bool, src *A) bool {
	switch {
	case src == nil:
		return empty
	case !empty:
		f.merge(dst, src)
	case f.begin != nil:
		f.begin(dst, src)
	default:
		*dst = *src
	}
	return false
}

// each calls fn for what a window holds, in the order of keys, given its slices, until fn returns an error.
func (f *fold[K, A]) each(win window.Span, of []*slice[K, A], fn func(k *K, acc *A) error) error {
	switch {
	case len(of) == 0:
		return nil
	case f.layout.PanesPerWindow() == 1:
		return of[0].pane.EachSorted(fn)
	case f.runs != nil:
		return f.runs.each(f.layout.Index(win.Start), f.layout.Index(win.Last())+1, of, fn)
	case f.layout.Grows():
		if f.sum.Start != win.Start {
			f.space.Drop(result)
			f.sum = window.Span{Start: win.Start, End: win.Start}
		}
		of = between(of, f.sum.End, win.End)
		f.sum.End = win.End
	default:
		f.space.Drop(result)
	}
	return f.mergeSlices(f.space.Ensure(result), of).EachSorted(fn)
}

func (f *fold[K, A]) mergeSlices(dst *keyed.Pane[K, A], of []*slice[K, A]) *keyed.Pane[K, A] {
	for _, s := range of {
		dst.Merge(s.pane, f.merge, f.begin)
	}
	return dst
}

// before returns how many of the slices have a number below that given.
func before[K comparable, A any](of []*slice[K, A], number int64) int {
	return sort.Search(len(of), func(i int) bool { return of[i].number >= number })
}

// update brings what was merged up to date after a record of a key was added to a slice. All open slices are given.
func (f *fold[K, A]) update(all []*slice[K, A], s *slice[K, A], k *K, h uint64) {
	f.late = window.Span{}
	switch {
	case f.layout.PanesPerWindow() == 1:
	case f.layout.Grows():
		if !f.sum.Contains(s.start) {
			return
		}
		var sum A
		empty := true
		for _, s := range between(all, f.sum.Start, f.sum.End) {
			empty = f.add(&sum, empty, s.pane.Get(k, h))
		}
		v, _ := f.space.Ensure(result).Upsert(k, h)
		*v = sum
	case f.runs != nil:
		f.runs.update(all, s, k, h)
	}
}

// value returns what a window holds of a key, given its slices. It is valid until the next call.
func (f *fold[K, A]) value(win window.Span, of []*slice[K, A], k *K, h uint64) *A {
	if f.layout.PanesPerWindow() == 1 {
		return of[0].pane.Get(k, h)
	}
	if f.runs != nil {
		return f.runs.value(f.layout.Index(win.Start), f.layout.Index(win.Last())+1, of, k, h)
	}
	empty := !f.layout.Grows() || f.late.Start != win.Start || f.late.End == f.late.Start
	if empty {
		var zero A
		f.acc = zero
		f.late = window.Span{Start: win.Start, End: win.Start}
	}
	for _, s := range between(of, f.late.End, win.End) {
		empty = f.add(&f.acc, empty, s.pane.Get(k, h))
	}
	f.late.End = win.End
	return &f.acc
}

// forget lets go of what no window after the clock needs.
func (f *fold[K, A]) forget(clock int64) {
	if f.layout.PanesPerWindow() == 1 {
		return
	}
	// A window that fires after the clock ends at the clock + 2 or later.
	start := satAdd(satAdd(clock, 2), -f.layout.Size())
	if f.layout.Grows() {
		if f.sum.Start < start {
			f.space.Drop(result)
			f.sum = window.Span{}
		}
		return
	}
	f.space.Drop(result)
	if f.runs != nil {
		f.runs.forget(f.layout.Index(start))
	}
}
