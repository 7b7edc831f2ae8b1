package millrace

import (
	"github.com/millrace-stream/millrace/window"
)

// WindowAll cuts all records of the stream into windows of event time, without dividing them by key: the panes have the key
// window.All. One subtask holds the windows, whatever the parallelism of the job; where the aggregator can merge, the subtasks
// before it add up what they send (see PreAggregate), so that it is not what limits the job.
//
// A is the type of the assigner. The method has it so that it is only compiled where it is called: with it, the compiler makes
// keyed windows of every type of stream.
func (s Stream[T]) WindowAll[A window.Assigner](a A) Windowed[window.All, T] {
	w := s.KeyByRef(func(*T) window.All { return window.All{} }).Window(a)
	w.single = true
	return w
}
