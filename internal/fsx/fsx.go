// Package fsx is the file system as the engine sees it: few operations, each with a stated durability, so that a test
// can fail, tear or forget any of them.
package fsx

import (
	"io"
	"io/fs"
)

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Seeker
	io.Closer
	// Sync makes the content durable. After an error the file must be thrown away: what it holds is unknown.
	Sync() error
	// Truncate changes the size.
	Truncate(size int64) error
	// Stat describes the file.
	Stat() (fs.FileInfo, error)
	// Name returns the path it was opened with.
	Name() string
}

// FS is a file system. Paths are those of the machine (package path/filepath).
type FS interface {
	// Open opens a file for reading.
	Open(path string) (File, error)
	// Create makes a new file for writing and fails with fs.ErrExist when there is one.
	Create(path string) (File, error)
	// Rename gives a file another name in one step and replaces what has that name. It is durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file or an empty directory. It is durable after SyncDir.
	Remove(path string) error
	// MkdirAll makes a directory and what is missing above it.
	MkdirAll(path string) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Stat describes what is at the path, following links.
	Stat(path string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable: creations, renames, removals.
	SyncDir(path string) error
	// Lock takes an exclusive lock on the file at the path, made if missing, for as long as the process lives or until
	// the returned Closer is closed. It fails at once, with an error for which errors.Is(err, ErrLocked) holds, when
	// another holder has it.
	Lock(path string) (io.Closer, error)
}
