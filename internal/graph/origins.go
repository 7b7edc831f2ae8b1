package graph

// Origins returns for each node whether its records have to tell where they come from: whether an operator behind it has asked. Stateless
// operators pass origins on, and so do those that only leave records out or give them another time; what other stateful ones emit are new
// records.
func (g *Graph) Origins() []bool {
	wanted := make([]bool, len(g.Nodes))
	order := g.order()
	for i := len(order) - 1; i >= 0; i-- { // consumers before producers
		n := g.Nodes[order[i]]
		passes := !n.Stateful || n.Kind == "dedup" || n.Kind == "assign"
		if !n.WantsOrigins && (!passes || !wanted[order[i]]) {
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
