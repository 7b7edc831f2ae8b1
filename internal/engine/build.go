package engine

import (
	"context"
	"fmt"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/exchange"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/progress"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// build makes the tasks of all chains and joins them by edges. Nothing runs yet.
func (a *attempt) build(ctx context.Context, chains []graph.Chain) error {
	a.alignments = operator.Alignments{}
	perChain := make([][]*taskRun, len(chains))
	for i, ch := range chains {
		for sub := range ch.Parallelism {
			t := a.newTask(ctx, ch, sub)
			perChain[i] = append(perChain[i], t)
			a.tasks = append(a.tasks, t)
		}
	}
	// Edges are made by consumer, so that the number of an input is the same in every subtask.
	outputs := map[int]map[graph.Edge][][]*exchange.Edge{} // producer chain -> edge -> subtask -> targets
	producer := map[int]int{}
	for i, ch := range chains {
		for _, n := range ch.Nodes {
			producer[n] = i
		}
	}
	for i, ch := range chains {
		for _, e := range ch.Inputs {
			from := producer[e.From]
			if outputs[from] == nil {
				outputs[from] = map[graph.Edge][][]*exchange.Edge{}
			}
			outputs[from][e] = a.join(perChain[from], perChain[i], e)
		}
	}
	for i, ch := range chains {
		for sub, t := range perChain[i] {
			if err := a.wire(t, ch, func(e graph.Edge) []*exchange.Edge { return outputs[i][e][sub] }); err != nil {
				return err
			}
		}
	}
	return nil
}

// join makes the edges between the tasks of two chains: for each producer, its targets.
func (a *attempt) join(from, to []*taskRun, e graph.Edge) [][]*exchange.Edge {
	targets := make([][]*exchange.Edge, len(from))
	for i, p := range from {
		consumers := to
		if e.Mode == graph.Forward {
			consumers = to[i : i+1]
		}
		for _, c := range consumers {
			edge := exchange.NewEdge(a.cfg.Edge, p.waiter(), c.ev)
			targets[i] = append(targets[i], edge)
			p.edges = append(p.edges, edge)
			c.inputs = append(c.inputs, input{edge: edge, port: e.Port})
		}
	}
	return targets
}

// input is an edge into a task and the port of the head operator that it feeds.
type input struct {
	edge *exchange.Edge
	port int
}

// waiter is the task as its edges see it.
func (t *taskRun) waiter() *exchange.Waiter {
	if t.wait == nil {
		t.wait = &exchange.Waiter{Event: t.ev, Cancelled: t.cancelled.Load}
		if t.source != nil {
			t.wait.Blocked = t.source.Blocked
		}
	}
	return t.wait
}

func (a *attempt) newTask(ctx context.Context, ch graph.Chain, sub int) *taskRun {
	head := a.cfg.Graph.Nodes[ch.Nodes[0]]
	t := &taskRun{
		id: len(a.tasks), name: fmt.Sprintf("%s/%d", head.ID, sub), subtask: sub,
		attempt: a, ctx: ctx,
	}
	t.ev = &watched{a.env.Sched.NewEvent(), t}
	t.clock.Store(element.NoTime)
	if a.tier != nil {
		t.memory = a.tier.Task(t.Wake)
	}
	lo, hi := keyed.Range(sub, ch.Parallelism, a.cfg.Groups)
	for _, n := range ch.Nodes {
		node := a.cfg.Graph.Nodes[n]
		spec := node.Op.(*operator.Spec)
		o := &instance{node: node, counters: &operator.Counters{}}
		if spec.NewSource != nil {
			t.source = spec.NewSource()
			o.op = t.source
			t.source.Join(a.alignments, node.ID, t.Wake)
			o.counters.Watermark.Store(element.NoTime)
		} else {
			o.op = spec.New()
		}
		o.context = &operator.Context{
			Context: ctx, Job: a.cfg.Job, ID: node.ID, Subtask: sub, Parallelism: ch.Parallelism,
			Groups: a.cfg.Groups, Lo: lo, Hi: hi, Env: a.env, Log: a.cfg.Log, Counters: o.counters,
			Info:       a.sinkInfo(node.ID, sub, ch.Parallelism),
			Load:       func(string, snapshot.Visitor) error { return nil },
			LoadGroups: func(string, int, int, snapshot.Visitor) error { return nil },
			Task:       t,
			Memory:     t.memory,
			Origins:    a.origins[n],
			Errors:     spec.Errors,
		}
		if ticked, ok := o.op.(operator.Ticked); ok {
			t.ticked = append(t.ticked, ticking{ticked, len(t.ops)})
		}
		if limited, ok := o.op.(operator.Limited); ok {
			t.limited = append(t.limited, limited)
		}
		a.restoreInto(o, sub, lo, hi)
		t.ops = append(t.ops, o)
	}
	return t
}

func (a *attempt) sinkInfo(id string, sub, parallelism int) connect.SinkInfo {
	return connect.SinkInfo{
		Job: a.cfg.Job, Operator: id, Subtask: sub, Parallelism: parallelism, Term: a.store.Term(), Epoch: a.restored(),
		Delivery: a.cfg.Delivery,
	}
}

// migrator is a Visitor that is told how what it reads was written.
type migrator interface {
	From(old snapshot.Schema) error
}

// restoreInto tells an operator what the checkpoint says about it.
func (a *attempt) restoreInto(o *instance, sub, lo, hi int) {
	if a.manifest == nil {
		return
	}
	id := o.node.ID
	st := a.manifest.Operator(id)
	if st == nil {
		return
	}
	o.context.Old = st.Subtasks
	if sub == 0 { // totals are kept by the first subtask; the others count on from zero
		o.counters.Restore(st.Counters)
	}
	o.context.LoadGroups = func(state string, lo, hi int, v snapshot.Visitor) error {
		if from, ok := v.(migrator); ok && a.manifest.Has(id, state) {
			if err := from.From(st.Schema(state)); err != nil {
				return err
			}
		}
		return a.store.Read(a.manifest, id, state, lo, hi, v)
	}
	o.context.Load = func(state string, v snapshot.Visitor) error { return o.context.LoadGroups(state, lo, hi, v) }
}

// wire connects the operators of a task: inside the chain by direct call, to other tasks by edges.
func (a *attempt) wire(t *taskRun, ch graph.Chain, targets func(graph.Edge) []*exchange.Edge) error {
	place := map[int]int{}
	for i, n := range ch.Nodes {
		place[n] = i
	}
	type output struct {
		node int
		side string
	}
	receivers := map[output][]operator.Receiver{}
	add := func(from int, side string, r operator.Receiver) {
		o := output{from, side}
		receivers[o] = append(receivers[o], r)
	}
	for _, n := range ch.Nodes[1:] {
		in := a.cfg.Graph.Nodes[n].Inputs[0]
		i := place[n]
		add(in.Node, in.Side, &guard{t.ops[i].op.Input(in.Port), t, int32(i)})
	}
	for _, e := range ch.Outputs {
		add(e.From, e.Side, t.sender(a, e, targets(e)))
	}
	for i, n := range ch.Nodes {
		o := t.ops[i]
		o.context.Outputs = func(side string) operator.Receiver {
			switch rs := receivers[output{n, side}]; len(rs) {
			case 0:
				return operator.Void{}
			case 1:
				return rs[0]
			default:
				return operator.Tee(rs)
			}
		}
		if f, ok := o.op.(operator.Flusher); ok {
			t.flush = append(t.flush, f)
		}
	}
	if t.source != nil {
		return nil
	}
	edges := make([]*exchange.Edge, len(t.inputs))
	for i, in := range t.inputs {
		edges[i] = in.edge
		t.heads = append(t.heads, &guard{t.ops[0].op.Input(in.port), t, 0})
	}
	t.inbox = exchange.NewInbox(edges)
	t.clocks = progress.NewCombiner(len(edges))
	before := a.base // the last barrier that was passed: that of the restored epoch comes again, see begin
	if before > 0 {
		before--
	}
	var err error
	if a.cfg.Delivery == connect.AtLeastOnce { // the watermarks of the checkpoint are waited for all the same
		t.align, err = epoch.NewTracking(len(edges), before, a.base)
	} else {
		t.align, err = epoch.NewAlignment(len(edges), before)
	}
	return err
}

// oldState returns what the subtasks of a node put into the restored checkpoint.
func (a *attempt) oldState(node int) [][]byte {
	if a.manifest == nil {
		return nil
	}
	if st := a.manifest.Operator(a.cfg.Graph.Nodes[node].ID); st != nil {
		return st.Subtasks
	}
	return nil
}

// sender makes what passes the records of an output edge on.
func (t *taskRun) sender(a *attempt, e graph.Edge, edges []*exchange.Edge) operator.Receiver {
	if e.Mode == graph.Forward || e.Mode == graph.Rebalance && len(edges) == 1 {
		return operator.Forward{To: edges[0]}
	}
	senders := make([]operator.Sender, len(edges))
	for i, edge := range edges {
		senders[i] = edge
	}
	if e.Mode == graph.Rebalance {
		return operator.NewRebalance(senders)
	}
	spec := a.cfg.Graph.Nodes[e.To].Op.(*operator.Spec)
	var r operator.Receiver
	if spec.Combine != nil {
		r = spec.Combine(a.cfg.Groups, a.oldState(e.To), senders)
	} else {
		r = spec.Partition(e.Port, a.cfg.Groups, senders)
	}
	if f, ok := r.(operator.Flusher); ok {
		t.flush = append(t.flush, f)
	}
	// The key function belongs to the operator behind the exchange.
	t.exits = append(t.exits, a.cfg.Graph.Nodes[e.To])
	return &guard{r, t, int32(len(t.ops) + len(t.exits) - 1)}
}
