// Package engine runs a job: it turns the plan into tasks and edges, restores them from the newest checkpoint, drives
// epochs, and starts again after failures that may go away.
package engine

import (
	"log/slog"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/exchange"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Config is a job and how to run it. All fields are set; the root package fills in defaults.
type Config struct {
	Job         string
	Graph       *graph.Graph
	Parallelism int
	// Delivery is what the job promises about its records.
	Delivery connect.Guarantee
	// From is the savepoint to begin with, if the job has not done so already; FromAgain lets it go back there.
	From      string
	FromAgain bool
	// Replay are dead letters to handle again, if the job has not done so already; ReplayID names the set.
	Replay   []operator.DeadLetter
	ReplayID string
	// Drop names what may be lost of a checkpoint where the job has changed.
	Drop []string
	// Control, if set, is asked for what the job is to do.
	Control *Control
	// Groups is the number of key groups.
	Groups int
	// Dir is where checkpoints go; empty keeps none.
	Dir string
	// Compress compresses snapshot files.
	Compress bool
	// Interval is the time between epochs.
	Interval time.Duration
	// Records, if not 0, makes a source wait for an epoch after so many records.
	Records int64
	// Timeout is how long an epoch may take.
	Timeout time.Duration
	// Tolerate is how many epochs in a row may fail.
	Tolerate int
	// Keep is the number of checkpoints to keep.
	Keep int
	// Linger is how long a record may wait for its batch to fill.
	Linger time.Duration
	// Edge bounds each edge.
	Edge exchange.Limits
	// StopTimeout is how long the last epoch may take after the job has been told to stop.
	StopTimeout time.Duration
	// Restarts is how often the job may be restarted without an epoch in between; Backoff is the first wait, doubled
	// each time up to MaxBackoff.
	Restarts            int
	Backoff, MaxBackoff time.Duration
	// RestartFixed lets all waits be Backoff. RestartReset is how long an attempt must have run for the count to begin anew; 0 is until its first epoch.
	// RestartAny also restarts after failures that may not go away.
	RestartFixed bool
	RestartReset time.Duration
	RestartAny   bool
	// MostFailures is how many records may fail since the job's first start, and FailureShare which part of those read; 0 for no bound.
	MostFailures int64
	FailureShare float64
	// BlockedAfter is how long an operator may be in one call until it is told of, or, with FailBlocked, the job fails. StuckAfter is how long the
	// watermark may stand still.
	BlockedAfter, StuckAfter time.Duration
	FailBlocked              bool
	// State says where keyed state is kept.
	State StateConfig
	Log   *slog.Logger
	// Report, if set, is called every ReportEvery while the job runs.
	Report      func(Status)
	ReportEvery time.Duration
}

// Status is how far a job has come.
type Status struct {
	// In counts records read by sources, Out those given to sinks, as part of the run since the very first start.
	In, Out, Late, Filtered int64
	LateWindows             int64
	// Ahead counts records left out because their event time is too far ahead of the clock.
	Ahead int64
	// Duplicates counts records left out because their id was seen before, Conflicts those of them whose content differed.
	Duplicates, Conflicts int64
	// Dropped counts records that a rate limit left out.
	Dropped int64
	// Skipped counts records that were left out because they failed, DeadLettered those that became dead letters.
	Skipped, DeadLettered int64
	// Misses counts records for which a LatestJoin or BroadcastJoin has found nothing.
	Misses int64
	// OutOfRange counts the times that a source has gone on at another place than it was to.
	OutOfRange            int64
	TimersDiscarded       int64
	BytesRead, BytesTotal int64
	// Watermark is the smallest clock of the sources, Newest the largest event time they have seen, in ns.
	Watermark, Newest int64
	OpenWindows       int64
	// Epoch is the last decided epoch and EpochTime how long it took from trigger to commit.
	Epoch     uint64
	EpochTime time.Duration
	// BarrierPause is the longest time that the operators of one task have taken to freeze their state since the last start.
	BarrierPause time.Duration
	// Epochs counts those decided since the job's first start, Failed those that were given up in this run.
	Epochs, Failed int64
	// Restarts counts the starts after the job's first.
	Restarts int
	// Elapsed is the time of this run.
	Elapsed time.Duration
	// InRun counts the records read in this run.
	InRun int64
	// State is what keyed state takes, with a disk behind it; otherwise it is empty.
	State StateStatus
	// Operators is the ledger, and where each operator stands.
	Operators []OperatorStatus
	// Held says which split holds the watermark, when it has not moved for long and others are ahead.
	Held string
	// Imbalance says what the ledger of an epoch did not account for.
	Imbalance string
	// Warnings say which sources and sinks promise less than the job.
	Warnings []string
}

// StateStatus is what keyed state takes when there is a disk behind it. The counts are those since the last start.
type StateStatus struct {
	// Memory is about how many bytes it takes in memory, with room for a copy of each table that a checkpoint may need; Disk is how many
	// it takes on disk.
	Memory, Disk int64
	// ColdEntries is the number of entries that are on the disk alone.
	ColdEntries int64
	// Evicted counts the entries that were moved to the disk, Fetched those that came back; DiskReads counts the lookups on the disk, also
	// those that have found nothing.
	Evicted, Fetched, DiskReads int64
}

// OperatorStatus is the ledger of one operator and where it stands.
type OperatorStatus struct {
	// ID and Kind name the operator.
	ID, Kind string
	// In and Out count records taken and passed on; the others those left out, as in Status.
	In, Out, Late, Ahead, Filtered, Duplicates, Conflicts, Misses, Dropped int64
	// Used counts records that have had their effect in a FlatMap or process function, which pass on others than they take. Held is how many of the records
	// taken waited in a SortByTime or Async at the last checkpoint.
	Used, Held int64
	// Replayed counts dead letters that were handled again.
	Replayed int64
	// Skipped and DeadLettered count records that have failed, as in Status.
	Skipped, DeadLettered int64
	// Retries counts requests of Async, and records with an error policy, that were tried again after a failure, Fallbacks requests whose result was made from an error.
	// InFlight is the number of requests whose results have not been passed on, now.
	Retries, Fallbacks, InFlight int64
	// PreAggregated counts the records among those taken that were aggregated before the exchange.
	PreAggregated int64
	// OutOfRange counts the times that a source has gone on at another place than the one it was to go on at, because that was not there.
	OutOfRange int64
	// Queued is the number of records that wait in front of the operator, when it is the first of its task.
	Queued int64
	// Watermark is the smallest that the operator's subtasks have been given; zero before the first, and when Ended says
	// that they have been given the last.
	Watermark time.Time
	Ended     bool
	// Busy is for how long a subtask of the operator has been in one call, when that is longer than Watchdog.BlockedAfter; else 0.
	Busy time.Duration
}

// Summary is the end of a run.
type Summary struct {
	Status
	// Finished says that all input has been handled; else the job was stopped and can go on.
	Finished bool
}
