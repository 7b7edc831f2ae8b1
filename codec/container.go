package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

// sliceHeader is a slice as it stands in memory.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// isSelf says whether t encodes itself. A struct that only inherits this from an embedded field is refused: its other fields
// would be lost without a word.
func isSelf(t reflect.Type, path string) (bool, error) {
	if !reflect.PointerTo(t).Implements(selfType) {
		return false, nil
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous && (f.Type.Implements(selfType) || reflect.PointerTo(f.Type).Implements(selfType)) {
				return false, fmt.Errorf("codec: field %s: the embedded %s would encode the whole of %s, and other fields "+
					"be lost; give the field a name", path+"."+f.Name, f.Type, t)
			}
		}
	}
	return true, nil
}

func selfEncode(t reflect.Type) encodeFunc {
	return func(dst []byte, f unsafe.Pointer) []byte {
		return reflect.NewAt(t, f).Interface().(Self).AppendState(dst)
	}
}

func selfDecode(t reflect.Type, path string) decodeFunc {
	return func(src []byte, f unsafe.Pointer) ([]byte, error) {
		rest, err := reflect.NewAt(t, f).Interface().(Self).DecodeState(src)
		if err != nil {
			return nil, fmt.Errorf("codec: decode %s: %w", path, err)
		}
		return rest, nil
	}
}

// A count of elements is written plus one: 0 is nil. Elements that may take no bytes at all but do take memory get a byte of
// their own, so that a damaged count can never ask for more elements than bytes are there.
const present = 1

// count reads a count; isNil says that the slice or map is nil.
func count(src []byte, minimum int, path, what string) (n int, isNil bool, rest []byte, err error) {
	u, rest, err := length(src, path)
	if err != nil {
		return 0, false, nil, err
	}
	if u == 0 {
		return 0, true, rest, nil
	}
	u--
	if minimum > 0 && u > uint64(len(rest)/minimum) || u > math.MaxInt32 && minimum == 0 {
		return 0, false, nil, tooLong(path, what, u, rest)
	}
	return int(u), false, rest, nil
}

// skipPresent reads the byte before an element that may take none.
func skipPresent(src []byte, path string) ([]byte, error) {
	if len(src) == 0 || src[0] != present {
		return nil, fmt.Errorf("codec: decode %s: an element does not begin as it should", path)
	}
	return src[1:], nil
}

func (c *compiler) addSlice(p *program, t reflect.Type, off uintptr, path string) error {
	ep, err := c.sub(t.Elem(), path+"[]")
	if err != nil {
		return err
	}
	size := t.Elem().Size()
	o := op{kind: opCall, off: off, path: path}
	if ep.solid(size) {
		o.encode, o.decode = solidSlice(t, size, path)
	} else {
		o.encode, o.decode = anySlice(t, ep, size, path)
	}
	p.push(o, 1)
	return nil
}

// solidSlice handles elements whose memory is their encoding: bytes, integers, floats, structs of them without gaps.
func solidSlice(t reflect.Type, size uintptr, path string) (encodeFunc, decodeFunc) {
	encode := func(dst []byte, f unsafe.Pointer) []byte {
		h := (*sliceHeader)(f)
		if h.data == nil {
			return append(dst, 0)
		}
		dst = binary.AppendUvarint(dst, uint64(h.len)+1)
		return append(dst, unsafe.Slice((*byte)(h.data), uintptr(h.len)*size)...)
	}
	decode := func(src []byte, f unsafe.Pointer) ([]byte, error) {
		h := (*sliceHeader)(f)
		*h = sliceHeader{}
		n, isNil, rest, err := count(src, int(size), path, "slice")
		if err != nil || isNil {
			return rest, err
		}
		total := uintptr(n) * size
		h.data = makeSolid(t, n, size)
		copy(unsafe.Slice((*byte)(h.data), total), rest)
		h.len, h.cap = n, n
		return rest[total:], nil
	}
	return encode, decode
}

// makeSolid allocates n elements without pointers. The common widths do without the reflect header.
func makeSolid(t reflect.Type, n int, size uintptr) unsafe.Pointer {
	switch size {
	case 1:
		return unsafe.Pointer(unsafe.SliceData(make([]byte, n)))
	case 4:
		return unsafe.Pointer(unsafe.SliceData(make([]uint32, n)))
	case 8:
		return unsafe.Pointer(unsafe.SliceData(make([]uint64, n)))
	}
	return reflect.MakeSlice(t, n, n).UnsafePointer()
}

func anySlice(t reflect.Type, ep *program, size uintptr, path string) (encodeFunc, decodeFunc) {
	marked := ep.min == 0
	encode := func(dst []byte, f unsafe.Pointer) []byte {
		h := (*sliceHeader)(f)
		if h.data == nil {
			return append(dst, 0)
		}
		dst = binary.AppendUvarint(dst, uint64(h.len)+1)
		for i := range h.len {
			if marked {
				dst = append(dst, present)
			}
			dst = ep.append(dst, unsafe.Add(h.data, uintptr(i)*size))
		}
		return dst
	}
	decode := func(src []byte, f unsafe.Pointer) ([]byte, error) {
		h := (*sliceHeader)(f)
		*h = sliceHeader{}
		n, isNil, src, err := count(src, max(ep.min, 1), path, "slice")
		if err != nil || isNil {
			return src, err
		}
		*h = sliceHeader{data: reflect.MakeSlice(t, n, n).UnsafePointer(), len: n, cap: n}
		for i := range n {
			if marked {
				if src, err = skipPresent(src, path); err != nil {
					return nil, err
				}
			}
			if src, err = ep.decode(src, unsafe.Add(h.data, uintptr(i)*size)); err != nil {
				return nil, err
			}
		}
		return src, nil
	}
	return encode, decode
}

func (c *compiler) addPointer(p *program, t reflect.Type, off uintptr, path string) error {
	elem := t.Elem()
	ep, err := c.sub(elem, path)
	if err != nil {
		return err
	}
	p.push(op{
		kind: opCall, off: off, path: path,
		encode: func(dst []byte, f unsafe.Pointer) []byte {
			to := *(*unsafe.Pointer)(f)
			if to == nil {
				return append(dst, 0)
			}
			return ep.append(append(dst, present), to)
		},
		decode: func(src []byte, f unsafe.Pointer) ([]byte, error) {
			*(*unsafe.Pointer)(f) = nil
			switch {
			case len(src) == 0:
				return nil, short(path, 1, src)
			case src[0] == 0:
				return src[1:], nil
			case src[0] != present:
				return nil, fmt.Errorf("codec: decode %s: %#x is neither nil nor a value", path, src[0])
			}
			to := reflect.New(elem).UnsafePointer()
			*(*unsafe.Pointer)(f) = to
			return ep.decode(src[1:], to)
		},
	}, 1)
	return nil
}
