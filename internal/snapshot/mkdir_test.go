package snapshot

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// The first run may die anywhere while it makes the directories. What the second one writes must stay nevertheless.
func TestDirectoriesOfARunThatDiedAreMadeDurable(t *testing.T) {
	killed := errors.New("killed")
	for ops := 1; ; ops++ {
		mem := fsx.NewMem()
		died := false
		dying := fsx.Inject(mem, func(op fsx.Op) error {
			if died = died || op.N == ops; died {
				return killed
			}
			return nil
		})
		err := mkdirDurable(dying, "/a/b/c")
		if err != nil && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if err := mkdirDurable(mem, "/a/b/c"); err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			if _, err := mem.CrashClone(rand.NewPCG(seed, 1)).Stat("/a/b/c"); err != nil {
				t.Errorf("death at operation %d, power loss %d after the second run: %v", ops, seed, err)
				break
			}
		}
		if err == nil {
			return
		}
	}
}

// Above a directory that is there already may be one that this user must not read.
func TestDirectoriesUnderOneThatMustNotBeRead(t *testing.T) {
	mem := fsx.NewMem()
	if err := mem.MkdirAll("/home/user"); err != nil {
		t.Fatal(err)
	}
	strict := fsx.Inject(mem, func(op fsx.Op) error {
		if op.Kind == fsx.OpSyncDir && op.Path == "/home" {
			return fs.ErrPermission
		}
		return nil
	})
	if err := mkdirDurable(strict, "/home/user/state"); err != nil {
		t.Fatal(err)
	}
}
