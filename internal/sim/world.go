package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// StateDir is where the jobs of simulations keep their checkpoints, and OutDir where file sinks may write, each in a directory of its own.
const (
	StateDir = "/millracetest/state"
	OutDir   = "/millracetest/files"
)

// Job is what is simulated.
type Job struct {
	// Build makes the job for a start, as a new process would: what its functions keep is lost in a crash. What outlives it, sinks in memory for
	// example, belongs to the caller.
	Build func() *millrace.Job
	// Look, if set, is called when sinks have committed, and between two lives: what an outside reader sees then.
	Look func(l Look) error
	// Check is called when the job has come to its end, with its last status.
	Check func(s millrace.Status) error
	// FS, if set, makes of the disk what the process sees as its file system.
	FS func(m *fsx.Mem) fsx.FS
	// Configure, if set, changes how each life is configured.
	Configure func(c *millrace.Config)
}

// Look says when results are looked at.
type Look struct {
	// Kept says that what was seen before must still be there. It need not be when the job has gone back behind a damaged checkpoint.
	Kept bool
	// Lasting says that what is seen now must stay. A name that a process gave just before it died need not be durable.
	Lasting bool
}

// World is one simulation: what outlives the processes in it, and what is left to chance.
type World struct {
	// Seed decides everything.
	Seed uint64
	// Draw is for whoever makes the job: its shape and input.
	Draw *Rand

	mem     *fsx.Mem
	history *History
	plans   *Rand
	faults  *Rand
	reads   *Rand
	now     int64
	counts  map[string]int
	lives   []string
	life    *life
	job     Job
	name    string // of the job
	damages []damage
	// passed counts the passes of fault points over all lives.
	passed map[string]int
	// keep is how many checkpoints are kept.
	keep int
	// checks decides when what takes time is checked. It has no effect on what happens.
	checks *Rand
	// shaken says that what was visible may have been withdrawn since the last look: a damaged checkpoint was passed over.
	shaken bool
	// last is the last status of the job.
	last     millrace.Status
	statuses int
	// steps is how many turns tasks took, and parallelism that of the last life.
	steps, parallelism int
	// failure is the first invariant that did not hold.
	failure error
}

// newWorld returns the world of a seed, which keeps the last lines of its history.
func newWorld(seed uint64, keep int) *World {
	return &World{
		Seed: seed, Draw: newRand(seed, 1), plans: newRand(seed, 2), faults: newRand(seed, 3), reads: newRand(seed, 4), checks: newRand(seed, 5),
		mem: fsx.NewMem(), history: newHistory(keep), now: epoch0, counts: map[string]int{}, passed: map[string]int{},
	}
}

// Mem returns the disk as it is now.
func (w *World) Mem() *fsx.Mem { return w.mem }

func (w *World) count(what string) { w.counts[what]++ }

// Pass lets other tasks on now and then: for functions of jobs, which are called in the middle of a batch.
func (w *World) Pass() {
	if l := w.life; l != nil && w.reads.IntN(64) == 0 {
		l.sched.Yield()
	}
}

// Read tells a source how many of n records to read: 0 if there is nothing for now, which it is quiet times in 1000, or an error.
func (w *World) Read(n, quiet int) (int, error) {
	l := w.life
	l.sched.Yield()
	if l.plan.unread > 0 && w.reads.IntN(1000) < l.plan.unread {
		l.injected++
		w.count("source: a read fails, and may be tried again")
		return 0, connect.Retryable(fmt.Errorf("read: %w", ErrInjected))
	}
	if w.reads.IntN(1000) < quiet {
		w.count("source: nothing to read for now")
		return 0, nil
	}
	return upTo(w.reads, n), nil
}

// life is one life of a process.
type life struct {
	world *World
	plan  plan
	sched *Scheduler
	locks []io.Closer
	// changes counts the changes of the disk, injected the failures that were made.
	changes, injected int
	calls             map[fsx.OpKind]int
	passes            map[string]int
	dying             bool
	stopped           bool
	cancel            context.CancelCauseFunc
	worldCtx          context.Context //nolint:containedctx // it is that of the whole life
}

// errStop is what a job is told to stop with.
var errStop = errors.New("told to stop by the simulation")

// die ends the process at once.
func (l *life) die(how string) {
	l.world.count(how)
	l.world.history.note("%s", how)
	l.sched.kill()
	l.sched.die()
}

// stall draws for how long a task is held up.
func (l *life) stall() time.Duration {
	if l.world.faults.IntN(100_000) >= l.plan.stall {
		return 0
	}
	l.world.count("pause: one task")
	return 1 + time.Duration(l.world.faults.Int64N(int64(l.plan.stallFor)))
}

// fail notes that an invariant does not hold, and ends the life.
func (l *life) fail(err error) {
	if l.world.failure == nil {
		l.world.failure = err
	}
	l.sched.kill()
	l.sched.die()
}

// hit passes a fault point.
func (l *life) hit(point string) error {
	if l.sched.dead {
		return ErrKilled
	}
	w := l.world
	w.history.note("point %s", point)
	l.passes[point]++
	w.passed[point]++
	switch {
	case l.dying:
		l.die("kill: in the middle of a write")
	case l.plan.killPoint == point && l.passes[point] == l.plan.killHit:
		w.count("kill: at point " + point)
		l.die("kill: at a fault point")
	case l.plan.killElse == point && l.passes[point] == l.plan.killElseHit:
		l.die("kill: at a fault point")
	}
	l.sched.Yield()
	if err := w.at(point); err != nil {
		l.fail(err)
	}
	return nil
}

// at checks what must hold at a point.
func (w *World) at(point string) error {
	switch point {
	case "commit.before":
		if w.faults.IntN(4) > 0 { // it takes time
			return nil
		}
		// Whatever is shown from now on must not be lost: what a start would go on from now, it must go on from after a power loss too.
		now, err1 := w.restorable(w.mem.CrashClone(ones{}))
		later, err2 := w.restorable(w.worst())
		if err := errors.Join(err1, err2); err != nil || now != later {
			return fmt.Errorf("output of epoch %d is about to be shown, and after a power loss the newest checkpoint would be %d: %w", now, later, cmp.Or(err, errLost))
		}
	case "commit.after":
		if w.faults.IntN(4) == 0 {
			return w.look(true)
		}
	}
	return nil
}

// look lets the job look at its results.
func (w *World) look(lasting bool) error {
	if w.job.Look == nil {
		return nil
	}
	l := Look{Kept: !w.shaken, Lasting: lasting}
	if lasting {
		w.shaken = false
	}
	if err := w.job.Look(l); err != nil {
		return fmt.Errorf("what a reader sees: %w", err)
	}
	return nil
}

// manifestEpoch returns the epoch of a manifest, of its copy, or of either under its temporary name; 0 for other files.
func manifestEpoch(path string) (n uint64) {
	if _, err := fmt.Sscanf(filepath.Base(path), "manifest-%d", &n); err != nil {
		return 0
	}
	return n
}

// manifests returns the numbers of the manifests on a disk, oldest first.
func (w *World) manifests(m *fsx.Mem) []uint64 {
	all := map[uint64]bool{}
	for _, path := range files(m, StateDir) {
		if n := manifestEpoch(path); n > 0 && !strings.HasSuffix(path, ".tmp") {
			all[n] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// restorable returns the epoch that a start would go on from.
func (w *World) restorable(m *fsx.Mem) (epoch uint64, err error) {
	s, err := snapshot.OpenDir(m, StateDir, w.name, nil)
	if err != nil {
		return 0, err
	}
	newest, _, err := s.Newest()
	if err == nil && newest != nil {
		epoch = newest.Epoch
	}
	return epoch, errors.Join(err, s.Close())
}

// config is how the job runs in a life.
func (l *life) config() millrace.Config {
	w, p := l.world, &l.plan
	c := millrace.Config{
		Parallelism: p.parallelism, KeyGroups: 16, Log: slog.New(slog.DiscardHandler), Linger: p.linger, BufferRecords: p.bufferRecords,
		Checkpoint: millrace.CheckpointConfig{
			Dir: StateDir, Interval: p.interval, EveryRecords: p.every, Timeout: p.timeout, TolerateFailures: p.tolerate, Keep: w.keep, Compress: p.compress,
		},
		Restart: millrace.RestartConfig{Attempts: p.restarts},
	}
	if w.job.Configure != nil {
		w.job.Configure(&c)
	}
	return c
}

// step is called at each step of the scheduler.
func (l *life) step(n int) {
	w, p := l.world, &l.plan
	switch {
	case l.dying:
		w.count("kill: in the middle of a write")
		l.sched.kill()
	case n == p.killStep:
		w.count("kill: at a step of the scheduler")
		w.history.note("killed at step %d", n)
		l.sched.kill()
	}
	if n == p.stopStep {
		w.count("stop: told to stop")
		l.stopped = true
		l.cancel(errStop)
	}
	if n == p.freezeStep {
		w.count("pause: the whole process")
		l.sched.now += int64(p.frozen)
		l.sched.limit += int64(p.frozen)
		l.injected++ // an epoch may be over its timeout by that
	}
	if n == p.rivalStep {
		w.count("start: a second process starts the job")
		l.sched.Go("rival", l.rival)
	}
}

// rival starts the job that runs already.
func (l *life) rival() {
	cfg := l.config()
	if err := millrace.Run(l.worldCtx, l.world.job.Build(), cfg); err != nil && strings.Contains(err.Error(), "already runs") {
		l.world.count("start: the second process is refused")
	}
}

// run lives a life. It returns how the run of the job ended, ErrKilled when the process died.
func (w *World) run(p plan) error {
	l := &life{world: w, plan: p, passes: map[string]int{}, calls: map[fsx.OpKind]int{}}
	l.sched = newScheduler(newRand(w.Seed, 100+uint64(len(w.lives))), w.history, w.now)
	l.sched.leave = p.leave
	l.sched.onStep = l.step
	if p.stall > 0 {
		l.sched.stall = l.stall
	}
	w.life = l
	disk := processDisk{FS: w.mem, locks: &l.locks}
	if w.job.FS != nil {
		disk.FS = w.job.FS(w.mem)
	}
	ctx := env.With(context.Background(), &env.Env{Sched: l.sched, FS: fsx.Inject(disk, l.operate), Fault: l.hit})
	l.worldCtx = ctx
	stop, cancel := context.WithCancelCause(ctx)
	l.cancel = cancel
	result := ErrKilled
	err := l.sched.run(func() {
		cfg := l.config()
		cfg.ObserveEvery = cmp.Or(p.observe, 20*time.Millisecond)
		cfg.Observe = w.observe
		job := w.job.Build()
		w.name = job.Name()
		e := millrace.Run(stop, job, cfg)
		if !l.sched.dead {
			result = e
		}
	})
	cancel(nil)
	w.now = l.sched.now
	w.steps += l.sched.steps
	w.life = nil
	for _, lock := range l.locks {
		_ = lock.Close() // most are open no more
	}
	w.history.note("life ends: %v", result != nil)
	switch {
	case w.failure != nil:
		return w.failure
	case err != nil:
		return err
	}
	return l.judge(result)
}

// errOff marks errors that a life may end with.
var errOff = errors.New("an error that was to be expected")

// judge tells the ends of a life that may be from those that may not.
func (l *life) judge(err error) error {
	w := l.world
	switch {
	case err == nil || errors.Is(err, ErrKilled) && l.sched.dead:
		return err
	case errors.Is(err, snapshot.ErrNoCheckpoint), errors.Is(err, snapshot.ErrDamaged):
		if !w.putBack() {
			return fmt.Errorf("nothing was damaged, and the job says: %w", err)
		}
		w.count("damage: refused, and put back")
		return fmt.Errorf("%w: %w", errOff, err)
	case l.stopped && errors.Is(err, errStop):
		w.count("stop: with a last checkpoint")
		return fmt.Errorf("%w: %w", errOff, err)
	case l.plan.rivalStep > 0 && errors.Is(err, fsx.ErrLocked):
		w.count("start: the first process is refused, since the second was first")
		return fmt.Errorf("%w: %w", errOff, err)
	case l.injected > 0 || l.plan.timeout > 0:
		w.count("a run ends with the injected error")
		return fmt.Errorf("%w: %w", errOff, err)
	}
	return fmt.Errorf("nothing went wrong, and the job says: %w", err)
}

// observe notes each status, and checks that what it says is decided would outlive a power loss.
func (w *World) observe(s millrace.Status) {
	w.last = s
	w.statuses++
	if s.Epoch == 0 || w.life == nil || w.life.sched.dead || len(w.damages) > 0 || w.checks.IntN(8) > 0 {
		return
	}
	if e, err := w.restorable(w.worst()); err != nil || e < s.Epoch {
		w.life.fail(fmt.Errorf("the job says that epoch %d is decided, and after a power loss the newest checkpoint would be %d: %w", s.Epoch, e, cmp.Or(err, errLost)))
	}
}

// errLost is what a decided epoch would be.
var errLost = errors.New("the epoch would be lost")
