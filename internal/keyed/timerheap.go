package keyed

import (
	"cmp"
	"strings"
)

// The heap has four children per node: half as deep as a binary one, and the children of a node lie side by side.
const arity = 4

// minTrim keeps small heaps from being built again and again.
const minTrim = 64

// before orders the heap. It compares in place: a copy whose address goes to a func value would be an allocation.
func (t *Timers[K]) before(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	c := cmp.Compare(a.at, b.at)
	if c == 0 {
		c = t.key.Compare(&a.key, &b.key)
	}
	if c == 0 {
		c = strings.Compare(a.name, b.name)
	}
	return c < 0
}

// valid reports whether an entry is the newest setting of a timer that is still set.
func (t *Timers[K]) valid(e *timer[K]) bool {
	p := t.space.Pane(0)
	if p == nil {
		return false
	}
	v := p.Get(&e.timerKey, withName(e.hash, e.name))
	return v != nil && v.seq == e.seq
}

// push adds an entry.
func (t *Timers[K]) push(e timer[K]) {
	t.heap = append(t.heap, e)
	for i := len(t.heap) - 1; i > 0; {
		parent := (i - 1) / arity
		if !t.before(i, parent) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

// pop removes the first entry.
func (t *Timers[K]) pop() timer[K] {
	first := t.heap[0]
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = timer[K]{}
	t.heap = t.heap[:last]
	if last > 0 {
		t.sink(0)
	}
	return first
}

// sink brings entry i down to its place.
func (t *Timers[K]) sink(i int) {
	n := len(t.heap)
	for {
		child := i*arity + 1
		if child >= n {
			return
		}
		least := child
		for j := child + 1; j < min(child+arity, n); j++ {
			if t.before(j, least) {
				least = j
			}
		}
		if !t.before(least, i) {
			return
		}
		t.heap[i], t.heap[least] = t.heap[least], t.heap[i]
		i = least
	}
}

// skip removes entries from the front that do not count any more.
func (t *Timers[K]) skip() {
	for len(t.heap) > 0 && !t.valid(&t.heap[0]) {
		t.pop()
	}
}

// trim removes all such entries when they are the greater part. Each run is paid for by the calls that made so many.
func (t *Timers[K]) trim() {
	limit := 2*t.space.Len() + minTrim
	if len(t.late) > limit {
		t.late = t.keepValid(t.late)
	}
	if len(t.heap) > limit {
		t.heap = t.keepValid(t.heap)
		t.order()
	}
}

// keepValid keeps the entries that count.
func (t *Timers[K]) keepValid(list []timer[K]) []timer[K] {
	kept := list[:0]
	for i := range list {
		if t.valid(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	clear(list[len(kept):])
	return kept
}

// order makes a heap of the entries in any order.
func (t *Timers[K]) order() {
	for i := (len(t.heap) - 2) / arity; i >= 0 && len(t.heap) > 1; i-- {
		t.sink(i)
	}
}

// build fills the heap from the space after a restore.
func (t *Timers[K]) build() {
	if !t.stale {
		return
	}
	t.stale = false
	t.heap = t.heap[:0]
	if p := t.space.Pane(0); p != nil {
		p.Each(func(k *timerKey[K], v *timerAt, _ uint64) bool {
			t.heap = append(t.heap, timer[K]{timerKey: *k, timerAt: *v, hash: t.key.Hash(&k.key)})
			return true
		})
	}
	t.order()
}
