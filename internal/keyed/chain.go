package keyed

import "sync/atomic"

const (
	// maxFiles is the number of files that may hold a group before it is rewritten in full, whatever that costs: restore opens
	// each of them.
	maxFiles = 32
	// softFiles is the length from which a group is rewritten when its turn comes. Between the two lie enough epochs for all groups
	// to have their turn, so that they are not rewritten in the same epoch.
	softFiles = maxFiles - fullShare
	// fullShare: at most one of so many groups is rewritten per epoch without need.
	fullShare = 8
	// maxDrops bounds the record of dropped spans of a group; beyond it the group is rewritten.
	maxDrops = 1024
	// maxPlans bounds the epochs in flight that Completed can still name.
	maxPlans = 64
)

// chain is what the durable files say about a key group, as far as the next rewrite depends on it.
type chain struct {
	full    bool // there is a durable Reset, or none is needed
	files   int  // files since then
	entries int  // entries in them
	last    int  // entries in the newest of them, when that was a delta
	// drops are the dropped spans that files know, by rising seq.
	drops []drop
	// dropsFrom: drops up to and including this epoch may be missing.
	dropsFrom uint64
}

// drop is a span dropped in epoch seq.
type drop struct {
	span int64
	seq  uint64
}

// plan is what one Freeze gave to its writer. The owner reads the tallies when the epoch is complete.
type plan struct {
	epoch, seq uint64
	groups     []tally
}

// tally counts what was written of a group. The writer adds, the owner reads.
type tally struct {
	full     bool
	sections atomic.Int64
	entries  atomic.Int64
}

// noteDropped records that a span is gone which files may hold.
func (s *Space[K, V]) noteDropped(c *chain, span int64) {
	if c.dropsFrom == s.seq {
		return
	}
	if len(c.drops) >= maxDrops {
		c.drops, c.dropsFrom = c.drops[:0], s.seq
		return
	}
	c.drops = append(c.drops, drop{span: span, seq: s.seq})
}

// newPlan decides which groups this epoch rewrites in full.
//
// A group must be rewritten when nothing durable is there to build on, when its record of dropped spans was given up, or when its
// chain has reached maxFiles. It may be, as far as the share of this epoch allows, when its chain has grown longer than its live
// size. Where the last delta was nearly as large as the live size, a rewrite is as cheap as a delta and needs no share.
func (s *Space[K, V]) newPlan(epoch uint64) *plan {
	n := len(s.chains)
	pl := &plan{epoch: epoch, seq: s.seq, groups: make([]tally, n)}
	share := (n + fullShare - 1) / fullShare
	start := s.cursor
	for i := range n {
		g := (start + i) % n
		c := &s.chains[g]
		live := s.liveIn(g)
		switch {
		case !c.full || c.dropsFrom > s.base || c.files >= maxFiles:
			pl.groups[g].full = true
		case c.entries > live && c.last > 0 && c.last*4 >= live*3:
			pl.groups[g].full = true
		case share > 0 && (c.entries > live || c.files >= softFiles):
			pl.groups[g].full = true
			share--
			s.cursor = (g + 1) % n
		}
	}
	return pl
}

// liveIn returns the number of entries of a group, given by its index.
func (s *Space[K, V]) liveIn(g int) int {
	n := 0
	for _, p := range s.panes {
		n += p.tables[g].total()
	}
	return n
}

// keepPlan remembers a plan until its epoch is complete. An epoch that is frozen again replaces its earlier attempt.
func (s *Space[K, V]) keepPlan(pl *plan) {
	kept := s.plans[:0]
	for _, old := range s.plans {
		if old.epoch != pl.epoch {
			kept = append(kept, old)
		}
	}
	if len(kept) >= maxPlans { // a Completed that comes this late is ignored, which only makes deltas longer
		kept = kept[:copy(kept, kept[1:])]
	}
	kept = append(kept, pl)
	s.plans = kept
}

// Completed says that an epoch is durable, with all before it: deltas from now on hold what changed after its Freeze. An epoch that
// this Space did not freeze, or that is older than one completed before, changes nothing. Epochs that failed need no
// call: until a later one completes, each Freeze holds all changes since the last completed one.
func (s *Space[K, V]) Completed(epoch uint64) {
	at := -1
	for i, pl := range s.plans {
		if pl.epoch == epoch {
			at = i
		}
	}
	if at < 0 || s.plans[at].seq <= s.base {
		return
	}
	pl := s.plans[at]
	for _, old := range s.plans[:at+1] {
		s.count(old, old == pl)
	}
	clear(s.plans[:at])
	s.plans = append(s.plans[:0], s.plans[at+1:]...)
	s.base = pl.seq
	s.forget()
	s.forgetJournals()
}

// count adds a plan to the chains. Of epochs before the completed one it is not known whether they became durable: their deltas
// are counted, which may bring a rewrite early, and their rewrites are not.
func (s *Space[K, V]) count(pl *plan, certain bool) {
	for g := range pl.groups {
		t, c := &pl.groups[g], &s.chains[g]
		n := int(t.entries.Load())
		switch {
		case t.full && certain:
			c.full, c.files, c.entries, c.last = true, 1, 0, 0
		case t.full:
		case t.sections.Load() > 0:
			c.files++
			c.entries += n
			c.last = n
		default:
			c.last = 0
		}
	}
}

// forget removes the records of deletions that are durable.
func (s *Space[K, V]) forget() {
	for g := range s.chains {
		c := &s.chains[g]
		n := 0
		for n < len(c.drops) && c.drops[n].seq <= s.base {
			n++
		}
		c.drops = append(c.drops[:0], c.drops[n:]...)
	}
	for _, p := range s.panes {
		for g := range p.tables {
			t := &p.tables[g]
			n := 0
			for n < len(t.dels) && t.dels[n].seq <= s.base {
				n++
			}
			if n == len(t.dels) {
				t.dels = nil
				continue
			}
			t.dels = t.dels[n:]
		}
	}
}
