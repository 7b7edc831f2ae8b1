package millracetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// pointDisk is every change of a file or directory, whoever makes it.
const pointDisk = "disk.change"

// Points returns the names of the places at which Crash kills a job, for At: "recover." when a start brings sinks into line with its checkpoint,
// "snapshot." when state is written, "manifest." when the epoch is decided, "term." and "retire." when the directory of checkpoints
// is kept in order, "commit." when sinks show their output, "file." in the file sink, and "disk.change" at any change of a file.
func Points() []string {
	out := append([]string{pointDisk}, engine.Points...)
	out = append(out, snapshot.Points...)
	return append(out, file.FaultPoints...)
}

// errKilled is what everything fails with after the kill.
var errKilled = errors.New("killed by millracetest")

// killer lets a run die when it passes a point for the n-th time: from then on every point and every change of a file fails. What the run
// leaves behind is what a dead process would.
type killer struct {
	point string
	// pass is the pass at which the run dies; 0 is never.
	pass int

	mu struct {
		sync.Mutex
		passes  map[string]int
		decided int
		dead    bool
	}
}

func newKiller(point string, pass int) *killer {
	k := &killer{point: point, pass: pass}
	k.mu.passes = map[string]int{}
	return k
}

// world is the surroundings of a run on the disk.
func (k *killer) world(d disk) *env.Env {
	// With a disk behind it, state is moved there after each batch: small jobs would never need it.
	return &env.Env{Sched: task.NewSystem(), FS: fsx.Inject(d, k.file), Fault: k.hit, EvictAll: true, Strict: true}
}

func (k *killer) hit(point string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.mu.dead {
		k.mu.passes[point]++
		k.mu.dead = k.pass > 0 && point == k.point && k.mu.passes[point] == k.pass
	}
	if k.mu.dead {
		return fmt.Errorf("%w at %s", errKilled, k.point)
	}
	if point == snapshot.PointPublished {
		k.mu.decided++
	}
	return nil
}

// file lets reading and closing go on, so that the run can be cleared away.
func (k *killer) file(op fsx.Op) error {
	switch op.Kind {
	case fsx.OpCreate, fsx.OpRename, fsx.OpRemove, fsx.OpMkdir, fsx.OpSyncDir, fsx.OpWrite, fsx.OpSync, fsx.OpTruncate:
		return k.hit(pointDisk)
	}
	return nil
}

func (k *killer) died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.dead
}

// seen returns how often each point was passed, and how many epochs were decided.
func (k *killer) seen() (passes map[string]int, decided int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.passes, k.mu.decided
}

// dice are random bits from a seed (splitmix64).
type dice uint64

// Uint64 returns 64 random bits.
func (d *dice) Uint64() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.Uint64() % uint64(n)) }
