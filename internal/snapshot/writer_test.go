package snapshot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

func newWriter(t *testing.T, fs fsx.FS) *Writer {
	t.Helper()
	w, err := Create(fs, "/f", Options{Epoch: 3, Term: 2, Task: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSectionOrder(t *testing.T) {
	s := func(op, st string, g int, span int64, k SectionKind) Section { return Section{op, st, g, span, k} }
	for _, c := range []struct {
		a, b Section
		ok   bool
	}{
		{s("a", "x", 0, 0, Delta), s("a", "x", 0, 1, Delta), true},
		{s("a", "x", 0, 0, Delta), s("a", "x", 0, 0, Delta), false},
		{s("a", "x", 0, 0, Dropped), s("a", "x", 0, 0, Full), false},
		{s("a", "x", 0, 0, Delta), s("a", "x", 0, -1, Delta), false},
		{s("a", "x", 0, 9, Reset), s("a", "x", 0, -1, Delta), true},
		{s("a", "x", 0, 0, Delta), s("a", "x", 0, 1, Reset), false},
		{s("a", "x", 0, 0, Reset), s("a", "x", 0, 1, Reset), false},
		{s("a", "x", 1, 0, Delta), s("a", "x", 0, 0, Delta), false},
		{s("a", "x", 1, 0, Delta), s("a", "y", 0, 0, Delta), true},
		{s("a", "y", 1, 0, Delta), s("a", "x", 2, 0, Delta), false},
		{s("a", "y", 1, 0, Delta), s("b", "", 0, 0, Full), true},
		{s("b", "", 0, 0, Full), s("a", "z", 0, 0, Full), false},
		{s("a", "", 0, 0, Full), s("a", "z", -1, 0, Full), false},
		{s("a", "", 0, 0, Full), s("a", "z", MaxGroups, 0, Full), false},
		{s("a", "", 0, 0, Full), s("a", "z", 0, 0, 0), false},
		{s("a", "", 0, 0, Full), s("a", "z", 0, 0, Reset+1), false},
		{s("a", "", 0, 0, Full), s("a\xff", "z", 0, 0, Full), false},
		{s("a", "", 0, 0, Full), s("a", strings.Repeat("z", MaxName+1), 0, 0, Full), false},
	} {
		w := newWriter(t, fsx.NewMem())
		if err := w.Begin(c.a); err != nil {
			t.Fatal(err)
		}
		if err := w.Begin(c.b); (err == nil) != c.ok {
			t.Errorf("%v then %v: %v", c.a, c.b, err)
		}
	}
}

func TestEntryOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		ok   bool
	}{
		{"", "a", true},
		{"", "", false},
		{"a", "a", false},
		{"a", "b", true},
		{"b", "a", false},
		{"a", "aa", true},
		{"aa", "a", false},
		{"12345678", "12345679", true},
		{"12345679", "12345678", false},
		{"12345678a", "12345678b", true},
		{"12345678b", "12345678a", false},
		{"12345678", "123456780", true},
		{"123456780", "12345678", false},
		{"\x7f2345678", "\x80", true},
		{"\x802345678", "\x7f2345678", false},
	} {
		for name, second := range map[string]func(*Writer) error{
			"put":    func(w *Writer) error { return w.Put([]byte(c.b), nil) },
			"delete": func(w *Writer) error { return w.Delete([]byte(c.b)) },
		} {
			w := newWriter(t, fsx.NewMem())
			if err := errors.Join(w.Begin(Section{"o", "s", 0, 0, Delta}), w.Put([]byte(c.a), []byte("v"))); err != nil {
				t.Fatal(err)
			}
			if err := second(w); (err == nil) != c.ok {
				t.Errorf("%s %q after %q: %v", name, c.b, c.a, err)
			}
		}
	}
}

// TestOrderAcrossBlocks makes sure that the key before is still known after blocks were compressed and written.
func TestOrderAcrossBlocks(t *testing.T) {
	for _, compress := range []bool{false, true} {
		w, err := Create(fsx.NewMem(), "/f", Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Begin(Section{"o", "s", 0, 0, Delta}); err != nil {
			t.Fatal(err)
		}
		value := make([]byte, blockTarget)
		for i := range 20 {
			key := fmt.Appendf(nil, "key%04d", i)
			if err := w.Put(key, value); err != nil {
				t.Fatal(err)
			}
			if i == 19 {
				if err := w.Put(key, value); err == nil {
					t.Error("the same key again, in the next block, is taken")
				}
			}
		}
	}
}

func TestWriterMisuse(t *testing.T) {
	begin := func(k SectionKind) func(*Writer) error {
		return func(w *Writer) error { return w.Begin(Section{"o", "s", 0, 0, k}) }
	}
	put := func(w *Writer) error { return w.Put([]byte("k"), nil) }
	for name, steps := range map[string][]func(*Writer) error{
		"put outside":       {put},
		"put in dropped":    {begin(Dropped), put},
		"put in reset":      {begin(Reset), put},
		"delete in full":    {begin(Full), func(w *Writer) error { return w.Delete([]byte("k")) }},
		"put after abort":   {begin(Delta), (*Writer).Abort, put},
		"begin after abort": {(*Writer).Abort, begin(Delta)},
		"too large":         {begin(Delta), func(w *Writer) error { return w.Put(nil, make([]byte, MaxEntry+1)) }},
	} {
		fs := fsx.NewMem()
		w := newWriter(t, fs)
		var err error
		for i, step := range steps {
			if err = step(w); err != nil && i < len(steps)-1 {
				t.Fatal(name, err)
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := w.Finish(); err == nil {
			t.Errorf("%s: finished nevertheless", name)
		}
		if _, err := fs.Stat("/f"); !isNotExist(err) {
			t.Errorf("%s: the file stays: %v", name, err)
		}
	}
}

func TestFinishTellsWhatIsInside(t *testing.T) {
	fs := fsx.NewMem()
	w := newWriter(t, fs)
	err := errors.Join(
		w.Begin(Section{"a", "x", 1, 0, Reset}),
		w.Begin(Section{"a", "x", 1, 5, Full}), w.Put([]byte("k"), []byte("v")),
		w.Begin(Section{"a", "x", 2, 5, Delta}), // says nothing
		w.Begin(Section{"a", "x", 4, 5, Dropped}),
		w.Begin(Section{"a", "y", 0, 0, Delta}), // says nothing
		w.Begin(Section{"b", "x", 3, 0, Delta}), w.Delete([]byte("k")))
	if err != nil {
		t.Fatal(err)
	}
	info, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	want := []StateGroups{
		{Operator: "a", State: "x", Groups: []int{1, 4}, Resets: []int{1}, Bytes: 4},
		{Operator: "b", State: "x", Groups: []int{3}, Bytes: 2},
	}
	if !reflect.DeepEqual(info.Contents, want) || info.Name != "f" || info.Epoch != 3 || info.Term != 2 || info.Task != 1 {
		t.Errorf("%+v", info)
	}
	if err := Verify(fs, "/", info); err != nil {
		t.Error(err)
	}
	info.CRC32C++
	if err := Verify(fs, "/", info); !isDamaged(err) {
		t.Error(err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := fs.Stat("/f"); err != nil {
		t.Errorf("Abort after Finish removes the file: %v", err)
	}
}

// TestWritesAreLarge counts operations: writes of about 1 MiB and one sync.
func TestWritesAreLarge(t *testing.T) {
	count := map[fsx.OpKind]int{}
	fs := fsx.Inject(fsx.NewMem(), func(op fsx.Op) error { count[op.Kind]++; return nil })
	info := writeBench(t, fs, "/f", Options{})
	if n := count[fsx.OpWrite]; int64(n) > info.Size/writeTarget+2 || count[fsx.OpSync] != 1 {
		t.Errorf("%d bytes took %v", info.Size, count)
	}
}

// TestFailedSyncIsFatal makes sure that nobody tries a failed sync again as if the data were still there.
func TestFailedSyncIsFatal(t *testing.T) {
	syncs := 0
	mem := fsx.NewMem()
	fs := fsx.Inject(mem, func(op fsx.Op) error {
		if op.Kind == fsx.OpSync {
			syncs++
			return syscall.EIO
		}
		return nil
	})
	w, err := Create(fs, "/f", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Finish(); err == nil {
			t.Fatal("finished")
		}
	}
	if _, err := mem.Stat("/f"); syncs != 1 || !isNotExist(err) {
		t.Errorf("%d syncs, file %v", syncs, err)
	}
}
