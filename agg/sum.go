package agg

import (
	"fmt"
	"math"
	"math/bits"
)

// SumState is the accumulator of Sum. Integers are summed in 128 bits, so no order of records can make it overflow on the way;
// floats with the compensation of Neumaier, so that the result hardly depends on the order: the error is below n * 2^-104 times the
// sum of the absolute values, plus one rounding.
type SumState[N Number] struct {
	// kind has no size; it shows in the description of the state that this is a sum of N.
	kind [0]N //nolint:unused // read by codec.Describe
	// lo and hi are the halves of a 128-bit integer; or the bits of a float64 and of what rounding has lost.
	lo, hi uint64
}

func isFloat[N Number]() bool { return N(1)/N(2) != 0 }

func isSigned[N Number]() bool { var zero N; return zero-1 < zero }

func (s *SumState[N]) add(x N) {
	if isFloat[N]() {
		s.addFloat(float64(x))
		return
	}
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, uint64(x), 0)
	s.hi += carry
	if x < 0 {
		s.hi--
	}
}

// addFloat keeps in hi what adding x to lo has lost.
func (s *SumState[N]) addFloat(x float64) {
	sum := math.Float64frombits(s.lo)
	t := sum + x
	var lost float64
	if math.Abs(sum) >= math.Abs(x) {
		lost = (sum - t) + x
	} else {
		lost = (x - t) + sum
	}
	s.lo = math.Float64bits(t)
	s.hi = math.Float64bits(math.Float64frombits(s.hi) + lost)
}

func (s *SumState[N]) merge(o *SumState[N]) {
	if isFloat[N]() {
		s.addFloat(math.Float64frombits(o.lo))
		s.hi = math.Float64bits(math.Float64frombits(s.hi) + math.Float64frombits(o.hi))
		return
	}
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi += o.hi + carry
}

// float returns a sum of floats.
func (s *SumState[N]) float() float64 {
	sum := math.Float64frombits(s.lo)
	if math.IsInf(sum, 0) || math.IsNaN(sum) {
		// What was lost is meaningless then (Inf - Inf).
		return sum
	}
	return sum + math.Float64frombits(s.hi)
}

func (s *SumState[N]) result() N {
	if isFloat[N]() {
		return N(s.float())
	}
	return N(s.lo)
}

// verify says whether an integer sum fits into N.
func (s *SumState[N]) verify() error {
	n := N(s.lo)
	if isSigned[N]() {
		if int64(n) == int64(s.lo) && s.hi == uint64(int64(s.lo)>>63) {
			return nil
		}
	} else if uint64(n) == s.lo && s.hi == 0 {
		return nil
	}
	return fmt.Errorf("agg: Sum: %s does not fit into %T; convert the values to a wider type before they are summed", s.decimal(), n)
}

// decimal is for the error: the sum to about 16 digits.
func (s *SumState[N]) decimal() string {
	return fmt.Sprintf("%.15e", float64(int64(s.hi))*0x1p64+float64(s.lo))
}

// Sum adds up the values of f. Integer sums are exact; one that does not fit into N is an error when the result is made (by
// Verify), never a wrong number. Float sums are computed in float64 with compensation for rounding: NaN or infinite
// values make the sum NaN or infinite, as usual.
func Sum[T any, N Number](f func(T) N) Aggregator[T, SumState[N], N] {
	a := Aggregator[T, SumState[N], N]{
		Add:    func(acc *SumState[N], t *T) { acc.add(f(*t)) },
		Merge:  func(dst, src *SumState[N]) { dst.merge(src) },
		Result: func(acc *SumState[N]) N { return acc.result() },
		Err:    missing("Sum", f == nil),
	}
	if !isFloat[N]() {
		a.Verify = func(acc *SumState[N]) error { return acc.verify() }
	}
	return a
}

// MeanState is the accumulator of Mean.
type MeanState[N Number] struct {
	sum SumState[N]
	n   int64
}

// Mean is the arithmetic mean of the values of f, computed from the sum that Sum describes, so that it cannot overflow. It is NaN
// when there were no records.
func Mean[T any, N Number](f func(T) N) Aggregator[T, MeanState[N], float64] {
	return Aggregator[T, MeanState[N], float64]{
		Add: func(acc *MeanState[N], t *T) { acc.sum.add(f(*t)); acc.n++ },
		Merge: func(dst, src *MeanState[N]) {
			dst.sum.merge(&src.sum)
			dst.n += src.n
		},
		Result: func(acc *MeanState[N]) float64 { return acc.result() },
		Err:    missing("Mean", f == nil),
	}
}

func (m *MeanState[N]) result() float64 {
	if m.n <= 0 {
		return math.NaN()
	}
	if isFloat[N]() {
		return m.sum.float() / float64(m.n)
	}
	lo, hi, sign := m.sum.lo, m.sum.hi, 1.0
	if isSigned[N]() && int64(hi) < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
		sign = -1
	}
	n := uint64(m.n)
	if hi >= n {
		// Not the sum of n values; only a damaged accumulator can be like that.
		return math.NaN()
	}
	q, r := bits.Div64(hi, lo, n)
	return sign * (float64(q) + float64(r)/float64(n))
}
