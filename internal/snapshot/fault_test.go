package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

var errCrash = errors.New("test: power lost")

// checkAfterCrash opens what a crash left and makes sure that it is the last checkpoint that Publish acknowledged, or one that was on
// its way, with exactly its content, and that the job can go on from it.
func checkAfterCrash(t *testing.T, label string, disk fsx.FS, acknowledged uint64, contents map[uint64]model) {
	t.Helper()
	j, notes, err := openJob(disk, 99, nil)
	if err != nil {
		t.Fatalf("%s: %v %v", label, notes, err)
	}
	got := uint64(0)
	if j.prev != nil {
		got = j.prev.Epoch
	}
	if got < acknowledged || got > acknowledged+1 {
		t.Fatalf("%s: newest is %d, %d was acknowledged (%v)", label, got, acknowledged, notes)
	}
	if d := contents[got].diff(j.state); d != "" {
		t.Fatalf("%s: epoch %d: %s", label, got, d)
	}
	for _, n := range notes {
		if got == acknowledged && strings.Contains(n.Problem, "may come again") {
			t.Fatalf("%s: false alarm: %s", label, n)
		}
	}
	if _, err := j.store.Clean(); err != nil {
		t.Fatalf("%s: clean: %v", label, err)
	}
	if err := j.epoch(); err != nil {
		t.Fatalf("%s: next epoch: %v", label, err)
	}
	again, err := readModel(j.store, j.prev)
	if err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	if d := j.state.diff(again); d != "" {
		t.Fatalf("%s: next epoch: %s", label, d)
	}
}

// TestPowerLossAtEveryOperation stops the disk before each operation of a run in turn, several times with another choice of what
// unsynced data survives.
func TestPowerLossAtEveryOperation(t *testing.T) {
	rounds := uint64(3)
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		for stop := 1; ; stop++ {
			mem := fsx.NewMem()
			rng := rand.New(rand.NewPCG(uint64(stop), round))
			var disk *fsx.Mem
			fs := fsx.Inject(mem, func(op fsx.Op) error {
				if op.N < stop {
					return nil
				}
				if disk == nil {
					disk = mem.CrashClone(rng)
				}
				return errCrash
			})
			acknowledged, contents := runUntilError(t, fs, 4, nil)
			if disk == nil {
				if stop < 100 {
					t.Fatalf("the run has only %d operations", stop)
				}
				break
			}
			checkAfterCrash(t, fmt.Sprintf("round %d, operation %d", round, stop), disk, acknowledged, contents)
		}
	}
}

// runUntilError runs a job until it has made some epochs or fails, and returns the last that was published and what all contain.
func runUntilError(t *testing.T, fs fsx.FS, epochs int, hit func(string) error) (uint64, map[uint64]model) {
	t.Helper()
	contents := map[uint64]model{0: {}}
	j, _, err := openJob(fs, 5, hit)
	if err != nil {
		return 0, contents
	}
	for range epochs {
		err := j.epoch()
		maps.Copy(contents, j.epochs)
		if err != nil {
			break
		}
	}
	if j.prev == nil {
		return 0, contents
	}
	return j.prev.Epoch, contents
}

// TestCrashAtEveryPoint stops at each fault point, at its first, second ... passing, and proves that every point is passed.
func TestCrashAtEveryPoint(t *testing.T) {
	for _, point := range Points {
		for pass := 1; ; pass++ {
			mem := fsx.NewMem()
			var disk *fsx.Mem
			seen := 0
			acknowledged, contents := runUntilError(t, mem, 4, func(p string) error {
				if disk != nil {
					return errCrash
				}
				if p == point {
					seen++
				}
				if seen < pass {
					return nil
				}
				disk = mem.CrashClone(rand.New(rand.NewPCG(uint64(pass), 7)))
				return errCrash
			})
			if disk == nil {
				if pass == 1 {
					t.Errorf("point %s is never passed", point)
				}
				break
			}
			checkAfterCrash(t, fmt.Sprintf("%s, pass %d", point, pass), disk, acknowledged, contents)
		}
	}
}

// TestErrorAtEveryOperation fails each operation in turn with EIO and ENOSPC, whole and in part, and goes on with the same store: what it
// says must be true, and it must work again.
func TestErrorAtEveryOperation(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 5
	}
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC, &fsx.Partial{Bytes: 7, Err: syscall.ENOSPC}} {
		for stop := 1; ; stop += step {
			label := fmt.Sprintf("%v at operation %d", cause, stop)
			hurt := false
			fs := fsx.Inject(fsx.NewMem(), func(op fsx.Op) error {
				if op.N == stop {
					hurt = true
					return cause
				}
				return nil
			})
			j, _, err := openJob(fs, 5, nil)
			if err != nil {
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("%s: the cause is lost in %v", label, err)
				}
				if j != nil {
					if err := j.store.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if j, _, err = openJob(fs, 5, nil); err != nil {
					t.Fatalf("%s: open again: %v", label, err)
				}
			}
			for range 4 {
				if err := j.epoch(); err != nil {
					if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("%s: the cause is lost in %v", label, err)
					}
					j.lookUp(t, label)
				}
			}
			if !hurt {
				break
			}
			if err := j.store.Close(); err != nil && stop > 0 && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(label, err)
			}
			k, notes, err := openJob(fs, 6, nil)
			if err != nil {
				t.Fatalf("%s: reopen: %v %v", label, notes, err)
			}
			if d := j.state.diff(k.state); d != "" || k.prev.Epoch != j.prev.Epoch {
				t.Fatalf("%s: reopened at epoch %d instead of %d: %s", label, k.prev.Epoch, j.prev.Epoch, d)
			}
		}
	}
}

// lookUp finds out what is true after an error, as an engine does that restarts in the same process.
func (j *job) lookUp(t *testing.T, label string) {
	t.Helper()
	m, notes, err := j.store.Newest()
	if err != nil {
		t.Fatalf("%s: newest: %v %v", label, notes, err)
	}
	before, got := uint64(0), uint64(0)
	if j.prev != nil {
		before = j.prev.Epoch
	}
	j.prev, j.state = m, model{}
	if m != nil {
		got = m.Epoch
		if j.state, err = readModel(j.store, m); err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		if d := j.epochs[got].diff(j.state); d != "" {
			t.Fatalf("%s: epoch %d: %s", label, got, d)
		}
	}
	if got < before || got > before+1 {
		t.Fatalf("%s: newest is %d after %d was published", label, got, before)
	}
}

// files returns all files of the store by path.
func files(t *testing.T, fs fsx.FS, dir string) map[string][]byte {
	t.Helper()
	entries, err := fs.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if out[path], err = readAll(fs, path, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// build makes a file system that holds the files.
func build(t testing.TB, files map[string][]byte) *fsx.Mem {
	t.Helper()
	fs := fsx.NewMem()
	for path, content := range files {
		if err := fs.MkdirAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(path)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// TestDamagedDirectory changes bits of each file of a store, cuts each file at many lengths and removes it. Whatever is read then
// must be true; whatever is not, must be reported.
func TestDamagedDirectory(t *testing.T) {
	for _, verify := range []int64{0, -1} { // damage is found when files are read, or at once
		mem := fsx.NewMem()
		j := mustJob(t, mem, 11, 3, VerifyUpTo(verify))
		whole := files(t, mem, j.store.Dir())
		outcomes := map[string]int{}
		try := func(label, path string, content []byte) {
			changed := map[string][]byte{}
			maps.Copy(changed, whole)
			if changed[path] = content; content == nil {
				delete(changed, path)
			}
			outcomes[tryDamaged(t, label+" of "+path, build(t, changed), path, j, verify)]++
		}
		for path, content := range whole {
			try("loss", path, nil)
			for n := 0; n < len(content); n += 1 + len(content)/40 {
				try(fmt.Sprintf("cut to %d", n), path, content[:n])
			}
			step := 61 // TestEveryBitOfAFile takes them all
			if testing.Short() {
				step = 307
			}
			for bit := 0; bit < len(content)*8; bit += step {

				flipped := slices.Clone(content)
				flipped[bit/8] ^= 1 << (bit % 8)
				try(fmt.Sprintf("bit %d", bit), path, flipped)
			}
		}
		t.Logf("verify %d: %v", verify, outcomes)
		if outcomes["fell back"] == 0 || outcomes["repaired"] == 0 || outcomes["unharmed"] == 0 {
			t.Errorf("not all outcomes were met: %v", outcomes)
		}
	}
}

// tryDamaged opens a damaged directory, checks that what it gives is true and says how it ended.
func tryDamaged(t *testing.T, label string, fs fsx.FS, path string, j *job, verify int64) string {
	t.Helper()
	k, notes, err := openJob(fs, 1, nil, VerifyUpTo(verify))
	if err != nil && k != nil && isDamaged(err) { // found while reading: now it is known, and the one before must do
		if m, more, err2 := k.store.Newest(); err2 == nil && m != nil {
			notes, k.prev = append(notes, more...), m
			k.state, err = readModel(k.store, m)
		} else {
			err = err2
		}
	}
	name := filepath.Base(path)
	if err != nil {
		if strings.HasSuffix(name, dataExt) && (errors.Is(err, ErrNoCheckpoint) || isDamaged(err)) {
			return "refused" // both checkpoints need the file
		}
		t.Fatalf("%s: %v %v", label, notes, err)
	}
	if k.prev == nil {
		t.Fatalf("%s: started empty", label)
	}
	if d := j.epochs[k.prev.Epoch].diff(k.state); d != "" {
		t.Fatalf("%s: epoch %d: %s (%v)", label, k.prev.Epoch, d, notes)
	}
	switch {
	case k.prev.Epoch < j.prev.Epoch:
		if len(notes) < 2 || !strings.HasSuffix(name, dataExt) {
			t.Fatalf("%s: fell back to %d saying only %v", label, k.prev.Epoch, notes)
		}
		return "fell back"
	case strings.HasPrefix(name, fmt.Sprintf("manifest-%020d", j.prev.Epoch)) || name == termName:
		if len(notes) == 0 {
			t.Fatalf("%s: not a word about it", label)
		}
		return "repaired"
	}
	return "unharmed"
}
