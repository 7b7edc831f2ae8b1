package keyed

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/millrace-stream/millrace/codec"
)

// Run is a list of entries in the order of their encoded keys. Its keys share memory with the tables that they come from, which is never
// written again. The zero Run is empty.
type Run[K comparable, V any] struct {
	// orders tell keys apart without a look at them: see item.order.
	orders []uint64
	keys   []K
	values []V
}

// Len returns the number of entries.
func (r *Run[K, V]) Len() int { return len(r.orders) }

// Runs makes, merges and keeps runs of one kind of entries. Values must be flat: a copy of a value is one of its own.
//
// Merging two tables looks up each entry of one in the other and sorts what comes out. Merging two runs reads both from the beginning to the
// end, and the outcome is in order.
type Runs[K comparable, V any] struct {
	key   *codec.Key[K]
	join  func(dst, src *V)
	spare []*Run[K, V]
	kbuf  []byte
	none  Run[K, V]
	sum   V
}

// NewRuns returns the maker of runs of which join adds the value src to dst.
func NewRuns[K comparable, V any](key *codec.Key[K], join func(dst, src *V)) *Runs[K, V] {
	return &Runs[K, V]{key: key, join: join}
}

// Of returns the entries of a pane.
func (rs *Runs[K, V]) Of(p *Pane[K, V]) *Run[K, V] {
	r := rs.empty(p.Len())
	//nolint:errcheck // the function returns none
	p.EachSorted(func(k *K, v *V) error {
		r.orders = append(r.orders, rs.order(k))
		r.keys = append(r.keys, *k)
		r.values = append(r.values, *v)
		return nil
	})
	return r
}

// order returns item.order of a key.
func (rs *Runs[K, V]) order(k *K) uint64 {
	if rs.key.Uint != nil {
		return rs.key.Uint(k)
	}
	rs.kbuf = rs.key.Append(rs.kbuf[:0], k)
	var first [8]byte
	copy(first[:], rs.kbuf)
	return binary.BigEndian.Uint64(first[:])
}

// empty returns a run that n entries find room in: of the spare ones the smallest that is large enough, or else the largest.
func (rs *Runs[K, V]) empty(n int) *Run[K, V] {
	best := -1
	for i, r := range rs.spare {
		if best < 0 || cap(rs.spare[best].orders) < n && cap(r.orders) > cap(rs.spare[best].orders) ||
			cap(r.orders) >= n && cap(r.orders) < cap(rs.spare[best].orders) {
			best = i
		}
	}
	r := &Run[K, V]{}
	if best >= 0 {
		r = rs.spare[best]
		rs.spare = slices.Delete(rs.spare, best, best+1)
	}
	r.orders, r.keys, r.values = slices.Grow(r.orders, n), slices.Grow(r.keys, n), slices.Grow(r.values, n)
	return r
}

// maxSpareRuns bounds the runs that are kept for the next ones. A firing gives back a few, and the next makes as many.
const maxSpareRuns = 8

// Free takes a run back that nobody reads any more.
func (rs *Runs[K, V]) Free(r *Run[K, V]) {
	if len(rs.spare) == maxSpareRuns {
		return
	}
	if rs.key.Clone != nil {
		clear(r.keys) // lets go of strings
	}
	r.orders, r.keys, r.values = r.orders[:0], r.keys[:0], r.values[:0]
	rs.spare = append(rs.spare, r)
}

// compare tells keys of one order apart: whether a comes after b, and whether they are the same.
func (rs *Runs[K, V]) compare(a, b *K) (after, same bool) {
	c := rs.key.Compare(a, b)
	return c > 0, c == 0
}

// Merge returns the entries of both runs; where both have a key, the value of b is added to that of a.
func (rs *Runs[K, V]) Merge(a, b *Run[K, V]) *Run[K, V] {
	r := rs.empty(max(a.Len(), b.Len()))
	orders, keys, values := r.orders, r.keys, r.values
	i, j, room := 0, 0, min(cap(orders), cap(keys), cap(values))
	orders, keys, values = orders[:room], keys[:room], values[:room]
	n := 0
	for i < len(a.orders) && j < len(b.orders) {
		if n == room {
			room += room/2 + 16
			orders, keys, values = slices.Grow(orders, room-n)[:room], slices.Grow(keys, room-n)[:room], slices.Grow(values, room-n)[:room]
		}
		x, y := a.orders[i], b.orders[j]
		after, same := x > y, x == y
		if same && rs.key.Uint == nil {
			after, same = rs.compare(&a.keys[i], &b.keys[j])
		}
		if after {
			orders[n], keys[n], values[n] = y, b.keys[j], b.values[j]
			n, j = n+1, j+1
			continue
		}
		orders[n], keys[n], values[n] = x, a.keys[i], a.values[i]
		if same {
			rs.join(&values[n], &b.values[j])
			j++
		}
		n, i = n+1, i+1
	}
	r.orders, r.keys, r.values = orders[:n], keys[:n], values[:n]
	r.take(a, i)
	r.take(b, j)
	return r
}

// take appends the entries of another run from the i-th on.
func (r *Run[K, V]) take(from *Run[K, V], i int) {
	r.orders = append(r.orders, from.orders[i:]...)
	r.keys = append(r.keys, from.keys[i:]...)
	r.values = append(r.values, from.values[i:]...)
}

// Each calls fn for what Merge would return, without making it, until fn returns an error, which it returns. Either run may be nil. fn must
// not keep the pointers nor write to what they point to.
func (rs *Runs[K, V]) Each(a, b *Run[K, V], fn func(k *K, v *V) error) error {
	if a == nil {
		a = &rs.none
	}
	if b == nil {
		b = &rs.none
	}
	i, j := 0, 0
	for i < len(a.orders) && j < len(b.orders) {
		x, y := a.orders[i], b.orders[j]
		after, same := x > y, x == y
		if same && rs.key.Uint == nil {
			after, same = rs.compare(&a.keys[i], &b.keys[j])
		}
		k, v := &a.keys[i], &a.values[i]
		switch {
		case same:
			rs.sum = *v
			rs.join(&rs.sum, &b.values[j])
			v = &rs.sum
			i, j = i+1, j+1
		case after:
			k, v = &b.keys[j], &b.values[j]
			j++
		default:
			i++
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	if err := a.each(i, fn); err != nil {
		return err
	}
	return b.each(j, fn)
}

func (r *Run[K, V]) each(i int, fn func(k *K, v *V) error) error {
	for ; i < len(r.keys); i++ {
		if err := fn(&r.keys[i], &r.values[i]); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the value of a key, or nil.
func (rs *Runs[K, V]) Find(r *Run[K, V], k *K) *V {
	order := rs.order(k)
	i, _ := slices.BinarySearch(r.orders, order)
	if rs.key.Uint == nil {
		same := 0
		for i+same < len(r.orders) && r.orders[i+same] == order {
			same++
		}
		keys := r.keys[i : i+same]
		i += sort.Search(same, func(n int) bool { return rs.key.Compare(&keys[n], k) >= 0 })
	}
	if i == len(r.keys) || r.keys[i] != *k {
		return nil
	}
	return &r.values[i]
}
