package codec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unsafe"
)

// ordKind is what a step of an order-preserving program handles.
type ordKind uint8

const (
	// ordNumber is a number or bool, written big endian after a change that makes its order that of unsigned numbers.
	ordNumber ordKind = iota
	// ordBytes is a byte array, written as it is.
	ordBytes
	ordString
	ordTime
	// ordLoop is an array of something else.
	ordLoop
)

// ordOp is one step, on the field at off.
type ordOp struct {
	kind   ordKind
	number reflect.Kind
	off    uintptr
	// n is the width of a number, the length of a byte array or of an array.
	n      int
	stride uintptr
	sub    *ordProgram
	path   string
}

// ordProgram writes values of one type so that bytes.Compare of encodings is the order of the values. It calls no function
// values: so buffers and values given to it can stay on the stack.
type ordProgram struct{ ops []ordOp }

// ordRules says what an order-preserving program may contain.
type ordRules struct {
	floats bool
	// refuse makes the error for a type that is not allowed.
	refuse func(t reflect.Type, path string) error
}

func (r ordRules) compile(p *ordProgram, t reflect.Type, off uintptr, path string) error {
	if t == timeType {
		p.ops = append(p.ops, ordOp{kind: ordTime, off: off, path: path})
		return nil
	}
	switch k := t.Kind(); k {
	case reflect.Float32, reflect.Float64:
		if !r.floats {
			return r.refuse(t, path)
		}
		p.ops = append(p.ops, ordOp{kind: ordNumber, number: k, off: off, n: int(scalarWidth(k)), path: path})
	case reflect.Bool:
		p.ops = append(p.ops, ordOp{kind: ordNumber, number: k, off: off, n: 1, path: path})
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.ops = append(p.ops, ordOp{kind: ordNumber, number: k, off: off, n: int(scalarWidth(k)), path: path})
	case reflect.String:
		p.ops = append(p.ops, ordOp{kind: ordString, off: off, path: path})
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "_" {
				if err := r.compile(p, f.Type, off+f.Offset, path+"."+f.Name); err != nil {
					return err
				}
			}
		}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			p.ops = append(p.ops, ordOp{kind: ordBytes, off: off, n: t.Len(), path: path})
			return nil
		}
		sub := &ordProgram{}
		if err := r.compile(sub, t.Elem(), 0, path+"[]"); err != nil {
			return err
		}
		if len(sub.ops) == 0 || t.Len() == 0 {
			return nil
		}
		p.ops = append(p.ops, ordOp{kind: ordLoop, off: off, n: t.Len(), stride: t.Elem().Size(), sub: sub, path: path})
	default:
		return r.refuse(t, path)
	}
	return nil
}

// toOrder maps a number to an unsigned one of the same width so that the order is kept. Floats come in the order -NaN, -Inf,
// ..., -0, +0, ..., +Inf, NaN.
func toOrder(k reflect.Kind, f unsafe.Pointer) uint64 {
	switch k {
	case reflect.Int, reflect.Int64:
		return loadBits(k, f) ^ 1<<63
	case reflect.Int8:
		return uint64(*(*uint8)(f) ^ 1<<7)
	case reflect.Int16:
		return uint64(*(*uint16)(f) ^ 1<<15)
	case reflect.Int32:
		return uint64(*(*uint32)(f) ^ 1<<31)
	case reflect.Float32:
		b := *(*uint32)(f)
		return uint64(b ^ (uint32(int32(b)>>31) | 1<<31))
	case reflect.Float64:
		b := *(*uint64)(f)
		return b ^ (uint64(int64(b)>>63) | 1<<63)
	}
	return loadBits(k, f)
}

// fromOrder is the reverse of toOrder for the kinds that keys may have; it says whether the number is one of that kind.
func fromOrder(k reflect.Kind, f unsafe.Pointer, u uint64) bool {
	switch k {
	case reflect.Bool:
		if u > 1 {
			return false
		}
	case reflect.Int, reflect.Int64:
		u ^= 1 << 63
	case reflect.Int8:
		u ^= 1 << 7
	case reflect.Int16:
		u ^= 1 << 15
	case reflect.Int32:
		u ^= 1 << 31
	}
	return storeBits(k, f, u)
}

func (p *ordProgram) append(dst []byte, v unsafe.Pointer) []byte {
	for i := range p.ops {
		o := &p.ops[i]
		f := unsafe.Add(v, o.off)
		switch o.kind {
		case ordNumber:
			dst = appendBig(dst, toOrder(o.number, f), o.n)
		case ordBytes:
			dst = append(dst, unsafe.Slice((*byte)(f), o.n)...)
		case ordString:
			dst = appendEscaped(dst, *(*string)(f))
		case ordTime:
			dst = appendTimeOrder(dst, (*time.Time)(f))
		case ordLoop:
			for j := range o.n {
				dst = o.sub.append(dst, unsafe.Add(f, uintptr(j)*o.stride))
			}
		}
	}
	return dst
}

func appendBig(dst []byte, u uint64, width int) []byte {
	switch width {
	case 8:
		return binary.BigEndian.AppendUint64(dst, u)
	case 4:
		return binary.BigEndian.AppendUint32(dst, uint32(u))
	case 2:
		return binary.BigEndian.AppendUint16(dst, uint16(u))
	}
	return append(dst, byte(u))
}

func appendTimeOrder(dst []byte, t *time.Time) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Unix()+yearOne)^1<<63)
	return binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

// appendEscaped writes a string with an end mark: 00 becomes 00 FF, the end is 00 00, so that a shorter string comes first and what
// follows the string cannot change the order.
func appendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(dst, s...), 0, 0)
		}
		dst = append(append(dst, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

func (p *ordProgram) compare(a, b unsafe.Pointer) int {
	for i := range p.ops {
		o := &p.ops[i]
		x, y := unsafe.Add(a, o.off), unsafe.Add(b, o.off)
		c := 0
		switch o.kind {
		case ordNumber:
			c = cmp.Compare(toOrder(o.number, x), toOrder(o.number, y))
		case ordBytes:
			c = bytes.Compare(unsafe.Slice((*byte)(x), o.n), unsafe.Slice((*byte)(y), o.n))
		case ordString:
			c = strings.Compare(*(*string)(x), *(*string)(y))
		case ordTime:
			c = compareTimes((*time.Time)(x), (*time.Time)(y))
		case ordLoop:
			for j := uintptr(0); j < uintptr(o.n) && c == 0; j++ {
				c = o.sub.compare(unsafe.Add(x, j*o.stride), unsafe.Add(y, j*o.stride))
			}
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compareTimes compares instants, where time.Time.Compare would look at monotonic readings first.
func compareTimes(a, b *time.Time) int {
	if c := cmp.Compare(a.Unix()+yearOne, b.Unix()+yearOne); c != 0 {
		return c
	}
	return cmp.Compare(a.Nanosecond(), b.Nanosecond())
}

func (p *ordProgram) decode(src []byte, v unsafe.Pointer) (rest []byte, err error) {
	for i := range p.ops {
		o := &p.ops[i]
		f := unsafe.Add(v, o.off)
		switch o.kind {
		case ordNumber:
			src, err = decodeNumber(src, o, f)
		case ordBytes:
			if len(src) < o.n {
				return nil, short(o.path, o.n, src)
			}
			copy(unsafe.Slice((*byte)(f), o.n), src)
			src = src[o.n:]
		case ordString:
			src, err = decodeEscaped(src, (*string)(f), o.path)
		case ordTime:
			src, err = decodeTimeOrder(src, (*time.Time)(f), o.path)
		case ordLoop:
			for j := 0; j < o.n && err == nil; j++ {
				src, err = o.sub.decode(src, unsafe.Add(f, uintptr(j)*o.stride))
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return src, nil
}

func decodeNumber(src []byte, o *ordOp, f unsafe.Pointer) ([]byte, error) {
	if len(src) < o.n {
		return nil, short(o.path, o.n, src)
	}
	u := uint64(0)
	for _, b := range src[:o.n] {
		u = u<<8 | uint64(b)
	}
	if !fromOrder(o.number, f, u) {
		return nil, fmt.Errorf("codec: decode %s: %#x is no %s here", o.path, u, o.number)
	}
	return src[o.n:], nil
}

func decodeTimeOrder(src []byte, t *time.Time, path string) ([]byte, error) {
	if len(src) < timeSize {
		return nil, short(path, timeSize, src)
	}
	sec, ns := int64(binary.BigEndian.Uint64(src)^1<<63), binary.BigEndian.Uint32(src[8:])
	if ns >= 1e9 {
		return nil, fmt.Errorf("codec: decode %s: %d nanoseconds in a second", path, ns)
	}
	*t = time.Unix(sec-yearOne, int64(ns)).UTC()
	return src[timeSize:], nil
}

func decodeEscaped(src []byte, s *string, path string) ([]byte, error) {
	end := bytes.IndexByte(src, 0)
	if end >= 0 && end+1 < len(src) && src[end+1] == 0 {
		*s = string(src[:end])
		return src[end+2:], nil
	}
	var out []byte
	for {
		i := bytes.IndexByte(src, 0)
		if i < 0 || i+1 == len(src) || src[i+1] != 0 && src[i+1] != 0xff {
			return nil, fmt.Errorf("codec: decode %s: the string has no end or a wrong escape", path)
		}
		out = append(out, src[:i]...)
		if src[i+1] == 0 {
			*s = string(out)
			return src[i+2:], nil
		}
		out = append(out, 0)
		src = src[i+2:]
	}
}
