package keyed

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/shape"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// restoredSeq is the epoch of restored entries; the first new one is the next.
const restoredSeq = 1

var errUsed = errors.New("the space was used or restored before; restore into a new one")

// restorer implements snapshot.Visitor.
type restorer[K comparable, V any] struct {
	space *Space[K, V]
	err   error
	// prev is the span and key of the last entry, for telling where one file of the chain ends and the next begins.
	group int
	span  int64
	prev  []byte
	// k and v are decoded into; as variables they would be an allocation per entry.
	k K
	v V
	// puts counts the entries restored.
	puts int
	// convert makes values of today's shape from those in the files; nil when they are of that shape. converted is memory for one.
	convert   shape.Converter
	converted []byte
}

// From says how the files encode keys and values; it comes before anything is read. Where values differ, they are converted, and the next
// checkpoint holds all of them anew: a chain of files has values of one shape. It fails when they cannot be converted.
func (r *restorer[K, V]) From(old snapshot.Schema) error {
	s := r.space
	if old.Key != s.schema.Key && old.Key != shape.Opaque && s.schema.Key != shape.Opaque {
		return r.fail(s.lo, fmt.Errorf("keys were %s and are %s", old.Key, s.schema.Key))
	}
	if old.Value == s.schema.Value || old.Value == shape.Opaque {
		return nil
	}
	from, err1 := shape.Parse(old.Value)
	to, err2 := shape.Parse(s.schema.Value)
	err := errors.Join(err1, err2)
	if err == nil {
		own := map[string]shape.Own{}
		for _, t := range codec.SelfTypes[V]() {
			own[t.Name] = shape.Own{Skip: t.Skip, Zero: t.Zero}
		}
		r.convert, err = shape.Convert(from, to, own)
	}
	if err != nil {
		return r.fail(s.lo, fmt.Errorf("values of another type: %w", err))
	}
	for g := range s.chains {
		s.chains[g].full = false
	}
	return nil
}

// value decodes a value into r.v.
func (r *restorer[K, V]) value(b []byte) error {
	var zero V
	r.v = zero
	if r.convert != nil {
		out, rest, err := r.convert(r.converted[:0], b)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("%d bytes left over", len(rest))
		}
		if err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		r.converted, b = out, out
	}
	rest, err := r.space.cfg.Value.Decode(b, &r.v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes left over", len(rest))
	}
	return err
}

// relieveEvery is the number of restored entries after which memory is looked at.
const relieveEvery = 256

// Restore returns what loads the entries of the groups [Lo, Hi) from a chain of files, written at any parallelism; what it says about
// other groups is passed over. It comes before anything else is done with the Space. Afterwards nothing counts as changed.
//
// The calls fail when an entry cannot be decoded, has bytes left over, or stands in a group that its key does not belong to.
func (s *Space[K, V]) Restore() snapshot.Visitor {
	r := &restorer[K, V]{space: s, group: -1}
	if s.seq != 1 || s.base != 0 || len(s.panes) > 0 {
		r.err = errUsed
		return r
	}
	s.base = restoredSeq
	s.setEpoch(restoredSeq + 1)
	for g := range s.chains {
		s.chains[g].full = true
	}
	return r
}

// index returns the index of a group, or false when another subtask owns it.
func (r *restorer[K, V]) index(group int) (int, bool, error) {
	cfg := &r.space.cfg
	if r.err != nil {
		return 0, false, r.fail(group, r.err)
	}
	if group < 0 || group >= cfg.Groups {
		return 0, false, r.fail(group, fmt.Errorf("no such key group, the job has %d", cfg.Groups))
	}
	return group - cfg.Lo, group >= cfg.Lo && group < cfg.Hi, nil
}

// fail says where restoring failed.
func (r *restorer[K, V]) fail(group int, err error) error {
	return fmt.Errorf("keyed: restore %s/%s group %d: %w", r.space.cfg.Operator, r.space.cfg.State, group, err)
}

// Reset implements snapshot.Visitor.
func (r *restorer[K, V]) Reset(group int) error {
	g, mine, err := r.index(group)
	if err != nil || !mine {
		return err
	}
	s := r.space
	for i := len(s.panes) - 1; i >= 0; i-- {
		r.vacate(i, g)
	}
	s.chains[g] = chain{full: r.convert == nil, files: 1}
	r.group = -1
	return nil
}

// Drop implements snapshot.Visitor.
func (r *restorer[K, V]) Drop(group int, span int64) error {
	g, mine, err := r.index(group)
	if err != nil || !mine {
		return err
	}
	if i, ok := r.space.find(span); ok {
		r.vacate(i, g)
	}
	return nil
}

// vacate empties the table of a group in pane i, and takes the pane away when that was its last entry.
func (r *restorer[K, V]) vacate(i, g int) {
	s := r.space
	p := s.panes[i]
	p.count -= p.tables[g].total()
	p.vacate(g)
	if p.count == 0 {
		s.unlink(i)
	}
}

// Put implements snapshot.Visitor.
func (r *restorer[K, V]) Put(group int, span int64, key, value []byte) error {
	g, mine, err := r.index(group)
	if err != nil || !mine {
		return err
	}
	s := r.space
	hash, err := r.decodeKey(group, key)
	if err != nil {
		return err
	}
	if err := r.value(value); err != nil {
		return r.fail(group, fmt.Errorf("decode value of %d bytes: %w", len(value), err))
	}
	r.follow(g, group, span, key)
	s.Ensure(span).load(g, &r.k, hash, &r.v)
	if r.puts++; r.puts%relieveEvery == 0 || s.disk != nil && s.cfg.Memory.tier.all {
		s.relieve()
	}
	return nil
}

// load sets an entry as one that is durable.
func (p *Pane[K, V]) load(g int, k *K, hash uint64, v *V) {
	t := &p.tables[g]
	if t.slots == nil {
		p.space.touch(t)
	}
	p.rehead(g, stampOf(restoredSeq))
	if sl := p.find(g, k, hash); sl != nil {
		sl.value = *v
	} else {
		at, _ := p.add(g, vacancy(t.slots, hash), k, hash)
		*at = *v
	}
	t.seq, t.known = restoredSeq, true
	p.rehead(g, 0)
}

// Delete implements snapshot.Visitor.
func (r *restorer[K, V]) Delete(group int, span int64, key []byte) error {
	g, mine, err := r.index(group)
	if err != nil || !mine {
		return err
	}
	s := r.space
	hash, err := r.decodeKey(group, key)
	if err != nil {
		return err
	}
	r.follow(g, group, span, key)
	i, ok := s.find(span)
	if !ok {
		return nil
	}
	p := s.panes[i]
	t := &p.tables[g]
	if at := search(t.slots, &r.k, hash); at >= 0 {
		if t.disk != nil {
			p.eraseCold(g, &r.k, hash)
		}
		p.remove(t, at)
	} else if p.cold > 0 {
		p.deleteCold(g, &r.k, hash)
	}
	if p.count == 0 {
		s.unlink(i)
	}
	return nil
}

// decodeKey decodes a key into r.k and checks that it belongs to the group.
func (r *restorer[K, V]) decodeKey(group int, key []byte) (hash uint64, err error) {
	cfg := &r.space.cfg
	var zero K
	r.k = zero
	rest, err := cfg.Key.Decode(key, &r.k)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes left over", len(rest))
	}
	if err != nil {
		return 0, r.fail(group, fmt.Errorf("decode key %x: %w", key, err))
	}
	hash = cfg.Key.Hash(&r.k)
	if got := Group(hash, cfg.Groups); got != group {
		return 0, r.fail(group, fmt.Errorf("key %x belongs to group %d: the file is damaged, or was written with another number of groups", key, got))
	}
	return hash, nil
}

// follow counts the length of the chain. Within a file the entries of a group rise; one that does not begins the next file.
func (r *restorer[K, V]) follow(g, group int, span int64, key []byte) {
	c := &r.space.chains[g]
	if c.files == 0 {
		c.files = 1
	}
	if r.group == group && (span < r.span || span == r.span && bytes.Compare(key, r.prev) <= 0) {
		c.files++
	}
	if c.files > 1 {
		c.entries++
	}
	r.group, r.span = group, span
	r.prev = append(r.prev[:0], key...)
}
