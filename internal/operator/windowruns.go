package operator

import (
	"math"
	"math/bits"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
)

// runs merges the slices of sliding windows, as runs of entries in the order of their keys.
//
// A window is cut in two at its bound: the last of its slices whose number is a multiple of 2^top, where 2^top is the largest power of two
// that is not above the number of its slices. What is right of the bound grows by a slice from window to window. What is left of it
// shrinks, and no inverse of Merge is needed for that: it is a chain of nodes of which each is a pair of slices, a pair of pairs, and so on,
//
//	window [3, 14), bound 8:    3   4 5 6 7 | 8 9 10 11 12 13
//	                            3 + (4 .. 7) | ((8 + 9) + 10) ...
//
// added from the bound towards the start, and the sums on the way are those of the windows to come. So a window costs some merges and never
// as many as it has slices, whichever the aggregation.
//
// How accumulators are put together depends on the numbers of the slices that have the key, as fold promises: where one of two parts lacks the
// key, the other is taken as it is.
type runs[K comparable, A any] struct {
	make  *keyed.Runs[K, A]
	merge func(dst, src *A)
	top   int
	nodes map[place]*keyed.Run[K, A]
	// left are the sums of chains that end at the bound, the shortest first.
	left  []chainSum[*keyed.Run[K, A]]
	bound int64
	right rightSum[*keyed.Run[K, A]]
	// of one key, for its late panes, in the order of the windows
	lateLeft  []chainSum[*A]
	lateBound int64
	lateRight rightSum[*A]
	// kept is the number of the first slice that is not forgotten.
	kept int64
}

// chainSum is the sum of the slices from a number to the bound. What is not owned is read by others too: a part that lacks a partner.
type chainSum[S any] struct {
	from  int64
	sum   S
	owned bool
}

// rightSum is the sum of the slices [from, to), added in their order.
type rightSum[S any] struct {
	from, to int64
	sum      S
	owned    bool
}

func newRuns[K comparable, A any](l *pane.Layout, key *codec.Key[K], merge func(dst, src *A)) *runs[K, A] {
	return &runs[K, A]{
		make: keyed.NewRuns(key, merge), merge: merge, top: bits.Len(uint(l.PanesPerWindow())) - 1,
		nodes: map[place]*keyed.Run[K, A]{}, kept: math.MinInt64,
	}
}

// place names a node: the number of its first slice, and its level, which is 0 for a slice.
type place struct {
	from  int64
	level int
}

// boundOf returns where a window of the slices [from, to) is cut.
func (r *runs[K, A]) boundOf(from, to int64) int64 {
	// Only a window that the range of times cuts off has no multiple in it.
	return max(from, (to-1)&^(1<<r.top-1))
}

// levelAt returns the level of the node that a chain to the bound has at a slice.
func (r *runs[K, A]) levelAt(from int64) int { return min(bits.TrailingZeros64(uint64(from)), r.top) }

// each calls fn for the entries of a window in the order of their keys, given its slices, until fn returns an error.
func (r *runs[K, A]) each(from, to int64, of []*slice[K, A], fn func(k *K, acc *A) error) error {
	bound := r.boundOf(from, to)
	i := before(of, bound)
	return r.make.Each(r.leftOf(from, bound, of[:i]), r.rightOf(bound, to, of[i:]), fn)
}

// leftOf returns the run of [from, bound), or nil.
func (r *runs[K, A]) leftOf(from, bound int64, of []*slice[K, A]) *keyed.Run[K, A] {
	if r.bound != bound {
		r.popLeft(bound)
		r.bound = bound
	}
	r.popLeft(from)
	return r.chain(from, of)
}

// popLeft lets go of the chains that begin before a slice.
func (r *runs[K, A]) popLeft(from int64) {
	for n := len(r.left); n > 0 && r.left[n-1].from < from; n-- {
		if r.left[n-1].owned {
			r.make.Free(r.left[n-1].sum)
		}
		r.left[n-1] = chainSum[*keyed.Run[K, A]]{}
		r.left = r.left[:n-1]
	}
}

// chain returns the sum from a slice to the bound. All chains that begin later and are kept are parts of it.
func (r *runs[K, A]) chain(from int64, of []*slice[K, A]) *keyed.Run[K, A] {
	if from == r.bound {
		return nil
	}
	if n := len(r.left); n > 0 && r.left[n-1].from == from {
		return r.left[n-1].sum
	}
	level := r.levelAt(from)
	i := before(of, from+1<<level)
	rest := r.chain(from+1<<level, of[i:])
	sum := chainSum[*keyed.Run[K, A]]{from: from, sum: r.node(from, level, of[:i])}
	switch {
	case sum.sum == nil:
		sum.sum = rest
	case rest != nil:
		sum.sum, sum.owned = r.make.Merge(sum.sum, rest), true
	}
	r.left = append(r.left, sum)
	return sum.sum
}

// rightOf returns the run of [bound, to), or nil.
func (r *runs[K, A]) rightOf(bound, to int64, of []*slice[K, A]) *keyed.Run[K, A] {
	if r.right.from != bound {
		r.dropRight()
		r.right.from, r.right.to = bound, bound
	}
	for _, s := range of[before(of, r.right.to):] {
		leaf, old := r.leaf(s), r.right
		if old.sum == nil {
			r.right.sum = leaf
			continue
		}
		r.right.sum, r.right.owned = r.make.Merge(old.sum, leaf), true
		if old.owned {
			r.make.Free(old.sum)
		}
	}
	r.right.to = to
	return r.right.sum
}

func (r *runs[K, A]) dropRight() {
	if r.right.owned {
		r.make.Free(r.right.sum)
	}
	r.right = rightSum[*keyed.Run[K, A]]{}
}

// leaf returns the run of a slice.
func (r *runs[K, A]) leaf(s *slice[K, A]) *keyed.Run[K, A] {
	p := r.nodes[place{s.number, 0}]
	if p == nil {
		p = r.make.Of(s.pane)
		r.nodes[place{s.number, 0}] = p
	}
	return p
}

// node returns the run of 2^level slices, given those that there are; nil when there are none.
func (r *runs[K, A]) node(from int64, level int, of []*slice[K, A]) *keyed.Run[K, A] {
	switch len(of) {
	case 0:
		return nil
	case 1:
		return r.leaf(of[0])
	}
	if p := r.nodes[place{from, level}]; p != nil {
		return p
	}
	half := from + 1<<(level-1)
	i := before(of, half)
	left, right := r.node(from, level-1, of[:i]), r.node(half, level-1, of[i:])
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	}
	p := r.make.Merge(left, right)
	r.nodes[place{from, level}] = p
	return p
}

// sum returns the sum of what two parts have of a key, either of which may be nil.
func (r *runs[K, A]) sum(a, b *A) *A {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	sum := *a
	r.merge(&sum, b)
	return &sum
}

// nodeValue returns what a node has of a key, or nil.
func (r *runs[K, A]) nodeValue(from int64, level int, of []*slice[K, A], k *K, h uint64) *A {
	switch len(of) {
	case 0:
		return nil
	case 1:
		return of[0].pane.Get(k, h)
	}
	if p := r.nodes[place{from, level}]; p != nil {
		return r.make.Find(p, k)
	}
	return r.halves(from, level, of, k, h)
}

// halves is nodeValue by the halves of the node.
func (r *runs[K, A]) halves(from int64, level int, of []*slice[K, A], k *K, h uint64) *A {
	half := from + 1<<(level-1)
	i := before(of, half)
	return r.sum(r.nodeValue(from, level-1, of[:i], k, h), r.nodeValue(half, level-1, of[i:], k, h))
}

// update brings what was merged up to date after a record of a key was added to a slice. All open slices are given. A run that has the key
// is mended; one that gains it is made again when it is next asked for, once for all the records until then.
func (r *runs[K, A]) update(all []*slice[K, A], s *slice[K, A], k *K, h uint64) {
	r.forgetKey()
	r.popLeft(s.number + 1)
	for level := 0; level <= r.top; level++ {
		from := s.number &^ (1<<level - 1)
		p := r.nodes[place{from, level}]
		if p == nil {
			continue
		}
		v := r.make.Find(p, k)
		switch {
		case v == nil:
			delete(r.nodes, place{from, level})
			r.make.Free(p)
		case level == 0:
			*v = *s.pane.Get(k, h)
		default:
			*v = *r.halves(from, level, all[before(all, from):before(all, from+1<<level)], k, h)
		}
	}
	if s.number < r.right.from || s.number >= r.right.to {
		return
	}
	if !r.right.owned {
		r.right = rightSum[*keyed.Run[K, A]]{}
		return
	}
	v := r.make.Find(r.right.sum, k)
	if v == nil {
		r.dropRight()
		return
	}
	*v = *r.inOrder(nil, all[before(all, r.right.from):before(all, r.right.to)], k, h)
}

// inOrder adds what slices have of a key to a sum.
func (r *runs[K, A]) inOrder(sum *A, of []*slice[K, A], k *K, h uint64) *A {
	for _, s := range of {
		sum = r.sum(sum, s.pane.Get(k, h))
	}
	return sum
}

// forgetKey ends the use of what is known of a key.
func (r *runs[K, A]) forgetKey() {
	clear(r.lateLeft)
	r.lateLeft, r.lateRight = r.lateLeft[:0], rightSum[*A]{}
}

// value returns what a window has of a key, given its slices. After an update it must be asked for windows of the same key in their order.
func (r *runs[K, A]) value(from, to int64, of []*slice[K, A], k *K, h uint64) *A {
	bound := r.boundOf(from, to)
	i := before(of, bound)
	if r.lateBound != bound {
		r.forgetKey()
		r.lateBound = bound
	}
	for n := len(r.lateLeft); n > 0 && r.lateLeft[n-1].from < from; n-- {
		r.lateLeft = r.lateLeft[:n-1]
	}
	if r.lateRight.from != bound || r.lateRight.to > to {
		r.lateRight = rightSum[*A]{from: bound, to: bound}
	}
	r.lateRight.sum = r.inOrder(r.lateRight.sum, of[before(of, r.lateRight.to):], k, h)
	r.lateRight.to = to
	return r.sum(r.chainValue(from, of[:i], k, h), r.lateRight.sum)
}

// chainValue is chain for one key.
func (r *runs[K, A]) chainValue(from int64, of []*slice[K, A], k *K, h uint64) *A {
	if from == r.lateBound {
		return nil
	}
	if n := len(r.lateLeft); n > 0 && r.lateLeft[n-1].from == from {
		return r.lateLeft[n-1].sum
	}
	level := r.levelAt(from)
	i := before(of, from+1<<level)
	rest := r.chainValue(from+1<<level, of[i:], k, h)
	sum := r.sum(r.nodeValue(from, level, of[:i], k, h), rest)
	r.lateLeft = append(r.lateLeft, chainSum[*A]{from: from, sum: sum})
	return sum
}

// forget lets go of all before the slice of a number, which is the first that a window to come may hold.
func (r *runs[K, A]) forget(number int64) {
	if number <= r.kept {
		return
	}
	r.popLeft(number)
	if r.right.from < number {
		r.dropRight()
	}
	for at, run := range r.nodes {
		if at.from < number {
			r.make.Free(run)
			delete(r.nodes, at)
		}
	}
	r.kept = number
}
