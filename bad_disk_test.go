package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
)

// TestErrorAtEveryCallOfTheFileSystem runs a small job with files in and out once for each call that it makes: that call
// fails, alone or with all that follow it, as at a full or dying disk. The next run, on a good disk, completes the output.
func TestErrorAtEveryCallOfTheFileSystem(t *testing.T) {
	noLeaks(t)
	for _, forGood := range []bool{false, true} {
		// Which records of a file are late depends on how far the other is read: with two files none is.
		t.Run(fmt.Sprintf("two files, for good %v", forGood), func(t *testing.T) {
			failAtEveryCall(t, forGood, disorder(11, 90, 3), disorder(12, 70, 3))
		})
		t.Run(fmt.Sprintf("late records, for good %v", forGood), func(t *testing.T) {
			failAtEveryCall(t, forGood, disorder(11, 160, 8))
		})
	}
}

// inMemory is a disk in memory with input files in /disk/in.
func inMemory(t *testing.T, files []string) fsx.FS {
	t.Helper()
	disk := fsx.NewMem()
	if err := disk.MkdirAll("/disk/in"); err != nil {
		t.Fatal(err)
	}
	for i, content := range files {
		f, err := disk.Create(fmt.Sprintf("/disk/in/%d.csv", i))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(f, content)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

func failAtEveryCall(t *testing.T, forGood bool, files ...string) {
	run := func(disk fsx.FS, fault func(fsx.Op) error) error {
		cfg := small("/disk/state")
		cfg.Checkpoint.EveryRecords = 60
		ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.Inject(disk, fault)})
		return millrace.Run(ctx, sumJob("/disk/in", "/disk/out"), cfg)
	}
	quietly := inMemory(t, files)
	if err := run(quietly, func(fsx.Op) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want := visibleIn(t, quietly, "/disk/out")
	var calls atomic.Int64
	if err := run(inMemory(t, files), func(fsx.Op) error { calls.Add(1); return nil }); err != nil {
		t.Fatal(err)
	}
	total := int(calls.Load())
	runs, failed, survived, step := 0, 0, 0, 1
	if forGood { // neighbours are much alike
		step = 4
	}
	for n := 1; n <= total; n += step {
		if n > total-16 { // among the last calls are those that may fail: what is tidied up behind the last commit
			step = 1
		}
		runs++
		errno := []error{syscall.ENOSPC, syscall.EIO}[runs%2]
		var at atomic.Value
		disk := inMemory(t, files)
		err := run(disk, func(op fsx.Op) error {
			if op.N < n || !forGood && op.N > n {
				return nil
			}
			if op.N == n {
				at.Store(fmt.Sprintf("%s %s", op.Kind, op.Path))
			}
			if op.Kind == fsx.OpWrite && op.N%3 == 0 {
				return &fsx.Partial{Bytes: op.Bytes / 2, Err: errno}
			}
			return errno
		})
		where := fmt.Sprintf("call %d of %d (%v)", n, total, at.Load())
		if err != nil {
			failed++
			if !errors.Is(err, errno) {
				t.Fatalf("%s: the error hides its cause: %v", where, err)
			}
			if !strings.Contains(err.Error(), "/disk") {
				t.Errorf("%s: the error names no file: %v", where, err)
			}
		} else {
			survived++
		}
		if err := run(disk, func(fsx.Op) error { return nil }); err != nil {
			t.Fatalf("%s: the run after it: %v", where, err)
		}
		same(t, where, visibleIn(t, disk, "/disk/out"), want)
	}
	t.Logf("%d calls; %d runs failed, %d went on to the end", total, failed, survived)
	if total < 100 || failed < runs/2 || survived == 0 {
		t.Errorf("of %d runs %d failed and %d went on: the faults were not where they should be", runs, failed, survived)
	}
}

// full is a disk that has no room for checkpoints in some epochs.
type full struct {
	mu    sync.Mutex
	match func(name string) bool
	left  int // refusals to come; below 0: for ever
	told  int
}

func (f *full) fault(op fsx.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op.Kind != fsx.OpWrite && op.Kind != fsx.OpCreate || !f.match(filepath.Base(op.Path)) || f.left == 0 {
		return nil
	}
	f.left--
	f.told++
	return syscall.ENOSPC
}

var (
	ofState    = func(name string) bool { return strings.HasSuffix(name, ".mrs") }
	ofManifest = func(name string) bool { return strings.HasPrefix(name, "manifest-") }
	late       = func(match func(string) bool) func(string) bool { // from the third epoch on
		return func(name string) bool {
			for _, early := range []string{"00000000000000000001", "00000000000000000002"} {
				if strings.Contains(name, early) {
					return false
				}
			}
			return match(name)
		}
	}
)

// TestFullDiskIsTolerated: epochs that find no room fail, the job goes on and a later one holds what they held.
func TestFullDiskIsTolerated(t *testing.T) {
	for name, match := range map[string]func(string) bool{"state": ofState, "manifest": ofManifest} {
		for _, p := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, parallelism %d", name, p), func(t *testing.T) {
				noLeaks(t)
				in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
				put(t, in, "a.csv", disorder(21, 900, 3))
				put(t, in, "b.csv", disorder(22, 900, 3))
				disk := &full{match: late(match), left: 3}
				log, text := logged()
				cfg := small(state)
				cfg.Parallelism, cfg.Log = p, log
				cfg.Checkpoint.Interval = 5 * time.Millisecond
				cfg.Checkpoint.TolerateFailures = 5
				var last millrace.Status
				cfg.Observe = func(s millrace.Status) { last = s }
				if err := millrace.Run(withFS(disk.fault), sumJob(in, out), cfg); err != nil {
					t.Fatal(err)
				}
				if disk.told == 0 || last.FailedEpochs == 0 || last.FailedEpochs > 3 || last.Epochs == 0 || last.Restarts != 0 {
					t.Errorf("%d refusals, %d failed epochs, %d decided, %d restarts", disk.told, last.FailedEpochs, last.Epochs, last.Restarts)
				}
				if s := text(); strings.Count(s, "epoch failed, the next one will hold what it held") != int(last.FailedEpochs) || !strings.Contains(s, "no space left on device") {
					t.Errorf("the log does not tell of %d failed epochs and why:\n%s", last.FailedEpochs, s)
				}
				same(t, "output", visible(t, out), undisturbed(t, in))
			})
		}
	}
}

// TestFullDiskStopsTheJobWhenNotTolerated: with the file in the message, and nothing committed lost.
func TestFullDiskStopsTheJobWhenNotTolerated(t *testing.T) {
	for name, match := range map[string]func(string) bool{"state": ofState, "manifest": ofManifest} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
			put(t, in, "a.csv", disorder(21, 1800, 8))
			disk := &full{match: late(match), left: -1}
			err := millrace.Run(withFS(disk.fault), sumJob(in, out), small(state))
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(state, "sums")) {
				t.Errorf("got %v, want the file and the reason", err)
			}
			t.Log(normal(err, state))
			before := visible(t, out)
			if err := millrace.Run(context.Background(), sumJob(in, out), small(state)); err != nil {
				t.Fatal(err)
			}
			after := visible(t, out)
			same(t, "output", after, undisturbed(t, in))
			if len(before) == 0 {
				t.Error("nothing had been committed: the test shows nothing")
			}
			for _, line := range before {
				if !contains(after, line) {
					t.Errorf("what was visible is gone: %s", line)
				}
			}
		})
	}
}

func contains(lines []string, line string) bool {
	return slices.Contains(lines, line)
}

// TestFullDiskRestartsTheJob: what is not tolerated leads to restarts, if there may be some, until there is room.
func TestFullDiskRestartsTheJob(t *testing.T) {
	noLeaks(t)
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, in, "a.csv", disorder(21, 1800, 8))
	disk := &full{match: late(ofManifest), left: 2}
	cfg := small(state)
	cfg.Restart = millrace.RestartConfig{Attempts: 3, Backoff: time.Millisecond}
	var last millrace.Status
	cfg.Observe = func(s millrace.Status) { last = s }
	if err := millrace.Run(withFS(disk.fault), sumJob(in, out), cfg); err != nil {
		t.Fatal(err)
	}
	if last.Restarts != 2 || last.FailedEpochs != 2 {
		t.Errorf("%d restarts and %d failed epochs, want 2 and 2", last.Restarts, last.FailedEpochs)
	}
	same(t, "output", visible(t, out), undisturbed(t, in))
}

// TestSlowEpochIsGivenUp: a checkpoint that takes longer than its timeout is given up; the next one holds its output.
func TestSlowEpochIsGivenUp(t *testing.T) {
	noLeaks(t)
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, in, "a.csv", disorder(21, 1800, 8))
	release := make(chan struct{})
	var once, opened sync.Once
	slow := late(ofState)
	ctx := withFS(func(op fsx.Op) error {
		if op.Kind == fsx.OpCreate && slow(filepath.Base(op.Path)) {
			once.Do(func() { <-release })
		}
		return nil
	})
	log, text := logged()
	cfg := small(state)
	cfg.Log, cfg.Checkpoint.Timeout, cfg.Checkpoint.TolerateFailures = log, 50*time.Millisecond, 3
	cfg.Checkpoint.Interval = 20 * time.Millisecond
	var last millrace.Status
	cfg.ObserveEvery = time.Nanosecond
	cfg.Observe = func(s millrace.Status) {
		last = s
		if s.FailedEpochs > 0 || s.Ended {
			opened.Do(func() { close(release) })
		}
	}
	if err := millrace.Run(ctx, sumJob(in, out), cfg); err != nil {
		t.Fatal(err)
	}
	if last.FailedEpochs == 0 || !strings.Contains(text(), "not acknowledged by tasks [") {
		t.Errorf("%d failed epochs; log:\n%s", last.FailedEpochs, text())
	}
	same(t, "output", visible(t, out), undisturbed(t, in))
}
