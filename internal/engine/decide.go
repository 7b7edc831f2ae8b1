package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// publication is the manifest of an epoch on its way to storage.
type publication struct {
	manifest *snapshot.Manifest
}

// publish writes the manifest of the epoch in flight beside the coordinator.
func (a *attempt) publish(f epoch.Publish) {
	m, err := a.newManifest(f)
	p := &publication{manifest: m}
	if err == nil {
		err := a.overBudget(m)
		if err == nil {
			err = a.checkLedger(m)
		}
		if err != nil {
			a.fail(err)
			return
		}
	}
	if err != nil {
		a.mail.post(mail{published: p, err: err})
		return
	}
	retired := a.retired
	a.retired = nil // only one may wait for it, and once
	a.group.Go("publish", func() {
		if retired != nil {
			retired.Wait(task.Forever)
		}
		a.mail.post(mail{published: p, err: a.publishNow(m)})
	})
}

// publishNow returns nil when the manifest is on storage and an error when it certainly is not. When the attempt to write
// it ended in the unknown, storage is asked.
func (a *attempt) publishNow(m *snapshot.Manifest) error {
	err := a.store.Publish(m)
	if err == nil {
		return nil
	}
	newest, _, lookup := a.store.Newest()
	switch {
	case lookup != nil:
		return &uncertainError{epoch: m.Epoch, err: errors.Join(err, lookup)}
	case newest != nil && newest.Epoch == m.Epoch && newest.Term == m.Term:
		a.cfg.Log.Warn("checkpoint was published in spite of an error", "epoch", m.Epoch, "error", err)
		return nil
	}
	return err
}

// uncertainError says that nobody knows whether an epoch is decided. Only a new start, which looks at what is on storage,
// can go on.
type uncertainError struct {
	epoch uint64
	err   error
}

func (e *uncertainError) Error() string {
	return fmt.Sprintf("it is not known whether checkpoint %d was published, and storage cannot be asked: %v", e.epoch, e.err)
}

func (e *uncertainError) Unwrap() error { return e.err }

// newManifest puts together what the tasks have said about the epoch.
func (a *attempt) newManifest(f epoch.Publish) (*snapshot.Manifest, error) {
	m := &snapshot.Manifest{
		Job: a.cfg.Job, Fingerprint: a.cfg.Graph.Fingerprint(a.cfg.Groups), Epoch: f.Epoch, Term: a.store.Term(),
		Parallelism: a.cfg.Parallelism, Groups: a.cfg.Groups, Finished: f.Finished,
		Created: a.env.Sched.Now().UTC().Format(time.RFC3339Nano), Restarts: a.restarts(),
	}
	at := map[string]int{}
	for _, n := range a.cfg.Graph.Nodes {
		at[n.ID] = len(m.Operators)
		m.Operators = append(m.Operators, snapshot.OperatorState{
			ID: n.ID, Kind: string(n.Kind), Types: n.Types, Counters: map[string]int64{}, Committables: a.carry[n.ID],
		})
	}
	var files []snapshot.FileInfo
	for _, t := range a.tasks {
		c := a.acks[t.id]
		if c.file != nil {
			files = append(files, *c.file)
		}
		for _, p := range c.pieces {
			o := &m.Operators[at[p.node.ID]]
			if p.State != nil {
				o.Subtasks = append(o.Subtasks, p.State)
			}
			if p.committable != nil {
				o.Committables = append(o.Committables, p.committable)
			}
			for k, v := range p.counters {
				o.Counters[k] += v
			}
			for _, f := range p.Frozen {
				if o.Schemas == nil {
					o.Schemas = map[string]snapshot.Schema{}
				}
				o.Schemas[f.State] = f.Schema()
			}
		}
	}
	if a.manifest != nil {
		m.From = a.manifest.From
	}
	m.Drained = f.Finished && a.draining
	a.noteReplays(m)
	m.Operators[0].Counters["epochs"] = a.decidedBefore + a.epochs + 1
	return m, snapshot.Extend(a.manifest, m, files)
}

// restarts counts the starts after the job's first one. Those of other processes that decided nothing have left no trace.
func (a *attempt) restarts() int {
	switch {
	case a.manifest == nil:
		return a.starts - 1
	case a.progressed:
		return a.manifest.Restarts
	}
	return a.manifest.Restarts + a.starts
}

func (a *attempt) published(p *publication, err error) {
	if _, ok := errors.AsType[*uncertainError](err); ok {
		a.fail(err)
		return
	}
	if err == nil {
		a.manifest = p.manifest
		a.progressed = true
		a.epochs++
		a.releases = a.held
		a.held = nil
		for _, t := range a.tasks {
			if c := a.acks[t.id]; c != nil {
				a.releases = append(a.releases, c.held()...)
			}
		}
		clear(a.carry)
		clear(a.acks)
		for _, t := range a.tasks {
			t.command(func() { t.ctl.completed = p.manifest.Epoch })
		}
	}
	a.step(epoch.Published{Epoch: p.manifest.Epoch, Err: err})
}

// commit makes the output of a decided epoch visible beside the coordinator.
func (a *attempt) commit(n uint64) {
	m, releases := a.manifest, a.releases
	a.releases = nil
	a.group.Go("commit", func() {
		err := a.commitWith(m)
		if err == nil {
			err = a.release(releases)
		}
		a.mail.post(mail{committed: n, err: err})
	})
}

// release lets sinks write what they have held. It is tried once: the checkpoint stands behind these records already.
func (a *attempt) release(all []held) error {
	if len(all) == 0 {
		return nil
	}
	if err := a.env.Hit("release.before"); err != nil {
		return err
	}
	for _, h := range all {
		if err := protect(func() error { return h.release(a.lasting) }); err != nil {
			return &OperatorError{
				Job: a.cfg.Job, Operator: h.node.ID, Subtask: h.subtask, File: h.node.File, Line: h.node.Line,
				Err: fmt.Errorf("%w: what the sink has not taken of the epoch is lost, since the job is at most once", err),
			}
		}
		if err := a.env.Hit("release.between"); err != nil {
			return err
		}
	}
	return a.env.Hit("release.after")
}

func (a *attempt) commitNow(ctx context.Context, m *snapshot.Manifest) error {
	if err := a.env.Hit("commit.before"); err != nil {
		return err
	}
	for _, n := range a.cfg.Graph.Nodes { // a fixed order
		c := a.commits[n.ID]
		st := m.Operator(n.ID)
		if c == nil || len(st.Committables) == 0 {
			continue
		}
		err := protect(func() error { return c.Commit(ctx, m.Epoch, st.Committables) })
		if err != nil {
			return &OperatorError{Job: a.cfg.Job, Operator: n.ID, File: n.File, Line: n.Line, Err: err}
		}
		if err := a.env.Hit("commit.between"); err != nil {
			return err
		}
	}
	return a.env.Hit("commit.after")
}

// retire removes what no kept checkpoint needs. It is not urgent and may fail, and it asks storage much: so it runs beside the
// coordinator, which could not trigger the next epoch meanwhile. The next publication waits for it.
func (a *attempt) retire(n uint64) {
	a.epochTime = a.env.Sched.Now().Sub(a.triggered)
	a.cfg.Log.Debug("epoch committed", "job", a.cfg.Job, "epoch", n, "took", a.epochTime)
	retired := a.env.Sched.NewEvent()
	a.retired = retired
	m, due := a.manifest, a.due(n)
	a.group.Go("retire", func() {
		defer retired.Set()
		for _, q := range due { // before its files can go
			a.save(q, m)
		}
		if _, err := a.store.Retire(a.cfg.Keep); err != nil {
			a.cfg.Log.Warn("old checkpoints could not be removed", "error", err)
		}
	})
}
