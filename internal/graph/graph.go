// Package graph is the plan of a job: which operators there are and what each reads, without the types of their records.
//
// The logical graph is built by the API, one node per verb, and checked as a whole: Validate reports all mistakes at once,
// each with the operator and the line of the job that made it. Plan then cuts the graph into chains, each of which
// becomes one task per subtask.
//
// The package knows nothing of what operators do: Op is carried along for those who do.
package graph

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind says what a node is. Only the kinds below mean something to this package; others are the names of verbs.
type Kind string

// The kinds that the package treats by themselves.
const (
	// KindSource nodes have no input.
	KindSource Kind = "source"
	// KindSink nodes have no output.
	KindSink Kind = "sink"
)

// Input is what a node reads: the output of an earlier node.
type Input struct {
	// Node is the index of the producer in Graph.Nodes.
	Node int
	// Port is the number of the input as the operator counts them: 0, or 1 for the right side of a join.
	Port int
	// Keyed inputs are exchanged by key.
	Keyed bool
	// Broadcast inputs go to all subtasks.
	Broadcast bool
	// Side names the side output of the producer that is read; empty for the main output.
	Side string
}

// Node is an operator.
type Node struct {
	// ID names the operator in checkpoints, files, metrics and errors. Sources, sinks and stateful operators get it from the
	// job; others may leave it empty and are then named by Validate.
	ID string
	// Kind is the verb.
	Kind Kind
	// Name is the name given to a stateless operator. It becomes its ID.
	Name string
	// File and Line are the place in the job that made the node.
	File string
	Line int
	// Inputs are what the node reads, in the order of the job.
	Inputs []Input
	// Parallelism is the number of subtasks; 0 means that of the job.
	Parallelism int
	// Single nodes have one subtask, whatever the parallelism of the job.
	Single bool
	// WantsOrigins says that the operator asks where its records come from.
	WantsOrigins bool
	// Stateful nodes have state in checkpoints.
	Stateful bool
	// Sides are the side outputs that must be read, since what goes there would be lost otherwise.
	Sides []string
	// Types are the names of the types that checkpoints depend on, by role: "key", "state", "record".
	Types map[string]string
	// Op is what the builder knows about the operator. The package does not look at it.
	Op any
	// Errs are the mistakes found while the node was built.
	Errs []error
}

// owned reports whether the node has something outside the process, in checkpoints or elsewhere, that bears its ID.
func (n *Node) owned() bool { return n.Stateful || n.Kind == KindSource || n.Kind == KindSink }

// verb returns the kind for messages.
func (n *Node) verb() Kind { return cmp.Or(n.Kind, "operator") }

// Where returns the place that made the node, as "file:line".
func (n *Node) Where() string { return fmt.Sprintf("%s:%d", n.File, n.Line) }

// Graph is a job.
type Graph struct {
	// Job is the id of the job.
	Job string
	// Nodes are the operators in the order in which the job made them.
	Nodes []*Node
}

// Add appends a node and returns its index.
func (g *Graph) Add(n *Node) int {
	g.Nodes = append(g.Nodes, n)
	return len(g.Nodes) - 1
}

// Edge is one input of one node.
type Edge struct {
	// From and To are the indexes of producer and consumer.
	From, To int
	// Input is the index in the Inputs of the consumer.
	Input int
	// Port, Keyed, Broadcast and Side are those of the Input.
	Port      int
	Keyed     bool
	Broadcast bool
	Side      string
	// Mode is how records find their subtask. It is set by Plan.
	Mode Mode
}

// Edges returns all edges, ordered by consumer and input.
func (g *Graph) Edges() []Edge {
	var edges []Edge
	for to, n := range g.Nodes {
		for i, in := range n.Inputs {
			edges = append(edges, Edge{From: in.Node, To: to, Input: i, Port: in.Port, Keyed: in.Keyed, Broadcast: in.Broadcast, Side: in.Side})
		}
	}
	return edges
}

// Name gives an ID to every stateless node that has none: its Name, or else its kind and the first free number, like "map-3".
// Numbers follow the order of the job, so they change when it does; nothing that is kept may depend on them.
func (g *Graph) Name() {
	used := make(map[string]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		if n == nil {
			continue
		}
		if n.ID == "" && !n.owned() {
			n.ID = n.Name
		}
		used[n.ID] = true
	}
	next := make(map[Kind]int)
	for _, n := range g.Nodes {
		if n == nil || n.ID != "" || n.owned() {
			continue
		}
		for n.ID == "" || used[n.ID] {
			next[n.Kind]++
			n.ID = fmt.Sprintf("%s-%d", n.Kind, next[n.Kind])
		}
		used[n.ID] = true
	}
}

// order returns the nodes so that producers come before consumers, earlier nodes first where there is a choice. Nodes on a cycle, and
// those behind one, are left out. Inputs that name no node are ignored.
func (g *Graph) order() []int {
	waits := make([]int, len(g.Nodes))
	readers := make([][]int, len(g.Nodes))
	for _, e := range g.Edges() {
		if e.From >= 0 && e.From < len(g.Nodes) {
			waits[e.To]++
			readers[e.From] = append(readers[e.From], e.To)
		}
	}
	var ready, order []int
	for i := range g.Nodes {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		order = append(order, i)
		for _, r := range readers[i] {
			if waits[r]--; waits[r] == 0 {
				at, _ := slices.BinarySearch(ready, r)
				ready = slices.Insert(ready, at, r)
			}
		}
	}
	return order
}
