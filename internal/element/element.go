// Package element defines what travels between tasks: batches of records with their event times, watermarks, idleness
// and barriers. Nothing else does.
//
// The engine handles a Batch as one erased value; operators know that it is an *Of[T]. A batch is handed over, never
// shared: who has it may change it and must pass it on or free it.
//
// A watermark does not need an element of its own. Within a batch it stands as a Step: before record At, the watermark
// of the input has reached Time. So the moment at which a record is late is exact to the record, at any batch size, and
// the same after a restart.
package element

import (
	"math"
	"sync"
	"unsafe"
)

// NoTime is the watermark before anything is known. It is below every event time.
const NoTime = math.MinInt64

// EndTime is the watermark after the last record of bounded input.
const EndTime = math.MaxInt64

// Step says that the watermark is Time before the record with index At (or after the last one, when At is the length). Of
// several without a record between them only the last is kept: results must not depend on whether there were others.
type Step struct {
	Time int64
	At   int32
}

// Header is the part of a batch that does not depend on the record type. Times runs parallel to the records; so does
// Hashes, in batches that have passed a keyed exchange (it is nil or empty in others).
type Header struct {
	Times  []int64
	Hashes []uint64
	// Origins tells where the records come from. It is empty unless an operator has asked for it, see graph.Origins.
	Origins []Origin
	// Steps has rising At and rising Time.
	Steps []Step
}

// Origin is where a record comes from.
type Origin struct {
	// Split is shared by all records of a split.
	Split *SplitName
	// Record is the number of the record in its split, from 0.
	Record int64
	// Place is what the reader says about it.
	Place string
}

// SplitName names a split of a source.
type SplitName struct{ Source, Split string }

// Origin returns where record i comes from, or nil when that is not known.
func (h *Header) Origin(i int) *Origin {
	if i >= len(h.Origins) || h.Origins[i].Split == nil {
		return nil
	}
	return &h.Origins[i]
}

// Advance notes that the watermark is t after the first at records. Calls come with rising at and t.
func (h *Header) Advance(at int, t int64) {
	h.Steps = AppendStep(h.Steps, Step{Time: t, At: int32(at)})
}

// AppendStep appends a step, or replaces one at the same place. EndTime replaces none: what is due at the last watermark before
// the end must be seen to be due then, since some of what happens at the end differs.
func AppendStep(steps []Step, s Step) []Step {
	if n := len(steps); n > 0 && steps[n-1].At == s.At && s.Time != EndTime {
		steps[n-1] = s
		return steps
	}
	return append(steps, s)
}

// Batch is a batch whose record type is not known here.
type Batch interface {
	// Len returns the number of records.
	Len() int
	// Head returns the common part.
	Head() *Header
	// Clone returns a copy with slices of its own.
	Clone() Batch
	// Bytes estimates the memory held.
	Bytes() int
	// Free gives the batch back for reuse. Nobody may touch it afterwards.
	Free()
}

// Of is a batch of T.
type Of[T any] struct {
	Header
	Records []T
	pool    *Pool[T]
}

// Len returns the number of records.
func (b *Of[T]) Len() int { return len(b.Records) }

// Head returns the common part.
func (b *Of[T]) Head() *Header { return &b.Header }

// Add appends one record.
func (b *Of[T]) Add(v *T, t int64) {
	b.Records = append(b.Records, *v)
	b.Times = append(b.Times, t)
}

// Bytes estimates the memory that the records hold: their slots, times and hashes, and what the size function of the pool
// counts beyond.
func (b *Of[T]) Bytes() int {
	var z T
	n := len(b.Records) * (int(unsafe.Sizeof(z)) + 16)
	if b.pool != nil && b.pool.size != nil {
		for i := range b.Records {
			n += b.pool.size(&b.Records[i])
		}
	}
	return n
}

// Clone returns a copy from the same pool.
func (b *Of[T]) Clone() Batch {
	c := b.pool.Get()
	c.Records = append(c.Records, b.Records...)
	c.Times = append(c.Times, b.Times...)
	c.Hashes = append(c.Hashes, b.Hashes...)
	c.Origins = append(c.Origins, b.Origins...)
	c.Steps = append(c.Steps, b.Steps...)
	return c
}

// Free empties the batch and gives it back. Records are not zeroed: their strings live until the slot is used again.
func (b *Of[T]) Free() {
	b.Records = b.Records[:0]
	b.Times = b.Times[:0]
	b.Hashes = b.Hashes[:0]
	b.Origins = b.Origins[:0]
	b.Steps = b.Steps[:0]
	if b.pool != nil {
		b.pool.free.Put(b)
	}
}

// Pool hands out empty batches of T with room for a number of records.
type Pool[T any] struct {
	free     sync.Pool
	capacity int
	size     func(*T) int
}

// NewPool returns a pool of batches with room for capacity records.
func NewPool[T any](capacity int) *Pool[T] { return &Pool[T]{capacity: capacity} }

// Sized makes the batches count, beyond the slots, the bytes that size returns for a record; it may be nil. It returns p.
func (p *Pool[T]) Sized(size func(*T) int) *Pool[T] {
	p.size = size
	return p
}

// Capacity returns the number of records that a batch should hold.
func (p *Pool[T]) Capacity() int { return p.capacity }

// Get returns an empty batch.
func (p *Pool[T]) Get() *Of[T] {
	if b, ok := p.free.Get().(*Of[T]); ok {
		return b
	}
	return &Of[T]{
		Header:  Header{Times: make([]int64, 0, p.capacity)},
		Records: make([]T, 0, p.capacity),
		pool:    p,
	}
}

// Kind is the kind of an Element.
type Kind uint8

// The kinds of elements.
const (
	// KindBatch carries records and watermark steps.
	KindBatch Kind = iota + 1
	// KindWatermark says that the watermark of the input is Time.
	KindWatermark
	// KindIdle says that the input holds back no watermark until its next element.
	KindIdle
	// KindBarrier ends an epoch on this input.
	KindBarrier
)

// Barrier separates epoch Epoch from the next.
type Barrier struct {
	Epoch uint64
	// Final says that no record follows: the job ends with this epoch. Should it fail, another final barrier follows.
	Final bool
}

// Element is what an edge carries.
type Element struct {
	Batch Batch
	Time  int64
	// Bytes is the size of the batch; an edge sets it.
	Bytes   int
	Barrier Barrier
	Kind    Kind
}
