package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// cut is what a task contributes to an epoch: the state of its operators as it was at the barrier.
type cut struct {
	barrier element.Barrier
	task    *taskRun
	pieces  []cutPiece

	// file is set when keyed state has been written.
	file *snapshot.FileInfo
	// stateErr is a failure to write state: the epoch fails, the job may go on. sinkErr is a failure to make output
	// durable: what was written is lost, so the job cannot go on.
	stateErr, sinkErr error
}

// cutPiece is the part of one operator.
type cutPiece struct {
	operator.Cut
	node        *graph.Node
	counters    map[string]int64
	committable []byte
}

// held is output that a sink holds until its epoch is decided.
type held struct {
	node    *graph.Node
	subtask int
	release func(ctx context.Context) error
}

// held returns what the sinks of the task hold.
func (c *cut) held() []held {
	var out []held
	for i := range c.pieces {
		if p := &c.pieces[i]; p.Release != nil {
			out = append(out, held{p.node, c.task.subtask, p.Release})
		}
	}
	return out
}

// write makes a cut durable beside the task and tells the coordinator. The cuts of a task are written in their order, so
// that the output of an epoch that was given up is known when the next one is complete.
func (a *attempt) write(c *cut) {
	t := c.task
	t.writing.Lock()
	t.writing.queue = append(t.writing.queue, c)
	start := !t.writing.busy
	t.writing.busy = true
	t.writing.Unlock()
	if start {
		a.group.Go("write "+t.name, func() { a.writeAll(t) })
	}
}

func (a *attempt) writeAll(t *taskRun) {
	for {
		t.writing.Lock()
		if len(t.writing.queue) == 0 {
			t.writing.busy = false
			t.writing.Unlock()
			return
		}
		c := t.writing.queue[0]
		t.writing.queue = t.writing.queue[1:]
		t.writing.Unlock()
		a.writeOne(c)
		a.mail.post(mail{ack: c})
	}
}

func (a *attempt) writeOne(c *cut) {
	c.stateErr = protect(func() error { return a.writeState(c) })
	for i := range c.pieces {
		p := &c.pieces[i]
		for _, f := range p.Frozen {
			f.Release()
		}
		if p.Finish == nil {
			continue
		}
		err := protect(func() (err error) {
			p.committable, err = p.Finish(c.task.ctx)
			return err
		})
		if err != nil {
			c.sinkErr = errors.Join(c.sinkErr, &OperatorError{
				Job: a.cfg.Job, Operator: p.node.ID, Subtask: c.task.subtask, File: p.node.File, Line: p.node.Line,
				Err: fmt.Errorf("prepare epoch %d: %w", c.barrier.Epoch, err),
			})
		}
	}
}

// writeState writes the frozen keyed state of all operators of the task into one file, if there is anything to write.
func (a *attempt) writeState(c *cut) error {
	type named struct {
		operator string
		operator.NamedFrozen
	}
	var all []named
	for _, p := range c.pieces {
		for _, f := range p.Frozen {
			all = append(all, named{p.node.ID, f})
		}
	}
	slices.SortFunc(all, func(x, y named) int {
		return cmp.Or(cmp.Compare(x.operator, y.operator), cmp.Compare(x.State, y.State))
	})
	w := &lazyFile{create: func() (*snapshot.Writer, error) { return a.store.CreateFile(c.barrier.Epoch, c.task.id) }}
	for _, n := range all {
		if err := n.WriteTo(w); err != nil {
			return errors.Join(fmt.Errorf("write state of operator %q: %w", n.operator, err), w.abort())
		}
	}
	if w.Writer == nil {
		return nil
	}
	info, err := w.Finish()
	if err != nil {
		return err
	}
	c.file = &info
	return nil
}

// lazyFile makes the snapshot file when the first section comes: an epoch in which nothing changed writes none.
type lazyFile struct {
	*snapshot.Writer
	create func() (*snapshot.Writer, error)
}

func (l *lazyFile) Begin(s snapshot.Section) error {
	if l.Writer == nil {
		w, err := l.create()
		if err != nil {
			return err
		}
		l.Writer = w
	}
	return l.Writer.Begin(s)
}

func (l *lazyFile) abort() error {
	if l.Writer == nil {
		return nil
	}
	return l.Abort()
}
