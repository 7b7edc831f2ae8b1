package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// nothing decides what a power loss leaves of what was not synced.
type nothing struct{}

func (nothing) Uint64() uint64 { return 0 }

// tens sums numbers by tens, a window for each; at number n the watermark is just below it.
type tens struct {
	name, out string
	// upTo is how many numbers there are; open says that more may come.
	upTo int
	open bool
}

const tensKeys = 3

func (c tens) job() *millrace.Job {
	in := millracetest.Script[int]().Records(numbers(c.upTo)...)
	if c.open {
		in = in.StayOpen()
	}
	job := millrace.NewJob(c.name)
	job.From("in", in, millrace.EventTime(func(n int) time.Time { return time.Unix(int64(n), 0) })).
		KeyBy(func(n int) int { return n % tensKeys }).
		Window(window.Tumbling(10*time.Second)).
		Aggregate("sum", agg.Sum(func(n int) int64 { return int64(n) })).
		Map(func(p millrace.Pane[int, int64]) string {
			return fmt.Sprintf("%d: %d is %d", p.Start.Unix(), p.Key, p.Value)
		}).
		To("out", file.Lines(c.out))
	return job
}

// sums is the oracle: the sums of the windows from one to before another.
func sums(from, to, upTo int) (out []string) {
	for w := from; w < to; w++ {
		var of [tensKeys]int
		var some [tensKeys]bool
		for n := 10 * w; n < min(10*w+10, upTo); n++ {
			of[n%tensKeys] += n
			some[n%tensKeys] = true
		}
		for k := range of {
			if some[k] {
				out = append(out, fmt.Sprintf("%d: %d is %d", 10*w, k, of[k]))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (m *machine) config(dir string, parallelism int) millrace.Config {
	cfg := delivered(millrace.ExactlyOnce, parallelism)
	cfg.Checkpoint.Dir, cfg.KeyGroups = dir, 16
	return cfg
}

// begin runs a job beside the test and returns what waits for its end.
func (m *machine) begin(t *testing.T, job *millrace.Job, cfg millrace.Config) func() error {
	t.Helper()
	ctx := m.start("", 0)
	end := make(chan error, 1)
	task.NewSystem().Go("job", func() { end <- millrace.Run(ctx, job, cfg) })
	return func() error {
		select {
		case err := <-end:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("the job does not end")
			return nil
		}
	}
}

// seen returns what waits until a job has read so many records.
func seen(cfg *millrace.Config, n int64) (wait func()) {
	reached := make(chan struct{})
	done := false
	cfg.ObserveEvery = time.Millisecond
	cfg.Observe = func(s millrace.Status) {
		if s.In >= n && s.OpenWindows > 0 && !done {
			done = true
			close(reached)
		}
	}
	return func() { <-reached }
}

// saved runs the job over the first 55 numbers, writes a savepoint, lets it read on to 85, and stops it. At the savepoint the windows below 50 have fired.
func saved(t *testing.T) *machine {
	t.Helper()
	m := newMachine()
	for _, c := range []struct {
		upTo int
		save string
	}{{55, "/save"}, {85, ""}} {
		cfg := m.config("/state", 2)
		cfg.Control = &millrace.Control{}
		wait := seen(&cfg, int64(c.upTo))
		end := m.begin(t, tens{"tens", "/out", c.upTo, true}.job(), cfg)
		wait()
		ctx := context.Background()
		if c.save != "" {
			if err := cfg.Control.Savepoint(ctx, c.save); err != nil {
				t.Fatal(err)
			}
		}
		if err := cfg.Control.Stop(ctx, ""); err != nil {
			t.Fatal(err)
		}
		if err := end(); !errors.Is(err, millrace.ErrStopped) {
			t.Fatalf("stopped, it says %v", err)
		}
	}
	m.shows(t, "before", "/out", sums(0, 8, 85))
	return m
}

// shows compares the visible lines of a directory.
func (m *machine) shows(t *testing.T, what, dir string, want []string) {
	t.Helper()
	got, err := m.lines(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %s has %d lines, want %d: %q, want %q", what, dir, len(got), len(want), got, want)
	}
}

func (m *machine) lines(dir string) (out []string, err error) {
	entries, err := m.disk.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := m.text(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *machine) put(name, content string) error {
	if err := m.disk.Remove(name); err != nil {
		return err
	}
	f, err := m.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	return errors.Join(err, f.Close())
}

func (m *machine) text(name string) (string, error) {
	info, err := m.disk.Stat(name)
	if err != nil {
		return "", err
	}
	f, err := m.disk.Open(name)
	if err != nil {
		return "", err
	}
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	if info.Size() == 0 {
		err = nil
	}
	return string(b), errors.Join(err, f.Close())
}

// TestSavepoint starts jobs from a savepoint: what they show is what the input says.
func TestSavepoint(t *testing.T) {
	noLeaks(t)
	all := sums(0, 10, 100)
	for _, parallelism := range []int{1, 4} {
		t.Run(fmt.Sprint("parallelism ", parallelism), func(t *testing.T) {
			run := func(m *machine, c tens, dir string, change func(*millrace.Config)) error {
				cfg := m.config(dir, parallelism)
				change(&cfg)
				return millrace.Run(m.start("", 0), c.job(), cfg)
			}
			from := func(cfg *millrace.Config) { cfg.From = "/save" }
			again := func(cfg *millrace.Config) { cfg.From, cfg.FromAgain = "/save", true }
			whole := tens{"tens", "/out", 100, false}

			m := saved(t)
			if err := run(m, tens{"fork", "/fork", 100, false}, "/state", from); err != nil {
				t.Fatal(err)
			}
			m.shows(t, "the fork", "/fork", sums(5, 10, 100)) // what had fired before the savepoint is the other job's
			m.shows(t, "the job beside its fork", "/out", sums(0, 8, 85))
			if err := run(m, tens{"fork", "/fork", 100, false}, "/state", from); err != nil { // it has come from there already
				t.Fatal(err)
			}
			m.shows(t, "the fork, started again", "/fork", sums(5, 10, 100))
			if err := run(m, whole, "/state", func(*millrace.Config) {}); err != nil {
				t.Fatal(err)
			}
			m.shows(t, "the job after its fork", "/out", all)

			m = saved(t)
			if err := run(m, whole, "/elsewhere", from); err != nil {
				t.Fatal(err)
			}
			m.shows(t, "without its checkpoints", "/out", all)

			m = saved(t)
			if err := run(m, whole, "/state", again); err != nil {
				t.Fatal(err)
			}
			m.shows(t, "gone back", "/out", all)
		})
	}
}

// TestSavepointSurvivesKills kills a job that begins at a savepoint, or goes back to it, at each change of the disk in turn; the next start ends it.
func TestSavepointSurvivesKills(t *testing.T) {
	noLeaks(t)
	kills := 0
	base := saved(t)
	for _, dir := range []string{"/elsewhere", "/state"} {
		for pass := 1; ; pass += 5 {
			m := &machine{disk: base.disk.CrashClone(nothing{})}
			start := func(point string, pass int, again bool) error {
				cfg := m.config(dir, 2)
				cfg.From, cfg.FromAgain = "/save", again
				return millrace.Run(m.start(point, pass), tens{"tens", "/out", 100, false}.job(), cfg)
			}
			err := start("", pass, dir == "/state")
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			kills++
			if err := start("", 0, dir == "/state"); err != nil {
				t.Fatalf("%s, killed at change %d: %v", dir, pass, err)
			}
			m.shows(t, fmt.Sprintf("%s, killed at change %d", dir, pass), "/out", sums(0, 10, 100))
		}
	}
	if kills < 40 {
		t.Errorf("only %d kills", kills)
	}
	t.Logf("%d kills", kills)
}

// TestKilledWhileSaving kills a job while it writes a savepoint, and lets the disk lose what was not synced: what is left is a whole savepoint, or none.
func TestKilledWhileSaving(t *testing.T) {
	noLeaks(t)
	whole, none := 0, 0
	for pass := 1; pass < 90; pass += 4 {
		m := newMachine()
		cfg := m.config("/state", 2)
		cfg.Control = &millrace.Control{}
		wait := seen(&cfg, 55)
		end := m.begin(t, tens{"tens", "/out", 55, true}.job(), cfg)
		wait()
		m.mu.Lock()
		m.pass = pass // changes of the disk have no name
		m.mu.Unlock()
		told := cfg.Control.Savepoint(context.Background(), "/save")
		m.mu.Lock()
		m.dead = true
		m.mu.Unlock()
		// A savepoint that fails does not end the job: it meets its death at its next epoch.
		if err := cfg.Control.Stop(context.Background(), ""); err == nil {
			t.Fatal("a dead job was stopped")
		}
		if err := end(); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		m.disk = m.disk.CrashClone(nothing{})
		cfg = m.config("/state", 1)
		cfg.From = "/save"
		err := millrace.Run(m.start("", 0), tens{"fork", "/fork", 100, false}.job(), cfg)
		switch {
		case err == nil:
			whole++
			m.shows(t, fmt.Sprintf("killed at change %d, the fork", pass), "/fork", sums(5, 10, 100))
		case told != nil && strings.Contains(err.Error(), "there is none, or it was not completed"):
			none++
		default:
			t.Errorf("killed at change %d, after the savepoint was answered by %v: %v", pass, told, err)
		}
		if err := millrace.Run(m.start("", 0), tens{"tens", "/out", 100, false}.job(), m.config("/state", 1)); err != nil {
			t.Fatal(err)
		}
		m.shows(t, fmt.Sprintf("killed at change %d, the job", pass), "/out", sums(0, 10, 100))
	}
	t.Logf("%d savepoints were whole, %d were none", whole, none)
	if whole == 0 || none == 0 {
		t.Errorf("%d savepoints were whole, %d were none", whole, none)
	}
}

// TestStopWithSavepointAndDrain: a stop leaves windows open in the savepoint, a drain fires them.
func TestStopWithSavepointAndDrain(t *testing.T) {
	noLeaks(t)
	ctx := context.Background()
	m := newMachine()
	cfg := m.config("/state", 2)
	cfg.Control = &millrace.Control{}
	wait := seen(&cfg, 55)
	end := m.begin(t, tens{"tens", "/out", 55, true}.job(), cfg)
	wait()
	if err := cfg.Control.Stop(ctx, "/save"); err != nil {
		t.Fatal(err)
	}
	if err := end(); !errors.Is(err, millrace.ErrStopped) || err.Error() != "millrace: stopped" {
		t.Fatal(err)
	}
	m.shows(t, "stopped", "/out", sums(0, 5, 55))

	cfg = m.config("/other", 1)
	cfg.Control, cfg.From = &millrace.Control{}, "/save"
	wait = seen(&cfg, 75)
	end = m.begin(t, tens{"fork", "/fork", 75, true}.job(), cfg)
	wait()
	if err := cfg.Control.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	m.shows(t, "drained", "/fork", sums(5, 8, 75))
	log, text := logged()
	cfg = m.config("/other", 1)
	cfg.Log = log
	if err := millrace.Run(m.start("", 0), tens{"fork", "/fork", 100, false}.job(), cfg); err != nil {
		t.Fatal(err)
	}
	m.shows(t, "drained, and started again", "/fork", sums(5, 8, 75))
	if !strings.Contains(text(), "job was drained: all its windows have fired, there is nothing to go on with") {
		t.Errorf("the log says\n%s", text())
	}
	m.shows(t, "the first job", "/out", sums(0, 5, 55))
}

// TestSavepointsThatAreRefused compares what is said.
func TestSavepointsThatAreRefused(t *testing.T) {
	noLeaks(t)
	base := saved(t)
	entries, err := base.disk.ReadDir("/save")
	if err != nil {
		t.Fatal(err)
	}
	data := ""
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".mrs") {
			data = e.Name()
		}
	}
	whole := tens{"tens", "/out", 100, false}
	other := func() *millrace.Job {
		job := millrace.NewJob("other")
		job.From("in", millracetest.Script[int]().Records(1)).To("out", file.JSONL[int]("/other"))
		return job
	}
	for _, c := range []struct {
		name   string
		damage func(m *machine) error
		job    func() *millrace.Job
		dir    string
		change func(*millrace.Config)
		want   string
	}{
		{
			"checkpoints of its own", nil, whole.job, "/state", nil,
			`millrace: job "tens" has checkpoint N of its own in /state, which does not come from the savepoint in /save: start it without From to go on from that; or give it ` +
				`another name or directory, to begin at the savepoint beside it; or, with FromAgain, go back to the savepoint: 30 records of source "in" are read again, ` +
				`sink "out" withdraws what it has shown since`,
		},
		{
			"none", nil, whole.job, "/new", func(cfg *millrace.Config) { cfg.From = "/nowhere" },
			`millrace: snapshot: savepoint in /nowhere: there is none, or it was not completed: open /nowhere/savepoint: file does not exist`,
		},
		{
			"not completed", func(m *machine) error {
				return errors.Join(m.disk.Remove("/save/savepoint"), m.disk.Remove("/save/savepoint.copy"))
			}, whole.job, "/new", nil,
			`millrace: snapshot: savepoint in /save: there is none, or it was not completed: open /save/savepoint: file does not exist`,
		},
		{
			"a file is missing", func(m *machine) error { return m.disk.Remove("/save/" + data) }, whole.job, "/new", nil,
			`.mrs: file does not exist (damaged): put its files back from a backup, or begin at another savepoint`,
		},
		{
			"a file is damaged", func(m *machine) error {
				text, err := m.text("/save/" + data)
				if err != nil {
					return err
				}
				return m.put("/save/"+data, "X"+text[1:])
			}, whole.job, "/new", nil,
			`damaged: put its files back from a backup, or begin at another savepoint`,
		},
		{
			"its manifest is damaged", func(m *machine) error {
				return errors.Join(m.put("/save/savepoint", "x"), m.put("/save/savepoint.copy", "x"))
			}, whole.job, "/new", nil,
			`damaged: put its files back from a backup, or begin at another savepoint`,
		},
		{
			"of another graph", nil, other, "/new", nil,
			`millrace: start from the savepoint in /save: job "other" has changed since its checkpoint N and cannot go on from it:`,
		},
		{
			"key groups", nil, whole.job, "/new", func(cfg *millrace.Config) { cfg.KeyGroups = 32 },
			`millrace: start from the savepoint in /save: the checkpoint of job "tens" has 16 key groups, the configuration says 32: their number is fixed at the first start; set KeyGroups to 16`,
		},
		{
			"again without a savepoint", nil, whole.job, "/new", func(cfg *millrace.Config) { cfg.From, cfg.FromAgain = "", true },
			`millrace: config: FromAgain without From: there is no savepoint to go back to`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{disk: base.disk.CrashClone(nothing{})}
			if c.damage != nil {
				if err := c.damage(m); err != nil {
					t.Fatal(err)
				}
			}
			cfg := m.config(c.dir, 2)
			cfg.From = "/save"
			if c.change != nil {
				c.change(&cfg)
			}
			err := millrace.Run(m.start("", 0), c.job(), cfg)
			if got := digitsOf(normal(err, ""), c.want); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			m.shows(t, "a job that was refused", "/out", sums(0, 8, 85))
		})
	}
	t.Run("directory in use", func(t *testing.T) {
		m := &machine{disk: base.disk.CrashClone(nothing{})}
		cfg := m.config("/state", 2)
		cfg.Control = &millrace.Control{}
		wait := seen(&cfg, 85)
		end := m.begin(t, tens{"tens", "/out", 85, true}.job(), cfg)
		wait()
		err := cfg.Control.Savepoint(context.Background(), "/save")
		if err == nil || !strings.Contains(err.Error(), "in /save: the directory is not empty ("+entries[0].Name()+"): name one of its own") {
			t.Errorf("got %v", err)
		}
		if err := cfg.Control.Savepoint(context.Background(), ""); err == nil || err.Error() != "millrace: savepoint: the directory is empty: name one" {
			t.Errorf("got %v", err)
		}
		if err := cfg.Control.Stop(context.Background(), ""); err != nil {
			t.Error(err)
		}
		if err := end(); !errors.Is(err, millrace.ErrStopped) {
			t.Error(err)
		}
		if err := cfg.Control.Drain(context.Background()); err == nil || err.Error() != "millrace: the job has ended" {
			t.Errorf("after the end: %v", err)
		}
		err = millrace.Run(m.start("", 0), tens{"tens", "/out", 85, true}.job(), cfg)
		if want := "millrace: the Control is, or was, that of another run: give each run one of its own"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// digitsOf replaces the number behind "checkpoint " by N.
func digitsOf(got, want string) string {
	const word = "checkpoint "
	if before, after, ok := strings.Cut(got, word); ok && strings.Contains(want, word+"N") {
		return before + word + "N" + strings.TrimLeft(after, "0123456789")
	}
	return got
}
