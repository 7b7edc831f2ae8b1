// Package hand has the Nexmark queries as plain loops: what a programmer writes who knows the query, needs no checkpoints, no second
// goroutine and no other query, and takes hash tables made for the purpose. It is the limit that the jobs are compared with.
//
// The loops take events in batches with a watermark behind each, as the jobs do, and so give the same results for disordered input. They know
// nothing of the ids but that they are above zero: where an array indexed by id would do for these events, they have a hash table.
package hand

import (
	"math/bits"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
)

// Input brings the events in batches, which may be used until the next call, and the watermark behind each in ms: no event that comes later is
// of that time or before. At the end there are no events, and the watermark is that of the end.
type Input func() (events []gen.Event, watermark int64)

// Out takes the rows of a query in batches.
type Out[R any] struct {
	rows []R
	take func([]R)
}

// NewOut returns an Out that gives batches to take.
func NewOut[R any](take func([]R)) *Out[R] {
	return &Out[R]{rows: make([]R, 0, 256), take: take}
}

// next returns a slot for the next row.
func (o *Out[R]) next() *R {
	if len(o.rows) == cap(o.rows) {
		o.flush()
	}
	o.rows = o.rows[:len(o.rows)+1]
	return &o.rows[len(o.rows)-1]
}

func (o *Out[R]) flush() {
	o.take(o.rows)
	o.rows = o.rows[:0]
}

// table is an open-addressing table with numbers above zero as keys.
type table[V any] struct {
	slots []slot[V]
	shift int
	used  int
}

type slot[V any] struct {
	key   int64 // 0 is empty
	value V
}

func newTable[V any]() *table[V] {
	t := &table[V]{}
	t.resize(64)
	return t
}

func (t *table[V]) resize(n int) {
	t.slots = make([]slot[V], n)
	t.shift = 64 - bits.TrailingZeros(uint(n))
}

func (t *table[V]) home(key int64) uint64 { return uint64(key) * 0x9E3779B97F4A7C15 >> t.shift }

// get returns the value of a key, or nil.
func (t *table[V]) get(key int64) *V {
	mask := uint64(len(t.slots) - 1)
	for i := t.home(key); ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.value
		}
		if s.key == 0 {
			return nil
		}
	}
}

// put returns the value of a key, a zero one if it is new. It is valid until the next call.
func (t *table[V]) put(key int64) *V {
	mask := uint64(len(t.slots) - 1)
	for i := t.home(key); ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.value
		}
		if s.key != 0 {
			continue
		}
		if t.used >= len(t.slots)*5/8 {
			t.grow()
			return t.put(key)
		}
		t.used++
		s.key = key
		return &s.value
	}
}

func (t *table[V]) grow() {
	old := t.slots
	t.resize(2 * len(old))
	t.used = 0
	for i := range old {
		if old[i].key != 0 {
			*t.put(old[i].key) = old[i].value
		}
	}
}

// remove removes a key that is there, and moves back those behind it that it has displaced.
func (t *table[V]) remove(key int64) {
	mask := uint64(len(t.slots) - 1)
	hole := t.home(key) & mask
	for t.slots[hole].key != key {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; t.slots[i].key != 0; i = (i + 1) & mask {
		if home := t.home(t.slots[i].key) & mask; (i-home)&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = slot[V]{}
	t.used--
}

func (t *table[V]) clear() {
	clear(t.slots)
	t.used = 0
}

// lists are linked lists in one slice, with places from 1 on; 0 is the end of a list. Places of lists that were given back are used again.
type lists[V any] struct {
	items []item[V]
	free  int32
}

type item[V any] struct {
	value V
	next  int32
}

// push puts a value in front of the list that begins at a place and returns the place of the longer one.
func (l *lists[V]) push(v V, head int32) int32 {
	if l.free != 0 {
		at := l.free
		l.free = l.items[at-1].next
		l.items[at-1] = item[V]{v, head}
		return at
	}
	l.items = append(l.items, item[V]{v, head})
	return int32(len(l.items))
}

// pop returns the first value of a list and the rest.
func (l *lists[V]) pop(head int32) (V, int32) {
	it := l.items[head-1]
	l.items[head-1].next, l.free = l.free, head
	return it.value, it.next
}

// due is a heap of keys by time, and then by key.
type due []timer

type timer struct{ at, key int64 }

func (t timer) before(o timer) bool { return t.at < o.at || t.at == o.at && t.key < o.key }

func (d *due) push(t timer) {
	h := append(*d, t)
	i := len(h) - 1
	for ; i > 0 && t.before(h[(i-1)/2]); i = (i - 1) / 2 {
		h[i] = h[(i-1)/2]
	}
	h[i] = t
	*d = h
}

// pop returns the first timer if it is not behind the time.
func (d *due) pop(now int64) (first timer, ok bool) {
	h := *d
	if len(h) == 0 || h[0].at > now {
		return first, false
	}
	first = h[0]
	last := h[len(h)-1]
	h = h[:len(h)-1]
	*d = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(h) {
			if len(h) > 0 {
				h[i] = last
			}
			return first, true
		}
		if c+1 < len(h) && h[c+1].before(h[c]) {
			c++
		}
		if !h[c].before(last) {
			h[i] = last
			return first, true
		}
		h[i] = h[c]
		i = c
	}
}
