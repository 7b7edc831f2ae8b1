package codec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// Key is what a table of keys of type K needs. All functions are safe for concurrent use; none keeps its argument. The encoding and
// the hash are the same in every process and release: docs/format/keys.md.
type Key[K comparable] struct {
	// Append appends the encoding of k. The order of encodings, by bytes.Compare, is the order of keys, and no encoding is the beginning
	// of that of another key.
	Append func(dst []byte, k *K) []byte
	// Decode reads a key from the front of src and returns the bytes after it. The key does not refer to src.
	Decode func(src []byte, k *K) (rest []byte, err error)
	// Hash returns 64 bits of which every one depends on the whole key. Times that are the same instant hash alike.
	Hash func(k *K) uint64
	// Compare returns -1, 0 or 1 in the order of the encodings.
	Compare func(a, b *K) int
	// Clone gives the strings of a key memory of their own, so that a key that is kept does not hold the buffer that it was
	// cut from. It is nil for keys without strings.
	Clone func(k *K)
	// Canon brings times to UTC and drops their monotonic part, so that == compares instants. It must be called on
	// every key that comes from a user, before anything else. It is nil for keys without times.
	Canon func(k *K)
	// Uint returns an unsigned number with the same order and identity as the key. It is nil for keys that are not a single
	// integer or bool.
	Uint func(k *K) uint64
	// StringOf returns the key as a string, without a copy. It is nil unless K is a string type.
	StringOf func(k *K) string
	// Shape is the description of the encoding, as Describe gives it for K. By is that of the part at its beginning whose hash has the upper half
	// of Hash, and so chooses the key group; usually it is all.
	Shape, By string
}

// Mix is the hash of an integer key: the finalizer of SplitMix64, a bijection in which every bit of the result depends on every
// bit of x. Signed integers are extended to 64 bits, bools are 0 and 1.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Group returns the key group of a hash when there are groups of them: the upper 32 bits of the hash, scaled.
func Group(hash uint64, groups int) int {
	return int(hash >> 32 * uint64(groups) >> 32)
}

// KeyFor returns the functions for keys of type K: strings, integers, bools, times, arrays and structs of these. For anything
// else it returns an error that names the path to it and what to use instead.
func KeyFor[K comparable]() (*Key[K], error) {
	t := reflect.TypeFor[K]()
	p := &ordProgram{}
	if err := (ordRules{refuse: refuseKey}).compile(p, t, 0, rootName(t)); err != nil {
		return nil, err
	}
	key := &Key[K]{
		Append:  func(dst []byte, k *K) []byte { return p.append(dst, unsafe.Pointer(k)) },
		Decode:  decodeKey[K](p),
		Hash:    func(k *K) uint64 { return p.hash(unsafe.Pointer(k)) },
		Compare: func(a, b *K) int { return p.compare(unsafe.Pointer(a), unsafe.Pointer(b)) },
	}
	key.Shape = Describe[K]()
	key.By = key.Shape
	if l := p.find(ordString); l != nil {
		key.Clone = func(k *K) { l.each(unsafe.Pointer(k), cloneString) }
	}
	if l := p.find(ordTime); l != nil {
		key.Canon = func(k *K) { l.each(unsafe.Pointer(k), canonTime) }
	}
	switch {
	case t == timeType:
	case t.Size() == 0:
		var only K
		hash := key.Hash(&only) // there is one key, that of windows over all records
		key.Hash = func(*K) uint64 { return hash }
	case t.Kind() == reflect.String:
		stringKey(key)
	case t.Kind() == reflect.Bool || scalarWidth(t.Kind()) > 0:
		numberKey(key, t.Kind())
	case t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8:
		bytesKey(key, t.Len())
	}
	return key, nil
}

func refuseKey(t reflect.Type, path string) error {
	hint := "use a string, an integer, a bool, a time.Time, or an array or struct of these"
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		hint = "NaN is not equal to itself and -0 equals 0; round it to an integer of a unit (cents, micrometres), or take math.Float64bits"
	case reflect.Pointer:
		hint = "== compares addresses; use a field of what it points to"
	case reflect.Interface:
		hint = "its concrete type is not known; use that type"
	}
	return fmt.Errorf("codec: key field %s: %s cannot be (part of) a key; %s", path, t, hint)
}

func decodeKey[K comparable](p *ordProgram) func(src []byte, k *K) ([]byte, error) {
	return func(src []byte, k *K) ([]byte, error) {
		var zero K
		*k = zero
		rest, err := p.decode(src, unsafe.Pointer(k))
		if err != nil {
			*k = zero
			return nil, err
		}
		return rest, nil
	}
}

// stringKey replaces what strings can do faster.
func stringKey[K comparable](key *Key[K]) {
	key.Append = func(dst []byte, k *K) []byte { return appendEscaped(dst, *(*string)(unsafe.Pointer(k))) }
	key.Hash = func(k *K) uint64 { return xxh3.HashString(*(*string)(unsafe.Pointer(k))) }
	key.Compare = func(a, b *K) int {
		return strings.Compare(*(*string)(unsafe.Pointer(a)), *(*string)(unsafe.Pointer(b)))
	}
	key.Clone = func(k *K) { cloneString(unsafe.Pointer(k)) }
	key.StringOf = func(k *K) string { return *(*string)(unsafe.Pointer(k)) }
}

// bytesKey replaces what byte arrays, which are their own encoding, can do faster.
func bytesKey[K comparable](key *Key[K], n int) {
	key.Append = func(dst []byte, k *K) []byte { return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(k)), n)...) }
	key.Hash = func(k *K) uint64 { return xxh3.Hash(unsafe.Slice((*byte)(unsafe.Pointer(k)), n)) }
	key.Compare = func(a, b *K) int {
		return bytes.Compare(unsafe.Slice((*byte)(unsafe.Pointer(a)), n), unsafe.Slice((*byte)(unsafe.Pointer(b)), n))
	}
}

// numberKey replaces what numbers can do faster.
func numberKey[K comparable](key *Key[K], kind reflect.Kind) {
	switch {
	case kind == reflect.Int64 || kind == reflect.Int && bits.UintSize == 64:
		key.Append = func(dst []byte, k *K) []byte {
			return binary.BigEndian.AppendUint64(dst, *(*uint64)(unsafe.Pointer(k))^1<<63)
		}
		key.Uint = func(k *K) uint64 { return *(*uint64)(unsafe.Pointer(k)) ^ 1<<63 }
		key.Hash = func(k *K) uint64 { return Mix(*(*uint64)(unsafe.Pointer(k))) }
		key.Compare = func(a, b *K) int { return cmp.Compare(*(*int64)(unsafe.Pointer(a)), *(*int64)(unsafe.Pointer(b))) }
	case kind == reflect.Uint64 || kind == reflect.Uint && bits.UintSize == 64:
		key.Append = func(dst []byte, k *K) []byte {
			return binary.BigEndian.AppendUint64(dst, *(*uint64)(unsafe.Pointer(k)))
		}
		key.Uint = func(k *K) uint64 { return *(*uint64)(unsafe.Pointer(k)) }
		key.Hash = func(k *K) uint64 { return Mix(*(*uint64)(unsafe.Pointer(k))) }
		key.Compare = func(a, b *K) int { return cmp.Compare(*(*uint64)(unsafe.Pointer(a)), *(*uint64)(unsafe.Pointer(b))) }
	default:
		key.Uint = func(k *K) uint64 { return toOrder(kind, unsafe.Pointer(k)) }
		key.Hash = func(k *K) uint64 { return Mix(loadBits(kind, unsafe.Pointer(k))) }
	}
}

// hash is the hash of keys that are neither strings nor numbers: that of the encoding.
func (p *ordProgram) hash(k unsafe.Pointer) uint64 {
	var buf [96]byte
	return xxh3.Hash(p.append(buf[:0], k))
}

// find returns the part of a program that handles one kind of field, nil when there is none.
func (p *ordProgram) find(kind ordKind) *ordProgram {
	found := &ordProgram{}
	for _, o := range p.ops {
		switch o.kind {
		case kind:
			found.ops = append(found.ops, o)
		case ordLoop:
			if o.sub = o.sub.find(kind); o.sub != nil {
				found.ops = append(found.ops, o)
			}
		}
	}
	if len(found.ops) == 0 {
		return nil
	}
	return found
}

// each calls do for every field of a program that find returned.
func (p *ordProgram) each(v unsafe.Pointer, do func(f unsafe.Pointer)) {
	for i := range p.ops {
		o := &p.ops[i]
		f := unsafe.Add(v, o.off)
		if o.kind != ordLoop {
			do(f)
			continue
		}
		for j := range o.n {
			o.sub.each(unsafe.Add(f, uintptr(j)*o.stride), do)
		}
	}
}

func cloneString(f unsafe.Pointer) { *(*string)(f) = strings.Clone(*(*string)(f)) }

func canonTime(f unsafe.Pointer) { *(*time.Time)(f) = (*time.Time)(f).UTC() }
