package codec

import (
	"reflect"
	"strings"
	"unsafe"
)

// Detach returns a function that gives a value memory of its own: strings, slices, maps and what pointers lead to are
// replaced by copies. A record that is kept needs this, since its strings may be cut from the buffer of a whole batch,
// and so does a value that is given away while the original goes on changing. The function is nil for Flat types. The
// error is that of For.
func Detach[T any]() (func(v *T), error) {
	if _, err := For[T](); err != nil {
		return nil, err
	}
	d := detacher(reflect.TypeFor[T]())
	if d == nil {
		return nil, nil
	}
	return func(v *T) { d(unsafe.Pointer(v)) }, nil
}

// detacher returns nil for types that need nothing done.
func detacher(t reflect.Type) func(f unsafe.Pointer) {
	if t == timeType || layoutOf(t) == Flat {
		return nil
	}
	if reflect.PointerTo(t).Implements(selfType) {
		return detachSelf(t)
	}
	switch t.Kind() {
	case reflect.String:
		return func(f unsafe.Pointer) { *(*string)(f) = strings.Clone(*(*string)(f)) }
	case reflect.Struct:
		return detachStruct(t)
	case reflect.Array:
		elem, n, size := detacher(t.Elem()), t.Len(), t.Elem().Size()
		if elem == nil {
			return nil
		}
		return func(f unsafe.Pointer) {
			for i := range n {
				elem(unsafe.Add(f, uintptr(i)*size))
			}
		}
	case reflect.Slice:
		return detachSlice(t)
	case reflect.Pointer:
		elem := detacher(t.Elem())
		return func(f unsafe.Pointer) {
			p := reflect.NewAt(t, f).Elem()
			if p.IsNil() {
				return
			}
			c := reflect.New(t.Elem())
			// Structs with unexported fields are copied whole, which reflection allows.
			c.Elem().Set(p.Elem())
			if elem != nil {
				elem(c.UnsafePointer())
			}
			*(*unsafe.Pointer)(f) = c.UnsafePointer()
		}
	case reflect.Map:
		return detachMap(t)
	}
	return nil
}

// detachSelf copies by way of the encoding, the only thing that is known of the type.
func detachSelf(t reflect.Type) func(f unsafe.Pointer) {
	return func(f unsafe.Pointer) {
		from := reflect.NewAt(t, f)
		to := reflect.New(t)
		if _, err := to.Interface().(Self).DecodeState(from.Interface().(Self).AppendState(nil)); err != nil {
			// The type does not read what it has written: a mistake in its code, which no caller can mend.
			panic("codec: " + t.String() + " cannot decode its own encoding: " + err.Error())
		}
		from.Elem().Set(to.Elem())
	}
}

func detachStruct(t reflect.Type) func(f unsafe.Pointer) {
	type step struct {
		off uintptr
		do  func(f unsafe.Pointer)
	}
	var steps []step
	for i := range t.NumField() {
		if d := detacher(t.Field(i).Type); d != nil {
			steps = append(steps, step{t.Field(i).Offset, d})
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return func(f unsafe.Pointer) {
		for _, s := range steps {
			s.do(unsafe.Add(f, s.off))
		}
	}
}

func detachSlice(t reflect.Type) func(f unsafe.Pointer) {
	elem, size := detacher(t.Elem()), t.Elem().Size()
	return func(f unsafe.Pointer) {
		s := reflect.NewAt(t, f).Elem()
		if s.IsNil() {
			return
		}
		n := s.Len()
		c := reflect.MakeSlice(t, n, n)
		reflect.Copy(c, s)
		data := c.UnsafePointer()
		if elem != nil {
			for i := range n {
				elem(unsafe.Add(data, uintptr(i)*size))
			}
		}
		*(*sliceHeader)(f) = sliceHeader{data: data, len: n, cap: n}
	}
}

func detachMap(t reflect.Type) func(f unsafe.Pointer) {
	key, value := detacher(t.Key()), detacher(t.Elem())
	return func(f unsafe.Pointer) {
		m := reflect.NewAt(t, f).Elem()
		if m.IsNil() {
			return
		}
		c := reflect.MakeMapWithSize(t, m.Len())
		k, v := reflect.New(t.Key()), reflect.New(t.Elem())
		for it := m.MapRange(); it.Next(); {
			k.Elem().SetIterKey(it)
			v.Elem().SetIterValue(it)
			if key != nil {
				key(k.UnsafePointer())
			}
			if value != nil {
				value(v.UnsafePointer())
			}
			c.SetMapIndex(k.Elem(), v.Elem())
		}
		m.Set(c)
	}
}

// DetachFrom is Detach for a value that replaces an older one, which has memory of its own already: strings that stand in the same
// field as before are left as they are, so that replacing a value by a mostly equal one costs little. The function is nil for Flat
// types; for Deep ones it copies all.
func DetachFrom[T any]() (func(v *T, old T), error) {
	all, err := Detach[T]()
	if err != nil || all == nil {
		return nil, err
	}
	if LayoutOf[T]() == Deep || containsSelf(reflect.TypeFor[T]()) {
		return func(v *T, _ T) { all(v) }, nil
	}
	// Types that are neither Flat nor Deep hold nothing but strings.
	texts := holds(nil, reflect.TypeFor[T](), 0)
	return func(v *T, old T) {
		for _, h := range texts {
			s, o := (*string)(unsafe.Add(unsafe.Pointer(v), h.off)), (*string)(unsafe.Add(unsafe.Pointer(&old), h.off))
			if len(*s) == len(*o) && unsafe.StringData(*s) == unsafe.StringData(*o) {
				continue
			}
			*s = strings.Clone(*s)
		}
	}, nil
}
