package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace-stream/millrace/connect"
)

// Sink collects records. It implements connect.Sink with the exactly-once guarantee: what a run has not committed is never
// seen, and what it has is kept when the job is run again with the same Sink.
type Sink[T any] struct {
	mu struct {
		sync.Mutex
		next      int
		prepared  map[int][]T
		committed []part[T]
	}
}

type part[T any] struct {
	ID      int
	Epoch   uint64
	records []T
}

// committable names what one writer has prepared.
type committable struct {
	ID int `json:"id"`
}

// NewSink returns an empty sink.
func NewSink[T any]() *Sink[T] {
	s := &Sink[T]{}
	s.mu.prepared = map[int][]T{}
	return s
}

// Records returns a copy of what has been committed, in the order of epochs and, within one, of subtasks.
func (s *Sink[T]) Records() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for _, p := range s.mu.committed {
		out = append(out, p.records...)
	}
	return out
}

// Guarantee returns connect.ExactlyOnce.
func (s *Sink[T]) Guarantee() connect.Guarantee { return connect.ExactlyOnce }

// OpenWriter returns the writer of a subtask.
func (s *Sink[T]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[T], error) {
	return &writer[T]{sink: s}, nil
}

// OpenCommitter returns the committer.
func (s *Sink[T]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return committer[T]{s}, nil
}

type writer[T any] struct {
	sink    *Sink[T]
	records []T
}

func (w *writer[T]) Write(_ context.Context, records []T) error {
	w.records = append(w.records, records...)
	return nil
}

func (w *writer[T]) Prepare(context.Context, uint64) (connect.Finish, error) {
	if len(w.records) == 0 {
		return nil, nil
	}
	records := w.records
	w.records = nil
	return func(context.Context) ([]byte, error) {
		s := w.sink
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.next++
		s.mu.prepared[s.mu.next] = records
		return json.Marshal(committable{s.mu.next})
	}, nil
}

func (w *writer[T]) Flush(context.Context) error { return nil }
func (w *writer[T]) Close() error                { return nil }

type committer[T any] struct{ *Sink[T] }

func (c committer[T]) Recover(ctx context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	c.mu.Lock()
	if epoch == 0 && len(c.mu.committed) > 0 {
		c.mu.Unlock()
		return nil, errNoCheckpoint
	}
	before := len(c.mu.committed)
	c.mu.committed = slices.DeleteFunc(c.mu.committed, func(p part[T]) bool { return p.Epoch > epoch })
	var notes []string
	if n := before - len(c.mu.committed); n > 0 {
		notes = append(notes, fmt.Sprintf("withdrew %d parts of epochs after %d", n, epoch))
	}
	c.mu.Unlock()
	if err := c.Commit(ctx, epoch, committables); err != nil {
		return notes, err
	}
	c.mu.Lock()
	clear(c.mu.prepared)
	c.mu.Unlock()
	return notes, nil
}

func (c committer[T]) Commit(_ context.Context, epoch uint64, committables [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range committables {
		var k committable
		if err := json.Unmarshal(b, &k); err != nil {
			return fmt.Errorf("memory: committable %q: %w", b, err)
		}
		records, ok := c.mu.prepared[k.ID]
		if !ok {
			if slices.ContainsFunc(c.mu.committed, func(p part[T]) bool { return p.ID == k.ID }) {
				continue
			}
			return fmt.Errorf("memory: part %d of epoch %d was neither prepared nor committed in this process: a memory sink does not survive it", k.ID, epoch)
		}
		delete(c.mu.prepared, k.ID)
		c.mu.committed = append(c.mu.committed, part[T]{ID: k.ID, Epoch: epoch, records: records})
	}
	return nil
}

func (c committer[T]) Close() error { return nil }
