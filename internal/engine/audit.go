package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// SinkAudit compares what the ledger says of a sink with what is committed.
type SinkAudit struct {
	// Sink is its id.
	Sink string
	// Ledger is how many records the job has given to it, up to its newest checkpoint. Committed is how many a reader sees.
	Ledger, Committed int64
	// Unknown says why the two cannot be compared; empty when they can.
	Unknown string
}

// Balanced reports whether all that was given to the sink is committed, once; or that it cannot be known.
func (s SinkAudit) Balanced() bool { return s.Unknown != "" || s.Ledger == s.Committed }

// auditSink compares one sink.
func auditSink(ctx context.Context, m *snapshot.Manifest, n *graph.Node, delivery connect.Guarantee, c connect.Committer) (SinkAudit, error) {
	s := SinkAudit{Sink: n.ID, Ledger: counters(m, n.ID)["out"]}
	counts, ok := c.(connect.Counter)
	switch spec := n.Op.(*operator.Spec); {
	case spec.Guarantee != connect.ExactlyOnce || delivery == connect.AtLeastOnce:
		s.Unknown = "it is not exactly once: records may have come twice"
	case !ok:
		s.Unknown = "it cannot count what it has committed"
	case m.From != nil && m.From.Job != m.Job:
		s.Unknown = "the job began as a fork of job " + m.From.Job + ", to whose sink it has written before"
	default:
		var err error
		if s.Committed, err = counts.Count(ctx); err != nil {
			return s, fmt.Errorf("audit of sink %q: %w", n.ID, err)
		}
	}
	return s, nil
}

// auditSinks compares all sinks of the attempt, after the last epoch. It is for tests: it reads all output.
func (a *attempt) auditSinks() error {
	if a.manifest == nil {
		return nil
	}
	var errs []error
	for _, n := range a.cfg.Graph.Nodes {
		c := a.commits[n.ID]
		if c == nil {
			continue
		}
		s, err := auditSink(a.lasting, a.manifest, n, a.cfg.Delivery, c)
		if err == nil && !s.Balanced() {
			err = fmt.Errorf("sink %q has committed %d records, and the ledger of epoch %d says %d", s.Sink, s.Committed, a.manifest.Epoch, s.Ledger)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Audit compares the ledger in the newest checkpoint of a job that does not run with what its sinks have committed. It changes nothing.
func Audit(ctx context.Context, cfg Config) (epoch uint64, sinks []SinkAudit, err error) {
	e := env.From(ctx)
	if cfg.Dir == "" {
		return 0, nil, errors.New("audit: Checkpoint.Dir is empty: without checkpoints there is no ledger to compare with")
	}
	store, err := openStore(e, cfg)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	m, notes, err := store.Newest()
	for _, n := range notes {
		cfg.Log.Warn("checkpoint storage", "job", cfg.Job, "note", n.String())
	}
	if err != nil {
		return 0, nil, err
	}
	if m == nil {
		return 0, nil, fmt.Errorf("audit: there is no checkpoint of job %q in %s", cfg.Job, cfg.Dir)
	}
	a := &attempt{runner: &runner{cfg: cfg, env: e, store: store}}
	if err := a.compatible(m); err != nil {
		return m.Epoch, nil, err
	}
	for _, n := range cfg.Graph.Nodes {
		if n.Kind != graph.KindSink {
			continue
		}
		s := SinkAudit{Sink: n.ID, Ledger: counters(m, n.ID)["out"], Unknown: "it commits nothing: it writes through"}
		c, err := n.Op.(*operator.Spec).Commit(ctx, connect.SinkInfo{
			Job: cfg.Job, Operator: n.ID, Parallelism: cfg.Parallelism, Term: store.Term(), Epoch: m.Epoch, Delivery: cfg.Delivery,
		})
		if err == nil && c != nil {
			s, err = auditSink(ctx, m, n, cfg.Delivery, c)
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			return m.Epoch, sinks, err
		}
		sinks = append(sinks, s)
	}
	return m.Epoch, sinks, nil
}
