// Package operator holds the operators: what a task does with a batch. Each is written once for all record types and is
// seen by the engine through Op, one call for a batch.
//
// An operator is used by one goroutine, that of its task. It takes over the batches that it is given and passes on, or
// frees, every one.
package operator

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// BatchSize is the number of records in a batch between chained operators; a keyed exchange uses ExchangeSize, because
// it has one open batch for each target and all of them should stay in the cache.
const (
	BatchSize    = 1024
	ExchangeSize = 256
)

// Receiver takes what an operator puts out: the next operator of the chain, or an edge.
type Receiver interface {
	// Process takes over a batch.
	Process(b element.Batch) error
	// Watermark says that the watermark is t; batches say it by their steps.
	Watermark(t int64) error
	// Idle says that nothing holds back the watermark here until the next batch or watermark.
	Idle() error
}

// Op is one parallel instance of an operator.
type Op interface {
	// Open is called once, before anything else, by the goroutine of the task.
	Open(c *Context) error
	// Input returns where the elements of an input port go.
	Input(port int) Receiver
	// Freeze cuts the state at the barrier of an epoch. All output of the epoch has been passed on.
	Freeze(epoch uint64) (Cut, error)
	// Completed says that the epoch is durable.
	Completed(epoch uint64)
	// Close releases what Open took. It is called once, also after errors.
	Close() error
}

// Ticked is implemented by operators that act at a processing time, or when something outside of the task is done. No Tick
// comes behind the last barrier of a job.
type Ticked interface {
	// NextTick returns the processing time, in ns since 1970 UTC, at which Tick is due; math.MaxInt64 stands for never. It is asked
	// between batches, so it must be cheap.
	NextTick() int64
	// Tick is called by the goroutine of the task, between batches: when that time has come, and soon after Context.Wake. It may
	// pass records on, and must look itself whether there is anything to do.
	Tick(now int64) error
}

// Limited is implemented by operators that cannot take any number of records at any time.
type Limited interface {
	// Room returns how many records the operator takes now without holding any back; 0 or less for none. A task reads no more than the least
	// room of its operators, and takes nothing from its inputs while one has none, but for barriers that start there. It asks again
	// after each Tick. A batch from another task comes whole, and operators in between may make several records of one: what is more
	// than the room must be held.
	Room() int
}

// Cut is what an operator contributes to a checkpoint.
type Cut struct {
	// State is small state that is kept in the manifest; it must be read back by Context.Old.
	State []byte
	// Frozen are the named keyed states.
	Frozen []NamedFrozen
	// Held is how many of the records taken wait in the state to be passed on.
	Held int64
	// Finish, if set, makes the output of a sink durable.
	Finish connect.Finish
	// Release, if set, gives the output that a sink has held to its writer. It is called once, beside the task, when the epoch is decided, or
	// the one that holds what this one held; never when nobody knows whether it is.
	Release func(ctx context.Context) error
}

// NamedFrozen is the frozen content of one named state.
type NamedFrozen struct {
	State string
	keyed.Frozen
}

// Context is what an operator knows about its place.
type Context struct {
	context.Context //nolint:containedctx // it is the context of the operator's whole life

	Job, ID              string
	Subtask, Parallelism int
	// Groups is the number of key groups of the job; this subtask owns [Lo, Hi).
	Groups, Lo, Hi int
	Env            *env.Env
	Log            *slog.Logger
	Counters       *Counters
	// Info is what a sink's writer is told about itself.
	Info connect.SinkInfo
	// Origins says that a source has to tell where its records come from.
	Origins bool
	// Outputs returns where the records of a named output go ("" is the main one). It is never nil.
	Outputs func(side string) Receiver
	// Old is the state that the operator's subtasks put into the restored checkpoint; nil at a first start.
	Old [][]byte
	// Load feeds the restored entries of a named state, for [Lo, Hi), to a visitor. It does nothing at a first start.
	Load func(state string, v snapshot.Visitor) error
	// LoadGroups is Load for the key groups [lo, hi).
	LoadGroups func(state string, lo, hi int, v snapshot.Visitor) error
	// Errors says what becomes of records that fail; nil fails the job.
	Errors *ErrorSpec
	// Task is what the operator can ask of its task.
	Task Task
	// Memory bounds what keyed states keep in memory; nil for no bounds.
	Memory *keyed.Memory
}

// Task is the task of an operator, as the operator sees it.
type Task interface {
	// Wake makes the task call Tick of its operators soon. It may be called from any goroutine.
	Wake()
	// Go runs fn beside the task. It is waited for when the job ends or starts anew: when the operator's context is done, fn
	// must return.
	Go(name string, fn func())
	// Await lets the goroutine of the task wait until done returns true, or until the processing time, in ns, has come. What the
	// chain holds back is passed on before. It looks again after each Wake, and returns an error when the task must end.
	Await(until int64, done func() bool) error
	// RequestEpoch asks for an epoch now, or right after the one in flight.
	RequestEpoch()
}

// Now returns the processing time in ns since 1970 UTC.
func (c *Context) Now() int64 { return c.Env.Sched.Now().UnixNano() }

// Counters are the ledger of one subtask of an operator. One goroutine writes, any may read.
type Counters struct {
	// In and Out count records taken and passed on.
	In, Out atomic.Int64
	// Filtered counts records that a filter left out.
	Filtered atomic.Int64
	// Late counts records that came too late for every window, or for what else the operator does.
	Late atomic.Int64
	// PreAggregated counts the records taken that had been aggregated before the exchange.
	PreAggregated atomic.Int64
	// Ahead counts records left out because their event time is too far ahead of the clock.
	Ahead atomic.Int64
	// LateWindows counts the windows that missed a record; a record can miss some and be in time for others.
	LateWindows atomic.Int64
	// Duplicates counts records left out because their id was seen before, Conflicts those of them whose content differed.
	Duplicates, Conflicts atomic.Int64
	// Dropped counts records left out because they came too fast.
	Dropped atomic.Int64
	// Used counts records that have had their effect in an operator that passes on others than it takes. Only process functions and FlatMap count it.
	Used atomic.Int64
	// Replayed counts dead letters that were handled again.
	Replayed atomic.Int64
	// Skipped counts records left out because they have failed, DeadLettered those put into DeadLetterSide because of that.
	Skipped, DeadLettered atomic.Int64
	// Retries counts requests and records tried again after a failure, Fallbacks those whose result was made from an error.
	Retries, Fallbacks atomic.Int64
	// InFlight is the number of requests whose results have not been passed on.
	InFlight atomic.Int64
	// Misses counts records for which nothing was found in a table.
	Misses atomic.Int64
	// OutOfRange counts the times that a source has gone on at another place, because the one it was to go on at was not there.
	OutOfRange atomic.Int64
	// TimersDiscarded counts timers set by a timer while the final watermark was handled: nothing can fire them.
	TimersDiscarded atomic.Int64
	// BytesRead is the input consumed by a source.
	BytesRead atomic.Int64
	// OpenWindows is the number of windows or sessions that have not fired.
	OpenWindows atomic.Int64
	// Newest is the largest event time that a source has seen.
	Newest atomic.Int64
	// Watermark is the operator's clock.
	Watermark atomic.Int64
}

// Add names the counters that are part of a checkpoint.
func (c *Counters) Add(m map[string]int64) {
	m["in"] += c.In.Load()
	m["out"] += c.Out.Load()
	m["filtered"] += c.Filtered.Load()
	m["late"] += c.Late.Load()
	m["ahead"] += c.Ahead.Load()
	m["late_windows"] += c.LateWindows.Load()
	m["timers_discarded"] += c.TimersDiscarded.Load()
	m["duplicates"] += c.Duplicates.Load()
	m["conflicts"] += c.Conflicts.Load()
	m["dropped"] += c.Dropped.Load()
	m["used"] += c.Used.Load()
	m["replayed"] += c.Replayed.Load()
	m["skipped"] += c.Skipped.Load()
	m["dead_lettered"] += c.DeadLettered.Load()
	m["retries"] += c.Retries.Load()
	m["fallbacks"] += c.Fallbacks.Load()
	m["misses"] += c.Misses.Load()
	m["out_of_range"] += c.OutOfRange.Load()
	m["pre_aggregated"] += c.PreAggregated.Load()
}

// Restore sets the counters that are part of a checkpoint.
func (c *Counters) Restore(m map[string]int64) {
	c.In.Store(m["in"])
	c.Out.Store(m["out"])
	c.Filtered.Store(m["filtered"])
	c.Late.Store(m["late"])
	c.Ahead.Store(m["ahead"])
	c.LateWindows.Store(m["late_windows"])
	c.TimersDiscarded.Store(m["timers_discarded"])
	c.Duplicates.Store(m["duplicates"])
	c.Conflicts.Store(m["conflicts"])
	c.Dropped.Store(m["dropped"])
	c.Used.Store(m["used"])
	c.Replayed.Store(m["replayed"])
	c.Skipped.Store(m["skipped"])
	c.DeadLettered.Store(m["dead_lettered"])
	c.Retries.Store(m["retries"])
	c.Fallbacks.Store(m["fallbacks"])
	c.Misses.Store(m["misses"])
	c.OutOfRange.Store(m["out_of_range"])
	c.PreAggregated.Store(m["pre_aggregated"])
}

// Spec is an operator as the graph holds it: how to make instances of it, and how records reach it by key.
type Spec struct {
	// New makes an instance.
	New func() Op
	// NewSource makes an instance of a source; New is nil then.
	NewSource func() Source
	// Partition makes, for an input port, the sender that spreads records over the targets by key.
	Partition func(port int, groups int, targets []Sender) Receiver
	// Combine, if set, makes the sender of a keyed input in the place of Partition: one that may aggregate records before it sends
	// them. Old is what the operator's subtasks put into the restored checkpoint.
	Combine func(groups int, old [][]byte, targets []Sender) Receiver
	// Commit opens the committer of a sink; nil for others.
	Commit func(ctx context.Context, info connect.SinkInfo) (connect.Committer, error)
	// Guarantee is what a sink promises; 0 for others.
	Guarantee connect.Guarantee
	// Sides are the side outputs that the job has declared.
	Sides []SideOutput
	// Clocked says that a source takes event times from the clock, so that records read again get others.
	Clocked bool
	// Errors is the error policy; nil fails the job.
	Errors *ErrorSpec
	// LeavesOut says that the operator has the output AheadSide.
	LeavesOut bool
	// Check finds mistakes in options, before anything runs; may be nil.
	Check func() error
}

// Sender passes elements to one target.
type Sender interface {
	Push(el element.Element) error
}

// Tee passes everything to several receivers. Each but the last gets a copy of its own.
type Tee []Receiver

// Process gives a batch to each.
func (t Tee) Process(b element.Batch) error {
	last := len(t) - 1
	for _, r := range t[:last] {
		if err := r.Process(b.Clone()); err != nil {
			b.Free()
			return err
		}
	}
	return t[last].Process(b)
}

// Watermark tells each.
func (t Tee) Watermark(w int64) error {
	for _, r := range t {
		if err := r.Watermark(w); err != nil {
			return err
		}
	}
	return nil
}

// Idle tells each.
func (t Tee) Idle() error {
	for _, r := range t {
		if err := r.Idle(); err != nil {
			return err
		}
	}
	return nil
}

// Void is a receiver for outputs that nobody reads.
type Void struct{}

// Process frees the batch.
func (Void) Process(b element.Batch) error { b.Free(); return nil }

// Watermark does nothing.
func (Void) Watermark(int64) error { return nil }

// Idle does nothing.
func (Void) Idle() error { return nil }

// Emitter collects the records that an operator puts out into batches.
type Emitter[U any] struct {
	pool *element.Pool[U]
	cur  *element.Of[U]
	to   Receiver
	out  *atomic.Int64
	told int64
	// holds says that a full batch waits for Flush: what it has of a record may have to be taken back.
	holds bool
}

// NewEmitter returns an emitter that counts into out, which may be nil.
func NewEmitter[U any](pool *element.Pool[U], to Receiver, out *atomic.Int64) *Emitter[U] {
	return &Emitter[U]{pool: pool, cur: pool.Get(), to: to, out: out, told: element.NoTime}
}

// Emit adds a record. It is passed on when the batch is full.
func (e *Emitter[U]) Emit(v *U, t int64) error {
	*e.Next(t) = *v
	return e.Done()
}

// EmitFrom is Emit for a record that comes from o, nil if that is not known. All records between two flushes come with an origin, or none.
func (e *Emitter[U]) EmitFrom(v *U, t int64, o *element.Origin) error {
	*e.Next(t) = *v
	if o != nil {
		e.cur.Origins = append(e.cur.Origins, *o)
	}
	return e.Done()
}

// Next adds a record in place and returns its slot, which holds leftovers and must be filled before the next call. Done follows.
func (e *Emitter[U]) Next(t int64) *U {
	n := len(e.cur.Records)
	e.cur.Records = slices.Grow(e.cur.Records, 1)[:n+1]
	e.cur.Times = append(e.cur.Times, t)
	return &e.cur.Records[n]
}

// Done passes the batch on when it is full.
func (e *Emitter[U]) Done() error {
	if len(e.cur.Records) >= e.pool.Capacity() && !e.holds {
		return e.Flush()
	}
	return nil
}

// Hold makes a full batch wait for Flush, or not any more.
func (e *Emitter[U]) Hold(on bool) { e.holds = on }

// Mark returns how many records are held.
func (e *Emitter[U]) Mark() int { return len(e.cur.Records) }

// Cut takes all records back but the first n.
func (e *Emitter[U]) Cut(n int) {
	clear(e.cur.Records[n:])
	e.cur.Records, e.cur.Times = e.cur.Records[:n], e.cur.Times[:n]
	e.cur.CutOrigins(n)
}

// Full reports whether it is time for Flush.
func (e *Emitter[U]) Full() bool { return len(e.cur.Records) >= e.pool.Capacity() }

// Advance notes that the watermark is t after what was emitted so far, unless it is there already.
func (e *Emitter[U]) Advance(t int64) {
	if t > e.told {
		e.told = t
		e.cur.Advance(len(e.cur.Records), t)
	}
}

// Flush passes on what has been collected.
func (e *Emitter[U]) Flush() error {
	n := len(e.cur.Records)
	if n == 0 {
		err := passSteps(e.cur.Steps, e.to)
		e.cur.Steps = e.cur.Steps[:0]
		return err
	}
	b := e.cur
	e.cur = e.pool.Get()
	if e.out != nil {
		e.out.Add(int64(n))
	}
	return e.to.Process(b)
}
