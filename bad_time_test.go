package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

var errEnough = errors.New("the test has seen enough")

// drive runs a job, in virtual time, until step, called with its status again and again, says that it is enough; the job is then
// stopped. A step that never says so fails the test after a time.
func drive(t *testing.T, job *millrace.Job, cfg millrace.Config, step func(s millrace.Status) bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { driveNow(t, job, cfg, step) })
}

func driveNow(t *testing.T, job *millrace.Job, cfg millrace.Config, step func(s millrace.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx, end := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("what the test waits for did not come"))
	defer end()
	cfg.ObserveEvery = time.Millisecond
	done := false
	var last millrace.Status
	cfg.Observe = func(s millrace.Status) {
		last = s
		if !done && !s.Ended && step(s) {
			done = true
			cancel(errEnough)
		}
	}
	if err := millrace.Run(ctx, job, cfg); !errors.Is(err, errEnough) {
		t.Fatalf("got %v; the last status is %+v", err, last)
	}
}

// steps goes through conditions in order: each is asked until it holds.
func steps(fs ...func(s millrace.Status) bool) func(millrace.Status) bool {
	return func(s millrace.Status) bool {
		if len(fs) > 0 && fs[0](s) {
			fs = fs[1:]
		}
		return len(fs) == 0
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// rows writes CSV rows of one key, one for each time in seconds.
func rows(key string, at ...int) string {
	var b strings.Builder
	for _, s := range at {
		fmt.Fprintf(&b, "%s,%d,1\n", key, s)
	}
	return b.String()
}

// followed counts per minute what is appended to the files of a directory.
func followed(in string, idle time.Duration, out *memory.Sink[millrace.Pane[string, int64]], late *memory.Sink[reading]) *millrace.Job {
	timing := millrace.EventTime(reading.time)
	if idle > 0 {
		timing = timing.IdleAfter(idle)
	}
	return followedBy(in, timing, out, late)
}

func followedBy(in string, timing millrace.Timing[reading], out *memory.Sink[millrace.Pane[string, int64]], late *memory.Sink[reading]) *millrace.Job {
	job := millrace.NewJob("follow")
	w := job.From("in", file.CSV[reading](filepath.Join(in, "*.csv")).Follow(5*time.Millisecond), timing).
		KeyBy(reading.key).Window(window.Tumbling(time.Minute))
	w.Aggregate("n", agg.Count[reading]()).To("out", out)
	w.Late().To("late", late)
	return job
}

func live(state string) millrace.Config {
	return millrace.Config{Parallelism: 2, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: state, Interval: 5 * time.Millisecond}}
}

func panes(out *memory.Sink[millrace.Pane[string, int64]]) string {
	var all []string
	for _, p := range out.Records() {
		all = append(all, fmt.Sprintf("%s@%d=%d", p.Key, p.Start.Unix()/60, p.Value))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestFollowedFilesGrowAndAppear: results come while the job runs, and after a stop the next run goes on.
func TestFollowedFilesGrowAndAppear(t *testing.T) {
	noLeaks(t)
	in, state := t.TempDir(), t.TempDir()
	out, late := counts(), memory.NewSink[reading]()
	a, b, c := filepath.Join(in, "a.csv"), filepath.Join(in, "b.csv"), filepath.Join(in, "c.csv")
	appendTo(t, a, "key,at,n\n"+rows("a", 1, 2, 61))
	drive(t, followed(in, 20*time.Millisecond, out, late), live(state), steps(
		func(millrace.Status) bool { return panes(out) == "a@0=2" },
		func(millrace.Status) bool { appendTo(t, a, rows("a", 62, 63)+"a,12"); return true }, // a line that is not complete
		func(s millrace.Status) bool { return s.In == 5 },
		func(millrace.Status) bool { appendTo(t, a, "5,1\n"); return true },
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@1=3" },
		func(millrace.Status) bool { appendTo(t, b, "key,at,n\n"+rows("b", 130, 200)); return true },
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@1=3 a@2=1 b@2=1" },
	))
	// While nobody looks, one file grows and one appears.
	appendTo(t, b, rows("b", 201, 202))
	appendTo(t, c, "key,at,n\n"+rows("c", 203, 300))
	drive(t, followed(in, 20*time.Millisecond, out, late), live(state), steps(
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@1=3 a@2=1 b@2=1 b@3=3 c@3=1" },
	))
	if n := len(late.Records()); n != 0 {
		t.Errorf("%d records are late: %v", n, late.Records())
	}
}

// TestIdleSplitHoldsNothingUp: with IdleAfter a quiet file lets windows fire; without, it does not. When it wakes, what it
// brings is judged by the watermark.
func TestIdleSplitHoldsNothingUp(t *testing.T) {
	noLeaks(t)
	in, state := t.TempDir(), t.TempDir()
	out, late := counts(), memory.NewSink[reading]()
	a, b := filepath.Join(in, "a.csv"), filepath.Join(in, "b.csv")
	appendTo(t, a, "key,at,n\n"+rows("a", 1, 2))
	appendTo(t, b, "key,at,n\n"+rows("b", 3))
	waited := 0
	drive(t, followed(in, 0, out, late), live(state), steps(
		func(s millrace.Status) bool { return s.In == 3 },
		func(millrace.Status) bool { appendTo(t, a, rows("a", 65, 70)); return true },
		func(s millrace.Status) bool { return s.In == 5 },
		func(millrace.Status) bool { waited++; return waited > 60 },
	))
	if got := panes(out); got != "" {
		t.Fatalf("windows have fired although b.csv may still bring records for them: %s", got)
	}
	woken := 0
	drive(t, followed(in, 20*time.Millisecond, out, late), live(state), steps(
		func(millrace.Status) bool { return panes(out) == "a@0=2 b@0=1" },
		func(millrace.Status) bool { appendTo(t, b, rows("b", 4)); return true }, // late: its window has fired
		func(millrace.Status) bool { woken = len(late.Records()); return woken == 1 },
		func(millrace.Status) bool { appendTo(t, b, rows("b", 66)+rows("b", 130)); return true },
		func(s millrace.Status) bool { return s.In == 8 },
		func(millrace.Status) bool { appendTo(t, a, rows("a", 131)); return true },
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@1=2 b@0=1 b@1=1" },
	))
	// All idle: the watermark is the largest, also after a restart.
	drive(t, followed(in, 20*time.Millisecond, out, late), live(state), steps(
		func(millrace.Status) bool { appendTo(t, a, rows("a", 200)); return true },
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@1=2 a@2=1 b@0=1 b@1=1 b@2=1" },
	))
	if r := late.Records(); len(r) != 1 || r[0].Key != "b" || r[0].At.Unix() != 4 {
		t.Errorf("late are %v, want b at 4", r)
	}
}

// TestWatermarkReachesTheLastOfManyAfterRestart: one source has ended before the stop, the other is followed. The windows at the end of
// a deep graph fire only if the restored watermarks come through all of it.
func TestWatermarkReachesTheLastOfManyAfterRestart(t *testing.T) {
	noLeaks(t)
	in, state := t.TempDir(), t.TempDir()
	out := counts()
	a := filepath.Join(in, "a.csv")
	appendTo(t, a, "key,at,n\n"+rows("a", 1, 2, 61))
	ended := []reading{{"e", time.Unix(5, 0), 1}, {"e", time.Unix(7, 0), 1}}
	build := func() *millrace.Job {
		job := millrace.NewJob("deep")
		timing := millrace.EventTime(reading.time)
		s := job.From("ended", memory.Of(ended...), timing).
			Union(job.From("empty", memory.Of[reading](), timing), job.From("in", file.CSV[reading](in).Follow(5*time.Millisecond), timing))
		pass := func(p *millrace.Proc[string, int64, reading], r reading) error { *p.State()++; p.Emit(r); return nil }
		w := s.KeyBy(reading.key).Process("one", pass).KeyBy(reading.key).Process("two", pass).
			KeyBy(reading.key).Window(window.Tumbling(time.Minute)).Aggregate("n", agg.Count[reading]())
		w.KeyBy(func(p millrace.Pane[string, int64]) string { return p.Key }).Window(window.Tumbling(time.Minute)).
			Aggregate("again", agg.Sum(func(p millrace.Pane[string, int64]) int64 { return p.Value })).To("out", out)
		return job
	}
	drive(t, build(), live(state), steps(
		func(millrace.Status) bool { return panes(out) == "a@0=2 e@0=2" },
		func(s millrace.Status) bool { return s.Epoch > 3 },
	))
	want := panes(out)
	for i := range 3 {
		at := 60 * (i + 2)
		want += fmt.Sprintf(" a@%d=1", i+1)
		sorted := strings.Fields(want)
		slices.Sort(sorted)
		drive(t, build(), live(state), steps(
			func(millrace.Status) bool { appendTo(t, a, rows("a", at+1)); return true },
			func(millrace.Status) bool { return panes(out) == strings.Join(sorted, " ") },
		))
	}
}

// TestEndLeavesIdleInputsAlone: the last input of a task that was not idle ends. From then on the task holds nothing up, and those behind it
// must hear of it, or they wait for ever.
func TestEndLeavesIdleInputsAlone(t *testing.T) {
	noLeaks(t)
	in, out := t.TempDir(), counts()
	appendTo(t, filepath.Join(in, "a.csv"), "key,at,n\n"+rows("a", 1, 2, 61))
	var open atomic.Bool
	ends := gated[reading]{memory.Splits([]reading{{"e", time.Unix(5, 0), 1}}, []reading{{"e", time.Unix(7, 0), 1}}), &open}
	timing := millrace.EventTime(reading.time)
	job := millrace.NewJob("deep")
	job.From("ends", ends, timing).Union(job.From("in", file.CSV[reading](in).Follow(5*time.Millisecond), timing)).
		KeyBy(reading.key).Window(window.Tumbling(time.Minute)).Aggregate("n", agg.Count[reading]()).To("out", out)
	drive(t, job, live(t.TempDir()), steps(
		func(s millrace.Status) bool { return s.In == 3 && s.Epoch > 10 }, // the second subtask of in, which has no file, has said that it is idle
		func(millrace.Status) bool { open.Store(true); return true },
		func(millrace.Status) bool { return panes(out) == "a@0=2 e@0=2" },
	))
}

// TestSourceThatEndedStaysEndedAfterRestart: records of the other source are judged as if nobody had stopped the job, from the
// first one on.
func TestSourceThatEndedStaysEndedAfterRestart(t *testing.T) {
	noLeaks(t)
	const n = 600
	var in []ride
	for i := range n { // every 3rd is late when the watermark follows this source alone
		at := int64(100 + i)
		if i%3 == 2 {
			at -= 80
		}
		in = append(in, ride{Base: fmt.Sprint(i % 5), At: at, N: 1})
	}
	for kill := 1; kill <= 5; kill++ {
		dir, out, late := t.TempDir(), counts(), memory.NewSink[ride]()
		var open atomic.Bool
		build := func() *millrace.Job {
			job := millrace.NewJob("job")
			w := job.From("ended", memory.Of(ride{Base: "e", At: 1}), millrace.EventTime(ride.time)).
				Union(job.From("in", gated[ride]{Source: memory.Of(in...), open: &open}, millrace.EventTime(ride.time))).
				KeyBy(ride.base).Window(window.Tumbling(20 * time.Second))
			w.Aggregate("n", count()).To("out", out)
			w.Late().To("late", late)
			return job
		}
		cfg := small(dir)
		cfg.Checkpoint.EveryRecords = 50
		cfg.Checkpoint.Interval = 2 * time.Millisecond
		// The second source begins when the end of the first has been seen by all, and is in a checkpoint.
		var seen uint64
		drive(t, build(), cfg, steps(
			func(s millrace.Status) bool {
				seen = s.Epoch
				return s.In == 1 && len(s.Operators) > 3 && operatorIn(s, "n") == 1
			},
			func(s millrace.Status) bool { return s.Epoch > seen+3 },
		))
		open.Store(true)
		killAt(t, build(), cfg, "commit.after", kill)
		if err := millrace.Run(context.Background(), build(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := len(late.Records()); got != n/3 {
			t.Fatalf("killed at commit %d: %d records are late, want %d", kill, got, n/3)
		}
		if got := total(out.Records()) + int64(len(late.Records())); got != n+1 {
			t.Fatalf("killed at commit %d: %d records, want %d", kill, got, n+1)
		}
	}
}

func operatorIn(s millrace.Status, id string) int64 {
	for _, o := range s.Operators {
		if o.ID == id {
			return o.In
		}
	}
	return -1
}

// gated is a source that has nothing until it is opened.
type gated[T any] struct {
	connect.Source[T]
	open *atomic.Bool
}

func (g gated[T]) Open(ctx context.Context, s connect.Split, pos []byte) (connect.Reader[T], error) {
	r, err := g.Source.Open(ctx, s, pos)
	return gatedReader[T]{r, g}, err
}

type gatedReader[T any] struct {
	connect.Reader[T]
	g gated[T]
}

func (r gatedReader[T]) Read(ctx context.Context, records []T) (int, error) {
	if !r.g.open.Load() {
		return 0, nil
	}
	return r.Reader.Read(ctx, records)
}

// TestEndOfInput: windows that are open fire once at the end, whatever the splits hold.
func TestEndOfInput(t *testing.T) {
	for _, c := range []struct {
		name   string
		splits [][]ride
		want   string
	}{
		{"no records", [][]ride{{}}, ""},
		{"no splits", nil, ""},
		{"an empty split beside others", [][]ride{{}, {{Base: "a", At: 1}}, {}, {{Base: "a", At: 100}}}, "a@0=1 a@1=1"},
		{"open windows", [][]ride{{{Base: "a", At: 1}, {Base: "b", At: 2}, {Base: "a", At: 3}}}, "a@0=2 b@0=1"},
		{"more splits than subtasks", [][]ride{{{Base: "a"}}, {{Base: "a"}}, {{Base: "a"}}, {{Base: "a"}}, {{Base: "a"}}}, "a@0=5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			out, dir := counts(), t.TempDir()
			for range 2 { // the second run has nothing to do
				job := millrace.NewJob("job")
				minute(job.From("in", memory.Splits(c.splits...), millrace.EventTime(ride.time))).Aggregate("n", count()).To("out", out)
				if err := millrace.Run(context.Background(), job, small(dir)); err != nil {
					t.Fatal(err)
				}
				if got := panes(out); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

// TestBlockedSinkHoldsTheSource: memory stays bounded while nothing can be written, and nothing is lost.
func TestBlockedSinkHoldsTheSource(t *testing.T) {
	noLeaks(t)
	const n = 300_000
	release := make(chan struct{})
	var once sync.Once
	out := hooked[ride]{Sink: memory.NewSink[ride](), write: func(ctx context.Context, _ []ride) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	job := millrace.NewJob("job")
	job.From("in", memory.Of(manyRides(n)...), millrace.EventTime(ride.time)).KeyBy(ride.base).
		Process("p", func(p *millrace.Proc[string, int64, ride], r ride) error { *p.State()++; p.Emit(r); return nil }).To("out", out)
	var before, still, held int64
	cfg := millrace.Config{Parallelism: 2, Log: quiet(), BufferRecords: 512, ObserveEvery: time.Millisecond}
	cfg.Observe = func(s millrace.Status) {
		if still++; s.In != before {
			before, still = s.In, 0
		}
		if still == 50 || s.Ended {
			once.Do(func() { held = s.In; close(release) })
		}
	}
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		t.Fatal(err)
	}
	// Each of two edges: its buffer, a batch beyond it, one being filled and one at the consumer; and the batch of the source.
	if most := int64(2*(512+3*256) + 2*1024); held == 0 || held > most {
		t.Errorf("%d records were read while the sink stood still, at most %d may be", held, most)
	}
	if got := len(out.Records()); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
}

// TestSmallestBuffers: a buffer of one record makes a job slow and nothing else.
func TestSmallestBuffers(t *testing.T) {
	noLeaks(t)
	in, out := t.TempDir(), t.TempDir()
	put(t, in, "in.csv", disorder(41, 2000, 8))
	cfg := small(t.TempDir())
	cfg.BufferRecords, cfg.BufferBytes, cfg.Linger = 1, 1, time.Nanosecond
	if err := millrace.Run(context.Background(), sumJob(in, out), cfg); err != nil {
		t.Fatal(err)
	}
	same(t, "output", visible(t, out), undisturbed(t, in))
}

// TestSlowPartsDoNotStopEpochs: a slow sink, and one slow input beside a fast one, let epochs complete.
func TestSlowPartsDoNotStopEpochs(t *testing.T) {
	noLeaks(t)
	slow := task.NewSystem()
	out := hooked[ride]{Sink: memory.NewSink[ride](), write: func(context.Context, []ride) error {
		slow.NewEvent().Wait(time.Millisecond)
		return nil
	}}
	job := millrace.NewJob("job")
	job.From("fast", memory.Of(manyRides(60_000)...)).
		Union(job.From("slow", sluggish{memory.Of(manyRides(300)...)})).
		KeyBy(ride.base).Process("p", func(p *millrace.Proc[string, int64, ride], r ride) error { *p.State()++; p.Emit(r); return nil }).To("out", out)
	cfg := live(t.TempDir())
	cfg.BufferRecords = 256
	var last millrace.Status
	cfg.Observe = func(s millrace.Status) { last = s }
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		t.Fatal(err)
	}
	if last.Epochs < 4 || last.FailedEpochs > 0 {
		t.Errorf("%d epochs were decided, %d failed, in %v", last.Epochs, last.FailedEpochs, last.Elapsed)
	}
	if got := len(out.Records()); got != 60_300 {
		t.Errorf("%d records, want 60300", got)
	}
}

// sluggish is a source that gives one record at a time, a millisecond each.
type sluggish struct{ *memory.Source[ride] }

func (s sluggish) Open(ctx context.Context, split connect.Split, pos []byte) (connect.Reader[ride], error) {
	r, err := s.Source.Open(ctx, split, pos)
	return sluggishReader{r}, err
}

type sluggishReader struct{ connect.Reader[ride] }

func (r sluggishReader) Read(ctx context.Context, records []ride) (int, error) {
	task.NewSystem().NewEvent().Wait(time.Millisecond)
	n, err := r.Reader.Read(ctx, records[:1])
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, err
}
