package keyed

// Pane is the part of a Space that belongs to one span: the tables of all its key groups.
//
// Pointers to values are valid until the next call on the Space that may change it.
type Pane[K comparable, V any] struct {
	space  *Space[K, V]
	tables []table[K, V]
	span   int64
	count  int
}

// Span returns the number that names the pane, such as the start of a window.
func (p *Pane[K, V]) Span() int64 { return p.span }

// Len returns the number of entries.
func (p *Pane[K, V]) Len() int { return p.count }

// table returns the table of a hash. A hash outside the groups of the Space was sent to the wrong subtask; the
// index is then out of range, which fails the task.
func (p *Pane[K, V]) table(hash uint64) *table[K, V] {
	s := p.space
	return &p.tables[int((hash>>32)*s.groups>>32)-s.lo]
}

// Upsert returns the value of a key and marks it changed. An absent key is inserted, with a zero value and memory of its own, and
// reported as fresh.
func (p *Pane[K, V]) Upsert(k *K, hash uint64) (v *V, fresh bool) {
	s := p.space
	t := p.table(hash)
	if t.seq != s.seq {
		s.touch(t)
	}
	slots := t.slots
	mask := uint64(len(slots) - 1)
	for i := hash & mask; ; i++ {
		sl := &slots[i&mask]
		meta := sl.meta
		if (meta^hash)&hashMask == 0 && sl.key == *k && meta != 0 {
			sl.meta = meta&hashMask | s.stamp
			return &sl.value, false
		}
		if meta == 0 {
			return &p.insert(t, k, hash).value, true
		}
	}
}

// Get returns the value of a key for reading, or nil.
func (p *Pane[K, V]) Get(k *K, hash uint64) *V {
	t := p.table(hash)
	i := search(t.slots, k, hash)
	if i < 0 {
		return nil
	}
	return &t.slots[i].value
}

// Update returns the value of a key and marks it changed, or returns nil when the key is absent.
func (p *Pane[K, V]) Update(k *K, hash uint64) *V {
	s := p.space
	t := p.table(hash)
	i := search(t.slots, k, hash)
	if i < 0 {
		return nil
	}
	if t.seq != s.seq {
		s.touch(t)
	}
	sl := &t.slots[i] // touch may move the slots, not the place within them
	sl.meta = sl.meta&hashMask | s.stamp
	return &sl.value
}

// Delete removes a key and reports whether it was there.
func (p *Pane[K, V]) Delete(k *K, hash uint64) bool {
	s := p.space
	t := p.table(hash)
	i := search(t.slots, k, hash)
	if i < 0 {
		return false
	}
	if t.seq != s.seq {
		s.touch(t)
	}
	s.noteDeleted(t, t.slots[i].key, hash)
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
	}
}

// Ref points to an entry.
type Ref[K comparable, V any] struct {
	Key   *K
	Value *V
	Hash  uint64
}

// Sorted appends all entries to dst in the order of their encoded keys. Like pointers to values, they are valid until the Space
// changes.
func (p *Pane[K, V]) Sorted(dst []Ref[K, V]) []Ref[K, V] {
	sc := p.space.pool.takeScratch()
	defer p.space.pool.giveScratch(sc)
	sc.begin(p.space.cfg.Key)
	for g := range p.tables {
		t := &p.tables[g]
		if t.count > 0 {
			sc.add(t.slots, nil)
		}
	}
	sc.sort()
	hash := p.space.cfg.Key.Hash
	for _, it := range sc.items {
		sl := &sc.tables[it.table][it.slot]
		dst = append(dst, Ref[K, V]{Key: &sl.key, Value: &sl.value, Hash: hash(&sl.key)})
	}
	sc.end()
	return dst
}
