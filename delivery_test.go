package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

// recorder is a sink that writes through: what it was given, it has shown.
type recorder[T any] struct {
	mu    sync.Mutex
	lines []T
	fail  error // what the next Write fails with, after its first record
}

// tape records numbers.
type tape = recorder[int]

func (*recorder[T]) Guarantee() connect.Guarantee { return connect.AtLeastOnce }
func (s *recorder[T]) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[T], error) {
	return recording[T]{s}, nil
}

func (*recorder[T]) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

func (s *recorder[T]) shown() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *recorder[T]) sorted(by func(a, b T) int) []T {
	out := s.shown()
	slices.SortFunc(out, by)
	return out
}

type recording[T any] struct{ *recorder[T] }

func (w recording[T]) Write(_ context.Context, records []T) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail; err != nil {
		w.fail = nil
		w.lines = append(w.lines, records[0])
		return err
	}
	w.lines = append(w.lines, records...)
	return nil
}

func (recording[T]) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }
func (recording[T]) Flush(context.Context) error                             { return nil }
func (recording[T]) Close() error                                            { return nil }

// machine is a disk that outlives processes, and a process that dies when it passes a point for the n-th time.
type machine struct {
	disk *fsx.Mem

	mu      sync.Mutex
	point   string
	pass    int
	dead    bool
	decided int
}

func newMachine() *machine { return &machine{disk: fsx.NewMem()} }

// start forgets the process before; the next dies at the n-th pass of a point, or, for 0, lives.
func (m *machine) start(point string, pass int) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.point, m.pass, m.dead, m.decided = point, pass, false, 0
	disk := fsx.Inject(m.disk, func(op fsx.Op) error {
		switch op.Kind {
		case fsx.OpCreate, fsx.OpRename, fsx.OpRemove, fsx.OpMkdir, fsx.OpSyncDir, fsx.OpWrite, fsx.OpSync, fsx.OpTruncate:
			return m.hit("")
		}
		return nil
	})
	return env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: disk, Fault: m.hit})
}

func (m *machine) hit(point string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pass > 0 && point == m.point {
		m.pass--
		m.dead = m.pass == 0
	}
	if m.dead {
		return errKilled
	}
	if point == snapshot.PointPublished {
		m.decided++
	}
	return nil
}

const deliveryEvery = 10

func delivered(d millrace.Delivery, parallelism int) millrace.Config {
	return millrace.Config{
		Parallelism: parallelism, Delivery: d, Log: quiet(),
		Checkpoint: millrace.CheckpointConfig{Dir: "/state", EveryRecords: deliveryEvery, Interval: time.Hour},
	}
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func howOften(list []int) map[int]int {
	m := map[int]int{}
	for _, n := range list {
		m[n]++
	}
	return m
}

// deliveryPoints are where the jobs of these tests die: around the decision of an epoch.
var deliveryPoints = append([]string{
	snapshot.PointNames, snapshot.PointManSync, snapshot.PointDirSync, snapshot.PointPublished, "file.sync", "file.prepared", "file.commit.rename", "file.commit.renamed",
}, engine.Points[2:]...)

// TestDeliveryUnderKills kills a job that passes records on, under each delivery and at each point, and looks at what three sinks show: one that writes
// through, one in memory and one in files. The oracle is the input: which numbers must be there, and how often they may be.
func TestDeliveryUnderKills(t *testing.T) {
	noLeaks(t)
	in := numbers(95)
	for _, d := range []millrace.Delivery{millrace.ExactlyOnce, millrace.AtLeastOnce, millrace.AtMostOnce} {
		t.Run(d.String(), func(t *testing.T) {
			kills, repeated, missing := 0, 0, 0
			for _, point := range deliveryPoints {
				for pass := 1; pass <= 5; pass += 2 {
					m, through, exact := newMachine(), &tape{}, memory.NewSink[int]()
					start := func(ctx context.Context) (status millrace.Status, err error) {
						job := millrace.NewJob("numbers")
						s := job.From("in", memory.Of(in...))
						s.To("through", through)
						s.To("exact", exact)
						s.Map(func(n int) string { return fmt.Sprint(n) }).To("files", file.Lines("/out"))
						cfg := delivered(d, 1)
						cfg.Observe = func(s millrace.Status) { status = s }
						return status, millrace.Run(ctx, job, cfg)
					}
					_, err := start(m.start(point, pass))
					if err == nil {
						continue // the job does not pass there so often
					}
					if !errors.Is(err, errKilled) {
						t.Fatal(err)
					}
					kills++
					decided := m.decided
					status, err := start(m.start("", 0))
					if err != nil {
						t.Fatalf("%s, pass %d: %v", point, pass, err)
					}
					kept := int(status.In - status.InRun)
					if kept < deliveryEvery*decided || kept > deliveryEvery*(decided+1) {
						t.Fatalf("%s, pass %d: it goes on behind record %d after %d decided epochs", point, pass, kept, decided)
					}
					where := fmt.Sprintf("%s, pass %d, going on behind record %d", point, pass, kept)
					// Only what was read behind the checkpoint can come again, and only what is in the checkpoint can be lost: the epoch before it.
					again, lost := checkTimes(t, where+": through", in, through.shown(), d, kept, true)
					repeated, missing = repeated+again, missing+lost
					again, _ = checkTimes(t, where+": memory", in, exact.Records(), d, kept, false)
					repeated += again
					checkTimes(t, where+": files", in, m.numbersIn(t, "/out"), d, kept, false)
				}
			}
			t.Logf("%d kills: %d records came again, %d are missing", kills, repeated, missing)
			if kills < 20 || (repeated > 0) != (d != millrace.AtMostOnce) || (missing > 0) != (d == millrace.AtMostOnce) {
				t.Errorf("%d kills, %d records came again, %d are missing: that is not what %v promises, or nothing was shown", kills, repeated, missing, d)
			}
		})
	}
}

// checkTimes compares what a sink shows with what the delivery promises for it.
func checkTimes(t *testing.T, where string, in, got []int, d millrace.Delivery, kept int, through bool) (again, lost int) {
	t.Helper()
	seen := howOften(got)
	for _, n := range in {
		count := seen[n]
		delete(seen, n)
		mayRepeat := d == millrace.AtLeastOnce || d == millrace.ExactlyOnce && through
		switch {
		case count == 1:
		case count == 0 && d == millrace.AtMostOnce && through && n >= kept-deliveryEvery && n < kept:
			lost++
		case count == 2 && mayRepeat && n >= kept && n < kept+2*deliveryEvery:
			again++
		default:
			t.Errorf("%s: %d is there %d times", where, n, count)
		}
	}
	if len(seen) > 0 {
		t.Errorf("%s: what is no input is there: %v", where, seen)
	}
	return again, lost
}

// numbersIn reads the visible files of a directory.
func (m *machine) numbersIn(t *testing.T, dir string) (out []int) {
	t.Helper()
	entries, err := m.disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f, err := m.disk.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for {
			var n int
			if _, err := fmt.Fscan(fsReader{f}, &n); err != nil {
				break
			}
			out = append(out, n)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

type fsReader struct{ fsx.File }

// tally counts all records of a key.
type tally struct {
	Key string
	N   int64
}

// TestTasksDoNotWaitForBarriers lets the barrier of one input come late: a job that is at least once takes the records behind the other's barrier
// meanwhile, so they are in the checkpoint and come again after a crash; others wait for it.
func TestTasksDoNotWaitForBarriers(t *testing.T) {
	noLeaks(t)
	const n = 60
	for _, c := range []struct {
		delivery millrace.Delivery
		extra    bool
	}{{millrace.AtLeastOnce, true}, {millrace.ExactlyOnce, false}, {millrace.AtMostOnce, false}} {
		m, out := newMachine(), memory.NewSink[tally]()
		start := func(ctx context.Context) error {
			var fast atomic.Int64 // how many records of the fast input the counting task has taken
			var held atomic.Bool  // the slow input holds its first record
			pause := func() { task.NewSystem().NewEvent().Wait(2 * time.Millisecond) }
			job := millrace.NewJob("counts")
			a := job.From("fast", memory.Of(numbers(n)...)).Map(func(i int) string {
				for !held.Load() && i < deliveryEvery { // the barrier of the slow input is not to come before
					pause()
				}
				return "fast"
			})
			b := job.From("slow", memory.Of(numbers(n)...)).Map(func(i int) string {
				// The first record is held, and the barrier behind it, until the counting task has taken what stands behind the other barrier, or
				// has had the time to.
				held.Store(true)
				for wait := 0; i == 0 && fast.Load() <= deliveryEvery && wait < 100; wait++ {
					pause()
				}
				return "slow"
			})
			a.Union(b).KeyBy(func(s string) string { return s }).Process("count", func(p *millrace.Proc[string, int64, tally], s string) error {
				if s == "fast" {
					fast.Add(1)
				}
				*p.State()++
				if *p.State() >= n {
					p.Emit(tally{p.Key(), *p.State()})
				}
				return nil
			}).To("out", out)
			return millrace.Run(ctx, job, delivered(c.delivery, 1))
		}
		if err := start(m.start("commit.after", 1)); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if m.decided != 1 {
			t.Fatalf("%d epochs were decided", m.decided)
		}
		if err := start(m.start("", 0)); err != nil {
			t.Fatal(err)
		}
		most := map[string]int64{}
		for _, r := range out.Records() {
			most[r.Key] = max(most[r.Key], r.N)
		}
		t.Logf("%v: counted %v of %d each", c.delivery, most, n)
		if most["slow"] != n || most["fast"] < n || (most["fast"] > n) != c.extra {
			t.Errorf("%v: counted %v of %d each: more: %v, want that: %v", c.delivery, most, n, most["fast"] > n, c.extra)
		}
	}
}

// TestAtMostOnceDoesNotGoBack: behind a checkpoint that is damaged lies output that a sink has shown.
func TestAtMostOnceDoesNotGoBack(t *testing.T) {
	noLeaks(t)
	m, out := newMachine(), &tape{}
	start := func(ctx context.Context, d millrace.Delivery) error {
		job := millrace.NewJob("numbers")
		job.From("in", memory.Of(numbers(95)...)).To("out", out)
		return millrace.Run(ctx, job, delivered(d, 1))
	}
	if err := start(m.start("release.after", 3), millrace.AtMostOnce); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	for _, name := range []string{"manifest-00000000000000000003", "manifest-00000000000000000003.copy"} {
		if err := m.disk.Remove("/state/numbers/" + name); err != nil {
			t.Fatal(err)
		}
	}
	before := out.shown()
	err := start(m.start("", 0), millrace.AtMostOnce)
	const want = `millrace: checkpoint 3 of job "numbers" cannot be used, and to go on from checkpoint 2 would write the output of the epochs between again, which ` +
		`a job that is at most once must not: put the files back from a backup, or let it be at least once for this start`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if got := out.shown(); !slices.Equal(got, before) {
		t.Errorf("the refused start has shown %v", got[len(before):])
	}
	if err := start(m.start("", 0), millrace.AtLeastOnce); err != nil {
		t.Fatal(err)
	}
	seen := howOften(out.shown())
	for n := range 95 {
		if want := 1 + map[bool]int{true: 1}[n >= 20 && n < 30]; seen[n] != want {
			t.Errorf("%d is there %d times, want %d", n, seen[n], want)
		}
	}
}

// TestHeldOutputIsWrittenOnce: a sink that refuses what it is given when the epoch is decided is not given it again.
func TestHeldOutputIsWrittenOnce(t *testing.T) {
	noLeaks(t)
	m, out := newMachine(), &tape{fail: connect.Retryable(errors.New("the printer is out of paper"))}
	log, text := logged()
	job := millrace.NewJob("numbers")
	job.From("in", memory.Of(numbers(95)...)).To("out", out)
	cfg := delivered(millrace.AtMostOnce, 1)
	cfg.Log, cfg.Restart = log, millrace.RestartConfig{Attempts: 1, Backoff: time.Millisecond}
	if err := millrace.Run(m.start("", 0), job, cfg); err != nil {
		t.Fatal(err)
	}
	want := append([]int{0}, numbers(95)[deliveryEvery:]...)
	if got := out.shown(); !slices.Equal(got, want) {
		t.Errorf("shown %v, want %v", got, want)
	}
	if said := "the printer is out of paper (may succeed when tried again): what the sink has not taken of the epoch is lost, since the job is at most once"; !strings.Contains(text(), said) {
		t.Errorf("the log does not say %q:\n%s", said, text())
	}
}

// TestWarningsOfDelivery: what a job cannot promise is in its status.
func TestWarningsOfDelivery(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		delivery millrace.Delivery
		dir      string
		want     []string
	}{
		{millrace.ExactlyOnce, "/state", []string{`sink "out" writes through: after a crash the records of the last epoch come again`}},
		{0, "/state", []string{`sink "out" writes through: after a crash the records of the last epoch come again`}},
		{millrace.AtLeastOnce, "/state", nil},
		{millrace.AtMostOnce, "/state", nil},
		{millrace.AtMostOnce, "", []string{`job "numbers" keeps no checkpoints: when it is run again, all comes again`}},
	} {
		job := millrace.NewJob("numbers")
		job.From("in", memory.Of(1)).To("out", &tape{})
		cfg := delivered(c.delivery, 1)
		cfg.Checkpoint.Dir = c.dir
		var got []string
		cfg.Observe = func(s millrace.Status) { got = s.Warnings }
		if err := millrace.Run(newMachine().start("", 0), job, cfg); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v in %q: %q, want %q", c.delivery, c.dir, got, c.want)
		}
	}
	err := millrace.Config{Delivery: 9}.Validate()
	if want := "millrace: config: Delivery is Guarantee(9): it must be ExactlyOnce, AtLeastOnce or AtMostOnce"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
