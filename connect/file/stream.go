package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-stream/millrace/internal/fsx"
)

const (
	// bufferSize is how much is read at a time, and so the most text that a batch of short records shares.
	bufferSize = 128 << 10
	// history is how many bytes before the current place stay in the buffer, and how many of the file's first bytes are
	// remembered: their checksums in a position tell whether the file is still the one that was read.
	history = 64
	// maxWindow is the most memory that a zstd file may ask for.
	maxWindow = 128 << 20
)

// stream is the content of a file, decompressed, seen through a buffer that moves forward.
type stream struct {
	path   string
	file   fsx.File
	follow bool

	kind compression
	body io.Reader // What the content is read from.
	raw  counter   // What the file has given.
	zstd *zstd.Decoder

	buf   []byte // buf[start:] is not consumed yet; buf[:start] holds at least history bytes, if there were as many.
	start int
	base  int64  // Offset of buf[0] in the content.
	head  []byte // The first bytes of the content, at most history.
	eof   bool
	err   error // What reading ended with; the content in the buffer is good.
	moved bool  // The buffer has moved since the flag was cleared.
}

// counter counts what is read through it.
type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

func (s *stream) offset() int64 { return s.base + int64(s.start) }

// open finds out how the file is compressed. It is false when a followed file is too short to tell.
func (s *stream) open() (bool, error) {
	var magic [4]byte
	n, err := s.file.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("file: read %s: %w", s.path, err)
	}
	first := magic[:n]
	gzipMagic, zstdMagic := []byte{0x1f, 0x8b}, []byte{0x28, 0xb5, 0x2f, 0xfd}
	if s.follow && n < len(magic) && (bytes.HasPrefix(gzipMagic, first) || bytes.HasPrefix(zstdMagic, first)) {
		return false, nil
	}
	s.raw.from = s.file
	s.body = &s.raw
	switch {
	case bytes.HasPrefix(first, gzipMagic):
		s.kind = gzipped
		if s.body, err = gzip.NewReader(&s.raw); err != nil {
			return false, s.broken(err)
		}
	case bytes.HasPrefix(first, zstdMagic):
		s.kind = zstandard
		s.zstd, err = zstd.NewReader(&s.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return false, s.broken(err)
		}
		s.body = s.zstd
	case bytes.HasPrefix(first, []byte{0xff, 0xfe}), bytes.HasPrefix(first, []byte{0xfe, 0xff}):
		return false, fmt.Errorf("file: %s is UTF-16 text: convert it to UTF-8", s.path)
	}
	if s.follow && s.kind != plain {
		return false, fmt.Errorf("file: %s is %v: a compressed file cannot be followed; read it without Follow, or keep it "+
			"out of the pattern", s.path, s.kind)
	}
	return true, nil
}

func (s *stream) broken(err error) error {
	if s.kind == plain {
		return fmt.Errorf("file: read %s at byte %d: %w", s.path, s.raw.n, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file ends in the middle (truncated, or still being written): %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("file: %s: broken %v data near byte %d of the file: %w", s.path, s.kind, s.raw.n, err)
}

// fill reads until the buffer holds twice as much unconsumed content as before, or the end is met for now, or an error,
// which it leaves in err. It reports whether it read anything. Doubling keeps the search for the end of a long record from
// being repeated too often.
func (s *stream) fill() bool {
	have := len(s.buf) - s.start
	s.makeRoom(have)
	got := 0
	for got <= have {
		n, err := s.body.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		got += n
		s.keepHead()
		if err != nil {
			if errors.Is(err, io.EOF) {
				s.eof = !s.follow
			} else {
				s.err = s.broken(err)
			}
			break
		}
		if len(s.buf) == cap(s.buf) {
			break
		}
	}
	return got > 0
}

// makeRoom moves unconsumed content, and the history before it, to the front, and grows the buffer when that fills more
// than half of it.
func (s *stream) makeRoom(have int) {
	drop := max(0, s.start-history)
	size := max(bufferSize, cap(s.buf))
	if have+history > size/2 {
		size *= 2
	}
	if drop == 0 && size == cap(s.buf) {
		return
	}
	to := s.buf[:0]
	if size != cap(s.buf) {
		to = make([]byte, 0, size)
	}
	s.buf = append(to, s.buf[drop:]...)
	s.start -= drop
	s.base += int64(drop)
	s.moved = true
}

func (s *stream) keepHead() {
	if s.base == 0 && len(s.head) < history {
		s.head = append(s.head[:0], s.buf[:min(history, len(s.buf))]...)
	}
}

// tail returns the bytes before the current place, at most history.
func (s *stream) tail() []byte { return s.buf[max(0, s.start-history):s.start] }

// skipTo moves to a later offset: by seeking in a plain file, by reading on in a compressed one.
func (s *stream) skipTo(offset int64) error {
	for s.kind == plain && offset > s.base+int64(len(s.buf)) {
		if len(s.head) == history { // It is needed whole to check it.
			return s.seek(offset)
		}
		if !s.fill() {
			break
		}
	}
	for s.base+int64(len(s.buf)) < offset {
		s.start = len(s.buf)
		if !s.fill() {
			if s.err != nil {
				return s.err
			}
			return s.tooShort(offset, s.base+int64(len(s.buf)))
		}
	}
	s.start = int(offset - s.base)
	return nil
}

func (s *stream) seek(offset int64) error {
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if info.Size() < offset {
		return s.tooShort(offset, info.Size())
	}
	from := max(0, offset-history)
	if _, err := s.file.Seek(from, io.SeekStart); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	s.raw.n = from
	s.buf = s.buf[:int(offset-from)]
	s.base, s.start = from, len(s.buf)
	s.moved, s.eof = true, false
	if _, err := io.ReadFull(s.body, s.buf); err != nil {
		return s.broken(err)
	}
	return nil
}

func (s *stream) tooShort(offset, size int64) error {
	return outOfRange("file: %s has %d bytes of content, but it was read up to byte %d: it was truncated or replaced since "+
		"the checkpoint; put the file back, start from a checkpoint before it was read, or say with OutOfRange where to go on", s.path, size, offset)
}

func (s *stream) close() error {
	if s.zstd != nil {
		s.zstd.Close()
	}
	if s.file == nil { // closed, and could not be opened anew
		return nil
	}
	f := s.file
	s.file, s.zstd = nil, nil
	return f.Close()
}
