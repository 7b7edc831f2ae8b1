package keyed

// Merge adds the entries of src, which may be of another Space with the same keys and groups, to p. Where p has the key, join adds the
// value of src to that of p. Where it has not, begin makes the new value, zero so far, from that of src; a nil begin copies it, which values
// that share memory which may change must not be. The keys of src have memory of their own already, and p shares it.
//
// Tables of both are walked in the order of hashes, so what is looked up lies near what was looked up before.
func (p *Pane[K, V]) Merge(src *Pane[K, V], join, begin func(dst, src *V)) {
	for g := range src.tables {
		from := &src.tables[g]
		if from.total() == 0 {
			continue
		}
		if from.disk != nil || p.tables[g].disk != nil {
			p.mergeCold(g, src, join, begin)
			p.space.relieve()
			continue
		}
		if p.heads[g].stamp == 0 {
			p.tables[g].want = max(p.tables[g].want, len(from.slots))
			p.open(g)
		}
		if t := &p.tables[g]; begin == nil && t.count == 0 && len(t.slots) == len(from.slots) {
			copy(t.slots, from.slots)
			t.count = from.count
			p.count += from.count
			p.space.relieve()
			continue
		}
		p.mergeTable(g, from.slots, join, begin)
		p.space.relieve()
	}
}

// mergeTable adds the entries of slots to table g, which is open.
//
// Which slots are empty cannot be foreseen: so they are left out first, without a branch, and the loop over the others has none that is
// often mispredicted.
func (p *Pane[K, V]) mergeTable(g int, slots []slot[K, V], join, begin func(dst, src *V)) {
	var used [64]uint8
	for len(slots) > 0 {
		part := slots[:min(len(slots), len(used))]
		slots = slots[len(part):]
		n := 0
		for i := range part {
			used[n&63] = uint8(i)
			if part[i].meta != 0 {
				n++
			}
		}
		for _, i := range used[:n] {
			sl := &part[i]
			if v, fresh := p.upsertIn(g, &sl.key, sl.meta&hashMask); !fresh {
				join(v, &sl.value)
			} else if begin != nil {
				begin(v, &sl.value)
			} else {
				*v = sl.value
			}
		}
	}
}

// upsertIn is Upsert in table g, which is open, with the part of the hash that tables keep. It does not clone the key.
func (p *Pane[K, V]) upsertIn(g int, k *K, low uint64) (v *V, fresh bool) {
	h := &p.heads[g]
	for i := low; ; i++ {
		sl := slotAt[K, V](h.base, h.mask, i)
		if sl.meta&hashMask == low && sl.meta != 0 && sl.key == *k {
			return &sl.value, false
		}
		if sl.meta != 0 {
			continue
		}
		t := &p.tables[g]
		if t.count >= limitOf(len(t.slots)) {
			p.space.grow(t)
			p.rehead(g, h.stamp)
			sl = vacancy(t.slots, low)
		}
		sl.meta = low | h.stamp
		sl.key = *k
		t.count++
		p.count++
		return &sl.value, true
	}
}
