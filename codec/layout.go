package codec

import (
	"reflect"
	"unsafe"
)

// Layout says what a plain copy of a value shares with the original.
type Layout uint8

// The layouts, from the cheapest to keep to the dearest.
const (
	// Flat values hold no pointers: a copy shares nothing, and the garbage collector does not look inside.
	Flat Layout = iota
	// Immutable values point to strings only (or to time zones): a copy shares nothing that can change.
	Immutable
	// Deep values point to memory that can change: slices, maps, pointers.
	Deep
)

// String returns the layout in a word.
func (l Layout) String() string {
	switch l {
	case Flat:
		return "flat"
	case Immutable:
		return "immutable"
	}
	return "deep"
}

// LayoutOf returns the layout of T.
func LayoutOf[T any]() Layout { return layoutOf(reflect.TypeFor[T]()) }

func layoutOf(t reflect.Type) Layout {
	if t == timeType {
		return Immutable
	}
	switch t.Kind() {
	case reflect.Struct:
		l := Flat
		for i := range t.NumField() {
			l = max(l, layoutOf(t.Field(i).Type))
		}
		return l
	case reflect.Array:
		if t.Len() == 0 {
			return Flat
		}
		return layoutOf(t.Elem())
	case reflect.String:
		return Immutable
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return Deep
	}
	return Flat
}

// held is a string (width 0) or a slice of elements of a width.
type held struct{ off, width uintptr }

// SizeOf returns a function that estimates the bytes that a value holds beyond its own size: strings, and the arrays of slices, at the top level
// and in structs and arrays there. What slice elements, maps and pointers refer to is not counted. It returns nil when there is nothing to
// count, as for Flat types.
func SizeOf[T any]() func(v *T) int {
	list := holds(nil, reflect.TypeFor[T](), 0)
	if len(list) == 0 {
		return nil
	}
	return func(v *T) int {
		n := 0
		for _, h := range list {
			f := unsafe.Add(unsafe.Pointer(v), h.off)
			if h.width == 0 {
				n += len(*(*string)(f))
			} else {
				n += (*sliceHeader)(f).cap * int(h.width)
			}
		}
		return n
	}
}

func holds(list []held, t reflect.Type, off uintptr) []held {
	switch t.Kind() {
	case reflect.String:
		list = append(list, held{off: off})
	case reflect.Slice:
		if w := t.Elem().Size(); w > 0 {
			list = append(list, held{off: off, width: w})
		}
	case reflect.Struct:
		if t == timeType {
			return list
		}
		for i := range t.NumField() {
			list = holds(list, t.Field(i).Type, off+t.Field(i).Offset)
		}
	case reflect.Array:
		for i := range t.Len() {
			before := len(list)
			list = holds(list, t.Elem(), off+uintptr(i)*t.Elem().Size())
			if len(list) == before {
				break
			}
		}
	}
	return list
}
