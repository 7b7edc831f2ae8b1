package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

var timeType = reflect.TypeFor[time.Time]()

// maxInline is the number of steps up to which an array becomes part of the program around it.
const maxInline = 16

// compiler builds the program of a type.
type compiler struct {
	// native allows to copy integers as they are in memory. Tests switch it off to see that the bytes are the same.
	native bool
	// open holds the types being compiled, outermost first: a type that meets itself is recursive.
	open []reflect.Type
}

// rootName is the first part of paths in errors.
func rootName(t reflect.Type) string {
	if t.Name() != "" {
		return t.Name()
	}
	return t.String()
}

func (c *compiler) root(t reflect.Type) (*program, error) { return c.sub(t, rootName(t)) }

// sub compiles a program of its own, for the element of something.
func (c *compiler) sub(t reflect.Type, path string) (*program, error) {
	p := &program{}
	if err := c.add(p, t, 0, path); err != nil {
		return nil, err
	}
	return p, nil
}

// add appends the steps for a value of type t at off.
func (c *compiler) add(p *program, t reflect.Type, off uintptr, path string) error {
	if t == timeType {
		p.push(op{kind: opTime, off: off, path: path}, timeSize)
		return nil
	}
	if own, err := isSelf(t, path); err != nil {
		return err
	} else if own {
		p.push(op{kind: opCall, off: off, path: path, encode: selfEncode(t), decode: selfDecode(t, path)}, 0)
		return nil
	}
	if slices.Contains(c.open, t) {
		return fmt.Errorf("codec: %s: %s contains itself, and recursive types have no encoding here; "+
			"keep the elements in a slice that refers to them by index, or give the type AppendState and DecodeState", path, t)
	}
	c.open = append(c.open, t)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	switch t.Kind() {
	case reflect.Bool:
		p.push(op{kind: opBool, off: off, path: path}, 1)
	case reflect.String:
		p.push(op{kind: opString, off: off, path: path}, 1)
	case reflect.Struct:
		return c.addStruct(p, t, off, path)
	case reflect.Array:
		return c.addArray(p, t, off, path)
	case reflect.Slice:
		return c.addSlice(p, t, off, path)
	case reflect.Map:
		return c.addMap(p, t, off, path)
	case reflect.Pointer:
		return c.addPointer(p, t, off, path)
	default:
		width := scalarWidth(t.Kind())
		if width == 0 {
			return unsupported(t, path)
		}
		c.addScalar(p, t.Kind(), t.Size(), width, off, path)
	}
	return nil
}

// unsupported is the error for a type without stable encoding.
func unsupported(t reflect.Type, path string) error {
	hint := "leave it out of the state, or give the type around it AppendState and DecodeState"
	switch t.Kind() {
	case reflect.Interface:
		hint = "use a concrete type: the bytes alone do not say which one an interface holds"
	case reflect.Uintptr, reflect.UnsafePointer:
		hint = "an address means nothing in another process; use an integer or a pointer to a value"
	}
	return fmt.Errorf("codec: field %s: %s has no stable encoding; %s", path, t, hint)
}

// scalarWidth returns the encoded width of a numeric kind, 0 for others. int and uint always take 8 bytes.
func scalarWidth(k reflect.Kind) uintptr {
	switch k {
	case reflect.Int8, reflect.Uint8:
		return 1
	case reflect.Int16, reflect.Uint16:
		return 2
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		return 4
	case reflect.Int, reflect.Uint, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.Complex64:
		return 8
	case reflect.Complex128:
		return 16
	}
	return 0
}

// push appends a step that writes at least min bytes.
func (p *program) push(o op, minimum int) {
	p.min += minimum
	if n := len(p.ops); o.kind == opRaw && n > 0 && p.ops[n-1].kind == opRaw && p.ops[n-1].off+p.ops[n-1].size == o.off {
		p.ops[n-1].size += o.size
		return
	}
	p.ops = append(p.ops, o)
}

func (c *compiler) addStruct(p *program, t reflect.Type, off uintptr, path string) error {
	if err := checkNames(t, path); err != nil {
		return err
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			p.blank = true
			continue
		}
		if err := c.add(p, f.Type, off+f.Offset, path+"."+f.Name); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) addArray(p *program, t reflect.Type, off uintptr, path string) error {
	elem, n, size := t.Elem(), t.Len(), t.Elem().Size()
	ep, err := c.sub(elem, path+"[]")
	if err != nil || n == 0 {
		return err
	}
	if ep.blank {
		p.blank = true
	}
	if ep.solid(size) {
		if size > 0 {
			p.push(op{kind: opRaw, off: off, size: size * uintptr(n), path: path}, n*ep.min)
		}
		return nil
	}
	if n*len(ep.ops) <= maxInline {
		for i := range n {
			if err := c.add(p, elem, off+uintptr(i)*size, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	p.push(op{
		kind: opCall, off: off, path: path,
		encode: func(dst []byte, f unsafe.Pointer) []byte {
			for i := range n {
				dst = ep.append(dst, unsafe.Add(f, uintptr(i)*size))
			}
			return dst
		},
		decode: func(src []byte, f unsafe.Pointer) (rest []byte, err error) {
			for i := range n {
				if src, err = ep.decode(src, unsafe.Add(f, uintptr(i)*size)); err != nil {
					return nil, err
				}
			}
			return src, nil
		},
	}, n*ep.min)
	return nil
}

// addScalar adds a number. Where memory and encoding differ (another byte order, or a 32-bit int) it is converted.
func (c *compiler) addScalar(p *program, k reflect.Kind, size, width, off uintptr, path string) {
	if width == 1 || c.native && size == width {
		p.push(op{kind: opRaw, off: off, size: width, path: path}, int(width))
		return
	}
	switch k {
	case reflect.Complex64:
		c.addScalar(p, reflect.Float32, 4, 4, off, path)
		c.addScalar(p, reflect.Float32, 4, 4, off+4, path)
		return
	case reflect.Complex128:
		c.addScalar(p, reflect.Float64, 8, 8, off, path)
		c.addScalar(p, reflect.Float64, 8, 8, off+8, path)
		return
	}
	p.push(op{
		kind: opCall, off: off, path: path,
		encode: func(dst []byte, f unsafe.Pointer) []byte {
			u := loadBits(k, f)
			for range width {
				dst = append(dst, byte(u))
				u >>= 8
			}
			return dst
		},
		decode: func(src []byte, f unsafe.Pointer) ([]byte, error) {
			if uintptr(len(src)) < width {
				return nil, short(path, int(width), src)
			}
			var b [8]byte
			copy(b[:], src[:width])
			if !storeBits(k, f, binary.LittleEndian.Uint64(b[:])) {
				return nil, fmt.Errorf("codec: decode %s: the number does not fit into %s on this machine", path, k)
			}
			return src[width:], nil
		},
	}, int(width))
}

// loadBits returns the bits of a number; signed ones are extended to 64 bits.
func loadBits(k reflect.Kind, f unsafe.Pointer) uint64 {
	switch k {
	case reflect.Int:
		return uint64(*(*int)(f))
	case reflect.Uint:
		return uint64(*(*uint)(f))
	case reflect.Int8:
		return uint64(*(*int8)(f))
	case reflect.Uint8, reflect.Bool:
		return uint64(*(*uint8)(f))
	case reflect.Int16:
		return uint64(*(*int16)(f))
	case reflect.Uint16:
		return uint64(*(*uint16)(f))
	case reflect.Int32:
		return uint64(*(*int32)(f))
	case reflect.Uint32, reflect.Float32:
		return uint64(*(*uint32)(f))
	}
	return *(*uint64)(f)
}

// storeBits is the reverse of loadBits; it says whether the number fits.
func storeBits(k reflect.Kind, f unsafe.Pointer, u uint64) bool {
	switch k {
	case reflect.Int:
		*(*int)(f) = int(int64(u))
		return int64(*(*int)(f)) == int64(u)
	case reflect.Uint:
		*(*uint)(f) = uint(u)
		return uint64(*(*uint)(f)) == u
	case reflect.Int8, reflect.Uint8, reflect.Bool:
		*(*uint8)(f) = uint8(u)
	case reflect.Int16, reflect.Uint16:
		*(*uint16)(f) = uint16(u)
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		*(*uint32)(f) = uint32(u)
	default:
		*(*uint64)(f) = u
	}
	return true
}
