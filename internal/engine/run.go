package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// Run runs a job until its input has ended, ctx is done, or it fails for good. When ctx is done it takes a last
// checkpoint, so that a later run goes on without repeating anything, and returns the cause.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	if err := cfg.Control.begin(); err != nil {
		return Summary{}, err
	}
	defer cfg.Control.end()
	e := env.From(ctx)
	if e.Plan != nil {
		if err := e.Plan(cfg.Graph); err != nil {
			return Summary{}, err
		}
	}
	store, err := openStore(e, cfg)
	if err != nil {
		return Summary{}, err
	}
	r := &runner{cfg: cfg, env: e, store: store, started: e.Sched.Now()}
	sum, err := r.run(ctx)
	return sum, errors.Join(err, store.Close())
}

func openStore(e *env.Env, cfg Config) (*snapshot.Store, error) {
	opts := []snapshot.Option{snapshot.Clock(e.Sched)}
	if cfg.Compress {
		opts = append(opts, snapshot.Compress())
	}
	if cfg.Dir == "" {
		return snapshot.NewMemory(cfg.Job, e.Hit, opts...)
	}
	return snapshot.OpenDir(e.FS, cfg.Dir, cfg.Job, e.Hit, opts...)
}

// runner is a run of a job: one attempt after the other.
type runner struct {
	cfg     Config
	env     *env.Env
	store   *snapshot.Store
	started time.Time
	// inRun counts the records that earlier attempts of this run have read.
	inRun int64
	// failedEpochs counts those that earlier attempts gave up.
	failedEpochs int64
	// starts counts the attempts since the last decided epoch, the running one included.
	starts int
	// cameFrom says that this run has begun at a savepoint.
	cameFrom bool
	// resumed says that this run went on from a checkpoint.
	resumed bool
}

func (r *runner) run(ctx context.Context) (Summary, error) {
	restarts, damaged := 0, uint64(0)
	for {
		r.starts++
		began := r.env.Sched.Now()
		a := &attempt{runner: r, mail: newMailbox(r.env.Sched.NewEvent()), group: task.NewGroup(r.env.Sched)}
		sum, err := a.run(ctx)
		if err == nil {
			return sum, nil
		}
		r.inRun, r.failedEpochs = sum.InRun, sum.Failed
		if a.progressed {
			r.starts = 0
		}
		switch {
		case ctx.Err() != nil:
			return sum, err
		case errors.Is(err, snapshot.ErrDamaged) && a.restored() > 0 && a.restored() != damaged:
			// The damage was found while reading state. The store knows of it now and offers the checkpoint before.
			damaged = a.restored()
			r.cfg.Log.Error("checkpoint is damaged, going back to the one before", "epoch", damaged, "error", err)
		case r.restartable(err):
			if a.progressed && (r.cfg.RestartReset == 0 || r.env.Sched.Now().Sub(began) >= r.cfg.RestartReset) {
				restarts = 0
			}
			if restarts >= r.cfg.Restarts {
				return sum, fmt.Errorf("gave up after %d restarts without a new checkpoint: %w", restarts, err)
			}
			backoff := r.backoff(restarts)
			restarts++
			r.cfg.Log.Error("job failed, starting again from its last checkpoint", "error", err, "restart", restarts, "in", backoff)
			if r.wait(ctx, backoff); ctx.Err() != nil {
				return sum, errors.Join(context.Cause(ctx), err)
			}
		default:
			return sum, err
		}
	}
}

// restartable reports whether the job may be started again because of the error.
func (r *runner) restartable(err error) bool {
	if r.cfg.Restarts == 0 {
		return false
	}
	_, left := errors.AsType[*abandonedError](err)
	_, budget := errors.AsType[*BudgetError](err)
	if left || budget {
		return false
	}
	return r.cfg.RestartAny || errors.Is(err, connect.ErrRetry)
}

// backoff returns the wait behind a number of restarts.
func (r *runner) backoff(restarts int) time.Duration {
	if r.cfg.RestartFixed {
		return r.cfg.Backoff
	}
	d := min(r.cfg.Backoff<<min(restarts, 30), r.cfg.MaxBackoff)
	if d < r.cfg.Backoff {
		return r.cfg.MaxBackoff // the shift has run over
	}
	return d
}

// wait returns after d, or soon after ctx is done.
func (r *runner) wait(ctx context.Context, d time.Duration) {
	ev := r.env.Sched.NewEvent() // nobody sets it
	for until := r.env.Sched.Now().Add(d); ctx.Err() == nil; {
		left := until.Sub(r.env.Sched.Now())
		if left <= 0 {
			return
		}
		ev.Wait(min(left, tick))
	}
}
