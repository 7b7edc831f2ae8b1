// Command nexmark measures the Nexmark queries: each as a job, against a hand-written loop for the same query.
//
//	nexmark [-query q5,q7] [-events n] [-rate n] [-parallelism n] [-rounds n] [-checkpoint d] [-memory=false] [-cpuprofile file]
//
// Job, loop and the reading of the input alone run in interleaved rounds in one process, over the same events in memory, and must give the same
// rows; the CPU time of the reading is taken away from both. Memory and checkpoints are those of a process of its own for each job, which makes its events while it reads them.
// Its exit code is 1 when a job and a loop differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace/bench/nexmark"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
)

// options are the flags.
type options struct {
	queries     string
	events      int64
	rate        int64
	parallelism int
	rounds      int
	checkpoint  time.Duration
	memory      bool
	profile     string
	// child runs one query and tells about its memory.
	child bool
}

func main() {
	var o options
	flag.StringVar(&o.queries, "query", "", "queries, separated by commas, such as q5,q7 (empty: all)")
	flag.Int64Var(&o.events, "events", 2_000_000, "number of events")
	flag.Int64Var(&o.rate, "rate", 10_000, "events per second of event time")
	flag.IntVar(&o.parallelism, "parallelism", 1, "subtasks of each operator")
	flag.IntVar(&o.rounds, "rounds", 5, "how often job and loop run")
	flag.DurationVar(&o.checkpoint, "checkpoint", time.Second, "time between checkpoints")
	flag.BoolVar(&o.memory, "memory", true, "measure memory and checkpoints, in a process for each query")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of all rounds to this file")
	flag.BoolVar(&o.child, "child", false, "run one query and print what it needs (used by the command itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nexmark:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	queries, err := choose(o.queries)
	if err != nil {
		return err
	}
	if o.rounds < 1 || o.parallelism < 1 || o.events < 1 || o.checkpoint <= 0 {
		return errors.New("-rounds, -parallelism, -events and -checkpoint must be above 0")
	}
	g, err := gen.New(gen.Config{Events: o.events, Rate: o.rate})
	if err != nil {
		return err
	}
	if o.child {
		return child(ctx, o, g, &queries[0])
	}
	needs := make([]need, len(queries))
	if o.memory {
		for i := range queries {
			if needs[i], err = parent(ctx, o, queries[i].Name); err != nil {
				return err
			}
		}
	}
	return compare(ctx, o, g, queries, needs)
}

// choose returns the queries that are named.
func choose(names string) ([]nexmark.Query, error) {
	all := nexmark.All()
	if names == "" {
		return all, nil
	}
	var out []nexmark.Query
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(q nexmark.Query) bool { return q.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no query %q: they are q0 to q%d", name, len(all)-1)
		}
		out = append(out, all[i])
	}
	return out, nil
}
