package millrace

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Apply calls f once for each pane with all records of the key and window, as the value of the pane, in the order in which they came.
// Records of one split keep the order that they have there; between splits there is none that is the same in every run. What f emits has
// the event time of the pane. With allowed lateness f is called again for a window that takes a late record, with all
// records and the next revision. The slice belongs to f. An error fails the job, unless OnError says otherwise: then it is about a pane. The id names the state.
//
// Memory and checkpoints hold all records of the open windows: where an aggregate will do, take Aggregate, and for a function of the
// window and its aggregate, Aggregate and then FlatMap.
func (w Windowed[K, T]) Apply[R any](id string, f func(p Pane[K, []T], emit func(R)) error) Stream[R] {
	own, err := operator.InOrder[T]()
	a := agg.Aggregator[T, operator.Arrivals[T], []T]{Err: err}
	if err == nil {
		a, _ = own()
	} else {
		a.Err = fmt.Errorf("Apply keeps records: %w", err)
	}
	at := addWindows(w, id, "apply", a, own)
	job, pool := w.keyed.stream.job, newPool[R](operator.BatchSize)
	n := &graph.Node{
		Kind: "flatmap", Inputs: []graph.Input{{Node: at}}, Parallelism: job.g.Nodes[at].Parallelism,
		Op: &operator.Spec{New: func() operator.Op {
			return operator.NewFlatMap(pool, func(p *Pane[K, []T], _ int64, emit func(R)) error {
				if err := f(*p, emit); err != nil {
					return fmt.Errorf("window [%s, %s) of key %v: %w", p.Start.Format(time.RFC3339Nano), p.End.Format(time.RFC3339Nano), p.Key, err)
				}
				return nil
			})
		}},
	}
	if f == nil {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	return Stream[R]{job: job, node: job.add(1, n), timed: w.timed()}
}
