//go:build unix

// Peers runs the same task with other stream processors and compares: first the results, then the CPU time of the whole process, its start
// included, for an event. A peer is a program that reads the same file and prints the same lines; see package input.
//
//	go run .                 # in this directory; make peers from that of the repository
//	go run . -events 5000000
//
// Programs run in turn, round by round, and the median counts. None of the others keeps checkpoints here; the job of millrace does. The
// runners of Beam that can be had in Go are made for tests: they say what they cost and not what Beam costs on a cluster.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace/bench/peers/input"
)

// peer is a program. The first is the one that the others are compared with.
type peer struct {
	name    string
	program string
	args    []string
	// must and moonshot are the targets for the ratio of CPU time to that of the first program; target names it in the design.
	target         string
	must, moonshot float64

	cpu, wall []time.Duration
	peak      int64
}

func peers() []*peer {
	return []*peer{
		{name: "millrace, chained", program: "millrace"},
		{name: "millrace, keyed exchange to 2 subtasks", program: "millrace", args: []string{"-parallelism=2"}},
		{name: "Beam Go SDK, direct runner", program: "beam", args: []string{"-runner=direct"}, target: "B16", must: 20, moonshot: 60},
		{name: "Beam Go SDK, prism", program: "beam", args: []string{"-runner=prism"}, target: "B17", must: 60, moonshot: 200},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(errOut)
	events := flags.Int("events", 1_000_000, "number of events")
	keys := flags.Int64("keys", 10_000, "number of keys")
	rounds := flags.Int("rounds", 3, "how often each program runs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *events < 1 || *keys < 1 || *rounds < 1 || flags.NArg() > 0 {
		return errors.New("want numbers above 0 for -events, -keys and -rounds, and nothing else")
	}
	dir, err := os.MkdirTemp("", "millrace-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "events")
	if err := writeInput(path, *events, *keys); err != nil {
		return err
	}
	want, err := expected(path)
	if err != nil {
		return err
	}
	all := peers()
	if err := build(ctx, dir, all); err != nil {
		return err
	}
	for range *rounds {
		for _, p := range all {
			if err := p.run(ctx, dir, path, want); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	fmt.Fprintf(out, "tumbling sums of 10 s: %d events, %d keys, %d results, the same of all; medians of %d rounds, whole processes\n", *events, *keys, len(want), *rounds)
	fmt.Fprintf(out, "%-4s %-40s %12s %14s %12s %10s %8s %6s %6s  %s\n", "", "", "CPU s", "events/CPU-s", "wall s", "peak", "ratio", "must", "moon", "verdict")
	for _, p := range all {
		cpu := median(p.cpu)
		ratio := float64(cpu) / float64(median(all[0].cpu))
		fmt.Fprintf(out, "%-4s %-40s %12.2f %14.0f %12.2f %7.0f MB %8.1f", p.target, p.name, cpu.Seconds(), float64(*events)/cpu.Seconds(), median(p.wall).Seconds(), float64(p.peak)/1e6, ratio)
		if p.must > 0 {
			fmt.Fprintf(out, " %6.0f %6.0f  %s", p.must, p.moonshot, p.verdict(ratio))
		}
		fmt.Fprintln(out)
	}
	return nil
}

func (p *peer) verdict(ratio float64) string {
	switch {
	case ratio >= p.moonshot:
		return "moonshot"
	case ratio >= p.must:
		return "ok"
	}
	return "MISSED"
}

func writeInput(path string, events int, keys int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(input.Write(f, events, keys), f.Close())
}

// build compiles the programs.
func build(ctx context.Context, dir string, all []*peer) error {
	for _, p := range all {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, p.program), "./"+p.program)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s (run it in its directory, bench/peers): %w\n%s", p.program, err, text)
		}
	}
	return nil
}

// run runs the program once and compares what it prints.
func (p *peer) run(ctx context.Context, dir, path string, want []string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, p.program), append([]string{"-input=" + path}, p.args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, errOut.String())
	}
	p.wall = append(p.wall, time.Since(start))
	p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.peak = max(p.peak, u.Maxrss<<10) // Linux counts in KiB.
	}
	if got := sortedLines(out.String()); !slices.Equal(got, want) {
		return fmt.Errorf("it printed %d results, which are not the %d expected: %s", len(got), len(want), difference(got, want))
	}
	return nil
}

// difference names the first line that one has and the other has not.
func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("got %q, want %q", got[i], want[i])
		}
	}
	return "one is the beginning of the other"
}

func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}
