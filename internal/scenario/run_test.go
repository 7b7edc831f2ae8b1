package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
)

var (
	errKilled  = errors.New("killed by the scenario")
	errStopped = errors.New("stopped by the scenario")
)

// stateDir is where the checkpoints are, on a disk in memory.
const stateDir = "/state"

// logFile is the file that a job reads, if it reads one.
const logFile = "/in/log"

// kills counts the runs that were killed.
var kills atomic.Int64

// reads is a source that is read record by record, dies at a read, and tells when there is nothing left to read for now.
type reads struct {
	connect.Source[rec]
	// dieAt is the number of reads that end well, counted over all splits; negative for all.
	dieAt int64
	n     atomic.Int64
	rest  func()
	// crash lets the job die a second after there was nothing left to read.
	crash bool
}

func (s *reads) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[rec], error) {
	r, err := s.Source.Open(ctx, split, position)
	if err != nil {
		return nil, err
	}
	own := reader{Reader: r, from: s, sched: env.From(ctx).Sched}
	own.Mover, _ = r.(connect.Mover)
	if own.Mover == nil {
		own.Mover = unmoved{}
	}
	dictated, ok := r.(connect.Watermarks)
	if !ok {
		return &own, nil
	}
	return &dictating{own, dictated}, nil
}

type reader struct {
	connect.Reader[rec]
	connect.Mover
	from  *reads
	sched task.Scheduler
	dies  time.Time
}

// unmoved is the Mover of readers that are none.
type unmoved struct{}

func (unmoved) Moved() (int64, string) { return 0, "" }

func (r *reader) Read(ctx context.Context, out []rec) (int, error) {
	if r.from.n.Add(1) > r.from.dieAt && r.from.dieAt >= 0 {
		return 0, errKilled
	}
	before := string(r.Position())
	n, err := r.Reader.Read(ctx, out[:1])
	if n > 0 || err != nil || before != string(r.Position()) {
		return n, err
	}
	if r.from.rest != nil {
		r.from.rest()
	}
	switch now := r.sched.Now(); {
	case !r.from.crash:
	case r.dies.IsZero():
		r.dies = now.Add(time.Second)
	case !now.Before(r.dies):
		return 0, errKilled
	}
	return 0, nil
}

type dictating struct {
	reader
	connect.Watermarks
}

// source returns what the job reads in a part.
func (w *world) source(part int) (connect.Source[rec], error) {
	s := w.script
	switch {
	case len(s.apart) > 0:
		return millracetest.Splits(s.apart...), nil
	case s.has("no-seek"):
		return &once{s.parts[part], w}, nil
	case s.has("file"):
		return w.file(part)
	}
	return s.parts[part], nil
}

// once is a script that cannot be read again: what one run has read, no other can.
type once struct {
	connect.Source[rec]
	world *world
}

func (o *once) Splits(ctx context.Context) ([]connect.Split, error) {
	splits, err := o.Source.Splits(ctx)
	for i := range splits {
		splits[i].Unseekable = true
	}
	return splits, err
}

func (o *once) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[rec], error) {
	if position != nil {
		return nil, fmt.Errorf("split %s cannot seek, and is to go on at %x", split.ID, position)
	}
	r, err := o.Source.Open(ctx, split, o.world.fed)
	return &onceReader{r, o.world}, err
}

type onceReader struct {
	connect.Reader[rec]
	world *world
}

func (r *onceReader) Read(ctx context.Context, out []rec) (int, error) {
	n, err := r.Reader.Read(ctx, out)
	r.world.fed = r.Position()
	return n, err
}

// file writes the file of a part to the disk and returns a source that reads it.
func (w *world) file(part int) (connect.Source[rec], error) {
	f, err := w.disk.Create(logFile + ".new")
	if err != nil {
		return nil, err
	}
	_, err = f.Write([]byte(w.script.files[part]))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := w.disk.Rename(logFile+".new", logFile); err != nil {
		return nil, err
	}
	in := file.JSONL[rec](logFile)
	if part < len(w.script.parts)-1 {
		in = in.Follow(10 * time.Millisecond)
	}
	for _, p := range w.script.job {
		switch {
		case slices.Equal(p, []string{"out-of-range", "from", "start"}):
			in = in.OutOfRange(connect.OutOfRangeFromStart)
		case slices.Equal(p, []string{"out-of-range", "from", "end"}):
			in = in.OutOfRange(connect.OutOfRangeFromEnd)
		}
	}
	return in, nil
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
	// forked says that the runs are those of the fork.
	forked bool
	// saves counts the savepoints that were asked for, and saved is where the last one is.
	saves int
	saved string
	// fed is how far a source has been read that cannot be read again.
	fed []byte
	// said are the warnings that have been shown, and last is the last status.
	said []string
	last millrace.Status
}

func newWorld(t *testing.T, s script) *world {
	w := &world{t: t, script: s, disk: fsx.NewMem(), sinks: sinks{}, shown: map[string]int{}}
	if err := w.disk.MkdirAll(filepath.Dir(logFile)); err != nil {
		t.Fatal(err)
	}
	return w
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
	source, err := w.source(part)
	if err != nil {
		return err
	}
	in := &reads{Source: source, dieAt: int64(dieAt), crash: w.script.crashes[part]}
	var control millrace.Control
	asked := task.NewGroup(task.NewSystem())
	defer asked.Wait()
	if part < len(w.script.parts)-1 && !in.crash {
		in.rest = func() { cancel(errStopped) }
	}
	if w.script.saves[part] || w.script.drains[part] {
		var once sync.Once
		in.rest = func() { once.Do(func() { asked.Go("ask", func() { w.ask(part, &control) }) }) }
	}
	job, err := build(w.name(), w.script.job, in, w.sinks)
	if err != nil {
		return err
	}
	cfg := millrace.Config{
		Parallelism: parallelism, KeyGroups: 16, Log: slog.New(slog.DiscardHandler),
		Checkpoint: millrace.CheckpointConfig{Dir: stateDir, Interval: time.Hour, EveryRecords: w.script.every},
		Observe:    func(s millrace.Status) { w.last = s },
	}
	cfg.Control = &control
	if w.forked {
		cfg.From = w.saved
	}
	switch {
	case w.script.has("at-least-once"):
		cfg.Delivery = millrace.AtLeastOnce
	case w.script.has("at-most-once"):
		cfg.Delivery = millrace.AtMostOnce
	}
	err = millrace.Run(env.With(ctx, &env.Env{Sched: task.NewSystem(), FS: w.disk, Fault: w.script.fault(part), Strict: true}), job, cfg)
	if (errors.Is(err, errStopped) || errors.Is(err, millrace.ErrStopped)) && part < len(w.script.parts)-1 {
		return nil
	}
	return err
}

// ask lets the job end as the script says. What cannot be done the run does not survive, and that is seen.
func (w *world) ask(part int, c *millrace.Control) {
	var err error
	if w.script.drains[part] {
		err = c.Drain(context.Background())
	} else {
		w.saves++ // a run that was killed may have left a part of one
		dir := fmt.Sprintf("/save-%d", w.saves)
		if err = c.Stop(context.Background(), dir); err == nil {
			w.saved = dir
		}
	}
	if err != nil && !strings.Contains(err.Error(), errKilled.Error()) && !strings.Contains(err.Error(), "the job has ended") {
		w.t.Error(err)
	}
}

// fault lets a run of a part die with the decision of an epoch, if the script says so.
func (s script) fault(part int) func(string) error {
	var left atomic.Int64
	left.Store(int64(s.decisions[part]))
	if left.Load() == 0 {
		return nil
	}
	return func(point string) error {
		if point == snapshot.PointPublished {
			left.Add(-1)
		}
		if left.Load() <= 0 {
			return errKilled
		}
		return nil
	}
}

// name returns the name of the job.
func (w *world) name() string {
	if w.forked {
		return "fork"
	}
	return "scenario"
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
		if w.script.forks[part] {
			w.forked, w.sinks, w.shown = true, sinks{}, map[string]int{}
			out = append(out, "forked")
		}
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
		out = append(out, w.warnings()...)
		out = append(out, w.sinks.lines(sorted, w.shown)...)
		switch {
		case w.script.crashes[part] && errors.Is(err, errKilled):
			out = append(out, "crashed")
		case err != nil:
			return out, err
		case w.script.drains[part]:
			out = append(out, "drained")
		case part < len(w.script.parts)-1:
			out = append(out, "stopped")
		}
	}
	if n := w.last.OutOfRange; n > 0 {
		out = append(out, fmt.Sprintf("counted  %d out of range", n))
	}
	return out, nil
}

// warnings returns what the job has said about what it cannot promise, once.
func (w *world) warnings() []string {
	var out []string
	for _, s := range w.last.Warnings {
		if !slices.Contains(w.said, s) {
			w.said = append(w.said, s)
			out = append(out, "says  "+s)
		}
	}
	return out
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
	if len(s.crashes) > 0 {
		return s.bounded(t, want)
	}
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

// bounded runs a scenario with crashes otherwise. With two subtasks the output must be the same. When its records are passed on as they are, it is
// also killed after each read, and what comes out is compared with the records: where nothing may be lost, all must be there and only
// they; where nothing may come twice, none may be there more often.
func (s script) bounded(t *testing.T, want []string) error {
	got, err := newWorld(t, s).all(2, 0, -1)
	if err != nil {
		return fmt.Errorf("with two subtasks: %w", err)
	}
	if got, want = bySort(got), bySort(want); !slices.Equal(got, want) {
		return fmt.Errorf("with two subtasks, it puts out\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !s.has("pass") && !s.has("print") {
		return nil
	}
	calm := s
	calm.crashes, calm.decisions = map[int]bool{}, map[int]int{}
	calm.parts = calm.parts[len(calm.parts)-1:]
	ideal, err := newWorld(t, calm).all(1, 0, -1)
	if err != nil {
		return fmt.Errorf("without crashes: %w", err)
	}
	must := counts(ideal)
	for part := range s.parts {
		for n := range s.steps + 1 {
			before := kills.Load()
			got, err := newWorld(t, s).all(1+n%2, part, n)
			if err != nil {
				return fmt.Errorf("killed after %d reads of part %d: %w", n, part, err)
			}
			has := counts(got)
			for line := range maps.Keys(must) {
				if has[line] == 0 && !s.has("no-seek") && !s.has("at-most-once") {
					return fmt.Errorf("killed after %d reads of part %d, it has lost %q", n, part, line)
				}
			}
			again := s.has("at-least-once") || s.has("print") && !s.has("at-most-once")
			for line, n := range has {
				if must[line] == 0 || n > must[line] && !again {
					return fmt.Errorf("killed after %d reads of part %d, it puts out %q %d times, and %d are right", n, part, line, n, must[line])
				}
			}
			if kills.Load() == before {
				break // the part has no more reads
			}
		}
	}
	return nil
}

// counts counts the lines of output.
func counts(lines []string) map[string]int {
	m := map[string]int{}
	for _, l := range lines {
		if strings.HasPrefix(l, "out ") {
			m[l]++
		}
	}
	return m
}

// bySort orders the lines between stops.
func bySort(lines []string) []string {
	lines = slices.Clone(lines)
	from := 0
	for i, l := range lines {
		if slices.Contains([]string{"stopped", "crashed", "drained", "forked"}, l) {
			slices.Sort(lines[from:i])
			from = i + 1
		}
	}
	slices.Sort(lines[from:])
	return lines
}
