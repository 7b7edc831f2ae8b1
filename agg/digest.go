package agg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The forms of QuantilesState in a checkpoint.
const (
	quantilesFew = iota
	quantilesDigest
)

// AppendState is for package codec.
func (s *QuantilesState) AppendState(dst []byte) []byte {
	if s.digest == nil {
		dst = binary.AppendUvarint(append(dst, formatVersion, quantilesFew), uint64(len(s.few)))
		for _, v := range s.few {
			dst = appendFloat(dst, v)
		}
		return dst
	}
	all := s.centroids()
	dst = append(dst, formatVersion, quantilesDigest)
	dst = binary.LittleEndian.AppendUint64(dst, s.dice.state)
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, c := range all {
		dst = appendFloat(dst, c.mean)
	}
	for _, c := range all {
		dst = binary.AppendUvarint(dst, c.n)
	}
	return dst
}

// DecodeState is for package codec.
func (s *QuantilesState) DecodeState(src []byte) ([]byte, error) {
	*s = QuantilesState{}
	form, rest, err := readForm("Quantiles", src)
	if err != nil {
		return nil, err
	}
	switch form {
	case quantilesFew:
		s.few, rest, err = decodeValues(rest)
		return rest, err
	case quantilesDigest:
		return s.decodeDigest(rest)
	}
	return nil, fmt.Errorf("agg: Quantiles: form %d of the accumulator is not known", form)
}

// decodeValues reads finite values with their number in front; nil when there is none.
func decodeValues(src []byte) (values []float64, rest []byte, err error) {
	n, rest, err := readCount("Quantiles", src, 8)
	if err != nil || n == 0 {
		return nil, rest, err
	}
	values = make([]float64, n)
	for i := range values {
		values[i], rest = takeFloat(rest)
		if !(math.Abs(values[i]) <= quantileMost) {
			return nil, nil, fmt.Errorf("agg: Quantiles: value %d of %d is %v", i+1, n, values[i])
		}
	}
	return values, rest, nil
}

func (s *QuantilesState) decodeDigest(src []byte) ([]byte, error) {
	if len(src) < 8 {
		return nil, errors.New("agg: Quantiles: the accumulator ends in the head of the digest")
	}
	state := binary.LittleEndian.Uint64(src)
	means, rest, err := decodeValues(src[8:])
	if err != nil {
		return nil, err
	}
	if len(means) == 0 || len(means) > 20*compression {
		return nil, fmt.Errorf("agg: Quantiles: the digest has %d centroids; there are 1 to %d in one", len(means), 20*compression)
	}
	all, total := make([]centroid, len(means)), uint64(0)
	for i, mean := range means {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n == 0 || n > math.MaxInt64-total {
			return nil, fmt.Errorf("agg: Quantiles: centroid %d of %d has no valid number of values", i+1, len(means))
		}
		if i > 0 && !(means[i-1] <= mean) {
			return nil, fmt.Errorf("agg: Quantiles: centroid %d of %d is below the one before", i+1, len(means))
		}
		all[i], total, rest = centroid{mean, n}, total+n, rest[k:]
	}
	s.rebuild(all, state)
	return rest, nil
}
