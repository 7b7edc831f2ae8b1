package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Points are the fault points of the engine itself, in the order in which a start and then an epoch pass them.
var Points = []string{
	"recover.before", // before the committer of a sink is told what the restored checkpoint says
	"recover.after",
	"commit.before",  // the epoch is decided, no sink has committed
	"commit.between", // a sink has committed, the next has not
	"commit.after",
	"release.before",  // the epoch is decided, sinks still hold its output: in jobs that are at most once
	"release.between", // a subtask of a sink has written it, the next has not
	"release.after",
}

// OperatorError is how a job fails: which operator, where its records come from, and why.
type OperatorError struct {
	// Job and Operator are the stable ids; Subtask is the parallel instance.
	Job, Operator string
	Subtask       int
	// File and Line are where the job's code made the operator.
	File string
	Line int
	// Place says which records of which split were being handled, when the operator runs behind a source; else empty.
	Place string
	Err   error
}

// Error says everything on one line.
func (e *OperatorError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %s: operator %q (subtask %d", e.Job, e.Operator, e.Subtask)
	if e.File != "" {
		fmt.Fprintf(&b, ", made at %s:%d", e.File, e.Line)
	}
	fmt.Fprintf(&b, "): %v", e.Err)
	var re *connect.RecordError
	if e.Place != "" && !errors.As(e.Err, &re) {
		fmt.Fprintf(&b, " (while handling records from %s)", e.Place)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *OperatorError) Unwrap() error { return e.Err }

// Retryable reports whether the job may be restarted because of this error.
func (e *OperatorError) Retryable() bool { return errors.Is(e.Err, connect.ErrRetry) }

// PanicError is a panic of a user's function, or of an operator.
type PanicError = operator.PanicError

// protect turns a panic of f into its error.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}
