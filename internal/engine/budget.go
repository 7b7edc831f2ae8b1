package engine

import (
	"fmt"
	"strings"

	"github.com/millrace-stream/millrace/internal/snapshot"
)

// BudgetError says that more records have failed than the job allows. The epoch in which that was so is not decided.
type BudgetError struct {
	// Failed is how many records have failed since the first start of the job, of Read that its sources have read.
	Failed, Read int64
	why          string
}

// Error says which bound was passed, and where records failed.
func (e *BudgetError) Error() string { return e.why }

// judged is how many records must have been read before their share of failures counts.
const judged = 1000

// overBudget compares what is counted at the barrier of an epoch with the failure budget: all subtasks together, and the same in every run.
func (a *attempt) overBudget(m *snapshot.Manifest) error {
	if a.cfg.MostFailures == 0 && a.cfg.FailureShare == 0 {
		return nil
	}
	e := &BudgetError{}
	var where []string
	for i := range m.Operators {
		o := &m.Operators[i]
		if n := o.Counters["skipped"] + o.Counters["dead_lettered"]; n > 0 {
			e.Failed += n
			where = append(where, fmt.Sprintf("%d at operator %q", n, o.ID))
		}
		if o.Kind == "source" {
			e.Read += o.Counters["in"]
		}
	}
	switch {
	case a.cfg.MostFailures > 0 && e.Failed > a.cfg.MostFailures:
		e.why = fmt.Sprintf("%d records have failed, and FailureBudget.Records is %d", e.Failed, a.cfg.MostFailures)
	case a.cfg.FailureShare > 0 && e.Read >= judged && float64(e.Failed) > a.cfg.FailureShare*float64(e.Read):
		e.why = fmt.Sprintf("%d of %d records have failed, and FailureBudget.Share is %v", e.Failed, e.Read, a.cfg.FailureShare)
	default:
		return nil
	}
	e.why += fmt.Sprintf(": %s; epoch %d is not committed: correct what fails, or raise the budget", strings.Join(where, ", "), m.Epoch)
	return e
}
