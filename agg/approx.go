package agg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/millrace-stream/millrace/codec"
)

// approxPrecision is the precision of ApproxDistinct: 2^14 registers.
const approxPrecision = 14

// ApproxState is the accumulator of ApproxDistinct. It is a function of the set of values alone: the hashes of all, as long as they are few, and
// of more the registers of a HyperLogLog, each of which is a maximum. It encodes itself: docs/format/sketches.md.
//
// The sparse form that the library has is not used: when it turns into registers depends on the order of values, and so
// would the result.
type ApproxState[V comparable] struct {
	// few are the hashes in rising order, at most fewHashes of them.
	few []uint64
	// sketch has the registers, 2^precision of them; nil while there are few.
	sketch    *hyperloglog.Sketch
	precision int
	// mixed says that registers of different precision were to be merged.
	mixed bool
	// value is where a value lies while it is hashed, so that it needs no memory of its own; zero otherwise.
	value V
}

var _ codec.Self = (*ApproxState[int])(nil)

// fewHashes is how many hashes are kept before there are registers: half of what those take.
func fewHashes(precision int) int { return max(16, 1<<precision/16) }

// ApproxDistinct is about how many different values f has: exact up to 1,024 of them, beyond that with a standard error of 0.8%, in 16 KB of
// memory whatever their number. The values must be of a type that can be a key (codec.KeyFor); the hash is that of keys, the
// same in every run, so the result is too.
func ApproxDistinct[T any, V comparable](f func(T) V) Aggregator[T, ApproxState[V], int64] {
	return ApproxDistinctAt(approxPrecision, f)
}

// ApproxDistinctAt is ApproxDistinct with 2^precision registers, a byte for each: a standard error of 1.04 / sqrt(2^precision),
// exact up to a sixteenth of the registers (16 at least). The precision is 4 to 18: errors of 26% to 0.2%.
func ApproxDistinctAt[T any, V comparable](precision int, f func(T) V) Aggregator[T, ApproxState[V], int64] {
	key, err := codec.KeyFor[V]()
	if err != nil {
		err = fmt.Errorf("agg: ApproxDistinct: %w", err)
	}
	if precision < 4 || precision > 18 {
		err = errors.Join(err, fmt.Errorf("agg: ApproxDistinct: the precision is %d; it must be 4 to 18", precision))
	}
	return Aggregator[T, ApproxState[V], int64]{
		Add: func(acc *ApproxState[V], t *T) {
			acc.value = f(*t)
			h := key.Hash(&acc.value)
			acc.value = *new(V)
			acc.add(h, precision)
		},
		Merge:  func(dst, src *ApproxState[V]) { dst.merge(src, precision) },
		Exact:  true,
		Result: func(acc *ApproxState[V]) int64 { return acc.estimate() },
		Verify: func(acc *ApproxState[V]) error {
			if acc.mixed {
				return fmt.Errorf("agg: ApproxDistinct: stored registers are of another precision than %d; go back to the one from before, "+
					"or give the operator another name so that it starts anew", precision)
			}
			return nil
		},
		Err: errors.Join(err, missing("ApproxDistinct", f == nil)),
	}
}

func (s *ApproxState[V]) add(h uint64, precision int) {
	if s.sketch != nil {
		s.sketch.InsertHash(h)
		return
	}
	i, known := slices.BinarySearch(s.few, h)
	if known {
		return
	}
	s.few = slices.Insert(s.few, i, h)
	if len(s.few) > fewHashes(precision) {
		s.fill(precision)
	}
}

// fill goes from hashes to registers.
func (s *ApproxState[V]) fill(precision int) {
	// The only error is that of a precision which has been checked.
	s.sketch, _ = hyperloglog.NewSketch(uint8(precision), false)
	s.precision = precision
	for _, h := range s.few {
		s.sketch.InsertHash(h)
	}
	s.few = nil
}

func (s *ApproxState[V]) merge(o *ApproxState[V], precision int) {
	s.mixed = s.mixed || o.mixed
	if o.sketch == nil {
		for _, h := range o.few {
			s.add(h, precision)
		}
		return
	}
	if s.sketch == nil {
		s.fill(o.precision)
	}
	if s.sketch.Merge(o.sketch) != nil {
		// The precision of the job was changed while windows were open.
		s.mixed = true
	}
}

func (s *ApproxState[V]) estimate() int64 {
	if s.sketch == nil {
		return int64(len(s.few))
	}
	return int64(s.sketch.Estimate())
}

// The forms of the accumulator in a checkpoint.
const (
	approxFew = iota
	approxSketch
	approxMixed
)

// AppendState is for package codec.
func (s *ApproxState[V]) AppendState(dst []byte) []byte {
	switch {
	case s.mixed:
		return append(dst, formatVersion, approxMixed)
	case s.sketch == nil:
		dst = binary.AppendUvarint(append(dst, formatVersion, approxFew), uint64(len(s.few)))
		for _, h := range s.few {
			dst = binary.LittleEndian.AppendUint64(dst, h)
		}
		return dst
	}
	dst = binary.AppendUvarint(append(dst, formatVersion, approxSketch), uint64(8+1<<s.precision))
	dst, err := s.sketch.AppendBinary(dst)
	if err != nil {
		// The error is for sketches that were never made. If it comes, there must be no checkpoint without these values.
		panic("agg: ApproxDistinct: the registers cannot be encoded: " + err.Error())
	}
	return dst
}

// DecodeState is for package codec.
func (s *ApproxState[V]) DecodeState(src []byte) ([]byte, error) {
	*s = ApproxState[V]{}
	form, rest, err := readForm("ApproxDistinct", src)
	if err != nil {
		return nil, err
	}
	switch form {
	case approxMixed:
		s.mixed = true
		return rest, nil
	case approxFew:
		return s.decodeFew(rest)
	case approxSketch:
		return s.decodeSketch(rest)
	}
	return nil, fmt.Errorf("agg: ApproxDistinct: form %d of the accumulator is not known", form)
}

func (s *ApproxState[V]) decodeFew(src []byte) ([]byte, error) {
	n, rest, err := readCount("ApproxDistinct", src, 8)
	if err != nil || n == 0 {
		return rest, err
	}
	few := make([]uint64, n)
	for i := range few {
		few[i] = binary.LittleEndian.Uint64(rest[8*i:])
		if i > 0 && few[i-1] >= few[i] {
			return nil, fmt.Errorf("agg: ApproxDistinct: hash %d of %d is not above the one before", i+1, n)
		}
	}
	s.few = few
	return rest[8*n:], nil
}

func (s *ApproxState[V]) decodeSketch(src []byte) ([]byte, error) {
	data, rest, err := readBlock("ApproxDistinct", src)
	if err != nil {
		return nil, err
	}
	sketch := new(hyperloglog.Sketch)
	if err := sketch.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("agg: ApproxDistinct: the registers are damaged: %w", err)
	}
	// The version and the sparse form are in the head; what was written above has no other than these.
	if data[0] != 2 || data[3] != 0 {
		return nil, errors.New("agg: ApproxDistinct: the registers are not in the form that is written here")
	}
	s.sketch, s.precision = sketch, int(data[1])
	return rest, nil
}
