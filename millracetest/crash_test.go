package millracetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

func TestCrashPassesARightJob(t *testing.T) {
	in := sales(500, 60)
	r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return sums(memory.Of(in...), w.Collect[pane]("sums"), w.Collect[sale]("late"))
	}, millracetest.Kills(25))
	if r.Kills < 25 || r.InEpoch < 10 || r.PowerLosses < 5 || r.Trials < 10 || len(r.Points) < 8 {
		t.Errorf("too little was tried: %+v", r)
	}
}

// TestCrashPassesARightJobWithFiles: files of the machine are read, and results go to a disk that loses power.
func TestCrashPassesARightJobWithFiles(t *testing.T) {
	var b strings.Builder
	b.WriteString("shop,at,n\n")
	for _, s := range sales(400, 60) {
		fmt.Fprintf(&b, "%s,%d,%d\n", s.Shop, s.At.Unix(), s.N)
	}
	in := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(in, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines []int
	r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return sums(file.CSV[sale](in), file.JSONL[pane](w.Path("sums")).Gzip(), file.CSV[sale](w.Path("late")))
	}, millracetest.Kills(16), millracetest.Check(func(w *millracetest.Trial) error {
		late, err := w.Lines(w.Path("late"))
		lines = append(lines, len(late))
		return err
	}))
	if r.InEpoch < 6 || r.PowerLosses < 3 {
		t.Errorf("too little was tried: %+v", r)
	}
	if len(lines) != r.Trials+4 || lines[0] == 0 {
		t.Errorf("checked %d times, with %d late lines", len(lines), lines[0])
	}
}

// outside is a system that a sink of the user writes to. It has the mistakes that are asked for.
type outside struct {
	// early shows records when they are written, repeats shows a committable as often as it is committed.
	early, repeats bool
	// tells adds the parallelism to each record.
	tells bool

	mu     sync.Mutex
	shown  []string
	marked map[string]bool
}

func (o *outside) records() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.shown)
}

func (o *outside) show(records ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown = append(o.shown, records...)
}

func (o *outside) Guarantee() connect.Guarantee { return connect.ExactlyOnce }

func (o *outside) OpenWriter(_ context.Context, info connect.SinkInfo) (connect.Writer[pane], error) {
	return &outsideWriter{out: o, info: info}, nil
}

func (o *outside) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return outsideCommitter{o}, nil
}

type outsideWriter struct {
	out  *outside
	info connect.SinkInfo
	held []string
}

func (w *outsideWriter) Write(_ context.Context, records []pane) error {
	for _, r := range records {
		s := fmt.Sprint(r)
		if w.out.tells {
			s += fmt.Sprint(" of ", w.info.Parallelism)
		}
		if w.out.early {
			w.out.show(s)
		} else {
			w.held = append(w.held, s)
		}
	}
	return nil
}

func (w *outsideWriter) Prepare(_ context.Context, epoch uint64) (connect.Finish, error) {
	held := w.held
	w.held = nil
	return func(context.Context) ([]byte, error) {
		return json.Marshal(map[string]any{"id": fmt.Sprint(w.info.Term, epoch, w.info.Subtask), "records": held})
	}, nil
}

func (w *outsideWriter) Flush(context.Context) error { return nil }
func (w *outsideWriter) Close() error                { return nil }

type outsideCommitter struct{ out *outside }

func (c outsideCommitter) Recover(ctx context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	return nil, c.Commit(ctx, epoch, committables)
}

func (c outsideCommitter) Commit(_ context.Context, _ uint64, committables [][]byte) error {
	for _, b := range committables {
		var k struct {
			ID      string   `json:"id"`
			Records []string `json:"records"`
		}
		if err := json.Unmarshal(b, &k); err != nil {
			return err
		}
		if c.out.marked[k.ID] && !c.out.repeats {
			continue
		}
		c.out.marked[k.ID] = true
		c.out.show(k.Records...)
	}
	return nil
}

func (c outsideCommitter) Close() error { return nil }

// outsideJob writes sums to a sink of the user.
func outsideJob(early, repeats bool) func(*millracetest.Trial) *millrace.Job {
	in := sales(300, 30)
	return func(w *millracetest.Trial) *millrace.Job {
		out := w.Once("outside", func() *outside { return &outside{early: early, repeats: repeats, marked: map[string]bool{}} })
		w.Output("outside", out.records)
		return sums(memory.Of(in...), out, w.Collect[sale]("late"))
	}
}

// TestCrashFindsMistakesOfASink, and finds none in a sink without them.
func TestCrashFindsMistakesOfASink(t *testing.T) {
	millracetest.Crash(t, outsideJob(false, false))
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, outsideJob(true, false)) }, `output "outside"`, "too many", "killed at pass", "Seed(", "Kills(1)")
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, outsideJob(false, true)) }, `output "outside"`, "too many", "killed at pass", "Seed(", "Kills(1)")
}

// TestCrashRepeatsAFailureBySeed: the call that a failure names fails too, at once.
func TestCrashRepeatsAFailureBySeed(t *testing.T) {
	tb := &fake{}
	millracetest.Crash(tb, outsideJob(true, false))
	m := regexp.MustCompile(`Seed\((\d+)\)`).FindStringSubmatch(tb.failure)
	if m == nil {
		t.Fatalf("no seed in %q", tb.failure)
	}
	var seed uint64
	if _, err := fmt.Sscan(m[1], &seed); err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`start 1 .* of \S+,`).FindString(tb.failure)
	fails(t, func(tb millracetest.TB) {
		millracetest.Crash(tb, outsideJob(true, false), millracetest.Seed(seed), millracetest.Kills(1))
	}, start)
}

// TestCrashFindsFunctionsThatKeepSomething: a restart forgets what a function of the job keeps in a variable.
func TestCrashFindsFunctionsThatKeepSomething(t *testing.T) {
	build := func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("numbers")
		n := 0
		job.From("in", memory.Of(sales(200, 3)...)).
			Map(func(sale) int { n++; return n }).
			To("out", w.Collect[int]("out"))
		return job
	}
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build) }, "killed at pass", `output "out"`, "keeps something between records")
}

// TestCrashFindsResultsThatDependOnParallelism before it kills anything.
func TestCrashFindsResultsThatDependOnParallelism(t *testing.T) {
	build := func(w *millracetest.Trial) *millrace.Job {
		out := w.Once("outside", func() *outside { return &outside{tells: true, marked: map[string]bool{}} })
		w.Output("outside", out.records)
		return sums(memory.Of(sales(100, 3)...), out, w.Collect[sale]("late"))
	}
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build) }, "at parallelism 2", "without any kill", "not deterministic", `output "outside"`)
	millracetest.Crash(t, build, millracetest.Parallelism(2), millracetest.Kills(3))
}

func TestCrashRefusesWhatWouldShowNothing(t *testing.T) {
	in := sales(50, 3)
	for want, build := range map[string]func(*millracetest.Trial) *millrace.Job{
		"nothing to compare": func(w *millracetest.Trial) *millrace.Job {
			return sums(memory.Of(in...), memory.NewSink[pane](), memory.NewSink[sale]())
		},
		"the job is nil": func(*millracetest.Trial) *millrace.Job { return nil },
		"fails without any kill": func(w *millracetest.Trial) *millrace.Job {
			job := millrace.NewJob("bad")
			job.From("in", memory.Of(1)).FlatMap(func(*millrace.Context, int, func(int)) error { return errors.New("no good") }).To("out", w.Collect[int]("out"))
			return job
		},
		"writes only below Trial.Path": func(w *millracetest.Trial) *millrace.Job {
			return sums(memory.Of(in...), file.JSONL[pane](t.TempDir()), w.Collect[sale]("late"))
		},
		"is a *memory.Sink[": func(w *millracetest.Trial) *millrace.Job {
			job := millrace.NewJob("two types")
			job.From("a", memory.Of(1)).To("x", w.Collect[int]("out"))
			job.From("b", memory.Of("1")).To("y", w.Collect[string]("out"))
			return job
		},
	} {
		fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build) }, want)
	}
	build := func(w *millracetest.Trial) *millrace.Job {
		return sums(memory.Of(in...), w.Collect[pane]("sums"), w.Collect[sale]("late"))
	}
	fails(t, func(tb millracetest.TB) { millracetest.Crash(tb, build, millracetest.At("file.sync")) }, "passes none of the points file.sync")
	fails(t, func(tb millracetest.TB) {
		millracetest.Crash(tb, build, millracetest.At("recover.before"), millracetest.Kills(4))
	}, "none hit the job at work")
	fails(t, func(tb millracetest.TB) {
		millracetest.Crash(tb, build, millracetest.Check(func(*millracetest.Trial) error { return errors.New("not so") }))
	}, "not so")
}

// TestCrashKillsAtEachPoint that there is: every name of Points can be hit, or needs what this job does not do.
func TestCrashKillsAtEachPoint(t *testing.T) {
	build := func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("points")
		job.From("in", memory.Of(sales(200, 3)...), millrace.EventTime(sale.time)).KeyBy(sale.shop).
			Window(window.Tumbling(time.Minute)).Aggregate("count", agg.Count[sale]()).
			To("out", file.JSONL[pane](w.Path("out")))
		return job
	}
	for _, p := range millracetest.Points() {
		tb := &fake{}
		r := millracetest.Crash(tb, build, millracetest.At(p), millracetest.Kills(2), millracetest.Parallelism(1, 2))
		switch {
		case p == "file.withdraw", // only after a checkpoint was damaged
			strings.HasPrefix(p, "release."): // only with AtMostOnce, before a sink that writes through
			if !strings.Contains(tb.failure, "passes none") {
				t.Errorf("%s: %q, %+v", p, tb.failure, r)
			}
		case strings.HasPrefix(p, "recover."): // before any work
			if !strings.Contains(tb.failure, "none hit the job at work") {
				t.Errorf("%s: %q, %+v", p, tb.failure, r)
			}
		case tb.failure != "" && !strings.Contains(tb.failure, "none hit the job at work") || r.Points[p] == 0:
			t.Errorf("%s: %s", p, tb.failure)
		}
	}
}

// TestPointsAreThoseOfTheEngine: the list of the engine's own points is that of the places in its code.
func TestPointsAreThoseOfTheEngine(t *testing.T) {
	names := map[string]bool{}
	files, err := filepath.Glob("../internal/engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Hit\("([^"]+)"\)`).FindAllStringSubmatch(string(b), -1) {
			names[m[1]] = true
		}
	}
	for _, p := range engine.Points {
		if !names[p] {
			t.Errorf("%s is in the list and not in the code", p)
		}
		delete(names, p)
	}
	if len(names) > 0 {
		t.Errorf("in the code and not in the list: %v", names)
	}
}
