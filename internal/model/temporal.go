package model

import (
	"cmp"
	"slices"
)

// Temporal joins each left record with the right record of its key that has the largest event time not after its own.
type Temporal[K comparable, L, R, O any] struct {
	LeftKey  func(L) K
	RightKey func(R) K
	Compare  func(a, b K) int
	// Out makes a result; r is nil when there is none.
	Out func(l *L, r *R) O
}

// Run returns what the join makes of its inputs, which are given as they come, with the watermark of both. Late right records are used, and
// told, too.
func (j Temporal[K, L, R, O]) Run(in []Item[Side[L, R]]) JoinOutput[L, R, O] {
	var out JoinOutput[L, R, O]
	var versions, waiting []Item[Side[L, R]]
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
			slices.SortStableFunc(waiting, func(a, b Item[Side[L, R]]) int {
				return cmp.Or(cmp.Compare(a.Time, b.Time), j.Compare(j.LeftKey(*a.Value.Left), j.LeftKey(*b.Value.Left)))
			})
			for len(waiting) > 0 && waiting[0].Time <= clock {
				l := waiting[0]
				waiting = waiting[1:]
				mark(l.Time - 1)
				out.Results = append(out.Results, Item[O]{Value: j.Out(l.Value.Left, j.valid(l, versions)), Time: l.Time})
			}
			mark(clock)
		case x.Mark:
		case x.Value.Right != nil:
			versions = append(versions, x)
			if x.Time <= clock {
				out.LateRight = append(out.LateRight, Item[R]{Value: *x.Value.Right, Time: x.Time})
			}
		case x.Time <= clock:
			out.LateLeft = append(out.LateLeft, Item[L]{Value: *x.Value.Left, Time: x.Time})
		default:
			waiting = append(waiting, x)
		}
	}
	return out
}

// valid returns the version for a record: of those of the largest time, the one that came last.
func (j Temporal[K, L, R, O]) valid(l Item[Side[L, R]], versions []Item[Side[L, R]]) *R {
	var best *R
	at := int64(None)
	for _, v := range versions {
		if j.RightKey(*v.Value.Right) == j.LeftKey(*l.Value.Left) && v.Time <= l.Time && v.Time >= at {
			best, at = v.Value.Right, v.Time
		}
	}
	return best
}
