package formats_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
)

var write = flag.String("write", "", "write what today's formats are like into a new directory of this name in testdata")

const (
	// savedAt is how many orders have been read at the savepoint, allOrders how many there are.
	savedAt, allOrders = 160, 260
	keyGroups          = 16
)

func config(parallelism int) millrace.Config {
	return millrace.Config{
		Parallelism: parallelism, KeyGroups: keyGroups, Log: slog.New(slog.DiscardHandler),
		Checkpoint: millrace.CheckpointConfig{Interval: 20 * time.Millisecond},
	}
}

// TestWrite writes what the others restore, when it is asked to.
func TestWrite(t *testing.T) {
	if *write == "" {
		t.Skip("nothing is to be written")
	}
	dir := filepath.Join("testdata", *write)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	save(t, dir)
}

// save lets the job write a savepoint, checkpoints, and what it has shown until then.
func save(t *testing.T, dir string) {
	t.Helper()
	out := memory.NewSink[string]()
	// Epochs go on from 90 to 160 orders, so that state is in chains of files.
	for _, upTo := range []int{90, 130, savedAt} {
		cfg := config(3)
		cfg.Checkpoint.Dir, cfg.Checkpoint.Compress = filepath.Join(dir, "checkpoints"), upTo == 130
		cfg.Control = &millrace.Control{}
		read := make(chan struct{})
		cfg.ObserveEvery = time.Millisecond
		done := false
		cfg.Observe = func(s millrace.Status) {
			if s.In >= int64(upTo) && !done {
				done = true
				close(read)
			}
		}
		end := make(chan error, 1)
		task.NewSystem().Go("job", func() {
			end <- millrace.Run(t.Context(), job(millracetest.Script[order]().Records(ordersUpTo(upTo)...).StayOpen(), out), cfg)
		})
		<-read
		to := ""
		if upTo == savedAt {
			to = filepath.Join(dir, "savepoint")
		}
		if err := cfg.Control.Stop(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		if err := <-end; !errors.Is(err, millrace.ErrStopped) {
			t.Fatal(err)
		}
	}
	text := strings.Join(out.Records(), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "shown-before"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// saved are the directories of testdata, and one that is written now, by name.
func saved(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{"today": t.TempDir()}
	save(t, dirs["today"])
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		dirs[e.Name()] = filepath.Join("testdata", e.Name())
	}
	if dirs["v1"] == "" {
		t.Fatal("testdata has no v1")
	}
	return dirs
}

func shownBefore(t *testing.T, dir string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "shown-before"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// whole runs the job from nothing to its end.
func whole(t *testing.T) []string {
	t.Helper()
	out := memory.NewSink[string]()
	if err := millrace.Run(t.Context(), job(millracetest.Script[order]().Records(ordersUpTo(allOrders)...), out), config(2)); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(out.Records()))
}

// goOn runs the job to its end from what cfg says.
func goOn(t *testing.T, cfg millrace.Config) []string {
	t.Helper()
	out := memory.NewSink[string]()
	if err := millrace.Run(t.Context(), job(millracetest.Script[order]().Records(ordersUpTo(allOrders)...), out), cfg); err != nil {
		t.Fatal(err)
	}
	return out.Records()
}

// TestRestore goes on from the savepoint and from the checkpoint of each version at several parallelisms. What was shown before and what is shown
// then must be, together, what a run shows that was never stopped.
func TestRestore(t *testing.T) {
	want := whole(t)
	for version, dir := range saved(t) {
		before := shownBefore(t, dir)
		for _, parallelism := range []int{1, 3, keyGroups} {
			t.Run(fmt.Sprintf("%s/savepoint at %d", version, parallelism), func(t *testing.T) {
				cfg := config(parallelism)
				cfg.From = filepath.Join(dir, "savepoint")
				check(t, slices.Concat(before, goOn(t, cfg)), want)
			})
		}
		t.Run(version+"/checkpoint", func(t *testing.T) {
			cfg := config(2)
			cfg.Checkpoint.Dir = t.TempDir()
			if err := os.CopyFS(cfg.Checkpoint.Dir, os.DirFS(filepath.Join(dir, "checkpoints"))); err != nil {
				t.Fatal(err)
			}
			check(t, slices.Concat(before, goOn(t, cfg)), want)
		})
	}
}

func check(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(got)
	if slices.Equal(got, want) {
		return
	}
	var missing, extra []string
	count := map[string]int{}
	for _, s := range got {
		count[s]++
	}
	for _, s := range want {
		if count[s]--; count[s] < 0 {
			missing = append(missing, s)
		}
	}
	for s, n := range count {
		for range max(n, 0) {
			extra = append(extra, s)
		}
	}
	t.Errorf("%d lines, want %d\nmissing:\n\t%s\ntoo many:\n\t%s", len(got), len(want), strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
}
