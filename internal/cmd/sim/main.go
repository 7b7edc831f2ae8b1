// Sim runs random jobs in simulated worlds: their processes die, their disks fail, tear and forget, their tasks run in any order. What they
// give is compared with the naive model. One seed is one job with all that happens to it, and a seed that fails is repeated by its number.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// options are the flags.
type options struct {
	seed, seeds uint64
	workers     int
	recent      int
	verbose     bool
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "the first seed")
	flag.Uint64Var(&o.seeds, "seeds", 2000, "how many seeds")
	flag.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many simulations run at a time")
	flag.IntVar(&o.recent, "lines", 80, "how many lines of a history -v shows")
	flag.BoolVar(&o.verbose, "v", false, "tell of each seed what was to happen, how it ended, and the last lines of its history")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// run simulates all seeds and prints what was done to the jobs.
func run(o options) error {
	if o.seeds == 0 || o.workers < 1 {
		return errors.New("-seeds and -workers must be above 0")
	}
	start := time.Now()
	c := &campaign{options: o, counts: map[string]int{}}
	c.next = o.seed
	c.all()
	took := time.Since(start)
	c.table()
	fmt.Printf("sim: %d seeds, %d lives, %d million steps of tasks in %v: %.0f seeds a minute\n",
		c.done, c.lives, c.steps/1_000_000, took.Round(time.Second/10), float64(c.done)/took.Minutes())
	if len(c.failed) == 0 {
		return nil
	}
	for _, r := range c.failed {
		fmt.Println(r)
	}
	return fmt.Errorf("%d of %d seeds failed; repeat the first with: %s", len(c.failed), c.done, c.failed[0].Repeat())
}
