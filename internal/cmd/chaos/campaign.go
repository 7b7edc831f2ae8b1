package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
	"github.com/millrace-stream/millrace/internal/task"
)

// stuck is how long a process may run: many times what a whole job takes.
const stuck = 3 * time.Minute

// campaign is a run of this program: jobs, one after the other, until enough processes have been killed.
type campaign struct {
	input *input
	dir   string
	plans *planner
	kills int
	total *tally
	out   io.Writer
	// verbose prints each plan.
	verbose bool
}

func (c *campaign) run(ctx context.Context) error {
	for n := 1; c.total.kills < c.kills; n++ {
		if err := c.job(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// job runs one job in a new directory, kills it until it has finished or enough kills are done, and compares.
func (c *campaign) job(ctx context.Context, n int) error {
	dir := filepath.Join(c.dir, fmt.Sprintf("job-%03d", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	output := func(name string) string { return filepath.Join(dir, "out", name) }
	var dirs []string
	for _, name := range outputNames {
		dirs = append(dirs, output(name))
	}
	w := witness.New(filepath.Join(dir, "state", jobName), dirs...)
	stopReader := startReader(w)
	before := c.total.kills
	err := c.killUntilDone(ctx, dir)
	if readErr := stopReader(); err == nil {
		err = readErr
	}
	if err == nil {
		err = w.Final()
	}
	rows, looks := w.Rows()
	c.total.watched(w.Violations(), rows, looks)
	if err != nil {
		return fmt.Errorf("job %d (%s): %w", n, dir, err)
	}
	rows, diff := c.input.compare(w, output)
	c.total.compared(n, rows, diff)
	epochs, err := witness.Newest(filepath.Join(dir, "state", jobName))
	if err != nil {
		return err
	}
	word := "equal"
	if !diff.None() || w.Violations().Any() {
		word = "FAILED"
	} else if err := os.RemoveAll(dir); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "job %3d  %2d kills  %2d epochs  %s rows %s\n", n, c.total.kills-before, epochs, thousands(rows), word)
	return nil
}

// killUntilDone starts the job again and again. It returns when a process has ended by itself, without an error.
func (c *campaign) killUntilDone(ctx context.Context, dir string) error {
	for {
		p := c.plans.next()
		quiet := c.total.kills >= c.kills
		if quiet {
			p = plan{parallelism: p.parallelism}
		}
		end, err := c.process(ctx, dir, p, quiet)
		if err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
		if c.verbose && !quiet {
			fmt.Fprintf(c.out, "  %-60v killed %v, in an epoch %v\n", p, end.killed, end.inEpoch)
		}
		if !end.killed {
			return nil
		}
		c.total.killed(p, end)
	}
}

// ending is how a process ended.
type ending struct {
	killed bool
	// inEpoch says that an epoch had begun to be written and was not committed.
	inEpoch bool
}

// process runs the job once, as planned, and returns how it ended; an error when it ended in another way than by the kill or well.
func (c *campaign) process(ctx context.Context, dir string, p plan, quiet bool) (ending, error) {
	self, err := os.Executable()
	if err != nil {
		return ending{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-worker", "-dir", dir, "-data", c.input.path, "-parallelism", strconv.Itoa(p.parallelism),
		"-every", strconv.FormatInt(c.input.every, 10), "-fault", p.fault())
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return ending{}, err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %v\n", p)
	cmd.Stderr = log
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return ending{}, err
	}
	if err := cmd.Start(); err != nil {
		return ending{}, err
	}
	t := tracker{}
	fromOutside := p.point == "" && !quiet
	passes := 0
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		t.line(lines.Text())
		if passes++; fromOutside && passes == p.nth {
			time.Sleep(p.delay)
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return ending{}, errors.Join(err, cmd.Wait())
			}
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if ctx.Err() != nil {
		return ending{}, fmt.Errorf("the process was ended after %v: %w", stuck, ctx.Err())
	}
	killed := cmd.ProcessState.String() == "signal: killed"
	meant := t.atPoint != "" || fromOutside && passes >= p.nth
	if killed && meant {
		return ending{killed: true, inEpoch: t.inEpoch}, nil
	}
	if err != nil {
		return ending{}, fmt.Errorf("the job failed (%w):\n%s", err, tail(log.Name()))
	}
	return ending{}, nil
}

// tail returns the end of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// tracker follows a process by the lines that it writes at each point.
type tracker struct {
	inEpoch, recovering bool
	atPoint             string // where it killed itself
}

func (t *tracker) line(text string) {
	verb, point, _ := strings.Cut(text, " ")
	switch {
	case point == "recover.before":
		t.recovering = true
	case point == "recover.after":
		t.recovering = false
	case t.recovering:
	case strings.HasPrefix(point, "snapshot."), strings.HasPrefix(point, "manifest."), strings.HasPrefix(point, "commit."),
		point == "file.sync", point == "file.prepared", strings.HasPrefix(point, "file.commit."):
		t.inEpoch = true
	}
	if verb == "kill" {
		t.atPoint = point
	} else if point == "commit.after" {
		t.inEpoch = false
	}
}

// startReader lets the witness look all the time.
func startReader(w *witness.Witness) (stop func() error) {
	var quit atomic.Bool
	var failed error
	group := task.NewGroup(task.NewSystem())
	group.Go("reader", func() {
		for failed == nil && !quit.Load() {
			failed = w.Look()
			time.Sleep(5 * time.Millisecond)
		}
	})
	return func() error {
		quit.Store(true)
		group.Wait()
		return failed
	}
}
