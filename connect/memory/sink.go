package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-stream/millrace/connect"
)

// Sink collects records. It implements connect.Sink with the exactly-once guarantee: what a run has not committed is never
// seen, and what it has is kept when the job is run again with the same Sink. In a job that is at least once, records are seen as soon as they are written.
//
// Several jobs may write to one Sink. What one of them goes back behind, it withdraws from its own records.
type Sink[T any] struct {
	mu struct {
		sync.Mutex
		next      int
		prepared  map[int]prepared[T]
		committed []part[T]
	}
}

type part[T any] struct {
	ID      int
	Owner   string
	Epoch   uint64 // 0 for what was seen before any decision, and is never withdrawn
	records []T
}

// prepared is what a writer has prepared and nobody has committed.
type prepared[T any] struct {
	owner   string
	records []T
}

// committable names what one writer has prepared.
type committable struct {
	ID int `json:"id"`
}

// NewSink returns an empty sink.
func NewSink[T any]() *Sink[T] {
	s := &Sink[T]{}
	s.mu.prepared = map[int]prepared[T]{}
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
func (s *Sink[T]) OpenWriter(_ context.Context, info connect.SinkInfo) (connect.Writer[T], error) {
	return &writer[T]{sink: s, owner: owner(info), through: info.Delivery == connect.AtLeastOnce}, nil
}

// owner names the sink of a job.
func owner(info connect.SinkInfo) string { return info.Job + "/" + info.Operator }

// OpenCommitter returns the committer.
func (s *Sink[T]) OpenCommitter(_ context.Context, info connect.SinkInfo) (connect.Committer, error) {
	return committer[T]{s, owner(info), info.Delivery == connect.AtLeastOnce}, nil
}

type writer[T any] struct {
	sink    *Sink[T]
	owner   string
	through bool // records are seen at once
	records []T
}

func (w *writer[T]) Write(_ context.Context, records []T) error {
	if w.through {
		s := w.sink
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.committed = append(s.mu.committed, part[T]{Owner: w.owner, records: slices.Clone(records)})
		return nil
	}
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
		s.mu.prepared[s.mu.next] = prepared[T]{w.owner, records}
		return json.Marshal(committable{s.mu.next})
	}, nil
}

func (w *writer[T]) Flush(context.Context) error { return nil }
func (w *writer[T]) Close() error                { return nil }

type committer[T any] struct {
	*Sink[T]
	owner   string
	through bool
}

func (c committer[T]) Recover(ctx context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	c.mu.Lock()
	mine := func(p part[T]) bool { return p.Owner == c.owner }
	if epoch == 0 && !c.through && slices.ContainsFunc(c.mu.committed, mine) {
		c.mu.Unlock()
		return nil, errNoCheckpoint
	}
	before := len(c.mu.committed)
	c.mu.committed = slices.DeleteFunc(c.mu.committed, func(p part[T]) bool { return mine(p) && p.Epoch > epoch })
	var notes []string
	if n := before - len(c.mu.committed); n > 0 {
		notes = append(notes, fmt.Sprintf("withdrew %d parts of epochs after %d", n, epoch))
	}
	c.mu.Unlock()
	if err := c.Commit(ctx, epoch, committables); err != nil {
		return notes, err
	}
	c.mu.Lock()
	maps.DeleteFunc(c.mu.prepared, func(_ int, p prepared[T]) bool { return p.owner == c.owner })
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
		p, ok := c.mu.prepared[k.ID]
		if !ok {
			if slices.ContainsFunc(c.mu.committed, func(p part[T]) bool { return p.ID == k.ID }) {
				continue
			}
			return fmt.Errorf("memory: part %d of epoch %d was neither prepared nor committed in this process: a memory sink does not survive it", k.ID, epoch)
		}
		delete(c.mu.prepared, k.ID)
		c.mu.committed = append(c.mu.committed, part[T]{ID: k.ID, Owner: c.owner, Epoch: epoch, records: p.records})
	}
	return nil
}

// Count implements connect.Counter.
func (c committer[T]) Count(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.mu.committed {
		if p.Owner == c.owner {
			n += len(p.records)
		}
	}
	return int64(n), nil
}

func (c committer[T]) Close() error { return nil }
