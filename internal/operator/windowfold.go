package operator

import (
	"math"
	"math/bits"
	"sort"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/window"
)

// fold merges the slices of windows, so that a window costs some merges and not one for each of its slices.
//
// Of sliding windows it keeps merged pairs of slices, pairs of pairs, and so on: a node of level n is 2^n slices, from a multiple of 2^n in their
// numbering. A window is the fewest nodes that cover it, so at most two of each level, and a node serves all windows that it is
// in. No inverse of Merge is needed, and what nodes hold is at most what the slices hold, once for each level. Of cumulative
// windows it keeps the one that has fired last, and adds the slices since.
//
// How accumulators are put together must not show in results, and it does where Merge rounds (sums of floats, digests). So the order depends
// on the numbers of the slices that have the key, and on nothing else: not on what other keys have, on what was merged before, on parallelism, or
// on a restart. Where one of two parts lacks the key, the other is taken as it is. Nothing here is saved: a restored operator merges again.
//
// A record that comes into a slice after it was merged must be followed by update.
type fold[K comparable, A any] struct {
	layout pane.Layout
	// flat says that a copy of an accumulator is one of its own. Others are merged from slices for each window: sketches
	// and collections are large, and nodes would hold them several times.
	flat  bool
	init  func(*A)
	merge func(dst, src *A)
	// begin makes an accumulator of the first one of a key; nil copies it.
	begin func(dst, src *A)
	// space holds nodes by the number of the slice in their middle, which no two share, and the pane result.
	space *keyed.Space[K, A]
	parts []*keyed.Pane[K, A]
	// levels is the level of the largest node, and kept the number of the first slice that a node may still begin with.
	levels int
	kept   int64
	// sum is the part of a cumulative window that result holds, and late that which the accumulator of a key holds while its late panes are
	// made.
	sum, late window.Span
	acc       A
}

// result is the pane of a window that is merged for its firing.
const result = math.MinInt64

func (f *fold[K, A]) open(l pane.Layout, layout codec.Layout, init func(*A), merge func(dst, src *A), space *keyed.Space[K, A]) {
	f.layout, f.flat, f.init, f.merge, f.space = l, layout != codec.Deep, init, merge, space
	f.levels = bits.Len(uint(l.PanesPerWindow())) - 1
	f.kept = math.MinInt64
	if !f.flat {
		f.begin = func(dst, src *A) {
			if f.init != nil {
				f.init(dst)
			}
			f.merge(dst, src)
		}
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

// pane returns what a window holds, given its slices, or nil. It is valid until the next call.
func (f *fold[K, A]) pane(win window.Span, of []*slice[K, A]) *keyed.Pane[K, A] {
	switch {
	case len(of) == 0:
		return nil
	case f.layout.PanesPerWindow() == 1:
		return of[0].pane
	case f.layout.Grows():
		if f.sum.Start != win.Start {
			f.space.Drop(result)
			f.sum = window.Span{Start: win.Start, End: win.Start}
		}
		of = between(of, f.sum.End, win.End)
		f.sum.End = win.End
		return f.mergeSlices(f.space.Ensure(result), of)
	}
	f.space.Drop(result)
	if !f.flat {
		return f.mergeSlices(f.space.Ensure(result), of)
	}
	f.parts = f.parts[:0]
	f.cover(win, of, func(from int64, level int, of []*slice[K, A]) {
		if p := f.node(from, level, of); p != nil {
			f.parts = append(f.parts, p)
		}
	})
	if len(f.parts) == 1 {
		return f.parts[0]
	}
	all := f.space.Ensure(result)
	for _, p := range f.parts {
		all.Merge(p, f.merge, nil)
	}
	return all
}

func (f *fold[K, A]) mergeSlices(dst *keyed.Pane[K, A], of []*slice[K, A]) *keyed.Pane[K, A] {
	for _, s := range of {
		dst.Merge(s.pane, f.merge, f.begin)
	}
	return dst
}

// cover calls fn for the nodes that cover a window, earliest first, each with those of the slices that are in it.
func (f *fold[K, A]) cover(win window.Span, of []*slice[K, A], fn func(from int64, level int, of []*slice[K, A])) {
	from, to := f.layout.Index(win.Start), f.layout.Index(win.Last())+1
	for len(of) > 0 {
		level := min(bits.TrailingZeros64(uint64(from)), bits.Len64(uint64(to-from))-1)
		end := from + 1<<level
		i := before(of, end)
		fn(from, level, of[:i])
		from, of = end, of[i:]
	}
}

// before returns how many of the slices have a number below that given.
func before[K comparable, A any](of []*slice[K, A], number int64) int {
	return sort.Search(len(of), func(i int) bool { return of[i].number >= number })
}

// node returns the node that begins with a slice, which is merged if need be, given its slices; nil when there are none.
func (f *fold[K, A]) node(from int64, level int, of []*slice[K, A]) *keyed.Pane[K, A] {
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0].pane
	}
	half := from + 1<<(level-1)
	if p := f.space.Pane(half); p != nil {
		return p
	}
	i := before(of, half)
	left, right := f.node(from, level-1, of[:i]), f.node(half, level-1, of[i:])
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	}
	p := f.space.Ensure(half)
	p.Merge(left, f.merge, nil)
	p.Merge(right, f.merge, nil)
	return p
}

// nodeValue returns what a node holds of a key, given its slices; nil when that is nothing.
func (f *fold[K, A]) nodeValue(from int64, level int, of []*slice[K, A], k *K, h uint64) *A {
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0].pane.Get(k, h)
	}
	if p := f.space.Pane(from + 1<<(level-1)); p != nil {
		return p.Get(k, h)
	}
	return f.halves(from, level, of, k, h)
}

// halves is nodeValue by the halves of the node.
func (f *fold[K, A]) halves(from int64, level int, of []*slice[K, A], k *K, h uint64) *A {
	half := from + 1<<(level-1)
	i := before(of, half)
	left, right := f.nodeValue(from, level-1, of[:i], k, h), f.nodeValue(half, level-1, of[i:], k, h)
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	}
	sum := *left
	f.merge(&sum, right)
	return &sum
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
	case f.flat:
		for level := 1; level <= f.levels; level++ {
			from := s.number &^ (1<<level - 1)
			p := f.space.Pane(from + 1<<(level-1))
			if p == nil {
				continue
			}
			of := all[before(all, from):before(all, from+1<<level)]
			sum := *f.halves(from, level, of, k, h)
			v, _ := p.Upsert(k, h)
			*v = sum
		}
	}
}

// value returns what a window holds of a key, given its slices. It is valid until the next call.
func (f *fold[K, A]) value(win window.Span, of []*slice[K, A], k *K, h uint64) *A {
	if f.layout.PanesPerWindow() == 1 {
		return of[0].pane.Get(k, h)
	}
	empty := !f.layout.Grows() || f.late.Start != win.Start || f.late.End == f.late.Start
	if empty {
		var zero A
		f.acc = zero
		f.late = window.Span{Start: win.Start, End: win.Start}
	}
	if f.flat && !f.layout.Grows() {
		f.cover(win, of, func(from int64, level int, of []*slice[K, A]) {
			empty = f.add(&f.acc, empty, f.nodeValue(from, level, of, k, h))
		})
		return &f.acc
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
	number := f.layout.Index(start)
	if number <= f.kept {
		return
	}
	if uint64(number-f.kept) > nearby {
		for _, half := range f.space.Spans() {
			if half-half&-half < number {
				f.space.Drop(half)
			}
		}
		f.kept = number
	}
	for ; f.kept < number; f.kept++ {
		for level := 1; level <= min(f.levels, bits.TrailingZeros64(uint64(f.kept))); level++ {
			f.space.Drop(f.kept + 1<<(level-1))
		}
	}
}
