package model

import (
	"cmp"
	"slices"
)

// Side is a record of one side of a join: one of the two is set.
type Side[L, R any] struct {
	Left  *L
	Right *R
}

// Join says which records of two streams are pairs: those of one key whose right event time is in [left + Lower, left + Upper].
type Join[K comparable, L, R, O any] struct {
	Lower, Upper int64
	LeftKey      func(L) K
	RightKey     func(R) K
	Compare      func(a, b K) int
	// LeftOuter and RightOuter say that records without a partner leave too.
	LeftOuter, RightOuter bool
	// Out makes a result; one of the two may be nil.
	Out func(l *L, r *R) O
}

// JoinOutput is what comes out of a join.
type JoinOutput[L, R, O any] struct {
	Results   []Item[O]
	LateLeft  []Item[L]
	LateRight []Item[R]
}

// came is a record that was in time.
type came[K comparable, L, R any] struct {
	Item[Side[L, R]]
	key     K
	matched bool
	gone    bool
}

// Run returns what the join makes of its inputs, which are given as they come, with the watermark of both.
func (j Join[K, L, R, O]) Run(in []Item[Side[L, R]]) JoinOutput[L, R, O] {
	var out JoinOutput[L, R, O]
	var all []*came[K, L, R] // in the order of arrival
	clock, marked := int64(None), int64(None)
	mark := func(t int64) {
		if t > marked {
			marked = t
			out.Results = append(out.Results, Item[O]{Time: t, Mark: true})
		}
	}
	for _, x := range in {
		switch {
		case x.Mark && x.Time > clock:
			clock = x.Time
			for _, c := range j.lonely(all, clock) {
				mark(j.until(c) - 1)
				out.Results = append(out.Results, Item[O]{Value: j.Out(c.Value.Left, c.Value.Right), Time: j.until(c)})
				c.gone = true
			}
			mark(clock)
		case x.Mark:
		case x.Time <= clock && x.Value.Left != nil:
			out.LateLeft = append(out.LateLeft, Item[L]{Value: *x.Value.Left, Time: x.Time})
		case x.Time <= clock:
			out.LateRight = append(out.LateRight, Item[R]{Value: *x.Value.Right, Time: x.Time})
		default:
			c := &came[K, L, R]{Item: x}
			if x.Value.Left != nil {
				c.key = j.LeftKey(*x.Value.Left)
			} else {
				c.key = j.RightKey(*x.Value.Right)
			}
			out.Results = append(out.Results, j.pairs(c, all)...)
			all = append(all, c)
		}
	}
	return out
}

// pairs makes the results of a record and those before it.
func (j Join[K, L, R, O]) pairs(c *came[K, L, R], before []*came[K, L, R]) []Item[O] {
	var partners []*came[K, L, R]
	for _, b := range before {
		l, r := b, c
		if c.Value.Left != nil {
			l, r = c, b
		}
		if l.Value.Left == nil || r.Value.Right == nil || l.key != r.key {
			continue
		}
		if far := r.Time - l.Time; far >= j.Lower && far <= j.Upper {
			partners = append(partners, b)
		}
	}
	slices.SortStableFunc(partners, func(a, b *came[K, L, R]) int { return cmp.Compare(a.Time, b.Time) })
	var out []Item[O]
	for _, b := range partners {
		b.matched, c.matched = true, true
		out = append(out, Item[O]{
			Value: j.Out(cmp.Or(c.Value.Left, b.Value.Left), cmp.Or(c.Value.Right, b.Value.Right)), Time: max(c.Time, b.Time),
		})
	}
	return out
}

// until returns when it is known that a record has no partner.
func (j Join[K, L, R, O]) until(c *came[K, L, R]) int64 {
	if c.Value.Left != nil {
		return max(c.Time, c.Time+j.Upper)
	}
	return max(c.Time, c.Time-j.Lower)
}

// lonely returns the records of outer sides that have to leave at a clock, in their order.
func (j Join[K, L, R, O]) lonely(all []*came[K, L, R], clock int64) []*came[K, L, R] {
	var out []*came[K, L, R]
	for _, c := range all {
		outer := j.RightOuter
		if c.Value.Left != nil {
			outer = j.LeftOuter
		}
		if outer && !c.matched && !c.gone && j.until(c) <= clock {
			out = append(out, c)
		}
	}
	side := func(c *came[K, L, R]) int {
		if c.Value.Left != nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b *came[K, L, R]) int {
		return cmp.Or(cmp.Compare(j.until(a), j.until(b)), cmp.Compare(side(a), side(b)), j.Compare(a.key, b.key), cmp.Compare(a.Time, b.Time))
	})
	return out
}
