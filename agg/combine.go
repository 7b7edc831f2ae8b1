package agg

import "errors"

// State2 is the accumulator of Combine2.
type State2[A, B any] struct {
	a A
	b B
}

// Combine2 runs two aggregators over the same records, in one pass and one accumulator, and joins their results with f.
func Combine2[T, A, B, RA, RB, R any](
	a Aggregator[T, A, RA], b Aggregator[T, B, RB], f func(RA, RB) R,
) Aggregator[T, State2[A, B], R] {
	type state = State2[A, B]
	c := Aggregator[T, state, R]{
		Init:   both(a.Init, b.Init, func(s *state) (*A, *B) { return &s.a, &s.b }),
		Add:    func(s *state, t *T) { a.Add(&s.a, t); b.Add(&s.b, t) },
		Result: func(s *state) R { return f(a.Result(&s.a), b.Result(&s.b)) },
		Check:  eachCheck(a.Check, b.Check),
		Verify: bothVerify(a.Verify, b.Verify, func(s *state) (*A, *B) { return &s.a, &s.b }),
		Err:    errors.Join(a.Err, b.Err, missing("Combine", f == nil)),
	}
	c.Exact = a.MergesExactly() && b.MergesExactly()
	if a.Merge != nil && b.Merge != nil {
		c.Merge = func(dst, src *state) { a.Merge(&dst.a, &src.a); b.Merge(&dst.b, &src.b) }
	}
	return c
}

// pair is the result of two aggregators on the way to a combined one.
type pair[A, B any] struct {
	a A
	b B
}

func makePair[A, B any](a A, b B) pair[A, B] { return pair[A, B]{a, b} }

// Combine3 is Combine2 for three aggregators.
func Combine3[T, A, B, C, RA, RB, RC, R any](
	a Aggregator[T, A, RA], b Aggregator[T, B, RB], c Aggregator[T, C, RC], f func(RA, RB, RC) R,
) Aggregator[T, State2[State2[A, B], C], R] {
	all := Combine2(Combine2(a, b, makePair[RA, RB]), c, func(ab pair[RA, RB], c RC) R { return f(ab.a, ab.b, c) })
	all.Err = errors.Join(all.Err, missing("Combine", f == nil))
	// One call for each record goes straight to the three.
	all.Add = func(s *State2[State2[A, B], C], t *T) {
		a.Add(&s.a.a, t)
		b.Add(&s.a.b, t)
		c.Add(&s.b, t)
	}
	return all
}

// Combine4 is Combine2 for four aggregators.
func Combine4[T, A, B, C, D, RA, RB, RC, RD, R any](
	a Aggregator[T, A, RA], b Aggregator[T, B, RB], c Aggregator[T, C, RC], d Aggregator[T, D, RD], f func(RA, RB, RC, RD) R,
) Aggregator[T, State2[State2[A, B], State2[C, D]], R] {
	all := Combine2(Combine2(a, b, makePair[RA, RB]), Combine2(c, d, makePair[RC, RD]),
		func(ab pair[RA, RB], cd pair[RC, RD]) R { return f(ab.a, ab.b, cd.a, cd.b) })
	all.Err = errors.Join(all.Err, missing("Combine", f == nil))
	all.Add = func(s *State2[State2[A, B], State2[C, D]], t *T) {
		a.Add(&s.a.a, t)
		b.Add(&s.a.b, t)
		c.Add(&s.b.a, t)
		d.Add(&s.b.b, t)
	}
	return all
}

// both joins two functions over the halves of a state; nil when both are.
func both[S, A, B any](a func(*A), b func(*B), halves func(*S) (*A, *B)) func(*S) {
	if a == nil && b == nil {
		return nil
	}
	return func(s *S) {
		x, y := halves(s)
		if a != nil {
			a(x)
		}
		if b != nil {
			b(y)
		}
	}
}

// bothVerify is both for functions that return an error: the first one wins.
func bothVerify[S, A, B any](a func(*A) error, b func(*B) error, halves func(*S) (*A, *B)) func(*S) error {
	if a == nil && b == nil {
		return nil
	}
	return func(s *S) error {
		x, y := halves(s)
		if a != nil {
			if err := a(x); err != nil {
				return err
			}
		}
		if b == nil {
			return nil
		}
		return b(y)
	}
}

// eachCheck returns a check that passes when both do; nil when there is none.
func eachCheck[T any](a, b func(*T) error) func(*T) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(t *T) error {
		if err := a(t); err != nil {
			return err
		}
		return b(t)
	}
}
