package snapshot

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// benchEntries is one file of the size that a task with 1M keys writes.
const benchEntries = 1 << 20

func writeBench(b testing.TB, fs fsx.FS, path string, opts Options) FileInfo {
	w, err := Create(fs, path, opts)
	if err != nil {
		b.Fatal(err)
	}
	var key [8]byte
	var value [16]byte
	for g := range 128 {
		if err := w.Begin(Section{"count", "sum", g, 0, Full}); err != nil {
			b.Fatal(err)
		}
		for i := range benchEntries / 128 {
			binary.BigEndian.PutUint64(key[:], uint64(i)*977)
			binary.LittleEndian.PutUint64(value[:], uint64(i*i))
			if err := w.Put(key[:], value[:]); err != nil {
				b.Fatal(err)
			}
		}
	}
	info, err := w.Finish()
	if err != nil {
		b.Fatal(err)
	}
	return info
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name string
		zstd bool
	}{{"plain", false}, {"zstd", true}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				path := filepath.Join(dir, "f")
				info := writeBench(b, fsx.OS{}, path, Options{Compress: c.zstd})
				b.SetBytes(info.Size)
				if err := (fsx.OS{}).Remove(path); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
		})
	}
}

type countVisitor struct{ n int }

func (v *countVisitor) Reset(int) error                      { return nil }
func (v *countVisitor) Drop(int, int64) error                { return nil }
func (v *countVisitor) Put(int, int64, []byte, []byte) error { v.n++; return nil }
func (v *countVisitor) Delete(int, int64, []byte) error      { v.n--; return nil }

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		zstd bool
	}{{"plain", false}, {"zstd", true}} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "f")
			writeBench(b, fsx.OS{}, path, Options{Compress: c.zstd})
			for b.Loop() {
				v := &countVisitor{}
				r, err := openFile(fsx.OS{}, path)
				if err != nil {
					b.Fatal(err)
				}
				list, err := r.sections("count", "sum", 0, 128)
				if err != nil {
					b.Fatal(err)
				}
				for _, s := range list {
					if err := r.visit(s, v); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.close(); err != nil || v.n != benchEntries {
					b.Fatal(v.n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
		})
	}
}

// TestPutDoesNotAllocate counts allocations over several blocks and writes, the buffers excepted.
func TestPutDoesNotAllocate(t *testing.T) {
	w, err := Create(fsx.Inject(fsx.NewMem(), func(fsx.Op) error { return nil }), "/f", Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.file = discard{w.file}
	if err := w.Begin(Section{"o", "s", 0, 0, Delta}); err != nil {
		t.Fatal(err)
	}
	var key [8]byte
	var value [16]byte
	n := uint64(0)
	put := func() {
		for range 100_000 {
			n++
			binary.BigEndian.PutUint64(key[:], n)
			if err := w.Put(key[:], value[:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()
	if got := testing.AllocsPerRun(3, put); got > 2 {
		t.Errorf("100,000 entries made %v allocations", got)
	}
}

// discard takes writes without keeping them.
type discard struct{ fsx.File }

func (discard) Write(p []byte) (int, error) { return len(p), nil }
