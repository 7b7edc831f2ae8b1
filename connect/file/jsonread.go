package file

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// jsonDecoder fills records from JSON text in one pass. It works on one value of its own, see slot.
type jsonDecoder[T any] struct {
	scratch *T
	root    jsonSlot
	parser  jsonParser
}

func newJSONDecoder[T any]() (*jsonDecoder[T], error) {
	d := &jsonDecoder[T]{scratch: new(T)}
	s, err := shapes{}.of(reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("file: %v: %w", reflect.TypeFor[T](), err)
	}
	d.root = bindShape(s, reflect.ValueOf(d.scratch).Elem())
	return d, nil
}

func (d *jsonDecoder[T]) record(text string, out *T) error {
	var zero T
	*d.scratch = zero
	p := &d.parser
	p.s, p.i, p.depth, p.field = text, 0, 0, ""
	p.space()
	err := p.static(&d.root)
	if err == nil {
		p.space()
		if p.i < len(text) {
			err = p.wrong("the end of the line after the JSON value")
		}
	}
	p.s = ""
	if err != nil {
		return &fieldError{column: p.field, char: p.i + 1, err: err}
	}
	*out = *d.scratch
	return nil
}

// jsonParser is a scanner that knows what it fills.
type jsonParser struct {
	scanner
	field string // Where in the record a mistake is, as in trips[2].fare; it is put together on the way back.
}

// static decodes the value at the current place into a slot.
func (p *jsonParser) static(j *jsonSlot) error {
	if p.peek() == 'n' && j.class != classJSON {
		return p.null(j.value)
	}
	switch j.class {
	case classString:
		s, err := p.str()
		if err != nil {
			return err
		}
		*j.ptr.(*string) = s
		return nil
	case classInt:
		n, err := p.int(j.bits)
		if err != nil {
			return err
		}
		j.setInt(n)
		return nil
	case classUint:
		n, err := p.uint(j.bits)
		if err != nil {
			return err
		}
		j.setUint(n)
		return nil
	case classFloat:
		f, err := p.float(j.bits)
		if err != nil {
			return err
		}
		j.setFloat(f)
		return nil
	case classBool:
		b, err := p.bool()
		if err != nil {
			return err
		}
		*j.ptr.(*bool) = b
		return nil
	case classStruct:
		return p.object(j.shape, j, j.value)
	case classTime:
		return p.time(j.ptr.(*time.Time))
	case classBytes:
		return p.bytes(j.ptr.(*[]byte))
	case classText:
		return p.ownText(j.ptr.(encoding.TextUnmarshaler))
	case classJSON:
		return p.foreign(j.ptr)
	}
	return p.dynamic(j.shape, j.value)
}

// dynamic decodes the value at the current place into v, whose address is not known beforehand.
func (p *jsonParser) dynamic(s *shape, v reflect.Value) error {
	if p.peek() == 'n' && s.class != classJSON {
		return p.null(v)
	}
	switch s.class {
	case classString:
		text, err := p.str()
		v.SetString(text)
		return err
	case classInt:
		n, err := p.int(s.bits)
		v.SetInt(n)
		return err
	case classUint:
		n, err := p.uint(s.bits)
		v.SetUint(n)
		return err
	case classFloat:
		f, err := p.float(s.bits)
		v.SetFloat(f)
		return err
	case classBool:
		b, err := p.bool()
		v.SetBool(b)
		return err
	case classStruct:
		return p.object(s, nil, v)
	case classTime:
		return p.time(v.Addr().Interface().(*time.Time))
	case classBytes:
		return p.bytes(bytesOf(v).(*[]byte))
	case classText:
		return p.ownText(v.Addr().Interface().(encoding.TextUnmarshaler))
	case classPointer:
		if v.IsNil() {
			v.Set(reflect.New(s.typ.Elem()))
		}
		return p.dynamic(s.elem, v.Elem())
	case classSlice:
		return p.slice(s, v)
	case classMap:
		return p.dict(s, v)
	}
	return p.foreign(v.Addr().Interface())
}

// null takes null, which empties what can be nil and leaves the rest as it is.
func (p *jsonParser) null(v reflect.Value) error {
	if err := p.word("null"); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		v.SetZero()
	}
	return nil
}

// object decodes an object into a struct: into the slots of j, or into v where there are none.
func (p *jsonParser) object(s *shape, j *jsonSlot, v reflect.Value) error {
	if p.peek() != '{' {
		return p.wrong("an object")
	}
	if p.depth++; p.depth > maxDepth {
		return errDepth
	}
	p.i++
	p.space()
	if p.peek() == '}' {
		p.i++
		p.depth--
		return nil
	}
	for next := 0; ; {
		at, err := p.key(s, next)
		if err != nil {
			return err
		}
		if at >= 0 {
			next = at + 1
		}
		switch {
		case at < 0:
			err = p.skip()
		case j != nil:
			err = p.static(&j.fields[at])
		default:
			err = p.dynamic(s.fields[at].shape, v.FieldByIndex(s.fields[at].index))
		}
		if err == nil {
			p.space()
			switch p.peek() {
			case '}':
				p.i++
				p.depth--
				return nil
			case ',':
			default:
				err = p.wrong("a comma or '}'")
			}
		}
		if err != nil {
			if at >= 0 {
				p.within(s.fields[at].name)
			}
			return err
		}
		p.i++
		p.space()
	}
}

// key takes a key and its colon and returns the index of its field, or -1. Records mostly have their keys in the same
// order, so it first looks whether the key is that of the next field.
func (p *jsonParser) key(s *shape, next int) (int, error) {
	if next < len(s.fields) && strings.HasPrefix(p.s[p.i:], s.fields[next].key) {
		p.i += len(s.fields[next].key)
		p.space()
		return next, nil
	}
	key, err := p.str()
	if err != nil {
		return -1, err
	}
	return s.find(key), p.colon()
}

// within puts a name in front of the place of a mistake.
func (p *jsonParser) within(name string) {
	if p.field != "" && p.field[0] != '[' {
		name += "."
	}
	p.field = name + p.field
}

func (p *jsonParser) slice(s *shape, v reflect.Value) error {
	if p.peek() != '[' {
		return p.wrong("an array")
	}
	if v.IsNil() {
		v.Set(reflect.MakeSlice(s.typ, 0, 0))
	}
	v.SetLen(0)
	return p.each(']', func() error {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		v.Index(n).SetZero()
		err := p.dynamic(s.elem, v.Index(n))
		if err != nil {
			p.within("[" + strconv.Itoa(n) + "]")
		}
		return err
	})
}

func (p *jsonParser) dict(s *shape, v reflect.Value) error {
	if p.peek() != '{' {
		return p.wrong("an object")
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(s.typ))
	}
	elem := reflect.New(s.typ.Elem()).Elem()
	return p.each('}', func() error {
		key, err := p.str()
		if err != nil {
			return err
		}
		if err := p.colon(); err != nil {
			return err
		}
		elem.SetZero()
		if err := p.dynamic(s.elem, elem); err != nil {
			p.within(fmt.Sprintf("[%.40q]", key))
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(s.typ.Key()), elem)
		return nil
	})
}

// foreign gives the value to encoding/json.
func (p *jsonParser) foreign(ptr any) error {
	start := p.i
	if err := p.skip(); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(p.s[start:p.i]), ptr); err != nil {
		p.i = start
		return err
	}
	return nil
}

func (p *jsonParser) int(bits int) (int64, error) {
	start := p.i
	text, whole, err := p.number()
	if err != nil {
		return 0, err
	}
	if whole {
		n, err := parseInt(text, bits)
		if err == nil {
			return n, nil
		}
		p.i = start
		return 0, fmt.Errorf("the number %.60s %w", text, err)
	}
	p.i = start
	return 0, fmt.Errorf("the number %.60s is not written as a whole number, but the field is an integer", text)
}

func (p *jsonParser) uint(bits int) (uint64, error) {
	start := p.i
	text, whole, err := p.number()
	if err != nil {
		return 0, err
	}
	if whole {
		n, err := parseUint(text, bits)
		if err == nil {
			return n, nil
		}
		if text[0] == '-' {
			err = errors.New("is negative, but the field is not")
		}
		p.i = start
		return 0, fmt.Errorf("the number %.60s %w", text, err)
	}
	p.i = start
	return 0, fmt.Errorf("the number %.60s is not written as a whole number, but the field is an integer", text)
}

func (p *jsonParser) float(bits int) (float64, error) {
	start := p.i
	text, _, err := p.number()
	if err != nil {
		return 0, err
	}
	f, err := parseFloat(text, bits)
	if err != nil {
		p.i = start
		return 0, fmt.Errorf("the number %.60s %w", text, err)
	}
	return f, nil
}

func (p *jsonParser) bool() (bool, error) {
	if p.peek() == 't' {
		return true, p.word("true")
	}
	if p.peek() == 'f' {
		return false, p.word("false")
	}
	return false, p.wrong("true or false")
}

// time takes a time in RFC 3339, as time.Time itself does, without an allocation.
func (p *jsonParser) time(t *time.Time) error {
	start := p.i
	text, err := p.str()
	if err != nil {
		return err
	}
	p.tmp = append(p.tmp[:0], text...)
	if err := t.UnmarshalText(p.tmp); err != nil {
		p.i = start
		return fmt.Errorf("%.60q is not a time in RFC 3339, such as 2006-01-02T15:04:05Z", text)
	}
	return nil
}

// bytes takes base64 in a string, or an array of numbers.
func (p *jsonParser) bytes(b *[]byte) error {
	if p.peek() != '"' {
		return p.foreign(b)
	}
	start := p.i
	text, err := p.str()
	if err != nil {
		return err
	}
	p.tmp = append(p.tmp[:0], text...)
	out := make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	if out, err = base64.StdEncoding.AppendDecode(out, p.tmp); err != nil {
		p.i = start
		return fmt.Errorf("%.60q is not base64: %w", text, err)
	}
	*b = out
	return nil
}

// ownText gives a string to the type of the field.
func (p *jsonParser) ownText(t encoding.TextUnmarshaler) error {
	start := p.i
	text, err := p.str()
	if err != nil {
		return err
	}
	p.tmp = append(p.tmp[:0], text...)
	if err := t.UnmarshalText(p.tmp); err != nil {
		p.i = start
		return fmt.Errorf("%.60q: %w", text, err)
	}
	return nil
}
