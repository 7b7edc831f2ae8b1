package operator

import (
	"slices"
	"sort"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// Held is a record of one side of a join that waits for records of the other.
type Held[T any] struct {
	// At is the event time.
	At int64
	// Matched says that a partner has come. It is kept only where records without one leave.
	Matched bool
	Record  T
}

// HeldList are the records of a key on one side, by event time and then by arrival.
type HeldList[T any] struct {
	List []Held[T]
	// Wake is the time of the key's entry in the queue, if Queued. Both are made anew after a restore.
	Wake   int64
	Queued bool
}

// after returns the index of the first record at t or later.
func (l *HeldList[T]) after(t int64) int {
	return sort.Search(len(l.List), func(i int) bool { return l.List[i].At >= t })
}

// insert puts a record behind those of its time. Records that come in order are appended.
func (l *HeldList[T]) insert(h Held[T]) {
	at := len(l.List)
	if at > 0 && l.List[at-1].At > h.At {
		at = l.after(h.At + 1)
	}
	l.List = slices.Insert(l.List, at, h)
}

// drop removes the first n records. Where they are more than those that stay, the rest moves to the front: so a list that is filled and
// emptied keeps its memory. Otherwise theirs goes when the list grows the next time.
func (l *HeldList[T]) drop(n int) {
	if left := len(l.List) - n; left <= n {
		copy(l.List, l.List[n:])
		clear(l.List[left:])
		l.List = l.List[:left]
		return
	}
	clear(l.List[:n])
	l.List = l.List[n:]
}

// SideConfig describes one side of a join.
type SideConfig[K comparable, T any] struct {
	Key   func(*T) K
	Value codec.Codec[HeldList[T]]
	// Keep gives a record memory of its own; nil if it has that anyway. Give does so for a record that leaves while the original
	// stays; nil if the two cannot disturb each other.
	Keep, Give func(*T)
	// Outer says that records without a partner leave too.
	Outer bool
	// LatePool is for records that come too late.
	LatePool *element.Pool[T]
}

// sideState is what a join keeps of one side.
//
// The records of a key are one value, a list by event time: partners are found by binary search, and what has expired is a prefix.
// Each key has one entry in a heap, as in sessionOp: the watermark at which its first record expires, or an earlier one.
type sideState[K comparable, T any] struct {
	SideConfig[K, T]
	codec *codec.Key[K]
	state string
	space *keyed.Space[K, HeldList[T]]
	pane  *keyed.Pane[K, HeldList[T]]
	queue wakeups[K]
	// empty are lists of keys that were deleted.
	empty [][]Held[T]
	// reach is how long after its event time a record is wanted, in ns; negative if only records before it are partners.
	reach int64
	// grain is what the times of the queue are rounded up to, so that a busy key is not woken for each of its records.
	grain int64
	// versions says that of the records that have expired the last one of a key is kept: it holds until the next.
	versions bool
}

func (s *sideState[K, T]) open(c *Context) error {
	s.space = newWokenSpace(c, s.state, s.codec, s.Value, func(v *HeldList[T]) ([2]*int64, *bool) {
		return [2]*int64{&v.Wake}, &v.Queued
	})
	if err := c.Load(s.state, s.space.Restore()); err != nil {
		return err
	}
	s.pane = s.space.Ensure(0)
	s.pane.Rebuild(func(k *K, v *HeldList[T], h uint64) bool {
		v.Queued = false
		s.queueUp(*k, h, v)
		return true
	})
	return nil
}

// keep stores a record until the clock reaches its time + reach.
func (s *sideState[K, T]) keep(k *K, hash uint64, r *T, at int64, matched bool) {
	v, fresh := s.pane.Upsert(k, hash)
	if n := len(s.empty); fresh && n > 0 {
		v.List, s.empty = s.empty[n-1], s.empty[:n-1]
	}
	h := Held[T]{At: at, Matched: matched, Record: *r}
	if s.Keep != nil {
		s.Keep(&h.Record)
	}
	v.insert(h)
	s.queueUp(*k, hash, v)
}

// spare keeps the memory of the list of a key that is deleted, for the next one that is new.
func (s *sideState[K, T]) spare(list []Held[T]) {
	const most, longest = 1024, 64 // what a burst has left is not kept for ever
	if len(s.empty) < most && cap(list) <= longest {
		clear(list)
		s.empty = append(s.empty, list[:0])
	}
}

// queueUp sees to it that the key is woken in time.
func (s *sideState[K, T]) queueUp(k K, hash uint64, v *HeldList[T]) {
	first := 0
	if s.versions {
		if first = 1; len(v.List) < 2 {
			return
		}
	}
	at := satAdd(v.List[first].At, s.reach)
	if s.grain > 1 {
		over := at % s.grain
		if over > 0 {
			over -= s.grain
		}
		at = satAdd(at, -over)
	}
	if v.Queued && v.Wake <= at {
		return
	}
	v.Queued, v.Wake = true, at
	if s.codec.Clone != nil {
		s.codec.Clone(&k) // the queue outlives the batch
	}
	s.queue.push(wakeup[K]{at: at, key: k, hash: hash})
}

// expire drops the records that no record behind the clock can be a partner of. It hands each to gone before, if that is not nil.
func (s *sideState[K, T]) expire(clock int64, gone func(k *K, hash uint64, h *Held[T])) {
	for len(s.queue) > 0 && s.queue[0].at <= clock {
		e := s.queue.pop()
		v := s.pane.Update(&e.key, e.hash)
		if v == nil || !v.Queued || v.Wake != e.at {
			continue // an entry that was replaced by an earlier one
		}
		v.Queued = false
		n := 0
		for n < len(v.List) && satAdd(v.List[n].At, s.reach) <= clock {
			if gone != nil {
				gone(&e.key, e.hash, &v.List[n])
			}
			n++
		}
		if s.versions {
			n = max(0, n-1)
		}
		if n == len(v.List) {
			s.spare(v.List)
			s.pane.Delete(&e.key, e.hash)
			continue
		}
		v.drop(n)
		s.queueUp(e.key, e.hash, v)
	}
}

// match returns the records of the key in [lo, hi]. They are valid until the side changes.
func (s *sideState[K, T]) match(k *K, hash uint64, lo, hi int64) []Held[T] {
	v := s.pane.Get(k, hash)
	if v == nil {
		return nil
	}
	from := v.after(lo)
	to := from
	fresh := false
	for ; to < len(v.List) && v.List[to].At <= hi; to++ {
		fresh = fresh || !v.List[to].Matched
	}
	if s.Outer && fresh && from < to {
		v = s.pane.Update(k, hash) // what is not written need not be saved again
		for i := from; i < to; i++ {
			v.List[i].Matched = true
		}
	}
	return v.List[from:to]
}

// record returns a kept record as it may be given away.
func (s *sideState[K, T]) record(h *Held[T]) *T {
	if s.Give == nil {
		return &h.Record
	}
	r := h.Record
	s.Give(&r)
	return &r
}
