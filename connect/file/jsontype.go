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
	omitZero  bool
}

var (
	jsonUnmarshalType = reflect.TypeFor[json.Unmarshaler]()
	jsonMarshalType   = reflect.TypeFor[json.Marshaler]()
	numberType        = reflect.TypeFor[json.Number]()
	isZeroType        = reflect.TypeFor[interface{ IsZero() bool }]()
)

// shapes remembers the shapes of one codec by type.
type shapes map[reflect.Type]*shape

func (all shapes) of(t reflect.Type) (*shape, error) {
	if s, ok := all[t]; ok {
		return s, nil
	}
	s := &shape{typ: t}
	all[t] = s
	var err error
	switch {
	case t == timeType:
		s.class = classTime
	case isText(t):
		s.class = classText
	case t.Kind() == reflect.Chan || t.Kind() == reflect.Func || t.Kind() == reflect.Complex64 || t.Kind() == reflect.Complex128:
		return nil, fmt.Errorf("JSON cannot hold a %v", t)
	case hasMethods(t) || t == numberType:
		s.class = classJSON
	case kindClass(t.Kind()) != classNone:
		s.class = kindClass(t.Kind())
		if s.class != classBool && s.class != classString {
			s.bits = t.Bits()
		}
	case t.Kind() == reflect.Pointer:
		s.class = classPointer
		s.elem, err = all.of(t.Elem())
	case isBytes(t):
		s.class = classBytes
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
	default: // Interfaces, arrays, slices of named bytes, maps with other keys.
		s.class = classJSON
		if t.Kind() == reflect.Array || t.Kind() == reflect.Map {
			_, err = all.of(t.Elem())
		}
	}
	return s, err
}

// isText reports whether values of a type are JSON strings that it reads and writes by itself. Where text methods and JSON methods, or
// methods of values and of pointers, come together, encoding/json decides.
func isText(t reflect.Type) bool {
	ptr := reflect.PointerTo(t)
	return t.Kind() == reflect.Struct && t.Implements(textMarshalType) && ptr.Implements(textUnmarshalType) &&
		!ptr.Implements(jsonUnmarshalType) && !ptr.Implements(jsonMarshalType)
}

// setFields finds the fields. Whatever encoding/json has special rules for turns the struct over to it.
func (s *shape) setFields(all shapes) error {
	s.byName, s.known = map[string]int{}, map[string]int{}
	plain, err := s.addFields(all, s.typ, nil)
	if !plain {
		s.class, s.fields = classJSON, nil
	}
	return err
}

// addFields adds the fields of a struct type, which is that of s or is embedded there at index. It reports whether there are no others
// than those that can be read and written here: names that are there twice, for one, follow rules that are left to encoding/json.
func (s *shape) addFields(all shapes, t reflect.Type, index []int) (plain bool, err error) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clip(index), i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		if f.Anonymous {
			_, tagged := f.Tag.Lookup("json")
			if tagged || f.Type.Kind() != reflect.Struct || f.Type == timeType || hasMethods(f.Type) {
				return false, nil
			}
			if plain, err := s.addFields(all, f.Type, at); !plain || err != nil {
				return false, err
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if strings.ContainsAny(name, "\\\"'`") || !printable(name) {
			return false, nil
		}
		if _, twice := s.byName[name]; twice {
			return false, nil
		}
		field := shapeField{index: at, name: name, key: `"` + name + `":`}
		switch options {
		case "":
		case "omitempty":
			field.omitEmpty = true
		case "omitzero":
			field.omitZero = true
		default:
			return false, nil
		}
		if field.shape, err = all.of(f.Type); err != nil {
			return false, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if field.omitZero && f.Type != timeType && (f.Type.Implements(isZeroType) || reflect.PointerTo(f.Type).Implements(isZeroType)) {
			return false, nil
		}
		s.byName[name] = len(s.fields)
		s.fields = append(s.fields, field)
	}
	return true, nil
}

// hasMethods reports whether a type has methods by which encoding/json reads or writes it.
func hasMethods(t reflect.Type) bool {
	return slices.ContainsFunc([]reflect.Type{jsonUnmarshalType, jsonMarshalType, textUnmarshalType, textMarshalType}, reflect.PointerTo(t).Implements)
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
	case classTime, classText, classJSON:
		j.ptr = v.Addr().Interface()
	case classBytes:
		j.ptr = bytesOf(v)
	case classStruct:
		for i := range s.fields {
			j.fields = append(j.fields, bindShape(s.fields[i].shape, v.FieldByIndex(s.fields[i].index)))
		}
	}
	return j
}
