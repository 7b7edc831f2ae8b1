package keyed

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

const benchGroups = 128

func benchSpace(n int) (*Space[uint64, pair], []uint64) {
	s := New(Config[uint64, pair]{
		Operator: "op", State: "st", Key: uintKey(), Value: pairCodec{}, Layout: codec.Flat, Groups: benchGroups, Hi: benchGroups,
	})
	keys := make([]uint64, n)
	p := s.Ensure(0)
	for i := range keys {
		keys[i] = uint64(i) * 0x9e3779b97f4a7c15
		p.Upsert(&keys[i], mix(keys[i]))
	}
	return s, keys
}

// picks returns a random walk over n keys.
func picks(keys []uint64) ([]uint64, []uint64) {
	r := rand.New(rand.NewSource(1))
	ks, hs := make([]uint64, 1<<20), make([]uint64, 1<<20)
	for i := range ks {
		ks[i] = keys[r.Intn(len(keys))]
		hs[i] = mix(ks[i])
	}
	return ks, hs
}

// bare is the table that somebody would write by hand for one job.
type bare struct {
	slots []bareSlot
	mask  uint64
}

type bareSlot struct {
	hash  uint64
	key   uint64
	value pair
}

func newBare(n int) *bare {
	size := 8
	for size*5/8 < n {
		size *= 2
	}
	return &bare{slots: make([]bareSlot, size), mask: uint64(size - 1)}
}

func (b *bare) upsert(k, h uint64) *pair {
	h |= 1
	for i := (h >> 1) & b.mask; ; i = (i + 1) & b.mask {
		sl := &b.slots[i]
		if sl.hash == h && sl.key == k {
			return &sl.value
		}
		if sl.hash == 0 {
			sl.hash, sl.key = h, k
			return &sl.value
		}
	}
}

func BenchmarkUpsert(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		s, keys := benchSpace(n)
		ks, hs := picks(keys)
		b.Run(fmt.Sprintf("space/%d", n), func(b *testing.B) {
			p := s.Ensure(0)
			for i := range b.N {
				j := i & (len(ks) - 1)
				v, _ := p.Upsert(&ks[j], hs[j])
				v.Count++
				v.Sum += int64(j)
			}
		})
		b.Run(fmt.Sprintf("bare/%d", n), func(b *testing.B) {
			t := newBare(n)
			for _, k := range keys {
				t.upsert(k, mix(k))
			}
			b.ResetTimer()
			for i := range b.N {
				j := i & (len(ks) - 1)
				v := t.upsert(ks[j], hs[j])
				v.Count++
				v.Sum += int64(j)
			}
		})
		b.Run(fmt.Sprintf("map/%d", n), func(b *testing.B) {
			m := make(map[uint64]pair, n)
			for _, k := range keys {
				m[k] = pair{}
			}
			b.ResetTimer()
			for i := range b.N {
				j := i & (len(ks) - 1)
				v := m[ks[j]]
				v.Count++
				v.Sum += int64(j)
				m[ks[j]] = v
			}
		})
	}
}

func BenchmarkInsert(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		s, keys := benchSpace(n)
		span := int64(0)
		b.Run(fmt.Sprintf("space/%d", n), func(b *testing.B) {
			for range b.N {
				s.Drop(span)
				span++
				p := s.Ensure(span)
				for i := range keys {
					p.Upsert(&keys[i], mix(keys[i]))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
		b.Run(fmt.Sprintf("bare/%d", n), func(b *testing.B) {
			t := newBare(n)
			for range b.N {
				clear(t.slots)
				for _, k := range keys {
					t.upsert(k, mix(k))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
		b.Run(fmt.Sprintf("map/%d", n), func(b *testing.B) {
			m := map[uint64]pair{}
			for range b.N {
				clear(m)
				for _, k := range keys {
					m[k] = pair{}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

func BenchmarkSorted(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		s, _ := benchSpace(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			p := s.Ensure(0)
			refs := p.Sorted(nil)
			b.ResetTimer()
			for range b.N {
				refs = p.Sorted(refs[:0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

// BenchmarkFreeze measures the pause of a barrier when every table has changed.
func BenchmarkFreeze(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		s, keys := benchSpace(n)
		p := s.Ensure(0)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				b.StopTimer()
				for j := range 10 * benchGroups {
					k := keys[(i*10*benchGroups+j)%n]
					p.Upsert(&k, mix(k))
				}
				b.StartTimer()
				f := s.Freeze(uint64(i + 1))
				b.StopTimer()
				f.Release()
				b.StartTimer()
			}
		})
	}
}

// discard is a SectionWriter that drops everything.
type discard struct{ bytes int }

func (d *discard) Begin(snapshot.Section) error { return nil }
func (d *discard) Put(k, v []byte) error        { d.bytes += len(k) + len(v); return nil }
func (d *discard) Delete(k []byte) error        { d.bytes += len(k); return nil }

// BenchmarkWrite measures the background work per entry of a full epoch.
func BenchmarkWrite(b *testing.B) {
	const n = 1_000_000
	s, _ := benchSpace(n)
	for i := range b.N {
		f := s.Freeze(uint64(i + 1))
		if err := f.WriteTo(&discard{}); err != nil || f.Entries() != n {
			b.Fatal(err, f.Entries())
		}
		f.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
}

// BenchmarkCopyOnWrite measures the first write to every table while a writer holds all of them, per table.
func BenchmarkCopyOnWrite(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		s, keys := benchSpace(n)
		p := s.Ensure(0)
		first := make([]uint64, benchGroups) // a key of each group
		for _, k := range keys {
			first[Group(mix(k), benchGroups)] = k
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := range b.N {
				b.StopTimer()
				f := s.Freeze(uint64(i + 1))
				b.StartTimer()
				for j := range first {
					p.Upsert(&first[j], mix(first[j]))
				}
				b.StopTimer()
				f.Release()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchGroups), "ns/table")
		})
	}
}

// BenchmarkRestore measures loading a checkpoint of 1M keys, per key.
func BenchmarkRestore(b *testing.B) {
	const n = 1_000_000
	s, _ := benchSpace(n)
	f := s.Freeze(1)
	file := &memFile{}
	if err := f.WriteTo(file); err != nil {
		b.Fatal(err)
	}
	f.Release()
	b.ResetTimer()
	for range b.N {
		s := New(s.cfg)
		v := s.Restore()
		for _, sec := range file.sections {
			if sec.Kind == snapshot.Reset {
				continue
			}
			for _, e := range sec.entries {
				if err := v.Put(sec.Group, sec.Span, e.key, e.value); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
}
