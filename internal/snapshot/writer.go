package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// Options say how a file is written.
type Options struct {
	// Epoch, Term and Task are the identity of the file; it is part of all checksums.
	Epoch, Term uint64
	Task        int
	// Compress makes blocks zstd where that is smaller.
	Compress bool
	// Hit is called at fault points; nil for none.
	Hit func(point string) error
	// done is told the result of Finish, or nil when the file is given up.
	done func(*FileInfo)
}

// FileInfo describes a finished file in a manifest.
type FileInfo struct {
	// Name is relative to the directory of the job.
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// CRC32C is the checksum of the whole file.
	CRC32C uint32 `json:"crc32c"`
	// Epoch, Term and Task are those of the Options.
	Epoch uint64 `json:"epoch"`
	Term  uint64 `json:"term"`
	Task  int    `json:"task"`
	// Contents says which groups the file has something about, ordered by operator and state.
	Contents []StateGroups `json:"contents"`
}

// Writer writes one snapshot file. It is used by one goroutine and is of no use after its first error, except to Abort it.
type Writer struct {
	fs   fsx.FS
	file fsx.File
	path string
	opts Options

	ident   uint32 // checksum of the header
	written int64  // bytes handed to the file
	crc     uint32 // of those
	err     error
	closed  bool

	out       []byte // not yet handed over: finished blocks, then the open one from blockAt on
	blockAt   int    // -1 while no block is open
	blockN    uint32 // entries in the open block
	entries   uint64
	prev      []byte // last key of the section; nil when there is none
	prevSpare []byte // memory for prev once out is reused

	open    bool // a section is open
	section Section
	ref     sectionRef // of the open section
	bytes   int64      // of its entries
	index   indexBuilder
}

// Create makes a new file and fails when there is one with this name.
func Create(fs fsx.FS, path string, opts Options) (*Writer, error) {
	if opts.Task < 0 || opts.Task > 1<<31-1 {
		return nil, fmt.Errorf("snapshot: create %s: task %d is out of range", path, opts.Task)
	}
	if err := hit(opts.Hit, PointCreate); err != nil {
		return nil, fmt.Errorf("snapshot: create %s: %w", path, err)
	}
	f, err := fs.Create(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: create: %w", err)
	}
	w := &Writer{fs: fs, file: f, path: path, opts: opts, blockAt: -1}
	head, ident := header{uint32(opts.Task), opts.Epoch, opts.Term}.encode()
	w.ident = ident
	w.out = append(make([]byte, 0, writeTarget+blockTarget), head...)
	return w, nil
}

// fail remembers the first error, so that a caller who goes on does not finish a file with a hole.
func (w *Writer) fail(format string, args ...any) error {
	w.err = fmt.Errorf("snapshot: write %s: "+format, append([]any{w.path}, args...)...)
	return w.err
}

var errClosed = errors.New("snapshot: writer is finished or aborted")

func (w *Writer) usable() error {
	if w.closed {
		return errClosed
	}
	return w.err
}

// Begin starts a section. It fails when the section does not come after the one before.
func (w *Writer) Begin(s Section) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.endSection()
	if err := w.index.check(s); err != nil {
		return w.fail("%w", err)
	}
	if w.blockAt < 0 {
		w.openBlock()
	}
	w.section, w.open, w.prev, w.bytes = s, true, nil, 0
	w.ref = sectionRef{
		block: w.written + int64(w.blockAt),
		in:    len(w.out) - w.blockAt - blockSize,
	}
	return nil
}

func (w *Writer) endSection() {
	if w.open {
		w.index.add(w.section, w.ref, w.bytes)
		w.open = false
	}
}

// Put writes an entry of the current section. Keys must rise.
func (w *Writer) Put(key, value []byte) error {
	if err := w.admit(key, len(value)); err != nil {
		return err
	}
	at := len(w.out)
	if len(key) < 64 && len(value) < 128 { // both lengths take one byte
		size := 2 + len(key) + len(value)
		w.out = slices.Grow(w.out, size)[:at+size]
		e := w.out[at:]
		e[0], e[1+len(key)] = byte(len(key)<<1), byte(len(value))
		w.prev = e[1 : 1+len(key)]
		copyShort(w.prev, key)
		copyShort(e[2+len(key):], value)
		return w.entryDone(at)
	}
	w.out = binary.AppendUvarint(w.out, uint64(len(key))<<1)
	keyAt := len(w.out)
	w.out = append(w.out, key...)
	w.prev = w.out[keyAt:]
	w.out = binary.AppendUvarint(w.out, uint64(len(value)))
	w.out = append(w.out, value...)
	return w.entryDone(at)
}

// copyShort is copy for equal lengths. Moving 8 to 16 bytes as two numbers that may overlap saves the call, which for the usual
// keys and values costs more than the move.
func copyShort(dst, src []byte) {
	n := len(src)
	if n < 8 || n > 16 {
		copy(dst, src)
		return
	}
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[n-8:], binary.LittleEndian.Uint64(src[n-8:]))
}

// rises reports whether b comes after a. The first 8 bytes nearly always tell.
func rises(a, b []byte) bool {
	if len(a) >= 8 && len(b) >= 8 {
		x, y := binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(b)
		if x != y {
			return x < y
		}
	}
	return bytes.Compare(a, b) < 0
}

// Delete writes that the entry with this key is gone. It is an error in a Full section, where there is nothing to delete.
func (w *Writer) Delete(key []byte) error {
	if err := w.admit(key, 0); err != nil {
		return err
	}
	if w.section.Kind != Delta {
		return w.fail("delete in a full section (%s)", w.section)
	}
	at := len(w.out)
	w.out = binary.AppendUvarint(w.out, uint64(len(key))<<1|1)
	keyAt := len(w.out)
	w.out = append(w.out, key...)
	w.prev = w.out[keyAt:]
	return w.entryDone(at)
}

// admit checks an entry and makes sure that a block is open for it.
func (w *Writer) admit(key []byte, value int) error {
	if w.closed || w.err != nil || !w.open || w.section.Kind > Full || len(key)+value > MaxEntry {
		return w.refuse(len(key) + value)
	}
	if w.prev != nil && !rises(w.prev, key) {
		return w.fail("key %x does not come after %x in section %s", clip(key), clip(w.prev), w.section)
	}
	if w.blockAt < 0 {
		w.openBlock()
	}
	return nil
}

func (w *Writer) refuse(size int) error {
	switch err := w.usable(); {
	case err != nil:
		return err
	case !w.open:
		return w.fail("entry outside of a section: call Begin first")
	case w.section.Kind > Full:
		return w.fail("entry in section %s, which has none", w.section)
	default:
		return w.fail("entry of %d bytes in section %s, the limit is %d", size, w.section, MaxEntry)
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// entryDone counts the entry that starts at out[at].
func (w *Writer) entryDone(at int) error {
	w.blockN++
	w.ref.count++
	w.bytes += int64(len(w.out) - at)
	if len(w.out)-w.blockAt >= blockTarget {
		return w.closeBlock()
	}
	return nil
}

func (w *Writer) openBlock() {
	w.blockAt = len(w.out)
	var empty [blockSize]byte
	w.out = append(w.out, empty[:]...)
}

// closeBlock completes the open block and hands the buffer to the file when it is full.
func (w *Writer) closeBlock() error {
	if w.blockAt < 0 {
		return nil
	}
	if w.blockN == 0 { // only empty sections point here, and they read nothing
		w.out, w.blockAt = w.out[:w.blockAt], -1
		return nil
	}
	if err := w.sealBlock(block{kind: kindEntries, count: w.blockN}); err != nil {
		return err
	}
	w.entries += uint64(w.blockN)
	w.blockN = 0
	if len(w.out) >= writeTarget {
		return w.flush()
	}
	return nil
}

// sealBlock compresses out[blockAt:], if asked to, and writes its header.
func (w *Writer) sealBlock(k block) error {
	b := w.out[w.blockAt:]
	raw := b[blockSize:]
	if len(raw) > maxBlock {
		return w.fail("a block of %d bytes, the limit is %d", len(raw), maxBlock)
	}
	k.raw = uint32(len(raw))
	if w.opts.Compress {
		small, err := compress(raw)
		if err != nil {
			return w.fail("compress: %w", err)
		}
		if len(small) < len(raw) {
			if len(w.prev) > 0 { // its bytes are about to be overwritten
				w.prevSpare = append(w.prevSpare[:0], w.prev...)
				w.prev = w.prevSpare
			}
			k.codec = codecZstd
			w.out = append(w.out[:w.blockAt+blockSize], small...)
			b = w.out[w.blockAt:]
		}
	}
	k.put(b, w.ident, w.written+int64(w.blockAt))
	w.blockAt = -1
	return nil
}

// flush hands all finished blocks to the file.
func (w *Writer) flush() error {
	if len(w.prev) > 0 {
		w.prevSpare = append(w.prevSpare[:0], w.prev...)
		w.prev = w.prevSpare
	}
	n, err := w.file.Write(w.out)
	if err == nil && n < len(w.out) {
		err = fmt.Errorf("short write: %d of %d bytes", n, len(w.out))
	}
	if err != nil {
		return w.fail("%w", err)
	}
	w.crc = crc32.Update(w.crc, castagnoli, w.out)
	w.written += int64(len(w.out))
	if cap(w.out) > 8*writeTarget { // one huge entry must not hold its memory until the end
		w.out = make([]byte, 0, writeTarget+blockTarget)
	}
	w.out = w.out[:0]
	return nil
}

// Finish writes index and footer, makes the content durable with one sync and closes the file. The name becomes durable when
// the directory is synced, which publishing a manifest does. After an error the file is gone.
func (w *Writer) Finish() (FileInfo, error) {
	if err := w.usable(); err != nil {
		return FileInfo{}, errors.Join(err, w.Abort())
	}
	if err := w.finish(); err != nil {
		return FileInfo{}, errors.Join(err, w.Abort())
	}
	w.closed = true
	info := FileInfo{
		Name: filepath.Base(w.path), Size: w.written, CRC32C: w.crc,
		Epoch: w.opts.Epoch, Term: w.opts.Term, Task: w.opts.Task, Contents: w.index.contents,
	}
	if w.opts.done != nil {
		w.opts.done(&info)
	}
	return info, nil
}

func (w *Writer) finish() error {
	w.endSection()
	if err := w.closeBlock(); err != nil {
		return err
	}
	at := w.written + int64(len(w.out))
	w.openBlock()
	w.out = w.index.encode(w.out)
	if err := w.sealBlock(block{kind: kindIndex, count: uint32(w.index.sections)}); err != nil {
		return err
	}
	end := w.written + int64(len(w.out))
	foot := footer{index: uint64(at), indexLen: uint64(end - at), entries: w.entries}
	w.out = append(w.out, foot.encode(w.ident, end)...)
	if err := w.flush(); err != nil {
		return err
	}
	if err := hit(w.opts.Hit, PointSync); err != nil {
		return w.fail("sync: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return w.fail("sync: %w", err)
	}
	if err := hit(w.opts.Hit, PointSynced); err != nil {
		return w.fail("after sync: %w", err)
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return w.fail("close: %w", err)
	}
	return nil
}

// Abort gives the file up and removes it. It does nothing after Finish or another Abort.
func (w *Writer) Abort() error {
	if w.closed {
		return nil
	}
	w.closed = true
	var err error
	if w.file != nil {
		err = w.file.Close()
	}
	if rm := w.fs.Remove(w.path); rm != nil {
		err = errors.Join(err, rm)
	}
	if w.opts.done != nil {
		w.opts.done(nil)
	}
	if err != nil {
		return fmt.Errorf("snapshot: give up %s: %w", w.path, err)
	}
	return nil
}
