package operator

import (
	"fmt"

	"github.com/millrace-stream/millrace/internal/element"
)

// splitOp sends each record to one of several outputs.
type splitOp[T any] struct {
	c     *Context
	sides []string
	rest  string
	pool  *element.Pool[T]
	route func(*T) int

	out []*Emitter[T] // by index of sides; that of the rest, if it is read, comes last
}

// NewSplit returns an operator that sends each record to the output that route says: an index of sides, or -1 for the output rest.
// Without a rest, which is then empty, such a record is an error: it would be lost.
func NewSplit[T any](pool *element.Pool[T], sides []string, rest string, route func(*T) int) Op {
	return &splitOp[T]{pool: pool, sides: sides, rest: rest, route: route}
}

func (s *splitOp[T]) Open(c *Context) error {
	s.c = c
	for _, side := range s.sides {
		s.out = append(s.out, NewEmitter(s.pool, c.Outputs(side), &c.Counters.Out))
	}
	if s.rest != "" {
		s.out = append(s.out, NewEmitter(s.pool, c.Outputs(s.rest), &c.Counters.Out))
	}
	return nil
}

func (s *splitOp[T]) Input(int) Receiver { return s }

// Process sends the records of a batch on their ways. All outputs see every watermark, each before the first of its records behind it.
func (s *splitOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	s.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) == i; step++ {
			s.advance(in.Steps[step].Time)
		}
		r, t := &in.Records[i], in.Times[i]
		to := s.route(r)
		if to < 0 {
			if s.rest == "" {
				return recordError(fmt.Errorf("the record is of no branch that is read: %+v: add the branch, or read Rest", *r), t)
			}
			to = len(s.sides)
		}
		if err := s.out[to].EmitFrom(r, t, in.Origin(i)); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		s.advance(in.Steps[step].Time)
	}
	for _, e := range s.out {
		if err := e.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitOp[T]) advance(t int64) {
	for _, e := range s.out {
		e.Advance(t)
	}
}

func (s *splitOp[T]) Watermark(t int64) error {
	for _, e := range s.out {
		if err := e.to.Watermark(t); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitOp[T]) Idle() error {
	for _, e := range s.out {
		if err := e.to.Idle(); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitOp[T]) Freeze(uint64) (Cut, error) { return Cut{}, nil }
func (s *splitOp[T]) Completed(uint64)           {}
func (s *splitOp[T]) Close() error               { return nil }
