package graph

import (
	"fmt"
	"strings"
)

// String returns the graph as text, one operator on a line with what it reads:
//
//	job "rides"
//	  rides   source
//	  counts  window  x4  <- rides (keyed)
func (g *Graph) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %q\n", g.Job)
	idWidth, kindWidth := 0, 0
	for _, n := range g.Nodes {
		idWidth, kindWidth = max(idWidth, len(n.ID)), max(kindWidth, len(n.Kind))
	}
	for _, n := range g.Nodes {
		var line strings.Builder
		fmt.Fprintf(&line, "  %-*s  %-*s", idWidth, n.ID, kindWidth, n.Kind)
		if n.Parallelism > 0 {
			fmt.Fprintf(&line, "  x%d", n.Parallelism)
		}
		for i, in := range n.Inputs {
			sep := "  <- "
			if i > 0 {
				sep = ", "
			}
			line.WriteString(sep + g.id(in.Node) + label(in.Side, in.Port, in.Keyed, in.Broadcast))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// label says what is special about an edge, in brackets, or nothing.
func label(side string, port int, keyed, broadcast bool) string {
	var parts []string
	if side != "" {
		parts = append(parts, "side "+side)
	}
	if port != 0 {
		parts = append(parts, fmt.Sprintf("port %d", port))
	}
	if keyed {
		parts = append(parts, "keyed")
	}
	if broadcast {
		parts = append(parts, "broadcast")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// id returns the id of a node that may not exist.
func (g *Graph) id(i int) string {
	if i < 0 || i >= len(g.Nodes) {
		return fmt.Sprintf("node %d", i)
	}
	return g.Nodes[i].ID
}

// Describe returns the chains of a plan as text: the operators of each, and the edges that leave it.
//
//	chain 0 x2: rides -> map-1
//	  map-1 => counts (keyed)
func Describe(g *Graph, chains []Chain) string {
	var b strings.Builder
	for i, c := range chains {
		fmt.Fprintf(&b, "chain %d x%d: ", i, c.Parallelism)
		for k, n := range c.Nodes {
			switch {
			case k == 0:
				b.WriteString(g.id(n))
			case g.Nodes[n].Inputs[0].Node == c.Nodes[k-1]:
				b.WriteString(" -> " + g.id(n))
			default: // a branch: name where it leaves the tree
				b.WriteString("; " + g.id(g.Nodes[n].Inputs[0].Node) + " -> " + g.id(n))
			}
		}
		b.WriteString("\n")
		for _, e := range c.Outputs {
			fmt.Fprintf(&b, "  %s => %s (%v)%s\n", g.id(e.From), g.id(e.To), e.Mode, label(e.Side, e.Port, false, false))
		}
	}
	return b.String()
}

// Dot returns the graph in the language of Graphviz. With the chains of a plan, each is drawn as a box around its operators; chains
// may be nil.
func (g *Graph) Dot(chains []Chain) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n\trankdir=LR;\n\tnode [shape=box];\n", quote(g.Job))
	node := func(indent string, i int) {
		fmt.Fprintf(&b, "%sn%d [label=%s];\n", indent, i, quote(g.Nodes[i].ID+"\n"+string(g.Nodes[i].Kind)))
	}
	for i := range g.Nodes {
		if chains == nil {
			node("\t", i)
		}
	}
	for i, c := range chains {
		fmt.Fprintf(&b, "\tsubgraph cluster_%d {\n\t\tlabel=%s;\n", i, quote(fmt.Sprintf("chain %d x%d", i, c.Parallelism)))
		for _, n := range c.Nodes {
			node("\t\t", n)
		}
		b.WriteString("\t}\n")
	}
	for _, e := range g.Edges() {
		fmt.Fprintf(&b, "\tn%d -> n%d", e.From, e.To)
		if l := label(e.Side, e.Port, e.Keyed, e.Broadcast); l != "" {
			fmt.Fprintf(&b, " [label=%s]", quote(strings.Trim(l, " ()")))
		}
		b.WriteString(";\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// quote returns s as a string of the Graphviz language, which knows fewer escapes than Go.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
