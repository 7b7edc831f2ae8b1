// Package task runs the goroutines of a job: it is the only package with a go statement.
//
// Everything that waits in the engine waits on an Event, and everything that runs beside something else is started
// through a Scheduler. In production these are a channel and a goroutine. A simulator replaces both by coroutines of
// which one runs at a time, chosen by a seed; the code above cannot tell the difference.
package task

import (
	"sync"
	"time"

	"github.com/millrace-stream/millrace/internal/clock"
)

// Forever is the timeout of a wait that only Set ends.
const Forever time.Duration = -1

// Event is how one task waits and others wake it. A task owns one Event and waits for everything on it: input,
// room downstream, the clock, a command. It looks again at what it waits for after each Wait, because a Set says only
// that something may have changed.
type Event interface {
	// Set wakes the waiter, or makes its next Wait return at once. It never blocks and may be called from anywhere.
	Set()
	// Wait blocks until Set has been called since the last Wait returned, or until the timeout is over. It reports
	// whether Set was called. Only the owner may wait.
	Wait(timeout time.Duration) bool
}

// Scheduler starts concurrent work and makes the events that it waits on.
type Scheduler interface {
	clock.Clock
	// Go runs fn beside the caller. The name is for profiles and dumps.
	Go(name string, fn func())
	// NewEvent returns an event that has not been set.
	NewEvent() Event
}

// System is the scheduler of production: goroutines, channels and the given clock.
type System struct{ clock.Clock }

// NewSystem returns the production scheduler on the machine's clock.
func NewSystem() System { return System{clock.System{}} }

// NewEvent returns an event made of a channel.
func (System) NewEvent() Event { return &chanEvent{ch: make(chan struct{}, 1)} }

type chanEvent struct {
	ch    chan struct{}
	timer *time.Timer
}

func (e *chanEvent) Set() {
	select {
	case e.ch <- struct{}{}:
	default:
	}
}

func (e *chanEvent) Wait(timeout time.Duration) bool {
	if timeout < 0 {
		<-e.ch
		return true
	}
	if timeout == 0 {
		select {
		case <-e.ch:
			return true
		default:
			return false
		}
	}
	if e.timer == nil {
		e.timer = time.NewTimer(timeout)
	} else {
		e.timer.Reset(timeout)
	}
	select {
	case <-e.ch:
		e.timer.Stop()
		return true
	case <-e.timer.C:
		return false
	}
}

// Group owns what it starts: Wait returns when nothing of it is running any more.
type Group struct {
	sched Scheduler
	done  Event

	mu struct {
		sync.Mutex
		running int
	}
}

// NewGroup returns an empty group on the given scheduler.
func NewGroup(s Scheduler) *Group { return &Group{sched: s, done: s.NewEvent()} }

// Go runs fn in the group.
func (g *Group) Go(name string, fn func()) {
	g.mu.Lock()
	g.mu.running++
	g.mu.Unlock()
	g.sched.Go(name, func() {
		defer g.exit()
		fn()
	})
}

func (g *Group) exit() {
	g.mu.Lock()
	g.mu.running--
	g.mu.Unlock()
	g.done.Set()
}

// Wait blocks until all that was started has returned. One caller at a time.
func (g *Group) Wait() {
	for {
		g.mu.Lock()
		n := g.mu.running
		g.mu.Unlock()
		if n == 0 {
			return
		}
		g.done.Wait(Forever)
	}
}

// WaitFor is Wait with a limit. It reports whether all has returned.
func (g *Group) WaitFor(d time.Duration) bool {
	for until := g.sched.Now().Add(d); ; {
		if g.Running() == 0 {
			return true
		}
		left := until.Sub(g.sched.Now())
		if left <= 0 {
			return false
		}
		g.done.Wait(left)
	}
}

// Running returns how many functions of the group have not returned.
func (g *Group) Running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.running
}
