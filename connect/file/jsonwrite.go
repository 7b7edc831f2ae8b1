package file

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// jsonEncoder writes records as JSON lines. It works on one value of its own, see slot. Maps are written in order of
// their keys, so equal records give equal lines.
type jsonEncoder[T any] struct {
	scratch *T
	root    jsonSlot
}

func newJSONEncoder[T any]() (*jsonEncoder[T], error) {
	e := &jsonEncoder[T]{scratch: new(T)}
	s, err := shapes{}.of(reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("file: %v: %w", reflect.TypeFor[T](), err)
	}
	e.root = bindShape(s, reflect.ValueOf(e.scratch).Elem())
	return e, nil
}

func (e *jsonEncoder[T]) head(dst []byte) []byte { return dst }

func (e *jsonEncoder[T]) record(dst []byte, v *T) ([]byte, error) {
	*e.scratch = *v
	dst, err := appendStatic(dst, &e.root)
	if err != nil {
		return dst, fmt.Errorf("file: %w", err)
	}
	return append(dst, '\n'), nil
}

func appendStatic(dst []byte, j *jsonSlot) ([]byte, error) {
	switch j.class {
	case classString:
		return appendString(dst, *j.ptr.(*string)), nil
	case classTime:
		return appendTime(dst, *j.ptr.(*time.Time))
	case classBytes:
		return appendBytes(dst, *j.ptr.(*[]byte)), nil
	case classText:
		return appendOwnText(dst, j.ptr)
	case classJSON:
		return appendForeign(dst, j.ptr)
	case classStruct:
		first := true
		dst = append(dst, '{')
		for i := range j.fields {
			f := &j.shape.fields[i]
			if f.omitted(j.fields[i].value) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, f.key...)
			var err error
			if dst, err = appendStatic(dst, &j.fields[i]); err != nil {
				return dst, fmt.Errorf("field %s: %w", f.name, err)
			}
		}
		return append(dst, '}'), nil
	}
	return appendDynamic(dst, j.shape, j.value, 0)
}

func appendDynamic(dst []byte, s *shape, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errDepth
	}
	switch s.class {
	case classString:
		return appendString(dst, v.String()), nil
	case classInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case classUint:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case classFloat:
		return appendJSONFloat(dst, v.Float(), s.bits)
	case classBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case classTime:
		if v.CanAddr() { // It saves an allocation.
			return appendTime(dst, *v.Addr().Interface().(*time.Time))
		}
		return appendTime(dst, v.Interface().(time.Time))
	case classBytes:
		return appendBytes(dst, v.Bytes()), nil
	case classText:
		if v.CanAddr() {
			return appendOwnText(dst, v.Addr().Interface())
		}
		return appendOwnText(dst, v.Interface())
	case classPointer:
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
		return appendDynamic(dst, s.elem, v.Elem(), depth+1)
	case classStruct:
		return appendStruct(dst, s, v, depth)
	case classSlice:
		return appendSlice(dst, s, v, depth)
	case classMap:
		return appendMap(dst, s, v, depth)
	}
	if v.CanAddr() {
		return appendForeign(dst, v.Addr().Interface())
	}
	return appendForeign(dst, v.Interface())
}

func appendStruct(dst []byte, s *shape, v reflect.Value, depth int) ([]byte, error) {
	first := true
	dst = append(dst, '{')
	for i := range s.fields {
		f := &s.fields[i]
		value := v.FieldByIndex(f.index)
		if f.omitted(value) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.key...)
		var err error
		if dst, err = appendDynamic(dst, f.shape, value, depth+1); err != nil {
			return dst, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendSlice(dst []byte, s *shape, v reflect.Value, depth int) (_ []byte, err error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '[')
	for i := 0; i < v.Len(); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendDynamic(dst, s.elem, v.Index(i), depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, s *shape, v reflect.Value, depth int) (_ []byte, err error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k.String()), ':')
		if dst, err = appendDynamic(dst, s.elem, v.MapIndex(k), depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendTime(dst []byte, t time.Time) ([]byte, error) {
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, fmt.Errorf("time out of range: %v lies outside the years 0 to 9999", t)
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"'), nil
}

// appendBytes writes bytes as base64.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendOwnText writes the text of a type's own as a string. v is the value or points to it.
func appendOwnText(dst []byte, v any) ([]byte, error) {
	begin := len(dst)
	dst, err := appendText(append(dst, '"'), v)
	if err != nil {
		return dst[:begin], err
	}
	if text := dst[begin+1:]; !isPlainText(text) {
		return appendString(dst[:begin], string(text)), nil
	}
	return append(dst, '"'), nil
}

// isPlainText reports whether a text stands in JSON as it is.
func isPlainText(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendForeign lets encoding/json write the value.
func appendForeign(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(b.Bytes(), newline), nil
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Bytes that are not UTF-8 become U+FFFD, as in encoding/json; nothing is escaped for
// HTML.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		n := plainRun(s, 0)
		dst = append(dst, s[:n]...)
		s = s[n:]
		if s == "" {
			return append(dst, '"')
		}
		c := s[0]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s)
			dst = utf8.AppendRune(dst, r)
			s = s[size:]
			continue
		}
		switch at := strings.IndexByte("\b\f\n\r\t", c); {
		case at >= 0:
			dst = append(dst, '\\', "bfnrt"[at])
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, '\\', c)
		}
		s = s[1:]
	}
}

// omitted reports whether a field is left out because of its value.
func (f *shapeField) omitted(v reflect.Value) bool {
	switch {
	case f.omitEmpty:
		return isEmpty(v)
	case f.omitZero && f.shape.class == classTime: // A time may be zero in any zone.
		return v.Interface().(time.Time).IsZero()
	}
	return f.omitZero && v.IsZero()
}

// isEmpty is what omitempty means by empty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
