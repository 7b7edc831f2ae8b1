package millracetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// The folders of a disk in memory.
var (
	diskRoot  = filepath.Join(string(filepath.Separator), "millracetest")
	filesRoot = filepath.Join(diskRoot, "files")
	stateRoot = filepath.Join(diskRoot, "state")
)

// disk is what the job of a trial sees: files of the trial in memory, and behind them those of the machine, to be read only.
type disk struct {
	fsx.OS
	mem *fsx.Mem
}

func inMemory(path string) bool {
	path = filepath.Clean(path)
	return path == diskRoot || strings.HasPrefix(path, diskRoot+string(filepath.Separator))
}

// writable returns the disk in memory, or an error for a path elsewhere.
func (d disk) writable(op, path string) (fsx.FS, error) {
	if !inMemory(path) {
		return nil, &fs.PathError{Op: op, Path: path, Err: errors.New("a job under Crash writes only below Trial.Path, so that each trial begins with nothing")}
	}
	return d.mem, nil
}

func (d disk) readable(path string) fsx.FS {
	if inMemory(path) {
		return d.mem
	}
	return d.OS
}

func (d disk) Open(path string) (fsx.File, error)         { return d.readable(path).Open(path) }
func (d disk) ReadDir(path string) ([]fs.DirEntry, error) { return d.readable(path).ReadDir(path) }
func (d disk) Stat(path string) (fs.FileInfo, error)      { return d.readable(path).Stat(path) }
func (d disk) Remove(path string) error                   { return d.change("remove", path, fsx.FS.Remove) }

func (d disk) MkdirAll(path string) error { return d.change("mkdir", path, fsx.FS.MkdirAll) }

func (d disk) change(op, path string, do func(fsx.FS, string) error) error {
	f, err := d.writable(op, path)
	if err != nil {
		return err
	}
	return do(f, path)
}

// SyncDir also syncs the directory in which the disk has its place, when the first directories of a job are made.
func (d disk) SyncDir(path string) error {
	if filepath.Clean(path) == filepath.Dir(diskRoot) {
		return d.mem.SyncDir(path)
	}
	return d.change("syncdir", path, fsx.FS.SyncDir)
}

func (d disk) Create(path string) (fsx.File, error) {
	f, err := d.writable("create", path)
	if err != nil {
		return nil, err
	}
	return f.Create(path)
}

func (d disk) Rename(from, to string) error {
	if _, err := d.writable("rename", from); err != nil {
		return err
	}
	return d.change("rename", to, func(f fsx.FS, to string) error { return f.Rename(from, to) })
}

func (d disk) Lock(path string) (io.Closer, error) {
	f, err := d.writable("lock", path)
	if err != nil {
		return nil, err
	}
	return f.Lock(path)
}

// hidden are the names that readers of results pass over.
func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") }

// readLines adds the lines of all visible files below a directory, by directory. What stands before the records of a CSV file is left out.
func readLines(mem *fsx.Mem, dir string, into map[string][]string) error {
	entries, err := mem.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case hidden(e.Name()):
		case e.IsDir():
			if err := readLines(mem, path, into); err != nil {
				return err
			}
		default:
			lines, err := fileLines(mem, path)
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			into[dir] = append(into[dir], lines...)
		}
	}
	return nil
}

func fileLines(mem *fsx.Mem, path string) ([]string, error) {
	f, err := mem.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	name, content := path, io.Reader(bytes.NewReader(raw))
	switch filepath.Ext(path) {
	case ".gz":
		if content, err = gzip.NewReader(content); err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(path, ".gz")
	case ".zst":
		z, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		content, name = z, strings.TrimSuffix(path, ".zst")
	}
	plain, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(plain)) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	if filepath.Ext(name) == ".csv" && len(lines) > 0 {
		lines = lines[1:]
	}
	return lines, nil
}
