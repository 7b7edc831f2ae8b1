package agg

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// VarianceState is the accumulator of Variance, StdDev and their forms for a whole population. Of integers it keeps the exact sums of
// the values and of their squares, so that the result does not depend on order at all. Of floats it keeps the sum, and the sum of the
// squared distances from the mean (Welford, merged as Chan has shown), with the mean in two parts, so that values that are large compared
// with their distances lose nothing.
type VarianceState[N Number] struct {
	n   int64
	sum SumState[N]
	// squares is the sum of the squares of integers, 192 bits, the lowest first; of floats, the first word holds the bits of the sum
	// of squared distances.
	squares [3]uint64
}

// Variance is the variance of the values of f as a sample (divided by n-1), like VARIANCE in SQL. The result of fewer than two records is
// NaN. It is exact but for one rounding for integers. A record whose value is NaN or infinite is rejected.
func Variance[T any, N Number](f func(T) N) Aggregator[T, VarianceState[N], float64] {
	return variance("Variance", f, 1, func(v float64) float64 { return v })
}

// VariancePop is the variance of the values of f as a whole population (divided by n), like VAR_POP in SQL. The result without
// records is NaN. Otherwise it is as Variance.
func VariancePop[T any, N Number](f func(T) N) Aggregator[T, VarianceState[N], float64] {
	return variance("VariancePop", f, 0, func(v float64) float64 { return v })
}

// StdDev is the standard deviation of the values of f as a sample: the root of Variance.
func StdDev[T any, N Number](f func(T) N) Aggregator[T, VarianceState[N], float64] {
	return variance("StdDev", f, 1, math.Sqrt)
}

// StdDevPop is the standard deviation of the values of f as a whole population: the root of VariancePop.
func StdDevPop[T any, N Number](f func(T) N) Aggregator[T, VarianceState[N], float64] {
	return variance("StdDevPop", f, 0, math.Sqrt)
}

// variance divides by n-less.
func variance[T any, N Number](
	name string, f func(T) N, less int64, last func(float64) float64,
) Aggregator[T, VarianceState[N], float64] {
	a := Aggregator[T, VarianceState[N], float64]{
		Add:    func(acc *VarianceState[N], t *T) { acc.add(f(*t)) },
		Merge:  func(dst, src *VarianceState[N]) { dst.merge(src) },
		Result: func(acc *VarianceState[N]) float64 { return last(acc.variance(less)) },
		Err:    missing(name, f == nil),
	}
	if isFloat[N]() {
		a.Check = rejectBeyond(name, math.MaxFloat64, f)
		a.Verify = func(acc *VarianceState[N]) error {
			if v := math.Float64frombits(acc.squares[0]); v-v != 0 {
				return fmt.Errorf("agg: %s: the squares of the values are too large for float64; scale the values down", name)
			}
			return nil
		}
	}
	return a
}

// rejectBeyond returns the Check for a number that must be finite, and no further from zero than most.
func rejectBeyond[T any, N Number](name string, most float64, f func(T) N) func(*T) error {
	return func(t *T) error {
		switch v := float64(f(*t)); {
		case v != v:
			return fmt.Errorf("agg: %s: the value is NaN", name)
		case math.Abs(v) > most:
			return fmt.Errorf("agg: %s: the value is %v; it must be within ±%v", name, v, most)
		}
		return nil
	}
}

func (s *VarianceState[N]) add(x N) {
	if isFloat[N]() {
		s.addFloat(float64(x))
		return
	}
	s.n++
	s.sum.add(x)
	size := uint64(x)
	if x < 0 {
		size = -size
	}
	hi, lo := bits.Mul64(size, size)
	s.addSquares([3]uint64{lo, hi})
}

func (s *VarianceState[N]) addSquares(o [3]uint64) {
	var carry uint64
	for i := range s.squares {
		s.squares[i], carry = bits.Add64(s.squares[i], o[i], carry)
	}
}

func (s *VarianceState[N]) addFloat(x float64) {
	if s.n > 0 {
		hi, lo := s.mean()
		d := (x - hi) - lo
		s.spread(d * d * (float64(s.n) / float64(s.n+1)))
	}
	s.n++
	s.sum.addFloat(x)
}

// spread adds to the sum of squared distances. The conversion keeps compilers from fusing the product that made v with the sum, which would
// give other last bits on other machines.
func (s *VarianceState[N]) spread(v float64) {
	s.squares[0] = math.Float64bits(math.Float64frombits(s.squares[0]) + float64(v))
}

// mean returns the mean of floats in two parts, of which the second is what rounding takes from the first.
func (s *VarianceState[N]) mean() (hi, lo float64) {
	n, sum, lost := float64(s.n), math.Float64frombits(s.sum.lo), math.Float64frombits(s.sum.hi)
	hi = sum / n
	return hi, (math.FMA(-hi, n, sum) + lost) / n
}

func (s *VarianceState[N]) merge(o *VarianceState[N]) {
	switch {
	case o.n == 0:
		return
	case s.n == 0:
		*s = *o
		return
	case isFloat[N]():
		hi, lo := s.mean()
		oHi, oLo := o.mean()
		d := (oHi - hi) + (oLo - lo)
		n, m := float64(s.n), float64(o.n)
		s.spread(math.Float64frombits(o.squares[0]))
		s.spread(d * d * (n * (m / (n + m))))
	default:
		s.addSquares(o.squares)
	}
	s.n += o.n
	s.sum.merge(&o.sum)
}

func (s *VarianceState[N]) variance(less int64) float64 {
	if s.n <= less {
		return math.NaN()
	}
	if isFloat[N]() {
		return math.Float64frombits(s.squares[0]) / float64(s.n-less)
	}
	// (n * sum of squares - square of the sum) / (n * (n - less)), with one rounding at the end.
	n, sum, squares := big.NewInt(s.n), big.NewInt(int64(s.sum.hi)), new(big.Int)
	sum.Lsh(sum, 64).Add(sum, new(big.Int).SetUint64(s.sum.lo))
	for i := len(s.squares) - 1; i >= 0; i-- {
		squares.Lsh(squares, 64).Add(squares, new(big.Int).SetUint64(s.squares[i]))
	}
	over := squares.Mul(squares, n)
	over.Sub(over, sum.Mul(sum, sum))
	v, _ := new(big.Rat).SetFrac(over, n.Mul(n, big.NewInt(s.n-less))).Float64()
	return v
}
