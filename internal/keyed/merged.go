package keyed

import (
	"bytes"

	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// eachMerged is EachSorted for panes that are partly on the disk, or too large to be sorted at once. Each table is sorted by itself, and what
// the disk has of it is in order there; all of them are merged.
func (p *Pane[K, V]) eachMerged(sc *scratch[K, V], fn func(k *K, v *V) error) error {
	heap := make(cursors[K, V], 0, len(p.tables))
	defer heap.close()
	for g := range p.tables {
		t := &p.tables[g]
		if t.total() == 0 {
			continue
		}
		c := &cursor[K, V]{space: p.space, slots: t.slots}
		if t.count > 0 {
			c.order = sc.orderOf(t.slots)
		}
		if t.cold > 0 {
			from, to := p.bounds(g)
			it, err := p.space.disk.store.Iter(from, to)
			if err != nil {
				return err
			}
			c.disk = it
		}
		heap = append(heap, c)
		if err := c.begin(); err != nil {
			return err
		}
	}
	heap.order()
	for len(heap) > 0 {
		c := heap[0]
		k, v, err := c.entry()
		if err != nil {
			return err
		}
		if err := fn(k, v); err != nil {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
		if c.done() {
			if err := c.close(); err != nil {
				return err
			}
			n := len(heap) - 1
			heap[0] = heap[n]
			heap[n] = nil
			heap = heap[:n]
		}
		heap.sink(0)
	}
	return nil
}

// orderOf returns the slots that are not empty, in the order of their keys.
func (sc *scratch[K, V]) orderOf(slots []slot[K, V]) []uint32 {
	sc.begin(sc.key)
	sc.add(slots, nil)
	sc.sort()
	order := make([]uint32, len(sc.items))
	for i, it := range sc.items {
		order[i] = it.slot
	}
	return order
}

// cursor walks through the entries of one table in the order of their encoded keys: those in memory and those on the disk. Where both have
// one, that in memory counts.
type cursor[K comparable, V any] struct {
	space *Space[K, V]
	slots []slot[K, V]
	order []uint32
	disk  *cold.Iter
	// hot and cold are the encoded keys at hand, and whether there are any.
	hot, cold       []byte
	hasHot, hasCold bool
	// at is the key of the entry at hand.
	at []byte
	k  K
	v  V
}

// begin goes to the first entry.
func (c *cursor[K, V]) begin() error {
	c.takeHot()
	if err := c.takeCold(); err != nil {
		return err
	}
	c.choose()
	return nil
}

func (c *cursor[K, V]) takeHot() {
	if c.hasHot = len(c.order) > 0; c.hasHot {
		c.hot = c.space.cfg.Key.Append(c.hot[:0], &c.slots[c.order[0]].key)
	}
}

func (c *cursor[K, V]) takeCold() error {
	if c.disk == nil {
		return nil
	}
	if c.hasCold = c.disk.Next(); c.hasCold {
		c.cold = c.disk.Key()[headBytes:]
		return nil
	}
	err := c.disk.Close()
	c.disk = nil
	return err
}

// choose sets at.
func (c *cursor[K, V]) choose() {
	if c.hasHot && (!c.hasCold || bytes.Compare(c.hot, c.cold) <= 0) {
		c.at = c.hot
	} else {
		c.at = c.cold
	}
}

// done reports whether there is no entry at hand.
func (c *cursor[K, V]) done() bool { return !c.hasHot && !c.hasCold }

// entry returns the entry at hand.
func (c *cursor[K, V]) entry() (*K, *V, error) {
	if c.hasHot && (!c.hasCold || bytes.Compare(c.hot, c.cold) <= 0) {
		sl := &c.slots[c.order[0]]
		return &sl.key, &sl.value, nil
	}
	var k K
	var v V
	c.k, c.v = k, v
	if err := c.space.readKey(c.cold, &c.k); err != nil {
		return nil, nil, err
	}
	_, err := c.space.readValue(c.disk.Value(), &c.v)
	return &c.k, &c.v, err
}

// next goes to the next entry.
func (c *cursor[K, V]) next() error {
	order := 1
	if c.hasHot && c.hasCold {
		order = bytes.Compare(c.hot, c.cold)
	} else if c.hasHot {
		order = -1
	}
	if order >= 0 {
		if err := c.takeCold(); err != nil {
			return err
		}
	}
	if order <= 0 {
		c.order = c.order[1:]
		c.takeHot()
	}
	c.choose()
	return nil
}

func (c *cursor[K, V]) close() error {
	if c.disk == nil {
		return nil
	}
	it := c.disk
	c.disk = nil
	return it.Close()
}

// cursors is a heap by the key at hand.
type cursors[K comparable, V any] []*cursor[K, V]

func (h cursors[K, V]) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

func (h cursors[K, V]) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if bytes.Compare(h[child].at, h[least].at) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// close closes what is open after an error.
func (h cursors[K, V]) close() {
	for _, c := range h {
		if c != nil {
			_ = c.close() // there was an error before, or the walk was ended
		}
	}
}
