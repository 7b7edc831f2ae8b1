package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
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
		switch {
		case spec.Commit == nil:
		case spec.Guarantee == connect.AtLeastOnce && a.cfg.Delivery == connect.ExactlyOnce:
			a.warn(n, "writes through: after a crash the records of the last epoch come again")
		case spec.Guarantee == connect.AtMostOnce && a.cfg.Delivery != connect.AtMostOnce:
			a.warn(n, "is at most once: after a crash the records of the last epoch may be missing")
		}
	}
	if a.cfg.Delivery == connect.AtMostOnce && a.cfg.Dir == "" {
		const what = "keeps no checkpoints: when it is run again, all comes again"
		a.cfg.Log.Warn("job "+what, "job", a.cfg.Job)
		a.warnings = append(a.warnings, fmt.Sprintf("job %q %s", a.cfg.Job, what))
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

// neverTwice reports whether nothing may come twice and a sink cannot withdraw what it has shown.
func (a *attempt) neverTwice() bool {
	return a.cfg.Delivery == connect.AtMostOnce && slices.ContainsFunc(a.cfg.Graph.Nodes, func(n *graph.Node) bool { return n.Op.(*operator.Spec).Guarantee == connect.AtLeastOnce })
}

// neverAgain refuses to go back behind a checkpoint whose output may have been written, when nothing may come twice and a sink cannot withdraw
// what it has shown.
func (a *attempt) neverAgain(m *snapshot.Manifest) error {
	if a.store.Published() <= m.Epoch || !a.neverTwice() {
		return nil
	}
	return fmt.Errorf("checkpoint %d of job %q cannot be used, and to go on from checkpoint %d would write the output of the epochs between again, which a job "+
		"that is at most once must not: put the files back from a backup, or let it be at least once for this start", a.store.Published(), a.cfg.Job, m.Epoch)
}
