package keyed

// table holds the entries of one key group in one pane.
type table[K comparable, V any] struct {
	// slots are those of blk, or nil while the table is empty and blk (if any) is left over from a dropped pane.
	slots []slot[K, V]
	// seq is the epoch of the last change.
	seq uint64
	// count is the number of entries in slots, cold that of those on disk alone.
	count, cold int
	blk         *block[K, V]
	// want is the number of slots that the next block should have, from what a dropped pane needed here.
	want int
	// dels are the keys deleted from a table that files know, in rising order of seq. Freezing shares the slice: it is only
	// appended to and cut at the front, never written in place.
	dels []deleted[K]
	// delsFrom: deletions up to and including this epoch may be missing in dels.
	delsFrom uint64
	// known says that a file may hold entries of this table.
	known bool
	// frozen is the part that waits for the owner to encode this table (Deep layouts).
	frozen *part[K, V]
	// disk says of most keys that are not on the disk that they are not; nil when nothing of this table is.
	disk *diskFilter
}

// total is the number of entries.
func (t *table[K, V]) total() int { return t.count + t.cold }

// deleted is a key that was deleted in epoch seq.
type deleted[K comparable] struct {
	key  K
	hash uint64
	seq  uint64
}

// search returns the place of a key in slots, or -1. There is always an empty slot, so it ends.
func search[K comparable, V any](slots []slot[K, V], k *K, hash uint64) int {
	if len(slots) == 0 {
		return -1
	}
	mask := uint64(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		sl := &slots[i]
		if sl.meta == 0 {
			return -1
		}
		if (sl.meta^hash)&hashMask == 0 && sl.key == *k {
			return int(i)
		}
	}
}

// touch gives a table slots that the owner may write. It runs before the first write of each epoch.
func (s *Space[K, V]) touch(t *table[K, V]) {
	if t.frozen != nil {
		s.encode(t.frozen)
	}
	switch {
	case t.blk == nil:
		t.blk = s.pool.get(max(t.want, minSlots))
	case t.slots == nil && t.blk.refs.Load() == 1:
		clear(t.blk.slots)
	case t.slots == nil:
		s.pool.leave(t.blk)
		t.blk = s.pool.get(max(t.want, minSlots))
	case t.blk.refs.Load() != 1:
		b := s.pool.get(len(t.slots))
		copy(b.slots, t.slots)
		s.pool.leave(t.blk)
		t.blk = b
	}
	t.slots = t.blk.slots
	t.seq = s.seq
}

// vacancy returns the empty slot at which a new key belongs.
func vacancy[K comparable, V any](slots []slot[K, V], hash uint64) *slot[K, V] {
	mask := uint64(len(slots) - 1)
	i := hash & mask
	for slots[i].meta != 0 {
		i = (i + 1) & mask
	}
	return &slots[i]
}

// grow doubles a table that the owner may write.
func (s *Space[K, V]) grow(t *table[K, V]) {
	b := s.pool.get(2 * len(t.slots))
	mask := uint64(len(b.slots) - 1)
	for j := range t.slots {
		from := &t.slots[j]
		if from.meta == 0 {
			continue
		}
		i := from.meta & mask
		for b.slots[i].meta != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = *from
	}
	s.pool.outgrow(t.blk)
	t.blk, t.slots, t.want = b, b.slots, len(b.slots)
}

// remove empties slot i and moves later entries of the run back, so that no marker of the deleted one stays.
func (p *Pane[K, V]) remove(t *table[K, V], i int) {
	mask := uint64(len(t.slots) - 1)
	hole := uint64(i)
	for j := (hole + 1) & mask; t.slots[j].meta != 0; j = (j + 1) & mask {
		home := t.slots[j].meta & mask
		if (j-home)&mask >= (j-hole)&mask {
			t.slots[hole] = t.slots[j]
			hole = j
		}
	}
	t.slots[hole] = slot[K, V]{}
	t.count--
	p.count--
}

// noteDeleted records a deletion for the next Delta section. When the record is longer than the table it is given up: from then
// on a Full section is no dearer, and freezing writes one (see delsFrom).
func (s *Space[K, V]) noteDeleted(t *table[K, V], k K, hash uint64) {
	if !t.known || t.delsFrom == s.seq {
		return
	}
	if len(t.dels) > t.total()+64 {
		t.dels, t.delsFrom = nil, s.seq
		return
	}
	t.dels = append(t.dels, deleted[K]{key: k, hash: hash, seq: s.seq})
}

// vacate empties table g, whose pane or span is gone, and keeps its block for the next user unless it was far too large.
func (p *Pane[K, V]) vacate(g int) {
	s, t := p.space, &p.tables[g]
	if t.frozen != nil {
		s.encode(t.frozen)
	}
	if t.disk != nil {
		s.wipe(p, g)
	}
	if n := len(t.slots); n > minSlots && t.count*8 < n {
		s.pool.leave(t.blk)
		t.blk, t.want = nil, n/2
	} else if t.slots != nil && s.cfg.Layout != codecFlat && t.blk.refs.Load() == 1 {
		clear(t.slots) // lets go of what the values point to
	}
	p.cold -= t.cold
	t.slots, t.count, t.cold, t.disk, t.seq = nil, 0, 0, nil, 0
	t.dels, t.delsFrom, t.known = nil, 0, false
	p.heads[g] = head{}
}
