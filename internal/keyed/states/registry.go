// Package states keeps the states that a process function declares through package state: values, lists, maps and reductions
// of the key at hand, each of which may expire. It is the part of package state that a job does not see.
//
// A Registry belongs to one instance of an operator, and so to one goroutine.
package states

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// Registry holds the states that one process function has declared and, once it is open, their content.
type Registry[K comparable] struct {
	Times
	// Key and Hash are those of the record or timer at hand.
	Key  K
	Hash uint64
	// Broadcasting says that the call at hand is for a broadcast record, in which alone tables may be changed. Misuse is the first
	// attempt to do so in another.
	Broadcasting bool
	Misuse       error

	key    *codec.Key[K]
	timed  bool
	states []state
	names  map[string]bool
	types  map[string]string
	errs   []error
	sealed bool
}

// Times is what a state is measured against.
type Times struct {
	// Event is the event time of the call, Clock the watermark of the operator, in ns.
	Event, Clock int64
	// Processing returns the processing time in ns.
	Processing func() int64

	Journal

	now   int64
	known bool // now is that of the call at hand
}

// Now returns the processing time of the call at hand, in ns: one time for the whole call, and never before that of an earlier one.
func (t *Times) Now() int64 {
	if !t.known {
		t.now, t.known = max(t.now, t.Processing()), true
	}
	return t.now
}

// Config is the place of an operator.
type Config struct {
	// Operator names the sections in snapshots.
	Operator string
	// Groups is the number of key groups of the job; the states hold those in [Lo, Hi).
	Groups, Lo, Hi int
	// Load feeds the restored entries of a section, for [lo, hi), to a visitor.
	Load func(section string, lo, hi int, v snapshot.Visitor) error
	// Processing returns the processing time in ns.
	Processing func() int64
	// Memory bounds what the states keep in memory; nil for no bounds.
	Memory *keyed.Memory
}

// state is one of the declared states.
type state interface {
	open(c *Config) error
	// sweep removes what has expired; tick does so for states that are measured by processing time.
	sweep()
	tick()
	// due is the processing time at which tick has something to do.
	due() int64
	freeze(epoch uint64) keyed.Frozen
	completed(epoch uint64)
	// entries returns how many there are in memory, expired ones included.
	entries() int
	section() string
}

// New returns a registry for keys of a kind. Timed says that the records have event time.
func New[K comparable](key *codec.Key[K], timed bool) *Registry[K] {
	return &Registry[K]{key: key, timed: timed, names: map[string]bool{}, types: map[string]string{}, Times: Times{Clock: math.MinInt64}}
}

// Err returns all mistakes in the declarations.
func (r *Registry[K]) Err() error { return errors.Join(r.errs...) }

// Types returns what checkpoints depend on, by section.
func (r *Registry[K]) Types() map[string]string { return maps.Clone(r.types) }

// Same reports whether two registries have the same states, as two calls of one factory should.
func (r *Registry[K]) Same(types map[string]string) bool { return maps.Equal(r.types, types) }

// add declares a state. The mistakes in it are noted.
func (r *Registry[K]) add(name, section, kind string, ttl TTL, s state, errs ...error) {
	if r.sealed {
		errs = append(errs, errors.New("it is declared after the factory has returned: declare all states in the factory"))
	}
	if err := checkName(name); err != nil {
		errs = append(errs, err)
	}
	if r.names[name] {
		errs = append(errs, errors.New("another state has this name: give each its own"))
	}
	errs = append(errs, ttl.check(r.timed))
	if err := errors.Join(errs...); err != nil {
		r.errs = append(r.errs, fmt.Errorf("state %q: %w", name, err))
	}
	r.names[name] = true
	r.types[section] = kind + ttl.kind()
	r.states = append(r.states, s)
}

// maxName is the greatest length of the name of a state in bytes.
const maxName = 64

// checkName returns what is wrong with the name of a state.
func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty: it names the state in checkpoints")
	}
	if len(name) > maxName {
		return fmt.Errorf("the name is %d bytes long, at most %d are allowed", len(name), maxName)
	}
	for _, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '_' && c != '.' {
			return fmt.Errorf("the name has the character %q: letters a-z and A-Z, digits, '-', '_' and '.' are allowed", c)
		}
	}
	return nil
}

// Seal ends the declarations.
func (r *Registry[K]) Seal() { r.sealed = true }

// Open makes the states and fills them with what the checkpoint says.
func (r *Registry[K]) Open(c Config) error {
	r.Processing = c.Processing
	for _, s := range r.states {
		if err := s.open(&c); err != nil {
			return err
		}
	}
	return nil
}

// Call begins a call of the function for a key. The key is canonical.
func (r *Registry[K]) Call(k *K, hash uint64, event, clock int64) {
	r.Key, r.Hash, r.Event, r.Clock, r.known = *k, hash, event, clock, false
}

// Advance removes what has expired by the watermark. It is called between calls of the function.
func (r *Registry[K]) Advance(clock int64) {
	r.Clock = clock
	for _, s := range r.states {
		s.sweep()
	}
}

// NextTick returns the processing time at which Tick has something to do; math.MaxInt64 stands for never.
func (r *Registry[K]) NextTick() int64 {
	due := int64(math.MaxInt64)
	for _, s := range r.states {
		due = min(due, s.due())
	}
	return due
}

// Tick removes what has expired by the processing time.
func (r *Registry[K]) Tick() {
	r.known = false
	for _, s := range r.states {
		s.tick()
	}
}

// Freeze freezes each state at the barrier of an epoch.
func (r *Registry[K]) Freeze(epoch uint64, add func(section string, f keyed.Frozen)) {
	for _, s := range r.states {
		add(s.section(), s.freeze(epoch))
	}
}

// Completed says that the epoch is durable.
func (r *Registry[K]) Completed(epoch uint64) {
	for _, s := range r.states {
		s.completed(epoch)
	}
}

// Entries returns the number of entries in memory, those included that have expired and are not removed yet.
func (r *Registry[K]) Entries() int {
	n := 0
	for _, s := range r.states {
		n += s.entries()
	}
	return n
}

// Section returns the name of the section of a state of this name.
func Section(name string) string { return "state." + name }

// sortedUnique sorts a list of keys and drops what is there twice.
func sortedUnique[E comparable](list []E, compare func(a, b *E) int) []E {
	slices.SortFunc(list, func(a, b E) int { return compare(&a, &b) })
	return slices.Compact(list)
}
