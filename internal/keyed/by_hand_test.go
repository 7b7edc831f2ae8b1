package keyed

// What only tests use: entries and timers as lists, in the order in which EachSorted and Fire hand them out.

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

// Timer is a timer that was due. Hash is that of the key.
type Timer[K comparable] struct {
	Key  K
	Name string
	Hash uint64
	At   int64
}

// PopUntil removes the timers whose time is at most until and appends them to dst in order. A timer that is deleted or moved while the
// result is worked off is in it all the same: where that matters, use Fire.
func (t *Timers[K]) PopUntil(until int64, dst []Timer[K]) []Timer[K] {
	// It fails only when the function does, or runs within itself.
	_, _ = t.Fire(until, func(k *K, hash uint64, name string, at int64) error {
		dst = append(dst, Timer[K]{Key: *k, Name: name, Hash: hash, At: at})
		return nil
	})
	return dst
}
