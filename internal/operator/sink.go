package operator

import (
	"fmt"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
)

// sinkOp gives records to a writer.
type sinkOp[T any] struct {
	sink   connect.Sink[T]
	c      *Context
	writer connect.Writer[T]
}

// NewSink returns an operator that writes to the sink.
func NewSink[T any](s connect.Sink[T]) Op { return &sinkOp[T]{sink: s} }

func (s *sinkOp[T]) Open(c *Context) error {
	s.c = c
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
	err := s.writer.Write(s.c, in.Records)
	in.Free()
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	s.c.Counters.In.Add(n)
	s.c.Counters.Out.Add(n)
	return nil
}

func (s *sinkOp[T]) Watermark(int64) error { return nil }
func (s *sinkOp[T]) Idle() error           { return nil }

// Flush makes a write-through sink write through; the task calls it when it has nothing else to do.
func (s *sinkOp[T]) Flush() (bool, error) {
	if s.sink.Guarantee() == connect.ExactlyOnce {
		return false, nil
	}
	if err := s.writer.Flush(s.c); err != nil {
		return false, fmt.Errorf("flush: %w", err)
	}
	return false, nil
}

func (s *sinkOp[T]) Freeze(epoch uint64) (Cut, error) {
	f, err := s.writer.Prepare(s.c, epoch)
	if err != nil {
		return Cut{}, fmt.Errorf("prepare epoch %d: %w", epoch, err)
	}
	return Cut{Finish: f}, nil
}

func (s *sinkOp[T]) Completed(uint64) {}

func (s *sinkOp[T]) Close() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.Close()
}
