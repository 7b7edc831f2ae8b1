package keyed

import (
	"math/bits"
	"unsafe"
)

// A filter says of most keys that are in no pane of a key group that they are not, without looking into a table: a Bloom filter whose
// blocks are words of 64 bits. A key sets four bits of one word. There are at least 12.8 bits for each key, so of the keys that are
// not there about one in 100 passes when it is full, and fewer before.
//
// Keys are added to a filter and never taken out. One that has taken as many as it may is made anew from the keys that are left, with
// room for as many again: so each key is added twice on average, and what panes that were dropped have left behind goes by itself.
//
// Only the owner of a Space reads and writes its filters. They are not part of what is frozen: a restore adds the keys again.
type filter struct {
	words []uint64
	// count of the limit keys have been added.
	count, limit int
}

const (
	keysPerWord = 5
	// minWords is a line of the cache.
	minWords = 8
)

// filters are those of all groups of a Space.
type filters struct {
	heads  []filterHead // parallel to all; empty when the Space has none
	groups uint64
	lo     int
	all    []filter
}

// filterHead is what is read for each record.
type filterHead struct {
	base unsafe.Pointer
	mask uint64
}

func newFilters(groups, lo, hi int) filters {
	f := filters{groups: uint64(groups), lo: lo, heads: make([]filterHead, hi-lo), all: make([]filter, hi-lo)}
	for g := range f.all {
		f.reset(g, 0)
	}
	return f
}

// reset gives a group an empty filter with room for twice as many keys, which are added next.
func (f *filters) reset(g, keys int) {
	n := max(minWords, 1<<bits.Len(uint(2*keys/keysPerWord)))
	one := &f.all[g]
	if len(one.words) == n {
		clear(one.words)
	} else {
		one.words = make([]uint64, n)
	}
	one.count, one.limit = 0, n*keysPerWord
	f.heads[g] = filterHead{base: unsafe.Pointer(&one.words[0]), mask: uint64(n - 1)}
}

// add adds a key by its hash, of which the lower hashBits count, and reports whether there was room.
func (f *filters) add(g int, hash uint64) bool {
	one := &f.all[g]
	if one.count == one.limit {
		return false
	}
	one.count++
	*f.heads[g].word(hash) |= marksOf(hash)
	return true
}

// word returns the word of a hash.
func (h *filterHead) word(hash uint64) *uint64 {
	return (*uint64)(unsafe.Add(h.base, (hash&h.mask)*8))
}

// marksOf returns the bits that a hash sets. They come from another part of it than the place of the word.
func marksOf(hash uint64) uint64 {
	return 1<<(hash>>24&63) | 1<<(hash>>30&63) | 1<<(hash>>36&63) | 1<<(hash>>42&63)
}

// mayHold is MayHold. It has no branches that depend on what it reads: a wrong guess would wait for the memory alone.
func (f *filters) mayHold(hashes []uint64) uint32 {
	all := uint32(0)
	for i, hash := range hashes {
		marks := marksOf(hash)
		word := f.heads[int((hash>>32)*f.groups>>32)-f.lo].word(hash)
		missing := *word&marks ^ marks
		none := uint32((missing | -missing) >> 63) // 1 unless missing is 0
		all |= (none ^ 1) << i
	}
	return all
}

// MayHold returns a bit for each hash, of 32 at most: whether a key with it may be in some pane. The Space must be Filtered. Looking up
// many at once makes the processor wait for the memory of all of them together.
func (s *Space[K, V]) MayHold(hashes []uint64) uint32 { return s.filters.mayHold(hashes) }

// addToFilter adds a new key to the filter of its group.
func (s *Space[K, V]) addToFilter(g int, hash uint64) {
	if s.filters.add(g, hash) {
		return
	}
	s.filters.reset(g, s.liveIn(g))
	for _, p := range s.panes {
		s.coldHashes(p, g, func(hash uint64) { s.filters.add(g, hash) })
		for i := range p.tables[g].slots {
			if meta := p.tables[g].slots[i].meta; meta != 0 {
				s.filters.add(g, meta)
			}
		}
	}
	s.filters.add(g, hash)
}
