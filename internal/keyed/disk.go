package keyed

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// disk is the part of a Space that is not in memory.
//
// An entry is in a table, or on the disk, or in both. In both, that of the table counts; it is clean when they are the same, so that it need
// not be written again to be evicted. A key that is deleted from a table is deleted from the disk at once, so what is there and not in
// the table is part of the state.
//
// On the disk, an entry has the key
//
//	number of the space (4) | 0 | group (2) | span (8) | encoded key
//
// so the entries of a section of a snapshot are together and in its order, and the value
//
//	epoch of the last change (8) | length | value as in snapshots | what snapshots leave out
//
// An entry may be evicted before the epoch in which it changed is durable. Deltas have to find it, without looking at all that is on
// the disk: so its key is also put into the journal of the epoch in which it was evicted,
//
//	number of the space (4) | 1 | epoch (8) | group (2) | span (8) | encoded key
//
// A journal may name too many keys: a delta looks each of them up, and writes those that are on the disk and have changed since its base.
// It names enough. A delta with base B misses an entry that changed in epoch q > B only if it is not in a table, hence was
// evicted, in an epoch e >= q > B, and not put into the journal of e, or the journal of e has been dropped. It is dropped when an
// epoch >= e is durable, so then B >= e, against e > B. It is not put there if q was durable already, against q > B; or if nothing
// was durable and no epoch in flight: then the first epoch that can become durable freezes after the eviction, so B >= e.
type disk[K comparable, V any] struct {
	store  *cold.Store
	memory *Memory
	number uint32
	// journals are the epochs that have one, in rising order.
	journals []uint64
	// pane and group are where eviction goes on.
	pane  int64
	group int
	// outer is about what an entry takes outside of its slot, in bytes; sampled counts down to the next look.
	outer   float64
	sampled int
	filters int64 // bytes of the filters
	// key is the one that is looked for: if the address of the caller's went to the codec, it would be allocated for each call.
	key K
	// kbuf, vbuf and from, to are scratch.
	kbuf, vbuf []byte
	from, to   []byte
}

const (
	// headBytes is the length of a key on the disk before the encoded key, journalBytes that of one in a journal.
	headBytes    = 4 + 1 + 2 + 8
	journalBytes = headBytes + 8

	mainKeys    = 0
	journalKeys = 1

	// keepShare: blocks that are kept for reuse are at most one part of so many of those in use.
	keepShare = 8
)

func newDisk[K comparable, V any](c *Config[K, V]) *disk[K, V] {
	store := c.Memory.tier.store
	return &disk[K, V]{store: store, memory: c.Memory, number: store.Number()}
}

// appendHead appends the beginning of the keys of a group and span. Spans are in the order of numbers.
func appendHead(dst []byte, number uint32, group int, span int64) []byte {
	dst = append(binary.BigEndian.AppendUint32(dst, number), mainKeys)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(dst, uint16(group)), uint64(span)^1<<63)
}

// appendJournal appends the beginning of the keys of a group and span in a journal.
func appendJournal(dst []byte, number uint32, epoch uint64, group int, span int64) []byte {
	dst = append(binary.BigEndian.AppendUint32(dst, number), journalKeys)
	dst = binary.BigEndian.AppendUint64(dst, epoch)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(dst, uint16(group)), uint64(span)^1<<63)
}

// appendNext appends the first key behind all that begin with one, which must not be of 0xff alone.
func appendNext(dst, prefix []byte) []byte {
	dst = append(dst, prefix...)
	for i := len(dst) - 1; ; i-- {
		if dst[i]++; dst[i] != 0 {
			return dst
		}
	}
}

// bounds returns the keys of a table as a range. They are valid until the next call.
func (p *Pane[K, V]) bounds(g int) (from, to []byte) {
	d := p.space.disk
	d.from = appendHead(d.from[:0], d.number, p.lo+g, p.span)
	d.to = appendNext(d.to[:0], d.from)
	return d.from, d.to
}

// diskKey returns the key of an entry on the disk. It is valid until the next call.
func (p *Pane[K, V]) diskKey(g int, k *K) []byte {
	d := p.space.disk
	d.kbuf = appendHead(d.kbuf[:0], d.number, p.lo+g, p.span)
	d.key = *k
	d.kbuf = p.space.cfg.Key.Append(d.kbuf, &d.key)
	return d.kbuf
}

var errBadEntry = errors.New("an entry on the disk is not what was written")

// splitValue takes the value of an entry apart.
func splitValue(b []byte) (seq uint64, value, transient []byte, err error) {
	if len(b) < 9 {
		return 0, nil, nil, errBadEntry
	}
	n, w := binary.Uvarint(b[8:])
	rest := b[8+max(w, 0):]
	if w <= 0 || n > uint64(len(rest)) {
		return 0, nil, nil, errBadEntry
	}
	return binary.BigEndian.Uint64(b), rest[:n], rest[n:], nil
}

// appendValue appends the value of an entry as it is on the disk.
func (s *Space[K, V]) appendValue(dst []byte, seq uint64, v *V) []byte {
	const guess = 1 // the length takes one byte, most times
	dst = append(binary.BigEndian.AppendUint64(dst, seq), 0)
	at := len(dst)
	dst = s.cfg.Value.Append(dst, v)
	if n := len(dst) - at; n < 0x80 {
		dst[at-guess] = byte(n)
	} else {
		var length [binary.MaxVarintLen64]byte
		w := binary.PutUvarint(length[:], uint64(n))
		dst = append(dst, length[:w-guess]...)
		copy(dst[at-guess+w:], dst[at:at+n])
		copy(dst[at-guess:], length[:w])
	}
	if s.cfg.Transient != nil {
		dst = s.cfg.Transient.Append(dst, v)
	}
	return dst
}

// readValue decodes the value of an entry into v, which is zero.
func (s *Space[K, V]) readValue(b []byte, v *V) (seq uint64, err error) {
	seq, value, transient, err := splitValue(b)
	if err != nil {
		return 0, err
	}
	rest, err := s.cfg.Value.Decode(value, v)
	if err == nil && s.cfg.Transient != nil && len(rest) == 0 {
		rest, err = s.cfg.Transient.Decode(transient, v)
	}
	if err == nil && len(rest) > 0 {
		err = errBadEntry
	}
	if err != nil {
		return 0, fmt.Errorf("keyed: %s/%s on the disk: %w", s.cfg.Operator, s.cfg.State, err)
	}
	return seq, nil
}

// readKey decodes the key of an entry into k, which is zero.
func (s *Space[K, V]) readKey(b []byte, k *K) error {
	rest, err := s.cfg.Key.Decode(b, k)
	if err == nil && len(rest) > 0 {
		err = errBadEntry
	}
	if err != nil {
		return fmt.Errorf("keyed: %s/%s on the disk: key %x: %w", s.cfg.Operator, s.cfg.State, b, err)
	}
	return nil
}

// fetch brings an entry that is not in its table back from the disk, or returns nil when it is not there either. It comes back clean, with
// the stamp of its last change.
//
//go:noinline
func (p *Pane[K, V]) fetch(g int, k *K, hash uint64) *slot[K, V] {
	var v V
	seq, found := p.lookUp(g, k, hash, &v)
	if !found {
		return nil
	}
	s, t := p.space, &p.tables[g]
	if p.heads[g].stamp == 0 {
		p.open(g)
	}
	if t.count >= limitOf(len(t.slots)) {
		s.grow(t)
		p.rehead(g, p.heads[g].stamp)
	}
	sl := vacancy(t.slots, hash)
	sl.meta = hash&hashMask | stampOf(seq) | clean
	sl.key, sl.value = *k, v
	if p.clone != nil {
		p.clone(&sl.key)
	}
	t.count++
	t.cold--
	p.cold--
	s.disk.memory.Counters.Fetched.Add(1)
	return sl
}

// read returns the value of an entry that is not in its table, or nil. It brings the entry back unless the table would have to grow: whoever
// reads an entry may hold another one for writing.
func (p *Pane[K, V]) read(g int, k *K, hash uint64) *V {
	if t := &p.tables[g]; t.count < limitOf(len(t.slots)) || t.count == 0 {
		if sl := p.fetch(g, k, hash); sl != nil {
			return &sl.value
		}
		return nil
	}
	v := new(V)
	if _, found := p.lookUp(g, k, hash, v); !found {
		return nil
	}
	return v
}

// lookUp reads the value of an entry that is not in its table into v, which is zero.
func (p *Pane[K, V]) lookUp(g int, k *K, hash uint64, v *V) (seq uint64, found bool) {
	s, t := p.space, &p.tables[g]
	if t.cold == 0 || !t.disk.mayHold(hash) {
		return 0, false
	}
	d := s.disk
	b, found, err := d.store.Get(d.vbuf[:0], p.diskKey(g, k))
	must(err)
	d.vbuf = b
	if !found {
		d.memory.Counters.Misses.Add(1)
		return 0, false
	}
	seq, err = s.readValue(b, v)
	must(err)
	return seq, true
}

// deleteCold removes an entry that is not in its table, and reports whether it was on the disk.
func (p *Pane[K, V]) deleteCold(g int, k *K, hash uint64) bool {
	s, t := p.space, &p.tables[g]
	if t.cold == 0 || !t.disk.mayHold(hash) {
		return false
	}
	d := s.disk
	key := p.diskKey(g, k)
	_, found, err := d.store.Get(d.vbuf[:0], key)
	must(err)
	if !found {
		d.memory.Counters.Misses.Add(1)
		return false
	}
	must(d.store.Delete(key))
	own := *k
	if p.clone != nil {
		p.clone(&own)
	}
	s.noteDeleted(t, own, hash)
	t.seq = s.seq
	t.cold--
	p.cold--
	p.count--
	return true
}

// eraseCold removes what the disk may have of an entry that leaves its table.
func (p *Pane[K, V]) eraseCold(g int, k *K, hash uint64) {
	if p.tables[g].disk.mayHold(hash) {
		must(p.space.disk.store.Delete(p.diskKey(g, k)))
	}
}

// wipe removes what the disk has of a table.
func (s *Space[K, V]) wipe(p *Pane[K, V], g int) {
	from, to := p.bounds(g)
	must(s.disk.store.DeleteRange(from, to))
	s.disk.filters -= p.tables[g].disk.bytes()
}

// scanCold calls fn for what the disk has of a table, entries included that are in the table too, until it returns false.
func (p *Pane[K, V]) scanCold(g int, fn func(key, value []byte) bool) bool {
	from, to := p.bounds(g)
	it, err := p.space.disk.store.Iter(from, to)
	must(err)
	more := true
	for more && it.Next() {
		more = fn(it.Key()[headBytes:], it.Value())
	}
	must(it.Close())
	return more
}

// eachCold is Each for the entries of a table that are on the disk alone.
func (p *Pane[K, V]) eachCold(g int, fn func(k *K, v *V, hash uint64) bool) bool {
	s := p.space
	return p.scanCold(g, func(key, value []byte) bool {
		var k K
		must(s.readKey(key, &k))
		hash := s.cfg.Key.Hash(&k)
		if search(p.tables[g].slots, &k, hash) >= 0 {
			return true
		}
		var v V
		_, err := s.readValue(value, &v)
		must(err)
		return fn(&k, &v, hash)
	})
}

// coldHashes calls fn for the hashes of what the disk has of a table.
func (s *Space[K, V]) coldHashes(p *Pane[K, V], g int, fn func(hash uint64)) {
	if p.tables[g].disk == nil {
		return
	}
	p.scanCold(g, func(key, _ []byte) bool {
		var k K
		must(s.readKey(key, &k))
		fn(s.cfg.Key.Hash(&k))
		return true
	})
}

// Rebuild is Each for those who change what checkpoints leave out: that is kept. fn must not change anything else, nor call the Space.
func (p *Pane[K, V]) Rebuild(fn func(k *K, v *V, hash uint64) bool) {
	s := p.space
	hash := s.cfg.Key.Hash
	for g := range p.tables {
		if p.tables[g].count > 0 && p.heads[g].stamp == 0 {
			p.open(g)
		}
		slots := p.tables[g].slots
		for i := range slots {
			sl := &slots[i]
			if sl.meta == 0 {
				continue
			}
			sl.meta &^= clean
			if !fn(&sl.key, &sl.value, hash(&sl.key)) {
				return
			}
		}
		if p.tables[g].cold > 0 && !p.rebuildCold(g, fn) {
			return
		}
	}
}

// rebuildCold is Rebuild for the entries of a table that are on the disk alone.
func (p *Pane[K, V]) rebuildCold(g int, fn func(k *K, v *V, hash uint64) bool) bool {
	s := p.space
	b := s.disk.store.Batch()
	defer b.Close()
	var kbuf, vbuf []byte
	more := p.scanCold(g, func(key, value []byte) bool {
		var k K
		must(s.readKey(key, &k))
		hash := s.cfg.Key.Hash(&k)
		if search(p.tables[g].slots, &k, hash) >= 0 {
			return true
		}
		var v V
		seq, err := s.readValue(value, &v)
		must(err)
		more := fn(&k, &v, hash)
		kbuf = append(appendHead(kbuf[:0], s.disk.number, p.lo+g, p.span), key...)
		vbuf = s.appendValue(vbuf[:0], seq, &v)
		must(b.Set(kbuf, vbuf))
		if b.Full() {
			must(b.Commit())
		}
		return more
	})
	must(b.Commit())
	return more
}

// mergeCold is Merge for a group of which something is on the disk.
func (p *Pane[K, V]) mergeCold(g int, src *Pane[K, V], join, begin func(dst, src *V)) {
	one := func(k *K, from *V, hash uint64) bool {
		switch v, fresh := p.Upsert(k, hash); {
		case !fresh:
			join(v, from)
		case begin != nil:
			begin(v, from)
		default:
			*v = *from
		}
		return true
	}
	hash := src.space.cfg.Key.Hash
	slots := src.tables[g].slots
	for i := range slots {
		if sl := &slots[i]; sl.meta != 0 {
			one(&sl.key, &sl.value, hash(&sl.key))
		}
	}
	if src.tables[g].cold > 0 {
		src.eachCold(g, one)
	}
}
