package operator

import (
	"fmt"

	"github.com/millrace-stream/millrace/internal/element"
)

// SideOutput is a side output as an operator has declared it.
type SideOutput interface {
	// Name is the name under which it is read.
	Name() string
	open(c *Context) sideOutput
}

// NewSideOutput returns a side output of records T.
func NewSideOutput[T any](name string, pool *element.Pool[T]) SideOutput {
	return sideOf[T]{name, pool}
}

// IsSideOutput reports whether the records of a side output are T.
func IsSideOutput[T any](s SideOutput) bool {
	_, ok := s.(sideOf[T])
	return ok
}

type sideOf[T any] struct {
	name string
	pool *element.Pool[T]
}

func (s sideOf[T]) Name() string { return s.name }

func (s sideOf[T]) open(c *Context) sideOutput {
	to := c.Outputs(s.name)
	if _, unread := to.(Void); unread {
		return sideOutput{name: s.name}
	}
	e := NewEmitter(s.pool, to, nil)
	return sideOutput{name: s.name, to: to, emit: e, typed: e}
}

// sideOutput is a side output of a running operator. Emit is nil when nobody reads it.
type sideOutput struct {
	name string
	to   Receiver
	emit sideEmitter
	// typed is the *Emitter of the records.
	typed any
	// mark is how many records there were before the call at hand, when it may have to be taken back.
	mark int
}

// sideEmitter is an Emitter of any type.
type sideEmitter interface {
	Advance(t int64)
	Flush() error
	Hold(on bool)
	Mark() int
	Cut(n int)
	Full() bool
}

type sideOutputs []sideOutput

func openSides(sides []SideOutput, c *Context) sideOutputs {
	out := make(sideOutputs, len(sides))
	for i, s := range sides {
		out[i] = s.open(c)
	}
	return out
}

// emitSide adds a record to a side output.
func emitSide[T any](s *sideOutputs, name string, r *T, t int64) error {
	for i := range *s {
		o := &(*s)[i]
		if o.name != name {
			continue
		}
		if o.emit == nil {
			return nil
		}
		e, ok := o.typed.(*Emitter[T])
		if !ok {
			return recordError(fmt.Errorf("side output %q is declared with another type than that of the record", name), t)
		}
		return e.Emit(r, t)
	}
	return recordError(fmt.Errorf("a record is put into the side output %q, which the operator has not declared: name it in SideOutputs", name), t)
}

func (s sideOutputs) advance(t int64) {
	for i := range s {
		if s[i].emit != nil {
			s[i].emit.Advance(t)
		}
	}
}

// hold makes full batches wait for flush, or not any more.
func (s sideOutputs) hold(on bool) {
	for i := range s {
		if s[i].emit != nil {
			s[i].emit.Hold(on)
		}
	}
}

// begin notes what there is before a call, and cut takes back what it has put out since.
func (s sideOutputs) begin() {
	for i := range s {
		if s[i].emit != nil {
			s[i].mark = s[i].emit.Mark()
		}
	}
}

func (s sideOutputs) cut() {
	for i := range s {
		if s[i].emit != nil {
			s[i].emit.Cut(s[i].mark)
		}
	}
}

// full reports whether it is time for flush.
func (s sideOutputs) full() bool {
	for i := range s {
		if s[i].emit != nil && s[i].emit.Full() {
			return true
		}
	}
	return false
}

func (s sideOutputs) flush() error {
	for i := range s {
		if s[i].emit != nil {
			if err := s[i].emit.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s sideOutputs) idle() error {
	for i := range s {
		if s[i].emit != nil {
			if err := s[i].to.Idle(); err != nil {
				return err
			}
		}
	}
	return nil
}
