package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Describe returns the shape of T in one line: kinds, and the names of fields in their order. It is stored with a
// checkpoint, so that data is never decoded as something else; whatever changes the encoding changes the description, and so
// does renaming a field, unless a tag keeps the name under which it is stored: Cents int64 `state:"amount"`. The name of a type is not
// part of it, except of one that encodes itself: Describe knows nothing else of it. A T that For refuses is described as "invalid" with the reason.
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
			name, _ := fieldName(f) // its error is that of For
			b.WriteString(name + " ")
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

// fieldName returns the name under which a field is stored: that of its tag, if it has one.
func fieldName(f reflect.StructField) (string, error) {
	name, ok := f.Tag.Lookup("state")
	if !ok {
		return f.Name, nil
	}
	if name == "" {
		return f.Name, errors.New(`its tag state:"" has no name: write the name under which the field is stored, or leave the tag out`)
	}
	for _, c := range name {
		if c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return f.Name, fmt.Errorf("its tag state:%q has the character %q: letters, digits and _ are allowed", name, c)
		}
	}
	return name, nil
}

// checkNames finds names of fields that cannot be told apart in checkpoints.
func checkNames(t reflect.Type, path string) error {
	seen := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			continue
		}
		name, err := fieldName(f)
		if err != nil {
			return fmt.Errorf("codec: field %s.%s: %w", path, f.Name, err)
		}
		if other, taken := seen[name]; taken {
			return fmt.Errorf("codec: field %s.%s: it is stored as %q, and so is %s: give one of them another name", path, f.Name, name, other)
		}
		seen[name] = f.Name
	}
	return nil
}

// SelfType is a type that encodes itself, see Self.
type SelfType struct {
	// Name is that which Describe gives it.
	Name string
	// Skip returns the bytes behind an encoding at the front of src.
	Skip func(src []byte) (rest []byte, err error)
	// Zero returns the encoding of the zero value.
	Zero func() []byte
}

// SelfTypes returns the types in T that encode themselves, each once. It needs no codec for T.
func SelfTypes[T any]() []SelfType {
	var out []SelfType
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		if t != timeType && reflect.PointerTo(t).Implements(selfType) {
			decode, encode := selfDecode(t, rootName(t)), selfEncode(t)
			out = append(out, SelfType{
				Name: t.PkgPath() + "." + t.Name(),
				Skip: func(src []byte) ([]byte, error) { return decode(src, reflect.New(t).UnsafePointer()) },
				Zero: func() []byte { return encode(nil, reflect.New(t).UnsafePointer()) },
			})
			return
		}
		switch t.Kind() {
		case reflect.Struct:
			if t == timeType {
				return
			}
			for i := range t.NumField() {
				walk(t.Field(i).Type)
			}
		case reflect.Map:
			walk(t.Key())
			walk(t.Elem())
		case reflect.Array, reflect.Slice, reflect.Pointer:
			walk(t.Elem())
		}
	}
	walk(reflect.TypeFor[T]())
	return out
}
