package file

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// csvDecoder fills records from CSV text. It works on one struct of its own, see slot.
type csvDecoder[T any] struct {
	comma   byte
	scratch *T
	columns []column
	// order has, for each value of a line, the column it goes to, or nil.
	order []*column
	where string // Where the header was seen.
	tmp   []byte
	texts arena
}

func newCSVDecoder[T any](comma byte) (*csvDecoder[T], error) {
	d := &csvDecoder[T]{comma: comma, scratch: new(T)}
	var err error
	d.columns, err = columnsOf(reflect.ValueOf(d.scratch).Elem(), "", reflect.TypeFor[T]().Name())
	return d, err
}

// columnSetter is a decoder that needs to know the columns of the file.
type columnSetter interface {
	setColumns(names []string, where string) error
	split(line string) ([]string, error)
}

// setColumns gives the columns, a header line or a list of names, to a CSV decoder.
func setColumns[T any, L string | []string](dec decoder[T], columns L, where string) error {
	d, ok := dec.(columnSetter)
	if !ok {
		return fmt.Errorf("file: %s: the decoder has no columns", where)
	}
	switch c := any(columns).(type) {
	case []string:
		return d.setColumns(c, where)
	case string:
		names, err := d.split(c)
		if err != nil {
			return fmt.Errorf("file: %s: header: %w", where, err)
		}
		return d.setColumns(names, where)
	}
	return nil
}

// split returns the values of a header line.
func (d *csvDecoder[T]) split(line string) (names []string, err error) {
	for rest, more := line, true; more; {
		var value string
		if value, rest, more, err = d.next(rest); err != nil {
			return nil, err
		}
		names = append(names, value)
	}
	return names, nil
}

func (d *csvDecoder[T]) setColumns(names []string, where string) error {
	d.order = make([]*column, len(names))
	d.where = where
	var errs []error
	for i := range d.columns {
		c := &d.columns[i]
		at := slices.Index(names, c.name)
		if at < 0 {
			at = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, c.name) })
		}
		switch {
		case at < 0:
			errs = append(errs, fmt.Errorf("file: %s: no column %q for field %s; the columns are %s: rename the field, tag it "+
				"`csv:\"its column\"`, or `csv:\"-\"` to leave it alone", where, c.name, c.field, strings.Join(names, ", ")))
		case d.order[at] != nil:
			errs = append(errs, fmt.Errorf("file: %s: fields %s and %s both want the column %q", where, d.order[at].field, c.field, names[at]))
		case slices.Contains(names[at+1:], names[at]):
			errs = append(errs, fmt.Errorf("file: %s: the column %q for field %s is there twice", where, names[at], c.field))
		default:
			d.order[at] = c
		}
	}
	return errors.Join(errs...)
}

func (d *csvDecoder[T]) record(text string, out *T) error {
	var zero T
	*d.scratch = zero
	if strings.IndexByte(text, '"') >= 0 {
		if err := d.quotedRecord(text); err != nil {
			return err
		}
		*out = *d.scratch
		return nil
	}
	rest, more := text, true
	for i, c := range d.order {
		if !more {
			return d.wrongCount(i)
		}
		value := rest
		if at := strings.IndexByte(rest, d.comma); at >= 0 {
			value, rest = rest[:at], rest[at+1:]
		} else {
			more = false
		}
		if c == nil {
			continue
		}
		if err := c.set(value); err != nil {
			behind := len(value)
			if more {
				behind += 1 + len(rest)
			}
			return &fieldError{column: c.name, char: len(text) - behind + 1, err: err}
		}
	}
	if more {
		return d.wrongCount(len(d.order) + 1 + strings.Count(rest, string(rune(d.comma))))
	}
	*out = *d.scratch
	return nil
}

func (d *csvDecoder[T]) wrongCount(got int) error {
	return &fieldError{err: fmt.Errorf("the record has %d values, but there are %d columns (%s)", got, len(d.order), d.where)}
}

// quotedRecord is record for text with quotes.
func (d *csvDecoder[T]) quotedRecord(text string) error {
	rest, more := text, true
	n := 0
	for ; more; n++ {
		var value string
		var err error
		at := len(text) - len(rest)
		value, rest, more, err = d.next(rest)
		if err != nil {
			if fe, ok := errors.AsType[*fieldError](err); ok {
				fe.line, fe.char = place(text, at+fe.char-1)
			}
			return err
		}
		if n >= len(d.order) || d.order[n] == nil {
			continue
		}
		if err := d.order[n].set(value); err != nil {
			line, char := place(text, at)
			return &fieldError{column: d.order[n].name, line: line, char: char, err: err}
		}
	}
	if n != len(d.order) {
		return d.wrongCount(n)
	}
	return nil
}

// place returns how many lines of a record end before a byte of it, and which byte of its line that is, from 1.
func place(text string, at int) (line, char int) {
	before := text[:at]
	return strings.Count(before, "\n"), at - strings.LastIndexByte(before, '\n')
}

// next takes the first value off rest. more says that a separator follows it. The place in an error counts from rest.
func (d *csvDecoder[T]) next(rest string) (value, after string, more bool, err error) {
	if len(rest) == 0 || rest[0] != '"' {
		value = rest
		if at := strings.IndexByte(rest, d.comma); at >= 0 {
			value, after, more = rest[:at], rest[at+1:], true
		}
		if at := strings.IndexByte(value, '"'); at >= 0 {
			return "", "", false, &fieldError{char: at + 1, err: errors.New(`a bare " in a value that is not quoted: quote the value and double the "`)}
		}
		return value, after, more, nil
	}
	doubled := false
	i := 1
	for {
		at := strings.IndexByte(rest[i:], '"')
		if at < 0 {
			return "", "", false, &fieldError{char: 1, err: errors.New(`the quoted value has no closing "`)}
		}
		i += at + 1
		if i == len(rest) || rest[i] != '"' {
			break
		}
		doubled = true
		i++
	}
	value = rest[1 : i-1]
	if doubled {
		value = d.single(value)
	}
	if i == len(rest) {
		return value, "", false, nil
	}
	if rest[i] != d.comma {
		return "", "", false, &fieldError{char: i + 1, err: fmt.Errorf(`%q after the closing " of a value`, rest[i])}
	}
	return value, rest[i+1:], true, nil
}

// single returns a value with single quotes for the double ones that it is written with.
func (d *csvDecoder[T]) single(value string) string {
	d.tmp = d.tmp[:0]
	for {
		at := strings.Index(value, `""`)
		if at < 0 {
			d.tmp = append(d.tmp, value...)
			return d.texts.keep(d.tmp)
		}
		d.tmp = append(d.tmp, value[:at+1]...)
		value = value[at+2:]
	}
}

// set parses value into the field.
func (c *column) set(value string) error {
	if c.class == classString {
		*c.ptr.(*string) = value
		return nil
	}
	if value == "" && (c.optional || c.class == classPointer || c.class == classBytes) {
		return nil
	}
	switch c.class {
	case classInt:
		n, err := parseInt(value, c.bits)
		if err != nil {
			return c.refuse(value, err)
		}
		c.setInt(n)
	case classUint:
		n, err := parseUint(value, c.bits)
		if err != nil {
			return c.refuse(value, err)
		}
		c.setUint(n)
	case classFloat:
		f, err := parseFloat(value, c.bits)
		if err != nil {
			return c.refuse(value, err)
		}
		c.setFloat(f)
	case classBool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return c.refuse(value, errors.New("is neither true nor false"))
		}
		*c.ptr.(*bool) = b
	default:
		return c.setOther(value)
	}
	return nil
}

func (c *column) setOther(value string) error {
	switch c.class {
	case classTime:
		if value == "" {
			return c.refuse(value, nil)
		}
		t, err := c.form.parse(value)
		if err != nil {
			return err
		}
		*c.ptr.(*time.Time) = t
	case classDuration:
		if value == "" {
			return c.refuse(value, nil)
		}
		d, err := parseDuration(value, c.unit)
		if err != nil {
			return err
		}
		*c.ptr.(*time.Duration) = d
	case classBytes:
		*c.ptr.(*[]byte) = []byte(value)
	case classText:
		if err := c.ptr.(encoding.TextUnmarshaler).UnmarshalText([]byte(value)); err != nil {
			return fmt.Errorf("%.60q: %w", value, err)
		}
	case classPointer:
		c.elem.value.SetZero()
		if err := c.elem.set(value); err != nil {
			return err
		}
		p := reflect.New(c.elem.value.Type())
		p.Elem().Set(c.elem.value)
		c.value.Set(p)
	}
	return nil
}

func (c *column) refuse(value string, err error) error {
	if value == "" {
		return fmt.Errorf("the value is empty: if that is right, tag the field `csv:\"%s,optional\"` or make it a pointer", c.name)
	}
	return fmt.Errorf("%.60q %w (field %s is %v)", value, err, c.field, c.value.Type())
}
