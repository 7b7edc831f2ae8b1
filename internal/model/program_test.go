package model_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/internal/model"
)

// flat and deep are the states of processes: one without memory of its own, one with.
type flat struct{ N, Sum int64 }

type deep struct {
	N   int64
	Log []int32
}

func (s *flat) note(v int32) string {
	s.N++
	s.Sum += int64(v)
	return fmt.Sprintf("n=%d sum=%d", s.N, s.Sum)
}

func (s *deep) note(v int32) string {
	s.N++
	s.Log = append(s.Log, v)
	return fmt.Sprintf("n=%d log=%v", s.N, s.Log)
}

func (s *flat) total() string { return fmt.Sprintf("n=%d sum=%d", s.N, s.Sum) }

func (s *deep) total() string {
	sum := int64(0)
	for _, v := range s.Log {
		sum += int64(v)
	}
	return fmt.Sprintf("n=%d log sum=%d", s.N, sum)
}

// noter is a pointer to a state.
type noter[S any] interface {
	*S
	note(v int32) string
	total() string
}

// hand is what a program works with, in the engine and in the model.
type hand[S any] struct {
	key         string
	time, clock int64
	get         func() *S
	forget      func()
	emit        func(rec)
	set         func(name string, at int64)
	del         func(name string)
}

// The programs of processes.
const (
	// running emits a running value and has no timers.
	running = iota
	// timers sets, moves and deletes timers for records, in the past too.
	timers
	// final emits once per key, at the end: it does not depend on the order of records.
	final
	// chains sets and deletes timers in timers, and looks at the clock there. What it does depends on each single watermark.
	chains
)

// onRecord is what a process does with a record.
func onRecord[S any, P noter[S]](s stage, h hand[S], r rec) {
	tick := s.Tick
	if s.Program == final {
		P(h.get()).note(r.V)
		h.set("end", 9e18)
		return
	}
	if s.Program != running {
		switch r.V & 7 {
		case 0:
			h.set("a", r.At+int64(r.K)*tick)
		case 1:
			h.set("b", h.time-5*tick)
		case 2:
			h.del("a")
		case 3:
			h.set("", h.time+3*tick)
			h.set("a", h.time+10*tick)
		case 4:
			h.forget()
		case 5:
			if s.Steady && h.clock > model.None {
				h.set("c", h.clock+1)
			}
		case 6:
			h.del("b")
			h.set("b", h.time+20*tick)
		}
	}
	clock := int64(0)
	if s.Steady {
		clock = h.clock
	}
	seen := P(h.get()).note(r.V)
	h.emit(rec{At: h.time, V: r.V, K: r.K, Tag: fmt.Sprintf("<%s clock %d %s>", h.key, clock, seen)})
}

// onTimer is what a process does for a timer.
func onTimer[S any, P noter[S]](s stage, h hand[S], name string, at int64) {
	if s.Program == final {
		h.emit(rec{At: h.time, Tag: fmt.Sprintf("<%s %s>", h.key, P(h.get()).total())})
		return
	}
	seen := P(h.get()).note(-1)
	clock := int64(0)
	if s.Program == chains {
		clock = h.clock
		switch name {
		case "a":
			h.set("b", at+2*s.Tick)
			h.set("d", at+1)
		case "b":
			h.set("e", at-s.Tick)
			h.del("a")
		case "c":
			h.del("a")
			h.set("b", at)
		case "":
			h.set("a", at+4*s.Tick)
			h.forget()
		}
	}
	h.emit(rec{At: h.time, V: int32(len(seen)), K: uint8(len(name)), Tag: fmt.Sprintf("<%s timer %q %d clock %d %s>", h.key, name, at, clock, seen)})
}

func processStage[K comparable, S any, P noter[S]](s stage, in millrace.Keyed[K, rec], id string, k keys[K]) millrace.Stream[rec] {
	take := func(p *millrace.Proc[K, S, rec]) hand[S] {
		clock := int64(model.None)
		if w, ok := p.Watermark(); ok {
			clock = w.UnixNano()
		}
		return hand[S]{
			key: k.text(p.Key()), time: p.EventTime().UnixNano(), clock: clock, get: p.State, forget: p.Clear, emit: p.Emit,
			set: func(name string, at int64) { p.SetTimer(name, time.Unix(0, at)) }, del: p.DeleteTimer,
		}
	}
	f := func(p *millrace.Proc[K, S, rec], r rec) error { onRecord[S, P](s, take(p), r); return nil }
	return in.Process(id, f, func(p *millrace.Proc[K, S, rec], t millrace.Timer) error {
		onTimer[S, P](s, take(p), t.Name, t.At.UnixNano())
		return nil
	})
}

func processModel[K comparable, S any, P noter[S]](s stage, in []model.Item[rec], k keys[K]) []model.Item[rec] {
	take := func(c *model.Call[K, S, rec]) hand[S] {
		return hand[S]{
			key: k.text(c.Key), time: c.Time, clock: c.Clock, get: c.Get, forget: c.Forget, emit: c.Emit, set: c.Set, del: c.Delete,
		}
	}
	p := model.Process[K, rec, S, rec]{
		Key: k.model, Compare: k.compare,
		OnRecord: func(c *model.Call[K, S, rec], r rec) { onRecord[S, P](s, take(c), r) },
		OnTimer:  func(c *model.Call[K, S, rec], name string, at int64) { onTimer[S, P](s, take(c), name, at) },
	}
	return p.Run(in)
}
