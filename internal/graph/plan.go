package graph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Mode is how the records of an edge find the subtask of the consumer.
type Mode uint8

// The modes of an edge.
const (
	// Forward edges connect subtask i with subtask i. Only they can be inside a chain.
	Forward Mode = iota + 1
	// Rebalance edges connect every subtask with every other, because the numbers of subtasks differ; records go round in turn.
	Rebalance
	// Keyed edges connect every subtask with every other; a record goes to the one that owns its key.
	Keyed
	// Broadcast edges connect every subtask with every other; each gets every record.
	Broadcast
)

// String returns the mode in one word.
func (m Mode) String() string {
	switch m {
	case Forward:
		return "forward"
	case Rebalance:
		return "rebalance"
	case Keyed:
		return "keyed"
	case Broadcast:
		return "broadcast"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Chain is a tree of operators that run in one task by direct call. Each but the first reads exactly one stream, that of another
// operator of the chain; one may have several readers.
type Chain struct {
	// Nodes are indexes in Graph.Nodes, producers before consumers. The first is the head: what comes from outside goes to it.
	Nodes []int
	// Parallelism is the number of tasks that run the chain.
	Parallelism int
	// Inputs are the edges from other chains, all to the head, in the order of its inputs.
	Inputs []Edge
	// Outputs are the edges to other chains, ordered by producer, consumer and input. One that reads a producer twice has two.
	Outputs []Edge
}

// Plan cuts a valid graph into chains for a job of the given parallelism. The chains are ordered so that producers come before
// consumers, and are the same for the same graph.
//
// A node joins the chain of its producer when it reads nothing else, has the same parallelism, and the edge is not keyed. Keyed edges, and broadcast ones,
// between nodes of parallelism 1 do not cut: all keys are in the one task anyway.
func Plan(g *Graph, parallelism int) ([]Chain, error) {
	if parallelism < 1 {
		return nil, fmt.Errorf("graph: plan: the parallelism is %d, it must be at least 1", parallelism)
	}
	if slices.Contains(g.Nodes, nil) {
		return nil, errors.New("graph: plan: the graph has a nil node: validate it first")
	}
	for _, e := range g.Edges() {
		if e.From < 0 || e.From >= len(g.Nodes) {
			return nil, fmt.Errorf("graph: plan: operator %q reads node %d, which does not exist: validate the graph first", g.Nodes[e.To].ID, e.From)
		}
	}
	order := g.order()
	if len(order) < len(g.Nodes) {
		return nil, fmt.Errorf("graph: plan: %d operators are on a circle or behind one: validate the graph first", len(g.Nodes)-len(order))
	}
	p := planner{g: g, parallelism: parallelism, chainOf: make([]int, len(g.Nodes))}
	for _, i := range order {
		p.place(i)
	}
	p.connect()
	return p.chains, nil
}

// planner builds chains.
type planner struct {
	g           *Graph
	parallelism int
	chains      []Chain
	// chainOf is the chain of each node placed so far.
	chainOf []int
}

// subtasks returns the parallelism of a node.
func (p *planner) subtasks(i int) int {
	if p.g.Nodes[i].Single {
		return 1
	}
	return cmp.Or(p.g.Nodes[i].Parallelism, p.parallelism)
}

// mode returns how records travel from one node to another.
func (p *planner) mode(from, to int, keyed, broadcast bool) Mode {
	a, b := p.subtasks(from), p.subtasks(to)
	switch {
	case a == 1 && b == 1:
		return Forward
	case keyed:
		return Keyed
	case broadcast:
		return Broadcast
	case a == b:
		return Forward
	}
	return Rebalance
}

// place adds node i to the chain of its producer or begins a new one. Its producers have been placed.
func (p *planner) place(i int) {
	if ins := p.g.Nodes[i].Inputs; len(ins) == 1 && p.mode(ins[0].Node, i, ins[0].Keyed, ins[0].Broadcast) == Forward {
		c := p.chainOf[ins[0].Node]
		p.chains[c].Nodes = append(p.chains[c].Nodes, i)
		p.chainOf[i] = c
		return
	}
	p.chainOf[i] = len(p.chains)
	p.chains = append(p.chains, Chain{Nodes: []int{i}, Parallelism: p.subtasks(i)})
}

// connect hands the edges that cross chains to both sides.
func (p *planner) connect() {
	for _, e := range p.g.Edges() {
		from, to := &p.chains[p.chainOf[e.From]], &p.chains[p.chainOf[e.To]]
		if to.Nodes[0] != e.To {
			continue // inside a chain
		}
		e.Mode = p.mode(e.From, e.To, e.Keyed, e.Broadcast)
		from.Outputs = append(from.Outputs, e)
		to.Inputs = append(to.Inputs, e)
	}
	for i := range p.chains {
		slices.SortFunc(p.chains[i].Outputs, func(a, b Edge) int {
			return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Input, b.Input))
		})
	}
}
