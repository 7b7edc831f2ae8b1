package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// entrySpan is where an entry stands in a buffer of encoded entries.
type entrySpan struct{ start, key, end int }

// appendEntries appends the entries of a map, each as key and value, in order of the encoded key (of the encoded value for
// keys that encode alike, as NaNs do).
func appendEntries(dst []byte, m reflect.Value, key, value encodeFunc, before []byte) []byte {
	if m.Len() == 0 {
		return dst
	}
	t := m.Type()
	k, v := reflect.New(t.Key()), reflect.New(t.Elem())
	spans := make([]entrySpan, 0, m.Len())
	var buf []byte
	for it := m.MapRange(); it.Next(); {
		k.Elem().SetIterKey(it)
		v.Elem().SetIterValue(it)
		s := entrySpan{start: len(buf)}
		buf = key(buf, k.UnsafePointer())
		s.key = len(buf)
		buf = value(buf, v.UnsafePointer())
		s.end = len(buf)
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b entrySpan) int {
		if c := bytes.Compare(buf[a.start:a.key], buf[b.start:b.key]); c != 0 {
			return c
		}
		return bytes.Compare(buf[a.key:a.end], buf[b.key:b.end])
	})
	for _, s := range spans {
		dst = append(append(dst, before...), buf[s.start:s.end]...)
	}
	return dst
}

// checkMapKey refuses keys for which == does not mean the same after decoding.
func checkMapKey(t reflect.Type, path string) error {
	switch {
	case t == timeType:
		return fmt.Errorf("codec: field %s: time.Time as a map key has no stable encoding, since == compares zones too; "+
			"use UnixNano, or the time as text", path)
	case t.Kind() == reflect.Pointer:
		return fmt.Errorf("codec: field %s: %s as a map key has no stable encoding, since == compares addresses; "+
			"use a field of the value", path, t)
	case t.Kind() == reflect.Array:
		return checkMapKey(t.Elem(), path+"[]")
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if err := checkMapKey(t.Field(i).Type, path+"."+t.Field(i).Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *compiler) addMap(p *program, t reflect.Type, off uintptr, path string) error {
	kpath, vpath := path+"[key]", path+"[value]"
	if err := checkMapKey(t.Key(), kpath); err != nil {
		return err
	}
	kp, err := c.sub(t.Key(), kpath)
	if err != nil {
		return err
	}
	vp, err := c.sub(t.Elem(), vpath)
	if err != nil {
		return err
	}
	var before []byte
	if kp.min+vp.min == 0 {
		before = []byte{present}
	}
	p.push(op{
		kind: opCall, off: off, path: path,
		encode: func(dst []byte, f unsafe.Pointer) []byte {
			m := reflect.NewAt(t, f).Elem()
			if m.IsNil() {
				return append(dst, 0)
			}
			dst = binary.AppendUvarint(dst, uint64(m.Len())+1)
			return appendEntries(dst, m, kp.append, vp.append, before)
		},
		decode: mapDecoder(t, kp, vp, path),
	}, 1)
	return nil
}

func mapDecoder(t reflect.Type, kp, vp *program, path string) decodeFunc {
	marked := kp.min+vp.min == 0
	return func(src []byte, f unsafe.Pointer) ([]byte, error) {
		field := reflect.NewAt(t, f).Elem()
		field.SetZero()
		n, isNil, src, err := count(src, max(kp.min+vp.min, 1), path, "map")
		if err != nil || isNil {
			return src, err
		}
		m := reflect.MakeMapWithSize(t, n)
		k, v := reflect.New(t.Key()), reflect.New(t.Elem())
		for range n {
			if marked {
				if src, err = skipPresent(src, path); err != nil {
					return nil, err
				}
			}
			k.Elem().SetZero()
			v.Elem().SetZero()
			if src, err = kp.decode(src, k.UnsafePointer()); err != nil {
				return nil, err
			}
			if src, err = vp.decode(src, v.UnsafePointer()); err != nil {
				return nil, err
			}
			m.SetMapIndex(k.Elem(), v.Elem())
		}
		if m.Len() != n {
			return nil, fmt.Errorf("codec: decode %s: a key comes twice", path)
		}
		field.Set(m)
		return src, nil
	}
}
