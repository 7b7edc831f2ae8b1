package millrace

import (
	"context"
	"fmt"

	"github.com/millrace-stream/millrace/internal/engine"
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

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("millrace: %w", err)
}
