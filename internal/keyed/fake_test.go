package keyed

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// mix spreads the bits of x over the whole word.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

var errShort = errors.New("short")

func uintKey() *codec.Key[uint64] {
	return &codec.Key[uint64]{
		Append: func(dst []byte, k *uint64) []byte { return binary.BigEndian.AppendUint64(dst, *k) },
		Decode: func(src []byte, k *uint64) ([]byte, error) {
			if len(src) < 8 {
				return nil, errShort
			}
			*k = binary.BigEndian.Uint64(src)
			return src[8:], nil
		},
		Hash:    func(k *uint64) uint64 { return mix(*k) },
		Compare: func(a, b *uint64) int { return cmp.Compare(*a, *b) },
		Uint:    func(k *uint64) uint64 { return *k },
	}
}

func stringKey() *codec.Key[string] {
	return &codec.Key[string]{
		Append: func(dst []byte, k *string) []byte { return append(dst, *k...) },
		Decode: func(src []byte, k *string) ([]byte, error) { *k = string(src); return nil, nil },
		Hash: func(k *string) uint64 {
			h := uint64(1)
			for i := range len(*k) {
				h = mix(h ^ uint64((*k)[i]))
			}
			return h
		},
		Compare: func(a, b *string) int { return cmp.Compare(*a, *b) },
		Clone:   func(k *string) { *k = string([]byte(*k)) },
	}
}

// pair is the value of the benchmarks.
type pair struct{ Count, Sum int64 }

type pairCodec struct{}

func (pairCodec) Append(dst []byte, v *pair) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, uint64(v.Count)), uint64(v.Sum))
}

func (pairCodec) Decode(src []byte, v *pair) ([]byte, error) {
	if len(src) < 16 {
		return nil, errShort
	}
	v.Count, v.Sum = int64(binary.LittleEndian.Uint64(src)), int64(binary.LittleEndian.Uint64(src[8:]))
	return src[16:], nil
}

// list is a Deep value.
type list struct{ items []int64 }

type listCodec struct{}

func (listCodec) Append(dst []byte, v *list) []byte {
	for _, x := range v.items {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
	}
	return dst
}

func (listCodec) Decode(src []byte, v *list) ([]byte, error) {
	for len(src) >= 8 {
		v.items = append(v.items, int64(binary.LittleEndian.Uint64(src)))
		src = src[8:]
	}
	return src, nil
}

// memFile is a SectionWriter that keeps what it is given and checks the order.
type memFile struct {
	sections []memSection
	fail     int // fail at this call, counted from 1; 0: never
	calls    int
}

type memSection struct {
	snapshot.Section
	entries []memEntry
}

type memEntry struct {
	key, value []byte
	deleted    bool
}

var errInjected = errors.New("injected")

func (m *memFile) step() error {
	m.calls++
	if m.calls == m.fail {
		return errInjected
	}
	return nil
}

func (m *memFile) Begin(s snapshot.Section) error {
	if n := len(m.sections); n > 0 {
		last := m.sections[n-1].Section
		ok := s.Group > last.Group || s.Group == last.Group && s.Kind != snapshot.Reset && (last.Kind == snapshot.Reset || s.Span > last.Span)
		if !ok {
			return fmt.Errorf("section %+v after %+v", s, last)
		}
	}
	m.sections = append(m.sections, memSection{Section: s})
	return m.step()
}

func (m *memFile) add(e memEntry) error {
	s := &m.sections[len(m.sections)-1]
	if s.Kind != snapshot.Delta && (s.Kind != snapshot.Full || e.deleted) {
		return fmt.Errorf("entry in section %+v", s.Section)
	}
	if n := len(s.entries); n > 0 && bytes.Compare(s.entries[n-1].key, e.key) >= 0 {
		return fmt.Errorf("key %x after %x", e.key, s.entries[n-1].key)
	}
	s.entries = append(s.entries, e)
	return m.step()
}

func (m *memFile) Put(key, value []byte) error {
	return m.add(memEntry{key: slices.Clone(key), value: slices.Clone(value)})
}

func (m *memFile) Delete(key []byte) error {
	return m.add(memEntry{key: slices.Clone(key), deleted: true})
}

// replay gives what a chain of files, oldest first, says to v, group by group.
func replay(files []*memFile, groups int, v snapshot.Visitor) error {
	for g := range groups {
		for _, f := range files {
			for _, s := range f.sections {
				if s.Group != g {
					continue
				}
				if err := replaySection(s, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func replaySection(s memSection, v snapshot.Visitor) error {
	var err error
	switch s.Kind {
	case snapshot.Reset:
		err = v.Reset(s.Group)
	case snapshot.Dropped, snapshot.Full:
		err = v.Drop(s.Group, s.Span)
	}
	for _, e := range s.entries {
		if err != nil {
			return err
		}
		// The slices are only valid during the call: give away ones that are spoilt afterwards.
		key, value := slices.Clone(e.key), slices.Clone(e.value)
		if e.deleted {
			err = v.Delete(s.Group, s.Span, key)
		} else {
			err = v.Put(s.Group, s.Span, key, value)
		}
		for _, b := range [][]byte{key, value} {
			for i := range b {
				b[i] = 0xee
			}
		}
	}
	return err
}
