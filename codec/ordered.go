package codec

import (
	"bytes"
	"reflect"
	"sync"
	"unsafe"
)

// Ordered returns a function that appends an order-preserving encoding of a value of any type that For accepts: the order of the
// encodings, by bytes.Compare, is a total order of the values, the same in every process. Fields count in their order;
// floats are ordered -NaN, -Inf, ..., -0, 0, ..., +Inf, NaN; nil comes before empty, a shorter slice before one that
// continues it; maps are compared as slices of entries sorted by key; a type that encodes itself is ordered by its bytes.
// The error is that of For.
func Ordered[T any]() (func(dst []byte, v *T) []byte, error) {
	encode, _, err := orderedFor[T]()
	return encode, err
}

// Compare returns a function that compares two values in the order of Ordered, without writing the encodings where the type
// has neither slices, maps nor pointers.
func Compare[T any]() (func(a, b *T) int, error) {
	encode, p, err := orderedFor[T]()
	if err != nil {
		return nil, err
	}
	if p != nil {
		return func(a, b *T) int { return p.compare(unsafe.Pointer(a), unsafe.Pointer(b)) }, nil
	}
	pool := sync.Pool{New: func() any { return new([2][]byte) }}
	return func(a, b *T) int {
		buf := pool.Get().(*[2][]byte)
		buf[0] = encode(buf[0][:0], a)
		buf[1] = encode(buf[1][:0], b)
		c := bytes.Compare(buf[0], buf[1])
		pool.Put(buf)
		return c
	}, nil
}

// orderedFor also returns the program when the type needs nothing but one.
func orderedFor[T any]() (func(dst []byte, v *T) []byte, *ordProgram, error) {
	if _, err := For[T](); err != nil {
		return nil, nil, err
	}
	t := reflect.TypeFor[T]()
	if p := plainOrder(t); p != nil {
		return func(dst []byte, v *T) []byte { return p.append(dst, unsafe.Pointer(v)) }, p, nil
	}
	e := orderEncoder(t)
	return func(dst []byte, v *T) []byte { return e(dst, unsafe.Pointer(v)) }, nil, nil
}

// errOther says that a type needs more than an ordProgram.
type errOther struct{}

func (errOther) Error() string { return "needs more than a program" }

// plainOrder returns the program of t, nil when t contains slices, maps, pointers, complex numbers or types that encode themselves.
func plainOrder(t reflect.Type) *ordProgram {
	if containsSelf(t) {
		return nil
	}
	p := &ordProgram{}
	rules := ordRules{floats: true, refuse: func(reflect.Type, string) error { return errOther{} }}
	if rules.compile(p, t, 0, rootName(t)) != nil {
		return nil
	}
	return p
}

func containsSelf(t reflect.Type) bool {
	if t == timeType {
		return false
	}
	if reflect.PointerTo(t).Implements(selfType) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if containsSelf(t.Field(i).Type) {
				return true
			}
		}
	case reflect.Array:
		return containsSelf(t.Elem())
	}
	return false
}

// Marks of the order-preserving encoding of slices, maps and pointers: nil sorts first, the end before an element.
const (
	markNil  = 0
	markFull = 1
	markEnd  = 0
	markElem = 1
)

// orderEncoder returns the encoder of a type that For accepts.
func orderEncoder(t reflect.Type) encodeFunc {
	if p := plainOrder(t); p != nil {
		return p.append
	}
	if reflect.PointerTo(t).Implements(selfType) {
		own := selfEncode(t)
		return func(dst []byte, f unsafe.Pointer) []byte {
			b := own(nil, f)
			return appendEscaped(dst, unsafe.String(unsafe.SliceData(b), len(b)))
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		return orderStruct(t)
	case reflect.Array:
		elem, n, size := orderEncoder(t.Elem()), t.Len(), t.Elem().Size()
		return func(dst []byte, f unsafe.Pointer) []byte {
			for i := range n {
				dst = elem(dst, unsafe.Add(f, uintptr(i)*size))
			}
			return dst
		}
	case reflect.Slice:
		return orderSlice(t)
	case reflect.Map:
		key, value := orderEncoder(t.Key()), orderEncoder(t.Elem())
		return func(dst []byte, f unsafe.Pointer) []byte {
			m := reflect.NewAt(t, f).Elem()
			if m.IsNil() {
				return append(dst, markNil)
			}
			return append(appendEntries(append(dst, markFull), m, key, value, []byte{markElem}), markEnd)
		}
	case reflect.Pointer:
		elem := orderEncoder(t.Elem())
		return func(dst []byte, f unsafe.Pointer) []byte {
			if to := *(*unsafe.Pointer)(f); to != nil {
				return elem(append(dst, markFull), to)
			}
			return append(dst, markNil)
		}
	default:
		return orderComplex(t.Kind())
	}
}

func orderStruct(t reflect.Type) encodeFunc {
	type step struct {
		off    uintptr
		encode encodeFunc
	}
	var steps []step
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" {
			steps = append(steps, step{f.Offset, orderEncoder(f.Type)})
		}
	}
	return func(dst []byte, f unsafe.Pointer) []byte {
		for _, s := range steps {
			dst = s.encode(dst, unsafe.Add(f, s.off))
		}
		return dst
	}
}

func orderSlice(t reflect.Type) encodeFunc {
	elem, size := orderEncoder(t.Elem()), t.Elem().Size()
	plainBytes := t.Elem().Kind() == reflect.Uint8 && !containsSelf(t.Elem())
	return func(dst []byte, f unsafe.Pointer) []byte {
		h := (*sliceHeader)(f)
		if h.data == nil {
			return append(dst, markNil)
		}
		dst = append(dst, markFull)
		if plainBytes {
			return appendEscaped(dst, unsafe.String((*byte)(h.data), h.len))
		}
		for i := range h.len {
			dst = elem(append(dst, markElem), unsafe.Add(h.data, uintptr(i)*size))
		}
		return append(dst, markEnd)
	}
}

// orderComplex orders complex numbers by real, then imaginary part.
func orderComplex(k reflect.Kind) encodeFunc {
	part, size := reflect.Float64, uintptr(8)
	if k == reflect.Complex64 {
		part, size = reflect.Float32, 4
	}
	return func(dst []byte, f unsafe.Pointer) []byte {
		dst = appendBig(dst, toOrder(part, f), int(size))
		return appendBig(dst, toOrder(part, unsafe.Add(f, size)), int(size))
	}
}
