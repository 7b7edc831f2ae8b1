// Command restart kills a job with much state by SIGKILL, starts it again, and tells how long it takes until the new process has committed its first output. What has been
// committed by both is held against what must be there: every row once, made from state that has lost nothing.
//
//	restart -keys 10000000
package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

type options struct {
	keys     int64
	interval time.Duration
	dir      string
	worker   bool
}

func main() {
	var o options
	flag.Int64Var(&o.keys, "keys", 10_000_000, "keys in the state")
	flag.DurationVar(&o.interval, "interval", time.Second, "time between checkpoints")
	flag.StringVar(&o.dir, "dir", "", "directory for checkpoints and output (empty: a temporary one)")
	flag.BoolVar(&o.worker, "worker", false, "be the job: used by the command itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := start(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, o options) error {
	if o.worker {
		return work(ctx, o)
	}
	if o.keys < every {
		return fmt.Errorf("-keys is %d: it must be %d at least", o.keys, every)
	}
	if o.dir != "" {
		return measure(ctx, o)
	}
	var err error
	if o.dir, err = os.MkdirTemp("", "millrace-restart-"); err != nil {
		return err
	}
	return errors.Join(measure(ctx, o), os.RemoveAll(o.dir))
}

// measure runs the job twice.
func measure(ctx context.Context, o options) error {
	first, err := spawn(ctx, o)
	if err != nil {
		return err
	}
	var loaded time.Time
	for epochs := 0; epochs < 2; { // the second epoch behind the last key has only changes
		what, err := first.next()
		if err != nil {
			return errors.Join(err, first.kill())
		}
		switch {
		case what == "loaded":
			loaded = time.Now()
		case what == "committed" && !loaded.IsZero():
			epochs++
		}
	}
	if err := first.kill(); err != nil {
		return err
	}
	before, err := committed(o.dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d keys put in in %.1f s; killed %.1f s later, with %d rows committed and %d MB in checkpoints\n",
		o.keys, loaded.Sub(first.began).Seconds(), time.Since(loaded).Seconds(), before, bytesIn(filepath.Join(o.dir, "state"))/1_000_000)

	second, err := spawn(ctx, o)
	if err != nil {
		return err
	}
	for {
		what, err := second.next()
		if err != nil {
			return errors.Join(err, second.kill())
		}
		switch took := time.Since(second.began).Seconds(); what {
		case "reading":
			fmt.Printf("source opened again %5.2f s after the start of the process\n", took)
		case "committed":
			after, err := committed(o.dir)
			if err != nil {
				return errors.Join(err, second.kill())
			}
			if after == before {
				continue // an epoch without output: it began before the first record
			}
			fmt.Printf("first new output    %5.2f s\n", took)
			if err := second.kill(); err != nil {
				return err
			}
			if after, err = committed(o.dir); err == nil {
				fmt.Printf("%d rows committed in all: each once, from state that has lost nothing\n", after)
			}
			return err
		}
	}
}

// process is a run of the job.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	began time.Time
}

func spawn(ctx context.Context, o options) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:   exec.CommandContext(ctx, self, "-worker", "-dir", o.dir, "-keys", strconv.FormatInt(o.keys, 10), "-interval", o.interval.String()),
		began: time.Now(),
	}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	return p, p.cmd.Start()
}

// next returns what the process says next.
func (p *process) next() (what string, err error) {
	if !p.lines.Scan() {
		return "", errors.Join(errors.New("the job has ended by itself"), p.lines.Err())
	}
	what, _, _ = strings.Cut(p.lines.Text(), " ")
	return what, nil
}

// kill ends the process at once.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState.String() != "signal: killed" {
		return err
	}
	return nil
}

// committed reads the rows that anybody can see, and returns how many there are, an error if one is missing, there twice, or wrong.
func committed(dir string) (rows int64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "out", "*"))
	if err != nil {
		return 0, err
	}
	seen := map[int64]bool{}
	for _, name := range files {
		if !strings.HasPrefix(filepath.Base(name), ".") {
			if err := readRows(name, seen); err != nil {
				return 0, err
			}
		}
	}
	rows = int64(len(seen))
	for i := range rows {
		if !seen[i*every] {
			return 0, fmt.Errorf("the row of record %d is missing, and there are later ones", i*every)
		}
	}
	return rows, nil
}

func readRows(name string, seen map[int64]bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := csv.NewReader(f)
	for first := true; ; first = false {
		line, err := lines.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case first: // the names of the columns
			continue
		}
		var at, times, want int64
		if _, err := fmt.Sscan(strings.Join(line, " "), &at, &times, &want); err != nil {
			return fmt.Errorf("%s: %q: %w", name, line, err)
		}
		if seen[at] || times != want {
			return fmt.Errorf("%s: record %d: there before: %v; its key has been seen %d times, and should have been %d times", name, at, seen[at], times, want)
		}
		seen[at] = true
	}
}

// bytesIn adds up the files below a directory.
func bytesIn(dir string) (n int64) {
	//nolint:errcheck // what has gone is not there
	filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n += info.Size()
		}
		return nil
	})
	return n
}
