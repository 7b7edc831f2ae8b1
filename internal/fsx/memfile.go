package fsx

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// memFile is an open file of a Mem. Its position is not for use from several goroutines, ReadAt is.
type memFile struct {
	fs     *Mem
	node   *node
	path   string
	pos    int64
	write  bool
	closed bool
}

func (f *memFile) Name() string { return f.path }

// begin locks the file system for one operation.
func (f *memFile) begin(op string, write bool) error {
	f.fs.mu.Lock()
	switch {
	case f.closed:
		f.fs.mu.Unlock()
		return pathError(op, f.path, fs.ErrClosed)
	case write && !f.write:
		f.fs.mu.Unlock()
		return pathError(op, f.path, syscall.EBADF)
	}
	return nil
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.begin("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, pathError("read", f.path, fs.ErrInvalid)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	if err := f.begin("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	f.node.writeAt(p, f.pos)
	f.pos += int64(len(p))
	return len(p), nil
}

// writeAt leaves the durable content alone: what it must change there is copied first.
func (n *node) writeAt(p []byte, off int64) {
	if len(p) == 0 { // writes nothing, also behind the end
		return
	}
	end := off + int64(len(p))
	if n.shared && off < int64(len(n.durable)) {
		n.data = append(make([]byte, 0, max(end, int64(len(n.data)))), n.data...)
		n.shared = false
	}
	if gap := off - int64(len(n.data)); gap > 0 {
		n.data = append(n.data, make([]byte, gap)...)
	}
	m := copy(n.data[off:], p)
	n.data = append(n.data, p[m:]...)
}

func (f *memFile) Seek(offset int64, whence int) (int64, error) {
	if err := f.begin("seek", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += int64(len(f.node.data))
	case io.SeekStart:
	default:
		return 0, pathError("seek", f.path, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, pathError("seek", f.path, fs.ErrInvalid)
	}
	f.pos = offset
	return offset, nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.begin("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size < 0 {
		return pathError("truncate", f.path, fs.ErrInvalid)
	}
	if n := f.node; size > int64(len(n.data)) {
		// The gap is filled with zeros, also where a cut-off end used to be.
		n.writeAt(make([]byte, size-int64(len(n.data))), int64(len(n.data)))
	} else {
		n.data = n.data[:size]
	}
	return nil
}

func (f *memFile) Sync() error {
	if err := f.begin("sync", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	n := f.node
	n.durable, n.shared = n.data[:len(n.data):len(n.data)], true
	return nil
}

func (f *memFile) Stat() (fs.FileInfo, error) {
	if err := f.begin("stat", false); err != nil {
		return nil, err
	}
	defer f.fs.mu.Unlock()
	return f.node.info(filepath.Base(f.path)), nil
}

func (f *memFile) Close() error {
	if err := f.begin("close", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}

// memInfo describes a node at one moment.
type memInfo struct {
	name string
	size int64
	dir  bool
}

func (n *node) info(name string) fs.FileInfo { return memInfo{name, int64(len(n.data)), n.dir} }

func (i memInfo) Name() string { return i.name }
func (i memInfo) Size() int64  { return i.size }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// ModTime is always the zero time: files in memory have no use for it.
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
