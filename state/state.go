// Package state holds the states that a processor keeps for each key: Value, List, Map and Reducing, and Broadcast for what
// is the same for all keys.
//
// A processor is a struct. Its states are fields, which the factory declares from the Set that it is given:
//
//	type velocity struct {
//		total  *state.Value[int64]
//		recent *state.List[Payment]
//		seen   *state.Map[string, time.Time]
//		mean   *state.Reducing[Payment, float64]
//	}
//
//	func newVelocity(s *state.Set[string]) *velocity {
//		return &velocity{
//			total:  s.Value[int64]("total"),
//			recent: s.List[Payment]("recent", state.ExpireAfter(time.Hour)),
//			seen:   s.Map[string, time.Time]("seen", state.ExpireAfter(24*time.Hour).OnRead()),
//			mean:   s.Reducing("mean", agg.Mean(Payment.Euro)),
//		}
//	}
//
//	func (v *velocity) Record(c *millrace.Call[string, Alert], p Payment) error {
//		*v.total.Ref() += p.Cents
//		v.recent.Append(p)
//		...
//	}
//
// The methods of a state speak of the key at hand, that of the record or timer that the processor is called for; they may be called during
// such a call only. What they hold is in the checkpoints of the job, and comes back after a crash, at any parallelism. The names
// and types of the states are compared at a restore, and a job in which they have changed is refused.
//
// Types must be such that package codec can encode them; those of map entries' keys such that they could be keys of a stream. Other
// mistakes are a name that is given twice, or a time to live of event time on a stream that has none. All of them are reported by
// Job.Validate.
//
// What Get and All return must not be changed in place where it refers to other memory, such as a slice: nothing would know that it has to
// be saved. Ref is for that.
package state

import (
	"iter"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/internal/keyed/states"
)

// Set is where the factory of a processor declares its states. K is the type of the keys.
type Set[K comparable] struct{ r *states.Registry[K] }

// NewSet is for the engine: jobs are given a Set.
func NewSet[K comparable](r *states.Registry[K]) *Set[K] { return &Set[K]{r} }

// TTL says when a value, or an entry of a map or list, is forgotten.
type TTL struct{ t states.TTL }

// ExpireAfter lets a value, or each entry of a map or list by itself, be forgotten d after it was last written: when the watermark
// reaches the event time of that record or timer + d. An expired value is never seen. It leaves memory at most a sixteenth of d later.
//
// Ref counts as writing. The event time that counts is the largest at which it was written, so a record that comes late does not shorten a life; one that is
// later than d writes nothing that can be seen.
func ExpireAfter(d time.Duration) TTL { return TTL{states.TTL{For: int64(d), Set: true}} }

// ProcessingTime measures by the clock of the machine, and not by event time. What is seen then depends on when records are handled.
func (t TTL) ProcessingTime() TTL {
	t.t.Processing = true
	return t
}

// OnRead lets reading count like writing: what is looked at lives on.
func (t TTL) OnRead() TTL {
	t.t.Reads = true
	return t
}

// Spec is for the engine.
func (t TTL) Spec() states.TTL { return t.t }

// spec returns the one TTL of a declaration.
func spec(ttl []TTL) states.TTL {
	switch len(ttl) {
	case 0:
		return states.TTL{}
	case 1:
		return ttl[0].t
	}
	return states.TTL{Set: true, Many: true}
}

// Value is one value for each key.
type Value[T any] struct{ v value[T] }

// value is a states.Value for any type of key.
type value[T any] interface {
	Get() *T
	Ref() *T
	Set(x T)
	Clear()
}

// Value declares a value. The name is its name in checkpoints. There is at most one ttl.
func (s *Set[K]) Value[T any](name string, ttl ...TTL) *Value[T] {
	return &Value[T]{states.NewValue[T](s.r, name, states.Section(name), spec(ttl))}
}

// Get returns the value; ok is false, and the value zero, when there is none.
func (v *Value[T]) Get() (x T, ok bool) {
	if p := v.v.Get(); p != nil {
		return *p, true
	}
	return x, false
}

// Ref returns the value for changing it, a zero one if there was none. What is changed through the pointer during the call is saved. The
// pointer is valid until the call ends or Clear is called.
func (v *Value[T]) Ref() *T { return v.v.Ref() }

// Set replaces the value.
func (v *Value[T]) Set(x T) { v.v.Set(x) }

// Clear forgets the value.
func (v *Value[T]) Clear() { v.v.Clear() }

// List is a list for each key, in the order in which elements were added. Each element has its own place in checkpoints, so adding one to
// a long list costs what it costs with a short one.
type List[T any] struct{ l list[T] }

// list is a states.List for any type of key.
type list[T any] interface {
	Append(x T)
	Len() int
	All() iter.Seq[*T]
	DropFirst(n int)
	Clear()
}

// List declares a list. The name is its name in checkpoints. There is at most one ttl; each element has its own life.
func (s *Set[K]) List[T any](name string, ttl ...TTL) *List[T] {
	return &List[T]{states.NewList[T](s.r, name, states.Section(name), spec(ttl))}
}

// Append adds an element at the end.
func (l *List[T]) Append(x T) { l.l.Append(x) }

// Len returns the number of elements.
func (l *List[T]) Len() int { return l.l.Len() }

// All returns the elements, the oldest first. The list may be changed meanwhile: what is removed is left out, what is added may come or not.
func (l *List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for p := range l.l.All() {
			if !yield(*p) {
				return
			}
		}
	}
}

// DropFirst removes the n oldest elements, or all if there are fewer.
func (l *List[T]) DropFirst(n int) { l.l.DropFirst(n) }

// Clear removes all elements.
func (l *List[T]) Clear() { l.l.Clear() }

// Map is a map for each key of the stream, from E to T. Each entry has its own place in checkpoints: a change to one does not write the
// others again.
type Map[E comparable, T any] struct{ m mapping[E, T] }

// mapping is a states.Map for any type of key.
type mapping[E comparable, T any] interface {
	Get(e E) *T
	Ref(e E) *T
	Set(e E, x T)
	Delete(e E)
	Len() int
	All() iter.Seq2[E, *T]
	Clear()
}

// Map declares a map. The name is its name in checkpoints. There is at most one ttl; each entry has its own life.
func (s *Set[K]) Map[E comparable, T any](name string, ttl ...TTL) *Map[E, T] {
	return &Map[E, T]{states.NewMap[E, T](s.r, name, states.Section(name), spec(ttl))}
}

// Get returns the value of an entry; ok is false, and the value zero, when there is none.
func (m *Map[E, T]) Get(e E) (x T, ok bool) {
	if p := m.m.Get(e); p != nil {
		return *p, true
	}
	return x, false
}

// Ref returns the value of an entry for changing it, a zero one if there was none. What is changed through the pointer is saved. The pointer is
// valid until the map is changed, or the call ends.
func (m *Map[E, T]) Ref(e E) *T { return m.m.Ref(e) }

// Set sets the value of an entry.
func (m *Map[E, T]) Set(e E, x T) { m.m.Set(e, x) }

// Delete removes an entry.
func (m *Map[E, T]) Delete(e E) { m.m.Delete(e) }

// Len returns the number of entries. With a time to live it looks at each.
func (m *Map[E, T]) Len() int { return m.m.Len() }

// All returns the entries in the order of their encoded keys: numbers and times by size, strings by bytes. The map may be changed meanwhile: what is
// removed is left out, what is added may come or not.
func (m *Map[E, T]) All() iter.Seq2[E, T] {
	return func(yield func(E, T) bool) {
		for e, p := range m.m.All() {
			if !yield(e, *p) {
				return
			}
		}
	}
}

// Clear removes all entries.
func (m *Map[E, T]) Clear() { m.m.Clear() }

// Reducing is an accumulator for each key: records of type T go in, a result of type R comes out.
type Reducing[T, R any] struct{ r reducing[T, R] }

// reducing is a states.Reducing for any type of key and accumulator.
type reducing[T, R any] interface {
	Add(x T) error
	Get() (R, bool, error)
	Clear()
}

// Reducing declares an accumulator of the aggregator with, one of package agg or an own one. The name is its name in checkpoints. There is at
// most one ttl.
func (s *Set[K]) Reducing[T, A, R any](name string, with agg.Aggregator[T, A, R], ttl ...TTL) *Reducing[T, R] {
	return &Reducing[T, R]{states.NewReducing(s.r, name, states.Section(name), with, spec(ttl))}
}

// Add adds a record. The error is that of the aggregator, for records that it refuses.
func (r *Reducing[T, R]) Add(x T) error { return r.r.Add(x) }

// Get returns the result so far; ok is false when nothing has been added. The error is that of the aggregator, when there is no
// result.
func (r *Reducing[T, R]) Get() (result R, ok bool, err error) { return r.r.Get() }

// Clear forgets what has been added.
func (r *Reducing[T, R]) Clear() { r.r.Clear() }

// Broadcast is a map that does not depend on the key at hand: the records of a broadcast stream fill it, and all subtasks have all of it. It
// can be changed in calls for such records only; an attempt to do so in another fails the job.
type Broadcast[E comparable, T any] struct{ t *states.Table[E, T] }

// Broadcast declares such a map, for processors of ProcessBroadcast. The name is its name in checkpoints.
func (s *Set[K]) Broadcast[E comparable, T any](name string) *Broadcast[E, T] {
	return &Broadcast[E, T]{states.NewTable[E, T](s.r, name, states.Section(name))}
}

// Get returns the value of an entry; ok is false, and the value zero, when there is none.
func (b *Broadcast[E, T]) Get(e E) (x T, ok bool) { return b.t.Get(e) }

// Set sets the value of an entry.
func (b *Broadcast[E, T]) Set(e E, x T) { b.t.Set(e, x) }

// Delete removes an entry.
func (b *Broadcast[E, T]) Delete(e E) { b.t.Delete(e) }

// Len returns the number of entries.
func (b *Broadcast[E, T]) Len() int { return b.t.Len() }

// All returns the entries as they are now, in the order of their encoded keys.
func (b *Broadcast[E, T]) All() iter.Seq2[E, T] { return b.t.All() }
