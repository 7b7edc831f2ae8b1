package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
)

const (
	// writeBuffer is how much is encoded before it goes to the file.
	writeBuffer = 64 << 10
	// maxOpenParts is how many full parts of an epoch wait for its end with their files open.
	maxOpenParts = 8
)

// Guarantee is exactly once: the parts of an epoch appear together with its decision, and those that a crash left
// behind are removed. Each sink needs a directory of its own. Readers may do what they like with parts, except those of
// the last epoch: a restart looks for them, and takes it for loss when they are gone.
//
// In a job that is at least once, parts appear when they are complete, before their epoch is decided; after a crash what they hold may come again, in
// others, whose names end in -t and another number.
func (f Files[T]) Guarantee() connect.Guarantee { return connect.ExactlyOnce }

// OpenWriter returns the writer of one subtask.
func (f Files[T]) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[T], error) {
	if err := f.CheckSink(); err != nil {
		return nil, err
	}
	enc, err := f.newEncoder()
	if err != nil {
		return nil, err
	}
	w := &writer[T]{
		enc: enc, env: env.From(ctx), dir: filepath.Clean(f.path), info: info, roll: f.rollBytes, compress: f.compress,
		extension: f.format.extension() + f.compress.extension(),
	}
	if err := makeDir(w.env.FS, w.dir); err != nil {
		return nil, err
	}
	return w, nil
}

// CheckSink returns what is wrong with the options, or with T, of a sink.
func (f Files[T]) CheckSink() error {
	_, err := f.newEncoder()
	errs := []error{f.checkOptions(), err}
	if f.follow != 0 {
		errs = append(errs, fmt.Errorf("file: %s: Follow is for sources", f.path))
	}
	if f.lost != connect.OutOfRangeFails {
		errs = append(errs, fmt.Errorf("file: %s: OutOfRange is for sources", f.path))
	}
	if hasMeta(f.path) {
		errs = append(errs, fmt.Errorf("file: %s: a sink writes to one directory: the path may not have wildcards", f.path))
	}
	if f.noHeader {
		e, err := newCSVEncoder[T](f.comma, f.noHeader, f.columns)
		if err == nil {
			err = e.checkColumns(f.columns)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// writer is the connect.Writer of one subtask.
type writer[T any] struct {
	enc       encoder[T]
	env       *env.Env
	dir       string
	extension string
	info      connect.SinkInfo
	compress  compression
	roll      int64

	sequence int     // Number of the next hidden file.
	full     []*part // Parts of this epoch that are full.
	part     *part   // The one being written, or nil.
	buf      []byte  // A buffer of an earlier part, to be used again.
	failed   error   // A failed file operation: what the file holds is not known, so nothing may follow.
}

// Write encodes the records. When one cannot be encoded, it is not in the output, and those before it are. After any
// other error the writer is of no more use.
func (w *writer[T]) Write(_ context.Context, records []T) error {
	if w.failed != nil {
		return w.failed
	}
	for i := range records {
		p := w.part
		if p == nil {
			p = w.newPart()
		}
		begin := len(p.buf)
		var err error
		if p.buf, err = w.enc.record(p.buf, &records[i]); err != nil {
			p.buf = p.buf[:begin]
			return err
		}
		p.records++
		w.part = p
		if len(p.buf) >= writeBuffer {
			w.failed = p.flush()
		}
		if w.failed == nil && w.roll > 0 && p.content+int64(len(p.buf)) >= w.roll {
			w.failed = w.rollOver()
		}
		if w.failed != nil {
			return w.failed
		}
	}
	return nil
}

func (w *writer[T]) newPart() *part {
	p := &part{
		dir: w.dir, env: w.env, compress: w.compress, buf: w.buf[:0],
		tmp: fmt.Sprintf("%s%d-%d-%d.inprogress", hiddenPrefix(w.info), w.info.Subtask, w.info.Term, w.sequence),
	}
	w.buf = nil
	w.sequence++
	p.buf = w.enc.head(p.buf)
	return p
}

// rollOver puts the part aside. The bound on open files makes a subtask with many parts sync some of them early.
func (w *writer[T]) rollOver() error {
	p := w.part
	w.part = nil
	w.full = append(w.full, p)
	if err := p.flush(); err != nil {
		return err
	}
	w.buf, p.buf = p.buf, nil
	if len(w.full) > maxOpenParts {
		return w.full[len(w.full)-1-maxOpenParts].complete()
	}
	return nil
}

// committable is what Prepare hands to Commit, as JSON.
type committable struct {
	Version int            `json:"v"`
	Epoch   uint64         `json:"epoch"`
	Parts   []preparedPart `json:"parts"`
}

// preparedPart is a part file that is complete: its hidden name, the name it is to have, and what it holds.
type preparedPart struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Size    int64  `json:"size"`
	CRC     uint32 `json:"crc32c"`
	Records int    `json:"records"`
}

// Prepare hands the parts over to the function that it returns; they are not touched by the writer any more.
func (w *writer[T]) Prepare(_ context.Context, epoch uint64) (connect.Finish, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	parts := w.full
	if w.part != nil {
		parts = append(parts, w.part)
	}
	w.full, w.part = nil, nil
	if len(parts) == 0 {
		return nil, nil
	}
	e, dir, subtask, extension := w.env, w.dir, w.info.Subtask, w.extension
	if w.info.Delivery == connect.AtLeastOnce {
		extension = fmt.Sprintf("-t%d%s", w.info.Term, extension)
		return func(context.Context) ([]byte, error) { return nil, w.show(parts, epoch, extension) }, nil
	}
	return func(context.Context) ([]byte, error) {
		c := committable{Version: 1, Epoch: epoch}
		for i, p := range parts {
			if err := p.complete(); err != nil {
				return nil, err
			}
			c.Parts = append(c.Parts, preparedPart{
				From: p.tmp, To: partName(epoch, subtask, i) + extension, Size: p.sum.size,
				CRC: p.sum.crc, Records: p.records,
			})
		}
		if err := e.FS.SyncDir(dir); err != nil {
			return nil, fmt.Errorf("file: sync directory %s: %w", dir, err)
		}
		if err := e.Hit("file.prepared"); err != nil {
			return nil, fmt.Errorf("file: prepare epoch %d: %w", epoch, err)
		}
		return json.Marshal(c)
	}, nil
}

// show gives the parts of an epoch their names without waiting for its decision. The term in the name keeps them apart from those of a start that writes
// the epoch again.
func (w *writer[T]) show(parts []*part, epoch uint64, extension string) error {
	for i, p := range parts {
		if err := p.complete(); err != nil {
			return err
		}
		to := filepath.Join(w.dir, partName(epoch, w.info.Subtask, i)+extension)
		if err := w.env.Hit("file.commit.rename"); err != nil {
			return fmt.Errorf("file: show %s: %w", to, err)
		}
		if err := w.env.FS.Rename(filepath.Join(w.dir, p.tmp), to); err != nil {
			return fmt.Errorf("file: show %s: %w", to, err)
		}
		if err := w.env.Hit("file.commit.renamed"); err != nil {
			return fmt.Errorf("file: show %s: %w", to, err)
		}
	}
	if err := w.env.FS.SyncDir(w.dir); err != nil {
		return fmt.Errorf("file: sync directory %s: %w", w.dir, err)
	}
	return nil
}

// Flush does nothing: records become visible with their epoch.
func (w *writer[T]) Flush(context.Context) error { return nil }

// Close removes what no Prepare has taken.
func (w *writer[T]) Close() error {
	var errs []error
	for _, p := range append(w.full, w.part) {
		if p != nil {
			errs = append(errs, p.forget())
		}
	}
	w.full, w.part = nil, nil
	return errors.Join(errs...)
}

func partName(epoch uint64, subtask, sequence int) string {
	return fmt.Sprintf("part-%010d-%03d-%03d", epoch, subtask, sequence)
}

// partPattern matches the names that partName makes, and those with a term; the group is the epoch.
var partPattern = regexp.MustCompile(`^part-([0-9]{10,})-[0-9]{3,}-[0-9]{3,}(?:-t[0-9]+)?\.`)

// hiddenPrefix begins the names of the unfinished parts of one sink, and of no other: neither job nor operator has a
// hyphen or a point after escaping.
func hiddenPrefix(info connect.SinkInfo) string {
	owner := escape(info.Job) + "." + escape(info.Operator)
	if len(owner) > 150 {
		h := fnv.New64a()
		h.Write([]byte(owner)) // A hash takes anything.
		owner = fmt.Sprintf("%.100s=h%016x", owner, h.Sum64())
	}
	return ".mr-" + owner + "-"
}

// escape keeps letters, digits and underscores, and writes other bytes as = and two hexadecimal digits.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c-'0' <= 9 || (c|0x20)-'a' < 26 || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}
