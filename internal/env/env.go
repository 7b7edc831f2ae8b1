// Package env carries what the engine takes from its surroundings: scheduler, clock, files, fault points.
//
// It travels in the context given to Run, so that tests and the simulator replace the world of a job without a word of
// it in the public API.
package env

import (
	"context"

	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/task"
)

// Env is the world of a job.
type Env struct {
	// Sched starts tasks and tells the time.
	Sched task.Scheduler
	// FS is where checkpoints and files live.
	FS fsx.FS
	// Fault is called at every named fault point with its name; nil in production. It may return an error, which the
	// point reports as its own failure, or never return.
	Fault func(point string) error
	// StateFault is called before each operation on a file that keyed state is kept in beside memory, with its kind and the file; nil in
	// production. What it returns is the outcome.
	StateFault func(op, file string) error
	// EvictAll makes keyed state with a disk behind it move everything there after each batch: results must not show it.
	EvictAll bool
	// Strict makes a job fail when its ledger does not balance, which is only told of in production.
	Strict bool
	// Plan, if set, is given the graph of a job that is about to run; its error ends the run. So a test takes an operator
	// as the API made it, and drives it by itself.
	Plan func(*graph.Graph) error
}

type key struct{}

// With returns a context that carries e.
func With(ctx context.Context, e *Env) context.Context { return context.WithValue(ctx, key{}, e) }

// From returns the surroundings that ctx carries, or those of production.
func From(ctx context.Context) *Env {
	if e, ok := ctx.Value(key{}).(*Env); ok {
		return e
	}
	return &Env{Sched: task.NewSystem(), FS: fsx.OS{}}
}

// Hit passes the named fault point.
func (e *Env) Hit(point string) error {
	if e.Fault == nil {
		return nil
	}
	return e.Fault(point)
}
