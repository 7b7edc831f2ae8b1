package file

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// class says how a value is read and written.
type class uint8

const (
	classNone class = iota
	classBool
	classInt
	classUint
	classFloat
	classString
	classBytes
	classTime
	classDuration
	classText    // By its own TextUnmarshaler and TextMarshaler.
	classPointer // To one of the above; JSON: to anything.
	classStruct
	classSlice
	classMap
	classJSON // By encoding/json.
)

// slot is a field of the one struct that a codec works on: records are decoded into that struct and then copied, and
// copied into it to be encoded. So the address of each field is found once, and needs neither reflection nor unsafe
// code for each value: ptr is a *int64, *string and so on, also for named types of that kind.
type slot struct {
	class class
	value reflect.Value
	ptr   any
	bits  int
}

var (
	timeType          = reflect.TypeFor[time.Time]()
	textUnmarshalType = reflect.TypeFor[encoding.TextUnmarshaler]()
	textMarshalType   = reflect.TypeFor[encoding.TextMarshaler]()
	durationType      = reflect.TypeFor[time.Duration]()
	byteType          = reflect.TypeFor[byte]()
)

// basic are the types whose pointers a slot holds, by kind.
var basic = map[reflect.Kind]reflect.Type{
	reflect.Bool: reflect.TypeFor[*bool](), reflect.String: reflect.TypeFor[*string](),
	reflect.Int: reflect.TypeFor[*int](), reflect.Int8: reflect.TypeFor[*int8](), reflect.Int16: reflect.TypeFor[*int16](),
	reflect.Int32: reflect.TypeFor[*int32](), reflect.Int64: reflect.TypeFor[*int64](),
	reflect.Uint: reflect.TypeFor[*uint](), reflect.Uint8: reflect.TypeFor[*uint8](), reflect.Uint16: reflect.TypeFor[*uint16](),
	reflect.Uint32: reflect.TypeFor[*uint32](), reflect.Uint64: reflect.TypeFor[*uint64](),
	reflect.Float32: reflect.TypeFor[*float32](), reflect.Float64: reflect.TypeFor[*float64](),
}

// kindClass returns the class of a kind that slot can hold by itself.
func kindClass(k reflect.Kind) class {
	switch {
	case k == reflect.Bool:
		return classBool
	case k == reflect.String:
		return classString
	case k >= reflect.Int && k <= reflect.Int64:
		return classInt
	case k >= reflect.Uint && k <= reflect.Uint64:
		return classUint
	case k == reflect.Float32, k == reflect.Float64:
		return classFloat
	}
	return classNone
}

// bind makes a slot for an addressable value of a basic kind.
func bind(v reflect.Value) slot {
	s := slot{class: kindClass(v.Kind()), value: v}
	if s.class != classNone {
		s.ptr = v.Addr().Convert(basic[v.Kind()]).Interface()
	}
	if s.class == classInt || s.class == classUint || s.class == classFloat {
		s.bits = v.Type().Bits()
	}
	return s
}

func (s *slot) setInt(n int64) {
	switch p := s.ptr.(type) {
	case *int64:
		*p = n
	case *int:
		*p = int(n)
	case *int32:
		*p = int32(n)
	case *int16:
		*p = int16(n)
	case *int8:
		*p = int8(n)
	}
}

func (s *slot) setUint(n uint64) {
	switch p := s.ptr.(type) {
	case *uint64:
		*p = n
	case *uint:
		*p = uint(n)
	case *uint32:
		*p = uint32(n)
	case *uint16:
		*p = uint16(n)
	case *uint8:
		*p = uint8(n)
	}
}

func (s *slot) setFloat(f float64) {
	switch p := s.ptr.(type) {
	case *float64:
		*p = f
	case *float32:
		*p = float32(f)
	}
}

// isBytes reports whether values of a type can be taken for a []byte.
func isBytes(t reflect.Type) bool { return t.Kind() == reflect.Slice && t.Elem() == byteType }

// bytesOf returns the address of a value of such a type.
func bytesOf(v reflect.Value) any { return v.Addr().Convert(reflect.TypeFor[*[]byte]()).Interface() }

// column is a CSV column and the field that it goes to.
type column struct {
	slot
	name     string
	field    string // The Go field, as in Ride.Base, for messages.
	optional bool
	form     timeForm
	unit     time.Duration // Of a duration; 0 is the form 1h2m3.5s.
	elem     *column       // What a pointer points to; it has a value of its own, which is copied.
}

// columnsOf returns the columns of an addressable struct, nested ones included.
func columnsOf(v reflect.Value, prefix, path string) ([]column, error) {
	if v.Kind() != reflect.Struct || v.Type() == timeType {
		return nil, fmt.Errorf("file: a CSV record must be a struct, not %v", v.Type())
	}
	var all []column
	for i := 0; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		tag, tagged := f.Tag.Lookup("csv")
		if tag == "-" || (!f.IsExported() && !(f.Anonymous && nested(f.Type))) {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		c := column{name: prefix + name, field: path + "." + f.Name}
		if nested(f.Type) {
			inner := prefix
			if !f.Anonymous || (tagged && tag != "") {
				inner = c.name + "."
			}
			cols, err := columnsOf(v.Field(i), inner, c.field)
			if err != nil {
				return nil, err
			}
			all = append(all, cols...)
			continue
		}
		if err := c.bind(v.Field(i), option); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	for i := range all {
		for j := range all[:i] {
			if all[i].name == all[j].name {
				return nil, fmt.Errorf("file: fields %s and %s both name the CSV column %q", all[j].field, all[i].field, all[i].name)
			}
		}
	}
	return all, nil
}

// nested reports whether a struct type is a group of columns and not a value.
func nested(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != timeType && !reflect.PointerTo(t).Implements(textUnmarshalType)
}

func (c *column) bind(v reflect.Value, option string) error {
	c.slot = bind(v)
	layout := ""
	switch {
	case option == "optional":
		c.optional = true
	case strings.HasSuffix(option, ",optional"):
		c.optional = true
		layout = strings.TrimSuffix(option, ",optional")
	default:
		layout = option
	}
	t := v.Type()
	switch {
	case t == timeType:
		c.class = classTime
		c.ptr = v.Addr().Interface()
		c.form = newTimeForm(layout)
		return nil
	case t == durationType && layout != "":
		unit, ok := durationUnits[layout]
		if !ok {
			return fmt.Errorf("file: field %s: unknown csv tag option %q: a time.Duration is a number of ns, us, ms or s, or text as in 1h2m3.5s", c.field, layout)
		}
		c.class, c.unit, c.ptr = classDuration, unit, v.Addr().Interface()
		return nil
	case t.Kind() == reflect.Pointer:
		c.class = classPointer
		c.elem = &column{name: c.name, field: c.field}
		return c.elem.bind(reflect.New(t.Elem()).Elem(), option)
	case reflect.PointerTo(t).Implements(textUnmarshalType) && reflect.PointerTo(t).Implements(textMarshalType):
		c.class = classText
		c.ptr = v.Addr().Interface()
	case isBytes(t):
		c.class = classBytes
		c.ptr = bytesOf(v)
	case c.class == classNone:
		return fmt.Errorf("file: field %s: a CSV column cannot hold a %v: use a string, []byte, number, bool, time.Time, a pointer to "+
			"one of them or a type with MarshalText and UnmarshalText, or tag it `csv:\"-\"`", c.field, t)
	}
	if layout != "" {
		return fmt.Errorf("file: field %s: unknown csv tag option %q: only a time.Time and a time.Duration have a layout", c.field, layout)
	}
	return nil
}
