package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/connect"
)

type source = connect.Source[gen.Event]

// need is what a job needs besides CPU time.
type need struct {
	// Peak is the most memory that the process has had, in bytes; 0 where that is not known.
	Peak int64
	// Saved is the most that the directory of checkpoints has held, in bytes.
	Saved int64
	// Epoch is the longest epoch, from its trigger to its commit, Pause the longest pause of a barrier.
	Epoch, Pause time.Duration
}

// parent runs a query in a process of its own.
func parent(ctx context.Context, o options, query string) (n need, err error) {
	self, err := os.Executable()
	if err != nil {
		return n, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", "-query", query, "-events", strconv.FormatInt(o.events, 10), "-rate", strconv.FormatInt(o.rate, 10),
		"-parallelism", strconv.Itoa(o.parallelism), "-checkpoint", o.checkpoint.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return n, fmt.Errorf("%s in a process of its own: %w", query, err)
	}
	return n, json.Unmarshal(out, &n)
}

// child runs a query over events that are made while they are read, and prints what it has needed.
func child(ctx context.Context, o options, g *gen.Generator, q *nexmark.Query) error {
	var n need
	_, err := runJob(ctx, o, q, g.Source(gen.Options{Splits: o.parallelism}), func(s millrace.Status, saved int64) {
		n.Saved, n.Epoch, n.Pause = max(n.Saved, saved), max(n.Epoch, s.EpochTime), max(n.Pause, s.BarrierPause)
	})
	if err != nil {
		return err
	}
	n.Peak = peakMemory()
	return json.NewEncoder(os.Stdout).Encode(n)
}

// peakMemory returns the most memory that the process has had. It asks Linux for it: what getrusage says includes the memory of the process that has started
// this one.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" {
			if kb, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				return kb * 1024
			}
		}
	}
	return 0
}
