package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
)

// Open returns a reader of the file behind the split. After an error that is a *connect.RecordError the reader stands
// behind the bad record, and Read may be called again to go on with the next; other errors stay.
func (f Files[T]) Open(ctx context.Context, split connect.Split, pos []byte) (connect.Reader[T], error) {
	dec, err := f.newDecoder()
	if err != nil {
		return nil, err
	}
	fsys := env.From(ctx).FS
	path, err := f.locate(fsys, split.ID)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{
		dec: dec, headed: f.format == formatCSV && !f.noHeader, format: f.format,
		maxLine: f.maxLine, name: filepath.ToSlash(path), lost: f.lost,
	}
	r.header = r.headed
	r.split.csv, r.split.comma = f.format == formatCSV, f.comma
	if len(pos) > 0 {
		p, err := decodePosition(pos)
		if err != nil {
			return nil, fmt.Errorf("%w (file %s)", err, path)
		}
		r.resume = &p
	}
	if f.noHeader {
		if err := setColumns(dec, f.columns, path+" (columns given to NoHeader)"); err != nil {
			return nil, err
		}
	}
	r.open = func() error {
		file, err := fsys.Open(path)
		if err != nil {
			return fmt.Errorf("file: open %s: %w", path, err)
		}
		r.stream = stream{path: path, file: file, follow: f.follow > 0}
		return nil
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	r.size = func() (int64, error) {
		info, err := fsys.Stat(path)
		if err != nil {
			return 0, fmt.Errorf("file: %s was followed and is gone: %w", path, err)
		}
		return info.Size(), nil
	}
	if err := r.settle(r.begin()); err != nil {
		return nil, errors.Join(err, r.stream.close())
	}
	return r, nil
}

// reader is the connect.Reader of one file.
type reader[T any] struct {
	name   string
	stream stream
	split  splitter
	dec    decoder[T]

	format  format
	headed  bool // The file has a header line.
	header  bool // A header line is still to come.
	maxLine int
	opened  bool      // The stream knows its compression.
	resume  *position // Where to go once the header is read.
	size    func() (int64, error)
	open    func() error // Opens the stream anew.

	lost    connect.OutOfRange
	moved   int64  // How often the reader has gone on elsewhere,
	movedBy string // and why the last time.

	line    int64 // Line ends consumed.
	records int64 // Records returned, or refused, since the beginning of the file.
	spans   []span
	lines   []int64 // First line of each record of the last Read.
	failed  error
}

// begin opens the stream and moves it behind the header, to the position. It leaves the rest for later when a followed
// file does not have it yet.
func (r *reader[T]) begin() error {
	if !r.opened {
		ok, err := r.stream.open()
		if err != nil || !ok {
			return err
		}
		r.opened = true
	}
	if r.header {
		if err := r.readHeader(); err != nil {
			return err
		}
	}
	if r.resume == nil || (r.header && r.resume.offset > 0 && !r.stream.eof) {
		return nil
	}
	p := *r.resume
	r.resume = nil
	if p.offset == 0 {
		return nil
	}
	if err := r.stream.goTo(p); err != nil {
		return err
	}
	r.split.reset()
	r.line, r.records = p.line, p.records
	return nil
}

// settle deals with a place that does not exist any more, as the job has chosen. Other errors stay.
func (r *reader[T]) settle(err error) error {
	lost := rangeError{}
	if r.lost == connect.OutOfRangeFails || !errors.As(err, &lost) {
		return err
	}
	r.moved++
	r.movedBy = fmt.Sprintf("%v: going on %v, as OutOfRange says", err, r.lost)
	if err := errors.Join(r.stream.close(), r.open()); err != nil {
		return err
	}
	r.split = splitter{csv: r.split.csv, comma: r.split.comma}
	r.split.reset()
	r.opened, r.header, r.resume, r.line, r.records = false, r.headed, nil, 0, 0
	if err := r.begin(); err != nil || r.lost == connect.OutOfRangeFromStart || !r.opened || r.header {
		return err
	}
	for {
		sp, ok, err := r.nextSpan(r.stream.start)
		if err != nil || !ok {
			return err
		}
		r.consume(sp)
	}
}

// Moved returns how often the reader has gone on elsewhere, and why.
func (r *reader[T]) Moved() (n int64, why string) { return r.moved, r.movedBy }

func (r *reader[T]) readHeader() error {
	for {
		sp, ok, err := r.nextSpan(r.stream.start)
		if err != nil || !ok {
			return err
		}
		text := r.text(sp)
		r.consume(sp)
		if text == "" {
			continue
		}
		r.header = false
		return setColumns(r.dec, text, fmt.Sprintf("%s:%d", r.name, r.line))
	}
}

func (r *reader[T]) text(sp span) string {
	return strings.TrimPrefix(string(r.stream.buf[sp.start:sp.end]), r.bom(sp))
}

const byteOrderMark = "\ufeff"

// bom returns the byte order mark when the span is at the beginning of the file.
func (r *reader[T]) bom(sp span) string {
	if r.stream.base == 0 && sp.start == 0 {
		return byteOrderMark
	}
	return ""
}

func (r *reader[T]) consume(sp span) {
	r.stream.start = sp.next
	r.line += int64(sp.lines)
}

// nextSpan finds the record at from, and reads more of the file when the buffer does not hold it.
func (r *reader[T]) nextSpan(from int) (span, bool, error) {
	for {
		sp, ok := r.split.next(r.stream.buf, from, r.stream.eof)
		if n := len(r.stream.buf) - from; !ok && n > r.maxLine+1 || ok && sp.end-sp.start > r.maxLine {
			hint := ""
			if r.split.csv && r.split.firstQuote(r.stream.buf, from) < len(r.stream.buf) {
				hint = ", if no quote is missing in it"
			}
			return sp, false, fmt.Errorf("file: %s:%d: the record is longer than %d bytes: raise the limit with MaxLine%s",
				r.name, r.line+1, r.maxLine, hint)
		}
		if ok {
			return sp, true, nil
		}
		if err := r.stream.err; err != nil { // Only now: what was read before it comes first.
			return sp, false, fmt.Errorf("%w; %d records were read before it, to line %d", err, r.records, r.line)
		}
		if r.stream.eof {
			return sp, false, nil
		}
		got := r.stream.fill()
		if r.stream.moved {
			r.split.reset()
			r.stream.moved = false
		}
		from = r.stream.start
		if !got && !r.stream.eof && r.stream.err == nil {
			return sp, false, r.checkShrunk()
		}
	}
}

// checkShrunk looks whether a followed file is still as long as what was read of it.
func (r *reader[T]) checkShrunk() error {
	size, err := r.size()
	if err != nil {
		return err
	}
	if read := r.stream.base + int64(len(r.stream.buf)); size < read {
		return outOfRange("file: %s shrank to %d bytes after %d were read: a followed file may only be appended to, unless OutOfRange says where to go on", r.name, size, read)
	}
	return nil
}

// Read returns the records that the buffer holds, and reads from the file only when it holds none.
func (r *reader[T]) Read(_ context.Context, records []T) (int, error) {
	r.lines = r.lines[:0]
	if r.failed != nil {
		return 0, r.failed
	}
	if err := r.settle(r.begin()); err != nil {
		r.failed = err
		return 0, err
	}
	if !r.opened || r.header || r.resume != nil {
		if r.stream.eof {
			return 0, io.EOF
		}
		return 0, nil
	}
	for {
		moved := r.moved
		if err := r.settle(r.collect(len(records))); err != nil {
			r.failed = err
			return 0, err
		}
		if r.moved > moved {
			return 0, nil // the next Read goes on there
		}
		if len(r.spans) == 0 {
			if r.stream.eof {
				return 0, io.EOF
			}
			return 0, nil
		}
		if n, err := r.decode(records); n > 0 || err != nil {
			return n, err
		}
		// Blank lines only.
	}
}

// collect finds up to n records: one, reading as necessary, and what else is in the buffer.
func (r *reader[T]) collect(n int) error {
	r.spans = r.spans[:0]
	sp, ok, err := r.nextSpan(r.stream.start)
	if err != nil {
		return err
	}
	for ok && len(r.spans) < n {
		if sp.end-sp.start > r.maxLine {
			break // The next Read complains about it.
		}
		r.spans = append(r.spans, sp)
		sp, ok = r.split.next(r.stream.buf, sp.next, r.stream.eof)
	}
	return nil
}

// decode turns the spans into records. It stops before a bad one, or behind it when it is the first.
func (r *reader[T]) decode(records []T) (int, error) {
	n := 0
	first, last := r.spans[0], r.spans[len(r.spans)-1]
	text := string(r.stream.buf[first.start:last.end]) // The one allocation of the batch: strings are parts of it.
	for i := range r.spans {
		sp := r.spans[i]
		t := text[sp.start-first.start : sp.end-first.start]
		if i == 0 && r.stream.base == 0 && sp.start == 0 {
			t = strings.TrimPrefix(t, byteOrderMark)
		}
		if r.isBlank(t) {
			r.consume(sp)
			continue
		}
		err := r.dec.record(t, &records[n])
		if err != nil && n > 0 {
			break // The next Read meets it again: until then the position must be before it.
		}
		line := r.line + 1
		r.consume(sp)
		r.records++
		if err != nil {
			return 0, r.recordError(line, t, err)
		}
		r.lines = append(r.lines, line)
		n++
	}
	return n, nil
}

// isBlank reports whether a line is to be ignored: an empty one in CSV, one of white space in JSON lines.
func (r *reader[T]) isBlank(t string) bool {
	switch r.format {
	case formatCSV:
		return t == ""
	case formatJSONL:
		return (t == "" || t[0] <= ' ') && strings.Trim(t, " \t\r") == ""
	}
	return false
}

// Position returns the position behind the last record.
func (r *reader[T]) Position() []byte {
	if r.resume != nil {
		return r.resume.encode()
	}
	return r.stream.position(r.line, r.records).encode()
}

// Where returns file and line.
func (r *reader[T]) Where(i int) string {
	if i < 0 || i >= len(r.lines) {
		return r.name
	}
	return fmt.Sprintf("%s:%d", r.name, r.lines[i])
}

// BytesRead counts bytes of the file, compressed or not.
func (r *reader[T]) BytesRead() int64 {
	if r.stream.kind == plain {
		return r.stream.offset()
	}
	return r.stream.raw.n
}

// Close closes the file.
func (r *reader[T]) Close() error {
	if err := r.stream.close(); err != nil {
		return fmt.Errorf("file: close %s: %w", r.name, err)
	}
	return nil
}

// fieldError is what a decoder says about a record: where in it, and why.
type fieldError struct {
	column string // Name of the column or field, if one is to blame.
	line   int    // Lines after the first of the record.
	char   int    // Byte in that line, from 1; 0 when not known.
	err    error
}

func (e *fieldError) Error() string { return e.err.Error() }

func (r *reader[T]) recordError(line int64, text string, err error) error {
	where := fmt.Sprintf("%s:%d", r.name, line)
	var fe *fieldError
	if !errors.As(err, &fe) {
		return &connect.RecordError{Where: where, Raw: []byte(text), Err: err}
	}
	where = fmt.Sprintf("%s:%d", r.name, line+int64(fe.line))
	if fe.char > 0 {
		where = fmt.Sprintf("%s:%d", where, fe.char)
	}
	return &connect.RecordError{Where: where, Column: fe.column, Raw: []byte(text), Err: fe.err}
}

// DecodeRecord implements connect.RecordDecoder. For the columns of CSV it reads the header of the file.
func (f Files[T]) DecodeRecord(ctx context.Context, split string, raw []byte) (record T, err error) {
	opened, err := f.Open(ctx, connect.Split{ID: split}, nil)
	if err != nil {
		return record, err
	}
	r := opened.(*reader[T])
	defer func() { err = errors.Join(err, r.Close()) }()
	if r.header {
		return record, fmt.Errorf("file: %s has no header", r.name)
	}
	if err := r.dec.record(string(raw), &record); err != nil {
		return record, r.recordError(0, string(raw), err)
	}
	return record, nil
}
