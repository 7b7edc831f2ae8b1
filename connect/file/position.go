package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// positionVersion is the first byte of an encoded position.
const positionVersion = 1

// position is a place between two records.
type position struct {
	kind    compression
	offset  int64 // In the content.
	line    int64 // Line ends before it.
	records int64 // Records before it.
	head    uint32
	tail    uint32
}

// encode is: version, compression, then offset, line and records as varints, then the two checksums.
func (p position) encode() []byte {
	b := append(make([]byte, 0, 24), positionVersion, byte(p.kind))
	b = binary.AppendUvarint(b, uint64(p.offset))
	b = binary.AppendUvarint(b, uint64(p.line))
	b = binary.AppendUvarint(b, uint64(p.records))
	b = binary.LittleEndian.AppendUint32(b, p.head)
	return binary.LittleEndian.AppendUint32(b, p.tail)
}

func decodePosition(b []byte) (p position, err error) {
	if len(b) < 2 || b[0] != positionVersion {
		return p, errors.New("file: the position is not of a version that this release can read")
	}
	p.kind = compression(b[1])
	b = b[2:]
	for _, to := range []*int64{&p.offset, &p.line, &p.records} {
		v, n := binary.Uvarint(b)
		if n <= 0 || int64(v) < 0 {
			return p, errors.New("file: the position is damaged: bad number")
		}
		*to, b = int64(v), b[n:]
	}
	if len(b) != 8 {
		return p, fmt.Errorf("file: the position is damaged: %d bytes of checksums", len(b))
	}
	p.head = binary.LittleEndian.Uint32(b)
	p.tail = binary.LittleEndian.Uint32(b[4:])
	return p, nil
}

// rangeError says that a file has no such place any more: see Files.OutOfRange.
type rangeError struct{ error }

func (e rangeError) Unwrap() error { return e.error }

func outOfRange(format string, args ...any) error { return rangeError{fmt.Errorf(format, args...)} }

// headSum is the checksum of the first bytes of the content, as far as they lie before the offset.
func headSum(head []byte, offset int64) uint32 {
	return crc32.Checksum(head[:min(int64(len(head)), offset)], castagnoli)
}

// position returns where the stream stands.
func (s *stream) position(line, records int64) position {
	return position{
		kind: s.kind, offset: s.offset(), line: line, records: records,
		head: headSum(s.head, s.offset()), tail: crc32.Checksum(s.tail(), castagnoli),
	}
}

// goTo moves the stream to the position and makes sure that the content before it is what it was.
func (s *stream) goTo(p position) error {
	if s.kind != p.kind {
		return outOfRange("file: %s is %v now and was %v at the checkpoint: it was replaced; put the old file back", s.path, s.kind, p.kind)
	}
	if p.offset < s.offset() {
		return outOfRange("file: %s has other first lines than at the checkpoint: its records begin at byte %d, but it was read up to byte %d: it was replaced; put the old file back",
			s.path, s.offset(), p.offset)
	}
	if err := s.skipTo(p.offset); err != nil {
		return err
	}
	now := s.position(p.line, p.records)
	if now.head != p.head || now.tail != p.tail {
		return outOfRange("file: %s has other content before byte %d than at the checkpoint: it was replaced or changed; "+
			"put the old file back, start from a checkpoint before it was read, or say with OutOfRange where to go on", s.path, p.offset)
	}
	return nil
}
