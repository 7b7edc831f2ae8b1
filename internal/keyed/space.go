package keyed

import (
	"reflect"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/shape"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

const codecFlat = codec.Flat

// maxSpare bounds the dropped panes whose tables are kept for the next ones. Windows rarely close more than a few at a time.
const maxSpare = 4

// Config describes a Space.
type Config[K comparable, V any] struct {
	// Operator and State name the sections in snapshots.
	Operator, State string
	// Key and Value may be used by the owner and by a background writer at the same time.
	Key   *codec.Key[K]
	Value codec.Codec[V]
	// Layout is that of keys and values together, whichever reaches further.
	Layout codec.Layout
	// Groups is the number of key groups of the job; this Space holds those in [Lo, Hi).
	Groups, Lo, Hi int
	// Filtered keeps filters for MayHold. They take 3 to 7 bytes for each entry.
	Filtered bool
	// Memory bounds what is kept in memory: the rest goes to the disk. nil keeps everything.
	Memory *Memory
	// Transient stores what Value leaves out because it is made anew after a restore, for the way to the disk and back; nil when
	// there is no such thing.
	Transient codec.Codec[V]
}

// Space is one named state of one subtask: a table per key group and span.
type Space[K comparable, V any] struct {
	seq   uint64 // number of the current epoch in this process, rising from 1
	stamp uint64 // stampOf(seq)
	lo    int

	cfg   Config[K, V]
	panes []*Pane[K, V] // by rising span
	last  *Pane[K, V]   // the one asked for last
	spare []*Pane[K, V]
	pool  pool[K, V]

	base     uint64 // the last durable epoch, as seq; 0 when there is none
	chains   []chain
	plans    []*plan
	cursor   int // the group at which the search for full rewrites goes on
	unsealed *frozen[K, V]
	gone     []int64
	filters  filters
	disk     *disk[K, V] // nil when everything is kept in memory
	schema   snapshot.Schema
}

// New returns an empty Space.
func New[K comparable, V any](cfg Config[K, V]) *Space[K, V] {
	s := &Space[K, V]{cfg: cfg, lo: cfg.Lo}
	s.pool.beside = !hasPointers(reflect.TypeFor[slot[K, V]]())
	s.setEpoch(1)
	s.chains = make([]chain, cfg.Hi-cfg.Lo)
	s.schema = schemaOf(&s.cfg)
	if cfg.Filtered {
		s.filters = newFilters(cfg.Groups, cfg.Lo, cfg.Hi)
	}
	if cfg.Memory != nil {
		s.disk = newDisk(&s.cfg)
		s.pool.share = keepShare
		cfg.Memory.add(s)
	}
	return s
}

// setEpoch begins an epoch: every table must be opened again before it is written.
func (s *Space[K, V]) setEpoch(seq uint64) {
	s.seq, s.stamp = seq, stampOf(seq)
	for _, p := range s.panes {
		for g := range p.heads {
			p.heads[g].stamp = 0
		}
	}
}

// find returns the place of a span in panes, and whether it is there.
func (s *Space[K, V]) find(span int64) (int, bool) {
	lo, hi := 0, len(s.panes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.panes[mid].span < span {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.panes) && s.panes[lo].span == span
}

// Pane returns the pane of a span, or nil.
func (s *Space[K, V]) Pane(span int64) *Pane[K, V] {
	if s.last != nil && s.last.span == span {
		return s.last
	}
	i, ok := s.find(span)
	if !ok {
		return nil
	}
	s.last = s.panes[i]
	return s.last
}

// Ensure returns the pane of a span and makes it when there is none. A pane without entries is not part of snapshots.
func (s *Space[K, V]) Ensure(span int64) *Pane[K, V] {
	if p := s.Pane(span); p != nil {
		return p
	}
	i, _ := s.find(span)
	var p *Pane[K, V]
	if n := len(s.spare); n > 0 {
		p = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else {
		n := s.cfg.Hi - s.cfg.Lo
		p = &Pane[K, V]{
			groups: uint64(s.cfg.Groups), lo: s.lo, clone: s.cfg.Key.Clone, space: s, heads: make([]head, n), tables: make([]table[K, V], n),
		}
		// The next window is likely to hold as many keys as the one before: its tables need not grow to that size step by step. One
		// before others is a straggler's.
		if i > 0 && i == len(s.panes) {
			for g := range p.tables {
				p.tables[g].want = len(s.panes[i-1].tables[g].slots)
			}
		}
	}
	p.span = span
	s.panes = slices.Insert(s.panes, i, p)
	s.last = p
	return p
}

// Drop removes a span with all its entries. The pane must not be used any more. A span that is not there is left alone.
func (s *Space[K, V]) Drop(span int64) {
	i, ok := s.find(span)
	if !ok {
		return
	}
	p := s.panes[i]
	for g := range p.tables {
		if p.tables[g].known {
			s.noteDropped(&s.chains[g], span)
		}
	}
	s.unlink(i)
}

// unlink takes pane i away and keeps its tables for the next one.
func (s *Space[K, V]) unlink(i int) {
	p := s.panes[i]
	for g := range p.tables {
		p.vacate(g)
	}
	p.count = 0
	s.panes = slices.Delete(s.panes, i, i+1)
	s.last = nil
	if len(s.spare) < maxSpare && s.disk == nil {
		s.spare = append(s.spare, p)
		return
	}
	for g := range p.tables {
		if b := p.tables[g].blk; b != nil {
			s.pool.leave(b)
		}
		p.tables[g] = table[K, V]{}
	}
}

// Spans returns the spans of all panes in rising order.
func (s *Space[K, V]) Spans() []int64 {
	spans := make([]int64, len(s.panes))
	for i, p := range s.panes {
		spans[i] = p.span
	}
	return spans
}

// Len returns the number of entries in all panes.
func (s *Space[K, V]) Len() int {
	n := 0
	for _, p := range s.panes {
		n += p.count
	}
	return n
}

// ShapeOf returns the description of what a codec writes, or shape.Opaque.
func ShapeOf[V any](c codec.Codec[V]) string {
	if s, ok := c.(interface{ Shape() string }); ok {
		return s.Shape()
	}
	return shape.Opaque
}

// Schema says how keys and values are encoded.
func (s *Space[K, V]) Schema() snapshot.Schema { return s.schema }

func schemaOf[K comparable, V any](cfg *Config[K, V]) snapshot.Schema {
	if cfg.Key.Shape == "" {
		return snapshot.Schema{Key: shape.Opaque, Value: ShapeOf(cfg.Value)}
	}
	out := snapshot.Schema{Key: cfg.Key.Shape, Value: ShapeOf(cfg.Value)}
	if cfg.Key.By != cfg.Key.Shape {
		out.By = cfg.Key.By
	}
	return out
}
