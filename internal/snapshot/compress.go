package snapshot

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// One encoder and one decoder serve all files: both are safe for use from several goroutines and large to make.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	// A single segment says its size, however small. Blocks have a checksum of their own.
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(4), zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true))
})

var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(maxBlock))
})

func compress(raw []byte) ([]byte, error) {
	e, err := encoder()
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(raw, make([]byte, 0, len(raw)/2+64)), nil
}

// decompress appends to dst the content of a frame, which must say itself that it is raw bytes long: only then is memory
// spent on it.
func decompress(dst, stored []byte, raw uint32) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(stored); err != nil {
		return nil, fmt.Errorf("compressed block: %w", err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(raw) {
		return nil, fmt.Errorf("compressed block holds %d bytes, its header says %d", h.FrameContentSize, raw)
	}
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	out, err := d.DecodeAll(stored, dst)
	if err != nil {
		return nil, fmt.Errorf("compressed block: %w", err)
	}
	if len(out)-len(dst) != int(raw) {
		return nil, fmt.Errorf("compressed block gave %d bytes, its header says %d", len(out)-len(dst), raw)
	}
	return out, nil
}
