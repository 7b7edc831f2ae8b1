package agg

import (
	"encoding/binary"
	"fmt"
	"math"
)

// formatVersion is the first byte of accumulators that encode themselves, a byte for the form follows.
const formatVersion = 1

// readForm reads version and form.
func readForm(name string, src []byte) (form byte, rest []byte, err error) {
	if len(src) < 2 {
		return 0, nil, fmt.Errorf("agg: %s: the accumulator ends in its head", name)
	}
	if src[0] != formatVersion {
		return 0, nil, fmt.Errorf("agg: %s: the accumulator has format version %d, this program reads %d", name, src[0], formatVersion)
	}
	return src[1], src[2:], nil
}

// readCount reads a number of items that take size bytes each or more.
func readCount(name string, src []byte, size int) (n int, rest []byte, err error) {
	v, k := binary.Uvarint(src)
	if k <= 0 {
		return 0, nil, fmt.Errorf("agg: %s: the accumulator ends in a length", name)
	}
	if v > uint64(len(src)-k)/uint64(size) {
		return 0, nil, fmt.Errorf("agg: %s: the accumulator has %d bytes left for %d items of %d", name, len(src)-k, v, size)
	}
	return int(v), src[k:], nil
}

// readBlock reads bytes with their number in front.
func readBlock(name string, src []byte) (block, rest []byte, err error) {
	n, rest, err := readCount(name, src, 1)
	if err != nil {
		return nil, nil, err
	}
	return rest[:n], rest[n:], nil
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// takeFloat reads a float; there must be enough bytes.
func takeFloat(src []byte) (float64, []byte) {
	return math.Float64frombits(binary.LittleEndian.Uint64(src)), src[8:]
}
