package keyed

import "unsafe"

// Pane is the part of a Space that belongs to one span: the tables of all its key groups.
//
// Pointers to values are valid until the next call on the Space that may change it.
type Pane[K comparable, V any] struct {
	groups uint64
	lo     int
	heads  []head // parallel to tables
	clone  func(*K)
	space  *Space[K, V]
	tables []table[K, V]
	span   int64
	count  int // of all entries
	cold   int // of those that are on the disk alone
}

// head is what every record reads of a table: small, so that the heads of all groups stay in the first cache, and free of
// everything that a load per record can be saved for.
type head struct {
	// base is the first slot, nil when the table is empty.
	base unsafe.Pointer
	// mask is the number of slots less one.
	mask uint64
	// stamp is that of the current epoch when the owner may write the slots, and 0 when open must be called first.
	stamp uint64
}

// Span returns the number that names the pane, such as the start of a window.
func (p *Pane[K, V]) Span() int64 { return p.span }

// Len returns the number of entries.
func (p *Pane[K, V]) Len() int { return p.count }

// index returns the index of the table of a hash. A hash outside the groups of the Space was sent to the wrong subtask; the
// index is then out of range, which fails the task.
func (p *Pane[K, V]) index(hash uint64) int {
	return int((hash>>32)*p.groups>>32) - p.lo
}

// open makes table g writable in the current epoch.
//
//go:noinline
func (p *Pane[K, V]) open(g int) {
	p.space.touch(&p.tables[g])
	p.rehead(g, p.space.stamp)
}

// rehead makes the head of table g agree with it.
func (p *Pane[K, V]) rehead(g int, stamp uint64) {
	slots := p.tables[g].slots
	if len(slots) == 0 {
		p.heads[g] = head{}
		return
	}
	p.heads[g] = head{base: unsafe.Pointer(&slots[0]), mask: uint64(len(slots) - 1), stamp: stamp}
}

// slotAt returns slot i of a table, any i: the index is masked, and rehead takes base and mask from one slice.
func slotAt[K comparable, V any](base unsafe.Pointer, mask, i uint64) *slot[K, V] {
	var z slot[K, V]
	return (*slot[K, V])(unsafe.Add(base, (i&mask)*uint64(unsafe.Sizeof(z))))
}

// Upsert returns the value of a key and marks it changed. An absent key is inserted, with a zero value and memory of its own, and
// reported as fresh.
func (p *Pane[K, V]) Upsert(k *K, hash uint64) (v *V, fresh bool) {
	g := p.index(hash)
	h := &p.heads[g]
	if h.stamp == 0 {
		p.open(g)
	}
	base, mask := h.base, h.mask
	low := hash & hashMask
	for i := hash; ; i++ {
		sl := slotAt[K, V](base, mask, i)
		meta := sl.meta
		if meta == 0 {
			return p.add(g, sl, k, hash)
		}
		if meta&hashMask == low && sl.key == *k {
			sl.meta = low | h.stamp
			return &sl.value, false
		}
	}
}

// add inserts a key that is not in an open table, or brings it back from the disk. free is where it belongs, unless the table has to grow.
//
//go:noinline
func (p *Pane[K, V]) add(g int, free *slot[K, V], k *K, hash uint64) (v *V, fresh bool) {
	t := &p.tables[g]
	if t.cold > 0 {
		if sl := p.fetch(g, k, hash); sl != nil {
			sl.meta = hash&hashMask | p.heads[g].stamp
			return &sl.value, false
		}
	}
	if t.count >= limitOf(len(t.slots)) {
		p.space.grow(t)
		p.rehead(g, p.heads[g].stamp)
		free = vacancy(t.slots, hash)
	}
	if p.space.cfg.Filtered {
		p.space.addToFilter(g, hash)
	}
	free.meta = hash&hashMask | p.heads[g].stamp
	free.key = *k
	if p.clone != nil {
		p.clone(&free.key)
	}
	t.count++
	p.count++
	return &free.value, true
}

// Bytes returns about how much memory the entries take that are in memory.
func (p *Pane[K, V]) Bytes() int {
	var z slot[K, V]
	return (p.count - p.cold) * int(unsafe.Sizeof(z))
}

// Far reports whether the entries are too many for the processor's own caches, so that Touch pays.
func (p *Pane[K, V]) Far() bool { return p.Bytes() > FarBytes }

// FarBytes is about the second-level cache of a core. Below it, touching costs more than it saves.
const FarBytes = 512 << 10

// Touch reads where the entry of a hash is likely to be, so that an Upsert soon after does not wait for the memory. What it returns
// is of use only to keep the compiler from leaving out the read.
func (p *Pane[K, V]) Touch(hash uint64) uint64 {
	h := &p.heads[p.index(hash)]
	if h.base == nil {
		return 0
	}
	return slotAt[K, V](h.base, h.mask, hash).meta
}

// TouchRuns is Touch for many hashes, and further: it also reads where the entry is when the slots before it are taken.
func (p *Pane[K, V]) TouchRuns(hashes []uint64) uint64 {
	const line = 64
	var z slot[K, V]
	further := max(1, line/uint64(unsafe.Sizeof(z)))
	sum := uint64(0)
	for _, hash := range hashes {
		if h := &p.heads[p.index(hash)]; h.base != nil {
			sum += slotAt[K, V](h.base, h.mask, hash).meta + slotAt[K, V](h.base, h.mask, hash+further).meta
		}
	}
	return sum
}

// find returns the slot of a key, or nil.
func (p *Pane[K, V]) find(g int, k *K, hash uint64) *slot[K, V] {
	h := &p.heads[g]
	base, mask := h.base, h.mask
	if base == nil {
		return nil
	}
	low := hash & hashMask
	for i := hash; ; i++ {
		sl := slotAt[K, V](base, mask, i)
		if sl.meta == 0 {
			return nil
		}
		if sl.meta&hashMask == low && sl.key == *k {
			return sl
		}
	}
}

// Get returns the value of a key for reading, or nil.
func (p *Pane[K, V]) Get(k *K, hash uint64) *V {
	g := p.index(hash)
	sl := p.find(g, k, hash)
	if sl == nil {
		if p.cold == 0 {
			return nil
		}
		return p.read(g, k, hash)
	}
	return &sl.value
}

// Own returns the key as the table keeps it, with memory of its own. The key must be there, and must have been asked for since the last
// batch.
func (p *Pane[K, V]) Own(k *K, hash uint64) K { return p.find(p.index(hash), k, hash).key }

// Update returns the value of a key and marks it changed, or returns nil when the key is absent.
func (p *Pane[K, V]) Update(k *K, hash uint64) *V {
	g := p.index(hash)
	sl := p.writable(g, k, hash)
	if sl == nil {
		return nil
	}
	sl.meta = sl.meta&hashMask | p.heads[g].stamp
	return &sl.value
}

// Amend is Update for a change of what checkpoints leave out: the entry is not written again because of it.
func (p *Pane[K, V]) Amend(k *K, hash uint64) *V {
	sl := p.writable(p.index(hash), k, hash)
	if sl == nil {
		return nil
	}
	sl.meta &^= clean
	return &sl.value
}

// writable returns the slot of a key in a table that is open, or nil.
func (p *Pane[K, V]) writable(g int, k *K, hash uint64) *slot[K, V] {
	sl := p.find(g, k, hash)
	if sl == nil && p.cold > 0 {
		sl = p.fetch(g, k, hash)
	}
	if sl != nil && p.heads[g].stamp == 0 {
		p.open(g)
		sl = p.find(g, k, hash) // open may have moved the slots
	}
	return sl
}

// Delete removes a key and reports whether it was there.
func (p *Pane[K, V]) Delete(k *K, hash uint64) bool {
	g := p.index(hash)
	t := &p.tables[g]
	i := search(t.slots, k, hash)
	if i < 0 {
		return p.cold > 0 && p.deleteCold(g, k, hash)
	}
	if p.heads[g].stamp == 0 {
		p.open(g) // may move the slots, not the place within them
	}
	if t.disk != nil {
		p.eraseCold(g, k, hash) // it may be there too
	}
	p.space.noteDeleted(t, t.slots[i].key, hash)
	p.remove(t, i)
	return true
}

// Each calls fn for all entries, in no useful order, until it returns false. fn may read the value; it must not call the Space in
// a way that changes it.
func (p *Pane[K, V]) Each(fn func(k *K, v *V, hash uint64) bool) {
	hash := p.space.cfg.Key.Hash
	for g := range p.tables {
		slots := p.tables[g].slots
		for i := range slots {
			sl := &slots[i]
			if sl.meta != 0 && !fn(&sl.key, &sl.value, hash(&sl.key)) {
				return
			}
		}
		if p.tables[g].cold > 0 && !p.eachCold(g, fn) {
			return
		}
	}
}

// ahead is how many entries EachSorted asks the memory for at once. In the order of keys, neighbours are far apart in the tables:
// one after the other, each would be waited for.
const ahead = 32

// EachSorted calls fn for all entries in the order of their encoded keys, until it returns an error, which it returns. fn must
// not change the entry, which may be a copy, and not call the Space in a way that changes it.
func (p *Pane[K, V]) EachSorted(fn func(k *K, v *V) error) error {
	sc := p.space.pool.takeScratch()
	defer p.space.pool.giveScratch(sc)
	sc.begin(p.space.cfg.Key)
	defer sc.end()
	if p.cold > 0 || p.space.disk != nil && p.Bytes() > p.space.cfg.Memory.part() {
		return p.eachMerged(sc, fn)
	}
	if p.Far() && p.space.cfg.Layout == codecFlat && p.space.cfg.Key.Uint != nil {
		return p.eachSpread(sc, fn)
	}
	for g := range p.tables {
		t := &p.tables[g]
		if t.count > 0 {
			sc.add(t.slots, nil)
		}
	}
	sc.sort()
	var next [ahead]*slot[K, V]
	for items := sc.items; len(items) > 0; {
		n := min(ahead, len(items))
		for i, it := range items[:n] {
			sl := &sc.tables[it.table][it.slot]
			next[i] = sl
			sc.touched |= sl.meta
		}
		for _, sl := range next[:n] {
			if err := fn(&sl.key, &sl.value); err != nil {
				return err
			}
		}
		items = items[n:]
	}
	return nil
}
