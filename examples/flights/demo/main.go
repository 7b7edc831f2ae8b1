// Demo runs the flights job as a process of its own, kills it three times with SIGKILL, starts it again each time, and then
// holds every row that it has committed against results computed by SQL.
//
// It needs nothing but a Go installation and writes to a temporary directory, which it removes if all is well.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
)

const (
	// pace lets a run of the data take some seconds.
	pace = "12000"
	// patience is the longest that the demo waits for progress.
	patience = time.Minute
)

// kills are the moments at which the job is killed. They depend on what it has done, not on time.
var kills = []struct {
	what string
	// now is asked every other millisecond: newest is the last decided epoch, writing the newest that has begun to write.
	now func(newest, writing uint64) bool
}{
	{"right after an epoch is decided", func(newest, _ uint64) bool { return newest >= 4 }},
	{"while an epoch is being written", func(newest, writing uint64) bool { return newest >= 9 && writing > newest }},
	{"right after an epoch is decided", func(newest, _ uint64) bool { return newest >= 15 }},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

// theater is where the demo plays.
type theater struct {
	out     io.Writer
	dir     string // everything that is written
	example string // the folder of the example
	binary  string
	log     *os.File
	witness *witness.Witness
	began   time.Time
}

func demo(ctx context.Context, out io.Writer) error {
	t := &theater{out: out, began: time.Now()}
	if err := t.build(ctx); err != nil {
		return err
	}
	defer t.log.Close()
	dirs := make([]string, 0, len(outputs))
	for _, o := range outputs {
		dirs = append(dirs, t.output(o.name))
	}
	t.witness = witness.New(t.state(), dirs...)
	t.say("flights  50,000 real departures of January 2001, up to 20 hours out of order, at %s a second.\n"+
		"         It is killed with SIGKILL three times, and reads on by itself. A reader looks at its output all the time.\n", pace)
	stopReader := t.reader()
	for i := range kills {
		if err := t.runAndKill(ctx, i); err != nil {
			return t.explain(ctx, errors.Join(err, stopReader()))
		}
	}
	err := t.runToEnd(ctx, len(kills)+1)
	if readErr := stopReader(); err == nil {
		err = readErr
	}
	if err == nil {
		err = t.witness.Final()
	}
	if err != nil {
		return t.explain(ctx, err)
	}
	if err := t.results(); err != nil {
		return t.explain(ctx, err)
	}
	if err := t.prove(); err != nil {
		return t.explain(ctx, err)
	}
	t.say("\nIt took %.1f s.", time.Since(t.began).Seconds())
	return os.RemoveAll(t.dir)
}

func (t *theater) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// state is where the job called flights keeps its checkpoints.
func (t *theater) state() string { return filepath.Join(t.dir, "checkpoints", "flights") }

func (t *theater) output(name string) string { return filepath.Join(t.dir, "out", name) }

// explain says where to look. After Ctrl-C there is nothing to look at.
func (t *theater) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("interrupted: %w", context.Cause(ctx)), os.RemoveAll(t.dir))
	}
	tail, readErr := os.ReadFile(t.log.Name())
	if readErr == nil {
		tail = tail[max(0, len(tail)-2000):]
	}
	return fmt.Errorf("%w\nthe log of the job, the end of it:\n%s\neverything is left in %s", err, tail, t.dir)
}

func (t *theater) build(ctx context.Context) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	if err != nil || root == "." {
		return errors.New("this is not inside the millrace repository: run it there, with make demo")
	}
	t.example = filepath.Join(root, "examples", "flights")
	if t.dir, err = os.MkdirTemp("", "millrace-demo-"); err != nil {
		return err
	}
	t.binary = filepath.Join(t.dir, "flights")
	build := exec.CommandContext(ctx, "go", "build", "-o", t.binary, "./examples/flights")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the example: %w\n%s", err, text)
	}
	t.began = time.Now()
	t.log, err = os.Create(filepath.Join(t.dir, "log"))
	return err
}

// start starts the job.
func (t *theater) start(ctx context.Context) (*job, error) {
	cmd := exec.CommandContext(ctx, t.binary, "run", "--checkpoint-dir", filepath.Dir(t.state()), "--checkpoint-interval", "200ms")
	cmd.Env = append(os.Environ(), "FLIGHTS_DATA="+filepath.Join(t.example, "data", "*.csv.gz"), "FLIGHTS_OUT="+filepath.Join(t.dir, "out"),
		"FLIGHTS_PACE="+pace)
	cmd.Stderr = t.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	j := &job{cmd: cmd, ended: make(chan struct{})}
	go func() {
		j.err = cmd.Wait()
		close(j.ended)
	}()
	return j, nil
}

// job is a process.
type job struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of Wait, to be read when ended is closed
}

// end kills the process, and fails when something else has ended it before.
func (j *job) end() error {
	err := j.cmd.Process.Kill()
	<-j.ended
	if s, ok := j.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGKILL {
		return errors.Join(fmt.Errorf("the job had ended before it was killed: %v", j.cmd.ProcessState), err)
	}
	return nil
}

// runAndKill starts the job and kills it at its moment.
func (t *theater) runAndKill(ctx context.Context, run int) error {
	from, _, err := t.epochs()
	if err != nil {
		return err
	}
	j, err := t.start(ctx)
	if err != nil {
		return err
	}
	t.say("run %d    process %d, goes on from epoch %d", run+1, j.cmd.Process.Pid, from)
	if err := t.await(j, kills[run].now); err != nil {
		return errors.Join(err, j.end())
	}
	if err := j.end(); err != nil {
		return err
	}
	if err := t.witness.Look(); err != nil {
		return err
	}
	at, _, err := t.epochs()
	if err != nil {
		return err
	}
	rows, _ := t.witness.Rows()
	t.say("         SIGKILL %s: epoch %d, %s rows committed, %s\n", kills[run].what, at, thousands(rows), t.unfinished())
	return nil
}

// await returns when the moment has come, and an error when it cannot come any more.
func (t *theater) await(j *job, now func(newest, writing uint64) bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		newest, writing, err := t.epochs()
		if err != nil {
			return err
		}
		if now(newest, writing) {
			return nil
		}
		select {
		case <-j.ended:
			return errors.Join(fmt.Errorf("the job ended by itself at epoch %d, before it could be killed", newest), j.err)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("the moment to kill has not come within %v", patience)
}

// epochs returns the newest epoch that is decided and the newest that has begun to write its state.
func (t *theater) epochs() (newest, writing uint64, err error) {
	if newest, err = witness.Newest(t.state()); err != nil {
		return 0, 0, err
	}
	files, err := filepath.Glob(filepath.Join(t.state(), "e*.mrs"))
	for _, f := range files {
		var n uint64
		if _, err := fmt.Sscanf(filepath.Base(f), "e%d-", &n); err == nil {
			writing = max(writing, n)
		}
	}
	return newest, writing, err
}

// unfinished says what a process that died has left behind.
func (t *theater) unfinished() string {
	hidden := 0
	for _, o := range outputs {
		names, err := filepath.Glob(filepath.Join(t.output(o.name), ".mr-*.inprogress"))
		if err == nil {
			hidden += len(names)
		}
	}
	return fmt.Sprintf("%d unfinished files lie hidden beside them", hidden)
}

func (t *theater) runToEnd(ctx context.Context, run int) error {
	j, err := t.start(ctx)
	if err != nil {
		return err
	}
	t.say("run %d    process %d, is left alone", run, j.cmd.Process.Pid)
	select {
	case <-j.ended:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the job has not ended within %v", patience), j.cmd.Process.Kill())
	}
	if j.err != nil {
		return fmt.Errorf("the job failed: %w", j.err)
	}
	return nil
}

// reader watches the output until it is stopped.
func (t *theater) reader() (stop func() error) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(5 * time.Millisecond):
				if err := t.witness.Look(); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	return func() error {
		close(quit)
		return <-done
	}
}
