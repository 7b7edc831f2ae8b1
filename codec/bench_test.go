package codec

import (
	"testing"
)

type benchEntry struct {
	ID      uint64
	N, S, M int64
	Name    string
}

func BenchmarkEntryAppend(b *testing.B) {
	c, e, buf := mustFor[benchEntry](b), &benchEntry{1, 2, 3, 4, "seventeen letters"}, make([]byte, 0, 64)
	for b.Loop() {
		buf = c.Append(buf[:0], e)
	}
}

func BenchmarkEntryDecode(b *testing.B) {
	c, e := mustFor[benchEntry](b), &benchEntry{1, 2, 3, 4, "seventeen letters"}
	buf := c.Append(nil, e)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(buf, e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlatDecode(b *testing.B) {
	type flat struct{ A, B, C, D int64 }
	c, e := mustFor[flat](b), &flat{1, 2, 3, 4}
	buf := c.Append(nil, e)
	for b.Loop() {
		if _, err := c.Decode(buf, e); err != nil {
			b.Fatal(err)
		}
	}
}

func benchKey[K comparable](b *testing.B, name string, v K) {
	key, k, buf := mustKey[K](b), &v, make([]byte, 0, 128)
	b.Run(name+"/Hash", func(b *testing.B) {
		for b.Loop() {
			key.Hash(k)
		}
	})
	b.Run(name+"/Compare", func(b *testing.B) {
		for b.Loop() {
			key.Compare(k, k)
		}
	})
	b.Run(name+"/Append", func(b *testing.B) {
		for b.Loop() {
			buf = key.Append(buf[:0], k)
		}
	})
	b.Run(name+"/Decode", func(b *testing.B) {
		buf = key.Append(buf[:0], k)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := key.Decode(buf, k); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkKey(b *testing.B) {
	benchKey(b, "uint64", uint64(7))
	benchKey(b, "string17", cardID("seventeen letters"))
	benchKey(b, "struct", struct {
		A string
		B int64
	}{"ORD", 7})
}

func BenchmarkCompareStruct(b *testing.B) {
	compare, err := Compare[benchEntry]()
	if err != nil {
		b.Fatal(err)
	}
	x, y := &benchEntry{Name: "seventeen letters"}, &benchEntry{Name: "seventeen letterz"}
	for b.Loop() {
		compare(x, y)
	}
}
