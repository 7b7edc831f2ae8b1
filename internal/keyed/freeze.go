package keyed

import (
	"slices"
	"sync/atomic"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// Frozen is what a Space has to write for one epoch.
//
// Flat and Immutable states are written by WriteTo, which may run on another goroutine while the owner goes on. Deep states are
// encoded by the owner, in Steps between batches (and table by table as it changes them); WriteTo comes when nothing is pending.
type Frozen interface {
	// WriteTo writes the sections in the order of group and span, a Reset first in its group. It can be called once.
	WriteTo(w snapshot.SectionWriter) error
	// Pending reports whether the owner has still to call Step. Only the owner may ask.
	Pending() bool
	// Step encodes one table and reports whether more are left. Only the owner may call it.
	Step() bool
	// Schema says how keys and values are encoded.
	Schema() snapshot.Schema
	// Entries returns the number of puts and deletes written so far.
	Entries() int
	// Release gives the memory back, after WriteTo or instead of it. While Pending, only the owner may call it.
	Release()
}

// frozen implements Frozen.
type frozen[K comparable, V any] struct {
	space   *Space[K, V]
	plan    *plan
	parts   []part[K, V]
	seq     uint64 // the epoch
	base    uint64 // the durable epoch that deltas build on
	next    int    // Step goes on at this part
	left    int    // parts not yet encoded by the owner
	written bool
	freed   bool
	// view is the disk as it was at the barrier, nil when no part needs it; journals are those that deltas look into.
	view     *cold.View
	journals []uint64
	entries  atomic.Int64
}

// part is one section to write.
type part[K comparable, V any] struct {
	group int
	span  int64
	kind  snapshot.SectionKind
	slots []slot[K, V]
	dels  []deleted[K]
	blk   *block[K, V] // held until the part is written; nil for Deep
	// content says that there are entries, here or on the disk, or deletions.
	content bool
	disk    bool // entries on the disk belong to the part
	owner   *frozen[K, V]
	table   *table[K, V] // Deep: the table to encode; nil when done
	bytes   *encoded     // Deep: its encoding
}

// Freeze ends an epoch at a barrier: what changed up to now belongs to it. It looks at each table once and copies no entries. With
// Deep values the encoding that an earlier Frozen still has pending is done first.
func (s *Space[K, V]) Freeze(epoch uint64) Frozen {
	if s.unsealed != nil {
		for s.unsealed.Step() {
		}
		s.unsealed = nil
	}
	f := &frozen[K, V]{space: s, plan: s.newPlan(epoch), parts: s.pool.takeParts(), seq: s.seq, base: s.base}
	for g := range s.chains {
		f.collect(g)
	}
	f.look()
	if s.cfg.Layout == codec.Deep {
		f.await()
	} else {
		for i := range f.parts {
			if b := f.parts[i].blk; b != nil {
				b.refs.Add(1)
			}
		}
	}
	s.keepPlan(f.plan)
	s.setEpoch(s.seq + 1)
	return f
}

// collect lists the sections of a group, given by its index.
func (f *frozen[K, V]) collect(g int) {
	s := f.space
	if f.plan.groups[g].full {
		f.parts = append(f.parts, part[K, V]{group: s.lo + g, kind: snapshot.Reset})
		for _, p := range s.panes {
			if p.tables[g].total() > 0 {
				f.add(g, p, snapshot.Full)
			}
		}
		return
	}
	gone := s.goneSpans(g)
	for _, p := range s.panes {
		for len(gone) > 0 && gone[0] < p.span {
			f.drop(g, gone[0])
			gone = gone[1:]
		}
		t := &p.tables[g]
		back := len(gone) > 0 && gone[0] == p.span // dropped and made again
		if back {
			gone = gone[1:]
		}
		switch {
		case back && t.total() == 0:
			f.drop(g, p.span)
		case back:
			f.add(g, p, snapshot.Full)
		case t.seq <= f.base || t.total() == 0 && len(t.dels) == 0 && t.delsFrom <= f.base:
		case t.delsFrom > f.base:
			f.add(g, p, snapshot.Full)
		default:
			f.add(g, p, snapshot.Delta)
		}
	}
	for _, span := range gone {
		f.drop(g, span)
	}
}

// goneSpans returns the spans of a group dropped since the durable epoch, in rising order.
func (s *Space[K, V]) goneSpans(g int) []int64 {
	s.gone = s.gone[:0]
	for _, d := range s.chains[g].drops {
		if d.seq > s.base {
			s.gone = append(s.gone, d.span)
		}
	}
	slices.Sort(s.gone)
	s.gone = slices.Compact(s.gone)
	return s.gone
}

// add lists the table of a group in a pane.
func (f *frozen[K, V]) add(g int, p *Pane[K, V], kind snapshot.SectionKind) {
	t := &p.tables[g]
	t.known = true
	f.parts = append(f.parts, part[K, V]{
		group: f.space.lo + g, span: p.span, kind: kind, slots: t.slots, dels: t.dels[:len(t.dels):len(t.dels)], blk: t.blk,
		owner: f, table: t, content: true, disk: t.disk != nil,
	})
}

// drop lists a span that is gone from a group.
func (f *frozen[K, V]) drop(g int, span int64) {
	f.parts = append(f.parts, part[K, V]{group: f.space.lo + g, span: span, kind: snapshot.Dropped})
}

// await tells the tables that they have to be encoded before they change.
func (f *frozen[K, V]) await() {
	for i := range f.parts {
		pt := &f.parts[i]
		if pt.table != nil {
			pt.blk = nil
			pt.table.frozen = pt
			f.left++
		}
	}
	if f.left > 0 {
		f.space.unsealed = f
	}
}

// Pending implements Frozen.
func (f *frozen[K, V]) Pending() bool { return f.left > 0 }

// Step implements Frozen.
func (f *frozen[K, V]) Step() bool {
	for f.left > 0 && f.next < len(f.parts) {
		pt := &f.parts[f.next]
		f.next++
		if pt.table != nil {
			f.space.encode(pt)
			break
		}
	}
	return f.left > 0
}

// encode encodes a part on the owner's goroutine.
func (s *Space[K, V]) encode(pt *part[K, V]) {
	f := pt.owner
	sc := s.pool.takeScratch()
	pt.bytes = s.pool.takeEncoded()
	// encoded takes everything: it has no error to return.
	_ = f.entriesOf(pt, sc, pt.bytes)
	s.pool.giveScratch(sc)
	pt.table.frozen = nil
	pt.table, pt.slots, pt.dels = nil, nil, nil
	f.left--
	if f.left == 0 && s.unsealed == f {
		s.unsealed = nil
	}
}

// Schema implements Frozen.
func (f *frozen[K, V]) Schema() snapshot.Schema { return f.space.Schema() }

// Entries implements Frozen.
func (f *frozen[K, V]) Entries() int { return int(f.entries.Load()) }

// Release implements Frozen.
func (f *frozen[K, V]) Release() {
	if f.freed {
		return
	}
	f.freed = true
	if f.view != nil {
		_ = f.view.Close() // it was read, or is not wanted any more
	}
	for i := range f.parts {
		pt := &f.parts[i]
		if pt.blk != nil {
			f.space.pool.release(pt.blk)
		}
		if f.left > 0 && pt.table != nil {
			pt.table.frozen = nil
		}
	}
	if f.left > 0 {
		f.left = 0
		f.space.unsealed = nil
	}
	f.space.pool.giveParts(f.parts)
	f.parts = nil
}
