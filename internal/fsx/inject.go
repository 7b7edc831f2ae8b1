package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
)

// OpKind names an operation of FS or File.
type OpKind string

// The operations that Inject can see. Seek, Name and File.Stat touch no disk and are not among them.
const (
	OpOpen     OpKind = "open"
	OpCreate   OpKind = "create"
	OpRename   OpKind = "rename"
	OpRemove   OpKind = "remove"
	OpMkdir    OpKind = "mkdir"
	OpReadDir  OpKind = "readdir"
	OpStat     OpKind = "stat"
	OpSyncDir  OpKind = "syncdir"
	OpLock     OpKind = "lock"
	OpRead     OpKind = "read"
	OpWrite    OpKind = "write"
	OpSync     OpKind = "sync"
	OpTruncate OpKind = "truncate"
	OpClose    OpKind = "close"
)

// Op is an operation that is about to happen.
type Op struct {
	Kind OpKind
	// Path is what it works on; for a rename the old name.
	Path string
	// N numbers the operations of all kinds on this file system from 1.
	N int
	// Bytes is how many bytes would be read or written; 0 for other kinds.
	Bytes int
}

// Partial is an error for a read or write that does some of its work before it fails.
type Partial struct {
	// Bytes is how many bytes get through.
	Bytes int
	// Err is what the caller is told.
	Err error
}

// Error tells both.
func (p *Partial) Error() string { return fmt.Sprintf("%v after %d bytes", p.Err, p.Bytes) }

// Unwrap returns Err, so that errors.Is finds ENOSPC and the like.
func (p *Partial) Unwrap() error { return p.Err }

// Inject returns a file system that asks fault before each operation. When fault returns an error, the operation is not
// done and fails with it; a *Partial on a read or write lets its bytes through first. A failed close closes nevertheless,
// as Unix does. Fault may be called from several goroutines at once.
func Inject(under FS, fault func(Op) error) FS { return &injected{under: under, fault: fault} }

type injected struct {
	under FS
	fault func(Op) error
	n     atomic.Int64
}

func (i *injected) ask(kind OpKind, path string, bytes int) error {
	if err := i.fault(Op{Kind: kind, Path: path, N: int(i.n.Add(1)), Bytes: bytes}); err != nil {
		return &fs.PathError{Op: string(kind), Path: path, Err: err}
	}
	return nil
}

func (i *injected) file(kind OpKind, path string, open func(string) (File, error)) (File, error) {
	if err := i.ask(kind, path, 0); err != nil {
		return nil, err
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &injectedFile{File: f, fs: i}, nil
}

func (i *injected) Open(path string) (File, error)   { return i.file(OpOpen, path, i.under.Open) }
func (i *injected) Create(path string) (File, error) { return i.file(OpCreate, path, i.under.Create) }

func (i *injected) Rename(from, to string) error {
	if err := i.ask(OpRename, from, 0); err != nil {
		return err
	}
	return i.under.Rename(from, to)
}

func (i *injected) Remove(path string) error {
	if err := i.ask(OpRemove, path, 0); err != nil {
		return err
	}
	return i.under.Remove(path)
}

func (i *injected) MkdirAll(path string) error {
	if err := i.ask(OpMkdir, path, 0); err != nil {
		return err
	}
	return i.under.MkdirAll(path)
}

func (i *injected) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := i.ask(OpReadDir, path, 0); err != nil {
		return nil, err
	}
	return i.under.ReadDir(path)
}

func (i *injected) Stat(path string) (fs.FileInfo, error) {
	if err := i.ask(OpStat, path, 0); err != nil {
		return nil, err
	}
	return i.under.Stat(path)
}

func (i *injected) SyncDir(path string) error {
	if err := i.ask(OpSyncDir, path, 0); err != nil {
		return err
	}
	return i.under.SyncDir(path)
}

func (i *injected) Lock(path string) (io.Closer, error) {
	if err := i.ask(OpLock, path, 0); err != nil {
		return nil, err
	}
	return i.under.Lock(path)
}

type injectedFile struct {
	File
	fs *injected
}

// partial does the part of a transfer that a *Partial allows.
func partial(p []byte, err error, do func([]byte) (int, error)) (int, error) {
	var part *Partial
	if !errors.As(err, &part) || part.Bytes <= 0 {
		return 0, err
	}
	n, doErr := do(p[:min(part.Bytes, len(p))])
	return n, errors.Join(err, doErr)
}

func (f *injectedFile) Read(p []byte) (int, error) {
	if err := f.fs.ask(OpRead, f.Name(), len(p)); err != nil {
		return partial(p, err, f.File.Read)
	}
	return f.File.Read(p)
}

func (f *injectedFile) ReadAt(p []byte, off int64) (int, error) {
	at := func(p []byte) (int, error) { return f.File.ReadAt(p, off) }
	if err := f.fs.ask(OpRead, f.Name(), len(p)); err != nil {
		return partial(p, err, at)
	}
	return at(p)
}

func (f *injectedFile) Write(p []byte) (int, error) {
	if err := f.fs.ask(OpWrite, f.Name(), len(p)); err != nil {
		return partial(p, err, f.File.Write)
	}
	return f.File.Write(p)
}

func (f *injectedFile) Sync() error {
	if err := f.fs.ask(OpSync, f.Name(), 0); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *injectedFile) Truncate(size int64) error {
	if err := f.fs.ask(OpTruncate, f.Name(), 0); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *injectedFile) Close() error {
	err := f.fs.ask(OpClose, f.Name(), 0)
	return errors.Join(err, f.File.Close())
}
