package millrace

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/exchange"
)

// Config says how a job runs. The zero value is usable: it keeps no checkpoints, so a run that is killed starts anew.
type Config struct {
	// Parallelism is the number of subtasks of each operator; 0 means one for each CPU that the process may use. It may
	// change from run to run.
	Parallelism int
	// KeyGroups is the number of parts into which keys are hashed, the most that Parallelism can be; 0 means 128. It is fixed at the
	// first start of a job.
	KeyGroups int
	// Delivery is what the job promises about its records; 0 is ExactlyOnce. It may change from run to run.
	Delivery Delivery
	// Checkpoint says where and how often checkpoints are taken.
	Checkpoint CheckpointConfig
	// From is the directory of a savepoint at which a job begins that has no checkpoint of its own: the same one, whose checkpoints are elsewhere or
	// lost, at any parallelism; a changed one, as far as a checkpoint would let it; or, under another name, a fork, whose sinks are its own and touch
	// nothing of the first job's. A job that has begun at the savepoint goes on from its checkpoints when it is started with the same
	// From again. One that has other checkpoints is refused.
	From string
	// FromAgain lets a job that has checkpoints go back to the savepoint From, which must be its own. What was read since then is read again: exactly-once
	// sinks withdraw what they have shown since, those that write through show it again. It holds for each start that it is given to.
	FromAgain bool
	// Replay are dead letters of the job, from ReadDeadLetters or elsewhere, that are to be handled again by the operators at which they failed: as if they came
	// from the input, with their event time, before any other record. Their effect is exactly once, in the first epoch. A set that a job has handled
	// again is passed over by later starts. What fails again is a dead letter again. A job that has finished is brought to its end once more; its windows
	// have fired, so what reaches them is late.
	Replay []DeadLetter
	// Drop names what a job that has changed may lose of its checkpoint or savepoint, where the start would be refused without: an operator, "id", begins
	// with nothing; a state of a process function, "id/state" or "id/state.name", does; a field of a state, "id/state.name.Field", is forgotten. What
	// the job still has, and can read, is kept all the same. See Job.Plan.
	Drop []string
	// Control, if not nil, is what other goroutines ask the job by: for a savepoint, to stop, to drain.
	Control *Control
	// Restart says what happens after failures that may go away by themselves.
	Restart RestartConfig
	// FailureBudget bounds how many records may fail in operators with an error policy (Stream.OnError) before the job does.
	FailureBudget FailureBudget
	// Watchdog says when an operator that does not return, and a watermark that stands still, are told of.
	Watchdog WatchdogConfig
	// State says where keyed state is kept: in memory, or beside it on the disk.
	State StateConfig
	// Linger is the longest time for which a record waits for its batch to fill, under load; without load it does not
	// wait. 0 means 2 ms.
	Linger time.Duration
	// BufferRecords and BufferBytes bound what waits between two tasks; 0 means 4096 records and 4 MiB. Either may be exceeded by one batch.
	BufferRecords, BufferBytes int
	// StopTimeout is how long the last epoch may take when the context of Run is done; 0 means 30 s.
	StopTimeout time.Duration
	// Log receives what happens to the job; nil means slog.Default().
	Log *slog.Logger
	// Observe, if not nil, is called about every ObserveEvery (0 means 200 ms) while the job runs, and once at its end. It
	// must return soon: epochs wait for it.
	Observe      func(Status)
	ObserveEvery time.Duration
}

// Delivery is what a job promises about its records when it dies and goes on. It holds from source to sink as far as both can keep it: what
// they cannot, the job says when it starts (Status.Warnings).
type Delivery = connect.Guarantee

// What a job can promise.
const (
	// ExactlyOnce: what is committed is as if nothing had happened. Results are seen when their epoch is decided. Sinks that write through may
	// show those of the last epoch again.
	ExactlyOnce = connect.ExactlyOnce
	// AtLeastOnce: each record has its effect, on state and on every sink, and those since the last checkpoint may have it twice: results of the last
	// epoch may come again, and sums and counts be too high. Results are seen without waiting for a decision, and tasks do not
	// wait for the barriers of their inputs.
	AtLeastOnce = connect.AtLeastOnce
	// AtMostOnce: no record has its effect twice. What has been read is in a checkpoint before anything that comes of it is given to a sink that writes
	// through, so what that sink had not been given of the last epoch is lost. State is exact, and exactly-once sinks lose nothing. Output of an
	// epoch is held in memory until the epoch is decided.
	AtMostOnce = connect.AtMostOnce
)

// CheckpointConfig says where and how often checkpoints are taken.
type CheckpointConfig struct {
	// Dir is a local directory. The job keeps its checkpoints in a folder of its name in it. Empty keeps them in memory, for restarts
	// within the process.
	Dir string
	// Interval is the time from one epoch to the next, and so about the time from a result to its visibility in an
	// exactly-once sink; 0 means 1 s.
	Interval time.Duration
	// EveryRecords, if not 0, also begins an epoch after so many records of a source's subtask, which waits for it: it
	// bounds how many records are read again after a crash, and costs throughput when small.
	EveryRecords int64
	// Timeout is how long an epoch may take until it is given up; 0 means 10 minutes.
	Timeout time.Duration
	// TolerateFailures is how many epochs in a row may fail, on a full disk for example, before the job does. What they held
	// becomes part of the next one. 0 means none.
	TolerateFailures int
	// Keep is how many checkpoints are kept; 0 means 2. With more, more damage can be survived.
	Keep int
	// Compress compresses checkpoint files with zstd.
	Compress bool
}

// StateBackend is a place for keyed state.
type StateBackend string

// The places for keyed state.
const (
	// MemoryBackend keeps all keyed state in memory. It is the default, and the fastest.
	MemoryBackend StateBackend = "memory"
	// DiskBackend keeps in memory what has changed last, up to a budget, and the rest on disk: state can be larger than memory, and
	// the job is slower.
	DiskBackend StateBackend = "disk"
)

// StateConfig says where keyed state is kept. It may change from run to run: checkpoints do not depend on it.
type StateConfig struct {
	// Backend is the place; empty means MemoryBackend.
	Backend StateBackend
	// Dir is a local directory for the DiskBackend; the job has a folder of its name in it. What is there is made anew at each start and
	// removed at the end. Empty means a folder beside the checkpoints.
	Dir string
	// MemoryBudget is how many bytes keyed state may take in memory with the DiskBackend, at least 16 MiB. It holds for the process, which
	// needs more for everything else, and for what the garbage collector has not collected: setting GOMEMLIMIT a fifth above the
	// budget keeps that small.
	MemoryBudget int64
}

// minMemoryBudget is the least with which the disk can be used.
const minMemoryBudget = 16 << 20

// RestartConfig says what happens after failures that may go away by themselves (connect.ErrRetry). Errors in data or functions do not, unless AnyError
// says otherwise. A restart goes on from the newest checkpoint, within the process.
type RestartConfig struct {
	// Strategy says how the waits between restarts grow; empty means RestartExponential.
	Strategy RestartStrategy
	// Attempts is how often in a row the job is started again; 0 means never.
	Attempts int
	// Backoff is the wait before the first restart, doubled each time up to MaxBackoff; 0 means 100 ms and 30 s. With RestartFixed it is that before each.
	Backoff, MaxBackoff time.Duration
	// ResetAfter is how long a start must have run, and taken a checkpoint, for waits and attempts to begin anew with the next failure; 0 means until its
	// first checkpoint.
	ResetAfter time.Duration
	// AnyError restarts also after errors and panics of the job's functions and of data. A record that fails each time stops the job after Attempts. A
	// failure budget that is used up, and an operator that does not return, stop it at once.
	AnyError bool
}

// RestartStrategy says how the waits between restarts grow.
type RestartStrategy string

// The strategies.
const (
	// RestartExponential doubles the wait with each restart in a row.
	RestartExponential RestartStrategy = "exponential"
	// RestartFixed waits the same time before each.
	RestartFixed RestartStrategy = "fixed"
	// RestartNever lets each failure end the job, whatever Attempts says.
	RestartNever RestartStrategy = "never"
)

// FailureBudget bounds how many records may fail, over all operators and since the first start of the job. It is looked at when an epoch is about to be
// decided: if it is used up the job fails, with a BudgetError, and what the epoch would have committed is not.
type FailureBudget struct {
	// Records is the most that may fail; 0 for no bound.
	Records int64
	// Share is the greatest part of the records read that may fail, above 0 and at most 1, judged from 1000 records on; 0 for no bound.
	Share float64
}

// WatchdogConfig says when something that stands still is told of.
type WatchdogConfig struct {
	// BlockedAfter is for how long an operator may be in one call, be it of a function of the job, a source or a sink; 0 means 30 s. Then the log names it
	// with its stack, and OperatorStatus.Busy says for how long.
	BlockedAfter time.Duration
	// FailBlocked makes that fail the job, with a BlockedError. Run returns some seconds after StopTimeout, if the call has not: the goroutine in it is left.
	FailBlocked bool
	// StuckAfter is for how long the watermark of the sources may stand still while splits are ahead of it; 0 means 1 minute. Then the log, and
	// Status.Held, say which split holds it.
	StuckAfter time.Duration
}

// Status is how far a job has come. Counts go on over restarts.
type Status struct {
	// In counts records read from sources, Out records given to sinks.
	In, Out int64
	// Late counts records that came too late for all windows of an operator, or for a Dedup or SortByTime; LateWindows counts the windows that missed them.
	Late, LateWindows int64
	// Ahead counts records left out because their event time is too far ahead of the clock: see Timing.DropAhead.
	Ahead int64
	// Filtered counts records that filters left out.
	Filtered int64
	// Duplicates counts records that a Dedup left out, Conflicts those of them whose content was not that of the first.
	Duplicates, Conflicts int64
	// Dropped counts records that a RateLimit left out.
	Dropped int64
	// Skipped counts records that were left out because they failed, DeadLettered those that became dead letters: see Stream.OnError.
	Skipped, DeadLettered int64
	// Misses counts records for which a LatestJoin or BroadcastJoin has found nothing in its table.
	Misses int64
	// OutOfRange counts the times that a source has gone on at another place, because the one at which it was to go on did not exist any
	// more: see connect.OutOfRange.
	OutOfRange int64
	// BytesRead and BytesTotal are those of the splits, as far as their sizes are known.
	BytesRead, BytesTotal int64
	// Watermark is the smallest of the sources; zero before the first. EventTime is the newest seen.
	Watermark, EventTime time.Time
	// InputEnded says that all sources have been read to their end.
	InputEnded bool
	// OpenWindows is the number of windows and sessions held, counted per subtask.
	OpenWindows int64
	// Epoch is the newest that is decided; EpochTime is how long it took.
	Epoch     uint64
	EpochTime time.Duration
	// BarrierPause is the longest time for which a barrier kept the operators of one task from their records, since the
	// last start. State is written beside the task and is no part of it; waiting for a slower operator is none either.
	BarrierPause time.Duration
	// Epochs counts decided epochs, FailedEpochs those given up in this run.
	Epochs, FailedEpochs int64
	// Restarts counts the starts after the first. A start that decided no epoch is forgotten when the process ends.
	Restarts int
	// Elapsed and InRun are the time and the records read in this run.
	Elapsed time.Duration
	InRun   int64
	// State is what keyed state takes, with the DiskBackend; otherwise it is empty.
	State StateStatus
	// Operators is the ledger.
	Operators []OperatorStatus
	// Held says, in a sentence, which split of which source holds the watermark, when it has not moved for Watchdog.StuckAfter and others are ahead.
	Held string
	// Imbalance says, if that ever happens, which records the ledger of an epoch did not account for: each that an operator takes is passed on, used, held, or
	// counted as left out, and what one operator passes on the next one takes. It is also in the log, and worth a bug report.
	Imbalance string
	// Warnings say, in a sentence each, which sources and sinks promise less than the job does. They are also in the log, at the start.
	Warnings []string
	// Ended says that this is the last call; Finished that all input was handled, so that there is nothing to go on with.
	Ended, Finished bool
}

// StateStatus is what keyed state takes with the DiskBackend.
type StateStatus = engine.StateStatus

// OperatorStatus is the ledger of one operator, over all subtasks and restarts.
type OperatorStatus = engine.OperatorStatus

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Parallelism == 0 {
		c.Parallelism = runtime.GOMAXPROCS(0)
	}
	if c.KeyGroups == 0 {
		c.KeyGroups = 128
	}
	if c.Delivery == 0 {
		c.Delivery = ExactlyOnce
	}
	set(&c.Checkpoint.Interval, time.Second)
	set(&c.Checkpoint.Timeout, 10*time.Minute)
	if c.Checkpoint.Keep == 0 {
		c.Checkpoint.Keep = 2
	}
	set(&c.Watchdog.BlockedAfter, 30*time.Second)
	set(&c.Watchdog.StuckAfter, time.Minute)
	set(&c.Restart.Backoff, 100*time.Millisecond)
	set(&c.Restart.MaxBackoff, 30*time.Second)
	set(&c.Linger, 2*time.Millisecond)
	if c.BufferRecords == 0 {
		c.BufferRecords = 4096
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 4 << 20
	}
	set(&c.StopTimeout, 30*time.Second)
	set(&c.ObserveEvery, 200*time.Millisecond)
	if c.State.Backend == "" {
		c.State.Backend = MemoryBackend
	}
	if c.State.Dir == "" && c.Checkpoint.Dir != "" {
		c.State.Dir = filepath.Join(c.Checkpoint.Dir, ".state")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// maxKeyGroups is the limit of the checkpoint format.
const maxKeyGroups = 1 << 15

// Validate returns all wrong values at once, or nil. Run calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("millrace: config: "+format, args...))
	}
	if c.KeyGroups < 1 || c.KeyGroups > maxKeyGroups {
		wrong("KeyGroups is %d: it must be from 1 to %d", c.KeyGroups, maxKeyGroups)
	}
	if c.Parallelism < 1 || c.Parallelism > c.KeyGroups {
		wrong("Parallelism is %d: it must be from 1 to the number of key groups, %d", c.Parallelism, c.KeyGroups)
	}
	if c.Delivery > AtMostOnce {
		wrong("Delivery is %v: it must be ExactlyOnce, AtLeastOnce or AtMostOnce", c.Delivery)
	}
	if c.FromAgain && c.From == "" {
		wrong("FromAgain without From: there is no savepoint to go back to")
	}
	if slices.Contains(c.Drop, "") {
		wrong("Drop has an empty name: name an operator, a state of it, or a field")
	}
	k := c.Checkpoint
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Checkpoint.Interval", k.Interval},
		{"Checkpoint.Timeout", k.Timeout},
		{"Restart.Backoff", c.Restart.Backoff},
		{"Restart.MaxBackoff", c.Restart.MaxBackoff},
		{"Restart.ResetAfter", c.Restart.ResetAfter},
		{"Watchdog.BlockedAfter", c.Watchdog.BlockedAfter},
		{"Watchdog.StuckAfter", c.Watchdog.StuckAfter},
		{"Linger", c.Linger},
		{"StopTimeout", c.StopTimeout},
		{"ObserveEvery", c.ObserveEvery},
	} {
		if d.value < 0 {
			wrong("%s is %v: it must not be negative", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"Checkpoint.EveryRecords", k.EveryRecords},
		{"Checkpoint.TolerateFailures", int64(k.TolerateFailures)},
		{"Checkpoint.Keep", int64(k.Keep)},
		{"Restart.Attempts", int64(c.Restart.Attempts)},
		{"FailureBudget.Records", c.FailureBudget.Records},
		{"BufferRecords", int64(c.BufferRecords)},
		{"BufferBytes", int64(c.BufferBytes)},
	} {
		if n.value < 0 {
			wrong("%s is %d: it must not be negative", n.name, n.value)
		}
	}
	switch c.Restart.Strategy {
	case "", RestartExponential, RestartFixed, RestartNever:
	default:
		wrong("Restart.Strategy is %q: it must be %q, %q or %q", c.Restart.Strategy, RestartExponential, RestartFixed, RestartNever)
	}
	if !(c.FailureBudget.Share >= 0 && c.FailureBudget.Share <= 1) { // a NaN is wrong too
		wrong("FailureBudget.Share is %v: it must be from 0 to 1", c.FailureBudget.Share)
	}
	for _, err := range c.State.wrong(k.Dir) {
		wrong("%w", err)
	}
	return errors.Join(errs...)
}

// wrong returns what is wrong with the place for keyed state, of a config with defaults.
func (s StateConfig) wrong(checkpoints string) (errs []error) {
	switch {
	case s.Backend == MemoryBackend && s.MemoryBudget != 0:
		errs = append(errs, fmt.Errorf("State.MemoryBudget is %d: only the disk backend has a budget; set State.Backend to DiskBackend", s.MemoryBudget))
	case s.Backend == MemoryBackend:
	case s.Backend != DiskBackend:
		errs = append(errs, fmt.Errorf("State.Backend is %q: it must be %q or %q", s.Backend, MemoryBackend, DiskBackend))
	default:
		if s.MemoryBudget < minMemoryBudget {
			errs = append(errs, fmt.Errorf("State.MemoryBudget is %d: with the disk backend it must be at least %d (16 MiB)", s.MemoryBudget, minMemoryBudget))
		}
		if checkpoints == "" {
			errs = append(errs, errors.New("State.Backend is disk and Checkpoint.Dir is empty: without a directory, checkpoints are kept in memory, and state with them"))
		}
	}
	return errs
}

// engine turns a valid config with defaults into that of the engine.
func (c Config) engine(j *Job) engine.Config {
	k := c.Checkpoint
	e := engine.Config{
		Job: j.g.Job, Graph: &j.g, Parallelism: c.Parallelism, Groups: c.KeyGroups, Delivery: c.Delivery,
		Dir: k.Dir, Compress: k.Compress, Interval: k.Interval, Records: k.EveryRecords, Timeout: k.Timeout,
		Tolerate: k.TolerateFailures, Keep: k.Keep, Linger: c.Linger,
		Edge:        exchange.Limits{Records: c.BufferRecords, Bytes: c.BufferBytes},
		StopTimeout: c.StopTimeout, Restarts: c.Restart.Attempts, Backoff: c.Restart.Backoff, MaxBackoff: c.Restart.MaxBackoff,
		State: engine.StateConfig{Disk: c.State.Backend == DiskBackend, Dir: c.State.Dir, Memory: c.State.MemoryBudget},
		Log:   c.Log, ReportEvery: c.ObserveEvery,
	}
	e.From, e.FromAgain, e.Drop = c.From, c.FromAgain, c.Drop
	e.Replay, e.ReplayID = c.Replay, replayID(c.Replay)
	e.RestartFixed, e.RestartReset, e.RestartAny = c.Restart.Strategy == RestartFixed, c.Restart.ResetAfter, c.Restart.AnyError
	if c.Restart.Strategy == RestartNever {
		e.Restarts = 0
	}
	e.MostFailures, e.FailureShare = c.FailureBudget.Records, c.FailureBudget.Share
	e.BlockedAfter, e.StuckAfter, e.FailBlocked = c.Watchdog.BlockedAfter, c.Watchdog.StuckAfter, c.Watchdog.FailBlocked
	if c.Control != nil {
		e.Control = &c.Control.c
	}
	if c.Observe != nil {
		e.Report = func(s engine.Status) { c.Observe(status(s)) }
	}
	return e
}
