package agg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/millrace-stream/millrace/codec"
)

// BitsState is the accumulator of DistinctBits: the set of values as a roaring bitmap. It encodes itself: docs/format/sketches.md.
type BitsState[V Integer] struct{ seen *roaring64.Bitmap }

var _ codec.Self = (*BitsState[int])(nil)

// DistinctBits counts the different values of f, exactly, like CountDistinct, but keeps them as a compressed bitmap. That is for values
// that lie close together, as the numbers of customers or seats do: 0.1 bytes for each of 100,000 in a row and 5 when they are a
// thousand apart, against 24 in CountDistinct. Values that are spread over all 64 bits, as hashes, take 170: use CountDistinct for them.
func DistinctBits[T any, V Integer](f func(T) V) Aggregator[T, BitsState[V], int64] {
	return Aggregator[T, BitsState[V], int64]{
		Add: func(acc *BitsState[V], t *T) {
			if acc.seen == nil {
				acc.seen = roaring64.New()
			}
			// Negative values become large ones, each a different one.
			acc.seen.Add(uint64(f(*t)))
		},
		Merge: func(dst, src *BitsState[V]) {
			switch {
			case src.seen == nil:
			case dst.seen == nil:
				dst.seen = src.seen.Clone()
			default:
				dst.seen.Or(src.seen)
			}
		},
		Result: func(acc *BitsState[V]) int64 {
			if acc.seen == nil {
				return 0
			}
			return int64(acc.seen.GetCardinality())
		},
		Err: missing("DistinctBits", f == nil),
	}
}

// AppendState is for package codec.
func (s *BitsState[V]) AppendState(dst []byte) []byte {
	if s.seen == nil {
		return append(dst, formatVersion, 0)
	}
	// The parts of the set are not turned into runs (RunOptimize): smaller, but then their form would depend on when the job was restored,
	// and adding to runs is slow. So a part is a list up to 4,096 values, a bitmap beyond, and a single run when it is full.
	data, err := s.seen.ToBytes()
	if err != nil {
		// Writing to memory does not fail. If it does, there must be no checkpoint without these values.
		panic("agg: DistinctBits: the set of values cannot be encoded: " + err.Error())
	}
	dst = binary.AppendUvarint(append(dst, formatVersion, 1), uint64(len(data)))
	return append(dst, data...)
}

// DecodeState is for package codec.
func (s *BitsState[V]) DecodeState(src []byte) ([]byte, error) {
	s.seen = nil
	form, rest, err := readForm("DistinctBits", src)
	if err != nil || form == 0 {
		return rest, err
	}
	if form != 1 {
		return nil, fmt.Errorf("agg: DistinctBits: form %d of the set is not known", form)
	}
	data, rest, err := readBlock("DistinctBits", rest)
	if err != nil {
		return nil, err
	}
	seen, err := readBitmap(data)
	if err != nil {
		return nil, fmt.Errorf("agg: DistinctBits: the set of values is damaged: %w", err)
	}
	s.seen = seen
	return rest, nil
}

func readBitmap(data []byte) (*roaring64.Bitmap, error) {
	// The library allocates what the count says without a look at how much there is. A part takes 12 bytes at least.
	if len(data) < 8 || binary.LittleEndian.Uint64(data) > uint64(len(data)-8)/12 {
		return nil, errors.New("it says that it has more parts than there are bytes for")
	}
	seen := roaring64.New()
	n, err := seen.ReadFrom(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if n != int64(len(data)) {
		return nil, fmt.Errorf("%d bytes follow it", int64(len(data))-n)
	}
	if err := seen.Validate(); err != nil {
		return nil, err
	}
	return seen, nil
}
