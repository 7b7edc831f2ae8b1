package codec

import (
	"reflect"
	"strconv"
	"strings"
)

// Describe returns the shape of T in one line: kinds, and the names of fields in their order. It is stored with a
// checkpoint, so that data is never decoded as something else; whatever changes the encoding changes the description, and so
// does renaming a field. The name of a type is not part of it, except of one that encodes itself: Describe knows nothing
// else of it. A T that For refuses is described as "invalid" with the reason.
func Describe[T any]() string {
	t := reflect.TypeFor[T]()
	if _, err := For[T](); err != nil {
		return "invalid(" + err.Error() + ")"
	}
	var b strings.Builder
	describe(&b, t)
	return b.String()
}

func describe(b *strings.Builder, t reflect.Type) {
	switch {
	case t == timeType:
		b.WriteString("time")
		return
	case reflect.PointerTo(t).Implements(selfType):
		b.WriteString("self(" + t.PkgPath() + "." + t.Name() + ")")
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		b.WriteString("struct{")
		first := true
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Name == "_" {
				continue
			}
			if !first {
				b.WriteByte(';')
			}
			first = false
			b.WriteString(f.Name + " ")
			describe(b, f.Type)
		}
		b.WriteByte('}')
	case reflect.Array:
		b.WriteString("[" + strconv.Itoa(t.Len()) + "]")
		describe(b, t.Elem())
	case reflect.Slice:
		b.WriteString("[]")
		describe(b, t.Elem())
	case reflect.Pointer:
		b.WriteByte('*')
		describe(b, t.Elem())
	case reflect.Map:
		b.WriteString("map[")
		describe(b, t.Key())
		b.WriteByte(']')
		describe(b, t.Elem())
	default:
		b.WriteString(t.Kind().String())
	}
}
