package model

import (
	"cmp"
	"slices"
)

// Sort holds records until the watermark has reached them.
type Sort[K comparable, T any] struct {
	Key func(T) K
	// Compare is the order of keys of records with the same time.
	Compare func(a, b K) int
}

// Run returns what a Sort lets go, and what came too late for it.
func (s Sort[K, T]) Run(in []Item[T]) (out, late []Item[T]) {
	clock, marked := int64(None), int64(None)
	var held []Item[T]
	mark := func(t int64) {
		if t > marked {
			marked = t
			out = append(out, Item[T]{Time: t, Mark: true})
		}
	}
	for _, x := range in {
		switch {
		case x.Mark:
			clock = max(clock, x.Time)
			var due []Item[T]
			held = slices.DeleteFunc(held, func(h Item[T]) bool {
				if h.Time <= clock {
					due = append(due, h)
				}
				return h.Time <= clock
			})
			slices.SortStableFunc(due, func(a, b Item[T]) int {
				return cmp.Or(cmp.Compare(a.Time, b.Time), s.Compare(s.Key(a.Value), s.Key(b.Value)))
			})
			for _, d := range due {
				mark(d.Time - 1)
				out = append(out, d)
			}
			mark(clock)
		case x.Time <= clock:
			late = append(late, x)
		default:
			held = append(held, x)
		}
	}
	return out, late
}
