// Package sim runs whole jobs in a simulated world: one task at a time, in virtual time, on a disk in memory that forgets what was not
// synced. A seed decides everything that is left to chance: which task goes on, how long things take, which operations fail, where the
// process dies and what its disk holds then. The same seed gives the same history, so a failure is repeated by its number.
//
// The code of the engine is that of production. It takes its scheduler, clock and disk from internal/env and cannot tell the difference.
package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/internal/task"
)

// Scheduler is a task.Scheduler that lets one task run at a time. A task goes on until it waits, or reaches a place where others
// may be let on; which one is next is drawn. The clock moves a little with each step, and to the next timeout when nobody can go on.
//
// Each task is a goroutine that waits for its turn, so that a task that is killed ends where it stands, as in the death of its process.
// Since one of them runs at a time, nothing here needs a lock.
type Scheduler struct {
	rnd     *rand.Rand
	history *History
	now     int64
	// tasks are those that have not ended, by their numbers.
	tasks   []*coroutine
	ready   []*coroutine // scratch
	started int
	current *coroutine
	over    chan struct{}
	dead    bool
	err     error
	steps   int

	// onStep, if set, is called at each step, with its number. It may kill.
	onStep func(step int)
	// stall, if set, returns for how long a task that could go on is held up; 0 for not at all.
	stall func() time.Duration
	// leave is how many in 256 wake-ups of another task let others on.
	leave int
	// limit is the virtual time at which a run is taken for stuck.
	limit int64
}

// coroutine is a task.
type coroutine struct {
	id   int
	name string
	turn chan struct{}
	// parked says that it waits, for its event or for the time wake; 0 is no time.
	parked bool
	wake   int64
	// stalled says that it is held up: nothing but the clock wakes it.
	stalled bool
}

// mostSteps is far more than any run of a simulation takes.
const mostSteps = 20_000_000

// epoch0 is when virtual time begins: 2020-01-01 UTC.
const epoch0 = 1_577_836_800_000_000_000

// errStuck is what a run ends with that does not come to its end.
var errStuck = errors.New("stuck")

// newScheduler returns a scheduler at a virtual time.
func newScheduler(rnd *rand.Rand, h *History, now int64) *Scheduler {
	return &Scheduler{rnd: rnd, history: h, now: now, over: make(chan struct{}), limit: now + int64(time.Hour)}
}

// run calls fn as the first task and returns when no task is left: an error when they could not go on, or one panicked.
func (s *Scheduler) run(fn func()) error {
	s.Go("main", fn)
	s.next(nil)
	<-s.over
	return s.err
}

// Now returns the virtual time.
func (s *Scheduler) Now() time.Time { return time.Unix(0, s.now).UTC() }

// Go starts a task, which waits for its first turn.
func (s *Scheduler) Go(name string, fn func()) {
	if s.dead {
		return
	}
	s.started++
	c := &coroutine{id: s.started, name: name, turn: make(chan struct{}, 1)}
	s.tasks = append(s.tasks, c)
	task.System{}.Go(name, func() {
		defer s.end(c)
		<-c.turn
		if !s.dead {
			fn()
		}
	})
}

// end takes a task that has ended, or dies, out. It has the turn and passes it on.
func (s *Scheduler) end(c *coroutine) {
	if p := recover(); p != nil {
		s.fail(fmt.Errorf("task %s panicked: %v\n%s", c.name, p, debug.Stack()))
	}
	for i, o := range s.tasks {
		if o == c {
			s.tasks = append(s.tasks[:i], s.tasks[i+1:]...)
			break
		}
	}
	s.next(nil)
}

// fail ends the run.
func (s *Scheduler) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.dead = true
}

// next gives the turn to somebody. From is who has it and wants it again; nil if it ends.
func (s *Scheduler) next(from *coroutine) {
	c := s.choose()
	s.current = c
	switch {
	case c == nil:
		close(s.over)
	case c != from:
		c.turn <- struct{}{}
	}
	if from != nil && c != from {
		<-from.turn
	}
	if from != nil && s.dead {
		runtime.Goexit()
	}
}

// choose returns who is next, nil when nobody is left.
func (s *Scheduler) choose() *coroutine {
	for {
		if len(s.tasks) == 0 {
			return nil
		}
		if s.dead {
			return s.tasks[0]
		}
		s.steps++
		if s.onStep != nil {
			s.onStep(s.steps)
		}
		if s.steps > mostSteps {
			s.fail(fmt.Errorf("%w: %d steps were taken, at a virtual time of %v\n%s", errStuck, s.steps, s.Now(), s.picture()))
		}
		if s.dead {
			continue
		}
		if c := s.draw(); c != nil {
			return c
		}
	}
}

// draw lets one of those that can go on go on. It returns nil when it has changed something else instead.
func (s *Scheduler) draw() *coroutine {
	s.ready = s.ready[:0]
	first := int64(0)
	for _, c := range s.tasks {
		switch {
		case c.wake > s.now:
			if first == 0 || c.wake < first {
				first = c.wake
			}
		case c.wake > 0:
			c.parked, c.stalled, c.wake = false, false, 0
			s.ready = append(s.ready, c)
		case !c.parked:
			s.ready = append(s.ready, c)
		}
	}
	if len(s.ready) == 0 {
		switch {
		case first == 0:
			s.fail(fmt.Errorf("%w: every task waits for another\n%s", errStuck, s.picture()))
		case first > s.limit:
			s.fail(fmt.Errorf("%w: it is not done after an hour of virtual time\n%s", errStuck, s.picture()))
		default:
			s.now = first
		}
		return nil
	}
	c := s.ready[s.rnd.IntN(len(s.ready))]
	if s.stall != nil {
		if d := s.stall(); d > 0 {
			c.parked, c.stalled, c.wake = true, true, s.now+int64(d)
			return nil
		}
	}
	s.now += 1 + s.rnd.Int64N(4000)
	s.history.step(c.id, s.now)
	return c
}

// picture tells which tasks wait.
func (s *Scheduler) picture() string {
	var b strings.Builder
	for _, c := range s.tasks {
		fmt.Fprintf(&b, "  task %d %s", c.id, c.name)
		if c.wake > 0 {
			fmt.Fprintf(&b, ", until %v", time.Unix(0, c.wake).UTC())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Yield lets others on.
func (s *Scheduler) Yield() {
	if s.dead || s.current == nil {
		return
	}
	s.next(s.current)
}

// Sleep lets others on for d.
func (s *Scheduler) Sleep(d time.Duration) {
	if s.dead {
		return
	}
	c := s.current
	c.parked, c.stalled, c.wake = true, true, s.now+max(1, int64(d))
	s.next(c)
}

// kill ends all tasks where they stand. The one that has the turn ends at its next step, or at once by die.
func (s *Scheduler) kill() { s.dead = true }

// die ends the task that calls it.
func (s *Scheduler) die() { runtime.Goexit() }

// NewEvent returns an event that has not been set.
func (s *Scheduler) NewEvent() task.Event { return &event{s: s} }

type event struct {
	s      *Scheduler
	set    bool
	waiter *coroutine
}

// Set wakes the waiter. Now and then it lets others on, so that what comes after a wake-up is not always done before the
// other task looks.
func (e *event) Set() {
	s := e.s
	if s.dead {
		return
	}
	e.set = true
	if c := e.waiter; c != nil && !c.stalled {
		c.parked, c.wake = false, 0
	}
	if s.leave > 0 && s.current != nil && s.rnd.IntN(256) < s.leave {
		s.Yield()
	}
}

func (e *event) Wait(timeout time.Duration) bool {
	s := e.s
	if s.dead {
		s.die()
	}
	c := s.current
	if !e.set && timeout != 0 {
		e.waiter = c
		c.parked = true
		if timeout > 0 {
			c.wake = s.now + int64(timeout)
		}
		s.next(c)
		e.waiter = nil
		c.wake = 0
	} else {
		s.Yield()
	}
	was := e.set
	e.set = false
	return was
}
