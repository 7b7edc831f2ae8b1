package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// warn tells that a source or sink promises less than the job, in the log and in the status.
func (a *attempt) warn(n *graph.Node, what string) {
	a.cfg.Log.Warn(string(n.Kind)+" "+what, "job", a.cfg.Job, string(n.Kind), n.ID)
	a.warnings = append(a.warnings, fmt.Sprintf("%s %q %s", n.Kind, n.ID, what))
}

// warnOfGuarantees says of sources and sinks what they cannot promise, as far as it is known before they are opened.
func (a *attempt) warnOfGuarantees() {
	exact := slices.ContainsFunc(a.cfg.Graph.Nodes, func(n *graph.Node) bool { return n.Op.(*operator.Spec).Guarantee == connect.ExactlyOnce })
	for _, n := range a.cfg.Graph.Nodes {
		spec := n.Op.(*operator.Spec)
		if exact && spec.Clocked {
			a.warn(n, "takes event times from the clock: records that are read again after a crash get others, so results of "+
				"exactly-once sinks are complete but not those of a run without the crash")
		}
		if spec.Commit != nil && spec.Guarantee != connect.ExactlyOnce {
			a.warn(n, "writes through: after a crash the records of the last epoch come again")
		}
	}
}

// warnOfUnseekable says which splits of a source cannot be read again.
func (a *attempt) warnOfUnseekable(n *graph.Node, splits []connect.Split) {
	var ids []string
	for _, sp := range splits {
		if sp.Unseekable {
			ids = append(ids, sp.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	if len(ids) > 3 {
		ids = append(ids[:3], fmt.Sprintf("%d more", len(ids)-3))
	}
	a.warn(n, fmt.Sprintf("cannot seek (%s): in a crash the records since the last checkpoint are lost, so they have their effect at most once",
		strings.Join(ids, ", ")))
}
