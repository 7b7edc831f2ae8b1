package keyed

// diskFilter says of most keys that are not on the disk in a table that they are not: a Bloom filter as filter is, that grows by layers, each
// four times as large as the one before, since the keys that are in it are not at hand to be put into a larger one.
type diskFilter struct {
	layers [][]uint64
	// count of the limit keys of the last layer have been added; keys counts all.
	count, limit, keys int
	// blind says that there was no memory for it: any key may be there.
	blind bool
}

// mayHold reports whether a key may be on the disk.
func (f *diskFilter) mayHold(hash uint64) bool {
	if f.blind {
		return true
	}
	marks := marksOf(hash)
	for _, words := range f.layers {
		if words[hash&uint64(len(words)-1)]&marks == marks {
			return true
		}
	}
	return false
}

// add adds a key, and returns how many bytes the filter has grown by.
func (f *diskFilter) add(hash uint64) int64 {
	if f.mayHold(hash) {
		return 0
	}
	grown := int64(0)
	if f.count == f.limit {
		n := minWords
		if l := len(f.layers); l > 0 {
			n = 4 * len(f.layers[l-1])
		}
		f.layers = append(f.layers, make([]uint64, n))
		f.count, f.limit = 0, n*keysPerWord
		grown = int64(n) * 8
	}
	words := f.layers[len(f.layers)-1]
	words[hash&uint64(len(words)-1)] |= marksOf(hash)
	f.count++
	f.keys++
	return grown
}

// full reports whether the next key makes the filter grow.
func (f *diskFilter) full() bool { return !f.blind && f.count == f.limit }

// bytes returns what the filter takes.
func (f *diskFilter) bytes() int64 {
	n := 0
	for _, words := range f.layers {
		n += len(words)
	}
	return int64(n) * 8
}
