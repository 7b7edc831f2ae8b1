package fsx

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// both is a file system under test and the one of the machine, which must agree.
type both struct {
	mem, os FS
	dir     string
}

// TestMemBehavesLikeOS does random operations on both and compares results and contents.
func TestMemBehavesLikeOS(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "fs") //nolint:usetesting // one for each case, below that of the test
		if err != nil {
			rt.Fatal(err)
		}
		mem := NewMem()
		if err := mem.MkdirAll(dir); err != nil {
			rt.Fatal(err)
		}
		b := both{mem, OS{}, dir}
		name := rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "none/a"})
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				path, data := b.path(name.Draw(t, "name")), rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "data")
				b.same(t, func(f FS) error { return b.create(f, path, data) })
			},
			"mkdir": func(t *rapid.T) { b.same(t, func(f FS) error { return f.MkdirAll(b.path("d")) }) },
			"remove": func(t *rapid.T) {
				p := b.path(name.Draw(t, "name"))
				b.same(t, func(f FS) error { return f.Remove(p) })
			},
			"rename": func(t *rapid.T) {
				from, to := b.path(name.Draw(t, "from")), b.path(name.Draw(t, "to"))
				if info, err := b.os.Stat(from); err == nil && info.IsDir() {
					return // systems differ on directories that replace each other; the engine renames files only
				}
				b.same(t, func(f FS) error { return f.Rename(from, to) })
			},
			"open":    func(t *rapid.T) { b.content(t, name.Draw(t, "name")) },
			"syncdir": func(t *rapid.T) { b.same(t, func(f FS) error { return f.SyncDir(b.path(".")) }) },
			"": func(t *rapid.T) {
				for _, d := range []string{".", "d"} {
					if got, want := names(b.mem, b.path(d)), names(b.os, b.path(d)); !slices.Equal(got, want) {
						t.Fatalf("%s has %v, on the machine %v", d, got, want)
					}
				}
			},
		})
	})
}

func (b both) path(name string) string { return filepath.Join(b.dir, name) }

func (b both) same(t *rapid.T, do func(FS) error) {
	got, want := do(b.mem), do(b.os)
	if (got == nil) != (want == nil) || errors.Is(got, fs.ErrNotExist) != errors.Is(want, fs.ErrNotExist) || errors.Is(got, fs.ErrExist) != errors.Is(want, fs.ErrExist) {
		t.Fatalf("%v, on the machine %v", got, want)
	}
}

// create writes data in two parts, the second over the middle of the first, and cuts it.
func (b both) create(f FS, path string, data []byte) error {
	file, err := f.Create(path)
	if err != nil {
		return err
	}
	half := int64(len(data) / 2)
	_, err1 := file.Write(data)
	err2 := file.Sync()
	_, err3 := file.Seek(half/2, io.SeekStart)
	_, err4 := file.Write(data[half:])
	err5 := file.Truncate(half + half/2)
	_, err6 := file.Seek(3, io.SeekEnd) // leaves a hole
	_, err7 := file.Write(data[:len(data)/3])
	return errors.Join(err1, err2, err3, err4, err5, err6, err7, file.Close())
}

func (b both) content(t *rapid.T, name string) {
	got, err1 := readFile(b.mem, b.path(name))
	want, err2 := readFile(b.os, b.path(name))
	if (err1 == nil) != (err2 == nil) || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes (%v), on the machine %d (%v)", name, len(got), err1, len(want), err2)
	}
}

func readFile(f FS, path string) ([]byte, error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(file)
	return b, errors.Join(err, file.Close())
}

func names(f FS, dir string) []string {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return []string{"error"}
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func write(t *testing.T, f File, data string) {
	t.Helper()
	if _, err := io.WriteString(f, data); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrashKeepsSyncedAndVariesTheRest looks at many crashes of one state and counts what is left: synced data and names always,
// the others sometimes.
func TestCrashKeepsSyncedAndVariesTheRest(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d"))
	must(t, m.SyncDir("/"))
	safe, err := m.Create("/d/safe")
	must(t, err)
	write(t, safe, "synced")
	must(t, safe.Sync())
	must(t, m.SyncDir("/d"))
	write(t, safe, string(bytes.Repeat([]byte("x"), 3*sector)))
	loose, err := m.Create("/d/loose") // a name that is not synced
	must(t, err)
	write(t, loose, "content")
	must(t, loose.Sync())
	old, err := m.Create("/d/old")
	must(t, err)
	must(t, old.Close())
	must(t, m.Rename("/d/old", "/d/new"))

	seen := map[string]int{}
	for i := range uint64(400) {
		c := m.CrashClone(rand.New(rand.NewPCG(i, 1)))
		b, err := readFile(c, "/d/safe")
		if err != nil || len(b) < 6 || string(b[:6]) != "synced" {
			t.Fatalf("synced content is %q (%v)", b, err)
		}
		switch rest := b[6:]; {
		case len(rest) == 0:
			seen["tail lost"]++
		case len(rest) == 3*sector && !bytes.ContainsRune(rest, 0):
			seen["tail kept"]++
		case bytes.ContainsRune(rest, 0):
			seen["tail torn"]++
		default:
			seen["tail cut"]++
		}
		if b, err := readFile(c, "/d/loose"); err == nil {
			if string(b) != "content" {
				t.Fatalf("synced content under a loose name is %q", b)
			}
			seen["name kept"]++
		} else {
			seen["name lost"]++
		}
		_, err1 := c.Stat("/d/old")
		_, err2 := c.Stat("/d/new")
		if err1 == nil && err2 == nil {
			t.Fatal("a rename within a directory was seen half")
		}
		if err2 == nil {
			seen["rename kept"]++
		} else {
			seen["rename lost"]++
		}
	}
	for _, want := range []string{"tail lost", "tail kept", "tail torn", "tail cut", "name kept", "name lost", "rename kept", "rename lost"} {
		if seen[want] == 0 {
			t.Errorf("never met: %s (%v)", want, seen)
		}
	}
}

// TestCloneIsIndependent writes to both after a crash.
func TestCloneIsIndependent(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/f")
	must(t, err)
	write(t, f, "0123456789")
	must(t, f.Sync())
	must(t, m.SyncDir("/"))
	c := m.CrashClone(rand.New(rand.NewPCG(1, 1)))
	_, err = f.Seek(2, io.SeekStart)
	must(t, err)
	write(t, f, "XX")
	if b, err := readFile(c, "/f"); err != nil || string(b) != "0123456789" {
		t.Fatalf("the clone has %q (%v)", b, err)
	}
	// The overwritten synced content comes back after a crash that loses the write.
	lost := false
	for i := range uint64(50) {
		b, err := readFile(m.CrashClone(rand.New(rand.NewPCG(i, 2))), "/f")
		must(t, err)
		lost = lost || string(b) == "0123456789"
	}
	if !lost {
		t.Error("an unsynced overwrite is never lost")
	}
	must(t, c.Remove("/f"))
	if _, err := m.Stat("/f"); err != nil {
		t.Error(err)
	}
}

func TestMemRefuses(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/f")
	must(t, err)
	r, err := m.Open("/f")
	must(t, err)
	if _, err := r.Write([]byte("x")); err == nil {
		t.Error("a file opened for reading takes a write")
	}
	must(t, f.Close())
	if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, err := m.Create("/f/g"); err == nil {
		t.Error("a file has a file in it")
	}
	if err := m.Remove("/"); err == nil {
		t.Error("the root is gone")
	}
}
