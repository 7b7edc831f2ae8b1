package window

import (
	"errors"
	"time"
)

// SessionByWindows is made by SessionBy.
type SessionByWindows[T any] struct{ gap func(T) time.Duration }

// SessionBy returns sessions of which each record says how long it keeps them open: a record r at t opens [t, t+gap(r)), and windows that
// touch or overlap become one. So a session ends when the records that it holds have all run out, which need not be the gap of
// the last one after it. The records of the stream must be of type T; gap must be a function of the record alone, and a
// record for which it is not greater than 0 fails the job.
func SessionBy[T any](gap func(r T) time.Duration) SessionByWindows[T] {
	return SessionByWindows[T]{gap: gap}
}

// Gap returns how long a record keeps its session open.
func (w SessionByWindows[T]) Gap(r T) time.Duration { return w.gap(r) }

// Spec returns what the assigner says, but for the function.
func (w SessionByWindows[T]) Spec() Spec { return Spec{Kind: KindSessionBy} }

// Check returns all mistakes, joined.
func (w SessionByWindows[T]) Check() error {
	if w.gap == nil {
		return errors.New("window: SessionBy: the function that returns the gap of a record is nil")
	}
	return nil
}

// String returns the call that makes w, without its function.
func (w SessionByWindows[T]) String() string { return w.Spec().String() }

func (SessionByWindows[T]) sealed() {}
