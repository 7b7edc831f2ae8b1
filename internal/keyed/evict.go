package keyed

import (
	"reflect"
	"unsafe"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// smallTable is the number of slots up to which a table is evicted as a whole.
const smallTable = 64

// filterShare: filters of what is on the disk take at most one part of so many of the budget.
const filterShare = 4

// relieve gives memory back in the middle of a batch; see Memory.relieve.
func (s *Space[K, V]) relieve() {
	if s.disk != nil {
		s.disk.memory.relieve(s)
	}
}

// bytes implements resident. Tables count twice: while a snapshot is written, each may be there as it was and as it is. So do the encodings of
// those that are written by the owner.
func (s *Space[K, V]) bytes() int64 {
	var z slot[K, V]
	live, held := s.pool.slots()
	n := int64(2*live+held) * int64(unsafe.Sizeof(z))
	if s.cfg.Layout != codec.Flat {
		n += int64(s.outer() * float64(s.hotEntries()))
	}
	n += s.disk.filters
	for i := range s.filters.all {
		n += int64(len(s.filters.all[i].words)) * 8
	}
	return n
}

func (s *Space[K, V]) hotEntries() int {
	n := 0
	for _, p := range s.panes {
		n += p.count - p.cold
	}
	return n
}

// coldEntries implements resident.
func (s *Space[K, V]) coldEntries() int64 {
	n := 0
	for _, p := range s.panes {
		n += p.cold
	}
	return int64(n)
}

// evictSome implements resident: it evicts from the next table in turn. Of tables that have changed in this epoch, the entries that
// changed last stay, up to about a third of what fits.
func (s *Space[K, V]) evictSome() bool {
	d := s.disk
	tables := len(s.chains)
	if len(s.panes) == 0 || tables == 0 {
		return false
	}
	i, _ := s.find(d.pane)
	if i == len(s.panes) {
		i = 0
	}
	if s.panes[i].span != d.pane || d.group >= tables {
		d.group = 0
	}
	for range (len(s.panes) + 1) * tables {
		p, g := s.panes[i], d.group
		if d.group++; d.group == tables {
			d.group = 0
			i = (i + 1) % len(s.panes)
		}
		d.pane = s.panes[i].span
		if t := &p.tables[g]; t.count == 0 && t.blk == nil {
			continue
		}
		s.evict(p, g, s.toKeep(&p.tables[g]))
		return true
	}
	return false
}

// toKeep returns how many entries of a table eviction leaves.
func (s *Space[K, V]) toKeep(t *table[K, V]) int {
	if n := len(t.slots); !s.disk.memory.tier.all && t.seq == s.seq && n > smallTable {
		return limitOf(n/2) * 3 / 5
	}
	return 0
}

// oldest returns a function that says of the entries of a table, asked in order, whether they are evicted, so that at most keep are left:
// those that changed last.
func (s *Space[K, V]) oldest(slots []slot[K, V], keep int) func(meta uint64) bool {
	if keep == 0 {
		return func(uint64) bool { return true }
	}
	var ages [8]int
	const last = uint64(len(ages) - 1)
	for i := range slots {
		if meta := slots[i].meta; meta != 0 {
			ages[min(ageOf(meta, s.seq), last)]++
		}
	}
	age := uint64(0) // the entries of this age and above go, but for some
	for age < last && ages[age] <= keep {
		keep -= ages[age]
		age++
	}
	return func(meta uint64) bool {
		switch a := min(ageOf(meta, s.seq), last); {
		case a < age:
			return false
		case a > age || keep == 0:
			return true
		}
		keep--
		return false
	}
}

// evict moves entries of a table to the disk, so that at most keep are left in memory.
func (s *Space[K, V]) evict(p *Pane[K, V], g, keep int) {
	t := &p.tables[g]
	if t.frozen != nil {
		s.encode(t.frozen)
	}
	if t.count == 0 { // a block without entries
		s.shrink(p, g, nil, 0)
		return
	}
	sc := s.pool.takeScratch()
	sc.begin(s.cfg.Key)
	sc.add(t.slots, s.oldest(t.slots, keep))
	sc.sort()
	if len(sc.items) > 0 && t.disk == nil {
		t.disk = &diskFilter{}
	}
	w := evictor[K, V]{
		p: p, g: g, batch: s.disk.store.Batch(), journal: len(s.plans) > 0 || s.chains[g].full, head: appendHead(nil, s.disk.number, p.lo+g, p.span),
	}
	defer w.batch.Close()
	for _, it := range sc.items {
		sl := &t.slots[it.slot]
		if sl.meta&clean == 0 {
			w.write(sl)
		}
	}
	must(w.batch.Commit())
	n := len(sc.items)
	sc.end()
	s.pool.giveScratch(sc)
	s.shrink(p, g, s.oldest(t.slots, keep), n)
	s.disk.memory.Counters.Evicted.Add(int64(n))
}

// evictor writes entries of a table to the disk.
type evictor[K comparable, V any] struct {
	p       *Pane[K, V]
	g       int
	batch   *cold.Batch
	journal bool
	// head is the beginning of the keys, note that of those in the journal.
	head, note []byte
}

// write writes one entry. The disk knows it as soon as the batch is committed, and the filter at once.
func (w *evictor[K, V]) write(sl *slot[K, V]) {
	s := w.p.space
	d := s.disk
	seq := s.seq - min(ageOf(sl.meta, s.seq), s.seq)
	d.kbuf = s.cfg.Key.Append(append(d.kbuf[:0], w.head...), &sl.key)
	d.vbuf = s.appendValue(d.vbuf[:0], seq, &sl.value)
	must(w.batch.Set(d.kbuf, d.vbuf))
	if w.journal && seq > s.base {
		if w.note == nil {
			w.note = appendJournal(nil, d.number, s.seq, w.p.lo+w.g, w.p.span)
			if n := len(d.journals); n == 0 || d.journals[n-1] != s.seq {
				d.journals = append(d.journals, s.seq)
			}
		}
		d.vbuf = append(append(d.vbuf[:0], w.note...), d.kbuf[headBytes:]...)
		must(w.batch.Set(d.vbuf, nil))
	}
	w.toFilter(sl.meta)
	if w.batch.Full() {
		must(w.batch.Commit())
	}
}

// toFilter adds a key to the filter of what is on the disk. A filter that has to grow, and has many keys that are not there any more, is
// made anew; one for which there is no memory is given up.
func (w *evictor[K, V]) toFilter(hash uint64) {
	t, d := &w.p.tables[w.g], w.p.space.disk
	f := t.disk
	if f.full() && !f.mayHold(hash) {
		switch {
		case f.keys > 2*t.total()+smallTable:
			must(w.batch.Commit()) // what is read must be all
			d.filters -= f.bytes()
			*f = diskFilter{}
			w.p.space.coldHashes(w.p, w.g, func(hash uint64) { d.filters += f.add(hash) })
		case d.filters > d.memory.tier.limit/filterShare && !d.memory.tier.all:
			d.filters -= f.bytes()
			*f = diskFilter{blind: true}
		}
	}
	if !f.blind {
		d.filters += f.add(hash)
	}
}

// shrink takes the entries out of a table for which gone, asked in order, returns true; there are n. The block may be one that a writer
// still reads, so what is left goes into another.
func (s *Space[K, V]) shrink(p *Pane[K, V], g int, gone func(meta uint64) bool, n int) {
	t := &p.tables[g]
	left := t.count - n
	old, from, stamp := t.blk, t.slots, p.heads[g].stamp
	size := minSlots
	for limitOf(size) < left {
		size *= 2
	}
	t.blk, t.slots, t.want = nil, nil, max(minSlots, len(from)/8)
	if left > 0 {
		t.blk = s.pool.get(size)
		t.slots = t.blk.slots
		for i := range from {
			if meta := from[i].meta; meta != 0 && !gone(meta) {
				*vacancy(t.slots, meta) = from[i]
			}
		}
	}
	if old != nil {
		s.pool.leave(old)
	}
	t.count = left
	t.cold += n
	p.cold += n
	p.rehead(g, stamp)
}

// forgetJournals drops the journals that no delta looks into any more.
func (s *Space[K, V]) forgetJournals() {
	d := s.disk
	if d == nil {
		return
	}
	n := 0
	for n < len(d.journals) && d.journals[n] <= s.base {
		n++
	}
	if n == 0 {
		return
	}
	d.from = appendJournal(d.from[:0], d.number, 0, 0, 0)[:5]
	d.to = appendJournal(d.to[:0], d.number, d.journals[n-1]+1, 0, 0)[:13]
	must(d.store.DeleteRange(d.from, d.to))
	d.journals = append(d.journals[:0], d.journals[n:]...)
}

// sampleEvery is how many times bytes is asked until samples are taken again.
const sampleEvery = 64

// outer returns about what an entry takes outside of its slot, from samples.
func (s *Space[K, V]) outer() float64 {
	d := s.disk
	if d.sampled--; d.sampled >= 0 && d.outer > 0 {
		return d.outer
	}
	sum, n := 0, 0
	for _, p := range s.panes {
		step := max(1, len(p.tables)/8)
		for g := 0; g < len(p.tables) && n < 64; g += step {
			seen := 0
			for i := range p.tables[g].slots {
				sl := &p.tables[g].slots[i]
				if sl.meta == 0 {
					continue
				}
				sum += outerBytes(reflect.ValueOf(&sl.key).Elem(), 0) + outerBytes(reflect.ValueOf(&sl.value).Elem(), 0)
				n++
				if seen++; seen == 8 {
					break
				}
			}
		}
	}
	if n > 0 {
		d.outer = float64(sum) / float64(n)
		d.sampled = sampleEvery
	}
	return d.outer
}

// outerBytes returns about what a value takes outside of itself: the memory that it points to.
func outerBytes(v reflect.Value, depth int) int {
	const (
		block = 8  // what an allocation is rounded up by, on average
		deep  = 16 // what is below has not been told from a circle
	)
	if depth > deep {
		return 0
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return 0
		}
		return v.Len() + block
	case reflect.Slice:
		if v.Cap() == 0 {
			return 0
		}
		return v.Cap()*int(v.Type().Elem().Size()) + block + elements(v, depth)
	case reflect.Array:
		return elements(v, depth)
	case reflect.Map:
		n := 48
		for it := v.MapRange(); it.Next(); {
			n += 2*int(v.Type().Key().Size()+v.Type().Elem().Size()) + outerBytes(it.Key(), depth+1) + outerBytes(it.Value(), depth+1)
		}
		return n
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int(v.Elem().Type().Size()) + block + outerBytes(v.Elem(), depth+1)
	case reflect.Struct:
		n := 0
		for i := range v.NumField() {
			n += outerBytes(v.Field(i), depth+1)
		}
		return n
	}
	return 0
}

// elements returns what the elements of a slice or array take outside of themselves.
func elements(v reflect.Value, depth int) int {
	if k := v.Type().Elem().Kind(); k <= reflect.Complex128 {
		return 0
	}
	n := 0
	for i := range v.Len() {
		n += outerBytes(v.Index(i), depth+1)
	}
	return n
}
