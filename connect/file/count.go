package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// Count implements connect.Counter: it reads all visible parts.
func (c *committer) Count(ctx context.Context) (int64, error) {
	entries, err := c.env.FS.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("file: list %s: %w", c.dir, err)
	}
	total := int64(0)
	for _, e := range entries {
		if _, ok := partEpoch(e.Name()); !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := c.count(filepath.Join(c.dir, e.Name()))
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// countIn counts the records of a file, as they stand there: nothing is decoded.
func (f Files[T]) countIn(fsys fsx.FS, path string) (n int64, err error) {
	file, err := fsys.Open(path)
	if err != nil {
		return 0, fmt.Errorf("file: open %s: %w", path, err)
	}
	r := &reader[T]{name: filepath.ToSlash(path), format: f.format, maxLine: math.MaxInt32, stream: stream{path: path, file: file}}
	defer func() { err = errors.Join(err, r.stream.close()) }()
	r.split.csv, r.split.comma = f.format == formatCSV, f.comma
	if ok, err := r.stream.open(); err != nil || !ok {
		return 0, err
	}
	header := f.format == formatCSV && !f.noHeader
	for {
		sp, ok, err := r.nextSpan(r.stream.start)
		if err != nil || !ok {
			return n, err
		}
		blank := r.isBlank(string(r.stream.buf[sp.start:sp.end]))
		r.consume(sp)
		switch {
		case blank:
		case header:
			header = false
		default:
			n++
		}
	}
}
