package operator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
)

// sinkOp gives records to a writer.
type sinkOp[T any] struct {
	sink   connect.Sink[T]
	c      *Context
	writer connect.Writer[T]

	// holds says that records wait here until their epoch is decided, since the writer writes through and nothing may come twice.
	holds bool
	held  [][]T
	many  int64 // how many are held
	// gate lets one use the writer at a time: what is released is written beside the task.
	gate struct {
		sync.Mutex
		closed bool
	}
}

// heldMost is how many records of an epoch a sink holds before it asks for the end of the epoch.
const heldMost = 1 << 16

// NewSink returns an operator that writes to the sink.
func NewSink[T any](s connect.Sink[T]) Op { return &sinkOp[T]{sink: s} }

func (s *sinkOp[T]) Open(c *Context) error {
	s.c = c
	s.holds = c.Info.Delivery == connect.AtMostOnce && s.sink.Guarantee() == connect.AtLeastOnce
	w, err := s.sink.OpenWriter(c, c.Info)
	if err != nil {
		return fmt.Errorf("open writer: %w", err)
	}
	s.writer = w
	return nil
}

func (s *sinkOp[T]) Input(int) Receiver { return s }

func (s *sinkOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := int64(len(in.Records))
	var err error
	if s.holds {
		s.hold(in.Records)
	} else {
		err = s.writer.Write(s.c, in.Records)
	}
	in.Free()
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	s.c.Counters.In.Add(n)
	s.c.Counters.Out.Add(n)
	return nil
}

// hold keeps the records of a batch.
func (s *sinkOp[T]) hold(records []T) {
	before := s.many
	s.held = append(s.held, append([]T(nil), records...))
	s.many += int64(len(records))
	if before < heldMost && s.many >= heldMost {
		s.c.Task.RequestEpoch()
	}
}

func (s *sinkOp[T]) Watermark(int64) error { return nil }
func (s *sinkOp[T]) Idle() error           { return nil }

// Flush makes a write-through sink write through; the task calls it when it has nothing else to do.
func (s *sinkOp[T]) Flush() (bool, error) {
	if s.holds || s.sink.Guarantee() == connect.ExactlyOnce && s.c.Info.Delivery != connect.AtLeastOnce {
		return false, nil
	}
	if err := s.writer.Flush(s.c); err != nil {
		return false, fmt.Errorf("flush: %w", err)
	}
	return false, nil
}

func (s *sinkOp[T]) Freeze(epoch uint64) (Cut, error) {
	if s.holds {
		return Cut{Release: s.release()}, nil
	}
	f, err := s.writer.Prepare(s.c, epoch)
	if err != nil {
		return Cut{}, fmt.Errorf("prepare epoch %d: %w", epoch, err)
	}
	return Cut{Finish: f}, nil
}

// errClosed says that the task has ended before what it held could be written.
var errClosed = errors.New("the task has ended")

// release hands over what is held.
func (s *sinkOp[T]) release() func(context.Context) error {
	held := s.held
	s.held, s.many = nil, 0
	if len(held) == 0 {
		return nil
	}
	return func(ctx context.Context) error {
		s.gate.Lock()
		defer s.gate.Unlock()
		if s.gate.closed {
			return errClosed
		}
		for _, records := range held {
			if err := s.writer.Write(ctx, records); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		if err := s.writer.Flush(ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		return nil
	}
}

func (s *sinkOp[T]) Completed(uint64) {}

func (s *sinkOp[T]) Close() error {
	if s.writer == nil {
		return nil
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	s.gate.closed = true
	return s.writer.Close()
}
