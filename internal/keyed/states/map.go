package states

import (
	"fmt"
	"iter"

	"github.com/millrace-stream/millrace/codec"
)

// entryKey is the key of an entry of a map or list: that of the user and that within the map.
type entryKey[K, E comparable] struct {
	key   K
	entry E
}

// entryKeys makes the functions for such keys: the encoding of the user's key, which is never the beginning of that of another, and then
// that of the entry. The hash has its upper half, and so the key group, from the user's key alone.
func entryKeys[K, E comparable](key *codec.Key[K], entry *codec.Key[E]) *codec.Key[entryKey[K, E]] {
	k := &codec.Key[entryKey[K, E]]{
		Shape: "struct{key " + key.Shape + ";entry " + entry.Shape + "}", By: key.By,
		Append: func(dst []byte, k *entryKey[K, E]) []byte { return entry.Append(key.Append(dst, &k.key), &k.entry) },
		Decode: func(src []byte, k *entryKey[K, E]) ([]byte, error) {
			rest, err := key.Decode(src, &k.key)
			if err != nil {
				return nil, err
			}
			return entry.Decode(rest, &k.entry)
		},
		Hash: func(k *entryKey[K, E]) uint64 { return entryHash(key.Hash(&k.key), entry.Hash(&k.entry)) },
		Compare: func(a, b *entryKey[K, E]) int {
			if c := key.Compare(&a.key, &b.key); c != 0 {
				return c
			}
			return entry.Compare(&a.entry, &b.entry)
		},
	}
	if key.Clone != nil || entry.Clone != nil {
		k.Clone = func(k *entryKey[K, E]) {
			if key.Clone != nil {
				key.Clone(&k.key)
			}
			if entry.Clone != nil {
				entry.Clone(&k.entry)
			}
		}
	}
	return k
}

// entryHash mixes the hash of an entry into the lower half of that of the user's key, which places it within its table.
func entryHash(key, entry uint64) uint64 {
	return key&^(1<<32-1) | codec.Mix(key^entry)>>32
}

// Map is a map for each key. Each entry has a place of its own in the table, so that a change is one of the entry.
type Map[K, E comparable, T any] struct {
	cells[entryKey[K, E], T]
	r     *Registry[K]
	entry *codec.Key[E]
	keep  func(*T)
	// index tells which entries a key has. It is made anew after a restore.
	index map[K]*listing[E]
	// at is the entry at hand; a local one would be allocated for each call.
	at entryKey[K, E]
}

// listing are the entries of one key. The list may hold some that are gone, and some twice: it is tidied when they are the greater part.
type listing[E comparable] struct {
	list []E
	// n is how many entries are in the table.
	n      int
	sorted bool
	// busy counts the iterations under way: while there are any, what stands in the list stays where it is.
	busy int
}

// NewMap declares a map.
func NewMap[E comparable, T any, K comparable](r *Registry[K], name, section string, ttl TTL) *Map[K, E, T] {
	return newMap[E, T](r, name, section, "map "+codec.Describe[E]()+" to "+codec.Describe[T](), ttl)
}

func newMap[E comparable, T any, K comparable](r *Registry[K], name, section, kind string, ttl TTL) *Map[K, E, T] {
	m := &Map[K, E, T]{r: r, index: map[K]*listing[E]{}}
	entry, err := codec.KeyFor[E]()
	if err != nil {
		err = fmt.Errorf("the key of its entries: %w", err)
	}
	value, keep, err2 := content[T]()
	m.entry, m.keep = entry, keep
	if err == nil && r.key != nil {
		m.cells = cells[entryKey[K, E], T]{
			times: &r.Times, key: entryKeys(r.key, entry), value: value, ttl: ttl,
			layout: max(codec.LayoutOf[T](), codec.LayoutOf[K](), codec.LayoutOf[E]()),
		}
		m.removed = func(k *entryKey[K, E]) { m.forget(&k.key) }
	}
	m.name = section
	r.add(name, section, kind, ttl, m, err, err2)
	return m
}

func (m *Map[K, E, T]) open(cfg *Config) error {
	if err := m.cells.open(cfg); err != nil {
		return err
	}
	note := func(k *entryKey[K, E]) bool {
		l := m.listing(k.key)
		l.list, l.sorted = append(l.list, k.entry), false
		l.n++
		return true
	}
	if m.pane != nil {
		m.pane.Each(func(k *entryKey[K, E], _ *T, _ uint64) bool { return note(k) })
	} else {
		m.live.Each(func(k *entryKey[K, E], _ *stamped[T], _ uint64) bool { return note(k) })
	}
	return nil
}

// listing returns the listing of a key with memory of its own, made if there was none.
func (m *Map[K, E, T]) listing(k K) *listing[E] {
	l := m.index[k]
	if l == nil {
		l = &listing[E]{sorted: true}
		m.index[k] = l
	}
	return l
}

// aim sets the entry at hand and returns its hash.
func (m *Map[K, E, T]) aim(e E) uint64 {
	m.at.key, m.at.entry = m.r.Key, e
	if m.entry.Canon != nil {
		m.entry.Canon(&m.at.entry)
	}
	return entryHash(m.r.Hash, m.entry.Hash(&m.at.entry))
}

// Get returns the value of an entry for reading, or nil.
func (m *Map[K, E, T]) Get(e E) *T {
	h := m.aim(e)
	return m.get(&m.at, h)
}

// Ref returns the value of an entry for writing, made if there was none.
func (m *Map[K, E, T]) Ref(e E) *T {
	h := m.aim(e)
	if m.times.on && !m.holds(&m.at, h) {
		k := m.at.key
		m.times.do(func() { m.forget(&k) }) // behind the entry, which leaves first
	}
	v, _, added := m.upsert(&m.at, h)
	if added {
		own := m.own(h)
		l := m.listing(own.key)
		if n := len(l.list); n > 0 && l.sorted {
			l.sorted = m.entry.Compare(&l.list[n-1], &own.entry) < 0
		}
		l.list = append(l.list, own.entry)
		l.n++
	}
	return v
}

// own returns the key of the entry at hand as the table keeps it.
func (m *Map[K, E, T]) own(hash uint64) entryKey[K, E] {
	if m.pane != nil {
		return m.pane.Own(&m.at, hash)
	}
	return m.live.Own(&m.at, hash)
}

// Set replaces the value of an entry.
func (m *Map[K, E, T]) Set(e E, x T) {
	v := m.Ref(e)
	*v = x
	if m.keep != nil {
		m.keep(v)
	}
}

// Delete removes an entry.
func (m *Map[K, E, T]) Delete(e E) {
	h := m.aim(e)
	if m.remove(&m.at, h) {
		if m.times.on {
			at := m.at
			m.times.do(func() { m.relist(&at) })
		}
		m.forget(&m.r.Key)
	}
}

// relist notes that a key has an entry again.
func (m *Map[K, E, T]) relist(at *entryKey[K, E]) {
	own := *at
	if m.entry.Clone != nil {
		m.entry.Clone(&own.entry)
	}
	if m.r.key.Clone != nil {
		m.r.key.Clone(&own.key)
	}
	l := m.listing(own.key)
	l.list, l.sorted = append(l.list, own.entry), false
	l.n++
}

// forget notes that a key has an entry less.
func (m *Map[K, E, T]) forget(k *K) {
	l := m.index[*k]
	l.n--
	switch {
	case l.n == 0:
		delete(m.index, *k)
	case l.busy == 0 && len(l.list) > 2*l.n+16:
		m.tidy(*k, l)
	}
}

// tidy drops from a list what is not in the table.
func (m *Map[K, E, T]) tidy(k K, l *listing[E]) {
	kept := l.list[:0]
	at := entryKey[K, E]{key: k}
	base := m.r.key.Hash(&at.key)
	for i := range l.list {
		at.entry = l.list[i]
		if m.holds(&at, entryHash(base, m.entry.Hash(&at.entry))) {
			kept = append(kept, at.entry)
		}
	}
	clear(l.list[len(kept):])
	l.list = kept
	m.sort(l)
}

func (m *Map[K, E, T]) holds(k *entryKey[K, E], hash uint64) bool {
	if m.pane != nil {
		return m.pane.Get(k, hash) != nil
	}
	return m.live.Get(k, hash) != nil
}

func (m *Map[K, E, T]) sort(l *listing[E]) {
	l.list = sortedUnique(l.list, m.entry.Compare)
	l.sorted = true
}

// Len returns the number of entries of the key at hand.
func (m *Map[K, E, T]) Len() int {
	l := m.index[m.r.Key]
	if l == nil {
		return 0
	}
	if !m.ttl.Set {
		return l.n
	}
	n := 0
	for range m.names() {
		n++
	}
	return n
}

// names returns the entries of the key at hand in the order of their encoding. While they are walked through, the map may be changed: what is
// removed is left out, what is added may come or not.
func (m *Map[K, E, T]) names() iter.Seq[E] {
	return func(yield func(E) bool) {
		l := m.index[m.r.Key]
		if l == nil {
			return
		}
		list := l.list
		if !l.sorted && l.busy > 0 { // the list must stay as it is
			list = sortedUnique(append([]E(nil), list...), m.entry.Compare)
		} else if !l.sorted {
			m.sort(l)
			list = l.list
		}
		at := entryKey[K, E]{key: m.r.Key}
		l.busy++
		defer func() {
			if l.busy--; l.busy == 0 && l.n > 0 && len(l.list) > 2*l.n+16 {
				m.tidy(at.key, l)
			}
		}()
		for i := range list {
			at.entry = list[i]
			if !m.visible(&at, entryHash(m.r.Hash, m.entry.Hash(&at.entry))) {
				continue
			}
			if !yield(list[i]) {
				return
			}
		}
	}
}

// visible reports whether an entry is there and has not expired.
func (m *Map[K, E, T]) visible(k *entryKey[K, E], hash uint64) bool {
	if m.pane != nil {
		return m.pane.Get(k, hash) != nil
	}
	s := m.live.Get(k, hash)
	return s != nil && !m.expired(s.at)
}

// All returns the entries of the key at hand in the order of their encoding.
func (m *Map[K, E, T]) All() iter.Seq2[E, *T] {
	return func(yield func(E, *T) bool) {
		for e := range m.names() {
			if v := m.Get(e); v != nil && !yield(e, v) {
				return
			}
		}
	}
}

// Clear removes all entries of the key at hand.
func (m *Map[K, E, T]) Clear() {
	l := m.index[m.r.Key]
	if l == nil {
		return
	}
	if m.times.on { // one after the other, so that each can be taken back
		for _, e := range append([]E(nil), l.list...) {
			m.Delete(e)
		}
		return
	}
	list := l.list
	for i := range list {
		h := m.aim(list[i])
		if m.remove(&m.at, h) {
			l.n--
		}
	}
	delete(m.index, m.r.Key)
}

// List is a list for each key, in the order in which its elements were added.
type List[K comparable, T any] struct{ m *Map[K, uint64, T] }

// NewList declares a list.
func NewList[T any, K comparable](r *Registry[K], name, section string, ttl TTL) *List[K, T] {
	return &List[K, T]{newMap[uint64, T](r, name, section, "list "+codec.Describe[T](), ttl)}
}

// Append adds an element to the list of the key at hand.
func (l *List[K, T]) Append(x T) {
	next := uint64(0)
	if have := l.m.index[l.m.r.Key]; have != nil {
		if !have.sorted { // after a restore
			l.m.sort(have)
		}
		next = have.list[len(have.list)-1] + 1
	}
	l.m.Set(next, x)
}

// Len returns the length of the list of the key at hand.
func (l *List[K, T]) Len() int { return l.m.Len() }

// All returns the elements of the key at hand, the oldest first.
func (l *List[K, T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, v := range l.m.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// DropFirst removes the n oldest elements of the key at hand, or all if there are fewer.
func (l *List[K, T]) DropFirst(n int) {
	if n <= 0 {
		return
	}
	for e := range l.m.names() {
		l.m.Delete(e)
		if n--; n == 0 {
			return
		}
	}
}

// Clear removes all elements of the key at hand.
func (l *List[K, T]) Clear() { l.m.Clear() }
