package millrace

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/internal/operator"
)

// Batch puts the records of each subtask together, in their order, for those that work better on many at once: n, or fewer when
// maxWait of processing time is over since the first of them, at a barrier, when the input is idle, and at its end. So no
// record waits longer than maxWait, no batch is empty, and none is of two epochs. A batch has the event time of the latest of its
// records, and the watermark does not overtake it.
//
// No record is lost or repeated by a crash, but which records are put together may differ from run to run: what follows should not
// depend on it. Windows and sessions are groups that do not depend on anything else but the records.
//
// It is a function, not a method of Stream, because Go does not let a method of Stream[T] return a Stream[[]T].
func Batch[T any](s Stream[T], n int, maxWait time.Duration) Stream[[]T] {
	pool := newPool[[]T](operator.BatchSize)
	at := s.then("batch", true, &operator.Spec{New: func() operator.Op { return operator.NewBatch(pool, n, maxWait) }})
	node := s.job.g.Nodes[at]
	if n < 1 {
		node.Errs = append(node.Errs, fmt.Errorf("the size of a Batch is %d: it must be 1 or more", n))
	}
	if maxWait <= 0 {
		node.Errs = append(node.Errs, fmt.Errorf("the longest wait of a Batch is %v: it must be more than 0", maxWait))
	}
	return Stream[[]T]{job: s.job, node: at, timed: s.timed}
}
