package operator

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/window"
)

// never is the time of a timer that is not set.
const never = math.MaxInt64

// triggerNode is one trigger of the tree that a spec describes. What it remembers of a window is in slots of the window's Cell:
//
//	count            records since the last result
//	times, watermark the time at which it fires, or never
//	all              the parts that have fired, as bits of as many slots as they need; those of the parts follow
//	sequence         the part that it waits for; those of the parts follow
//	custom           event timer, processing timer; and a state of its own
type triggerNode struct {
	kind  window.TriggerKind
	n     int64 // a number of records, or ns
	slot  int
	parts []*triggerNode
	run   window.CustomRun
	state int // which of the cell's states is that of run
}

// triggerProgram is a trigger, ready for use by one goroutine.
type triggerProgram struct {
	// atEnd says that the trigger fires at the end of windows. early and late say when it does so before and after that. They are one
	// and the same when atEnd is not set; early may be nil when it is.
	atEnd       bool
	early, late *triggerNode
	// alone says that a custom trigger decides everything.
	alone bool
	// custom says that there is a custom trigger anywhere.
	custom        bool
	slots, states int
}

// newTriggerProgram compiles a spec that has no mistakes.
func newTriggerProgram(s window.TriggerSpec) *triggerProgram {
	p := &triggerProgram{custom: s.Uses(window.TriggerCustom)}
	if s.Kind != window.TriggerAtEnd {
		p.early = p.node(s)
		p.late = p.early
		p.alone = s.Kind == window.TriggerCustom
		return p
	}
	p.atEnd = true
	if s.Early != nil {
		p.early = p.node(*s.Early)
	}
	late := window.PerRecord().TriggerSpec()
	if s.Late != nil {
		late = *s.Late
	}
	p.late = p.node(late)
	return p
}

func (p *triggerProgram) node(s window.TriggerSpec) *triggerNode {
	n := &triggerNode{kind: s.Kind, n: int64(s.Every), slot: p.slots}
	switch s.Kind {
	case window.TriggerCount:
		n.n = s.Count
		p.slots++
	case window.TriggerAllOf:
		p.slots += (len(s.Parts) + 63) / 64
	case window.TriggerAnyOf:
	case window.TriggerCustom:
		n.run, n.state = s.Custom.New(), p.states
		p.slots, p.states = p.slots+2, p.states+1
	default:
		p.slots++
	}
	for _, part := range s.Parts {
		n.parts = append(n.parts, p.node(part))
	}
	return n
}

// triggerCall is what a trigger is asked with: the cell's memory, and the moment.
type triggerCall struct {
	slots  []int64
	states [][]byte
	// clock is the operator's clock, now the processing time, time the event time of the record; all in ns.
	clock, now, time int64
	// record points to the record.
	record any
	// last says that bounded input has ended, so that only custom triggers are asked about processing time: all others are done by what
	// happens at the end of windows.
	last bool
	// earliest is the processing time before which no timer can be set.
	earliest int64
	// context is what custom triggers are given.
	context window.TriggerContext
	// purge says that a custom trigger has purged the window.
	purge bool
	err   error
	// node is the custom trigger that is asked.
	node *triggerNode
}

// start makes slots and states those of a new window.
func (n *triggerNode) start(slots []int64, states [][]byte) {
	switch n.kind {
	case window.TriggerCount:
		slots[n.slot] = 0
	case window.TriggerCustom:
		slots[n.slot], slots[n.slot+1] = never, never
		states[n.state] = states[n.state][:0]
	case window.TriggerAllOf:
		n.unlatch(slots)
	case window.TriggerSequence:
		slots[n.slot] = 0
	case window.TriggerAnyOf:
	default:
		slots[n.slot] = never
	}
	for _, p := range n.parts {
		p.start(slots, states)
	}
}

// again makes the trigger begin anew after a result. A sequence goes on with the part it waits for, and a custom trigger is left alone.
//
// Parts of an AllOf that have fired are not asked, nor told that their time has come. Those that are asked again from now on are told at the
// next instant.
func (n *triggerNode) again(slots []int64, now int64, unasked bool) {
	switch n.kind {
	case window.TriggerCustom:
		if timer := &slots[n.slot+1]; unasked && reached(*timer, now) {
			*timer = satAdd(now, 1)
		}
	case window.TriggerSequence:
		n.parts[slots[n.slot]].again(slots, now, unasked)
	case window.TriggerAnyOf, window.TriggerAllOf:
		for i, p := range n.parts {
			p.again(slots, now, unasked || n.kind == window.TriggerAllOf && n.latched(slots, i))
		}
		if n.kind == window.TriggerAllOf {
			n.unlatch(slots)
		}
	default:
		n.start(slots, nil)
	}
}

func (n *triggerNode) unlatch(slots []int64) {
	clear(slots[n.slot : n.slot+(len(n.parts)+63)/64])
}

func (n *triggerNode) latched(slots []int64, i int) bool {
	return uint64(slots[n.slot+i/64])>>(i%64)&1 == 1
}

func (n *triggerNode) latch(slots []int64, i int) { slots[n.slot+i/64] |= 1 << (i % 64) }

// moment is what happened.
type moment uint8

const (
	// gotRecord: a record was added.
	gotRecord moment = iota
	// eventTime: the clock has come to a time.
	eventTime
	// windowEnd: the clock has come to the end of the window.
	windowEnd
	// processingTime: the processing time is now.
	processingTime
)

// fires tells the trigger what happened and reports whether there is to be a result. One that fires has begun anew.
func (n *triggerNode) fires(m moment, c *triggerCall) bool {
	switch n.kind {
	case window.TriggerCount:
		if m != gotRecord {
			return false
		}
		c.slots[n.slot]++
		if c.slots[n.slot] < n.n {
			return false
		}
		c.slots[n.slot] = 0
		return true
	case window.TriggerProcessingTime:
		return n.firesAt(c, m == gotRecord, m == processingTime && !c.last, c.now, satAdd(c.now, n.n))
	case window.TriggerEventTime:
		return n.firesAt(c, m == gotRecord, m == eventTime || m == windowEnd, c.clock, nextMultiple(max(c.time, satAdd(c.clock, 1)), n.n)-1)
	case window.TriggerWatermark:
		return n.firesAt(c, m == gotRecord, m == eventTime || m == windowEnd, c.clock, satAdd(c.clock, 1))
	case window.TriggerCustom:
		return n.custom(m, c)
	case window.TriggerSequence:
		at := c.slots[n.slot]
		if !n.parts[at].fires(m, c) {
			return false
		}
		if int(at) < len(n.parts)-1 {
			c.slots[n.slot]++
			n.parts[at+1].start(c.slots, c.states)
		}
		return true
	case window.TriggerAllOf:
		all := true
		for i, p := range n.parts {
			if !n.latched(c.slots, i) && p.fires(m, c) {
				n.latch(c.slots, i)
			}
			all = all && n.latched(c.slots, i)
		}
		if all {
			n.again(c.slots, c.now, false)
		}
		return all
	}
	fire := false // TriggerAnyOf: all parts are told, also behind one that fires
	for _, p := range n.parts {
		fire = p.fires(m, c) || fire
	}
	if fire {
		n.again(c.slots, c.now, false)
	}
	return fire
}

// firesAt is fires of a trigger that a record sets for a time, unless it is set for an earlier one, and that fires when asked then.
func (n *triggerNode) firesAt(c *triggerCall, set, ask bool, now, at int64) bool {
	due := &c.slots[n.slot]
	if set {
		*due = min(*due, at)
	}
	if !ask || !reached(*due, now) {
		return false
	}
	*due = never
	return true
}

// reached reports whether a timer is due. At the end of the input the clock is never itself.
func reached(timer, now int64) bool { return timer <= now && timer != never }

// nextMultiple returns the first multiple of d that is greater than t.
func nextMultiple(t, d int64) int64 {
	r := t % d
	if r < 0 {
		r += d
	}
	return satAdd(t, d-r)
}

// custom asks a user's trigger.
func (n *triggerNode) custom(m moment, c *triggerCall) bool {
	if c.err != nil {
		return false
	}
	state, timers := &c.states[n.state], c.slots[n.slot:n.slot+2]
	c.node = n
	var d window.Decision
	var err error
	switch m {
	case gotRecord:
		*state, d, err = n.run.Record(c.context, *state, c.record)
	case eventTime, windowEnd:
		if reached(timers[0], c.clock) {
			timers[0] = never
		} else if m != windowEnd {
			return false
		}
		*state, d, err = n.run.EventTime(c.context, *state)
	case processingTime:
		if !reached(timers[1], c.now) && (!c.last || timers[1] == never) {
			return false
		}
		timers[1] = never
		*state, d, err = n.run.ProcessingTime(c.context, *state)
	}
	c.err = errors.Join(c.err, err)
	c.purge = c.purge || d&window.Purge != 0
	return d&window.Fire != 0
}

// timers are the kinds of timers that a trigger may wait for.
type timers uint8

const (
	eventTimers timers = iota
	processingTimers
	// lastTimers are the processing timers that count at the end of the input: those of custom triggers.
	lastTimers
)

// next returns the earliest time for which a timer of the kind is set, or never.
func (n *triggerNode) next(slots []int64, kind timers) int64 {
	mine := false
	switch n.kind {
	case window.TriggerCount:
	case window.TriggerProcessingTime:
		mine = kind == processingTimers
	case window.TriggerEventTime, window.TriggerWatermark:
		mine = kind == eventTimers
	case window.TriggerCustom:
		if kind == eventTimers {
			return slots[n.slot]
		}
		return slots[n.slot+1]
	case window.TriggerSequence:
		return n.parts[slots[n.slot]].next(slots, kind)
	default:
		at := int64(never)
		for i, p := range n.parts {
			if n.kind != window.TriggerAllOf || !n.latched(slots, i) {
				at = min(at, p.next(slots, kind))
			}
		}
		return at
	}
	if mine {
		return slots[n.slot]
	}
	return never
}

// merge adds what the trigger knows of one session to what it knows of another.
func (n *triggerNode) merge(c *triggerCall, slots []int64, states [][]byte) {
	switch n.kind {
	case window.TriggerCount:
		c.slots[n.slot] += slots[n.slot]
	case window.TriggerCustom:
		for i := n.slot; i < n.slot+2; i++ {
			c.slots[i] = min(c.slots[i], slots[i])
		}
		if c.err == nil {
			c.states[n.state], c.err = n.run.Merge(c.states[n.state], states[n.state])
		}
	case window.TriggerSequence:
		mine, other := c.slots[n.slot], slots[n.slot]
		switch {
		case mine == other:
			n.parts[mine].merge(c, slots, states)
		case mine < other: // it goes on where the session that has come further is
			c.slots[n.slot] = other
			n.parts[other].start(c.slots, c.states)
			n.parts[other].merge(c, slots, states)
		}
	case window.TriggerAnyOf, window.TriggerAllOf:
		if n.kind == window.TriggerAllOf {
			for i := range (len(n.parts) + 63) / 64 {
				c.slots[n.slot+i] |= slots[n.slot+i]
			}
		}
		for _, p := range n.parts {
			p.merge(c, slots, states)
		}
	default:
		c.slots[n.slot] = min(c.slots[n.slot], slots[n.slot])
	}
}

// phase returns the node that says when a window has a result before or after its end; nil when none does.
func (p *triggerProgram) phase(ended bool) *triggerNode {
	if ended {
		return p.late
	}
	return p.early
}

// start is triggerNode.start of the whole trigger.
func (p *triggerProgram) start(slots []int64, states [][]byte) {
	if p.early != nil {
		p.early.start(slots, states)
	}
	if p.late != p.early {
		p.late.start(slots, states)
	}
}

// merge is triggerNode.merge of the whole trigger.
func (p *triggerProgram) merge(c *triggerCall, slots []int64, states [][]byte) {
	if p.early != nil {
		p.early.merge(c, slots, states)
	}
	if p.late != p.early {
		p.late.merge(c, slots, states)
	}
}

// triggerContext is what a custom trigger works with.
type triggerContext struct {
	call           *triggerCall
	discarded      *atomic.Int64
	records, fresh int64
	span           window.Span
	moment         moment
	ended          bool
}

// Window is TriggerContext.
func (t *triggerContext) Window() window.Span { return t.span }

// EventTime is TriggerContext.
func (t *triggerContext) EventTime() time.Time {
	switch t.moment {
	case gotRecord:
		return timeOf(t.call.time)
	case windowEnd:
		return timeOf(t.span.Last())
	default:
		return timeOf(t.call.clock)
	}
}

// Watermark is TriggerContext.
func (t *triggerContext) Watermark() (time.Time, bool) {
	return timeOf(t.call.clock), t.call.clock > element.NoTime
}

// Ended is TriggerContext.
func (t *triggerContext) Ended() bool { return t.ended || t.moment == windowEnd }

// ProcessingTime is TriggerContext.
func (t *triggerContext) ProcessingTime() time.Time { return timeOf(t.call.now) }

// Records is TriggerContext.
func (t *triggerContext) Records() int64 { return t.records }

// NewRecords is TriggerContext.
func (t *triggerContext) NewRecords() int64 { return t.fresh }

// SetEventTimer is TriggerContext.
func (t *triggerContext) SetEventTimer(at time.Time) { t.set(0, at) }

// SetProcessingTimer is TriggerContext.
func (t *triggerContext) SetProcessingTimer(at time.Time) {
	if t.call.last {
		// The input has ended: as with the timers of a process, nothing can fire it.
		t.discarded.Add(1)
		return
	}
	t.set(1, at)
	// In a call for a processing time, a timer that is past waits for the next tick, so that others have their turn.
	timer := &t.call.slots[t.call.node.slot+1]
	*timer = max(*timer, t.call.earliest)
}

// DeleteTimers is TriggerContext.
func (t *triggerContext) DeleteTimers() {
	at := t.call.node.slot
	t.call.slots[at], t.call.slots[at+1] = never, never
}

func (t *triggerContext) set(timer int, at time.Time) {
	ns := at.UnixNano()
	if !timeOf(ns).Equal(at) {
		t.call.err = errors.Join(t.call.err, fmt.Errorf("the trigger sets a timer for %v, which is beyond what ns since 1970 can say", at))
		return
	}
	t.call.slots[t.call.node.slot+timer] = ns
}
