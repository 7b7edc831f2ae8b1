package model_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
)

func duration(n int64) time.Duration { return time.Duration(n) }

// tb is what a trial needs of a test.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// deadline is far longer than any trial takes: a run that reaches it hangs.
const deadline = time.Minute

// killer lets a run die at a chosen place: from then on every fault point, file operation and read fails, as after the death of
// the process, so that nothing more can become true.
type killer struct {
	// place is a fault point, or placeFiles or placeReads.
	place string
	// left is how often the place is passed before the run dies there.
	left int

	mu struct {
		sync.Mutex
		dead bool
	}
}

const (
	placeFiles = "file operation"
	placeReads = "read"
)

var errKilled = errors.New("killed by the test")

func (k *killer) pass(place string) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.mu.dead && place == k.place {
		k.mu.dead = k.left == 0
		k.left--
	}
	if k.mu.dead {
		return fmt.Errorf("%w at %s", errKilled, place)
	}
	return nil
}

func (k *killer) died() bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.dead
}

// shaky is a memory source whose readers die with the run. It reads few records at a time if few is not 0.
type shaky struct {
	*memory.Source[rec]
	kill *killer
	few  int
}

func (s shaky) Open(ctx context.Context, sp connect.Split, position []byte) (connect.Reader[rec], error) {
	r, err := s.Source.Open(ctx, sp, position)
	return shakyReader{r, s}, err
}

type shakyReader struct {
	connect.Reader[rec]
	from shaky
}

func (r shakyReader) Read(ctx context.Context, out []rec) (int, error) {
	if err := r.from.kill.pass(placeReads); err != nil {
		return 0, err
	}
	if n := r.from.few; n > 0 && n < len(out) {
		out = out[:n]
	}
	return r.Reader.Read(ctx, out)
}

// world is what outlives the runs of a job: its disk and its sinks.
type world struct {
	trial trial
	disk  *fsx.Mem
	sinks sinks
	// runs counts them.
	runs int
}

func newWorld(c trial) *world { return &world{trial: c, disk: fsx.NewMem(), sinks: sinks{}} }

// calm is a run without checkpoints on disk, of one subtask.
func calm() millrace.Config {
	return millrace.Config{
		Parallelism: 1, KeyGroups: 16, Log: slog.New(slog.DiscardHandler), Checkpoint: millrace.CheckpointConfig{Interval: time.Hour},
	}
}

// kept adds a directory and an epoch after every n records.
func kept(cfg millrace.Config, n int) millrace.Config {
	cfg.Checkpoint.Dir, cfg.Checkpoint.EveryRecords = "/state", int64(n)
	return cfg
}

// run runs the job once. It returns false when the run was killed, and the last status.
func (w *world) run(t tb, cfg millrace.Config, kill *killer, few int) (bool, millrace.Status) {
	t.Helper()
	w.runs++
	source := func(splits [][]rec) connect.Source[rec] { return shaky{memory.Splits(splits...), kill, few} }
	job := w.trial.job(source, w.sinks)
	disk := fsx.Inject(w.disk, func(fsx.Op) error { return kill.pass(placeFiles) })
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	ctx = env.With(ctx, &env.Env{Sched: task.NewSystem(), FS: disk, Fault: kill.pass, Strict: true})
	var last millrace.Status
	cfg.Observe = func(s millrace.Status) { last = s }
	err := millrace.Run(ctx, job, cfg)
	if err != nil && !kill.died() {
		t.Fatalf("run %d: %v\n%v", w.runs, err, w.trial)
	}
	for _, o := range last.Operators {
		preAggregated.Add(o.PreAggregated)
	}
	return err == nil, last
}

// losePower leaves of the disk what a power loss would.
func (w *world) losePower(seed uint64) { w.disk = w.disk.CrashClone(rand.NewPCG(seed, 1)) }

// check compares what the sinks hold with the model. The counts are compared when the class makes them certain.
func (w *world) check(t tb, how string, ordered bool, last millrace.Status) {
	t.Helper()
	want := w.trial.wanted()
	for name, lines := range want.sinks {
		got := w.sinks.of(name).Records()
		if !ordered {
			slices.Sort(got)
			slices.Sort(lines)
		}
		if !slices.Equal(got, lines) {
			t.Fatalf("%s: sink %q: %s\n%v", how, name, difference(got, lines, ordered), w.trial)
		}
	}
	if last.Duplicates != want.again || last.Conflicts != want.other {
		t.Fatalf("%s: counted %d duplicates, %d of them with other content; want %d and %d\n%v",
			how, last.Duplicates, last.Conflicts, want.again, want.other, w.trial)
	}
	if last.Late != want.late || last.LateWindows != want.missed {
		t.Fatalf("%s: counted %d late records that missed, with others, %d windows; want %d and %d\n%v",
			how, last.Late, last.LateWindows, want.late, want.missed, w.trial)
	}
}

// difference shows where two outputs part, or, without an order, what only one of them has.
func difference(got, want []string, ordered bool) string {
	if !ordered {
		return fmt.Sprintf("%d records, want %d\n  too much%s\n  missing%s", len(got), len(want), list(without(got, want)), list(without(want, got)))
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d records, want %d; they part at %d\n  got%s\n  want%s", len(got), len(want), i, list(got[i:]), list(want[i:]))
}

// without returns what a has more than b.
func without(a, b []string) (out []string) {
	n := map[string]int{}
	for _, s := range b {
		n[s]++
	}
	for _, s := range a {
		if n[s]--; n[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}

// list shows the first lines.
func list(lines []string) (out string) {
	for _, s := range lines[:min(len(lines), 6)] {
		out += fmt.Sprintf("\n    %.300s", s)
	}
	return out
}
