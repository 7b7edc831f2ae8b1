package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// Splits lists the files, one split each. The ID is the path below the fixed part of the pattern, with slashes: below
// the directory, for a directory; the name, for a single file. So a checkpoint survives a move of the whole
// directory. In a directory, also in one that the pattern matches, all regular files count but those whose name begins
// with a dot or an underscore, and directories are not entered.
func (f Files[T]) Splits(ctx context.Context) ([]connect.Split, error) {
	if err := f.CheckSource(); err != nil {
		return nil, err
	}
	l := lister{fs: env.From(ctx).FS, follow: f.follow > 0}
	prefix, err := l.list(f.path)
	if err != nil {
		return nil, err
	}
	if len(l.found) == 0 && f.follow == 0 {
		return nil, fmt.Errorf("file: no file matches %s: %s", f.path, l.nearest(prefix))
	}
	slices.SortFunc(l.found, func(a, b connect.Split) int { return strings.Compare(a.ID, b.ID) })
	return l.found, nil
}

// locate returns the path of the split.
func (f Files[T]) locate(fsys fsx.FS, id string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(id)) {
		return "", fmt.Errorf("file: %q is not the id of a split of %s", id, f.path)
	}
	l := lister{fs: fsys}
	prefix, err := l.prefix(f.path)
	if err != nil {
		return "", err
	}
	return filepath.Join(prefix, filepath.FromSlash(id)), nil
}

// fixedPrefix returns the directories of the pattern before the first element with a wildcard, or an error for a
// pattern that is malformed.
func fixedPrefix(pattern string) (string, error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return "", fmt.Errorf("file: pattern %s: %w", pattern, err)
	}
	dir := pattern
	for hasMeta(dir) {
		dir = filepath.Dir(dir)
	}
	return filepath.Clean(dir), nil
}

func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[`) }

func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") }

type lister struct {
	fs     fsx.FS
	follow bool // Files may go while they are listed.
	found  []connect.Split
}

// prefix returns the directory to which IDs are relative.
func (l *lister) prefix(pattern string) (string, error) {
	fixed, err := fixedPrefix(pattern)
	if err != nil || hasMeta(pattern) {
		return fixed, err
	}
	// An error must not pass for "no directory": the ids of all splits would change.
	dir, err := l.isDir(fixed)
	if err != nil || dir {
		return fixed, err
	}
	return filepath.Dir(fixed), nil
}

func (l *lister) list(pattern string) (prefix string, err error) {
	prefix, err = l.prefix(pattern)
	if err != nil {
		return "", err
	}
	if !hasMeta(pattern) {
		return prefix, l.add(prefix, filepath.Clean(pattern))
	}
	rest, err := filepath.Rel(prefix, filepath.Clean(pattern))
	if err != nil {
		return "", fmt.Errorf("file: pattern %s: %w", pattern, err)
	}
	return prefix, l.match(prefix, prefix, strings.Split(rest, string(filepath.Separator)))
}

// match adds what the elements of the pattern match below dir.
func (l *lister) match(prefix, dir string, elements []string) error {
	if len(elements) == 0 {
		return l.add(prefix, dir)
	}
	entries, err := l.fs.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("file: list %s: %w; %s", dir, err, l.nearest(dir))
	}
	for _, e := range entries {
		if hidden(e.Name()) && !hidden(elements[0]) {
			continue
		}
		ok, err := filepath.Match(elements[0], e.Name())
		if err != nil {
			return fmt.Errorf("file: pattern element %s: %w", elements[0], err)
		}
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if len(elements) > 1 {
			if below, err := l.isDir(path); err != nil {
				return err
			} else if !below {
				continue
			}
		}
		if err := l.match(prefix, path, elements[1:]); err != nil {
			return err
		}
	}
	return nil
}

// isDir is false, without an error, for what does not exist.
func (l *lister) isDir(path string) (bool, error) {
	info, err := l.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("file: %w", err)
	}
	return info.IsDir(), nil
}

// add adds a file, or the files of a directory.
func (l *lister) add(prefix, path string) error {
	info, err := l.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if l.follow && path != prefix {
			return nil
		}
		return fmt.Errorf("file: %s does not exist: %s: %w", path, l.nearest(filepath.Dir(path)), fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if !info.IsDir() {
		return l.addFile(prefix, path, info)
	}
	entries, err := l.fs.ReadDir(path)
	if err != nil {
		return fmt.Errorf("file: list directory %s: %w", path, err)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		child := filepath.Join(path, e.Name())
		info, err := l.fs.Stat(child)
		if l.follow && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("file: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if err := l.addFile(prefix, child, info); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) addFile(prefix, path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("file: %s is not a regular file (%v): it has no position to go on from", path, info.Mode().Type())
	}
	id, err := filepath.Rel(prefix, path)
	if err != nil {
		return fmt.Errorf("file: %s: %w", path, err)
	}
	l.found = append(l.found, connect.Split{ID: filepath.ToSlash(id), Bytes: info.Size()})
	return nil
}

// nearest says which directory at or above path exists, to help with a wrong path.
func (l *lister) nearest(path string) string {
	for dir := path; ; dir = filepath.Dir(dir) {
		if entries, err := l.fs.ReadDir(dir); err == nil {
			return fmt.Sprintf("directory %s exists and has %d entries", dir, len(entries))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err.Error()
		}
		if dir == filepath.Dir(dir) {
			return "no directory above it exists"
		}
	}
}
