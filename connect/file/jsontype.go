package file

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// shape is what JSON values of a Go type look like. Shapes are made once per type and may be recursive.
type shape struct {
	class  class
	typ    reflect.Type
	elem   *shape // Of pointers, slices and maps.
	fields []shapeField
	byName map[string]int
	known  map[string]int // Answers of find for keys that are not names.
	bits   int
}

type shapeField struct {
	shape *shape
	index []int
	name  string
	// key is the name as it stands in JSON, with quotes and colon; encoders put it, decoders guess it.
	key       string
	omitEmpty bool
}

var (
	jsonUnmarshalType = reflect.TypeFor[json.Unmarshaler]()
	jsonMarshalType   = reflect.TypeFor[json.Marshaler]()
)

// shapes remembers the shapes of one codec by type.
type shapes map[reflect.Type]*shape

func (all shapes) of(t reflect.Type) (*shape, error) {
	if s, ok := all[t]; ok {
		return s, nil
	}
	s := &shape{typ: t}
	all[t] = s
	ptr := reflect.PointerTo(t)
	custom := slices.ContainsFunc([]reflect.Type{jsonUnmarshalType, jsonMarshalType, textUnmarshalType, textMarshalType}, ptr.Implements)
	var err error
	switch {
	case t == timeType:
		s.class = classTime
	case t.Kind() == reflect.Chan || t.Kind() == reflect.Func || t.Kind() == reflect.Complex64 || t.Kind() == reflect.Complex128:
		return nil, fmt.Errorf("JSON cannot hold a %v", t)
	case custom:
		s.class = classJSON
	case kindClass(t.Kind()) != classNone:
		s.class = kindClass(t.Kind())
		if s.class != classBool && s.class != classString {
			s.bits = t.Bits()
		}
	case t.Kind() == reflect.Pointer:
		s.class = classPointer
		s.elem, err = all.of(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		s.class = classSlice
		s.elem, err = all.of(t.Elem())
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !reflect.PointerTo(t.Key()).Implements(textUnmarshalType) &&
		!t.Key().Implements(textMarshalType):
		s.class = classMap
		s.elem, err = all.of(t.Elem())
	case t.Kind() == reflect.Struct:
		s.class = classStruct
		err = s.setFields(all)
	default: // Interfaces, arrays, byte slices, maps with other keys.
		s.class = classJSON
		if t.Kind() == reflect.Array || t.Kind() == reflect.Map {
			_, err = all.of(t.Elem())
		}
	}
	return s, err
}

// setFields finds the fields. Whatever encoding/json has special rules for turns the struct over to it.
func (s *shape) setFields(all shapes) error {
	s.byName, s.known = map[string]int{}, map[string]int{}
	for _, f := range reflect.VisibleFields(s.typ) {
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		if f.Anonymous || len(f.Index) > 1 {
			s.class = classJSON
			return nil
		}
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if options != "" && options != "omitempty" || strings.ContainsAny(name, "\\\"'`") || !printable(name) {
			s.class = classJSON
			return nil
		}
		if _, twice := s.byName[name]; twice {
			s.class = classJSON
			return nil
		}
		shape, err := all.of(f.Type)
		if err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		s.byName[name] = len(s.fields)
		s.fields = append(s.fields, shapeField{
			shape: shape, index: f.Index, name: name, key: `"` + name + `":`,
			omitEmpty: options == "omitempty",
		})
	}
	return nil
}

func printable(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] >= 0x7f {
			return false
		}
	}
	return true
}

// maxGuesses bounds how many keys that are no field's name are remembered.
const maxGuesses = 1000

// find returns the index of the field for a key: that with this name, or the first with it in another case; -1 if there
// is none.
func (s *shape) find(key string) int {
	if i, ok := s.byName[key]; ok {
		return i
	}
	if i, ok := s.known[key]; ok {
		return i
	}
	i := slices.IndexFunc(s.fields, func(f shapeField) bool { return strings.EqualFold(f.name, key) })
	if len(s.known) < maxGuesses && len(key) < 100 {
		s.known[strings.Clone(key)] = i
	}
	return i
}

// jsonSlot is a slot for a JSON value; structs inside the struct have slots too.
type jsonSlot struct {
	slot
	shape  *shape
	fields []jsonSlot
}

// bindShape makes the slot for an addressable value.
func bindShape(s *shape, v reflect.Value) jsonSlot {
	j := jsonSlot{shape: s, slot: slot{class: s.class, value: v, bits: s.bits}}
	switch s.class {
	case classBool, classInt, classUint, classFloat, classString:
		j.slot = bind(v)
	case classTime, classJSON:
		j.ptr = v.Addr().Interface()
	case classStruct:
		for i := range s.fields {
			j.fields = append(j.fields, bindShape(s.fields[i].shape, v.FieldByIndex(s.fields[i].index)))
		}
	}
	return j
}
