package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// smallFile returns the bytes of a file with all kinds of sections.
func smallFile(t testing.TB, compress bool) []byte {
	t.Helper()
	fs := fsx.NewMem()
	w, err := Create(fs, "/f", Options{Epoch: 7, Term: 2, Task: 1, Compress: compress})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRandom(w, rand.New(rand.NewPCG(3, 3)), 3, model{}, 0, 4); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(Section{"window", "long", 3, -1 << 63, Delta}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := w.Put(bytes.Repeat([]byte{byte(i)}, 90), bytes.Repeat([]byte("value"), 30)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	b, err := readAll(fs, "/f", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readEverything reads all sections of a file that may hold anything.
func readEverything(fs fsx.FS, path string) (n int, err error) {
	r, err := openFile(fs, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	v := &countVisitor{}
	for _, s := range r.states {
		list, err := r.sections(s.operator, s.state, 0, MaxGroups)
		if err != nil {
			return v.n, err
		}
		for _, sec := range list {
			if err := r.visit(sec, v); err != nil {
				return v.n, err
			}
		}
	}
	return v.n, nil
}

func TestEveryBitOfAFile(t *testing.T) {
	for _, compress := range []bool{false, true} {
		whole := smallFile(t, compress)
		if n, err := readEverything(build(t, map[string][]byte{"/f": whole}), "/f"); err != nil || n < 40 {
			t.Fatal(n, err)
		}
		step := 1
		if testing.Short() {
			step = 11
		}
		for bit := 0; bit < len(whole)*8; bit += step {
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := readEverything(build(t, map[string][]byte{"/f": b}), "/f"); !isDamaged(err) || !strings.Contains(err.Error(), "/f at byte ") {
				t.Fatalf("bit %d of byte %d is not seen: %v", bit%8, bit/8, err)
			}
		}
		for n := range whole {
			if _, err := readEverything(build(t, map[string][]byte{"/f": whole[:n]}), "/f"); !isDamaged(err) {
				t.Fatalf("cut to %d bytes is not seen: %v", n, err)
			}
		}
		longer := append(bytes.Clone(whole), 0)
		if _, err := readEverything(build(t, map[string][]byte{"/f": longer}), "/f"); !isDamaged(err) {
			t.Fatalf("a byte too many is not seen: %v", err)
		}
	}
}

func TestEveryBitOfAManifest(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 4, 2)
	whole, err := readAll(fs, j.store.Dir()+"/"+manifestName(2), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeManifest("m", whole); err != nil {
		t.Fatal(err)
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := DecodeManifest("m", b); !isDamaged(err) {
			t.Fatalf("bit %d of byte %d is not seen: %v", bit%8, bit/8, err)
		}
	}
	for n := range whole {
		if _, err := DecodeManifest("m", whole[:n]); !isDamaged(err) {
			t.Fatalf("cut to %d bytes is not seen: %v", n, err)
		}
	}
}

// TestBlockOfAnotherPlace moves whole blocks, whose bytes are right, to where they do not belong.
func TestBlockOfAnotherPlace(t *testing.T) {
	make := func(epoch uint64, fill byte) []byte {
		fs := fsx.NewMem()
		w, err := Create(fs, "/f", Options{Epoch: epoch})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Begin(Section{"o", "s", 0, 0, Delta}); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := w.Put([]byte{byte(i)}, bytes.Repeat([]byte{fill}, blockTarget)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		b, err := readAll(fs, "/f", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := make(1, 'a'), make(2, 'b')
	size := blockSize + int(getBlock(one[headerSize:]).stored)
	other := bytes.Clone(one)
	copy(other[headerSize:headerSize+size], two[headerSize:])
	swapped := bytes.Clone(one)
	copy(swapped[headerSize:], one[headerSize+size:headerSize+2*size])
	for name, b := range map[string][]byte{"block of another file": other, "block of another offset": swapped} {
		if _, err := readEverything(build(t, map[string][]byte{"/f": b}), "/f"); !isDamaged(err) {
			t.Errorf("%s is not seen: %v", name, err)
		}
	}
}

// resum makes the checksums of a changed file right again, so that a fuzzer gets behind them.
func resum(b []byte) {
	if len(b) < headerSize+blockSize+footerSize {
		return
	}
	copy(b, fileMagic)
	b[8], b[9] = formatVersion, 0
	head, ident := header{1, 7, 2}.encode()
	copy(b, head)
	end := int64(len(b) - footerSize)
	foot := footer{index: le64(b[end:]), indexLen: le64(b[end+8:]), entries: le64(b[end+16:])}
	foot.index = min(max(foot.index, headerSize), uint64(end-blockSize))
	foot.indexLen = uint64(end) - foot.index
	copy(b[end:], foot.encode(ident, end))
	for at := int64(headerSize); at <= int64(foot.index)-blockSize; {
		k := getBlock(b[at:])
		k.stored = uint32(min(int64(k.stored), int64(foot.index)-at-blockSize))
		next := at + blockSize + int64(k.stored)
		k.put(b[at:next], ident, at)
		at = next
	}
	k := getBlock(b[foot.index:])
	k.put(b[foot.index:end], ident, int64(foot.index))
}

func le64(b []byte) uint64 {
	var v uint64
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// FuzzFile reads files with wild content, as they are and with right checksums: no panic, no huge allocation, an error or a whole file.
func FuzzFile(f *testing.F) {
	f.Add(smallFile(f, false))
	f.Add(smallFile(f, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := build(t, map[string][]byte{"/raw": b})
		if _, err := readEverything(fs, "/raw"); err != nil && !isDamaged(err) && !strings.Contains(err.Error(), "format version") {
			t.Errorf("an error of another sort: %v", err)
		}
		summed := bytes.Clone(b)
		resum(summed)
		fs = build(t, map[string][]byte{"/sum": summed})
		if _, err := readEverything(fs, "/sum"); err != nil && !isDamaged(err) {
			t.Errorf("an error of another sort: %v", err)
		}
	})
}

// FuzzManifest decodes wild bodies in a right frame. What is accepted must be whole: it encodes again and gives the same manifest.
func FuzzManifest(f *testing.F) {
	fs := fsx.NewMem()
	s, err := OpenDir(fs, "/ck", testJob, nil, Clock(fixedClock{}))
	if err != nil {
		f.Fatal(err)
	}
	j := &job{store: s, state: model{}, epochs: map[uint64]model{}, rng: rand.New(rand.NewPCG(1, 1)), groups: 4, tasks: 2, resets: 2}
	if _, _, err := s.Newest(); err != nil {
		f.Fatal(err)
	}
	for range 2 {
		if err := j.epoch(); err != nil {
			f.Fatal(err)
		}
	}
	raw, err := j.prev.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[len(manifestFirst) : len(raw)-checksumLen])
	f.Add([]byte(`{"groups":4,"files":[{"name":"e00000000000000000000-t0000-term0.mrs","contents":[{"groups":"0-99999999"}]}]}`))
	f.Add([]byte(`{"chains":[{"runs":[{"lo":0,"hi":1,"files":[0]}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := DecodeManifest("raw", body); err != nil && !isDamaged(err) && !strings.Contains(err.Error(), "first line") {
			t.Errorf("an error of another sort: %v", err)
		}
		m, err := DecodeManifest("m", frame(manifestFirst, body))
		if err != nil {
			if !isDamaged(err) {
				t.Errorf("an error of another sort: %v", err)
			}
			return
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatalf("accepted, but not to be written: %v", err)
		}
		again, err := DecodeManifest("again", b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := again.Encode(); err != nil || !bytes.Equal(b, c) {
			t.Errorf("%v: not stable:\n%s\n%s", err, b, c)
		}
	})
}
