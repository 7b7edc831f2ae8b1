package keyed

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/millrace-stream/millrace/codec"
)

// item stands for an entry while it is sorted: no pointers, so moving it costs no write barrier.
type item struct {
	// order is codec.Key.Uint, or the first eight bytes of the encoded key.
	order uint64
	table uint32
	slot  uint32
}

// scratch is working memory for sorting and encoding.
type scratch[K comparable, V any] struct {
	key    *codec.Key[K]
	tables [][]slot[K, V]
	items  []item
	spare  []item
	gone   []deleted[K]
	// copies are the entries of a large pane, spread by eachSpread; upper is the bits of their keys that it spread them by.
	copies []slot[K, V]
	upper  uint
	kbuf   []byte
	vbuf   []byte
	// touched keeps the compiler from leaving out the reads that only bring entries closer.
	touched uint64
}

// begin starts a new list of entries.
func (sc *scratch[K, V]) begin(key *codec.Key[K]) {
	sc.key = key
	sc.tables, sc.items, sc.gone = sc.tables[:0], sc.items[:0], sc.gone[:0]
}

// end lets go of the tables and of what deleted keys point to.
func (sc *scratch[K, V]) end() {
	clear(sc.tables)
	clear(sc.gone)
}

// add appends the entries of a table that pick accepts, or all of them when pick is nil.
func (sc *scratch[K, V]) add(slots []slot[K, V], pick func(meta uint64) bool) {
	n := uint32(len(sc.tables))
	sc.tables = append(sc.tables, slots)
	number := sc.key.Uint
	for i := range slots {
		sl := &slots[i]
		if sl.meta == 0 || pick != nil && !pick(sl.meta) {
			continue
		}
		var order uint64
		if number != nil {
			order = number(&sl.key)
		} else {
			order = sc.prefix(&sl.key)
		}
		sc.items = append(sc.items, item{order: order, table: n, slot: uint32(i)})
	}
}

// prefix returns the first eight bytes of the encoded key as a number, filled up with zeros. Where two of them differ, the keys are
// in the same order; where they are equal, the whole keys decide.
func (sc *scratch[K, V]) prefix(k *K) uint64 {
	sc.kbuf = sc.key.Append(sc.kbuf[:0], k)
	if len(sc.kbuf) >= 8 {
		return binary.BigEndian.Uint64(sc.kbuf)
	}
	var b [8]byte
	copy(b[:], sc.kbuf)
	return binary.BigEndian.Uint64(b[:])
}

// at returns the key of an item.
func (sc *scratch[K, V]) at(it item) *K { return &sc.tables[it.table][it.slot].key }

// sort brings items into the order of encoded keys.
func (sc *scratch[K, V]) sort() {
	if cap(sc.spare) < len(sc.items) {
		sc.spare = make([]item, cap(sc.items))
	}
	sortItems(sc.items, sc.spare[:len(sc.items)])
	if sc.key.Uint != nil {
		return
	}
	for i := 0; i < len(sc.items); {
		j := i + 1
		for j < len(sc.items) && sc.items[j].order == sc.items[i].order {
			j++
		}
		if j-i > 1 {
			slices.SortFunc(sc.items[i:j], func(a, b item) int { return sc.key.Compare(sc.at(a), sc.at(b)) })
		}
		i = j
	}
}

// few items are sorted by comparing: counting bytes costs more.
const few = 192

// sortItems sorts items by order; spare is of the same length. It counts bytes, which for a million items costs a pass over memory for each:
// so it begins with the upper bytes in which the items differ, as many as make equal ones rare, and then sorts the runs that still are equal
// by themselves, in the cache.
func sortItems(items, spare []item) {
	if len(items) < few {
		slices.SortFunc(items, byOrder)
		return
	}
	var counts [8][256]uint32
	for i := range items {
		o := items[i].order
		for b := range counts {
			counts[b][byte(o>>(8*b))]++
		}
	}
	// low is the lowest byte of the passes: from there up, the bytes that differ tell apart 16 times the number of items.
	low, told := len(counts), 1
	for low > 0 && told < 16*len(items) {
		low--
		if differ(&counts[low], items[0].order, low, len(items)) {
			told *= 256
		}
	}
	from, to := items, spare
	for b := low; b < len(counts); b++ {
		if differ(&counts[b], from[0].order, b, len(items)) {
			scatter(from, to, &counts[b], b)
			from, to = to, from
		}
	}
	if &from[0] != &items[0] {
		copy(items, from)
	}
	if low > 0 {
		sortRuns(items, spare, 8*low)
	}
}

func byOrder(a, b item) int { return cmp.Compare(a.order, b.order) }

// differ reports whether not all n items have the byte b of order.
func differ(counts *[256]uint32, order uint64, b, n int) bool {
	return counts[byte(order>>(8*b))] != uint32(n)
}

// scatter sorts from into to by byte b, stable. counts becomes the ends of the bytes.
func scatter(from, to []item, counts *[256]uint32, b int) {
	sum := uint32(0)
	for i, n := range counts {
		counts[i] = sum
		sum += n
	}
	for i := range from {
		d := byte(from[i].order >> (8 * b))
		to[counts[d]] = from[i]
		counts[d]++
	}
}

// sortRuns sorts the runs of items whose orders are equal but for the lower bits.
func sortRuns(items, spare []item, bits int) {
	for i := 0; i < len(items); {
		j := i + 1
		for j < len(items) && items[j].order>>bits == items[i].order>>bits {
			j++
		}
		if j-i > 1 {
			sortItems(items[i:j], spare[i:j])
		}
		i = j
	}
}
