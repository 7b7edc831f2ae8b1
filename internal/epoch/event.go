package epoch

import "fmt"

// Event is something that happened, told to the coordinator.
type Event interface{ event() }

// Tick tells the time, in ns. The more often it comes, the more exact are interval and timeout.
type Tick struct{ Now int64 }

// Request asks for an epoch now, or right after the one in flight. Should that epoch fail, it is not tried again for this request.
type Request struct{ Now int64 }

// StopRequested asks for a final epoch as it stands, without draining the sources.
type StopRequested struct{ Now int64 }

// Restored says that the job goes on after the given epoch. It comes first, or, at a first start, not at all.
type Restored struct{ Epoch uint64 }

// TaskAck says that what a task has to say about an epoch is durable: its snapshot and what its sinks have prepared.
type TaskAck struct {
	Task  int
	Epoch uint64
}

// TaskFailed says that a task could not make its part of an epoch durable, but goes on running: the disk was full, say.
type TaskFailed struct {
	Task  int
	Epoch uint64
	Err   error
}

// SourceDrained says that a source task has read all that there will ever be and sent its last watermark.
type SourceDrained struct{ Task int }

// Published is the outcome of Publish. An error means that the manifest is certainly not there; as long as this is uncertain, the engine
// must look it up or try again, and tell nothing.
type Published struct {
	Epoch uint64
	Err   error
}

// Committed is the outcome of Commit.
type Committed struct {
	Epoch uint64
	Err   error
}

func (Tick) event()          {}
func (Request) event()       {}
func (StopRequested) event() {}
func (Restored) event()      {}
func (TaskAck) event()       {}
func (TaskFailed) event()    {}
func (SourceDrained) event() {}
func (Published) event()     {}
func (Committed) event()     {}

// Effect is something that the engine must do, in the order given.
type Effect interface{ effect() }

// Trigger starts an epoch: the source tasks send its barrier.
type Trigger struct {
	Epoch uint64
	// Final: sources send no record after the barrier. When a final epoch fails, another final one follows.
	Final bool
}

// Publish makes the manifest of an epoch durable, which decides it. Published answers.
type Publish struct {
	Epoch uint64
	// Finished: all sources were drained, so that there is nothing to go on with after a restore.
	Finished bool
}

// Commit makes the output of a decided epoch visible. Committed answers.
type Commit struct{ Epoch uint64 }

// Retire says that an epoch is committed: what only earlier ones need may be deleted.
type Retire struct{ Epoch uint64 }

// Abort says that an epoch failed and will never be decided: alignments wait for it no longer, its files may be deleted. What sinks have
// prepared for it is not lost but part of the next epoch.
type Abort struct {
	Epoch  uint64
	Reason error
}

// Fail says that the job cannot go on. Nothing follows.
type Fail struct {
	Err error
	// Retry: a restart from the last decided epoch may help. Otherwise the coordinator was told something impossible.
	Retry bool
}

// Outcome says how a job ended.
type Outcome uint8

// The outcomes of a job.
const (
	// Finished jobs have processed all input.
	Finished Outcome = iota + 1
	// Stopped jobs can go on from their final epoch.
	Stopped
)

// String returns the outcome in one word.
func (o Outcome) String() string {
	switch o {
	case Finished:
		return "finished"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Done says that the final epoch is committed. Nothing follows.
type Done struct{ Outcome Outcome }

func (Trigger) effect() {}
func (Publish) effect() {}
func (Commit) effect()  {}
func (Retire) effect()  {}
func (Abort) effect()   {}
func (Fail) effect()    {}
func (Done) effect()    {}
