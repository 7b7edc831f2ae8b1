package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// killAt runs the job until the n-th pass of a fault point, where it dies.
func killAt(t *testing.T, job *millrace.Job, cfg millrace.Config, point string, n int) {
	t.Helper()
	dead := false
	ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: func(p string) error {
		if p == point && !dead {
			n--
			dead = n == 0
		}
		if dead {
			return errKilled
		}
		return nil
	}})
	if err := millrace.Run(ctx, job, cfg); !errors.Is(err, errKilled) {
		t.Fatalf("killed at %s: the run says %v", point, err)
	}
}

// serial makes fault points be passed by one goroutine at a time in effect: one subtask each.
func serial(state string) millrace.Config {
	cfg := small(state)
	cfg.Parallelism = 1
	return cfg
}

// TestChangedJobsAreRefused restores a checkpoint into a job that is another in one way each.
func TestChangedJobsAreRefused(t *testing.T) {
	type state struct{ N int64 }
	type other struct{ N string }
	var in []ride
	for i := range 2000 {
		in = append(in, ride{Base: fmt.Sprint(i % 5), At: int64(i), N: 1})
	}
	source := func(job *millrace.Job) millrace.Stream[ride] {
		return job.From("in", memory.Of(in...), millrace.EventTime(ride.time))
	}
	process := func(job *millrace.Job, id string) {
		source(job).KeyBy(ride.base).Process(id, func(p *millrace.Proc[string, state, ride], r ride) error {
			p.State().N++
			return nil
		}).To("out", memory.NewSink[ride]())
	}
	const changed = "millrace: job \"job\" has changed since its checkpoint N and cannot go on from it:\n"
	for _, c := range []struct {
		name  string
		build func(job *millrace.Job)
		cfg   func(*millrace.Config)
		want  string
	}{
		{
			"other key groups", func(j *millrace.Job) { process(j, "op") }, func(c *millrace.Config) { c.KeyGroups = 64 },
			`millrace: the checkpoint of job "job" has 128 key groups, the configuration says 64: their number is fixed at the first start; set KeyGroups to 128`,
		},
		{
			"operator removed", func(j *millrace.Job) { source(j).To("out", memory.NewSink[ride]()) }, nil,
			changed + `operator "op" (process) is in the checkpoint and not in the job: its state would be lost; bring it back, or give it up: Drop "op"`,
		},
		{
			"operator renamed", func(j *millrace.Job) { process(j, "op2") }, nil,
			changed + `operator "op" (process) is in the checkpoint and not in the job: its state would be lost; bring it back, or give it up: Drop "op"`,
		},
		{
			"source renamed", func(j *millrace.Job) {
				j.From("in2", memory.Of(in...), millrace.EventTime(ride.time)).KeyBy(ride.base).
					Process("op", func(p *millrace.Proc[string, state, ride], r ride) error { return nil }).To("out", memory.NewSink[ride]())
			}, nil,
			changed + `operator "in" (source) is in the checkpoint and not in the job: its state would be lost; bring it back, or give it up: Drop "in"`,
		},
		{
			"another kind", func(j *millrace.Job) {
				minute(source(j)).Aggregate("op", count()).To("out", counts())
			}, nil,
			changed + `operator "op" was a process in the checkpoint and is a aggregate now (JOB:LINE): give the new one another id, or give it up: Drop "op"`,
		},
		{
			"another state type", func(j *millrace.Job) {
				source(j).KeyBy(ride.base).Process("op", func(p *millrace.Proc[string, other, ride], r ride) error { return nil }).
					To("out", memory.NewSink[ride]())
			}, nil,
			changed + `operator "op" (JOB:LINE): state was "struct{N int64}" in the checkpoint and is "struct{N string}" now (N was int64 and is string): bring the old one back, or give it up: Drop "op/state"`,
		},
		{
			"another key type", func(j *millrace.Job) {
				source(j).KeyBy(func(r ride) int64 { return r.N }).
					Process("op", func(p *millrace.Proc[int64, state, ride], r ride) error { return nil }).To("out", memory.NewSink[ride]())
			}, nil,
			changed + `operator "op" (JOB:LINE): key was "string" in the checkpoint and is "int64" now: bring the old one back, or give it up: Drop "op"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			dir := t.TempDir()
			job := millrace.NewJob("job")
			process(job, "op")
			killAt(t, job, serial(dir), "commit.after", 4)
			other := millrace.NewJob("job")
			c.build(other)
			cfg := serial(dir)
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			err := millrace.Run(context.Background(), other, cfg)
			if got := digits(normal(err, dir), c.want); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestCheckpointsOfAnotherJobAreRefused puts the directory of one job under the name of another.
func TestCheckpointsOfAnotherJobAreRefused(t *testing.T) {
	noLeaks(t)
	in, dir := t.TempDir(), t.TempDir()
	put(t, in, "in.csv", disorder(1, 300, 2))
	if err := millrace.Run(context.Background(), sumJob(in, t.TempDir()), serial(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "sums"), filepath.Join(dir, "job")); err != nil {
		t.Fatal(err)
	}
	job := millrace.NewJob("job")
	job.From("in", memory.Of[ride]()).To("out", memory.NewSink[ride]())
	err := millrace.Run(context.Background(), job, serial(dir))
	if got := normal(err, dir); !errors.Is(err, snapshot.ErrOtherJob) || !strings.Contains(got, `belongs to job "sums", this is job "job": give this one another directory`) {
		t.Errorf("got %s", got)
	}
}

// damaged holds what the tests of damage need: a job that was killed after some epochs.
type damaged struct {
	in, out, state string
	want           []string
}

func killed(t *testing.T) damaged {
	t.Helper()
	d := damaged{in: t.TempDir(), out: t.TempDir(), state: t.TempDir()}
	put(t, d.in, "in.csv", disorder(5, 2000, 8))
	d.want = undisturbed(t, d.in)
	killAt(t, sumJob(d.in, d.out), serial(d.state), "commit.after", 6)
	if n := len(visible(t, d.out)); n == 0 || n >= len(d.want) {
		t.Fatalf("%d of %d lines are visible at the kill: the test shows nothing", n, len(d.want))
	}
	return d
}

func (d damaged) files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.state, "sums", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	slices.Sort(found)
	return found
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// again runs the job to its end and returns what it logged.
func (d damaged) again(t *testing.T) string {
	t.Helper()
	log, text := logged()
	cfg := small(d.state)
	cfg.Log = log
	if err := millrace.Run(context.Background(), sumJob(d.in, d.out), cfg); err != nil {
		t.Fatal(err)
	}
	same(t, "after the damage", visible(t, d.out), d.want)
	return text()
}

func TestDamagedManifestIsRepairedFromItsCopy(t *testing.T) {
	noLeaks(t)
	d := killed(t)
	newest := d.files(t, "manifest-*[0-9]")
	flip(t, newest[len(newest)-1])
	if log := d.again(t); !strings.Contains(log, "both written anew") || strings.Contains(log, "withdrawn") {
		t.Errorf("the log does not tell of the repair, or tells of more:\n%s", log)
	}
}

func TestLostNewestManifestFallsBackAndWithdrawsOutput(t *testing.T) {
	noLeaks(t)
	d := killed(t)
	for _, f := range newestOf(d.files(t, "manifest-*")) {
		flip(t, f)
	}
	log := d.again(t)
	for _, want := range []string{"level=WARN", "checkpoint 6", "is withdrawn to", "readers may have seen it"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

// newestOf returns the two files of the newest manifest.
func newestOf(manifests []string) []string { return manifests[len(manifests)-2:] }

func TestDamagedStateFallsBack(t *testing.T) {
	for _, how := range []string{"flipped", "truncated", "empty", "missing"} {
		t.Run(how, func(t *testing.T) {
			noLeaks(t)
			d := killed(t)
			data := d.files(t, "e*.mrs")
			path := data[len(data)-1]
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			switch how {
			case "flipped":
				flip(t, path)
			case "truncated":
				err = os.Truncate(path, info.Size()/2)
			case "empty":
				err = os.Truncate(path, 0)
			case "missing":
				err = os.Remove(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if log := d.again(t); !strings.Contains(log, filepath.Base(path)) || !strings.Contains(log, "is withdrawn to") {
				t.Errorf("the log does not name %s:\n%s", filepath.Base(path), log)
			}
		})
	}
}

func TestWhenAllCheckpointsAreDamagedTheJobStops(t *testing.T) {
	noLeaks(t)
	d := killed(t)
	for _, f := range d.files(t, "manifest-*") {
		flip(t, f)
	}
	before := visible(t, d.out)
	err := millrace.Run(context.Background(), sumJob(d.in, d.out), small(d.state))
	if !errors.Is(err, snapshot.ErrNoCheckpoint) {
		t.Fatalf("got %v, want %v", err, snapshot.ErrNoCheckpoint)
	}
	for _, want := range []string{"put the files back from a backup, or move the directory away to start from the beginning", "checkpoint 6: ", "checkpoint 5: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	same(t, "output", visible(t, d.out), before)
	// The way out that the message names: but the output is there, and is not written a second time.
	if err := os.RemoveAll(d.state); err != nil {
		t.Fatal(err)
	}
	err = millrace.Run(context.Background(), sumJob(d.in, d.out), small(d.state))
	if s := normal(err, d.out); !strings.Contains(s, `operator "sums" (subtask 0, made at JOB:LINE): recover output of epoch 0: file: DIR/sums holds output (`) ||
		!strings.Contains(s, "restore the checkpoint directory, or move the output away, or write to another directory") {
		t.Errorf("state deleted, output there: got %s", s)
	}
	same(t, "output", visible(t, d.out), before)
	if err := os.RemoveAll(d.out); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.state); err != nil {
		t.Fatal(err)
	}
	d.again(t)
}

func TestLostCheckpointsAreMissed(t *testing.T) {
	noLeaks(t)
	d := killed(t)
	for _, pattern := range []string{"manifest-*", "e*.mrs"} {
		for _, f := range d.files(t, pattern) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := millrace.Run(context.Background(), sumJob(d.in, d.out), small(d.state))
	if !errors.Is(err, snapshot.ErrNoCheckpoint) || !strings.Contains(err.Error(), "manifests of 0 epochs are there") {
		t.Errorf("got %v", err)
	}
}

func TestSecondCopyOfAJobIsRefused(t *testing.T) {
	noLeaks(t)
	in, state := t.TempDir(), t.TempDir()
	put(t, in, "in.csv", disorder(5, 400, 8))
	var second error
	tried := false
	cfg := small(state)
	out := t.TempDir()
	cfg.ObserveEvery = time.Nanosecond
	cfg.Observe = func(s millrace.Status) {
		if !tried && !s.Ended {
			tried = true
			second = millrace.Run(context.Background(), sumJob(in, out), small(state))
		}
	}
	if err := millrace.Run(context.Background(), sumJob(in, out), cfg); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`held by process %d on `, os.Getpid())
	if !errors.Is(second, fsx.ErrLocked) || !strings.Contains(second.Error(), want) ||
		!strings.Contains(second.Error(), "stop that one, or give this one another name or directory") {
		t.Errorf("the second copy says %v, want the holder: %s", second, want)
	}
	same(t, "output of the first", visible(t, out), undisturbed(t, in))
}

func TestFinishedJobDoesNothingAgain(t *testing.T) {
	noLeaks(t)
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, in, "in.csv", disorder(5, 800, 30))
	var last [2]millrace.Status
	var lines [2][]string
	for i := range last {
		cfg := small(state)
		cfg.Observe = func(s millrace.Status) { last[i] = s }
		if err := millrace.Run(context.Background(), sumJob(in, out), cfg); err != nil {
			t.Fatal(err)
		}
		lines[i] = visible(t, out)
	}
	same(t, "second run", lines[1], lines[0])
	a, b := last[0], last[1]
	if b.InRun != 0 || !b.Finished || !b.Ended {
		t.Errorf("the second run read %d records; finished: %v, ended: %v", b.InRun, b.Finished, b.Ended)
	}
	if a.Late == 0 {
		t.Error("no record is late: the test shows less than it could")
	}
	a.Elapsed, b.Elapsed, a.InRun, a.EpochTime, b.EpochTime, a.BarrierPause = 0, 0, 0, 0, 0, 0
	if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
		t.Errorf("the second summary differs:\n%s\n%s", x, y)
	}
}

// TestUnchangedTypesGoOnUnderNewNames shows the allowed change of a job: what is kept has the same types.
func TestUnchangedTypesGoOnUnderNewNames(t *testing.T) {
	noLeaks(t)
	var in []ride
	for i := range 1000 {
		in = append(in, ride{Base: fmt.Sprint(i % 5), At: int64(i), N: 1})
	}
	dir, out := t.TempDir(), counts()
	build := func(name string) *millrace.Job {
		job := millrace.NewJob("job")
		job.From("in", memory.Of(in...), millrace.EventTime(ride.time)).
			Filter(func(ride) bool { return true }).As(name).
			KeyBy(ride.base).Window(window.Sliding(time.Minute, 10*time.Second)).Aggregate("n", agg.Count[ride]()).To("out", out)
		return job
	}
	killAt(t, build("old"), serial(dir), "commit.after", 4)
	if err := millrace.Run(context.Background(), build("new"), serial(dir)); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, p := range out.Records() {
		sum += p.Value
	}
	if sum != 6*int64(len(in)) {
		t.Errorf("%d records in windows, want %d", sum, 6*len(in))
	}
}
