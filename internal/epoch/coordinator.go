package epoch

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Config says what a coordinator coordinates.
type Config struct {
	// Tasks is the number of tasks, each of which must acknowledge every epoch. They are numbered from 0.
	Tasks int
	// Sources are the tasks that are sources.
	Sources []int
	// Interval is the least time between two triggers, failed ones included; 0: no epochs but those asked for and the final one.
	Interval time.Duration
	// MinPause is the least time from the end of an epoch, failed ones included, to the next trigger by Interval: where epochs take long, the job has
	// that time for its records.
	MinPause time.Duration
	// Timeout is the longest time from a trigger to the last acknowledgement; 0: no limit. It does not cover publishing and committing, which
	// cannot be given up once they have begun.
	Timeout time.Duration
	// Tolerate is how many epochs in a row may fail before the job does.
	Tolerate int
}

// Check returns all mistakes, joined.
func (c Config) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("epoch: config: "+format, args...)) }
	if c.Tasks < 1 {
		wrong("%d tasks, there must be at least 1", c.Tasks)
	}
	if len(c.Sources) == 0 {
		wrong("no task is a source")
	}
	seen := make(map[int]bool)
	for _, s := range c.Sources {
		if s < 0 || s >= c.Tasks || seen[s] {
			wrong("source %d is named twice or is none of the tasks 0 to %d", s, c.Tasks-1)
		}
		seen[s] = true
	}
	if c.Interval < 0 {
		wrong("interval is %v, it must be at least 0", c.Interval)
	}
	if c.MinPause < 0 {
		wrong("least pause is %v, it must be at least 0", c.MinPause)
	}
	if c.Timeout < 0 {
		wrong("timeout is %v, it must be at least 0", c.Timeout)
	}
	if c.Tolerate < 0 {
		wrong("%d failed epochs are tolerated, it must be at least 0", c.Tolerate)
	}
	return errors.Join(errs...)
}

// FinalRetry is the longest pause before a failed final epoch is tried again, where Interval is longer: the job is over and waits for it.
const FinalRetry = time.Second

// Phase is where a coordinator stands.
type Phase uint8

// The phases of a coordinator.
const (
	// Idle: no epoch is in flight.
	Idle Phase = iota + 1
	// Collecting: an epoch is triggered, not all tasks have acknowledged it.
	Collecting
	// Publishing: the manifest is being written. From here the epoch is given up only when it is certain that it was not.
	Publishing
	// Committing: the epoch is decided.
	Committing
	// Over: the job is done or has failed.
	Over
)

// String returns the phase in one word.
func (p Phase) String() string {
	switch p {
	case Idle:
		return "idle"
	case Collecting:
		return "collecting"
	case Publishing:
		return "publishing"
	case Committing:
		return "committing"
	case Over:
		return "over"
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// Coordinator takes a job from epoch to epoch. Each Step takes what happened and returns what to do.
//
//	        due: Trigger              all acks: Publish           ok: Commit
//	+------+ --------> +------------+ --------> +------------+ --------> +------------+
//	| Idle |           | Collecting |           | Publishing |           | Committing |
//	+------+           +------------+           +------------+           +------------+
//	  ^  ^                   |                        |                    |       |
//	  |  |  failed, timeout: |        certainly not:  |                    |       | error: Fail
//	  |  |  Abort            |        Abort           |                    |       v
//	  |  +-------------------+------------------------+                    |     Over
//	  |                      |                                             |       ^
//	  |                      | more than tolerated: Abort, Fail            |       |
//	  |                      +---------------------------------------------|-------+
//	  |   ok: Retire                                                       |       |
//	  +--------------------------------------------------------------------+       |
//	                                        ok, final: Retire, Done        +-------+
//
// An epoch is due when
//
//   - all sources are drained or a stop was requested: a final one, at once;
//   - one was requested: at once;
//   - Interval has passed since the last trigger, and MinPause since the last epoch has ended.
//
// After a failure the next one waits for the next event that tells the time. A failed final epoch is tried again Interval after its trigger, or
// FinalRetry if that is shorter. Once a final epoch has been triggered all that follow are final too.
//
// Invariants:
//
//	E1  at most one epoch is in flight
//	E2  numbers rise by one with each trigger, from the restored epoch on; none is used twice, even when its epoch failed
//	E3  an epoch is committed only after it was published
//	E4  every triggered epoch is retired, aborted, or the last before Fail
type Coordinator struct {
	cfg   Config
	phase Phase

	// epoch is the last triggered epoch, or the restored one.
	epoch   uint64
	begun   bool // an event has come: too late for Restored
	acked   []bool
	missing int

	now     int64
	timed   bool  // the time has been told
	trigger int64 // time of the last trigger, or of the first event that told it
	pause   bool  // a failure waits for the next event that tells the time

	failures  int // in a row
	requested bool
	stopping  bool
	drained   []bool
	undrained int

	ended    int64 // when the last epoch ended, if there was any
	any      bool
	final    bool // the last triggered epoch is final
	finished bool // and all sources were drained when it was triggered

	out []Effect
}

// NewCoordinator returns a coordinator to which nothing has happened.
func NewCoordinator(cfg Config) (*Coordinator, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.Sources = slices.Clone(cfg.Sources)
	return &Coordinator{
		cfg: cfg, phase: Idle, acked: make([]bool, cfg.Tasks), drained: make([]bool, cfg.Tasks), undrained: len(cfg.Sources),
	}, nil
}

// Phase returns where the coordinator stands.
func (c *Coordinator) Phase() Phase { return c.phase }

// Epoch returns the last triggered epoch, or the restored one before the first.
func (c *Coordinator) Epoch() uint64 { return c.epoch }

// Missing returns the tasks that have not acknowledged the epoch in flight.
func (c *Coordinator) Missing() []int {
	var tasks []int
	for i, ok := range c.acked {
		if !ok && c.phase == Collecting {
			tasks = append(tasks, i)
		}
	}
	return tasks
}

// Step takes an event and returns what to do about it, in order. After Fail or Done it returns nothing any more.
func (c *Coordinator) Step(e Event) []Effect {
	if c.phase == Over {
		return nil
	}
	c.out = nil
	switch e := e.(type) {
	case Tick:
		c.clock(e.Now)
		c.expire()
	case Request:
		c.clock(e.Now)
		c.requested = true
	case StopRequested:
		c.clock(e.Now)
		c.stopping = true
	case Restored:
		c.restored(e.Epoch)
	case SourceDrained:
		c.sourceDrained(e.Task)
	case TaskAck:
		c.taskAck(e)
	case TaskFailed:
		c.taskFailed(e)
	case Published:
		c.published(e)
	case Committed:
		c.committed(e)
	default:
		c.impossible("event %T", e)
	}
	c.begun = true
	if c.phase == Idle && c.due() {
		c.start()
	}
	return c.out
}

func (c *Coordinator) do(e Effect) { c.out = append(c.out, e) }

// clock takes the time, which does not run backwards here.
func (c *Coordinator) clock(now int64) {
	c.pause = false
	if !c.timed {
		c.timed, c.now, c.trigger = true, now, now
	}
	c.now = max(c.now, now)
}

// passed reports whether d has passed since the last trigger.
func (c *Coordinator) passed(d time.Duration) bool {
	since := c.now - c.trigger // wraps to a negative number beyond 292 years
	return since < 0 || since >= int64(d)
}

// rested reports whether the pause after the last epoch is over.
func (c *Coordinator) rested() bool {
	since := c.now - c.ended
	return !c.any || since < 0 || since >= int64(c.cfg.MinPause)
}

// due reports whether an epoch must be triggered.
func (c *Coordinator) due() bool {
	switch {
	case c.pause:
		return false
	case c.ending():
		return !c.final || c.passed(min(c.cfg.Interval, FinalRetry))
	case c.requested:
		return true
	}
	return c.timed && c.cfg.Interval > 0 && c.passed(c.cfg.Interval) && c.rested()
}

// ending reports whether the next epoch is final. Neither cause goes away, so all that follow a final epoch are final too.
func (c *Coordinator) ending() bool { return c.stopping || c.undrained == 0 }

// start triggers the next epoch.
func (c *Coordinator) start() {
	if c.epoch == math.MaxUint64 {
		c.impossible("epoch after %d", c.epoch)
		return
	}
	c.final, c.finished = c.ending(), c.undrained == 0
	c.requested = false
	c.epoch++
	c.phase = Collecting
	clear(c.acked)
	c.missing = c.cfg.Tasks
	c.trigger = c.now
	c.do(Trigger{c.epoch, c.final})
}

func (c *Coordinator) restored(epoch uint64) {
	if c.begun {
		c.impossible("restored epoch %d after other events", epoch)
		return
	}
	c.epoch = epoch
}

func (c *Coordinator) sourceDrained(task int) {
	if !slices.Contains(c.cfg.Sources, task) {
		c.impossible("task %d, which is no source, is drained", task)
		return
	}
	if !c.drained[task] {
		c.drained[task] = true
		c.undrained--
	}
}

// expire gives the epoch in flight up when it has taken too long.
func (c *Coordinator) expire() {
	if c.phase == Collecting && c.cfg.Timeout > 0 && c.passed(c.cfg.Timeout) {
		c.failed(fmt.Errorf("not acknowledged by tasks %v within %v", c.Missing(), c.cfg.Timeout))
	}
}

// ofCurrent reports whether word from a task is about the epoch in flight. Word about earlier epochs, which failed
// while it was on its way, is of no interest; other epochs and tasks do not exist.
func (c *Coordinator) ofCurrent(task int, epoch uint64) bool {
	if task < 0 || task >= c.cfg.Tasks {
		c.impossible("word from task %d, there are tasks 0 to %d", task, c.cfg.Tasks-1)
		return false
	}
	if epoch > c.epoch {
		c.impossible("word from task %d about epoch %d, but the last triggered is %d", task, epoch, c.epoch)
		return false
	}
	return epoch == c.epoch && c.phase != Idle
}

func (c *Coordinator) taskAck(e TaskAck) {
	if !c.ofCurrent(e.Task, e.Epoch) || c.acked[e.Task] {
		return
	}
	c.acked[e.Task] = true
	if c.missing--; c.missing == 0 {
		c.phase = Publishing
		c.do(Publish{c.epoch, c.finished})
	}
}

func (c *Coordinator) taskFailed(e TaskFailed) {
	if !c.ofCurrent(e.Task, e.Epoch) {
		return
	}
	if e.Err == nil {
		e.Err = errors.New("no reason given")
	}
	if c.acked[e.Task] {
		c.impossible("task %d acknowledged epoch %d and then failed it: %w", e.Task, e.Epoch, e.Err)
		return
	}
	c.failed(fmt.Errorf("task %d: %w", e.Task, e.Err))
}

func (c *Coordinator) published(e Published) {
	if c.phase != Publishing || e.Epoch != c.epoch {
		c.impossible("epoch %d published while %v epoch %d", e.Epoch, c.phase, c.epoch)
		return
	}
	if e.Err != nil {
		c.failed(fmt.Errorf("publish: %w", e.Err))
		return
	}
	c.phase = Committing
	c.do(Commit{c.epoch})
}

func (c *Coordinator) committed(e Committed) {
	if c.phase != Committing || e.Epoch != c.epoch {
		c.impossible("epoch %d committed while %v epoch %d", e.Epoch, c.phase, c.epoch)
		return
	}
	if e.Err != nil {
		c.fail(fmt.Errorf("epoch: commit of epoch %d, which is decided and will be committed at the next start: %w", c.epoch, e.Err), true)
		return
	}
	c.failures = 0
	c.phase, c.ended, c.any = Idle, c.now, true
	c.do(Retire{c.epoch})
	if c.final {
		c.phase = Over
		outcome := Stopped
		if c.finished {
			outcome = Finished
		}
		c.do(Done{outcome})
	}
}

// failed gives up the epoch in flight.
func (c *Coordinator) failed(reason error) {
	c.do(Abort{c.epoch, reason})
	c.phase, c.ended, c.any = Idle, c.now, true
	c.pause = true
	if c.failures++; c.failures > c.cfg.Tolerate {
		c.fail(fmt.Errorf("epoch: %d failed in a row, %d tolerated; the last is epoch %d: %w", c.failures, c.cfg.Tolerate, c.epoch, reason), true)
	}
}

// fail ends the job.
func (c *Coordinator) fail(err error, retry bool) {
	c.phase = Over
	c.do(Fail{err, retry})
}

// impossible ends the job because the engine said what cannot be.
func (c *Coordinator) impossible(format string, args ...any) {
	c.fail(fmt.Errorf("epoch: internal: "+format, args...), false)
}
