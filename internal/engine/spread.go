package engine

import "github.com/millrace-stream/millrace/internal/operator"

// spread sets the parallelism of each operator. Operators joined by edges that are not keyed are a region and have the same
// number of subtasks, so that they form chains; an input that is broadcast, or all of which goes to one subtask, joins none. A region behind a keyed exchange has that of the job. One that begins with
// sources has no more than they have splits: a subtask without a split would only hold back the watermark until its
// consumers hear that it has nothing to say, and which records are late by then would be a matter of luck. So a union of dead letters joins no
// regions: those of a source and those of a keyed operator may meet in it, in any order.
func (a *attempt) spread() {
	nodes := a.cfg.Graph.Nodes
	region := make([]int, len(nodes))
	for i := range region {
		region[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if region[i] != i {
			region[i] = find(region[i])
		}
		return region[i]
	}
	for i, n := range nodes {
		for _, in := range n.Inputs {
			if !in.Keyed && !in.Broadcast && !n.Single && (len(n.Inputs) == 1 || in.Side != operator.DeadLetterSide) {
				region[find(i)] = find(in.Node)
			}
		}
	}
	subtasks := map[int]int{}
	for i, n := range nodes {
		r := find(i)
		switch {
		case len(n.Inputs) > 1 && n.Inputs[0].Side == operator.DeadLetterSide:
			subtasks[r] = max(subtasks[r], 1)
		case n.Kind == "source":
			subtasks[r] = max(subtasks[r], a.lister.subtasks(i))
		case len(n.Inputs) > 0 && n.Inputs[0].Keyed:
			subtasks[r] = a.cfg.Parallelism
		}
	}
	for i, n := range nodes {
		n.Parallelism = subtasks[find(i)]
		if n.Single {
			n.Parallelism = 1
		}
	}
}
