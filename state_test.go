package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/state"
	"github.com/millrace-stream/millrace/window"
)

// meter keeps a state of each kind with a time to live, and a timer.
type meter struct {
	total  *state.Value[int64]
	recent *state.List[int64]
	seen   *state.Map[int64, string]
}

func newMeter(s *state.Set[string]) *meter {
	return &meter{
		total:  s.Value[int64]("total", state.ExpireAfter(90*time.Second)),
		recent: s.List[int64]("recent"),
		seen:   s.Map[int64, string]("seen", state.ExpireAfter(30*time.Second).OnRead()),
	}
}

func (m *meter) Record(c *millrace.Call[string, string], r ride) error {
	*m.total.Ref() += r.N
	m.recent.Append(r.N)
	before, _ := m.seen.Get(r.N % 3)
	m.seen.Set(r.N%5, fmt.Sprint("v", r.N))
	c.SetTimer("quiet", c.EventTime().Add(40*time.Second))
	c.Emit(fmt.Sprintf("%s %d %d before=%s", c.Key(), r.At, *m.total.Ref(), before))
	return nil
}

func (m *meter) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	c.Emit(fmt.Sprintf("%s %s %v %d", c.Key(), t.At.UTC().Format(time.TimeOnly), slices.Collect(m.recent.All()), m.seen.Len()))
	m.recent.DropFirst(2)
	return nil
}

func rides(n int) []ride {
	in := make([]ride, n)
	for i := range in {
		at := int64(i / 2)
		if i%7 == 0 {
			at -= 15
		}
		in[i] = ride{Base: fmt.Sprintf("base-%d", i*i%37), At: at, N: int64(i*31%17 + 1)}
	}
	return in
}

// everything is a job with all kinds of state.
func everything(in []ride, to func(name string) connect.Sink[string]) *millrace.Job {
	job := millrace.NewJob("everything")
	all := job.From("in", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(20*time.Second))
	text := func(p millrace.Pane[string, int64]) string {
		return fmt.Sprint(p.Key, p.Start.Unix(), p.End.Unix(), p.Value, p.Revision)
	}
	keyed := all.KeyBy(ride.base)
	sum := agg.Sum(func(r ride) int64 { return r.N })
	keyed.Window(window.Tumbling(40*time.Second)).Aggregate("tumbling", sum).Map(text).To("t", to("tumbling"))
	keyed.Window(window.Sliding(60*time.Second, 10*time.Second)).AllowedLateness(10*time.Second).Aggregate("sliding", sum).Map(text).To("s", to("sliding"))
	keyed.Window(window.Session(5*time.Second)).Aggregate("sessions", sum).Map(text).To("x", to("sessions"))
	keyed.ProcessWith("meter", newMeter).To("m", to("meter"))
	return job
}

// TestStateOnDiskSurvivesKills kills a job whose state is moved to the disk after each batch, and lets it go on with the disk or without it.
func TestStateOnDiskSurvivesKills(t *testing.T) {
	in := rides(1500)
	var starts, evicted, reads atomic.Int64
	r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return everything(in, func(name string) connect.Sink[string] { return w.Collect[string](name) })
	}, millracetest.Kills(12), millracetest.Configure(func(c *millrace.Config) {
		if starts.Add(1)%3 == 0 {
			return
		}
		c.State = millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20}
		c.Observe = func(s millrace.Status) {
			evicted.Add(s.State.Evicted)
			reads.Add(s.State.DiskReads)
		}
	}))
	if r.InEpoch < 4 || evicted.Load() < 1000 || reads.Load() < 1000 {
		t.Errorf("too little was tried: %+v, %d entries evicted, %d reads", r, evicted.Load(), reads.Load())
	}
}

// manyKeys is a job that has one entry of state for each record until its only window fires.
func manyKeys(n int, out *memory.Sink[millrace.Pane[string, int64]]) *millrace.Job {
	in := make([]ride, n)
	for i := range in {
		in[i] = ride{Base: fmt.Sprintf("a key that takes some room, number %d", i), At: int64(i % 50), N: int64(i)}
	}
	job := millrace.NewJob("keys")
	job.From("in", memory.Of(in...), millrace.EventTime(ride.time)).KeyBy(ride.base).Window(window.Tumbling(time.Hour)).
		Aggregate("count", agg.Sum(func(r ride) int64 { return r.N })).To("out", out)
	return job
}

// TestStateOnAFailingDisk lets the disk behind the state fail: the job says so, and goes on when it is started again.
func TestStateOnAFailingDisk(t *testing.T) {
	noLeaks(t)
	const keys = 60_000
	for _, c := range []struct {
		op   string
		err  error
		want string
	}{
		{"write", syscall.ENOSPC, "write: no space left on device (the disk is full: give state another directory, or more memory)"},
		{"read", syscall.EIO, "read: "},
		{"create", syscall.EIO, "input/output error"},
	} {
		t.Run(c.op, func(t *testing.T) {
			dir := t.TempDir()
			cfg := millrace.Config{
				Parallelism: 2, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state"), EveryRecords: 20_000, Interval: time.Hour},
				State: millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20, Dir: filepath.Join(dir, "cold")},
			}
			out := memory.NewSink[millrace.Pane[string, int64]]()
			faults := 0
			var good atomic.Bool
			world := &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, EvictAll: true, StateFault: func(op, file string) error {
				if op != c.op || good.Load() {
					return nil
				}
				if !strings.HasSuffix(file, ".sst") {
					t.Errorf("fault point of %q", file)
				}
				faults++
				return c.err
			}}
			err := millrace.Run(env.With(context.Background(), world), manyKeys(keys, out), cfg)
			oe, ok := errors.AsType[*millrace.OperatorError](err)
			if !ok || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "state on disk in "+filepath.Join(dir, "cold", "keys")) {
				t.Fatalf("%d faults: error %v", faults, err)
			}
			if oe.Operator != "count" || faults == 0 {
				t.Errorf("operator %q, %d faults", oe.Operator, faults)
			}
			good.Store(true)
			if err := millrace.Run(env.With(context.Background(), world), manyKeys(keys, out), cfg); err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			for _, p := range out.Records() {
				sum += p.Value
			}
			if n := len(out.Records()); n != keys || sum != keys*(keys-1)/2 {
				t.Errorf("%d results with the sum %d", n, sum)
			}
			left, err := os.ReadDir(filepath.Join(dir, "cold", "keys"))
			if err != nil || len(left) != 1 { // the lock
				t.Errorf("left on disk: %v %v", left, err)
			}
		})
	}
}

// TestStateRestartsAfterAFault lets the disk fail once: the job starts again by itself, if it may.
func TestStateRestartsAfterAFault(t *testing.T) {
	var once atomic.Bool
	world := &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, EvictAll: true, StateFault: func(op, _ string) error {
		if op == "write" && once.CompareAndSwap(false, true) {
			return syscall.EIO
		}
		return nil
	}}
	out := memory.NewSink[millrace.Pane[string, int64]]()
	restarts := 0
	err := millrace.Run(env.With(context.Background(), world), manyKeys(60_000, out), millrace.Config{
		Parallelism: 2, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: t.TempDir(), Interval: time.Hour},
		Restart: millrace.RestartConfig{Attempts: 1, Backoff: time.Millisecond},
		State:   millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20},
		Observe: func(s millrace.Status) { restarts = s.Restarts },
	})
	if err != nil || restarts != 1 || len(out.Records()) != 60_000 {
		t.Errorf("%d restarts, %d results, error %v", restarts, len(out.Records()), err)
	}
}

// TestStateDirIsOfOneJob starts a job on the directory of another that runs.
func TestStateDirIsOfOneJob(t *testing.T) {
	dir := t.TempDir()
	cfg := func() millrace.Config {
		return millrace.Config{
			Parallelism: 1, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: t.TempDir()},
			State: millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20, Dir: dir},
		}
	}
	out := memory.NewSink[string]()
	var second error
	job := millrace.NewJob("keys")
	job.From("in", memory.Of(rides(1)...)).Map(func(r ride) string {
		second = millrace.Run(context.Background(), manyKeys(1, memory.NewSink[millrace.Pane[string, int64]]()), cfg())
		return r.Base
	}).To("out", out)
	if err := millrace.Run(context.Background(), job, cfg()); err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "the directory is in use by another job: "+filepath.Join(dir, "keys")) ||
		!strings.HasSuffix(second.Error(), ": give this job another State.Dir") {
		t.Errorf("error: %v", second)
	}
}

// State that may become larger than memory is kept on disk, beside a budget of memory.
func ExampleStateConfig() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	job := millrace.NewJob("fares")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("rides", memory.Of(ride{"north", 10, 7}, ride{"south", 20, 4}, ride{"north", 30, 5}), millrace.EventTime(ride.time)).
		KeyBy(ride.base).
		Window(window.Tumbling(time.Minute)).
		Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).
		To("out", out)
	err = millrace.Run(context.Background(), job, millrace.Config{
		Checkpoint: millrace.CheckpointConfig{Dir: dir},
		State:      millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 64 << 20},
		Log:        quiet(),
	})
	for _, p := range out.Records() {
		fmt.Println(p.Key, p.Value)
	}
	fmt.Println(err)
	// Output:
	// north 12
	// south 4
	// <nil>
}
