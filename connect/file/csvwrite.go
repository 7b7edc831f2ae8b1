package file

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// csvEncoder writes records as CSV. It works on one struct of its own, see slot.
type csvEncoder[T any] struct {
	comma    byte
	noHeader bool
	scratch  *T
	columns  []*column
	special  [256]bool // Bytes that a value without quotes may not have.
}

func newCSVEncoder[T any](comma byte, noHeader bool, names []string) (*csvEncoder[T], error) {
	e := &csvEncoder[T]{comma: comma, noHeader: noHeader, scratch: new(T)}
	for _, c := range [...]byte{comma, '"', '\n', '\r'} {
		e.special[c] = true
	}
	columns, err := columnsOf(reflect.ValueOf(e.scratch).Elem(), "", reflect.TypeFor[T]().Name())
	if err != nil {
		return nil, err
	}
	if !noHeader {
		for i := range columns {
			e.columns = append(e.columns, &columns[i])
		}
		return e, nil
	}
	for _, name := range names { // The names say the order.
		i := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.name, name) })
		if i < 0 {
			return e, nil // Fine for a source, which ignores such a column; head complains for a sink.
		}
		e.columns = append(e.columns, &columns[i])
	}
	return e, nil
}

func (e *csvEncoder[T]) head(dst []byte) []byte {
	if e.noHeader {
		return dst
	}
	for i, c := range e.columns {
		if i > 0 {
			dst = append(dst, e.comma)
		}
		dst = e.quote(dst, c.name)
	}
	return append(dst, '\n')
}

func (e *csvEncoder[T]) record(dst []byte, v *T) ([]byte, error) {
	*e.scratch = *v
	begin := len(dst)
	for i, c := range e.columns {
		if i > 0 {
			dst = append(dst, e.comma)
		}
		var err error
		if dst, err = e.value(dst, c); err != nil {
			return dst, fmt.Errorf("file: column %q: %w", c.name, err)
		}
	}
	if len(dst) == begin { // A line that is empty would be ignored by readers.
		dst = append(dst, `""`...)
	}
	return append(dst, '\n'), nil
}

func (e *csvEncoder[T]) value(dst []byte, c *column) ([]byte, error) {
	switch c.class {
	case classString:
		return e.quote(dst, *c.ptr.(*string)), nil
	case classInt:
		return strconv.AppendInt(dst, c.value.Int(), 10), nil
	case classUint:
		return strconv.AppendUint(dst, c.value.Uint(), 10), nil
	case classFloat:
		return strconv.AppendFloat(dst, c.value.Float(), 'g', -1, c.bits), nil
	case classBool:
		return strconv.AppendBool(dst, *c.ptr.(*bool)), nil
	case classTime:
		t := *c.ptr.(*time.Time)
		if t.IsZero() && c.optional {
			return dst, nil
		}
		begin := len(dst)
		dst, err := c.form.append(dst, t)
		if c.form.unit != 0 {
			return dst, err
		}
		return e.quoteFrom(dst, begin), err
	case classDuration:
		return appendDuration(dst, *c.ptr.(*time.Duration), c.unit)
	case classBytes:
		return e.quoteFrom(append(dst, *c.ptr.(*[]byte)...), len(dst)), nil
	case classText:
		begin := len(dst)
		dst, err := appendText(dst, c.ptr)
		return e.quoteFrom(dst, begin), err
	case classPointer:
		if c.value.IsNil() {
			return dst, nil
		}
		c.elem.value.Set(c.value.Elem())
		return e.value(dst, c.elem)
	}
	return dst, fmt.Errorf("a %v cannot be written as CSV", c.value.Type())
}

// quote writes a value, in quotes where a reader would otherwise take it for something else.
func (e *csvEncoder[T]) quote(dst []byte, s string) []byte {
	if e.isPlain(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		at := strings.IndexByte(s, '"')
		if at < 0 {
			dst = append(dst, s...)
			return append(dst, '"')
		}
		dst = append(dst, s[:at+1]...)
		dst = append(dst, '"')
		s = s[at+1:]
	}
}

// quoteFrom puts quotes around the value that dst ends with, where it needs them.
func (e *csvEncoder[T]) quoteFrom(dst []byte, begin int) []byte {
	value := dst[begin:]
	special := bytes.HasPrefix(value, []byte(byteOrderMark))
	for i := 0; i < len(value) && !special; i++ {
		special = e.special[value[i]]
	}
	if !special {
		return dst
	}
	return e.quote(dst[:begin], string(value))
}

// appendText writes a value in the text of its own. ptr points to it.
func appendText(dst []byte, ptr any) ([]byte, error) {
	if t, ok := ptr.(encoding.TextAppender); ok {
		return t.AppendText(dst)
	}
	text, err := ptr.(encoding.TextMarshaler).MarshalText()
	return append(dst, text...), err
}

// isPlain reports whether a value can stand without quotes.
func (e *csvEncoder[T]) isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if e.special[s[i]] {
			return false
		}
	}
	return !strings.HasPrefix(s, byteOrderMark)
}

// checkColumns returns what keeps the encoder from writing: a column given to NoHeader that no field fills, or a field
// without a column.
func (e *csvEncoder[T]) checkColumns(names []string) error {
	if !e.noHeader {
		return nil
	}
	all, err := columnsOf(reflect.ValueOf(new(T)).Elem(), "", reflect.TypeFor[T]().Name())
	if err != nil {
		return err
	}
	if len(e.columns) != len(names) || len(all) != len(names) {
		return fmt.Errorf("file: NoHeader names %d columns (%s) and the record has %d: a sink needs each of them once",
			len(names), strings.Join(names, ", "), len(all))
	}
	return nil
}

// appendJSONFloat writes f as encoding/json does: in plain digits unless it is very large or very small.
func appendJSONFloat(dst []byte, f float64, bits int) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fmt.Errorf("%v is not a number that JSON can hold", f)
	}
	abs := math.Abs(f)
	exponent := abs != 0 && (abs < 1e-6 || abs >= 1e21)
	if bits == 32 {
		exponent = abs != 0 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)
	}
	if !exponent {
		return strconv.AppendFloat(dst, f, 'f', -1, bits), nil
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // e-09 to e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, nil
}
