package engine

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace/internal/exchange"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/task"
)

// ticking is an operator of the chain that acts at processing times.
type ticking struct {
	operator.Ticked
	at int // its index in the chain
}

// tick calls the operators whose time has come, or all when one has been woken.
func (t *taskRun) tick() error {
	if len(t.ticked) == 0 || t.sealed || !t.begun {
		return nil
	}
	woken := t.woken.Swap(false)
	now := t.now().UnixNano()
	for _, k := range t.ticked {
		if !woken && k.NextTick() > now {
			continue
		}
		t.at.Store(int32(k.at))
		if err := k.Tick(now); err != nil {
			return err
		}
	}
	return nil
}

// untilTick returns how long the task may rest: the timeout, or less when an operator is due before.
func (t *taskRun) untilTick(timeout time.Duration) time.Duration {
	if len(t.ticked) == 0 || t.sealed || !t.begun {
		return timeout
	}
	due := int64(math.MaxInt64)
	for _, k := range t.ticked {
		due = min(due, k.NextTick())
	}
	return t.until(due, timeout)
}

// until returns how long it is to a processing time, or the timeout when that is shorter.
func (t *taskRun) until(due int64, timeout time.Duration) time.Duration {
	if due == math.MaxInt64 {
		return timeout
	}
	left := max(0, time.Duration(due-t.now().UnixNano()))
	if timeout == task.Forever {
		return left
	}
	return min(left, timeout)
}

// Wake is operator.Task.
func (t *taskRun) Wake() {
	t.woken.Store(true)
	t.ev.Set()
}

// Go is operator.Task.
func (t *taskRun) Go(name string, fn func()) { t.attempt.group.Go(name+" "+t.name, fn) }

// Await is operator.Task. As in Edge.Push, what else the event has said meanwhile is not lost.
func (t *taskRun) Await(until int64, done func() bool) error {
	if done() {
		return nil
	}
	at := t.at.Load()
	if err := t.flushAll(); err != nil {
		return err
	}
	if t.source != nil {
		t.source.Blocked(true)
		defer t.source.Blocked(false)
	}
	defer t.ev.Set()
	for !done() && t.now().UnixNano() < until {
		if t.cancelled.Load() {
			return exchange.ErrCancelled
		}
		t.ev.Wait(t.until(until, task.Forever))
	}
	t.at.Store(at)
	return nil
}

// RequestEpoch is operator.Task.
func (t *taskRun) RequestEpoch() { t.attempt.mail.post(mail{request: true}) }

// room returns how many records the operators of the task take now.
func (t *taskRun) room() int {
	room := operator.BatchSize
	if t.begun {
		for _, l := range t.limited {
			room = min(room, l.Room())
		}
	}
	return room
}

// hold waits until an operator that has no room is ticked. For the source that is like waiting for room downstream.
func (t *taskRun) hold() error {
	if t.source != nil {
		t.source.Blocked(true)
		defer t.source.Blocked(false)
	}
	return t.rest(task.Forever)
}
