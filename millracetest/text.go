package millracetest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// text renders a value so that two texts are equal exactly when the values are, by the rules of Equal.
func text(v any) string {
	var b strings.Builder
	render(&b, reflect.ValueOf(v), 0)
	return b.String()
}

func texts[T any](records []T) []string {
	out := make([]string, len(records))
	for i := range records {
		out[i] = text(records[i])
	}
	return out
}

// maxDepth ends the rendering of values that hold themselves.
const maxDepth = 50

var timeType = reflect.TypeFor[time.Time]()

func render(b *strings.Builder, v reflect.Value, depth int) {
	if depth > maxDepth {
		b.WriteString("...")
		return
	}
	if !v.IsValid() {
		b.WriteString("nil")
		return
	}
	if v.Type() == timeType && v.CanInterface() {
		b.WriteString(v.Interface().(time.Time).UTC().Format(time.RFC3339Nano))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		renderStruct(b, v, depth)
	case reflect.Slice, reflect.Array:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(' ')
			}
			render(b, v.Index(i), depth+1)
		}
		b.WriteByte(']')
	case reflect.Map:
		renderMap(b, v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		b.WriteByte('&')
		render(b, v.Elem(), depth+1)
	case reflect.Interface:
		if !v.IsNil() { // 1 and "1" are not the same, nor are an int and an int64
			b.WriteString(v.Elem().Type().String() + ":")
		}
		render(b, v.Elem(), depth+1)
	case reflect.String:
		b.WriteString(strconv.Quote(v.String()))
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		renderInt(b, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		b.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Complex64, reflect.Complex128:
		b.WriteString(strconv.FormatComplex(v.Complex(), 'g', -1, 128))
	default: // functions and channels: all that can be said is which one
		fmt.Fprintf(b, "%v(%#x)", v.Type(), v.Pointer())
	}
}

// renderInt writes durations as people do.
func renderInt(b *strings.Builder, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		b.WriteString(time.Duration(v.Int()).String())
		return
	}
	b.WriteString(strconv.FormatInt(v.Int(), 10))
}

func renderStruct(b *strings.Builder, v reflect.Value, depth int) {
	b.WriteByte('{')
	for i := range v.NumField() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(v.Type().Field(i).Name + ":")
		render(b, v.Field(i), depth+1)
	}
	b.WriteByte('}')
}

func renderMap(b *strings.Builder, v reflect.Value, depth int) {
	entries := make([]string, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		var e strings.Builder
		render(&e, it.Key(), depth+1)
		e.WriteByte(':')
		render(&e, it.Value(), depth+1)
		entries = append(entries, e.String())
	}
	slices.Sort(entries)
	b.WriteString("map[" + strings.Join(entries, " ") + "]")
}
