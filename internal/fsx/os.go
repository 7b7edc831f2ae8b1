package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrLocked says that somebody else holds the lock.
var ErrLocked = errors.New("fsx: locked by another process")

// OS is the machine's own file system.
type OS struct{}

// Open opens a file for reading.
func (OS) Open(path string) (File, error) { return file(os.Open(path)) }

// Create makes a new file that only its owner may read.
func (OS) Create(path string) (File, error) {
	return file(os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600))
}

// file keeps a nil *os.File from becoming a File that is not nil.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename calls os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove calls os.Remove.
func (OS) Remove(path string) error { return os.Remove(path) }

// MkdirAll makes directories that only their owner may enter.
func (OS) MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

// ReadDir calls os.ReadDir.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Stat calls os.Stat.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// SyncDir opens the directory and syncs it.
func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock uses flock, which the kernel releases when the process dies, however it dies.
func (OS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path comes from the configuration of the job
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("fsx: lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
