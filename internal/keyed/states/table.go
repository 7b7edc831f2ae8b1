package states

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// Table is a map without keys of the stream: broadcast records fill it, in the same order in all subtasks, so it is the same in all.
//
// Each subtask has all of it in a map, for reading. For checkpoints each keeps, besides, the entries whose own key group it owns: so each
// entry is written once, incrementally like all state, and a restore at any parallelism reads all.
type Table[E comparable, V any] struct {
	name     string
	guard    func(what string) bool
	key      *codec.Key[E]
	value    codec.Codec[V]
	keep     func(*V)
	groups   int
	lo, hi   int
	space    *keyed.Space[E, V]
	pane     *keyed.Pane[E, V]
	all      map[E]V
	ordered  []entry[E, V]
	outdated bool // ordered has to be made again
	at       E    // the key at hand; a local one would be allocated for each call
}

type entry[E comparable, V any] struct {
	key   E
	value V
}

// NewTable declares a table.
func NewTable[E comparable, V any, K comparable](r *Registry[K], name, section string) *Table[E, V] {
	t := &Table[E, V]{name: section, all: map[E]V{}}
	key, err := codec.KeyFor[E]()
	if err != nil {
		err = fmt.Errorf("the key of its entries: %w", err)
	}
	value, keep, err2 := content[V]()
	t.key, t.value, t.keep = key, value, keep
	t.guard = func(what string) bool {
		if !r.Broadcasting && r.Misuse == nil {
			r.Misuse = fmt.Errorf("state %q: %s outside of Broadcast: the subtasks would not have the same table any more; "+
				"change it for broadcast records only", name, what)
		}
		return r.Broadcasting
	}
	r.add(name, section, "broadcast "+codec.Describe[E]()+" to "+codec.Describe[V](), TTL{}, t, err, err2)
	return t
}

func (t *Table[E, V]) section() string { return t.name }

func (t *Table[E, V]) open(cfg *Config) error {
	t.groups, t.lo, t.hi = cfg.Groups, cfg.Lo, cfg.Hi
	layout := max(codec.LayoutOf[V](), codec.LayoutOf[E]())
	t.space = keyed.New(spaceConfig(cfg, t.name, t.key, t.value, layout))
	if err := cfg.Load(t.name, cfg.Lo, cfg.Hi, t.space.Restore()); err != nil {
		return err
	}
	t.pane = t.space.Ensure(0)
	whole := *cfg
	whole.Lo, whole.Hi = 0, cfg.Groups
	read := keyed.New(spaceConfig(&whole, t.name, t.key, t.value, layout))
	if err := cfg.Load(t.name, 0, cfg.Groups, read.Restore()); err != nil {
		return err
	}
	read.Ensure(0).Each(func(e *E, v *V, _ uint64) bool {
		t.all[*e] = *v
		return true
	})
	t.outdated = true
	return nil
}

// Get returns an entry.
func (t *Table[E, V]) Get(e E) (V, bool) {
	t.aim(e)
	v, ok := t.all[t.at]
	return v, ok
}

// aim sets the key at hand.
func (t *Table[E, V]) aim(e E) {
	t.at = e
	if t.key.Canon != nil {
		t.key.Canon(&t.at)
	}
}

// Set sets an entry.
func (t *Table[E, V]) Set(e E, v V) {
	if !t.guard("Set") {
		return
	}
	t.aim(e)
	if t.key.Clone != nil {
		t.key.Clone(&t.at)
	}
	if t.keep != nil {
		t.keep(&v)
	}
	t.all[t.at], t.outdated = v, true
	if h, mine := t.hash(); mine {
		p, _ := t.pane.Upsert(&t.at, h)
		*p = v
	}
}

// Delete removes an entry.
func (t *Table[E, V]) Delete(e E) {
	if !t.guard("Delete") {
		return
	}
	t.aim(e)
	delete(t.all, t.at)
	t.outdated = true
	if h, mine := t.hash(); mine {
		t.pane.Delete(&t.at, h)
	}
}

// hash returns the hash of the key at hand, and whether this subtask writes its entry.
func (t *Table[E, V]) hash() (uint64, bool) {
	h := t.key.Hash(&t.at)
	g := keyed.Group(h, t.groups)
	return h, g >= t.lo && g < t.hi
}

// Len returns the number of entries.
func (t *Table[E, V]) Len() int { return len(t.all) }

// All returns the entries in the order of their encoded keys, as they are when it is called.
func (t *Table[E, V]) All() iter.Seq2[E, V] {
	if t.outdated {
		t.ordered, t.outdated = make([]entry[E, V], 0, len(t.all)), false // an older one may be walked through
		for e, v := range t.all {
			t.ordered = append(t.ordered, entry[E, V]{e, v})
		}
		slices.SortFunc(t.ordered, func(a, b entry[E, V]) int { return t.key.Compare(&a.key, &b.key) })
	}
	ordered := t.ordered
	return func(yield func(E, V) bool) {
		for i := range ordered {
			if !yield(ordered[i].key, ordered[i].value) {
				return
			}
		}
	}
}

func (t *Table[E, V]) sweep()                           {}
func (t *Table[E, V]) tick()                            {}
func (t *Table[E, V]) due() int64                       { return math.MaxInt64 }
func (t *Table[E, V]) freeze(epoch uint64) keyed.Frozen { return t.space.Freeze(epoch) }
func (t *Table[E, V]) completed(epoch uint64)           { t.space.Completed(epoch) }
func (t *Table[E, V]) entries() int                     { return len(t.all) }
