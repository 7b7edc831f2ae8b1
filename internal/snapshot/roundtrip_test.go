package snapshot

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
	"pgregory.net/rapid"
)

// TestRoundTrip writes random sections over many epochs, with restarts between, and reads the model back after each.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := fsx.NewMem()
		seed := rapid.Uint64().Draw(t, "seed")
		var opts []Option
		if rapid.Bool().Draw(t, "compress") {
			opts = append(opts, Compress())
		}
		j, _, err := openJob(fs, seed, nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(1, 12).Draw(t, "epochs") {
			if err := j.epoch(); err != nil {
				t.Fatal(err)
			}
			got, err := readModel(j.store, j.prev)
			if err != nil {
				t.Fatal(err)
			}
			if d := j.state.diff(got); d != "" {
				t.Fatalf("epoch %d: %s", j.prev.Epoch, d)
			}
			if rapid.IntRange(0, 3).Draw(t, "restart") > 0 {
				continue
			}
			if err := j.store.Close(); err != nil {
				t.Fatal(err)
			}
			want := j.state
			var notes []Note
			if j, notes, err = openJob(fs, seed+uint64(i)+1, nil, opts...); err != nil || len(notes) > 0 {
				t.Fatal(notes, err)
			}
			if d := want.diff(j.state); d != "" {
				t.Fatalf("restart at epoch %d: %s", j.prev.Epoch, d)
			}
		}
	})
}

// TestReadsOnlyItsRange reads every range of groups of a large state and counts the bytes taken from the file.
func TestReadsOnlyItsRange(t *testing.T) {
	var read int
	mem := fsx.NewMem()
	fs := fsx.Inject(mem, func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			read += op.Bytes
		}
		return nil
	})
	for _, opts := range [][]Option{{VerifyUpTo(0)}, {VerifyUpTo(0), Compress()}} {
		s, err := OpenDir(fs, "/ck", fmt.Sprint("big", len(opts)), nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Newest(); err != nil {
			t.Fatal(err)
		}
		const groups, each, size = 32, 40, 4000
		w, err := s.CreateFile(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		value := make([]byte, size)
		for g := range groups {
			if err := w.Begin(Section{"op", "s", g, 0, Full}); err != nil {
				t.Fatal(err)
			}
			for i := range each {
				for k := 0; k < size; k += 8 {
					binary.LittleEndian.PutUint64(value[k:], uint64(g*each+i)*0x9e3779b97f4a7c15+uint64(k)*0xbf58476d1ce4e5b9)
				}
				if err := w.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), value); err != nil {
					t.Fatal(err)
				}
			}
		}
		info, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		m := &Manifest{Job: s.job, Epoch: 1, Term: s.Term(), Groups: groups}
		if err := Extend(nil, m, []FileInfo{info}); err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(m); err != nil {
			t.Fatal(err)
		}
		for lo := 0; lo < groups; lo += 8 {
			read = 0
			got := model{}
			if err := s.Read(m, "op", "s", lo, lo+8, modelVisitor{got, "op", "s"}); err != nil {
				t.Fatal(err)
			}
			if len(got) != 8*each {
				t.Fatalf("groups [%d, %d) have %d entries, want %d", lo, lo+8, len(got), 8*each)
			}
			if most := int(info.Size)/4 + 4*readTarget; read > most || read < 1000 {
				t.Errorf("reading a quarter of %d bytes took %d, more than %d", info.Size, read, most)
			}
		}
	}
}

func TestLargeEntry(t *testing.T) {
	for _, compress := range []bool{false, true} {
		fs := fsx.NewMem()
		w, err := Create(fs, "/e", Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		sizes := []int{0, 1, 127, 128, 16383, 16384, blockTarget, 3 << 20, 20 << 20, 5}
		if err := w.Begin(Section{"o", "s", 0, 0, Delta}); err != nil {
			t.Fatal(err)
		}
		for i, n := range sizes {
			if err := w.Put([]byte{byte(i)}, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		r, err := openFile(fs, "/e")
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.sections("o", "s", 0, 1)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		got := model{}
		if err := r.visit(list[0], modelVisitor{got, "o", "s"}); err != nil {
			t.Fatal(err)
		}
		for i, n := range sizes {
			if v, ok := got[spanKey{"o", "s", 0, 0, string([]byte{byte(i)})}]; !ok || len(v) != n {
				t.Errorf("entry %d has %d bytes, want %d", i, len(v), n)
			}
		}
	}
}
