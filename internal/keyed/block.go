package keyed

import (
	"math/bits"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/millrace-stream/millrace/internal/keyed/offheap"
)

// slot is one place of a table. meta is 0 when the slot is empty. Otherwise its lower 48 bits are those of the hash, the next 15 are the stamp
// of the epoch in which the entry last changed (1..32767), and the upper one is clean: the disk holds the same entry. A write to an
// entry replaces all upper bits, so it is not clean any more.
type slot[K comparable, V any] struct {
	meta  uint64
	key   K
	value V
}

const (
	hashBits = 48
	hashMask = 1<<hashBits - 1
	// stamps is the number of different stamps. Stamp 0 would make an entry look empty, so they run from 1.
	stamps   = 1<<15 - 1
	clean    = 1 << 63
	minSlots = 8
)

// stampOf returns the stamp of an epoch sequence number, at its place in meta.
//
// Stamps repeat after 32767 epochs. An entry counts as changed when its age, (frozen - changed) mod 32767, is below the number of
// epochs since the last durable one. The age computed is never above the true age, so an old entry may look young, which writes
// it once more than needed. An entry that did change has a true age below that number; while the number is below 32767 the
// computed age equals the true one, and from 32767 on every entry is written (see frozen.window). So no change is missed.
func stampOf(seq uint64) uint64 { return (seq%stamps + 1) << hashBits }

// ageOf returns how many epochs before seq the entry with this meta has changed, modulo stamps.
func ageOf(meta, seq uint64) uint64 {
	now, then := seq%stamps, meta&^clean>>hashBits-1
	if then > now {
		now += stamps
	}
	return now - then
}

// limitOf returns how many entries n slots may hold: load 5/8.
func limitOf(n int) int { return n * 5 / 8 }

// block is the memory of one table. refs counts who holds it: the table, and every frozen part that still has to read it.
//
// Owner and writer share blocks without locks on this argument:
//
//  1. Only the owner writes slots, and only in a block that a table of its holds; only the owner adds references (in Freeze).
//  2. A writer reads slots only between Freeze, which it happens after, and its own refs.Add(-1).
//  3. Before the first write of an epoch to a table, the owner loads refs. If it reads 1, every writer's decrement came before
//     the load in the order of atomic operations, hence all its reads came before the write that follows; and no reference can
//     be added until the owner itself freezes again. If it reads more, the owner copies the slots (reading beside a reader) into
//     another block, writes there, and lets go of the old one, which nobody writes any more.
//  4. A block is recycled by whoever brings refs to 0. Then nobody holds it, and the pool's mutex orders the clearing before the
//     next use.
//
// Between two Freezes refs can only sink, so one check per table and epoch is enough.
//
// Large blocks of slots without pointers lie beside the heap. They go back to the system when the pool does not keep them, and else with the block
// itself: a task that ends leaves its blocks to the collector.
type block[K comparable, V any] struct {
	slots   []slot[K, V]
	refs    atomic.Int32
	mapped  []byte // the memory of slots, nil on the heap
	cleanup runtime.Cleanup
}

// least is the size in bytes from which on blocks lie beside the heap.
var least = offheap.Least

// PutBesideHeap lets all blocks that may lie beside the heap do so, also small ones. Tests of the operators call it before anything else: who looks at a table
// that is not there any more, or at an entry that has moved, ends the process then.
func PutBesideHeap() { least = 1 }

// newBlock returns an empty block of n slots.
func newBlock[K comparable, V any](n int, beside bool) *block[K, V] {
	var z slot[K, V]
	if size := n * int(unsafe.Sizeof(z)); beside && size >= least {
		if m := offheap.Map(size); m != nil {
			b := &block[K, V]{slots: unsafe.Slice((*slot[K, V])(unsafe.Pointer(&m[0])), n), mapped: m}
			b.cleanup = runtime.AddCleanup(b, offheap.Unmap, m)
			return b
		}
	}
	return &block[K, V]{slots: make([]slot[K, V], n)}
}

// free gives the memory of a block that nobody holds back at once.
func (b *block[K, V]) free() {
	if b.mapped == nil {
		return
	}
	b.cleanup.Stop()
	m := b.mapped
	b.slots, b.mapped = nil, nil
	offheap.Unmap(m)
}

// hasPointers is what the collector would say: what may have none lies beside the heap. Layouts do not tell, since a type may have one of its own.
func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return false
	case reflect.Array:
		return t.Len() > 0 && hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	}
	return true
}

// pool keeps cleared blocks for reuse, by size. Owner and writers use it.
type pool[K comparable, V any] struct {
	mu      sync.Mutex
	free    [48][]*block[K, V]
	held    int  // slots in free
	live    int  // slots in blocks that tables hold
	share   int  // if not 0, one part of live in so many may be kept for reuse; otherwise half of it and a little
	beside  bool // large blocks lie beside the heap
	scratch []*scratch[K, V]
	parts   [][]part[K, V]
	encoded []*encoded
}

// get returns an empty block of n slots (a power of two) that the caller holds for a table.
func (p *pool[K, V]) get(n int) *block[K, V] {
	class := bits.TrailingZeros(uint(n))
	p.mu.Lock()
	p.live += n
	if l := len(p.free[class]); l > 0 {
		b := p.free[class][l-1]
		p.free[class][l-1] = nil
		p.free[class] = p.free[class][:l-1]
		p.held -= n
		p.mu.Unlock()
		b.refs.Store(1)
		return b
	}
	p.mu.Unlock()
	b := newBlock[K, V](n, p.beside)
	b.refs.Store(1)
	settle(b.slots)
	return b
}

// settle writes to each page of a new block. A table reads a slot before it writes to it: read first, the system would map a page
// of zeros there, and another one at the write, so that every page is asked for twice.
func settle[K comparable, V any](slots []slot[K, V]) {
	const page = 4096
	var z slot[K, V]
	if size := int(unsafe.Sizeof(z)); len(slots)*size > 2*page {
		for i := 0; i < len(slots); i += max(1, page/size) {
			slots[i].meta = 0
		}
	}
}

// leave ends the hold of a table. When less is in use than before, less may be kept.
func (p *pool[K, V]) leave(b *block[K, V]) {
	p.mu.Lock()
	p.live -= len(b.slots)
	unwanted := p.trim(nil)
	p.mu.Unlock()
	for _, u := range unwanted {
		u.free()
	}
	p.release(b)
}

// trim takes blocks beyond mayHold out and adds them to unwanted, the largest first. The lock is held.
func (p *pool[K, V]) trim(unwanted []*block[K, V]) []*block[K, V] {
	for class := len(p.free) - 1; class >= 0 && p.held > p.mayHold(); {
		l := len(p.free[class])
		if l == 0 {
			class--
			continue
		}
		unwanted = append(unwanted, p.free[class][l-1])
		p.free[class][l-1] = nil
		p.free[class] = p.free[class][:l-1]
		p.held -= 1 << class
	}
	return unwanted
}

// outgrow is leave for a block that has become too small. Its like is wanted less than blocks of the size that tables have now, so few are kept.
func (p *pool[K, V]) outgrow(b *block[K, V]) {
	p.mu.Lock()
	n := len(b.slots)
	p.live -= n
	full := p.held+n > p.live/outgrownShare+littleSlots
	p.mu.Unlock()
	if full && b.refs.CompareAndSwap(1, 0) {
		b.free()
		return
	}
	p.release(b)
}

// Blocks for reuse: those that tables have outgrown are at most one part of live in outgrownShare, and in any case a few slots are kept.
const (
	outgrownShare = 16
	littleSlots   = 1 << 12
)

// mayHold returns how many slots may be kept for reuse: half of what is in use and a little. So memory is bounded by the live tables.
func (p *pool[K, V]) mayHold() int {
	if p.share > 0 {
		return p.live / p.share
	}
	return p.live/2 + littleSlots
}

// slots returns the number of slots in tables and in blocks for reuse.
func (p *pool[K, V]) slots() (live, held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live, p.held
}

// release ends one hold. The last one clears the block and keeps it, within mayHold.
func (p *pool[K, V]) release(b *block[K, V]) {
	if b.refs.Add(-1) != 0 {
		return
	}
	n := len(b.slots)
	p.mu.Lock()
	keep := p.held+n <= p.mayHold()
	if keep {
		p.held += n
	}
	p.mu.Unlock()
	if !keep {
		b.free()
		return
	}
	clear(b.slots)
	class := bits.TrailingZeros(uint(n))
	p.mu.Lock()
	p.free[class] = append(p.free[class], b)
	p.mu.Unlock()
}

// takeScratch returns working memory for sorting and encoding.
func (p *pool[K, V]) takeScratch() *scratch[K, V] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := len(p.scratch); l > 0 {
		sc := p.scratch[l-1]
		p.scratch = p.scratch[:l-1]
		return sc
	}
	return &scratch[K, V]{}
}

// giveScratch takes it back.
func (p *pool[K, V]) giveScratch(sc *scratch[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.scratch) < 2 {
		p.scratch = append(p.scratch, sc)
	}
}

// takeParts returns an empty list of parts.
func (p *pool[K, V]) takeParts() []part[K, V] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := len(p.parts); l > 0 {
		ps := p.parts[l-1]
		p.parts[l-1] = nil
		p.parts = p.parts[:l-1]
		return ps
	}
	return nil
}

// giveParts takes a list back.
func (p *pool[K, V]) giveParts(ps []part[K, V]) {
	clear(ps)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parts) < 2 {
		p.parts = append(p.parts, ps[:0])
	}
}

// What is kept of the memory that sections of Deep states are encoded to.
const (
	maxEncoded     = 256
	maxEncodedSize = 64 << 10
)

// takeEncoded returns an empty section.
func (p *pool[K, V]) takeEncoded() *encoded {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := len(p.encoded); l > 0 {
		e := p.encoded[l-1]
		p.encoded = p.encoded[:l-1]
		return e
	}
	return &encoded{}
}

// giveEncoded takes one back.
func (p *pool[K, V]) giveEncoded(e *encoded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.encoded) < maxEncoded && cap(e.data) <= maxEncodedSize {
		e.data, e.entries = e.data[:0], e.entries[:0]
		p.encoded = append(p.encoded, e)
	}
}
