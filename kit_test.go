package millrace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"
)

// reading is the record of the tests that read files.
type reading struct {
	Key string    `csv:"key" json:"key"`
	At  time.Time `csv:"at,unix" json:"at"`
	N   int64     `csv:"n" json:"n"`
}

func (r reading) time() time.Time { return r.At }
func (r reading) key() string     { return r.Key }

// put writes a file below dir and returns its path.
func put(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// disorder makes a CSV file of n readings of a few keys, with event times up to jitter seconds out of order.
func disorder(seed uint64, n, jitter int) string {
	rng := rand.New(rand.NewPCG(seed, 7))
	var b strings.Builder
	b.WriteString("key,at,n\n")
	for i := range n {
		fmt.Fprintf(&b, "k%d,%d,%d\n", rng.IntN(7), 1_000_000+i+rng.IntN(2*jitter)-jitter, rng.IntN(10))
	}
	return b.String()
}

// sumJob reads the CSV files in, sums by key and minute into out/sums, and puts what is late into out/late.
func sumJob(in, out string) *millrace.Job {
	job := millrace.NewJob("sums")
	w := job.From("in", file.CSV[reading](in), millrace.EventTime(reading.time).OutOfOrderness(5*time.Second)).
		KeyBy(reading.key).
		Window(window.Tumbling(time.Minute))
	w.Aggregate("sum", agg.Sum(func(r reading) int64 { return r.N })).
		To("sums", file.JSONL[millrace.Pane[string, int64]](filepath.Join(out, "sums")))
	w.Late().To("late", file.JSONL[reading](filepath.Join(out, "late")))
	return job
}

// visible returns the lines of all parts that a reader of the output would see, sorted.
func visible(t testing.TB, out string) []string {
	t.Helper()
	return visibleIn(t, fsx.OS{}, out)
}

func visibleIn(t testing.TB, disk fsx.FS, out string) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"sums", "late"} {
		entries, err := disk.ReadDir(filepath.Join(out, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			f, err := disk.Open(filepath.Join(out, dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(b)) {
				all = append(all, dir+" "+line)
			}
		}
	}
	slices.Sort(all)
	return all
}

// undisturbed returns what the sum job gives when nothing happens to it.
func undisturbed(t testing.TB, in string) []string {
	t.Helper()
	out := t.TempDir()
	if err := millrace.Run(context.Background(), sumJob(in, out), small(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	return visible(t, out)
}

// small is a configuration with many epochs.
func small(state string) millrace.Config {
	return millrace.Config{
		Parallelism: 2, Log: quiet(),
		Checkpoint: millrace.CheckpointConfig{Dir: state, EveryRecords: 150, Interval: time.Hour},
	}
}

// same fails the test unless the output is exactly what is wanted.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %d lines, want %d; first difference: %s", what, len(got), len(want), firstDifference(got, want))
	}
}

// withFS returns a context whose job sees the disk through fault.
func withFS(fault func(fsx.Op) error) context.Context {
	return env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.Inject(fsx.OS{}, fault)})
}

// noLeaks fails the test when goroutines that it started still run at its end.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

var madeAt = regexp.MustCompile(`[\w.-]+/(\w+_test\.go):\d+`)

// normal replaces what differs from machine to machine: the directory by DIR and lines of this package by JOB:LINE.
func normal(err error, dir string) string {
	if err == nil {
		return "<nil>"
	}
	s := err.Error()
	if dir != "" {
		s = strings.ReplaceAll(s, dir, "DIR")
	}
	return madeAt.ReplaceAllString(s, "JOB:LINE")
}

// logged returns a log and a function that gives what was written to it.
func logged() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b bytes.Buffer
	w := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})
	return slog.New(slog.NewTextHandler(w, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
