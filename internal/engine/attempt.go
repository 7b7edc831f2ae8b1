package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// attempt is one start of a job: from the restore of a checkpoint to the end or the first failure. Its methods are called
// by the goroutine of Run, which is the coordinator, except for those that write.
type attempt struct {
	*runner
	mail  *mailbox
	group *task.Group
	tasks []*taskRun

	manifest *snapshot.Manifest // restored or last published
	base     uint64             // the restored epoch
	began    *snapshot.Manifest // restored; nil at a first start
	// letters are the dead letters to handle again.
	letters []operator.DeadLetter
	// imbalance says what the ledger does not account for.
	imbalance string
	// decidedBefore counts the epochs decided before this attempt.
	decidedBefore int64
	coord         *epoch.Coordinator
	commits       map[string]connect.Committer // by sink id
	// commitWith commits the output of a manifest.
	commitWith func(*snapshot.Manifest) error
	// lasting is the context of Run without its end.
	lasting context.Context //nolint:containedctx // it is that of the whole attempt
	// acks holds the cuts of the epoch in flight; carry the committables of epochs that were given up, by sink id.
	acks  map[int]*cut
	carry map[string][][]byte
	// held is what sinks have held for epochs that were given up, and releases what they hold of the epoch that is decided, in the order in
	// which they were given it.
	held, releases []held

	// retired is set when the old checkpoints of the last epoch are removed; nil when nobody need wait for that.
	retired task.Event

	triggered time.Time
	epochTime time.Duration
	epochs    int64
	failed    int64
	// progressed says that this attempt has decided an epoch.
	progressed bool
	stopping   bool
	// requests are those of the Control that are not answered; stopAsked and draining say that one of them was to stop, or to drain.
	requests            []*request
	stopAsked, draining bool
	stopBy              time.Time
	outcome             epoch.Outcome
	failure             error
	lister              *lister
	// alignments are those of the source tasks.
	alignments operator.Alignments
	reported   time.Time
	bytesTotal int64
	// warnings say which sources and sinks promise less than the job.
	warnings []string
	// origins says of each node whether it has to tell where its records come from.
	origins  []bool
	inBefore int64
	dog      watchdog
	// tier is the disk behind keyed state, nil when all is kept in memory.
	tier *stateTier
}

// restored returns the epoch that this attempt began with; 0 at a first start.
func (a *attempt) restored() uint64 { return a.base }

// run is the attempt. The summary is filled in also when it fails.
func (a *attempt) run(ctx context.Context) (Summary, error) {
	if err := a.restore(); err != nil {
		return Summary{}, err
	}
	taskCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := a.openCommitters(taskCtx); err != nil {
		return a.summary(), errors.Join(err, a.closeCommitters())
	}
	if a.toReplay() {
		a.letters = a.cfg.Replay
	} else if len(a.cfg.Replay) > 0 {
		a.cfg.Log.Info("these dead letters have been handled again already", "job", a.cfg.Job, "letters", len(a.cfg.Replay))
	}
	if a.manifest != nil && a.manifest.Finished && len(a.letters) == 0 {
		if a.manifest.Drained {
			a.cfg.Log.Info("job was drained: all its windows have fired, there is nothing to go on with", "job", a.cfg.Job, "epoch", a.base)
		} else {
			a.cfg.Log.Info("job has finished already: nothing to do", "job", a.cfg.Job, "epoch", a.base,
				"hint", "to run it again, give it another checkpoint directory and other outputs")
		}
		a.outcome = epoch.Finished
		return a.summary(), a.closeCommitters()
	}
	// What is decided must be committed: neither the end of the attempt nor a stop may cut a commit short.
	a.lasting = context.WithoutCancel(ctx)
	a.commitWith = func(m *snapshot.Manifest) error { return a.commitNow(a.lasting, m) }
	err := a.openTier()
	if err == nil {
		err = a.start(taskCtx)
	}
	if err == nil {
		a.loop(ctx, taskCtx)
		err = a.failure
	}
	for _, t := range a.tasks {
		t.cancelled.Store(true)
		t.ev.Set()
	}
	cancel()
	if err := a.await(err); a.group.Running() > 0 {
		a.answer(err)
		return a.summary(), err // what still runs may use all that is left open
	}
	a.takeErrors(&err)
	if err == nil && a.env.Strict && !a.imported() {
		err = a.auditSinks()
	}
	err = errors.Join(err, a.closeCommitters())
	a.answer(err)
	if err == nil && a.outcome == epoch.Stopped {
		if err = context.Cause(ctx); err == nil {
			err = ErrStopped
		}
	}
	sum := a.summary()
	return sum, errors.Join(err, a.closeTier())
}

// takeErrors adds what tasks reported while they were being ended.
func (a *attempt) takeErrors(err *error) {
	for _, l := range a.mail.take() {
		if l.err != nil && *err == nil {
			*err = l.err
		}
	}
}

// restore looks up the newest checkpoint and checks that it is one of this job.
func (a *attempt) restore() error {
	m, notes, err := a.store.Newest()
	for _, n := range notes {
		a.cfg.Log.Warn("checkpoint storage", "job", a.cfg.Job, "note", n.String())
	}
	if err != nil {
		return err
	}
	if removed, err := a.store.Clean(); err != nil {
		a.cfg.Log.Warn("leftovers in the checkpoint directory could not be removed", "error", err)
	} else if len(removed) > 0 {
		a.cfg.Log.Info("removed leftovers of an earlier run", "files", len(removed))
	}
	a.carry = map[string][][]byte{}
	a.acks = map[int]*cut{}
	if a.cfg.From != "" {
		if m, err = a.fromSavepoint(m); err != nil {
			return err
		}
	}
	if m == nil {
		a.cfg.Log.Info("starting from the beginning: there is no checkpoint", "job", a.cfg.Job, "dir", a.cfg.Dir, "parallelism", a.cfg.Parallelism)
		return nil
	}
	a.manifest, a.began, a.base = m, m, m.Epoch
	if len(m.Operators) > 0 {
		a.decidedBefore = m.Operators[0].Counters["epochs"]
	}
	if err := errors.Join(a.compatible(m), a.neverAgain(m)); err != nil {
		return err
	}
	a.adopt(m)
	a.cfg.Log.Info("going on from checkpoint", "job", a.cfg.Job, "epoch", m.Epoch, "parallelism", m.Parallelism, "now", a.cfg.Parallelism)
	return nil
}

// compatible compares the job with the checkpoint.
func (a *attempt) compatible(m *snapshot.Manifest) error {
	if m.Job != a.cfg.Job {
		return fmt.Errorf("the checkpoint in %s is of job %q, not %q: give this job a directory of its own", a.cfg.Dir, m.Job, a.cfg.Job)
	}
	err := Refused(PlanRestore(a.cfg.Graph, a.cfg.Groups, m, a.cfg.Drop))
	switch {
	case err == nil:
		return nil
	case m.Groups != a.cfg.Groups:
		return err
	}
	return fmt.Errorf("job %q has changed since its checkpoint %d and cannot go on from it:\n%w", a.cfg.Job, m.Epoch, err)
}

// adopt takes a checkpoint over as far as the job can, and says what becomes of the rest.
func (a *attempt) adopt(m *snapshot.Manifest) {
	steps := PlanRestore(a.cfg.Graph, a.cfg.Groups, m, a.cfg.Drop)
	for _, s := range steps {
		log := a.cfg.Log.Info
		if s.Loses {
			log = a.cfg.Log.Warn
		}
		switch s.Action {
		case PlanMigrate:
			log("state is migrated", "job", a.cfg.Job, "operator", s.Operator, "state", s.State, "change", s.Text)
		case PlanDrop:
			log("state is dropped", "job", a.cfg.Job, "operator", s.Operator, "state", s.State, "why", s.Text)
		}
	}
	a.manifest = without(m, steps)
}

func stateless(o *snapshot.OperatorState) bool {
	return len(o.Committables) == 0 && !slices.ContainsFunc(o.Subtasks, func(b []byte) bool { return len(b) > 0 })
}

// openCommitters opens the sinks' committers and brings what they show into line with the checkpoint.
func (a *attempt) openCommitters(ctx context.Context) error {
	a.warnOfGuarantees()
	a.commits = map[string]connect.Committer{}
	for _, n := range a.cfg.Graph.Nodes {
		spec := n.Op.(*operator.Spec)
		if spec.Commit == nil {
			continue
		}
		wrap := func(err error) error {
			return &OperatorError{Job: a.cfg.Job, Operator: n.ID, File: n.File, Line: n.Line, Err: err}
		}
		var c connect.Committer
		err := protect(func() (err error) {
			c, err = spec.Commit(ctx, a.sinkInfo(n.ID, 0, a.cfg.Parallelism))
			return err
		})
		if err != nil {
			return wrap(fmt.Errorf("open committer: %w", err))
		}
		if c == nil {
			continue
		}
		a.commits[n.ID] = c
		var committables [][]byte
		if a.manifest != nil {
			if st := a.manifest.Operator(n.ID); st != nil {
				committables = st.Committables
			}
		}
		if err := a.env.Hit("recover.before"); err != nil {
			return wrap(err)
		}
		var notes []string
		err = protect(func() (err error) {
			notes, err = c.Recover(ctx, a.shownEpoch(), committables)
			return err
		})
		for _, note := range notes {
			a.cfg.Log.Warn("sink output", "sink", n.ID, "note", note)
		}
		if err != nil {
			return wrap(fmt.Errorf("recover output of epoch %d: %w", a.base, err))
		}
		if err := a.env.Hit("recover.after"); err != nil {
			return wrap(err)
		}
	}
	return nil
}

func (a *attempt) closeCommitters() error {
	var errs []error
	for _, c := range a.commits {
		errs = append(errs, protect(c.Close))
	}
	return errors.Join(errs...)
}

// start makes and starts the tasks.
func (a *attempt) start(ctx context.Context) error {
	a.lister = &lister{attempt: a}
	if err := a.lister.list(ctx); err != nil {
		return err
	}
	a.spread()
	a.origins = a.cfg.Graph.Origins()
	chains, err := graph.Plan(a.cfg.Graph, a.cfg.Parallelism)
	if err != nil {
		return err
	}
	if err := a.build(ctx, chains); err != nil {
		return err
	}
	a.lister.assign()
	var sources []int
	for _, t := range a.tasks {
		if t.source != nil {
			sources = append(sources, t.id)
		}
	}
	a.coord, err = epoch.NewCoordinator(epoch.Config{
		Tasks: len(a.tasks), Sources: sources, Interval: a.cfg.Interval, Timeout: a.cfg.Timeout, Tolerate: a.cfg.Tolerate,
	})
	if err != nil {
		return err
	}
	if a.base > 0 {
		a.step(epoch.Restored{Epoch: a.base})
		a.resumed = true
	}
	a.inBefore = a.status().In
	for _, t := range a.tasks {
		a.group.Go(t.name, t.run)
	}
	return nil
}

func (a *attempt) now() int64 { return a.env.Sched.Now().UnixNano() }

// tick is how often the coordinator looks at the clock and whether it is to stop.
const tick = 10 * time.Millisecond

// loop handles what happens until the job is done or has failed. When stop is done it asks for a last epoch.
func (a *attempt) loop(stop, ctx context.Context) {
	for a.failure == nil && a.outcome == 0 {
		for _, l := range a.mail.take() {
			a.handle(ctx, l)
		}
		if a.failure != nil || a.outcome != 0 {
			return
		}
		a.step(epoch.Tick{Now: a.now()})
		a.lister.poll(ctx)
		a.control()
		if a.failure != nil || a.outcome != 0 {
			return
		}
		if (stop.Err() != nil || a.stopAsked) && !a.stopping {
			a.stopping = true
			a.stopBy = a.env.Sched.Now().Add(a.cfg.StopTimeout)
			a.step(epoch.StopRequested{Now: a.now()})
		}
		if a.stopping && a.env.Sched.Now().After(a.stopBy) {
			a.fail(fmt.Errorf("the last epoch was not complete within the stop timeout of %v: what was read since epoch %d will be read again", a.cfg.StopTimeout, a.lastEpoch()))
			return
		}
		a.watch()
		if a.failure != nil {
			return
		}
		a.report()
		a.mail.ev.Wait(a.untilDue())
	}
}

// untilDue returns how long the coordinator may wait: until the next epoch is due, and no longer than a tick.
func (a *attempt) untilDue() time.Duration {
	if due := a.triggered.Add(a.cfg.Interval).Sub(a.env.Sched.Now()); due > 0 && a.cfg.Interval > 0 && a.coord.Phase() == epoch.Idle {
		return min(due, tick)
	}
	return tick
}

func (a *attempt) lastEpoch() uint64 {
	if a.manifest == nil {
		return 0
	}
	return a.manifest.Epoch
}

func (a *attempt) fail(err error) {
	if a.failure == nil {
		a.failure = err
	}
}

func (a *attempt) handle(ctx context.Context, l mail) {
	switch {
	case l.ack != nil:
		a.acked(l.ack)
	case l.drained != nil:
		a.step(epoch.SourceDrained{Task: l.drained.id})
	case l.taskEnded != nil:
		if l.err == nil {
			l.err = fmt.Errorf("engine: task %s ended by itself", l.taskEnded.name)
		}
		a.fail(l.err)
	case l.request:
		a.step(epoch.Request{Now: a.now()})
	case l.published != nil:
		a.published(l.published, l.err)
	case l.committed > 0:
		a.step(epoch.Committed{Epoch: l.committed, Err: l.err})
	case l.listed != nil:
		a.lister.found(l.listed, l.err)
	}
}

// step tells the coordinator what happened and does what it says.
func (a *attempt) step(e epoch.Event) {
	for _, effect := range a.coord.Step(e) {
		switch f := effect.(type) {
		case epoch.Trigger:
			a.trigger(f)
		case epoch.Publish:
			a.publish(f)
		case epoch.Commit:
			a.commit(f.Epoch)
		case epoch.Retire:
			a.retire(f.Epoch)
		case epoch.Abort:
			a.abort(f)
		case epoch.Fail:
			err := f.Err
			if f.Retry {
				err = connect.Retryable(err)
			}
			a.fail(err)
		case epoch.Done:
			a.outcome = f.Outcome
		}
	}
}

func (a *attempt) trigger(f epoch.Trigger) {
	a.triggered = a.env.Sched.Now()
	clear(a.acks)
	for _, t := range a.tasks {
		if t.source != nil {
			t.command(func() { t.ctl.trigger = &element.Barrier{Epoch: f.Epoch, Final: f.Final} })
		}
	}
}

// acked takes the cut of one task.
func (a *attempt) acked(c *cut) {
	n := c.barrier.Epoch
	if c.sinkErr != nil {
		a.fail(c.sinkErr)
		return
	}
	if n != a.coord.Epoch() || a.coord.Phase() != epoch.Collecting || c.stateErr != nil {
		a.keepCommittables(c)
	} else {
		a.acks[c.task.id] = c
	}
	if c.stateErr != nil {
		a.step(epoch.TaskFailed{Task: c.task.id, Epoch: n, Err: c.stateErr})
		return
	}
	a.step(epoch.TaskAck{Task: c.task.id, Epoch: n})
}

// keepCommittables saves the output that sinks have prepared for an epoch that was given up: it becomes part of the next.
func (a *attempt) keepCommittables(c *cut) {
	for _, p := range c.pieces {
		if p.committable != nil {
			a.carry[p.node.ID] = append(a.carry[p.node.ID], p.committable)
		}
	}
	a.held = append(a.held, c.held()...)
}

func (a *attempt) abort(f epoch.Abort) {
	a.failed++
	for _, t := range a.tasks { // in the order of tasks, so that the carried output is the same in every run
		t.command(func() { t.ctl.aborted = f.Epoch })
		if c := a.acks[t.id]; c != nil {
			a.keepCommittables(c)
		}
	}
	clear(a.acks)
	a.cfg.Log.Warn("epoch failed, the next one will hold what it held", "job", a.cfg.Job, "epoch", f.Epoch, "error", f.Reason)
}

// report tells the observer how far the job is.
func (a *attempt) report() {
	if a.cfg.Report == nil {
		return
	}
	if now := a.env.Sched.Now(); now.Sub(a.reported) >= a.cfg.ReportEvery {
		a.reported = now
		a.cfg.Report(a.status())
	}
}
