package shape

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Printer turns encodings into JSON. Its zero value is ready; it is used by one goroutine.
//
// Numbers are JSON numbers, floats that JSON has none for the strings NaN, Inf and -Inf; times are RFC 3339; slices of bytes are base64; maps whose
// keys are text or integers are objects, others lists of {"key", "value"}; text that is not UTF-8 is {"base64"}. A value that encodes itself, and that
// Self does not know, is {"self": its type, "base64": all bytes that are left}, and what would stand behind it is left out.
type Printer struct {
	// Self reads a value of a type that encodes itself from the front of src and returns it as JSON; ok is false for types that it does not know.
	Self func(name string, src []byte) (text, rest []byte, ok bool, err error)

	// stopped says that the rest of the bytes could not be read, for want of the type.
	stopped bool
}

// maxEmpty bounds the elements of a slice whose elements take no bytes: damaged bytes cannot ask for more.
const maxEmpty = 1 << 16

// yearOne is the number of seconds from the year 1 to 1970.
const yearOne = 62135596800

var errShort = errors.New("the bytes end too early")

// Value appends a value, as package codec encodes it, as JSON to dst. There must be no bytes behind it.
func (p *Printer) Value(dst []byte, s *Shape, src []byte) ([]byte, error) {
	p.stopped = false
	dst, rest, err := p.value(dst, s, src)
	return dst, p.whole(s, rest, err)
}

func (p *Printer) whole(s *Shape, rest []byte, err error) error {
	if err == nil && len(rest) > 0 && !p.stopped {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	if err != nil {
		return fmt.Errorf("shape: decode %s: %w", s, err)
	}
	return nil
}

func (p *Printer) value(dst []byte, s *Shape, src []byte) ([]byte, []byte, error) {
	switch s.Kind {
	case Struct:
		return p.object(dst, s, src)
	case Array:
		return p.elements(dst, s.Elem, src, s.Len, false)
	case Slice:
		return p.slice(dst, s, src)
	case Map:
		return p.entries(dst, s, src)
	case Pointer:
		if len(src) == 0 || src[0] > 1 {
			return dst, src, errors.New("a pointer is neither nil nor a value")
		}
		if src[0] == 0 {
			return append(dst, "null"...), src[1:], nil
		}
		return p.value(dst, s.Elem, src[1:])
	case Self:
		return p.self(dst, s, src)
	case String:
		n, src, err := length(src)
		if err != nil || n > uint64(len(src)) {
			return dst, src, errors.Join(err, errShort)
		}
		return appendText(dst, src[:n]), src[n:], nil
	case Rest:
		return appendText(dst, src), nil, nil
	case Uvarint:
		n, k := binary.Uvarint(src)
		if k <= 0 {
			return dst, src, errShort
		}
		return strconv.AppendUint(dst, n, 10), src[k:], nil
	}
	if len(src) < s.Width {
		return dst, src, errShort
	}
	b, src := src[:s.Width], src[s.Width:]
	switch s.Kind {
	case BigInt:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(b)), 10), src, nil
	case Time:
		dst, err := appendTime(dst, int64(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:]))
		return dst, src, err
	case Complex:
		half := s.Width / 2
		dst = appendFloat(append(dst, '['), little(b[:half]), half)
		dst = appendFloat(append(dst, ','), little(b[half:]), half)
		return append(dst, ']'), src, nil
	}
	dst, err := appendNumber(dst, s, little(b))
	return dst, src, err
}

// appendNumber writes a bool or number of which these are the bits.
func appendNumber(dst []byte, s *Shape, u uint64) ([]byte, error) {
	switch s.Kind {
	case Bool:
		if u > 1 {
			return dst, fmt.Errorf("%#x is no bool", u)
		}
		return strconv.AppendBool(dst, u == 1), nil
	case Int:
		shift := 64 - 8*s.Width
		return strconv.AppendInt(dst, int64(u<<shift)>>shift, 10), nil
	case Float:
		return appendFloat(dst, u, s.Width), nil
	}
	return strconv.AppendUint(dst, u, 10), nil
}

func little(b []byte) (u uint64) {
	for i, x := range b {
		u |= uint64(x) << (8 * i)
	}
	return u
}

func big(b []byte) (u uint64) {
	for _, x := range b {
		u = u<<8 | uint64(x)
	}
	return u
}

func appendFloat(dst []byte, u uint64, width int) []byte {
	f := math.Float64frombits(u)
	if width == 4 {
		f = float64(math.Float32frombits(uint32(u)))
	}
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Inf"`...)
	}
	b, err := json.Marshal(f)
	if width == 4 {
		b, err = json.Marshal(float32(f))
	}
	if err != nil { // it is finite
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

func appendTime(dst []byte, seconds int64, ns uint32) ([]byte, error) {
	if ns >= 1e9 {
		return dst, fmt.Errorf("%d nanoseconds in a second", ns)
	}
	dst = append(dst, '"')
	dst = time.Unix(seconds-yearOne, int64(ns)).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"'), nil
}

func appendText(dst, text []byte) []byte {
	if !utf8.Valid(text) {
		return append(appendBase64(append(dst, `{"base64":`...), text), '}')
	}
	b, err := json.Marshal(string(text))
	if err != nil { // it is valid text
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func length(src []byte) (uint64, []byte, error) {
	n, k := binary.Uvarint(src)
	if k <= 0 {
		return 0, src, errShort
	}
	return n, src[k:], nil
}

func (p *Printer) object(dst []byte, s *Shape, src []byte) (_, _ []byte, err error) {
	dst = append(dst, '{')
	for i, f := range s.Fields {
		if p.stopped {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, []byte(f.Name)), ':')
		if dst, src, err = p.value(dst, f.Shape, src); err != nil {
			return dst, src, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return append(dst, '}'), src, nil
}

func (p *Printer) elements(dst []byte, elem *Shape, src []byte, n int, marked bool) (_, _ []byte, err error) {
	if !marked && elem.least() == 0 && n > maxEmpty {
		return dst, src, fmt.Errorf("%d elements that take no bytes", n)
	}
	if elem.Kind == Uint && elem.Width == 1 && n <= len(src) {
		return appendBase64(dst, src[:n]), src[n:], nil
	}
	dst = append(dst, '[')
	for i := range n {
		if p.stopped {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if marked {
			if src, err = unmark(src); err != nil {
				return dst, src, err
			}
		}
		if dst, src, err = p.value(dst, elem, src); err != nil {
			return dst, src, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return append(dst, ']'), src, nil
}

// unmark takes the byte before an element that may take none.
func unmark(src []byte) ([]byte, error) {
	if len(src) == 0 || src[0] != 1 {
		return src, errors.New("an element does not begin as it should")
	}
	return src[1:], nil
}

// count takes the number of elements of a slice or map, of at least so many bytes each.
func count(src []byte, least int) (n int, isNil bool, rest []byte, err error) {
	u, rest, err := length(src)
	if err != nil || u == 0 {
		return 0, err == nil, rest, err
	}
	u--
	if least > 0 && u > uint64(len(rest)/least) || u > math.MaxInt32 {
		return 0, false, rest, fmt.Errorf("%d elements, and only %d bytes left", u, len(rest))
	}
	return int(u), false, rest, nil
}

func (p *Printer) slice(dst []byte, s *Shape, src []byte) ([]byte, []byte, error) {
	marked := s.Elem.marked()
	least := s.Elem.least()
	if marked {
		least = 1
	}
	n, isNil, src, err := count(src, least)
	if err != nil {
		return dst, src, err
	}
	if isNil {
		return append(dst, "null"...), src, nil
	}
	return p.elements(dst, s.Elem, src, n, marked)
}

func (p *Printer) entries(dst []byte, s *Shape, src []byte) (_, _ []byte, err error) {
	least := s.Key.least() + s.Elem.least()
	n, isNil, src, err := count(src, max(least, 1))
	if err != nil {
		return dst, src, err
	}
	if isNil {
		return append(dst, "null"...), src, nil
	}
	object := s.Key.Kind == String || s.Key.Kind == Int || s.Key.Kind == Uint
	open, between, closed := `[`, `,"value":`, `]`
	if object {
		open, between, closed = `{`, `:`, `}`
	}
	dst = append(dst, open...)
	for i := range n {
		if p.stopped {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if least == 0 {
			if src, err = unmark(src); err != nil {
				return dst, src, err
			}
		}
		if dst, src, err = p.entry(dst, s, src, object, between); err != nil {
			return dst, src, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return append(dst, closed...), src, nil
}

func (p *Printer) entry(dst []byte, s *Shape, src []byte, object bool, between string) (_, _ []byte, err error) {
	quote := object && s.Key.Kind != String
	switch {
	case quote:
		dst = append(dst, '"')
	case !object:
		dst = append(dst, `{"key":`...)
	}
	at := len(dst)
	if dst, src, err = p.value(dst, s.Key, src); err != nil || p.stopped {
		if !object {
			dst = append(dst, '}')
		}
		return dst, src, err
	}
	switch {
	case quote:
		dst = append(dst, '"')
	case object && dst[at] == '{': // text that is not UTF-8 cannot be the name of a member
		text := string(dst[at:])
		dst = appendText(dst[:at], []byte(text))
	}
	dst, src, err = p.value(append(dst, between...), s.Elem, src)
	if !object {
		dst = append(dst, '}')
	}
	return dst, src, err
}

func (p *Printer) self(dst []byte, s *Shape, src []byte) ([]byte, []byte, error) {
	if p.Self != nil {
		text, rest, ok, err := p.Self(s.Name, src)
		if ok {
			return append(dst, text...), rest, err
		}
	}
	p.stopped = true
	dst = appendText(append(dst, `{"self":`...), []byte(s.Name))
	return append(appendBase64(append(dst, `,"base64":`...), src), '}'), nil, nil
}
