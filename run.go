package millrace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/operator"
)

// OperatorError is how a running job fails: which operator, made where, with which records, and why. Use errors.As.
type OperatorError = engine.OperatorError

// PanicError is the cause of an OperatorError when a function of the job panicked.
type PanicError = engine.PanicError

// BudgetError is how a job fails when its FailureBudget is used up.
type BudgetError = engine.BudgetError

// BlockedError is the cause of an OperatorError when an operator has not returned for too long: see WatchdogConfig.
type BlockedError = engine.BlockedError

// ImbalanceError says which records the ledger of an epoch did not account for: see Status.Imbalance. Jobs fail with it in tests with millracetest.
type ImbalanceError = engine.ImbalanceError

// Run runs a job until its input has ended, ctx is done, or it fails.
//
// It checks job and configuration first and returns all mistakes together. It then goes on from the newest checkpoint in
// Checkpoint.Dir, if there is one. A checkpoint that is damaged is passed over for the one before, with a warning; one
// that is missing although there was one is an error, and so is one of another job.
//
// When ctx is done, Run takes a last checkpoint, commits it, and returns the cause of ctx: a later run goes on there. When the
// input has ended, all windows fire, the last epoch is committed, and Run returns nil; running such a job again does nothing.
func Run(ctx context.Context, job *Job, cfg Config) error {
	if err := errors.Join(job.Validate(), cfg.Validate()); err != nil {
		return err
	}
	if err := job.checkReplay(cfg.Replay); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	sum, err := engine.Run(ctx, cfg.engine(job))
	if cfg.Observe != nil {
		s := status(sum.Status)
		s.Ended, s.Finished = true, sum.Finished
		cfg.Observe(s)
	}
	if err != nil {
		return fmt.Errorf("millrace: %w", err)
	}
	return nil
}

func status(e engine.Status) Status {
	s := Status{
		In: e.In, Out: e.Out, Late: e.Late, LateWindows: e.LateWindows, Ahead: e.Ahead, Filtered: e.Filtered,
		Duplicates: e.Duplicates, Conflicts: e.Conflicts, Misses: e.Misses, Skipped: e.Skipped, DeadLettered: e.DeadLettered,
		Dropped: e.Dropped, OutOfRange: e.OutOfRange, Warnings: e.Warnings,
		BytesRead: e.BytesRead, BytesTotal: e.BytesTotal, OpenWindows: e.OpenWindows,
		Epoch: e.Epoch, EpochTime: e.EpochTime, BarrierPause: e.BarrierPause, Epochs: e.Epochs, FailedEpochs: e.Failed, Restarts: e.Restarts,
		Elapsed: e.Elapsed, InRun: e.InRun, Operators: e.Operators, Held: e.Held, Imbalance: e.Imbalance, State: e.State, InputEnded: e.Watermark == element.EndTime,
	}
	if e.Watermark > element.NoTime && e.Watermark < element.EndTime && e.In > 0 {
		s.Watermark = operator.Time(e.Watermark)
	}
	if e.Newest != 0 {
		s.EventTime = operator.Time(e.Newest)
	}
	if s.InputEnded {
		s.Watermark = time.Time{}
	}
	return s
}
