package model

import (
	"cmp"
	"slices"
)

// Process is a keyed function with a state of type S per key and named timers.
type Process[K comparable, T, S, O any] struct {
	Key func(T) K
	// Compare is the order of keys whose timers stand at the same time.
	Compare func(a, b K) int
	// OnRecord and OnTimer are the function.
	OnRecord func(c *Call[K, S, O], r T)
	OnTimer  func(c *Call[K, S, O], name string, at int64)

	states map[K]*S
	timers []timer[K]
	// born numbers the settings of timers.
	born int
	out  []Item[O]
}

type timer[K comparable] struct {
	key  K
	name string
	at   int64
	born int
}

// Call is what the function works with during one call.
type Call[K comparable, S, O any] struct {
	Key K
	// Time is the event time of the record or timer, Clock the watermark of the operator, in ns.
	Time, Clock int64
	// State is that of the key: Get makes it, Forget drops it.
	Get    func() *S
	Forget func()
	Emit   func(O)
	Set    func(name string, at int64)
	Delete func(name string)
}

// Run returns what the function makes of a stream. It is for one use.
func (p *Process[K, T, S, O]) Run(in []Item[T]) []Item[O] {
	p.states = map[K]*S{}
	clock := int64(None)
	for _, x := range in {
		if !x.Mark {
			p.OnRecord(p.call(p.Key(x.Value), x.Time, clock, false), x.Value)
			continue
		}
		clock = x.Time
		p.fire(clock)
		p.out = append(p.out, Item[O]{Time: clock, Mark: true})
	}
	return p.out
}

// fire calls the function for what is due. A timer that is set meanwhile, for a time that has come, waits for the next watermark.
func (p *Process[K, T, S, O]) fire(clock int64) {
	before := p.born
	for {
		var due []timer[K]
		for _, t := range p.timers {
			if t.at <= clock && t.born <= before {
				due = append(due, t)
			}
		}
		if len(due) == 0 {
			return
		}
		t := slices.MinFunc(due, func(a, b timer[K]) int {
			return cmp.Or(cmp.Compare(a.at, b.at), p.Compare(a.key, b.key), cmp.Compare(a.name, b.name))
		})
		p.drop(t.key, t.name)
		p.OnTimer(p.call(t.key, t.at, clock, clock == End), t.name, t.at)
	}
}

func (p *Process[K, T, S, O]) drop(k K, name string) {
	p.timers = slices.DeleteFunc(p.timers, func(t timer[K]) bool { return t.key == k && t.name == name })
}

// call is one call of the function; last says that no watermark will follow, so that no timer can be set.
func (p *Process[K, T, S, O]) call(k K, at, clock int64, last bool) *Call[K, S, O] {
	return &Call[K, S, O]{
		Key: k, Time: at, Clock: clock,
		Get: func() *S {
			if p.states[k] == nil {
				p.states[k] = new(S)
			}
			return p.states[k]
		},
		Forget: func() { delete(p.states, k) },
		Emit:   func(o O) { p.out = append(p.out, Item[O]{Value: o, Time: at}) },
		Set: func(name string, at int64) {
			if last {
				return
			}
			// A timer that stands at this time already is left as it is.
			if slices.ContainsFunc(p.timers, func(t timer[K]) bool { return t.key == k && t.name == name && t.at == at }) {
				return
			}
			p.drop(k, name)
			p.born++
			p.timers = append(p.timers, timer[K]{k, name, at, p.born})
		},
		Delete: func(name string) { p.drop(k, name) },
	}
}
