// Package file reads and writes records in files: CSV, JSON lines and plain lines, plain or compressed.
//
// One value, made by CSV, JSONL or Lines, serves as source and as sink. As a source it names a file, a directory or a
// pattern; every file is a split, compression is found by content. As a sink it names a directory, in which the part
// files of an epoch appear, complete, when the epoch is decided.
//
// The way of a record in: list.go finds the file, stream.go decompresses and buffers it, split.go finds the ends of
// records, csvread.go or jsonread.go fill the struct, reader.go keeps the position. The way out: csvwrite.go or
// jsonwrite.go append to a buffer, writer.go puts it into a hidden part file, committer.go gives that its name.
package file

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/connect"
)

// defaultMaxLine is the longest record that is read when MaxLine is not set.
const defaultMaxLine = 1 << 20

type format uint8

const (
	formatCSV format = iota + 1
	formatJSONL
	formatLines
)

func (f format) extension() string {
	switch f {
	case formatCSV:
		return ".csv"
	case formatJSONL:
		return ".jsonl"
	}
	return ".txt"
}

type compression uint8

const (
	plain compression = iota
	gzipped
	zstandard
)

func (c compression) String() string {
	switch c {
	case gzipped:
		return "gzip"
	case zstandard:
		return "zstd"
	}
	return "plain"
}

func (c compression) extension() string {
	switch c {
	case gzipped:
		return ".gz"
	case zstandard:
		return ".zst"
	}
	return ""
}

// Files is a set of files of records of type T, to be read or written. It is a connect.Source, a connect.Sink, a
// connect.Discoverer and a connect.Checker. Its methods return changed copies; the value itself never changes.
type Files[T any] struct {
	path      string
	format    format
	follow    time.Duration
	compress  compression
	rollBytes int64
	comma     byte
	noHeader  bool
	columns   []string
	maxLine   int
	lost      connect.OutOfRange
	mistakes  []error
}

// CSV names files of comma-separated values with a header line (see NoHeader), one struct T per record.
//
// A column goes to the field with the tag `csv:"column"`, or to the field with the column's name in any case. The tag
// `csv:"-"` leaves a field alone. Fields may be strings, []byte, integers, floats (NaN and Inf included, as strconv.ParseFloat
// takes them), bools, time.Time, time.Duration, types that implement encoding.TextUnmarshaler and encoding.TextMarshaler, pointers to
// these (nil when empty), and nested structs, whose columns are named outer.inner. An empty value is an error, except for strings,
// []byte, pointers and fields with the option `csv:"column,optional"`, which then are zero. A time is written in RFC 3339, or in the
// layout after the name, as in `csv:"day,2006-01-02"`, read as UTC when it names no zone; the layouts unix, unixms, unixus and
// unixnano stand for numbers since the epoch. A duration is a whole number of nanoseconds, or of the unit after the name (us, ms, s),
// or, with text there, what time.ParseDuration takes, such as 1h2m3.5s. A column that the header lacks is an error; columns without a field are ignored, and so
// are empty lines. A quoted value is kept as it is, line ends included. A file of 0 bytes has no records.
func CSV[T any](path string) Files[T] {
	return Files[T]{path: path, format: formatCSV, comma: ',', maxLine: defaultMaxLine}
}

// JSONL names files with one JSON value per line (RFC 8259). T is decoded as encoding/json does it, with its tags: of two values of
// a key the last one counts, keys without a field are checked and ignored, names match in any case, bytes that are not UTF-8
// and halves of surrogate pairs become U+FFFD, integers must fit and must be written without point and exponent. It differs in
// that a value of the wrong type ends the record at once, and that a second array for the same field replaces the first whole.
// It is written as by encoding/json without escapes for HTML. Interfaces, arrays, types with JSON methods of their own, types with
// text methods that are no structs, maps with other keys than strings, and structs with embedded pointers, fields of the same name or
// tag options other than omitempty and omitzero are given to encoding/json, which is slower. Blank lines are ignored. Nesting is limited to 10,000 levels. NaN and Inf, which
// JSON does not know, cannot be written.
func JSONL[T any](path string) Files[T] {
	return Files[T]{path: path, format: formatJSONL, maxLine: defaultMaxLine}
}

// Lines names files of plain lines: a record is a line without its line end (LF or CR LF).
func Lines(path string) Files[string] {
	return Files[string]{path: path, format: formatLines, maxLine: defaultMaxLine}
}

// Follow makes a source that does not end: it waits for the files to grow and looks for new ones every so often. Files
// may only be appended to; a line counts when its line end is there. Compressed files cannot be followed. For sources.
func (f Files[T]) Follow(every time.Duration) Files[T] {
	if every <= 0 {
		return f.mistake("Follow(%v): the interval must be above 0", every)
	}
	f.follow = every
	return f
}

// Gzip makes the sink compress its parts with gzip. A source finds compression by itself.
func (f Files[T]) Gzip() Files[T] {
	f.compress = gzipped
	return f
}

// Zstd makes the sink compress its parts with Zstandard. A source finds compression by itself.
func (f Files[T]) Zstd() Files[T] {
	f.compress = zstandard
	return f
}

// RollBytes makes the sink begin a new part file when one has about n bytes before compression. Without it there is one
// part for each epoch and subtask.
func (f Files[T]) RollBytes(n int64) Files[T] {
	if n <= 0 {
		return f.mistake("RollBytes(%d): must be above 0", n)
	}
	f.rollBytes = n
	return f
}

// Comma sets the separator of CSV values: one ASCII character.
func (f Files[T]) Comma(c rune) Files[T] {
	if f.format != formatCSV {
		return f.mistake("Comma(%q) is for CSV files only", c)
	}
	if c <= 0 || c >= 0x80 || c == '"' || c == '\r' || c == '\n' {
		return f.mistake("Comma(%q): must be one ASCII character, not a quote or a line end", c)
	}
	f.comma = byte(c)
	return f
}

// NoHeader says that CSV files have no header line, and names their columns in order. A sink then writes no header.
func (f Files[T]) NoHeader(columns ...string) Files[T] {
	if f.format != formatCSV {
		return f.mistake("NoHeader is for CSV files only")
	}
	if len(columns) == 0 {
		return f.mistake("NoHeader needs the names of the columns in order")
	}
	f.noHeader = true
	f.columns = append([]string(nil), columns...)
	return f
}

// MaxLine sets the longest record that is read, in bytes without the line end; a longer one is an error. The default
// is 1 MiB. A reader may use a few times as much memory.
func (f Files[T]) MaxLine(n int) Files[T] {
	if n <= 0 {
		return f.mistake("MaxLine(%d): must be above 0", n)
	}
	f.maxLine = n
	return f
}

// OutOfRange says what a source does when a file is not the one any more that was read before: it is shorter, or what stands before the
// place at which to go on is other content. Without it the job stops, with what was expected and what is there. For logs that are rotated: with
// connect.OutOfRangeFromStart the file is read from its beginning, with connect.OutOfRangeFromEnd from its last line end; each time is
// counted (Status.OutOfRange) and in the log. A file that is gone is an error all the same. For sources.
func (f Files[T]) OutOfRange(do connect.OutOfRange) Files[T] {
	if do > connect.OutOfRangeFromEnd {
		return f.mistake("OutOfRange(%v): must be OutOfRangeFails, OutOfRangeFromStart or OutOfRangeFromEnd", do)
	}
	f.lost = do
	return f
}

// DiscoverEvery returns the interval given to Follow, or 0.
func (f Files[T]) DiscoverEvery() time.Duration { return f.follow }

// Check returns what is wrong with the options or with T, for reading and for writing.
func (f Files[T]) Check() error {
	_, err := f.newEncoder()
	return errors.Join(f.checkReading(), err)
}

// checkOptions returns what is wrong for source and sink alike.
func (f Files[T]) checkOptions() error {
	errs := append([]error(nil), f.mistakes...)
	if f.path == "" {
		errs = append(errs, errors.New("file: the path is empty: name a file, a directory or a pattern"))
	}
	if _, err := fixedPrefix(f.path); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (f Files[T]) checkReading() error {
	_, err := f.newDecoder()
	return errors.Join(f.checkOptions(), err)
}

// CheckSource returns what is wrong with the options, or with T, of a source.
func (f Files[T]) CheckSource() error {
	err := f.checkReading()
	if f.compress != plain || f.rollBytes != 0 {
		err = errors.Join(err, fmt.Errorf("file: %s: Gzip, Zstd and RollBytes are for sinks: a source finds compression by itself", f.path))
	}
	return err
}

func (f Files[T]) mistake(text string, args ...any) Files[T] {
	f.mistakes = append(f.mistakes[:len(f.mistakes):len(f.mistakes)], fmt.Errorf("file: "+text, args...))
	return f
}

func (f Files[T]) newDecoder() (decoder[T], error) {
	switch f.format {
	case formatCSV:
		return newCSVDecoder[T](f.comma)
	case formatJSONL:
		return newJSONDecoder[T]()
	}
	return newLineCodec[T]()
}

func (f Files[T]) newEncoder() (encoder[T], error) {
	switch f.format {
	case formatCSV:
		return newCSVEncoder[T](f.comma, f.noHeader, f.columns)
	case formatJSONL:
		return newJSONEncoder[T]()
	}
	c, err := newLineCodec[T]()
	if err != nil {
		return nil, err
	}
	return lineEncoder[T]{c}, nil
}

// encoder turns records into bytes.
type encoder[T any] interface {
	// head appends what a file begins with.
	head(dst []byte) []byte
	// record appends one record with its line end.
	record(dst []byte, v *T) ([]byte, error)
}

// decoder turns the text of a record into a record.
type decoder[T any] interface {
	// record sets every field of out. Strings in it share the memory of text.
	record(text string, out *T) error
}

// lineCodec is decoder and encoder of plain lines. T is string.
type lineCodec[T any] struct {
	line T
	text *string
}

func newLineCodec[T any]() (*lineCodec[T], error) {
	c := &lineCodec[T]{}
	text, ok := any(&c.line).(*string)
	if !ok {
		return nil, fmt.Errorf("file: lines are strings, not %v", reflect.TypeFor[T]())
	}
	c.text = text
	return c, nil
}

func (c *lineCodec[T]) record(text string, out *T) error {
	*c.text = text
	*out = c.line
	return nil
}

type lineEncoder[T any] struct{ *lineCodec[T] }

func (c lineEncoder[T]) head(dst []byte) []byte { return dst }

func (c lineEncoder[T]) record(dst []byte, v *T) ([]byte, error) {
	c.line = *v
	if strings.IndexByte(*c.text, '\n') >= 0 || strings.HasSuffix(*c.text, "\r") {
		return dst, fmt.Errorf("file: the line %.40q holds a line end: it would not be read back as it was", *c.text)
	}
	dst = append(dst, *c.text...)
	return append(dst, '\n'), nil
}
