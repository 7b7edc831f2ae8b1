package millrace

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// ErrStopped is what Run returns, wrapped, when the job was stopped by Control.Stop. It goes on from its last checkpoint when it is run again.
var ErrStopped = engine.ErrStopped

// Control asks things of a running job, from other goroutines. Its zero value is ready; it is given to one Run, by Config.Control, and what is asked
// before the job runs waits for it. Its methods return when what they ask for is done, with an error when it cannot be, or with the cause of ctx when ctx
// is done; the job goes on with it then all the same. When the job has ended, they fail.
type Control struct{ c engine.Control }

// Savepoint lets the job write a savepoint into dir, a directory that is new or empty, and go on. A savepoint is a checkpoint that is complete in its
// directory and belongs to whoever asked for it: the job never changes or removes it. See Config.From for what can be done with it.
//
// It commits nothing in sinks: what they have been given until then, the job that it is taken of commits.
func (c *Control) Savepoint(ctx context.Context, dir string) error {
	return wrapped(c.c.Savepoint(ctx, dir))
}

// Stop ends the job with a last checkpoint, as the end of the context of Run does, and, if dir is not empty, with a savepoint of the same in dir. Windows
// stay open, for the next run. Run then returns ErrStopped.
func (c *Control) Stop(ctx context.Context, dir string) error {
	return wrapped(c.c.Stop(ctx, dir))
}

// Drain ends the input of the job where it is, as if there were no more: the final watermark fires all windows and timers, what comes of that is
// committed, and Run returns nil. The job has come to its end then, and does nothing when it is run again: what its sources still have is for
// another job, since the windows that have fired cannot take it any more.
func (c *Control) Drain(ctx context.Context) error { return wrapped(c.c.Drain(ctx)) }

// PlanAction is what a start would do with something that a checkpoint holds, or that the job has.
type PlanAction = engine.PlanAction

// The actions of a plan.
const (
	// PlanKeep: it goes on as it is.
	PlanKeep = engine.PlanKeep
	// PlanMigrate: its type has changed in a way that can be bridged. Fields that are new begin with their zero value, those that are gone are
	// forgotten, numbers become wider.
	PlanMigrate = engine.PlanMigrate
	// PlanDrop: it is given up, since Config.Drop says so.
	PlanDrop = engine.PlanDrop
	// PlanNew: the checkpoint does not have it, it begins with nothing.
	PlanNew = engine.PlanNew
	// PlanRefuse: the job does not start.
	PlanRefuse = engine.PlanRefuse
)

// PlanStep says what a start would do with an operator, or with one of its states.
type PlanStep = engine.PlanStep

// Plan says what a start of the job with cfg would do with the state in a savepoint or checkpoint, without starting or writing anything. Dir is the directory of a
// savepoint or of checkpoints; empty means Config.From or, without, Config.Checkpoint.Dir. The error is one of the job, of cfg, or of storage; that the
// start would be refused is none, but a step.
func (j *Job) Plan(cfg Config, dir string) ([]PlanStep, error) {
	if err := errors.Join(j.Validate(), cfg.Validate()); err != nil {
		return nil, err
	}
	v, err := planned(fsx.OS{}, j.Name(), cfg, dir)
	if err != nil {
		return nil, fmt.Errorf("millrace: plan: %w", err)
	}
	return engine.PlanRestore(&j.g, cfg.withDefaults().KeyGroups, v.Manifest, cfg.Drop), nil
}

// planned looks for the checkpoint that a plan is about.
func planned(files fsx.FS, job string, cfg Config, dir string) (*snapshot.View, error) {
	if dir = cmp.Or(dir, cfg.From, cfg.Checkpoint.Dir); dir == "" {
		return nil, errors.New("name the directory of a savepoint or of checkpoints")
	}
	v, err := snapshot.Look(files, dir, "", 0)
	if err == nil && (v.Savepoint || v.Manifest.Job == job) {
		return v, nil
	}
	return snapshot.Look(files, dir, job, 0) // of several jobs
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("millrace: %w", err)
}
