package snapshot

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// TestRepairedTwinCarriesOn damages one of the two files of a manifest, lets a start repair it, and then removes the other.
func TestRepairedTwinCarriesOn(t *testing.T) {
	for _, ext := range []string{"", copyExt} {
		mem := fsx.NewMem()
		j := mustJob(t, mem, 1, 2)
		all := files(t, mem, j.store.Dir())
		hurt := filepath.Join(j.store.Dir(), manifestName(2)+ext)
		all[hurt] = all[hurt][:50]
		disk := build(t, all)
		k, notes, err := openJob(disk, 1, nil)
		if err != nil || k.prev.Epoch != 2 || len(notes) == 0 {
			t.Fatal(notes, err)
		}
		all = files(t, disk, j.store.Dir())
		for _, e := range []string{"", copyExt} {
			if path := filepath.Join(j.store.Dir(), manifestName(2)+e); path != hurt {
				delete(all, path)
			}
		}
		if k, notes, err = openJob(build(t, all), 1, nil); err != nil || k.prev.Epoch != 2 {
			t.Fatalf("the repaired file does not carry the checkpoint: %v %v", notes, err)
		}
	}
}

// TestWhatNewestSaysStays lets the process die when the names of a manifest can be seen and are not durable, and the power go after
// the next start has acted on it.
func TestWhatNewestSaysStays(t *testing.T) {
	for seed := range uint64(30) {
		mem := fsx.NewMem()
		epochs := 0
		j, _, err := openJob(mem, 1, func(point string) error {
			if point == PointDirSync {
				if epochs++; epochs == 3 {
					return errCrash
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for j.epoch() == nil {
		}
		m, _, err := j.store.Newest()
		if err != nil || m.Epoch != 3 {
			t.Fatal(m, err)
		}
		k, notes, err := openJob(mem.CrashClone(rand.New(rand.NewPCG(seed, 1))), 1, nil)
		if err != nil || k.prev.Epoch != 3 {
			t.Fatalf("checkpoint 3 was acted on and is gone: %v %v", notes, err)
		}
	}
}

// TestUnknownOutcomeMustBeLookedUp publishes after a failed publication.
func TestUnknownOutcomeMustBeLookedUp(t *testing.T) {
	fail := false
	j, _, err := openJob(fsx.NewMem(), 1, func(point string) error {
		if fail && point == PointPublished {
			return errCrash
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fail = true
	if err := j.epoch(); err == nil {
		t.Fatal("no failure")
	}
	fail = false
	m := &Manifest{Job: testJob, Epoch: 2, Term: j.store.Term(), Groups: 6}
	if err := j.store.Publish(m); err == nil || !strings.Contains(err.Error(), "call Newest first") {
		t.Errorf("published over an unknown outcome: %v", err)
	}
	if _, err := j.store.Retire(1); err == nil {
		t.Error("retired with an unknown outcome")
	}
	j.lookUp(t, "after the failure")
	if j.prev == nil || j.prev.Epoch != 1 {
		t.Fatal("the decided checkpoint is not found")
	}
	if err := j.epoch(); err != nil {
		t.Error(err)
	}
}
