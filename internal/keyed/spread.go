package keyed

import "math/bits"

// spreadBits is the logarithm of the number of buckets of eachSpread: few enough that all are written to at once without the
// processor losing track, so many that a bucket of a million entries stays in its second-level cache.
const spreadBits = 8

// eachSpread is EachSorted for panes that are larger than the caches, with keys that are numbers and values without pointers. Sorting
// references and following them would wait for the memory at each entry. So it copies the entries, in the order in which they
// lie in the tables, into buckets by the upper bits of their keys, and sorts and hands out one bucket after the other in the
// cache.
func (p *Pane[K, V]) eachSpread(sc *scratch[K, V], fn func(k *K, v *V) error) error {
	ends := p.countUpper(sc)
	if cap(sc.copies) < p.count {
		sc.copies = make([]slot[K, V], p.count)
	}
	copies, number, shift := sc.copies[:p.count], p.space.cfg.Key.Uint, sc.upper
	sum := 0
	for i, n := range ends {
		ends[i] = sum
		sum += n
	}
	for g := range p.tables {
		slots := p.tables[g].slots
		for i := range slots {
			if sl := &slots[i]; sl.meta != 0 {
				b := number(&sl.key) >> shift & (1<<spreadBits - 1)
				copies[ends[b]] = *sl
				ends[b]++
			}
		}
	}
	from := 0
	for _, end := range ends {
		if err := sc.eachOf(copies[from:end], fn); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// countUpper returns how many entries have each value of the upper bits in which keys differ, and sets sc.upper to the place of
// those bits. It guesses that they are where they were in the pane before.
func (p *Pane[K, V]) countUpper(sc *scratch[K, V]) (counts [1 << spreadBits]int) {
	number := p.space.cfg.Key.Uint
	for {
		and, or := ^uint64(0), uint64(0)
		for g := range p.tables {
			slots := p.tables[g].slots
			for i := range slots {
				if sl := &slots[i]; sl.meta != 0 {
					k := number(&sl.key)
					and &= k
					or |= k
					counts[k>>sc.upper&(1<<spreadBits-1)]++
				}
			}
		}
		upper := uint(max(0, bits.Len64(and^or)-spreadBits))
		if upper == sc.upper {
			return counts
		}
		sc.upper = upper
		counts = [1 << spreadBits]int{}
	}
}

// eachOf sorts the entries of one bucket and hands them out.
func (sc *scratch[K, V]) eachOf(entries []slot[K, V], fn func(k *K, v *V) error) error {
	number := sc.key.Uint
	sc.items = sc.items[:0]
	for i := range entries {
		sc.items = append(sc.items, item{order: number(&entries[i].key), slot: uint32(i)})
	}
	if cap(sc.spare) < len(sc.items) {
		sc.spare = make([]item, cap(sc.items))
	}
	sortItems(sc.items, sc.spare[:len(sc.items)])
	for _, it := range sc.items {
		sl := &entries[it.slot]
		if err := fn(&sl.key, &sl.value); err != nil {
			return err
		}
	}
	return nil
}
