package exchange

import "github.com/millrace-stream/millrace/internal/element"

// Inbox is the inputs of a task. It takes elements from its edges in turn and leaves those alone that are blocked
// because their barrier has come and that of others has not.
type Inbox struct {
	edges   []*Edge
	blocked []bool
	next    int
}

// NewInbox returns the inbox of the given edges; the index of an edge is the number of the input.
func NewInbox(edges []*Edge) *Inbox {
	return &Inbox{edges: edges, blocked: make([]bool, len(edges))}
}

// Next takes one element from an input that is not blocked. ok is false when none has any.
func (b *Inbox) Next() (input int, el element.Element, ok bool) {
	n := len(b.edges)
	for i := range n {
		in := b.next + i
		if in >= n {
			in -= n
		}
		if b.blocked[in] {
			continue
		}
		if el, ok := b.edges[in].Pop(); ok {
			// Go on with the following input, so that a busy one does not starve the others.
			if b.next = in + 1; b.next == n {
				b.next = 0
			}
			return in, el, true
		}
	}
	return 0, element.Element{}, false
}

// Block stops, or begins again, to take from an input.
func (b *Inbox) Block(input int, blocked bool) { b.blocked[input] = blocked }
