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

// passing are the operators that pass on the records that they take, or leave them out: each of those counts somewhere.
var passing = []graph.Kind{
	graph.KindSource, graph.KindSink, "map", "update", "filter", "filtermap", "union", "gather", "split", "assign", "dedup", "sort", "ratelimit", "maxinflight", "async",
}

// using are those that make others of them.
var using = []graph.Kind{"flatmap", "process"}

// left are the counts of records that an operator has taken and not passed on.
var left = []string{"filtered", "late", "duplicates", "dropped", "ahead", "skipped", "dead_lettered", "held"}

// counted says which count is that of a side output.
var counted = map[string]string{
	"": "out", "late": "late", operator.DuplicateSide: "duplicates", operator.DroppedSide: "dropped", operator.AheadSide: "ahead", operator.DeadLetterSide: "dead_lettered",
}

// missing returns how many records an operator has taken without a trace; ok is false for those of which the counts do not tell.
func missing(n *graph.Node, c map[string]int64) (records int64, ok bool) {
	records = c["in"]
	for _, k := range left {
		records -= c[k]
	}
	switch {
	case slices.Contains(passing, n.Kind):
		return records - c["out"], true
	case slices.Contains(using, n.Kind):
		return records - c["used"], true
	}
	return 0, false
}

// between returns how many records have left those in front of an operator and not come to it; ok is false where the counts do not tell.
func (a *attempt) between(n *graph.Node, m *snapshot.Manifest) (records int64, ok bool) {
	own := counters(m, n.ID)
	records = own["replayed"] - own["in"] // dead letters that were handled again have come from nowhere
	for _, in := range n.Inputs {
		from := a.cfg.Graph.Nodes[in.Node]
		count, known := counted[in.Side]
		if !known || in.Broadcast || from.Kind == "split" {
			return 0, false // a split counts all its outputs together
		}
		records += counters(m, from.ID)[count]
	}
	return records, len(n.Inputs) > 0
}

func counters(m *snapshot.Manifest, id string) map[string]int64 {
	if m != nil {
		if o := m.Operator(id); o != nil {
			return o.Counters
		}
	}
	return nil
}

// ImbalanceError says that records have got lost or come twice between two checkpoints: a fault of millrace, or of the storage of checkpoints.
type ImbalanceError struct {
	Epoch uint64
	// Where says, in a sentence each, between which operators.
	Where []string
}

// Error says where.
func (e *ImbalanceError) Error() string {
	return fmt.Sprintf("the ledger of epoch %d does not balance: %s", e.Epoch, strings.Join(e.Where, "; "))
}

// audit compares the ledger at the barrier of an epoch with itself. What it does not account for must be what it did not account for in the checkpoint with
// which this attempt began: nothing, unless the job has changed.
func (a *attempt) audit(m *snapshot.Manifest) error {
	e := &ImbalanceError{Epoch: m.Epoch}
	for _, n := range a.cfg.Graph.Nodes {
		now, ok := missing(n, counters(m, n.ID))
		before, _ := missing(n, counters(a.began, n.ID))
		if ok && now != before {
			e.Where = append(e.Where, fmt.Sprintf("%s %q has taken %d records more than it has passed on, left out or holds", n.Kind, n.ID, now-before))
		}
		if a.cfg.Delivery == connect.AtLeastOnce {
			continue // those behind a barrier may count here and not there
		}
		now, ok = a.between(n, m)
		before, _ = a.between(n, a.began)
		if ok && now != before {
			e.Where = append(e.Where, fmt.Sprintf("%d records more have been passed on to %s %q than it has taken", now-before, n.Kind, n.ID))
		}
	}
	if len(e.Where) == 0 {
		return nil
	}
	return e
}

// checkLedger reports an imbalance, and fails the job where a test wants that.
func (a *attempt) checkLedger(m *snapshot.Manifest) error {
	err := a.audit(m)
	if err == nil {
		return nil
	}
	a.imbalance = err.Error()
	a.cfg.Log.Error("ledger", "job", a.cfg.Job, "error", err)
	if a.env.Strict {
		return err
	}
	return nil
}
