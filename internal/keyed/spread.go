package keyed

import (
	"math/bits"
	"unsafe"
)

// spreadBits is the logarithm of the number of buckets of eachSpread: few enough that all are written to at once without the
// processor losing track, so many that a bucket of a million entries stays in its second-level cache.
const spreadBits = 8

// A pane that is too large is not copied at once: there are at most as many copies at a time as one part of its entries in spreadShare, or as take
// spreadLeast bytes.
const spreadShare = 8

var spreadLeast = 64 << 20

// eachSpread is EachSorted for panes that are larger than the caches, with keys that are numbers and values without pointers. Sorting
// references and following them would wait for the memory at each entry. So it copies the entries, in the order in which they
// lie in the tables, into buckets by the upper bits of their keys, and sorts and hands out one bucket after the other in the
// cache. Of very large panes it copies some of the buckets at a time, and goes through the tables again for the next.
func (p *Pane[K, V]) eachSpread(sc *scratch[K, V], fn func(k *K, v *V) error) error {
	ends := p.countUpper(sc)
	var z slot[K, V]
	most := max(p.count/spreadShare, spreadLeast/int(unsafe.Sizeof(z)))
	for first := 0; first < len(ends); {
		next, sum := first, 0
		for next < len(ends) && (next == first || sum+ends[next] <= most) {
			n := ends[next]
			ends[next] = sum
			sum += n
			next++
		}
		if sum > 0 {
			if err := p.eachOfBuckets(sc, ends[first:next], uint64(first), sum, fn); err != nil {
				return err
			}
		}
		first = next
	}
	return nil
}

// eachOfBuckets copies the entries of some buckets, the first of them given by number, and hands them out. At holds where in the copies each bucket begins;
// there are n in all.
func (p *Pane[K, V]) eachOfBuckets(sc *scratch[K, V], at []int, first uint64, n int, fn func(k *K, v *V) error) error {
	if cap(sc.copies) < n {
		sc.copies = make([]slot[K, V], n)
	}
	copies, number, shift := sc.copies[:n], p.space.cfg.Key.Uint, sc.upper
	for g := range p.tables {
		slots := p.tables[g].slots
		for i := range slots {
			if sl := &slots[i]; sl.meta != 0 {
				if b := number(&sl.key)>>shift&(1<<spreadBits-1) - first; b < uint64(len(at)) {
					copies[at[b]] = *sl
					at[b]++
				}
			}
		}
	}
	from := 0
	for _, end := range at {
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
