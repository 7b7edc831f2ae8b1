package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-stream/millrace/internal/sim"
	"github.com/millrace-stream/millrace/internal/sim/jobs"
	"github.com/millrace-stream/millrace/internal/task"
)

// campaign is a run over many seeds.
type campaign struct {
	options

	mu     sync.Mutex
	next   uint64
	done   int
	lives  int
	steps  int
	counts map[string]int
	failed []sim.Result
}

// all runs the seeds, several at a time, until all are done or some have failed.
func (c *campaign) all() {
	g := task.NewGroup(task.NewSystem())
	for range c.workers {
		g.Go("sim", c.work)
	}
	g.Wait()
	slices.SortFunc(c.failed, func(a, b sim.Result) int { return cmp.Compare(a.Seed, b.Seed) })
}

func (c *campaign) work() {
	keep := 0
	if c.verbose {
		keep = c.recent
	}
	for {
		seed, ok := c.take()
		if !ok {
			return
		}
		c.add(sim.Run(seed, func(w *sim.World) sim.Job { return jobs.New(w) }, sim.Options{Recent: keep}))
	}
}

// enough is how many seeds may fail before no more are tried.
const enough = 3

func (c *campaign) take() (seed uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next-c.seed >= c.seeds || len(c.failed) >= enough {
		return 0, false
	}
	c.next++
	return c.next - 1, true
}

func (c *campaign) add(r sim.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.lives += len(r.Lives)
	c.steps += r.Steps
	for what, n := range r.Counts {
		c.counts[what] += n
	}
	if r.Err != nil {
		c.failed = append(c.failed, r)
	}
	if c.verbose {
		fmt.Printf("%v\n  history %016x\n", r, r.History)
	}
}

// table prints what was done to the jobs, and how often.
func (c *campaign) table() {
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Printf("%9d  %s\n", c.counts[what], what)
	}
}
