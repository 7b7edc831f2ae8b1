package graph

import (
	"fmt"
	"slices"
	"testing"
)

// TestOrigins: what is asked for goes back through operators that pass records on, to the sources, and no further.
func TestOrigins(t *testing.T) {
	g := &Graph{Nodes: []*Node{
		{ID: "a", Kind: KindSource},
		{ID: "b", Kind: KindSource},
		{ID: "c", Kind: KindSource},
		{ID: "rules", Kind: KindSource},
		{ID: "map", Kind: "map", Inputs: []Input{{Node: 0}}},
		{ID: "window", Kind: "window", Stateful: true, Inputs: []Input{{Node: 1, Keyed: true}}},
		{ID: "dedup", Kind: "dedup", Stateful: true, Inputs: []Input{{Node: 4, Keyed: true}}},
		{ID: "union", Kind: "union", Inputs: []Input{{Node: 6}, {Node: 5, Port: 1}}},
		{ID: "asks", Kind: "process", Stateful: true, WantsOrigins: true, Inputs: []Input{{Node: 7, Keyed: true}, {Node: 3, Port: 1, Broadcast: true}}},
		{ID: "other", Kind: "process", Stateful: true, Inputs: []Input{{Node: 2, Keyed: true}}},
	}}
	var got []string
	for i, wanted := range g.Origins() {
		if wanted {
			got = append(got, g.Nodes[i].ID)
		}
	}
	if want := []string{"a", "map", "window", "dedup", "union"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPlanOfABroadcast: all goes through one subtask, and from there to all.
func TestPlanOfABroadcast(t *testing.T) {
	for parallelism, want := range map[int]string{
		1: "[{[0] 1} {[1 2] 1} {[3] 1}] [0->3 forward 2->3 forward]",
		3: "[{[0] 3} {[1] 3} {[2] 1} {[3] 3}] [1->2 rebalance 0->3 keyed 2->3 broadcast]",
	} {
		g := &Graph{Nodes: []*Node{
			{ID: "main", Kind: KindSource},
			{ID: "rules", Kind: KindSource},
			{ID: "gather", Kind: "gather", Single: true, Inputs: []Input{{Node: 1}}},
			{ID: "p", Kind: "process", Stateful: true, Inputs: []Input{{Node: 0, Keyed: true}, {Node: 2, Port: 1, Broadcast: true}}},
		}}
		chains, err := Plan(g, parallelism)
		if err != nil {
			t.Fatal(err)
		}
		var parts, edges []string
		for _, c := range chains {
			parts = append(parts, fmt.Sprint("{", c.Nodes, " ", c.Parallelism, "}"))
			for _, e := range c.Inputs {
				edges = append(edges, fmt.Sprintf("%d->%d %v", e.From, e.To, e.Mode))
			}
		}
		if got := fmt.Sprint(parts, " ", edges); got != want {
			t.Errorf("parallelism %d: got %s, want %s", parallelism, got, want)
		}
	}
}
