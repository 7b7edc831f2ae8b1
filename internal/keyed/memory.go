package keyed

import (
	"sync"
	"sync/atomic"

	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// Tier is the disk and the budget of memory that the tasks of a job share.
//
// Each task may keep an equal part of the budget. A task that needs more takes what others leave, and gives it back when they want it.
type Tier struct {
	store *cold.Store
	limit int64
	// all evicts everything between batches: a test of what eviction may change, which is nothing.
	all bool

	total atomic.Int64

	mu struct {
		sync.Mutex
		members []*Memory
	}
}

// TierConfig describes a Tier.
type TierConfig struct {
	Store *cold.Store
	// Limit is the number of bytes that states may take in memory.
	Limit int64
	// EvictAll evicts everything between batches.
	EvictAll bool
}

// NewTier returns a tier without tasks.
func NewTier(c TierConfig) *Tier { return &Tier{store: c.Store, limit: c.Limit, all: c.EvictAll} }

// Memory is the part of one task. Only its goroutine uses it, but for the counters.
type Memory struct {
	tier   *Tier
	wake   func()
	spaces []resident
	// empty says of each space that it has nothing left to evict; it is scratch.
	empty []bool
	used  atomic.Int64

	// Counters are what has been moved, and what is where.
	Counters MemoryCounters
}

// MemoryCounters count what a task has moved to the disk and back. Any goroutine may read them.
type MemoryCounters struct {
	// Evicted counts the entries that went to the disk, Fetched those that came back, Misses the reads that found nothing.
	Evicted, Fetched, Misses atomic.Int64
	// Hot is the number of bytes in memory, Cold that of the entries that are on the disk alone.
	Hot, Cold atomic.Int64
}

// resident is a Space as its Memory sees it.
type resident interface {
	// bytes returns about what is kept in memory; it may be called for each batch.
	bytes() int64
	// coldEntries returns how many entries are on the disk alone.
	coldEntries() int64
	// evictSome evicts a part, and reports whether there was any.
	evictSome() bool
}

// Task returns the part of a task. Wake makes the task call Settle soon; it may be called by any goroutine.
func (t *Tier) Task(wake func()) *Memory {
	m := &Memory{tier: t, wake: wake}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.members = append(t.mu.members, m)
	return m
}

// Counters returns the sum of the counters of all tasks.
func (t *Tier) Counters() (evicted, fetched, misses, hot, coldEntries int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.mu.members {
		c := &m.Counters
		evicted += c.Evicted.Load()
		fetched += c.Fetched.Load()
		misses += c.Misses.Load()
		hot += c.Hot.Load()
		coldEntries += c.Cold.Load()
	}
	return evicted, fetched, misses, hot, coldEntries
}

// share returns what each task may keep in any case. Tasks without state do not count.
func (t *Tier) share() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(0)
	for _, m := range t.mu.members {
		if m.used.Load() > 0 {
			n++
		}
	}
	return t.limit / max(n, 1)
}

// others wakes the tasks that keep more than their share.
func (t *Tier) others(share int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.mu.members {
		if m.wake != nil && m.used.Load() > share {
			m.wake()
		}
	}
}

// add makes a Space part of the memory.
func (m *Memory) add(r resident) { m.spaces = append(m.spaces, r) }

// part is a part of the budget that a passing need may take.
func (m *Memory) part() int { return int(m.tier.limit / 16) }

// measure sums up what the task keeps.
func (m *Memory) measure() int64 {
	used, coldEntries := int64(0), int64(0)
	for _, r := range m.spaces {
		used += r.bytes()
		coldEntries += r.coldEntries()
	}
	before := m.used.Swap(used)
	m.tier.total.Add(used - before)
	m.Counters.Hot.Store(used)
	m.Counters.Cold.Store(coldEntries)
	return used
}

// Settle brings the task back into its budget. It is called between batches: what the calls on a Space have returned is not valid any
// more. A nil Memory has no bounds.
func (m *Memory) Settle() {
	if m == nil || len(m.spaces) == 0 {
		return
	}
	used := m.measure()
	if m.tier.all {
		for _, r := range m.spaces {
			for r.evictSome() {
			}
		}
		m.measure()
		return
	}
	if m.tier.total.Load() <= m.tier.limit {
		return
	}
	share := m.tier.share()
	if used <= share {
		m.tier.others(share)
		return
	}
	m.empty = append(m.empty[:0], make([]bool, len(m.spaces))...)
	for used > share && m.tier.total.Load() > m.tier.limit {
		at := m.largest()
		if at < 0 {
			return // what is left cannot be evicted, such as filters
		}
		if !m.spaces[at].evictSome() {
			m.empty[at] = true
		}
		used = m.measure()
	}
}

// largest returns the number of the space that takes the most, of those that are not empty, or -1.
func (m *Memory) largest() int {
	most, at := int64(-1), -1
	for i, r := range m.spaces {
		if b := r.bytes(); b > most && !m.empty[i] {
			most, at = b, i
		}
	}
	return at
}

// relieve is Settle for one space in the middle of a batch, at a moment when nobody holds what it has returned.
func (m *Memory) relieve(r resident) {
	if m.tier.all {
		for r.evictSome() {
		}
		return
	}
	for m.measure(); m.tier.total.Load() > m.tier.limit && m.used.Load() > m.tier.share(); m.measure() {
		if !r.evictSome() {
			return
		}
	}
}

// DiskFailure is what a Space panics with when the disk fails: the calls that may need the disk have no error to return, since they
// are made for each record. The task recovers it.
type DiskFailure struct{ Err error }

// Error implements error.
func (f DiskFailure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f DiskFailure) Unwrap() error { return f.Err }

// must ends the batch when the disk has failed.
func must(err error) {
	if err != nil {
		panic(DiskFailure{err})
	}
}
