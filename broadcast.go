package millrace

import (
	"errors"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// broadcastInput makes a node read all records of a stream in each of its subtasks, as its second input. They go through one subtask, so
// that all have them in the same order.
// It is called by helpers of the verbs only: skip counts the frames between the caller of the verb and it.
func broadcastInput[B any](skip int, n *graph.Node, job *Job, s Stream[B]) {
	if s.job != job {
		n.Errs = append(n.Errs, errors.New("the broadcast stream is of another job: both streams must be of one job"))
		return
	}
	gather := &graph.Node{Kind: "gather", Single: true, Inputs: s.input(false), Op: &operator.Spec{New: operator.NewUnion}}
	n.Inputs = append(n.Inputs, graph.Input{Node: job.add(skip+1, gather), Port: 1, Broadcast: true})
}
