package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// lister finds the splits of sources and gives them to source tasks.
type lister struct {
	*attempt
	sources []*listed
}

// listed is one source.
type listed struct {
	node   int
	op     operator.Source // asked for splits only; never opened
	every  time.Duration
	next   time.Time
	busy   bool
	splits []connect.Split // found at the start, until they are assigned: those that have not ended come first
	live   int             // how many have not
	known  map[string]bool
	tasks  []*taskRun
	count  []int // splits given to each task
}

// list asks all sources for their splits, together with those that only the checkpoint knows: they have been read, or are
// missed when their task opens them.
func (l *lister) list(ctx context.Context) error {
	for i, n := range l.cfg.Graph.Nodes {
		spec := n.Op.(*operator.Spec)
		if spec.NewSource == nil {
			continue
		}
		s := &listed{node: i, op: spec.NewSource(), known: map[string]bool{}}
		s.every = s.op.DiscoverEvery()
		var splits []connect.Split
		err := protect(func() (err error) {
			splits, err = s.op.List(ctx)
			return err
		})
		if err == nil {
			l.warnOfUnseekable(n, splits)
			s.splits, s.live, err = l.withOld(n.ID, splits)
		}
		if err != nil {
			return &OperatorError{Job: l.cfg.Job, Operator: n.ID, File: n.File, Line: n.Line, Err: err}
		}
		l.sources = append(l.sources, s)
	}
	return nil
}

// subtasks returns how many subtasks the source can use. Splits that have ended need none: a subtask with nothing else would hold
// the restored watermark until it says that it is at its end.
func (l *lister) subtasks(node int) int {
	for _, s := range l.sources {
		if s.node == node && s.every <= 0 {
			return max(1, min(l.cfg.Parallelism, s.live))
		}
	}
	return l.cfg.Parallelism
}

// assign gives the listed splits to the tasks, in their order, so that each gets one that has not ended if there are enough.
func (l *lister) assign() {
	for _, s := range l.sources {
		for _, t := range l.tasks {
			if t.source != nil && t.ops[0].node == l.cfg.Graph.Nodes[s.node] {
				s.tasks = append(s.tasks, t)
			}
		}
		s.count = make([]int, len(s.tasks))
		for j, sp := range s.splits {
			l.bytesTotal += sp.Bytes
			s.known[sp.ID] = true
			t := j % len(s.tasks)
			s.count[t]++
			s.tasks[t].ctl.splits = append(s.tasks[t].ctl.splits, sp)
		}
		s.splits = nil
		s.next = l.env.Sched.Now().Add(s.every)
	}
}

// withOld adds the splits that are in the checkpoint and do not exist any more. It returns all by id, those that the checkpoint says
// have ended behind the others, and the number of the others.
func (l *lister) withOld(id string, splits []connect.Split) (all []connect.Split, live int, err error) {
	var st *snapshot.OperatorState
	if l.manifest != nil {
		st = l.manifest.Operator(id)
	}
	if st == nil {
		return splits, len(splits), nil
	}
	ended, err := operator.OldSplits(st.Subtasks)
	if err != nil {
		return nil, 0, err
	}
	exists := map[string]bool{}
	for _, sp := range splits {
		exists[sp.ID] = true
		if _, known := ended[sp.ID]; !known {
			l.cfg.Log.Info("new split since the checkpoint: it is read from its beginning", "source", id, "split", sp.ID)
		}
	}
	for o := range ended {
		if !exists[o] {
			splits = append(splits, connect.Split{ID: o})
		}
	}
	slices.SortFunc(splits, func(a, b connect.Split) int {
		switch {
		case ended[a.ID] == ended[b.ID]:
			return strings.Compare(a.ID, b.ID)
		case ended[a.ID]:
			return 1
		}
		return -1
	})
	for _, sp := range splits {
		if !ended[sp.ID] {
			live++
		}
	}
	return splits, live, nil
}

// poll looks for new splits of sources that are followed, beside the coordinator.
func (l *lister) poll(ctx context.Context) {
	now := l.env.Sched.Now()
	for i, s := range l.sources {
		if s.every <= 0 || s.busy || now.Before(s.next) || l.stopping || l.draining {
			continue
		}
		s.busy = true
		l.group.Go("list "+l.cfg.Graph.Nodes[s.node].ID, func() {
			var splits []connect.Split
			err := protect(func() (err error) {
				splits, err = s.op.List(ctx)
				return err
			})
			l.mail.post(mail{listed: &listing{node: i, splits: splits}, err: err})
		})
	}
}

// found gives new splits to the tasks that have the fewest.
func (l *lister) found(f *listing, err error) {
	s := l.sources[f.node]
	n := l.cfg.Graph.Nodes[s.node]
	s.busy = false
	s.next = l.env.Sched.Now().Add(s.every)
	if err != nil {
		l.fail(&OperatorError{Job: l.cfg.Job, Operator: n.ID, File: n.File, Line: n.Line, Err: fmt.Errorf("look for new splits: %w", err)})
		return
	}
	if l.draining {
		return
	}
	f.splits = slices.DeleteFunc(f.splits, func(sp connect.Split) bool { return s.known[sp.ID] })
	l.warnOfUnseekable(n, f.splits)
	for _, sp := range f.splits {
		s.known[sp.ID] = true
		l.bytesTotal += sp.Bytes
		least := 0
		for t := range s.tasks {
			if s.count[t] < s.count[least] {
				least = t
			}
		}
		s.count[least]++
		t := s.tasks[least]
		t.command(func() { t.ctl.splits = append(t.ctl.splits, sp) })
	}
}
