package progress

import (
	"math"
	"sync"

	"github.com/millrace-stream/millrace/internal/element"
)

// Alignment lets those that are far ahead wait for the slowest: each member says where its slowest split stands, and all can ask
// for the smallest of these. It may be used by several goroutines. The zero value has no members.
//
// A member that has nothing to wait for, since all of its splits are idle or have ended, stands at element.EndTime and holds nobody.
// So there is always one that need not wait: the slowest itself, or everybody when there is none.
type Alignment struct {
	mu struct {
		sync.Mutex
		members []*Member
		low     int64
	}
}

// Member is a party to an alignment.
type Member struct {
	of *Alignment
	// low is where the member stands. awaits is the smallest low of all for which it wants to be woken, or noWait. Both are
	// guarded by the lock of the alignment.
	low, awaits int64
	wake        func()
}

// noWait is above every time that a member can wait for.
const noWait = math.MaxInt64

// Join adds a member that stands at element.NoTime. It is done for all members before any of them moves. Wake is called, by any
// goroutine, when what the member awaits has come; it must not block.
func (a *Alignment) Join(wake func()) *Member {
	m := &Member{of: a, low: element.NoTime, awaits: noWait, wake: wake}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.members = append(a.mu.members, m)
	a.mu.low = element.NoTime
	return m
}

// Set says where the slowest split of the member stands. It may go back, when a split is found or wakes up. It returns the smallest of all
// members, and wakes those that have waited for it.
func (m *Member) Set(low int64) (all int64) {
	a := m.of
	a.mu.Lock()
	if low == m.low {
		all = a.mu.low
		a.mu.Unlock()
		return all
	}
	m.low = low
	before := a.mu.low
	all = element.EndTime
	for _, o := range a.mu.members {
		all = min(all, o.low)
	}
	a.mu.low = all
	var wake []func()
	if all > before {
		for _, o := range a.mu.members {
			if o.awaits != noWait && o.awaits <= all {
				o.awaits = noWait
				wake = append(wake, o.wake)
			}
		}
	}
	a.mu.Unlock()
	for _, f := range wake {
		f()
	}
	return all
}

// Await asks to be woken when the smallest of all members is t or later. It returns false when it is so already. Each call takes the place
// of the one before.
func (m *Member) Await(t int64) bool {
	m.of.mu.Lock()
	defer m.of.mu.Unlock()
	if m.of.mu.low >= t {
		m.awaits = noWait
		return false
	}
	m.awaits = t
	return true
}
