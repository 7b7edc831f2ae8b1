package snapshot

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// String names the place for messages.
func (s Section) String() string {
	return fmt.Sprintf("%s/%s group %d span %d", s.Operator, s.State, s.Group, s.Span)
}

// sectionRef is where the entries of a section are.
type sectionRef struct {
	block int64 // offset of the block that holds the first entry
	in    int   // offset of that entry in the decompressed payload
	count uint64
}

// indexBuilder collects sections into the encoded index and the summary for the manifest.
type indexBuilder struct {
	done     []byte // encoded states that are complete
	states   int
	sections int

	any         bool
	last        Section // last section that was begun
	list        []byte  // encoded sections of the state of last
	listN       int
	group       int // of the last section in list
	span        int64
	block       int64
	listOp      string
	listState   string
	contents    []StateGroups
	lastContent *StateGroups
}

// check says why s cannot follow the sections before it.
func (b *indexBuilder) check(s Section) error {
	switch {
	case s.Kind < Delta || s.Kind > Reset:
		return fmt.Errorf("section %s has unknown kind %d", s, s.Kind)
	case s.Group < 0 || s.Group >= MaxGroups:
		return fmt.Errorf("section %s: groups go from 0 to %d", s, MaxGroups-1)
	}
	if !b.any || s.Operator != b.last.Operator || s.State != b.last.State {
		for _, name := range []string{s.Operator, s.State} {
			if len(name) > MaxName || !utf8.ValidString(name) {
				return fmt.Errorf("section %q/%q: names must be UTF-8 of at most %d bytes", clip([]byte(s.Operator)), clip([]byte(s.State)), MaxName)
			}
		}
	}
	if b.any && !before(b.last, s) {
		return fmt.Errorf("section %s does not come after %s", s, b.last)
	}
	b.any, b.last = true, s
	return nil
}

// before is the order of sections.
func before(a, b Section) bool {
	if a.Operator != b.Operator || a.State != b.State {
		return compareState(a.Operator, a.State, b.Operator, b.State) < 0
	}
	if a.Group != b.Group {
		return a.Group < b.Group
	}
	if b.Kind == Reset {
		return false
	}
	return a.Kind == Reset || a.Span < b.Span
}

func compareState(op1, state1, op2, state2 string) int {
	if c := strings.Compare(op1, op2); c != 0 {
		return c
	}
	return strings.Compare(state1, state2)
}

// add takes a section that is complete. One that says nothing is left out, so that it lengthens no chain.
func (b *indexBuilder) add(s Section, ref sectionRef, bytes int64) {
	if s.Kind == Delta && ref.count == 0 {
		return
	}
	if b.listN == 0 || s.Operator != b.listOp || s.State != b.listState {
		b.endState()
		b.listOp, b.listState = s.Operator, s.State
		b.contents = append(b.contents, StateGroups{Operator: s.Operator, State: s.State})
		b.lastContent = &b.contents[len(b.contents)-1]
	}
	if s.Kind >= Dropped {
		ref = sectionRef{block: b.block}
	}
	if s.Group != b.group {
		b.span = 0
	}
	b.list = append(b.list, byte(s.Kind))
	b.list = binary.AppendUvarint(b.list, uint64(s.Group-b.group))
	b.list = binary.AppendVarint(b.list, s.Span-b.span) // wraps around and back
	b.list = binary.AppendUvarint(b.list, ref.count)
	b.list = binary.AppendUvarint(b.list, uint64(ref.block-b.block))
	b.list = binary.AppendUvarint(b.list, uint64(ref.in))
	b.group, b.span, b.block = s.Group, s.Span, ref.block
	b.listN++
	b.sections++

	c := b.lastContent
	if n := len(c.Groups); n == 0 || c.Groups[n-1] != s.Group {
		c.Groups = append(c.Groups, s.Group)
	}
	if s.Kind == Reset {
		c.Resets = append(c.Resets, s.Group)
	}
	c.Bytes += bytes
}

// endState moves the sections of one state to the states that are complete.
func (b *indexBuilder) endState() {
	if b.listN > 0 {
		b.done = appendString(b.done, b.listOp)
		b.done = appendString(b.done, b.listState)
		b.done = binary.AppendUvarint(b.done, uint64(b.listN))
		b.done = binary.AppendUvarint(b.done, uint64(len(b.list)))
		b.done = append(b.done, b.list...)
		b.states++
	}
	b.list, b.listN, b.group, b.span, b.block = b.list[:0], 0, 0, 0, 0
}

func (b *indexBuilder) encode(dst []byte) []byte {
	b.endState()
	dst = binary.AppendUvarint(dst, uint64(b.states))
	return append(dst, b.done...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// indexed is a section as a reader finds it in the index.
type indexed struct {
	kind  SectionKind
	group int
	span  int64
	ref   sectionRef
}

// bytesReader takes numbers and strings off a buffer; after the first failure all results are zero and bad is set.
type bytesReader struct {
	b   []byte
	bad bool
}

func (r *bytesReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *bytesReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take returns the next n bytes without a copy.
func (r *bytesReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// stateList is the undecoded list of sections of one state.
type stateList struct {
	operator, state string
	sections        uint64
	list            []byte
}

// decodeIndex splits the payload of an index block into the lists of its states and checks their order.
func decodeIndex(payload []byte) ([]stateList, error) {
	r := &bytesReader{b: payload}
	n := r.uvarint()
	if n > uint64(len(payload)) { // a state takes more than one byte
		return nil, fmt.Errorf("index claims %d states", n)
	}
	states := make([]stateList, 0, min(n, 1024))
	for i := uint64(0); i < n && !r.bad; i++ {
		s := stateList{operator: string(r.take(r.uvarint())), state: string(r.take(r.uvarint())), sections: r.uvarint()}
		s.list = r.take(r.uvarint())
		if i > 0 {
			if p := states[i-1]; !r.bad && compareState(p.operator, p.state, s.operator, s.state) >= 0 {
				return nil, fmt.Errorf("index has state %q/%q after %q/%q", s.operator, s.state, p.operator, p.state)
			}
		}
		states = append(states, s)
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("index is cut off or has %d bytes too many", len(r.b))
	}
	return states, nil
}

// minSection is the least that an encoded section takes.
const minSection = 6

// decode returns the sections of groups [lo, hi). Entries lie between start and end of the file.
func (s stateList) decode(lo, hi int, start, end int64) ([]indexed, error) {
	if s.sections > uint64(len(s.list))/minSection {
		return nil, fmt.Errorf("index claims %d sections in %d bytes", s.sections, len(s.list))
	}
	r := &bytesReader{b: s.list}
	var out []indexed
	last := Section{Kind: Reset, Group: -1}
	var group, blockOff uint64
	for range s.sections {
		kind := r.take(1)
		if r.bad {
			break
		}
		cur := Section{Kind: SectionKind(kind[0])}
		step := r.uvarint()
		group += step
		if step > MaxGroups || group >= MaxGroups || cur.Kind < Delta || cur.Kind > Reset {
			return nil, fmt.Errorf("index has group %d, kind %d", group, cur.Kind)
		}
		cur.Group = int(group)
		if cur.Group == last.Group {
			cur.Span = last.Span
		}
		cur.Span += r.varint()
		ref := sectionRef{count: r.uvarint()}
		move := r.uvarint()
		blockOff += move
		in := r.uvarint()
		ref.block, ref.in = int64(blockOff), int(in)
		switch {
		case r.bad:
		case move > uint64(end) || blockOff > uint64(end) || in > maxBlock || ref.count > uint64(maxEntries):
			return nil, fmt.Errorf("index puts %d entries at block %d, byte %d", ref.count, blockOff, in)
		case ref.count > 0 && (cur.Kind > Full || ref.block < start):
			return nil, fmt.Errorf("index has %d entries at %d for a section of kind %d", ref.count, blockOff, cur.Kind)
		case !before(last, cur):
			return nil, fmt.Errorf("index has sections out of order at group %d span %d", cur.Group, cur.Span)
		}
		last = cur
		if cur.Group >= lo && cur.Group < hi && !r.bad {
			out = append(out, indexed{cur.Kind, cur.Group, cur.Span, ref})
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("index of %q/%q is cut off or has %d bytes too many", s.operator, s.state, len(r.b))
	}
	return out, nil
}

// maxEntries bounds the entries of a section: more do not fit into any file.
const maxEntries = int64(1) << 62
