// Package exchange moves elements between tasks: bounded edges, the inbox of a task, and the partitioning of records by
// key.
//
// Backpressure is a full edge: the producer waits, and its own inputs fill, up to the source, which stops reading.
package exchange

import (
	"errors"
	"sync"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/task"
)

// ErrCancelled is returned by operations that waited when their task was told to end.
var ErrCancelled = errors.New("exchange: task cancelled")

// Limits bounds what an edge holds. A batch is accepted while the edge is below both limits, so it may exceed each by
// one batch.
type Limits struct {
	Records int
	Bytes   int
}

// maxElements bounds the elements without records (watermarks) on an edge.
const maxElements = 1024

// Edge is a bounded queue from one task to another. One task pushes, one pops.
type Edge struct {
	limits   Limits
	producer *Waiter
	consumer task.Event

	mu struct {
		sync.Mutex
		ring    []element.Element
		head    int
		count   int
		records int
		bytes   int
		// starved says that the producer found the edge full and waits.
		starved bool
	}
}

// Waiter is the producing task as its edges see it: how to wait for room, and when to give up.
type Waiter struct {
	Event task.Event
	// Cancelled reports whether the task must end.
	Cancelled func() bool
	// Blocked, if set, is told when the producer begins and ends to wait for room.
	Blocked func(blocked bool)
}

// NewEdge returns an empty edge.
func NewEdge(l Limits, producer *Waiter, consumer task.Event) *Edge {
	e := &Edge{limits: l, producer: producer, consumer: consumer}
	e.mu.ring = make([]element.Element, 16)
	return e
}

// Push appends an element and waits while the edge is full. It returns ErrCancelled when the producer must end.
func (e *Edge) Push(el element.Element) error {
	if el.Batch != nil {
		el.Bytes = el.Batch.Bytes()
	}
	if e.tryPush(el) {
		return nil
	}
	if e.producer.Blocked != nil {
		e.producer.Blocked(true)
		defer e.producer.Blocked(false)
	}
	for {
		if e.producer.Cancelled() {
			if el.Batch != nil {
				el.Batch.Free()
			}
			return ErrCancelled
		}
		e.producer.Event.Wait(task.Forever)
		if e.tryPush(el) {
			// The task has one event for all that it waits for: these waits may have used up the wake-up of an input or of a
			// command. Its next wait returns at once, so it looks at everything again before it rests.
			e.producer.Event.Set()
			return nil
		}
	}
}

func (e *Edge) tryPush(el element.Element) bool {
	records := 0
	if el.Batch != nil {
		records = el.Batch.Len()
	}
	e.mu.Lock()
	if e.mu.count > 0 && (e.mu.records >= e.limits.Records || e.mu.bytes >= e.limits.Bytes || e.mu.count >= maxElements) {
		e.mu.starved = true
		e.mu.Unlock()
		return false
	}
	if e.mu.count == len(e.mu.ring) {
		e.grow()
	}
	e.mu.ring[(e.mu.head+e.mu.count)%len(e.mu.ring)] = el
	e.mu.count++
	e.mu.records += records
	e.mu.bytes += el.Bytes
	wasEmpty := e.mu.count == 1
	e.mu.Unlock()
	if wasEmpty {
		e.consumer.Set()
	}
	return true
}

// grow doubles the ring. The lock is held.
func (e *Edge) grow() {
	bigger := make([]element.Element, 2*len(e.mu.ring))
	for i := range e.mu.count {
		bigger[i] = e.mu.ring[(e.mu.head+i)%len(e.mu.ring)]
	}
	e.mu.ring, e.mu.head = bigger, 0
}

// Pop takes the oldest element; ok is false when there is none.
func (e *Edge) Pop() (el element.Element, ok bool) {
	e.mu.Lock()
	if e.mu.count == 0 {
		e.mu.Unlock()
		return element.Element{}, false
	}
	el = e.mu.ring[e.mu.head]
	e.mu.ring[e.mu.head] = element.Element{}
	e.mu.head = (e.mu.head + 1) % len(e.mu.ring)
	e.mu.count--
	if el.Batch != nil {
		e.mu.records -= el.Batch.Len()
		e.mu.bytes -= el.Bytes
	}
	// Wake a waiting producer when half of the room is free: waking it for each batch would switch goroutines for
	// each batch. Below half it always finds room, so no producer waits for ever.
	wake := e.mu.starved && 2*e.mu.records <= e.limits.Records && 2*e.mu.bytes <= e.limits.Bytes && 2*e.mu.count <= maxElements
	if wake {
		e.mu.starved = false
	}
	e.mu.Unlock()
	if wake {
		e.producer.Event.Set()
	}
	return el, true
}

// Len returns the number of records and bytes held, for reports.
func (e *Edge) Len() (records, bytes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.records, e.mu.bytes
}
