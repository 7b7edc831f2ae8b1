package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// ErrStopped is what Run returns when the job was stopped through its Control.
var ErrStopped = errors.New("stopped")

// Control asks things of a running job. Its zero value is ready.
type Control struct {
	mu struct {
		sync.Mutex
		queue []*request
		state controlState
	}
}

type controlState uint8

const (
	controlWaits controlState = iota // no job has begun
	controlRuns
	controlOver
)

// request is something that is asked for. Dir is that of a savepoint; empty for none.
type request struct {
	stop, drain bool
	dir         string
	done        chan error // takes the answer without waiting
	// after is the last epoch that was triggered when the coordinator took the request: a later one answers it.
	after uint64
	// saved says that the savepoint is answered for, by err.
	saved bool
	err   error
}

// Savepoint lets the job write a savepoint and go on.
func (c *Control) Savepoint(ctx context.Context, dir string) error {
	if dir == "" {
		return errors.New("savepoint: the directory is empty: name one")
	}
	return c.ask(ctx, &request{dir: dir})
}

// Stop ends the job with a last checkpoint, and a savepoint of it if dir is not empty.
func (c *Control) Stop(ctx context.Context, dir string) error {
	return c.ask(ctx, &request{stop: true, dir: dir})
}

// Drain ends the input of the job where it is.
func (c *Control) Drain(ctx context.Context) error { return c.ask(ctx, &request{drain: true}) }

var errOver = errors.New("the job has ended")

func (c *Control) ask(ctx context.Context, q *request) error {
	q.done = make(chan error, 1)
	c.mu.Lock()
	if c.mu.state == controlOver {
		c.mu.Unlock()
		return errOver
	}
	c.mu.queue = append(c.mu.queue, q)
	c.mu.Unlock()
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin takes the control into use.
func (c *Control) begin() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.state != controlWaits {
		return errors.New("the Control is, or was, that of another run: give each run one of its own")
	}
	c.mu.state = controlRuns
	return nil
}

// end answers all that nobody will.
func (c *Control) end() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.state = controlOver
	for _, q := range c.mu.queue {
		q.done <- errOver
	}
	c.mu.queue = nil
}

func (c *Control) take() []*request {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.mu.queue
	c.mu.queue = nil
	return q
}

// control takes what is asked of the job, and asks for the epochs that it needs.
func (a *attempt) control() {
	for _, q := range a.cfg.Control.take() {
		q.after = a.coord.Epoch()
		a.requests = append(a.requests, q)
		if q.stop {
			a.stopAsked = true
		}
		if q.drain && !a.draining {
			a.draining = true
			for _, t := range a.tasks {
				if t.source != nil {
					t.command(func() { t.ctl.drain = true })
				}
			}
		}
	}
	for _, q := range a.requests {
		if q.dir != "" && !q.saved && a.coord.Phase() == epoch.Idle { // also when the epoch before has failed
			a.step(epoch.Request{Now: a.now()})
			return
		}
	}
}

// due returns the requests for a savepoint that an epoch answers.
func (a *attempt) due(n uint64) (due []*request) {
	for _, q := range a.requests {
		if q.dir != "" && !q.saved && n > q.after {
			q.saved = true
			due = append(due, q)
		}
	}
	return due
}

// save writes a savepoint, beside the coordinator.
func (a *attempt) save(q *request, m *snapshot.Manifest) {
	q.err = a.store.WriteSavepoint(a.env.FS, q.dir, m)
	if q.err == nil {
		a.cfg.Log.Info("savepoint complete", "job", a.cfg.Job, "epoch", m.Epoch, "dir", q.dir)
	}
	if !q.stop {
		q.done <- q.err
	}
}

// answer tells those who wait how the attempt has ended. Nothing of it runs any more.
func (a *attempt) answer(err error) {
	for _, q := range a.requests {
		switch {
		case q.dir != "" && !q.stop && q.saved: // told already
		case q.dir != "" && !q.saved:
			q.done <- errors.Join(fmt.Errorf("the job ended before there was a savepoint in %s", q.dir), err)
		case q.stop && a.outcome == epoch.Stopped, q.drain && a.outcome == epoch.Finished, q.stop && a.outcome == epoch.Finished:
			q.done <- q.err
		default:
			q.done <- errors.Join(errors.New("the job failed before it had ended as asked for"), err)
		}
	}
	a.requests = nil
}

// begins from a savepoint, where the job has not done so already. Own is the newest checkpoint of its own, nil if there is none.
func (a *attempt) fromSavepoint(own *snapshot.Manifest) (*snapshot.Manifest, error) {
	dir, again := a.cfg.From, a.cfg.FromAgain && !a.cameFrom
	m, err := snapshot.ReadSavepoint(a.env.FS, dir)
	if own != nil && !again && own.From != nil && (err == nil && own.From.Same(m.Ref(dir)) || err != nil && own.From.Dir == snapshot.CleanDir(dir)) {
		a.cfg.Log.Info("the job has come from the savepoint already", "job", a.cfg.Job, "savepoint", dir)
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case m.Finished:
		return nil, fmt.Errorf("the savepoint in %s is of a job that has come to its end: there is nothing to go on with", dir)
	case own != nil && !again:
		return nil, fmt.Errorf("job %q has checkpoint %d of its own in %s, which does not come from the savepoint in %s: start it without From to go on from that; or give it "+
			"another name or directory, to begin at the savepoint beside it; or, with FromAgain, go back to the savepoint: %s",
			a.cfg.Job, own.Epoch, a.cfg.Dir, dir, a.repeats(own, m))
	case own != nil && m.Job != a.cfg.Job:
		return nil, fmt.Errorf("job %q has checkpoint %d of its own in %s, and the savepoint in %s is of job %q: what its sinks have shown cannot be brought into line with "+
			"that; give the new job a name or directory of its own", a.cfg.Job, own.Epoch, a.cfg.Dir, dir, m.Job)
	case own != nil && a.neverTwice():
		return nil, fmt.Errorf("to go back to the savepoint in %s would write output again, which job %q, being at most once, must not: let it be at least once for this start", dir, a.cfg.Job)
	}
	of := m.Job
	m.Job = a.cfg.Job // a fork goes on under its own name
	err = a.compatible(m)
	m.Job = of
	if err != nil {
		return nil, fmt.Errorf("start from the savepoint in %s: %w", dir, err)
	}
	next, err := a.store.Import(a.env.FS, dir, m)
	if err != nil {
		return nil, err
	}
	a.cameFrom = true
	if own != nil {
		a.cfg.Log.Warn("going back to a savepoint", "job", a.cfg.Job, "savepoint", dir, "from", own.Epoch, "to", m.Epoch, "repeats", a.repeats(own, m))
	}
	a.cfg.Log.Info("starting from a savepoint", "job", a.cfg.Job, "savepoint", dir, "of", of, "epoch", m.Epoch)
	return next, nil
}

// repeats says what comes again when the job goes back from its own checkpoint to that of a savepoint.
func (a *attempt) repeats(own, to *snapshot.Manifest) string {
	var parts []string
	for _, n := range a.cfg.Graph.Nodes {
		spec := n.Op.(*operator.Spec)
		switch {
		case n.Kind == graph.KindSource:
			now, then := own.Operator(n.ID), to.Operator(n.ID)
			if now == nil || then == nil {
				parts = append(parts, fmt.Sprintf("source %q begins anew", n.ID))
			} else {
				parts = append(parts, fmt.Sprintf("%d records of source %q are read again", now.Counters["in"]-then.Counters["in"], n.ID))
			}
		case n.Kind != graph.KindSink:
		case spec.Guarantee == connect.ExactlyOnce:
			parts = append(parts, fmt.Sprintf("sink %q withdraws what it has shown since", n.ID))
		default:
			parts = append(parts, fmt.Sprintf("sink %q, which writes through, shows again what it has shown since", n.ID))
		}
	}
	return strings.Join(parts, ", ")
}

// imported reports whether the newest checkpoint is one that was taken over and not gone on from.
func (a *attempt) imported() bool { return a.manifest != nil && a.manifest.Imported }

// shown returns the epoch behind which sinks must withdraw what they have shown.
func (a *attempt) shownEpoch() uint64 {
	if m := a.manifest; m != nil && m.Imported && m.From.Job == a.cfg.Job {
		return m.From.Epoch
	}
	return a.base
}
