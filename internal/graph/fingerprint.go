package graph

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Signature returns what a checkpoint of the job depends on, as text: the number of key groups, then one line for each source, sink
// and stateful operator, ordered by id, with kind and types. Other operators can be added, changed and removed freely,
// so they do not count; neither do lines of code and parallelism.
//
// A checkpoint keeps the text, so that a restore into a changed job can say what has changed.
func (g *Graph) Signature(keyGroups int) string {
	var lines []string
	for _, n := range g.Nodes {
		if !n.owned() {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%q %q stateful=%t", n.ID, n.Kind, n.Stateful)
		for _, role := range slices.Sorted(maps.Keys(n.Types)) {
			fmt.Fprintf(&b, " %q=%q", role, n.Types[role])
		}
		lines = append(lines, b.String())
	}
	slices.Sort(lines)
	return fmt.Sprintf("key-groups %d\n", keyGroups) + strings.Join(lines, "\n")
}

// Fingerprint returns a short form of Signature: equal for jobs that can restore each other's checkpoints as they are.
func (g *Graph) Fingerprint(keyGroups int) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(g.Signature(keyGroups))))
}
