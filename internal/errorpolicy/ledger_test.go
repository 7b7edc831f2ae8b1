package errorpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/task"
)

// faulty is an operator with a fault: its input is changed, or its counts.
type faulty struct {
	operator.Op
	c     *operator.Context
	fault func(c *operator.Context, b *element.Of[int64])
}

func (f *faulty) Open(c *operator.Context) error {
	f.c = c
	return f.Op.Open(c)
}

func (f *faulty) Input(port int) operator.Receiver { return &faultyInput{f.Op.Input(port), f} }

type faultyInput struct {
	operator.Receiver
	f *faulty
}

func (i *faultyInput) Process(b element.Batch) error {
	if in, ok := b.(*element.Of[int64]); ok && slices.Contains(in.Records, 42) {
		i.f.fault(i.f.c, in)
	}
	return i.Receiver.Process(b)
}

// TestI17LedgerFindsWhatGetsLost plants faults into operators: a record that is lost on its way, one that comes twice, one that an operator swallows. Each
// is found at the next epoch and named; in production it is told of, in tests the job fails. Without a fault the ledger balances.
func TestI17LedgerFindsWhatGetsLost(t *testing.T) {
	lose := func(_ *operator.Context, b *element.Of[int64]) {
		n := len(b.Records) - 1
		b.Records, b.Times = b.Records[:n], b.Times[:n]
		if len(b.Hashes) > n {
			b.Hashes = b.Hashes[:n]
		}
		for i := range b.Steps {
			b.Steps[i].At = min(b.Steps[i].At, int32(n))
		}
	}
	double := func(_ *operator.Context, b *element.Of[int64]) {
		n := len(b.Records) - 1
		b.Records, b.Times = append(b.Records, b.Records[n]), append(b.Times, b.Times[n])
		if len(b.Hashes) > n {
			b.Hashes = append(b.Hashes, b.Hashes[n])
		}
	}
	swallow := func(c *operator.Context, b *element.Of[int64]) {
		lose(c, b)
		c.Counters.In.Add(1)
	}
	for _, c := range []struct {
		at    string
		fault func(*operator.Context, *element.Of[int64])
		want  []string
	}{
		{"", nil, nil},
		{"mapped", lose, []string{`1 records more have been passed on to map "mapped" than it has taken`}},
		{"even", double, []string{`-1 records more have been passed on to filter "even" than it has taken`}},
		{"even", swallow, []string{`filter "even" has taken 1 records more than it has passed on, left out or holds`}},
		{"count", lose, []string{`1 records more have been passed on to process "count" than it has taken`}},
		{"count", swallow, []string{`process "count" has taken 1 records more than it has passed on, left out or holds`}},
		{"out", swallow, []string{`sink "out" has taken 1 records more than it has passed on, left out or holds`}},
		{"ids", lose, []string{`1 records more have been passed on to dedup "ids" than it has taken`}},
	} {
		for _, strict := range []bool{true, false} {
			numbers := make([]int64, 500)
			for i := range numbers {
				numbers[i] = int64(i)
			}
			out := memory.NewSink[int64]()
			job := millrace.NewJob("ledger")
			even := job.From("in", memory.Of(numbers...), millrace.EventTime(func(n int64) time.Time { return time.Unix(n, 0) })).
				Map(func(n int64) int64 { return n }).As("mapped").
				Filter(func(n int64) bool { return n%2 == 0 }).As("even")
			even.KeyBy(func(n int64) int64 { return n % 7 }).Process("count", func(p *millrace.Proc[int64, int64, int64], n int64) error {
				*p.State()++
				if n%3 == 0 {
					p.Emit(n)
				}
				return nil
			}).
				Dedup("ids", func(n int64) int64 { return n % 300 }, time.Hour).
				To("out", out)
			ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.NewMem(), Strict: strict, Plan: func(g *graph.Graph) error {
				for _, n := range g.Nodes {
					if n.ID == c.at {
						spec := n.Op.(*operator.Spec)
						makes := spec.New
						spec.New = func() operator.Op { return &faulty{Op: makes(), fault: c.fault} }
					}
				}
				return nil
			}})
			l := &log{}
			var status millrace.Status
			err := millrace.Run(ctx, job, millrace.Config{
				Log: l.logger(), Parallelism: 2, Checkpoint: millrace.CheckpointConfig{Interval: time.Hour, EveryRecords: 100, Dir: "/state"},
				Observe: func(s millrace.Status) { status = s },
			})
			what := fmt.Sprintf("%q, strict: %v", c.at, strict)
			if c.want == nil {
				if err != nil || status.Imbalance != "" || len(out.Records()) == 0 {
					t.Errorf("%s: %v, imbalance %q", what, err, status.Imbalance)
				}
				continue
			}
			var ie *millrace.ImbalanceError
			switch {
			case strict:
				if !errors.As(err, &ie) || ie.Epoch != 1 || !slices.Equal(ie.Where, c.want) {
					t.Errorf("%s: %v, want %q", what, err, c.want)
				}
			case err != nil || status.Imbalance == "":
				t.Errorf("%s: %v, imbalance %q", what, err, status.Imbalance)
			}
		}
	}
}
