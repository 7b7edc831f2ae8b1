package reference

import (
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// killPoints are the steps of an epoch at which a run is killed: before and after the epoch is decided.
var killPoints = []string{
	snapshot.PointCreate, "commit.before", snapshot.PointManSync, snapshot.PointPublished, snapshot.PointSynced, snapshot.PointTermRename,
	snapshot.PointWrite, "commit.after", snapshot.PointNames, snapshot.PointTerm, snapshot.PointCopyRename, snapshot.PointDirSync, snapshot.PointRename,
}

// errKilled is what everything fails with after the kill.
var errKilled = errors.New("killed")

// killer makes a run die: at the first passing of a point after a number of decided epochs, that point and from then on every
// fault point and every change of a file fail. What the run leaves behind is what a dead process would.
type killer struct {
	point string
	after int

	mu struct {
		sync.Mutex
		decided int
		dead    bool
	}
}

// env is a world that dies. Reading and closing files goes on, so that the run can be cleared away.
func (k *killer) env() *env.Env {
	return &env.Env{Sched: task.NewSystem(), FS: fsx.Inject(fsx.OS{}, k.file), Fault: k.fault}
}

func (k *killer) fault(point string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if point == k.point && k.mu.decided >= k.after {
		k.mu.dead = true
	}
	if k.mu.dead {
		return fmt.Errorf("%w at %s after %d decided epochs", errKilled, k.point, k.mu.decided)
	}
	if point == snapshot.PointPublished {
		k.mu.decided++
	}
	return nil
}

func (k *killer) file(op fsx.Op) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch op.Kind {
	case fsx.OpCreate, fsx.OpRename, fsx.OpRemove, fsx.OpMkdir, fsx.OpSyncDir, fsx.OpWrite, fsx.OpSync, fsx.OpTruncate:
		if k.mu.dead {
			return errKilled
		}
	}
	return nil
}

// died returns the number of epochs that were decided before the kill, and whether there was one.
func (k *killer) died() (decided int, dead bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.decided, k.mu.dead
}
