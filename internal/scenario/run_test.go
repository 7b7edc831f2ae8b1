package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
)

var (
	errKilled  = errors.New("killed by the scenario")
	errStopped = errors.New("stopped by the scenario")
)

// stateDir is where the checkpoints are, on a disk in memory.
const stateDir = "/state"

// kills counts the runs that were killed.
var kills atomic.Int64

// reads is a source that is read record by record, dies at a read, and tells when there is nothing left to read for now.
type reads struct {
	connect.Source[rec]
	// dieAt is the number of reads that end well, counted over all splits; negative for all.
	dieAt int64
	n     atomic.Int64
	rest  func()
}

func (s *reads) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[rec], error) {
	r, err := s.Source.Open(ctx, split, position)
	if err != nil {
		return nil, err
	}
	dictated, ok := r.(connect.Watermarks)
	if !ok {
		return &reader{Reader: r, from: s}, nil
	}
	return &dictating{reader{Reader: r, from: s}, dictated}, nil
}

type reader struct {
	connect.Reader[rec]
	from *reads
}

func (r *reader) Read(ctx context.Context, out []rec) (int, error) {
	if r.from.n.Add(1) > r.from.dieAt && r.from.dieAt >= 0 {
		return 0, errKilled
	}
	before := string(r.Position())
	n, err := r.Reader.Read(ctx, out[:1])
	if n == 0 && err == nil && before == string(r.Position()) && r.from.rest != nil {
		r.from.rest()
	}
	return n, err
}

type dictating struct {
	reader
	connect.Watermarks
}

// source returns what the job reads in a part.
func (s script) source(part int) connect.Source[rec] {
	if len(s.apart) > 0 {
		return millracetest.Splits(s.apart...)
	}
	return s.parts[part]
}

// world is what outlives the runs of a scenario.
type world struct {
	t      *testing.T
	script script
	disk   *fsx.Mem
	sinks  sinks
	// shown is how much of each output has been looked at.
	shown map[string]int
	// clock is the time at which the last run ended, in virtual time.
	clock time.Time
}

func newWorld(t *testing.T, s script) *world {
	return &world{t: t, script: s, disk: fsx.NewMem(), sinks: sinks{}, shown: map[string]int{}}
}

// run runs the job once over a part of the script.
func (w *world) run(part, parallelism, dieAt int) (err error) {
	if !w.script.virtual {
		return w.runNow(part, parallelism, dieAt)
	}
	synctest.Test(w.t, func(*testing.T) {
		if w.clock.IsZero() {
			w.clock = time.Now()
		}
		// Each bubble begins at the same time. The clock of the world does not go back.
		task.NewSystem().NewEvent().Wait(time.Until(w.clock))
		err = w.runNow(part, parallelism, dieAt)
		w.clock = time.Now()
	})
	return err
}

func (w *world) runNow(part, parallelism, dieAt int) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx, end := context.WithTimeout(ctx, time.Minute)
	defer end()
	in := &reads{Source: w.script.source(part), dieAt: int64(dieAt)}
	if part < len(w.script.parts)-1 {
		in.rest = func() { cancel(errStopped) }
	}
	job, err := build(w.script.job, in, w.sinks)
	if err != nil {
		return err
	}
	cfg := millrace.Config{
		Parallelism: parallelism, KeyGroups: 16, Log: slog.New(slog.DiscardHandler),
		Checkpoint: millrace.CheckpointConfig{Dir: stateDir, Interval: time.Hour, EveryRecords: 1},
	}
	err = millrace.Run(env.With(ctx, &env.Env{Sched: task.NewSystem(), FS: w.disk}), job, cfg)
	if errors.Is(err, errStopped) && part < len(w.script.parts)-1 {
		return nil
	}
	return err
}

// lose removes the checkpoints and all that belongs to them, but for the traces that say that there were some.
func (w *world) lose() error {
	dir := stateDir + "/scenario"
	entries, err := w.disk.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "manifest-") || strings.HasSuffix(e.Name(), ".mrs") {
			if err := w.disk.Remove(dir + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// all runs the script to its end, from part to part, and returns what is put out. The run of part dies is killed after some reads, and
// goes on with the other number of subtasks.
func (w *world) all(parallelism, dies, dieAt int) ([]string, error) {
	var out []string
	// Between the two sides of a join or union there is no order.
	sorted := dieAt >= 0 || parallelism > 1 || w.script.sides
	for part := range w.script.parts {
		if w.script.lost[part] {
			if err := w.lose(); err != nil {
				return out, err
			}
		}
		if dieAt >= 0 && part == dies {
			switch err := w.run(part, parallelism, dieAt); {
			case errors.Is(err, errKilled):
				kills.Add(1)
				parallelism = 3 - parallelism
			case err != nil:
				return out, err
			}
		}
		err := w.run(part, parallelism, -1)
		out = append(out, w.sinks.lines(sorted, w.shown)...)
		if err != nil {
			return out, err
		}
		if part < len(w.script.parts)-1 {
			out = append(out, "stopped")
		}
	}
	return out, nil
}

// place is where the code of this package has made an operator.
var place = regexp.MustCompile(`(, made at )?scenario/[a-z_]+\.go:\d+(: )?`)

// epochs are counted by the clock too.
var epochs = regexp.MustCompile(`epoch \d+`)

// shownError is an error as scenarios show it: its last line, without the places in this package.
func shownError(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "\n"); i >= 0 {
		text = text[i+1:]
	}
	text = epochs.ReplaceAllString(text, "epoch N")
	return "error: " + strings.TrimSpace(place.ReplaceAllString(text, ""))
}

// try runs a scenario and returns what it shows.
func try(t *testing.T, text string) (string, error) {
	s, err := parse(text)
	if err != nil {
		return "", err
	}
	lines, failed := newWorld(t, s).all(1, 0, -1)
	if failed != nil {
		lines = append(lines, shownError(failed))
	}
	if failed == nil {
		if err := s.otherwise(t, lines); err != nil {
			return "", err
		}
	}
	if len(lines) == 0 {
		return "nothing\n", nil
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// otherwise runs the scenario with two subtasks, and killed after each step, and compares.
func (s script) otherwise(t *testing.T, want []string) error {
	want = bySort(want)
	check := func(how string, got []string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
		if got = bySort(got); !slices.Equal(got, want) {
			return fmt.Errorf("%s, it puts out\n%s\nand not\n%s", how, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	}
	got, err := newWorld(t, s).all(2, 0, -1)
	if err := check("with two subtasks", got, err); err != nil {
		return err
	}
	for part := range s.parts {
		for n := range s.steps + 1 {
			before := kills.Load()
			got, err := newWorld(t, s).all(1+n%2, part, n)
			if err := check(fmt.Sprintf("killed after %d reads of part %d", n, part), got, err); err != nil {
				return err
			}
			if kills.Load() == before {
				break // the part has no more reads
			}
		}
	}
	return nil
}

// bySort orders the lines between stops.
func bySort(lines []string) []string {
	lines = slices.Clone(lines)
	from := 0
	for i, l := range lines {
		if l == "stopped" {
			slices.Sort(lines[from:i])
			from = i + 1
		}
	}
	slices.Sort(lines[from:])
	return lines
}
