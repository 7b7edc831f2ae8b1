package graph

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawGraph draws a graph without cycles; its nodes are shuffled, so that producers may stand behind consumers.
func drawGraph(t *rapid.T) *Graph {
	n := rapid.IntRange(1, 12).Draw(t, "nodes")
	at := rapid.Permutation(indexes(n)).Draw(t, "places")
	g := &Graph{Job: "job", Nodes: make([]*Node, n)}
	for i := range n {
		node := &Node{ID: fmt.Sprintf("n%d", i), Kind: "map", Parallelism: rapid.IntRange(0, 2).Draw(t, "parallelism")}
		for range rapid.IntRange(0, min(i, 3)).Draw(t, "inputs") {
			node.Inputs = append(node.Inputs, Input{
				Node: at[rapid.IntRange(0, i-1).Draw(t, "producer")], Keyed: rapid.Bool().Draw(t, "keyed"),
			})
		}
		g.Nodes[at[i]] = node
	}
	return g
}

func indexes(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// TestPlanAgainstRules checks every edge of random graphs against the sentence that says what is chained.
func TestPlanAgainstRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		parallelism := rapid.IntRange(1, 2).Draw(t, "job parallelism")
		chains, err := Plan(g, parallelism)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Plan(g, parallelism); !reflect.DeepEqual(chains, again) {
			t.Fatal("two plans of one graph differ")
		}
		subtasks := func(i int) int {
			if p := g.Nodes[i].Parallelism; p > 0 {
				return p
			}
			return parallelism
		}
		chainOf := make(map[int]int)
		var all []int
		for c, ch := range chains {
			for _, n := range ch.Nodes {
				chainOf[n] = c
				all = append(all, n)
				if subtasks(n) != ch.Parallelism {
					t.Fatalf("node %d of parallelism %d is in a chain of %d", n, subtasks(n), ch.Parallelism)
				}
			}
		}
		slices.Sort(all)
		if !slices.Equal(all, indexes(len(g.Nodes))) {
			t.Fatalf("the chains hold nodes %v of %d", all, len(g.Nodes))
		}
		for _, e := range g.Edges() {
			want := len(g.Nodes[e.To].Inputs) == 1 && subtasks(e.From) == subtasks(e.To) && (!e.Keyed || subtasks(e.To) == 1)
			from, to := chains[chainOf[e.From]], chains[chainOf[e.To]]
			inside := chainOf[e.From] == chainOf[e.To]
			if inside != want {
				t.Fatalf("edge %+v: chained = %v, want %v", e, inside, want)
			}
			if inside {
				if slices.Index(from.Nodes, e.From) >= slices.Index(to.Nodes, e.To) {
					t.Fatalf("edge %+v runs backwards in chain %v", e, to.Nodes)
				}
				continue
			}
			if chainOf[e.From] >= chainOf[e.To] {
				t.Fatalf("edge %+v runs from chain %d to %d", e, chainOf[e.From], chainOf[e.To])
			}
			e.Mode = Rebalance
			if e.Keyed {
				e.Mode = Keyed
			}
			if subtasks(e.From) == 1 && subtasks(e.To) == 1 || !e.Keyed && subtasks(e.From) == subtasks(e.To) {
				e.Mode = Forward
			}
			if count(from.Outputs, e) != 1 || count(to.Inputs, e) != 1 || to.Nodes[0] != e.To {
				t.Fatalf("edge %+v: outputs %+v, inputs %+v, head %d", e, from.Outputs, to.Inputs, to.Nodes[0])
			}
		}
	})
}

func count(edges []Edge, e Edge) (n int) {
	for _, x := range edges {
		if x == e {
			n++
		}
	}
	return n
}

// TestCyclesAreFound closes a random graph to a circle and wants it reported.
func TestCyclesAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		g.Nodes[0].Kind = KindSource
		if len(cyclesOf(g)) > 0 {
			t.Fatalf("a graph without cycles has %v", cyclesOf(g))
		}
		order := g.order()
		from := rapid.IntRange(0, len(order)-1).Draw(t, "from")
		to := rapid.IntRange(0, from).Draw(t, "to")
		// Make a path from order[to] to order[from], then close it.
		for i := to; i < from; i++ {
			g.Nodes[order[i+1]].Inputs = append(g.Nodes[order[i+1]].Inputs, Input{Node: order[i]})
		}
		g.Nodes[order[to]].Inputs = append(g.Nodes[order[to]].Inputs, Input{Node: order[from]})
		if len(cyclesOf(g)) == 0 {
			t.Fatalf("no cycle found in\n%v", g)
		}
	})
}

func cyclesOf(g *Graph) []Mistake {
	c := checker{g: g}
	c.cycles()
	return c.found
}

// TestFingerprintIgnoresStatelessNodes adds and removes operators without state.
func TestFingerprintIgnoresStatelessNodes(t *testing.T) {
	base := func() *Graph {
		return &Graph{Job: "j", Nodes: []*Node{
			{ID: "in", Kind: KindSource, Types: map[string]string{"record": "Ride"}},
			{ID: "count", Kind: "window", Stateful: true, Types: map[string]string{"key": "string", "state": "int64"}},
		}}
	}
	same := base().Fingerprint(128)
	for name, change := range map[string]func(*Graph){
		"stateless node": func(g *Graph) { g.Add(&Node{ID: "valid", Kind: "filter"}) },
		"order of nodes": func(g *Graph) { slices.Reverse(g.Nodes) },
		"place":          func(g *Graph) { g.Nodes[0].Line = 99 },
		"parallelism":    func(g *Graph) { g.Nodes[1].Parallelism = 4 },
	} {
		g := base()
		change(g)
		if g.Fingerprint(128) != same {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	for name, change := range map[string]func(*Graph){
		"id":       func(g *Graph) { g.Nodes[1].ID = "count2" },
		"kind":     func(g *Graph) { g.Nodes[1].Kind = "process" },
		"type":     func(g *Graph) { g.Nodes[1].Types["state"] = "int32" },
		"role":     func(g *Graph) { g.Nodes[1].Types["order"] = "int32" },
		"new sink": func(g *Graph) { g.Add(&Node{ID: "out", Kind: KindSink}) },
	} {
		g := base()
		change(g)
		if g.Fingerprint(128) == same {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
	if base().Fingerprint(64) == same {
		t.Error("the number of key groups does not change the fingerprint")
	}
}
