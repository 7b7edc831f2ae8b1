package millrace_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
)

// slowSplit is a memory source whose first split gives ten records at a time, a millisecond for each time, and, if it waits, nothing before the
// other split has been read to its end.
type slowSplit struct {
	*memory.Source[ride]
	waits bool
	other *atomic.Bool
}

func (s slowSplit) Open(ctx context.Context, split connect.Split, pos []byte) (connect.Reader[ride], error) {
	r, err := s.Source.Open(ctx, split, pos)
	return slowReader{r, s, split.ID == "slice-000000"}, err
}

type slowReader struct {
	connect.Reader[ride]
	from slowSplit
	slow bool
}

func (r slowReader) Read(ctx context.Context, records []ride) (int, error) {
	if !r.slow {
		n, err := r.Reader.Read(ctx, records)
		r.from.other.Store(err != nil)
		return n, err
	}
	if r.from.waits && !r.from.other.Load() {
		return 0, nil
	}
	task.NewSystem().NewEvent().Wait(time.Millisecond)
	return r.Reader.Read(ctx, records[:min(10, len(records))])
}

// TestF31SplitYearsAhead: a split whose times are years ahead of those of a slow one opens windows that cannot fire before the slow one has come so
// far. Without alignment all of them are open at once; with it, those of a batch. Results are the same.
func TestF31SplitYearsAhead(t *testing.T) {
	noLeaks(t)
	const n, decade = 4000, 10 * 365 * 24 * 3600
	var slow, ahead []ride
	for i := range int64(500) {
		slow = append(slow, ride{Base: "slow", At: i})
	}
	for i := range int64(n) {
		ahead = append(ahead, ride{Base: "ahead", At: decade + 60*i}) // each opens a window
	}
	timing := millrace.EventTime(ride.time)
	// run returns the largest number of windows that were open while the slow split was read.
	run := func(timing millrace.Timing[ride], waits bool, parallelism int) (most int64, got []string) {
		out := counts()
		job := millrace.NewJob("ahead")
		minute(job.From("in", slowSplit{memory.Splits(slow, ahead), waits, &atomic.Bool{}}, timing)).Aggregate("n", count()).To("out", out)
		cfg := millrace.Config{Parallelism: parallelism, BufferRecords: 256, Log: quiet(), ObserveEvery: time.Millisecond}
		cfg.Observe = func(s millrace.Status) {
			if !s.Watermark.IsZero() && s.Watermark.Unix() < 499 {
				most = max(most, s.OpenWindows)
			}
		}
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Records() {
			got = append(got, fmt.Sprint(p.Key, p.Start.Unix(), p.Value))
		}
		slices.Sort(got)
		return most, got
	}
	without, want := run(timing, true, 2)
	with, got := run(timing.AlignWithin(time.Hour), false, 2)
	alone, same := run(timing.AlignWithin(time.Hour), false, 1)
	t.Logf("most windows open while the slow split was read: %d without alignment, %d with it, %d with it in one subtask", without, with, alone)
	if without < n/2 { // some wait between the tasks
		t.Errorf("%d windows were open without alignment: the test shows nothing", without)
	}
	if limit := int64(operator.BatchSize + 2); with == 0 || with > limit || alone == 0 || alone > limit {
		t.Errorf("%d and %d windows were open with alignment, at most %d may be: those of a batch, and those of the slow split", with, alone, limit)
	}
	if len(want) != n+9 || !slices.Equal(got, want) || !slices.Equal(same, want) {
		t.Errorf("%d results without alignment, %d and %d with", len(want), len(got), len(same))
	}
}

// TestAlignedJobSurvivesCrashes: which splits wait is not part of a checkpoint, and need not be.
func TestAlignedJobSurvivesCrashes(t *testing.T) {
	var splits [][]ride
	for s := range 3 {
		var in []ride
		for i := range 300 {
			in = append(in, ride{Base: fmt.Sprint("b", i%4), At: int64(i * (1 + 10*s)), N: int64(1000*s + i)})
		}
		splits = append(splits, in)
	}
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("aligned")
		timing := millrace.EventTime(ride.time)
		one := job.From("one", memory.Splits(splits...), timing.AlignWithin(20*time.Second).AlignGroup("both"))
		two := job.From("two", memory.Splits(splits[1:]...), timing.AlignWithin(time.Minute).AlignGroup("both"))
		minute(one.Union(two)).Aggregate("n", agg.Sum(func(r ride) int64 { return r.N })).To("out", w.Collect[millrace.Pane[string, int64]]("out"))
		return job
	}, millracetest.Kills(8))
}

// TestAlignmentIdlenessAndEndDoNotBlockEachOther: a followed file that is quiet, one that is far ahead and one that comes later (FLINK-32496): all is read,
// the watermark goes on.
func TestAlignmentIdlenessAndEndDoNotBlockEachOther(t *testing.T) {
	noLeaks(t)
	in := t.TempDir()
	out, late := counts(), memory.NewSink[reading]()
	appendTo(t, filepath.Join(in, "a.csv"), "key,at,n\n"+rows("a", 1, 2))
	appendTo(t, filepath.Join(in, "b.csv"), "key,at,n\n"+rows("b", 1000))
	job := func() *millrace.Job {
		return followedBy(in, millrace.EventTime(reading.time).IdleAfter(20*time.Millisecond).AlignWithin(10*time.Second), out, late)
	}
	state := t.TempDir()
	drive(t, job(), live(state), steps(
		func(s millrace.Status) bool { return s.In == 3 },
		func(millrace.Status) bool { appendTo(t, filepath.Join(in, "b.csv"), rows("b", 2000)); return true },
		func(s millrace.Status) bool { return panes(out) == "a@0=2 b@16=1" }, // a is idle: b holds nothing up
		func(millrace.Status) bool { appendTo(t, filepath.Join(in, "a.csv"), rows("a", 2001)); return true },
		func(millrace.Status) bool {
			appendTo(t, filepath.Join(in, "b.csv"), rows("b", 2100, 3000))
			return true
		},
		func(millrace.Status) bool { return panes(out) == "a@0=2 a@33=1 b@16=1 b@33=1 b@35=1" },
	))
	// Idle at the stop; the backlog is read, aligned, and is not late.
	appendTo(t, filepath.Join(in, "a.csv"), rows("a", 3001, 4000))
	appendTo(t, filepath.Join(in, "b.csv"), rows("b", 3002, 4001))
	drive(t, job(), live(state), steps(
		func(millrace.Status) bool {
			return panes(out) == "a@0=2 a@33=1 a@50=1 b@16=1 b@33=1 b@35=1 b@50=2"
		},
	))
	if n := len(late.Records()); n > 0 {
		t.Errorf("late are %v", late.Records())
	}
}

// TestF30IdlePartitions: the watermark goes on without idle splits, in whatever order they become so; when all are, it is the largest of them; what an
// awakened one brings is judged by it; each record is counted once, in a window or as late.
func TestF30IdlePartitions(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	orders := [][]string{{"a", "b", "c"}, {"a", "c", "b"}, {"b", "a", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"c", "b", "a"}}
	for _, order := range orders {
		script := millracetest.Script[ride]().
			Split("a").Records(ride{Base: "a", At: 5}).Watermark(at(70)).
			Split("b").Records(ride{Base: "b", At: 6}).Watermark(at(130)).
			Split("c").Records(ride{Base: "c", At: 7}).Watermark(at(10))
		for _, split := range order { // all idle: the watermark is that of b, 130 s
			script = script.Split(split).Idle()
		}
		script = script.
			Split("c").Records(ride{Base: "c", At: 119}). // wakes up behind: late
			Split("c").Records(ride{Base: "c", At: 121}). // in the window that has not fired
			Split("a").Records(ride{Base: "a", At: 59}).  // late
			Split("c").Watermark(at(185)).                // a and b hold it
			Split("b").Idle().Split("a").Idle().          // b is idle anyway
			Split("c").Records(ride{Base: "c", At: 184}, ride{Base: "c", At: 185})
		out, late := counts(), memory.NewSink[ride]()
		job := millrace.NewJob("idle")
		w := minute(job.From("in", script, millrace.EventTime(ride.time)))
		w.Aggregate("n", count()).To("out", out)
		w.Late().To("late", late)
		s := millracetest.Run(t, job)
		if got, want := panes(out), "a@0=1 b@0=1 c@0=1 c@2=1 c@3=2"; got != want {
			t.Errorf("idle in the order %v: panes %s, want %s", order, got, want)
		}
		if want := []ride{{Base: "c", At: 119}, {Base: "a", At: 59}}; !slices.Equal(late.Records(), want) {
			t.Errorf("idle in the order %v: late are %v, want %v", order, late.Records(), want)
		}
		if s.In != 8 || s.Late != 2 || total(out.Records())+s.Late != s.In {
			t.Errorf("idle in the order %v: %d in, %d late, %d in windows", order, s.In, s.Late, total(out.Records()))
		}
	}
}

// TestF30QuietPartitionBesideABusyOne: the busy split has a record at every look, so the quiet one is never alone; still it becomes idle and windows fire.
func TestF30QuietPartitionBesideABusyOne(t *testing.T) {
	noLeaks(t)
	out := counts()
	job := millrace.NewJob("busy")
	timing := millrace.EventTime(ride.time).IdleAfter(15 * time.Millisecond)
	minute(job.From("in", endless{}, timing)).Aggregate("n", count()).To("out", out)
	cfg := live(t.TempDir())
	cfg.Parallelism = 1
	drive(t, job, cfg, steps(func(millrace.Status) bool { return strings.Contains(panes(out), "quiet@0=1") }))
}

// endless has a split with one record and one that never stops.
type endless struct{}

func (endless) DiscoverEvery() time.Duration { return time.Hour }
func (endless) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: "busy"}, {ID: "quiet"}}, nil
}

func (endless) Open(_ context.Context, split connect.Split, _ []byte) (connect.Reader[ride], error) {
	return &endlessReader{id: split.ID}, nil
}

type endlessReader struct {
	id string
	n  int64
}

func (r *endlessReader) Read(_ context.Context, records []ride) (int, error) {
	if r.id == "quiet" && r.n > 0 {
		return 0, nil
	}
	task.NewSystem().NewEvent().Wait(100 * time.Microsecond)
	records[0] = ride{Base: r.id, At: r.n}
	r.n++
	return 1, nil
}
func (r *endlessReader) Position() []byte   { return []byte{} }
func (r *endlessReader) Where(i int) string { return fmt.Sprint(r.id, r.n) }
func (r *endlessReader) BytesRead() int64   { return 0 }
func (r *endlessReader) Close() error       { return nil }
