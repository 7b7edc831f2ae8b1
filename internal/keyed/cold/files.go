package cold

import (
	"fmt"
	"runtime"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errNoSpace is the error of a full disk.
const errNoSpace = syscall.ENOSPC

// files keeps data files on the disk and all others, which are small, in memory: the store is scratch, so nobody reads them again, and a
// full disk cannot keep Pebble from writing down what it has done, at which it would end the process.
type files struct {
	vfs.FS // in memory
	disk   vfs.FS
	fault  func(op, file string) error
}

// of returns where a file is.
func (f *files) of(name string) vfs.FS {
	if isData(name) {
		return f.disk
	}
	return f.FS
}

// hit passes the fault point of an operation on a data file.
func (f *files) hit(op, name string) error {
	if f.fault == nil || !isData(name) {
		return nil
	}
	return f.fault(op, f.PathBase(name))
}

// Create implements vfs.FS.
func (f *files) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.hit("create", name); err != nil {
		return nil, err
	}
	file, err := f.of(name).Create(name, category)
	return f.wrap(file, name), err
}

// Open implements vfs.FS.
func (f *files) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.hit("open", name); err != nil {
		return nil, err
	}
	file, err := f.of(name).Open(name, opts...)
	return f.wrap(file, name), err
}

// OpenReadWrite implements vfs.FS.
func (f *files) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.of(name).OpenReadWrite(name, category, opts...)
}

// Remove implements vfs.FS.
func (f *files) Remove(name string) error { return f.of(name).Remove(name) }

// Rename implements vfs.FS.
func (f *files) Rename(from, to string) error { return f.of(from).Rename(from, to) }

// Link implements vfs.FS.
func (f *files) Link(from, to string) error { return f.of(from).Link(from, to) }

// ReuseForWrite implements vfs.FS.
func (f *files) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.of(from).ReuseForWrite(from, to, category)
}

// Stat implements vfs.FS.
func (f *files) Stat(name string) (vfs.FileInfo, error) { return f.of(name).Stat(name) }

// List implements vfs.FS.
func (f *files) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	if err != nil {
		return nil, err
	}
	onDisk, err := f.disk.List(dir)
	for _, n := range onDisk {
		if isData(n) {
			names = append(names, n)
		}
	}
	return names, err
}

// GetDiskUsage implements vfs.FS.
func (f *files) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.disk.GetDiskUsage(path) }

// Unwrap implements vfs.FS.
func (f *files) Unwrap() vfs.FS { return f.FS }

func (f *files) wrap(file vfs.File, name string) vfs.File {
	if f.fault == nil || file == nil || !isData(name) {
		return file
	}
	return &faulty{file, f, name}
}

// faulty is a data file whose reads and writes may fail.
type faulty struct {
	vfs.File
	files *files
	name  string
}

// Read implements vfs.File.
func (f *faulty) Read(p []byte) (int, error) {
	if err := f.files.hit("read", f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

// ReadAt implements vfs.File.
func (f *faulty) ReadAt(p []byte, at int64) (int, error) {
	if err := f.files.hit("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

// Write implements vfs.File.
func (f *faulty) Write(p []byte) (int, error) {
	if err := f.files.hit("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// quiet is the log of Pebble: what matters in it comes as an error.
type quiet struct{ s *Store }

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (quiet) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger. Pebble does not go on after it. The process does: the goroutine ends, and the job fails.
func (q quiet) Fatalf(format string, args ...any) {
	q.s.fail(q.s.failed("write", fatalError{format, args}))
	runtime.Goexit()
}

// fatalError is what Pebble said before it gave up.
type fatalError struct {
	format string
	args   []any
}

// Error implements error.
func (e fatalError) Error() string { return fmt.Sprintf(e.format, e.args...) }
