package operator

import (
	"fmt"
	"time"
)

// UserError is an error that a user's function returned, with the record's event time.
type UserError struct {
	EventTime int64
	Err       error
}

// Error says what failed at which event time.
func (e *UserError) Error() string {
	return fmt.Sprintf("record with event time %s: %v", time.Unix(0, e.EventTime).UTC().Format(time.RFC3339Nano), e.Err)
}

// Unwrap returns the cause.
func (e *UserError) Unwrap() error { return e.Err }

func recordError(err error, t int64) error { return &UserError{EventTime: t, Err: err} }

// resultError is an aggregate that has no result.
func resultError[K any](err error, k *K, start, end int64) error {
	return fmt.Errorf("window [%s, %s) of key %v: %w",
		timeOf(start).Format(time.RFC3339Nano), timeOf(end).Format(time.RFC3339Nano), *k, err)
}

// PanicError is a panic of a user's function, or of an operator.
type PanicError struct {
	Value any
	Stack []byte
}

// Error gives the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }
