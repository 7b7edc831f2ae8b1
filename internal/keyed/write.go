package keyed

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/snapshot"
)

// entrySink takes the entries of one section in order.
type entrySink interface {
	Put(key, value []byte) error
	Delete(key []byte) error
}

// WriteTo implements Frozen.
func (f *frozen[K, V]) WriteTo(w snapshot.SectionWriter) error {
	if f.left > 0 {
		return fmt.Errorf("keyed: write %s/%s: %d tables are not encoded yet: the owner must call Step until it returns false",
			f.space.cfg.Operator, f.space.cfg.State, f.left)
	}
	if f.written || f.freed {
		return errors.New("keyed: write " + f.space.cfg.Operator + "/" + f.space.cfg.State + ": this Frozen was written or released before")
	}
	f.written = true
	sc := f.space.pool.takeScratch()
	defer f.space.pool.giveScratch(sc)
	for i := range f.parts {
		pt := &f.parts[i]
		if err := f.writePart(w, pt, sc); err != nil {
			return fmt.Errorf("keyed: write %s/%s group %d span %d: %w", f.space.cfg.Operator, f.space.cfg.State, pt.group, pt.span, err)
		}
		if pt.blk != nil {
			b := pt.blk
			pt.blk, pt.slots, pt.table = nil, nil, nil
			f.space.pool.release(b)
		}
		if pt.bytes != nil {
			f.space.pool.giveEncoded(pt.bytes)
			pt.bytes = nil
		}
	}
	return nil
}

// writePart writes one section.
func (f *frozen[K, V]) writePart(w snapshot.SectionWriter, pt *part[K, V], sc *scratch[K, V]) error {
	cfg := &f.space.cfg
	own := section{w: w, head: snapshot.Section{
		Operator: cfg.Operator, State: cfg.State, Group: pt.group, Span: pt.span, Kind: pt.kind,
	}}
	var err error
	if pt.kind != snapshot.Delta {
		err = own.open()
	}
	if err == nil && pt.content {
		err = f.content(pt, sc, &own)
	}
	t := &f.plan.groups[pt.group-f.space.lo]
	if own.begun {
		t.sections.Add(1)
	}
	t.entries.Add(int64(own.entries))
	f.entries.Add(int64(own.entries))
	return err
}

// content writes the entries of a part: those in memory, and between them those on the disk.
func (f *frozen[K, V]) content(pt *part[K, V], sc *scratch[K, V], own *section) error {
	out := entrySink(own)
	var disk *withDisk
	if pt.disk {
		var err error
		if disk, err = f.diskOf(pt, own); err != nil {
			return err
		}
		out = disk
	}
	var err error
	if pt.bytes != nil {
		err = pt.bytes.replay(out)
	} else {
		err = f.entriesOf(pt, sc, out)
	}
	if disk != nil {
		err = disk.end(err)
	}
	return err
}

// section passes entries on and begins its section with the first one.
type section struct {
	w       snapshot.SectionWriter
	head    snapshot.Section
	begun   bool
	entries int
}

func (o *section) open() error {
	if o.begun {
		return nil
	}
	o.begun = true
	return o.w.Begin(o.head)
}

// Put implements entrySink.
func (o *section) Put(key, value []byte) error {
	if err := o.open(); err != nil {
		return err
	}
	o.entries++
	return o.w.Put(key, value)
}

// Delete implements entrySink.
func (o *section) Delete(key []byte) error {
	if err := o.open(); err != nil {
		return err
	}
	o.entries++
	return o.w.Delete(key)
}

// changed returns what tells from the meta of a slot whether the entry changed after the base. See stampOf.
func (f *frozen[K, V]) changed() func(meta uint64) bool {
	window := f.seq - f.base
	if window >= stamps {
		return nil
	}
	return func(meta uint64) bool { return ageOf(meta, f.seq) < window }
}

// entriesOf gives the entries of a part to out in the order of their keys.
func (f *frozen[K, V]) entriesOf(pt *part[K, V], sc *scratch[K, V], out entrySink) error {
	key := f.space.cfg.Key
	sc.begin(key)
	defer sc.end()
	if pt.kind == snapshot.Delta {
		sc.add(pt.slots, f.changed())
		f.deletions(pt, sc)
	} else {
		sc.add(pt.slots, nil)
	}
	sc.sort()
	gone := sc.gone
	for _, it := range sc.items {
		sl := &pt.slots[it.slot]
		for len(gone) > 0 && key.Compare(&gone[0].key, &sl.key) < 0 {
			sc.kbuf = key.Append(sc.kbuf[:0], &gone[0].key)
			if err := out.Delete(sc.kbuf); err != nil {
				return err
			}
			gone = gone[1:]
		}
		sc.kbuf = key.Append(sc.kbuf[:0], &sl.key)
		sc.vbuf = f.space.cfg.Value.Append(sc.vbuf[:0], &sl.value)
		if err := out.Put(sc.kbuf, sc.vbuf); err != nil {
			return err
		}
	}
	for i := range gone {
		sc.kbuf = key.Append(sc.kbuf[:0], &gone[i].key)
		if err := out.Delete(sc.kbuf); err != nil {
			return err
		}
	}
	return nil
}

// deletions lists in sc.gone, sorted, the keys that were deleted after the base and have not come back. One that came back is in the
// table with a stamp not older than its deletion, so it is written as a put.
func (f *frozen[K, V]) deletions(pt *part[K, V], sc *scratch[K, V]) {
	for i := range pt.dels {
		d := &pt.dels[i]
		if d.seq > f.base && search(pt.slots, &d.key, d.hash) < 0 {
			sc.gone = append(sc.gone, *d)
		}
	}
	cmp := f.space.cfg.Key.Compare
	slices.SortFunc(sc.gone, func(a, b deleted[K]) int { return cmp(&a.key, &b.key) })
	n := 0
	for i := range sc.gone {
		if i == 0 || sc.gone[i].key != sc.gone[i-1].key {
			sc.gone[n] = sc.gone[i]
			n++
		}
	}
	clear(sc.gone[n:])
	sc.gone = sc.gone[:n]
}

// encoded is a section in memory.
type encoded struct {
	data    []byte
	entries []encodedEntry
}

// encodedEntry gives the ends of a key and a value in data; a deleted entry has no value.
type encodedEntry struct {
	key, value int
	deleted    bool
}

// Put implements entrySink.
func (e *encoded) Put(key, value []byte) error {
	e.data = append(e.data, key...)
	k := len(e.data)
	e.data = append(e.data, value...)
	e.entries = append(e.entries, encodedEntry{key: k, value: len(e.data)})
	return nil
}

// Delete implements entrySink.
func (e *encoded) Delete(key []byte) error {
	e.data = append(e.data, key...)
	e.entries = append(e.entries, encodedEntry{key: len(e.data), value: len(e.data), deleted: true})
	return nil
}

// replay gives the entries to out.
func (e *encoded) replay(out entrySink) error {
	at := 0
	for _, en := range e.entries {
		var err error
		if en.deleted {
			err = out.Delete(e.data[at:en.key])
		} else {
			err = out.Put(e.data[at:en.key], e.data[en.key:en.value])
		}
		if err != nil {
			return err
		}
		at = en.value
	}
	return nil
}
