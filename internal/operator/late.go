package operator

import (
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/window"
)

// lateOutput is where windows put the records that have missed some of them: those that have missed all, as they came, and, for who
// wants to know, each with the windows that it has missed.
type lateOutput[K comparable, T any] struct {
	records *Emitter[T]
	// missed is nil when nobody reads it.
	missed *Emitter[window.Missed[K, T]]
	spans  []window.Span // scratch
}

// newLateOutput returns the outputs "late" and "missed" of an operator.
func newLateOutput[K comparable, T any](c *Context, late *element.Pool[T], missed *element.Pool[window.Missed[K, T]]) *lateOutput[K, T] {
	l := &lateOutput[K, T]{records: NewEmitter(late, c.Outputs("late"), nil)}
	to := c.Outputs("missed")
	if _, unread := to.(Void); !unread && missed != nil {
		l.missed = NewEmitter(missed, to, nil)
	}
	return l
}

// named reports whether somebody reads which windows were missed.
func (l *lateOutput[K, T]) named() bool { return l.missed != nil }

// all puts out a record that has missed all of its windows.
func (l *lateOutput[K, T]) all(k *K, r *T, t int64, windows []window.Span) error {
	if err := l.records.Emit(r, t); err != nil {
		return err
	}
	return l.some(k, r, t, windows)
}

// some puts out which windows a record has missed.
func (l *lateOutput[K, T]) some(k *K, r *T, t int64, windows []window.Span) error {
	if l.missed == nil {
		return nil
	}
	return l.missed.Emit(&window.Missed[K, T]{Key: *k, Record: *r, Windows: window.SpansOf(windows...)}, t)
}

// Advance notes the watermark.
func (l *lateOutput[K, T]) Advance(t int64) {
	l.records.Advance(t)
	if l.missed != nil {
		l.missed.Advance(t)
	}
}

// Flush passes on what has been put out.
func (l *lateOutput[K, T]) Flush() error {
	if err := l.records.Flush(); err != nil || l.missed == nil {
		return err
	}
	return l.missed.Flush()
}

// Idle passes on that nothing holds the watermark.
func (l *lateOutput[K, T]) Idle() error {
	if err := l.records.to.Idle(); err != nil || l.missed == nil {
		return err
	}
	return l.missed.to.Idle()
}
