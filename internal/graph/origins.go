package graph

// Origins returns for each node whether its records have to tell where they come from: whether an operator behind it has asked. Stateless
// operators pass origins on; what a stateful one emits are new records.
func (g *Graph) Origins() []bool {
	wanted := make([]bool, len(g.Nodes))
	order := g.order()
	for i := len(order) - 1; i >= 0; i-- { // consumers before producers
		n := g.Nodes[order[i]]
		if !n.WantsOrigins && (n.Stateful || !wanted[order[i]]) {
			continue
		}
		for _, in := range n.Inputs {
			if in.Port == 0 || !n.Stateful {
				wanted[in.Node] = true
			}
		}
	}
	return wanted
}
