package fsx

import (
	"bytes"
	"maps"
	"slices"
)

// Rand is a source of random bits; those of math/rand/v2 fit.
type Rand interface{ Uint64() uint64 }

// sector is the unit that a disk writes whole, except for one torn sector per file.
const sector = 512

// CrashClone returns what the disk could hold after a power loss now. All that was synced is there. Of changed content
// and names that were not synced, r chooses what is kept, lost or torn, name steps and sectors each by themselves. Locks
// are gone. The file system itself goes on unchanged, like a machine whose twin lost power.
func (m *Mem) CrashClone(r Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.root = m.root.crash(r, map[*node]*node{})
	return c
}

// crash copies a node; seen keeps a file that has two names one file.
func (n *node) crash(r Rand, seen map[*node]*node) *node {
	if c := seen[n]; c != nil {
		return c
	}
	if !n.dir {
		data := n.crashContent(r)
		c := &node{data: data, durable: data, shared: true}
		seen[n] = c
		return c
	}
	c := newDir()
	seen[n] = c
	names := maps.Clone(n.kept)
	for _, step := range n.pending {
		if r.Uint64()%2 == 0 {
			continue
		}
		for _, b := range step {
			if b.node == nil {
				delete(names, b.name)
			} else {
				names[b.name] = b.node
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.names[name] = names[name].crash(r, seen)
	}
	c.kept = maps.Clone(c.names)
	return c
}

// crashContent returns memory that nobody writes to and nobody can append to in place.
func (n *node) crashContent(r Rand) []byte {
	old, now := n.durable, n.data
	if bytes.Equal(old, now) {
		return slices.Clip(old)
	}
	switch r.Uint64() % 4 {
	case 0:
		return slices.Clip(old)
	case 1:
		return slices.Clip(bytes.Clone(now))
	}
	short, long := min(len(old), len(now)), max(len(old), len(now))
	size := short + int(r.Uint64()%uint64(long-short+1))
	out := make([]byte, size)
	copy(out, old)
	for at := 0; at < size; at += sector {
		end := min(at+sector, size)
		if r.Uint64()%2 == 0 && at < len(now) {
			copy(out[at:end], now[at:])
		}
	}
	if at := int(r.Uint64() % uint64(size+1)); at < len(now) { // the torn one
		end := min(size, at-at%sector+sector)
		copy(out[at:end], now[at:])
	}
	return slices.Clip(out)
}
