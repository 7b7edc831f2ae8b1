// Package snapshot is the state of a job on storage: immutable, sorted, checksummed files, and manifests that name them.
package snapshot

// SectionKind says how a section relates to what earlier files of the chain say about the same place.
type SectionKind uint8

// The kinds of sections.
const (
	// Delta sections hold entries that were put or deleted since the epoch before.
	Delta SectionKind = iota + 1
	// Full sections hold all entries of their span: what earlier files say about it does not count any more.
	Full
	// Dropped sections have no entries: the span is gone with all that earlier files say about it.
	Dropped
	// Reset sections have no entries and stand before all others of their group: nothing that earlier files say about any span
	// of the group counts any more.
	Reset
)

// Section addresses a run of entries: one named state of one operator, one key group, one span (the start of a pane,
// or 0 for state without windows). In a file, sections are ordered by (Operator, State, Group, Span), a Reset first in its group.
type Section struct {
	Operator string
	State    string
	Group    int
	Span     int64
	Kind     SectionKind
}

// SectionWriter takes sections in order and, within each, entries in rising order of their encoded key.
type SectionWriter interface {
	// Begin starts a section.
	Begin(s Section) error
	// Put writes an entry of the current section. It does not keep the slices.
	Put(key, value []byte) error
	// Delete writes that the entry with this key is gone.
	Delete(key []byte) error
}

// Visitor takes what a chain of files says about one named state of one operator, group by group, oldest file first. Applied in this
// order, the calls build the state at the epoch of the manifest.
type Visitor interface {
	// Reset forgets all spans of the group.
	Reset(group int) error
	// Drop forgets one span of the group.
	Drop(group int, span int64) error
	// Put sets an entry. The slices are valid during the call only.
	Put(group int, span int64, key, value []byte) error
	// Delete removes an entry.
	Delete(group int, span int64, key []byte) error
}
