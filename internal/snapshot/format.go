package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged says that bytes on storage are not what was written: cut off, changed, missing or mixed up.
var ErrDamaged = errors.New("damaged")

// The layout of a file, drawn in docs/format/snapshot.md. All fixed-width numbers are little-endian.
const (
	formatVersion = 1

	headerSize = 40
	blockSize  = 20 // header of a block
	footerSize = 40

	// fileMagic has a byte above 127, both line ends and a ctrl-Z, so that what text transfers do to files is seen at once.
	fileMagic   = "\x89MRS\r\n\x1a\n"
	footerMagic = "MRSE"

	kindEntries = 1
	kindIndex   = 2

	codecPlain = 0
	codecZstd  = 1
)

// Limits that hold for writers and readers alike, so that a length read from storage can be checked before it is believed.
const (
	// MaxEntry bounds key and value of an entry together, in bytes.
	MaxEntry = 256 << 20
	// MaxGroups bounds the number of key groups of a job.
	MaxGroups = 1 << 16
	// MaxName bounds the names of operators and states, in bytes.
	MaxName = 1024

	maxBlock = MaxEntry + 64 // an entry that is larger than a block gets one of its own
)

const (
	blockTarget = 128 << 10 // a block is closed when its entries take this much
	writeTarget = 1 << 20   // one write to the file
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// damage is an ErrDamaged with file, place and what is wrong there.
func damage(file string, offset int64, format string, args ...any) error {
	return fmt.Errorf("snapshot: %s at byte %d: %s: %w", file, offset, fmt.Sprintf(format, args...), ErrDamaged)
}

// header is the start of a file.
type header struct {
	task  uint32
	epoch uint64
	term  uint64
}

// encode returns the bytes and their checksum, which is the identity that all other checksums of the file start from: a block
// of another file is not taken for one of this.
func (h header) encode() ([]byte, uint32) {
	b := make([]byte, headerSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], h.task)
	binary.LittleEndian.PutUint64(b[16:], h.epoch)
	binary.LittleEndian.PutUint64(b[24:], h.term)
	crc := crc32.Checksum(b[:36], castagnoli)
	binary.LittleEndian.PutUint32(b[36:], crc)
	return b, crc
}

func decodeHeader(file string, b []byte) (header, uint32, error) {
	if string(b[:8]) != fileMagic {
		return header{}, 0, damage(file, 0, "not a snapshot file: wrong first bytes % x", b[:8])
	}
	crc := crc32.Checksum(b[:36], castagnoli)
	if got := binary.LittleEndian.Uint32(b[36:]); got != crc {
		return header{}, 0, damage(file, 0, "header checksum is %08x, its bytes have %08x", got, crc)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != formatVersion {
		return header{}, 0, fmt.Errorf("snapshot: %s: format version %d, this program reads version %d: use the release that wrote it or a newer one",
			file, v, formatVersion)
	}
	return header{
		task:  binary.LittleEndian.Uint32(b[12:]),
		epoch: binary.LittleEndian.Uint64(b[16:]),
		term:  binary.LittleEndian.Uint64(b[24:]),
	}, crc, nil
}

// block is the decoded header of a block.
type block struct {
	kind, codec byte
	stored      uint32 // bytes in the file
	raw         uint32 // bytes after decompression
	count       uint32 // entries, or sections for the index
	crc         uint32
}

// put fills b, whose first blockSize bytes are the header and the rest the stored payload.
func (k block) put(b []byte, ident uint32, offset int64) {
	b[0], b[1], b[2], b[3] = k.kind, k.codec, 0, 0
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-blockSize))
	binary.LittleEndian.PutUint32(b[8:], k.raw)
	binary.LittleEndian.PutUint32(b[12:], k.count)
	binary.LittleEndian.PutUint32(b[16:], blockCRC(b, ident, offset))
}

// place is what a checksum starts from: bytes that are whole but of another file or another offset do not fit.
func place(ident uint32, offset int64) uint32 {
	return ident ^ uint32(offset) ^ uint32(offset>>32)
}

// blockCRC covers file, place, header and payload.
func blockCRC(b []byte, ident uint32, offset int64) uint32 {
	crc := crc32.Update(place(ident, offset), castagnoli, b[:16])
	return crc32.Update(crc, castagnoli, b[blockSize:])
}

func getBlock(b []byte) block {
	return block{
		kind: b[0], codec: b[1],
		stored: binary.LittleEndian.Uint32(b[4:]),
		raw:    binary.LittleEndian.Uint32(b[8:]),
		count:  binary.LittleEndian.Uint32(b[12:]),
		crc:    binary.LittleEndian.Uint32(b[16:]),
	}
}

// footer is the end of a file: where the index is.
type footer struct {
	index    uint64 // offset of the index block
	indexLen uint64 // its length with header
	entries  uint64 // entries in the file
}

func (f footer) encode(ident uint32, offset int64) []byte {
	b := make([]byte, footerSize)
	binary.LittleEndian.PutUint64(b, f.index)
	binary.LittleEndian.PutUint64(b[8:], f.indexLen)
	binary.LittleEndian.PutUint64(b[16:], f.entries)
	binary.LittleEndian.PutUint32(b[24:], formatVersion)
	binary.LittleEndian.PutUint32(b[28:], ident)
	copy(b[32:], footerMagic)
	binary.LittleEndian.PutUint32(b[36:], footerCRC(b, ident, offset))
	return b
}

func footerCRC(b []byte, ident uint32, offset int64) uint32 {
	return crc32.Update(place(ident, offset), castagnoli, b[:36])
}

func decodeFooter(file string, b []byte, ident uint32, offset int64) (footer, error) {
	if string(b[32:36]) != footerMagic {
		return footer{}, damage(file, offset, "no footer: the file is cut off or overwritten")
	}
	if got, want := binary.LittleEndian.Uint32(b[36:]), footerCRC(b, ident, offset); got != want {
		return footer{}, damage(file, offset, "footer checksum is %08x, its bytes have %08x", got, want)
	}
	if got := binary.LittleEndian.Uint32(b[28:]); got != ident {
		return footer{}, damage(file, offset, "footer belongs to file %08x, header to %08x", got, ident)
	}
	f := footer{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
	if f.index < headerSize || f.index > uint64(offset) || f.indexLen != uint64(offset)-f.index || f.indexLen < blockSize {
		return footer{}, damage(file, offset, "footer puts the index at %d with %d bytes", f.index, f.indexLen)
	}
	return f, nil
}
