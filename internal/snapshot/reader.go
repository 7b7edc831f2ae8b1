package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path/filepath"

	"github.com/millrace-stream/millrace/internal/fsx"
)

const readTarget = 256 << 10 // one read from the file, unless a block is larger

// fileReader reads one file whose bytes may be anything.
type fileReader struct {
	file   fsx.File
	name   string
	size   int64
	head   header
	ident  uint32
	index  int64 // offset of the index block: entries end there
	states []stateList

	window   []byte // bytes of the file from windowAt on
	windowAt int64
	payload  []byte // of the block at cur, decompressed
	spare    []byte // memory for decompression
	cur      int64  // offset of the block in payload; -1 for none
	next     int64  // offset after it

	doneBlock int64 // entries up to here have been visited: sections come in the order of their entries and share none
	doneIn    int
}

// openFile opens and checks header, footer and index.
func openFile(fs fsx.FS, path string) (*fileReader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: open: %w", missing(err))
	}
	r := &fileReader{file: f, name: path, cur: -1}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// missing makes a file that is not there a damage, which it is when a manifest names it.
func missing(err error) error {
	if isNotExist(err) {
		return fmt.Errorf("%w (%w)", err, ErrDamaged)
	}
	return err
}

func (r *fileReader) open() error {
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("snapshot: open %s: %w", r.name, err)
	}
	if r.size = info.Size(); r.size < headerSize+blockSize+footerSize {
		return damage(r.name, r.size, "file ends after %d bytes, the smallest has %d", r.size, headerSize+blockSize+footerSize)
	}
	b, err := r.fetch(0, headerSize)
	if err != nil {
		return err
	}
	if r.head, r.ident, err = decodeHeader(r.name, b); err != nil {
		return err
	}
	end := r.size - footerSize
	if b, err = r.fetch(end, footerSize); err != nil {
		return err
	}
	foot, err := decodeFooter(r.name, b, r.ident, end)
	if err != nil {
		return err
	}
	r.index = int64(foot.index)
	_, payload, err := r.block(r.index, end, kindIndex)
	if err != nil {
		return err
	}
	if r.states, err = decodeIndex(append([]byte(nil), payload...)); err != nil {
		return damage(r.name, r.index, "%v", err)
	}
	r.cur = -1
	return nil
}

func (r *fileReader) close() error { return r.file.Close() }

// fetch returns n bytes at off, valid until the next call. The caller has made sure that they lie within the size.
func (r *fileReader) fetch(off int64, n int) ([]byte, error) {
	if off >= r.windowAt && off+int64(n) <= r.windowAt+int64(len(r.window)) {
		return r.window[off-r.windowAt:][:n], nil
	}
	want := int(min(int64(max(n, readTarget)), r.size-off))
	have := 0 // bytes of the old window that are used again
	if skip := off - r.windowAt; skip >= 0 && skip < int64(len(r.window)) {
		have = len(r.window) - int(skip)
	}
	rest := r.window[len(r.window)-have:]
	if cap(r.window) < want {
		r.window = make([]byte, want)
	}
	r.window, r.windowAt = r.window[:want], off
	copy(r.window, rest)
	got, err := r.file.ReadAt(r.window[have:], off+int64(have))
	if have+got == want {
		return r.window[:n], nil
	}
	r.window = r.window[:0]
	if err == nil || errors.Is(err, io.EOF) {
		return nil, damage(r.name, off+int64(have+got), "file ends here although its size is %d", r.size)
	}
	return nil, fmt.Errorf("snapshot: read %s at byte %d: %w", r.name, off, err)
}

// block reads and checks the block at off, which must end by limit, and returns its payload, valid until the next call.
func (r *fileReader) block(off, limit int64, kind byte) (block, []byte, error) {
	if off < headerSize || off > limit-blockSize {
		return block{}, nil, damage(r.name, off, "no room for a block before byte %d", limit)
	}
	b, err := r.fetch(off, blockSize)
	if err != nil {
		return block{}, nil, err
	}
	k := getBlock(b)
	size := blockSize + int64(k.stored)
	if size > limit-off || k.raw > maxBlock {
		return block{}, nil, damage(r.name, off, "block claims %d bytes (%d decompressed), the place has %d", k.stored, k.raw, limit-off-blockSize)
	}
	if b, err = r.fetch(off, int(size)); err != nil {
		return block{}, nil, err
	}
	if got := blockCRC(b, r.ident, off); got != k.crc {
		return block{}, nil, damage(r.name, off, "block checksum is %08x, its bytes have %08x", k.crc, got)
	}
	if k.kind != kind {
		return block{}, nil, damage(r.name, off, "block of kind %d where kind %d belongs", k.kind, kind)
	}
	payload := b[blockSize:]
	switch {
	case k.codec == codecZstd:
		if payload, err = decompress(r.spare[:0], payload, k.raw); err != nil {
			return block{}, nil, damage(r.name, off, "%v", err)
		}
		r.spare = payload
	case k.codec != codecPlain:
		return block{}, nil, damage(r.name, off, "block has unknown codec %d", k.codec)
	case k.raw != k.stored:
		return block{}, nil, damage(r.name, off, "plain block of %d bytes claims %d", k.stored, k.raw)
	}
	r.cur, r.next, r.payload = off, off+size, payload
	return k, payload, nil
}

// sections returns what the file has about groups [lo, hi) of a state, in order.
func (r *fileReader) sections(operator, state string, lo, hi int) ([]indexed, error) {
	for _, s := range r.states {
		if s.operator == operator && s.state == state {
			list, err := s.decode(lo, hi, headerSize, r.index)
			if err != nil {
				return nil, damage(r.name, r.index, "%v", err)
			}
			return list, nil
		}
	}
	return nil, nil
}

// visit hands the entries of a section to the visitor.
func (r *fileReader) visit(s indexed, v Visitor) error {
	switch s.kind {
	case Reset:
		return v.Reset(s.group)
	case Dropped:
		return v.Drop(s.group, s.span)
	case Full:
		if err := v.Drop(s.group, s.span); err != nil {
			return err
		}
	}
	if s.ref.count == 0 {
		return nil
	}
	if s.ref.block < r.doneBlock || s.ref.block == r.doneBlock && s.ref.in < r.doneIn {
		return damage(r.name, r.index, "section of group %d shares entries with the one before", s.group)
	}
	if r.cur != s.ref.block {
		if _, _, err := r.block(s.ref.block, r.index, kindEntries); err != nil {
			return err
		}
	}
	if s.ref.in > len(r.payload) {
		return damage(r.name, r.cur, "section of group %d starts at byte %d of a block with %d", s.group, s.ref.in, len(r.payload))
	}
	return r.entries(s, r.payload[s.ref.in:], v)
}

// entries hands over the entries of a section that begin at rest, a part of the block at cur.
func (r *fileReader) entries(s indexed, rest []byte, v Visitor) error {
	for left := s.ref.count; ; {
		for len(rest) > 0 && left > 0 {
			key, value, gone, n := decodeEntry(rest)
			if n == 0 {
				return damage(r.name, r.cur, "entry at byte %d of the block does not fit", len(r.payload)-len(rest))
			}
			if gone && s.kind == Full {
				return damage(r.name, r.cur, "deletion in a full section of group %d", s.group)
			}
			rest = rest[n:]
			left--
			var err error
			if gone {
				err = v.Delete(s.group, s.span, key)
			} else {
				err = v.Put(s.group, s.span, key, value)
			}
			if err != nil {
				return err
			}
		}
		if left == 0 {
			r.doneBlock, r.doneIn = r.cur, len(r.payload)-len(rest)
			return nil
		}
		if _, _, err := r.block(r.next, r.index, kindEntries); err != nil {
			return fmt.Errorf("%d entries of group %d are not there: %w", left, s.group, err)
		}
		rest = r.payload
	}
}

// decodeEntry returns the first entry of b and its length, 0 when there is no whole one.
func decodeEntry(b []byte) (key, value []byte, gone bool, size int) {
	k, n := uint64(b[0]), 1
	if k >= 0x80 {
		if k, n = binary.Uvarint(b); n <= 0 {
			return nil, nil, false, 0
		}
	}
	rest := b[n:]
	gone = k&1 != 0
	if k >>= 1; k > uint64(len(rest)) {
		return nil, nil, false, 0
	}
	key, rest = rest[:k:k], rest[k:]
	if gone {
		return key, nil, true, n + int(k)
	}
	if len(rest) == 0 {
		return nil, nil, false, 0
	}
	size = n + int(k)
	l, m := uint64(rest[0]), 1
	if l >= 0x80 {
		if l, m = binary.Uvarint(rest); m <= 0 {
			return nil, nil, false, 0
		}
	}
	if rest = rest[m:]; l > uint64(len(rest)) {
		return nil, nil, false, 0
	}
	return key, rest[:l:l], false, size + m + int(l)
}

// Verify reads a whole file and checks size and checksum against what a manifest says about it.
func Verify(fs fsx.FS, dir string, info FileInfo) (err error) {
	path := filepath.Join(dir, info.Name)
	f, err := fs.Open(path)
	if err != nil {
		return fmt.Errorf("snapshot: verify: %w", missing(err))
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, min(max(info.Size, 1), writeTarget))
	var size int64
	var crc uint32
	for {
		n, err := f.Read(buf)
		crc = crc32.Update(crc, castagnoli, buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("snapshot: verify %s at byte %d: %w", path, size, err)
		}
		if size > info.Size {
			break
		}
	}
	if size != info.Size {
		return damage(path, min(size, info.Size), "file has %d bytes, the manifest says %d", size, info.Size)
	}
	if crc != info.CRC32C {
		return damage(path, 0, "checksum of the file is %08x, the manifest says %08x", crc, info.CRC32C)
	}
	return nil
}

// openNamed opens a file that a manifest names and makes sure that it is the one meant.
func openNamed(fs fsx.FS, dir string, info FileInfo) (*fileReader, error) {
	r, err := openFile(fs, filepath.Join(dir, info.Name))
	if err != nil {
		return nil, err
	}
	want := header{uint32(info.Task), info.Epoch, info.Term}
	switch {
	case r.size != info.Size:
		err = damage(r.name, r.size, "file has %d bytes, the manifest says %d", r.size, info.Size)
	case info.Task < 0 || info.Task > math.MaxInt32 || r.head != want:
		err = damage(r.name, 0, "file is of epoch %d, term %d, task %d; the manifest says %d, %d, %d",
			r.head.epoch, r.head.term, r.head.task, info.Epoch, info.Term, info.Task)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}
