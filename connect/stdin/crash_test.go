package stdin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/connect/stdin"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// upstream hands lines out once, one with each Read, to whichever process reads now.
type upstream struct {
	mu    sync.Mutex
	lines []string
	given int
}

// life is a process: from its death on it reads and changes nothing.
type life struct {
	*upstream
	mu      sync.Mutex
	point   string
	pass    int
	dead    bool
	decided int
	// most is how many lines there are while this process lives; the others come when over is closed.
	most int
	over chan struct{}
}

var errDead = errors.New("the process is dead")

func (l *life) Read(p []byte) (int, error) {
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	u := l.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	for l.most > 0 && u.given == l.most && !dead {
		u.mu.Unlock()
		<-l.over
		u.mu.Lock()
		dead = true
	}
	if dead || u.given == len(u.lines) {
		return 0, io.EOF
	}
	n := copy(p, u.lines[u.given])
	u.given++
	return n, nil
}

func (l *life) hit(point string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if point == l.point {
		l.pass--
		l.dead = l.dead || l.pass == 0
	}
	if l.dead {
		return errDead
	}
	if point == snapshot.PointPublished {
		l.decided++
	}
	return nil
}

// TestKilledReaderLosesTheLastEpochOnly kills a job that reads a pipe. The oracle is plain: out come the lines of the decided epochs, and those
// that a process reads that lives on; what the dead one had read beside them is gone.
func TestKilledReaderLosesTheLastEpochOnly(t *testing.T) {
	const every = 10
	kills, lost := 0, 0
	for _, point := range []string{snapshot.PointNames, snapshot.PointRename, snapshot.PointPublished, "commit.before", "commit.after"} {
		for pass := 1; pass <= 4; pass++ {
			pipe := &upstream{}
			for i := range 95 {
				pipe.lines = append(pipe.lines, fmt.Sprintf("line %d\n", i))
			}
			disk, out := fsx.NewMem(), memory.NewSink[string]()
			var warnings []string
			run := func(l *life) (millrace.Status, error) {
				job := millrace.NewJob("pipe")
				job.From("in", stdin.Lines().From(l)).To("out", out)
				var last millrace.Status
				cfg := millrace.Config{
					Parallelism: 1, Log: slog.New(slog.DiscardHandler), Observe: func(s millrace.Status) { last = s },
					Checkpoint: millrace.CheckpointConfig{Dir: "/state", EveryRecords: every, Interval: time.Hour},
				}
				ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: disk, Fault: l.hit})
				err := millrace.Run(ctx, job, cfg)
				warnings = last.Warnings
				return last, err
			}
			first := &life{upstream: pipe, point: point, pass: pass, most: 60, over: make(chan struct{})}
			t.Cleanup(func() { close(first.over) })
			if _, err := run(first); !errors.Is(err, errDead) {
				t.Fatalf("%s, pass %d: %v", point, pass, err)
			}
			kills++
			first.mu.Lock()
			first.dead = true
			first.mu.Unlock()
			pipe.mu.Lock()
			gone := pipe.given // with what was read ahead
			pipe.mu.Unlock()
			status, err := run(&life{upstream: pipe})
			if err != nil {
				t.Fatal(err)
			}
			kept := int(status.In - status.InRun)
			if kept%every != 0 || kept < every*first.decided || kept > every*(first.decided+1) {
				t.Errorf("%s, pass %d: %d records are in the checkpoint after %d decided epochs", point, pass, kept, first.decided)
			}
			var want []string
			for i, l := range pipe.lines {
				if i < kept || i >= gone {
					want = append(want, strings.TrimSuffix(l, "\n"))
				} else {
					lost++
				}
			}
			if got := out.Records(); !slices.Equal(got, want) {
				t.Errorf("%s, pass %d: got %d lines, want %d: those before %d and from %d on", point, pass, len(got), len(want), kept, gone)
			}
			said := []string{`source "in" cannot seek (stdin): in a crash the records since the last checkpoint are lost, so they have their effect at most once`}
			if !slices.Equal(warnings, said) {
				t.Errorf("the status warns of %q", warnings)
			}
		}
	}
	if kills == 0 || lost == 0 || lost > 60*kills {
		t.Errorf("%d kills, %d lines lost: nothing is shown", kills, lost)
	}
	t.Logf("%d kills, %d lines lost", kills, lost)
}
