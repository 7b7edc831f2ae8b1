// Chaos kills a real job with SIGKILL, many times, and holds what it has committed against results computed by SQL.
//
// The job runs as a process of its own over real flights, with several sinks, and with another parallelism after each kill. Half
// of the kills hit it at named points inside snapshot, prepare, commit and recovery, the others at any moment. A
// reader looks at the output all the time: nothing that it has seen may go away, and nothing may be seen before it is decided.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	kills int
	seed  uint64
	data  string
	every int64
	// verbose prints the plan of every process.
	verbose bool

	// Of a process that is to be killed.
	worker      bool
	dir         string
	parallelism int
	fault       string
}

func main() {
	var o options
	flag.IntVar(&o.kills, "kills", 100, "how often to kill")
	flag.Uint64Var(&o.seed, "seed", 0, "repeats the plan of a run: which points, which parallelism (0: another one each time)")
	flag.StringVar(&o.data, "data", filepath.Join("..", "shared", "data"), "folder of flights_2001_01.csv.gz and expected/; without it the sample of examples/flights is used")
	flag.Int64Var(&o.every, "every", 0, "records of a source between two epochs (0: so that a job has about 35)")
	flag.BoolVar(&o.verbose, "v", false, "print each plan and what became of it")
	flag.BoolVar(&o.worker, "worker", false, "be the job that is killed: used by the program itself")
	flag.StringVar(&o.dir, "dir", "", "directory of the job (with -worker)")
	flag.IntVar(&o.parallelism, "parallelism", 1, "subtasks (with -worker)")
	flag.StringVar(&o.fault, "fault", "", "point, epochs before, passes: where to die (with -worker)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if o.worker {
		err = work(ctx, o)
	} else {
		err = chaos(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// chaos runs jobs until there have been enough kills.
func chaos(ctx context.Context, o options) error {
	if o.kills < 1 {
		return fmt.Errorf("-kills is %d: it must be above 0", o.kills)
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	input, err := openInput(o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-chaos-")
	if err != nil {
		return err
	}
	fmt.Printf("chaos: %d kills over %s, %d records between epochs, seed %d (repeat the plan with -seed %d)\n", o.kills, input, input.every, o.seed, o.seed)
	c := &campaign{input: input, dir: dir, plans: newPlanner(o.seed), kills: o.kills, total: newTally(), out: os.Stdout, verbose: o.verbose}
	began := time.Now()
	err = c.run(ctx)
	c.total.print(os.Stdout, time.Since(began))
	if err == nil {
		err = c.total.verdict()
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\neverything is left in %s", err, dir)
	}
	if rmErr := os.RemoveAll(dir); err == nil {
		err = rmErr
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	return err
}

// thousands writes a number with a comma after each thousand.
func thousands(n int) string {
	s := fmt.Sprint(n)
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), ",")
}
