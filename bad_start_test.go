package millrace_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
)

// panicky is a source and a sink that panics where it is told to.
type panicky struct {
	*memory.Source[reading]
	*memory.Sink[reading]
	at string
}

func (p panicky) Splits(ctx context.Context) ([]connect.Split, error) {
	boom(p.at == "splits")
	return p.Source.Splits(ctx)
}

func (p panicky) OpenCommitter(ctx context.Context, info connect.SinkInfo) (connect.Committer, error) {
	boom(p.at == "open committer")
	c, err := p.Sink.OpenCommitter(ctx, info)
	return panickyCommitter{c, p.at}, err
}

type panickyCommitter struct {
	connect.Committer
	at string
}

func (c panickyCommitter) Recover(ctx context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	boom(c.at == "recover")
	return c.Committer.Recover(ctx, epoch, committables)
}

func (c panickyCommitter) Commit(ctx context.Context, epoch uint64, committables [][]byte) error {
	boom(c.at == "commit")
	return c.Committer.Commit(ctx, epoch, committables)
}

func (c panickyCommitter) Close() error {
	boom(c.at == "close")
	return c.Committer.Close()
}

// TestPanicsOfConnectorsOutsideTasks: what a source or sink does for the whole job, not for a task, may panic too. Run returns it
// and does not take its caller along.
func TestPanicsOfConnectorsOutsideTasks(t *testing.T) {
	for _, c := range []struct{ at, operator string }{
		{"splits", "in"}, {"open committer", "out"}, {"recover", "out"}, {"commit", "out"}, {"close", ""},
	} {
		t.Run(c.at, func(t *testing.T) {
			noLeaks(t)
			p := panicky{memory.Of(reading{Key: "a", N: 1}), memory.NewSink[reading](), c.at}
			job := millrace.NewJob("job")
			job.From("in", p).To("out", p)
			err := millrace.Run(context.Background(), job, small(t.TempDir()))
			var pe *millrace.PanicError
			if !errors.As(err, &pe) || pe.Value != "boom" || !strings.Contains(string(pe.Stack), "boom(") {
				t.Fatalf("got %v, want the panic with its stack", err)
			}
			var oe *millrace.OperatorError
			if c.operator != "" && (!errors.As(err, &oe) || oe.Operator != c.operator) {
				t.Errorf("got %v, want it to name the operator %q", err, c.operator)
			}
		})
	}
}
