package keyed

import (
	"bytes"
	"errors"
	"slices"

	"github.com/millrace-stream/millrace/internal/keyed/cold"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// look keeps the disk as it is at the barrier, if a part has entries there.
func (f *frozen[K, V]) look() {
	for i := range f.parts {
		if f.parts[i].disk {
			f.view = f.space.disk.store.View()
			f.journals = slices.Clone(f.space.disk.journals)
			return
		}
	}
}

// diskOf returns what writes the entries of a part to out, together with those that the disk has of it.
func (f *frozen[K, V]) diskOf(pt *part[K, V], out *section) (*withDisk, error) {
	head := appendHead(nil, f.space.disk.number, pt.group, pt.span)
	entries, err := f.view.Iter(head, appendNext(nil, head))
	if err != nil {
		return nil, err
	}
	if pt.kind != snapshot.Delta {
		return &withDisk{out: out, from: &wholeDisk{it: entries}}, nil
	}
	d := &changedDisk{entries: entries, base: f.base, key: head}
	for _, epoch := range f.journals {
		if epoch <= f.base {
			continue
		}
		prefix := appendJournal(nil, f.space.disk.number, epoch, pt.group, pt.span)
		it, err := f.view.Iter(prefix, appendNext(nil, prefix))
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.journals = append(d.journals, journal{it: it})
	}
	return &withDisk{out: out, from: d}, nil
}

// withDisk passes the entries of a table in memory on, and between them those on the disk. Where both have a key, that in memory counts, but
// for a deletion: then the key has come back since, and has been evicted.
type withDisk struct {
	out  entrySink
	from diskEntries
	// key and value are the next entry of the disk, if has.
	key, value []byte
	has, begun bool
}

// diskEntries are entries on the disk in the order of their keys.
type diskEntries interface {
	// next returns the next entry, which is valid until the next call.
	next() (key, value []byte, ok bool, err error)
	close() error
}

func (d *withDisk) advance() error {
	var err error
	d.begun = true
	d.key, d.value, d.has, err = d.from.next()
	return err
}

// upTo passes on what comes before a key, and reports whether the disk has that key too.
func (d *withDisk) upTo(key []byte) (bool, error) {
	if !d.begun {
		if err := d.advance(); err != nil {
			return false, err
		}
	}
	for d.has {
		c := bytes.Compare(d.key, key)
		if c >= 0 {
			return c == 0, nil
		}
		if err := d.pass(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// pass passes on the next entry of the disk.
func (d *withDisk) pass() error {
	if err := d.out.Put(d.key, d.value); err != nil {
		return err
	}
	return d.advance()
}

// Put implements entrySink.
func (d *withDisk) Put(key, value []byte) error {
	same, err := d.upTo(key)
	if err == nil && same {
		err = d.advance()
	}
	if err != nil {
		return err
	}
	return d.out.Put(key, value)
}

// Delete implements entrySink.
func (d *withDisk) Delete(key []byte) error {
	same, err := d.upTo(key)
	switch {
	case err != nil:
		return err
	case same:
		return d.pass()
	}
	return d.out.Delete(key)
}

// end passes on what is left, unless there was an error.
func (d *withDisk) end(err error) error {
	if err == nil && !d.begun {
		err = d.advance()
	}
	for err == nil && d.has {
		err = d.pass()
	}
	return errors.Join(err, d.from.close())
}

// wholeDisk is all that the disk has of a table.
type wholeDisk struct{ it *cold.Iter }

func (w *wholeDisk) next() (key, value []byte, ok bool, err error) {
	if !w.it.Next() {
		return nil, nil, false, nil
	}
	_, value, _, err = splitValue(w.it.Value())
	return w.it.Key()[headBytes:], value, err == nil, err
}

func (w *wholeDisk) close() error { return w.it.Close() }

// changedDisk is what the disk has of a table that has changed after an epoch: what the journals since then name, and is there, and has.
type changedDisk struct {
	entries  *cold.Iter // those of the table
	base     uint64
	journals []journal
	begun    bool
	key      []byte // the beginning of keys on the disk, and the key at hand
}

// journal is a walk through the keys of one journal; key is nil at the end.
type journal struct {
	it  *cold.Iter
	key []byte
}

func (j *journal) next() {
	if j.key = nil; j.it.Next() {
		j.key = j.it.Key()[journalBytes:]
		if j.key == nil {
			j.key = []byte{}
		}
	}
}

func (c *changedDisk) next() (key, value []byte, ok bool, err error) {
	if !c.begun {
		c.begun = true
		for i := range c.journals {
			c.journals[i].next()
		}
	}
	for {
		var least []byte
		for i := range c.journals {
			if k := c.journals[i].key; k != nil && (least == nil || bytes.Compare(k, least) < 0) {
				least = k
			}
		}
		if least == nil {
			return nil, nil, false, nil
		}
		c.key = append(c.key[:headBytes], least...)
		key = c.key[headBytes:]
		for i := range c.journals {
			if j := &c.journals[i]; j.key != nil && bytes.Equal(j.key, key) {
				j.next()
			}
		}
		if !c.entries.Seek(c.key) {
			if err := c.entries.Err(); err != nil {
				return nil, nil, false, err
			}
			continue
		}
		seq, value, _, err := splitValue(c.entries.Value())
		if err != nil {
			return nil, nil, false, err
		}
		if seq > c.base {
			return key, value, true, nil
		}
	}
}

func (c *changedDisk) close() error {
	errs := []error{c.entries.Close()}
	for i := range c.journals {
		errs = append(errs, c.journals[i].it.Close())
	}
	return errors.Join(errs...)
}
