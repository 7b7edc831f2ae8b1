package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// nativeLittle says that integers stand in memory as they stand in the encoding.
var nativeLittle = func() bool { one := uint16(1); return *(*byte)(unsafe.Pointer(&one)) == 1 }()

type (
	encodeFunc func(dst []byte, f unsafe.Pointer) []byte
	decodeFunc func(src []byte, f unsafe.Pointer) ([]byte, error)
)

// opKind is what a step does.
type opKind uint8

const (
	// opRaw copies memory without pointers; neighbouring fields are joined into one step.
	opRaw opKind = iota
	opBool
	opString
	opTime
	// opCall does everything else.
	opCall
)

// op is one step of a program, on the field at off.
type op struct {
	kind   opKind
	off    uintptr
	size   uintptr
	encode encodeFunc
	decode decodeFunc
	// path names the (first) field, for errors.
	path string
}

// program encodes one type. Structs and short arrays inside it are part of the same list.
type program struct {
	ops []op
	// min is the smallest number of bytes that an encoding has.
	min int
	// blank says that there are fields which decoding does not set.
	blank bool
}

// solid says that the memory of a value is its encoding, so that a slice of them can be copied as a whole.
func (p *program) solid(size uintptr) bool {
	if size == 0 {
		return len(p.ops) == 0 && !p.blank
	}
	return len(p.ops) == 1 && p.ops[0].kind == opRaw && p.ops[0].off == 0 && p.ops[0].size == size
}

func (p *program) append(dst []byte, v unsafe.Pointer) []byte {
	for i := range p.ops {
		o := &p.ops[i]
		f := unsafe.Add(v, o.off)
		switch o.kind {
		case opRaw:
			if o.size == 8 {
				dst = binary.LittleEndian.AppendUint64(dst, *(*uint64)(f))
				continue
			}
			dst = append(dst, unsafe.Slice((*byte)(f), o.size)...)
		case opBool:
			dst = append(dst, *(*byte)(f))
		case opString:
			s := *(*string)(f)
			if len(s) < 0x80 {
				dst = append(dst, byte(len(s)))
			} else {
				dst = binary.AppendUvarint(dst, uint64(len(s)))
			}
			dst = append(dst, s...)
		case opTime:
			dst = appendTime(dst, (*time.Time)(f))
		default:
			dst = o.encode(dst, f)
		}
	}
	return dst
}

func (p *program) decode(src []byte, v unsafe.Pointer) ([]byte, error) {
	for i := range p.ops {
		o := &p.ops[i]
		f := unsafe.Add(v, o.off)
		switch o.kind {
		case opRaw:
			if uintptr(len(src)) < o.size {
				return nil, short(o.path, int(o.size), src)
			}
			copy(unsafe.Slice((*byte)(f), o.size), src)
			src = src[o.size:]
		case opString:
			n, rest, err := length(src, o.path)
			if err != nil {
				return nil, err
			}
			if n > uint64(len(rest)) {
				return nil, tooLong(o.path, "string", n, rest)
			}
			*(*string)(f) = string(rest[:n])
			src = rest[n:]
		case opBool:
			if len(src) == 0 {
				return nil, short(o.path, 1, src)
			}
			if src[0] > 1 {
				return nil, fmt.Errorf("codec: decode %s: %#x is no bool", o.path, src[0])
			}
			*(*bool)(f) = src[0] == 1
			src = src[1:]
		case opTime:
			rest, err := decodeTime(src, (*time.Time)(f), o.path)
			if err != nil {
				return nil, err
			}
			src = rest
		default:
			rest, err := o.decode(src, f)
			if err != nil {
				return nil, err
			}
			src = rest
		}
	}
	return src, nil
}

// timeSize is the encoded size of a time: seconds since the year 1, nanoseconds.
const timeSize = 12

// yearOne is the number of seconds from the year 1 to 1970: seconds counted from there order times over their whole range.
const yearOne = 62135596800

func appendTime(dst []byte, t *time.Time) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.Unix()+yearOne))
	return binary.LittleEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

func decodeTime(src []byte, t *time.Time, path string) ([]byte, error) {
	if len(src) < timeSize {
		return nil, short(path, timeSize, src)
	}
	sec, ns := int64(binary.LittleEndian.Uint64(src)), binary.LittleEndian.Uint32(src[8:])
	if ns >= 1e9 {
		return nil, fmt.Errorf("codec: decode %s: %d nanoseconds in a second", path, ns)
	}
	*t = time.Unix(sec-yearOne, int64(ns)).UTC()
	return src[timeSize:], nil
}

// length reads a varint.
func length(src []byte, path string) (uint64, []byte, error) {
	if len(src) > 0 && src[0] < 0x80 {
		return uint64(src[0]), src[1:], nil
	}
	n, k := binary.Uvarint(src)
	if k <= 0 || n > math.MaxInt64 {
		return 0, nil, fmt.Errorf("codec: decode %s: the length is cut off or too big", path)
	}
	return n, src[k:], nil
}

func short(path string, want int, src []byte) error {
	return fmt.Errorf("codec: decode %s: needs %d bytes, %d left", path, want, len(src))
}

func tooLong(path, what string, n uint64, src []byte) error {
	return fmt.Errorf("codec: decode %s: %s of length %d, but only %d bytes left", path, what, n, len(src))
}
