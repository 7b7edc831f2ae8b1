package millracetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/sim"
)

// Simulate tests that a job gives the same results whatever happens to it, like Crash, in simulated worlds that repeat exactly.
//
// It runs the job once without checkpoints, for the reference, and then in the world of each seed (see Seeds): there one task of the job runs at a time, in an
// order that the seed chooses, time is virtual, and the disk is in memory. The process dies at any step, at fault points and in the middle of writes, the disk
// loses power, is full, slow, fails and is damaged, the job is stopped and is started twice; each start is at another parallelism perhaps, up to 4. At
// last nothing goes wrong any more, and what the Trial has collected must be the records of the reference, in any order. A seed
// does the same in every run, down to the order in which tasks take turns, so a failure is repeated by Seed and Seeds(1).
//
// Build makes the job for a start; see Trial. The options are Seed, Seeds, Configure and Check; where and how often checkpoints are taken, the parallelism and
// where state is kept are the simulator's. Functions of the job must not wait for each other by means of their own: while one waits, nothing else runs.
func Simulate(t TB, build func(*Trial) *millrace.Job, opts ...Option) {
	t.Helper()
	s, err := newSettings(opts, true)
	if err == nil && build == nil {
		err = errors.New("the function that builds the job is nil")
	}
	if err == nil && s.virtual {
		err = errors.New("option Virtual is not one of Simulate, whose time is virtual always")
	}
	for _, o := range opts {
		if err == nil && (o.name == "Kills" || o.name == "At") {
			err = errors.New("Kills and At are options of Crash alone: a seed decides where a simulated process dies")
		}
	}
	c := &campaign{settings: s, t: t, build: build}
	if err == nil {
		err = c.simulate()
	}
	if err != nil {
		t.Fatalf("millracetest: Simulate: %v", err)
	}
}

func (c *campaign) simulate() error {
	w := newTrial()
	if _, err := c.start(w, 1, false, newKiller("", 0)); err != nil {
		return fmt.Errorf("the job fails without anything having happened to it: %w", err)
	}
	var err error
	if c.want, err = c.results(w); err != nil {
		return fmt.Errorf("the reference: %w", err)
	}
	for _, records := range c.want {
		c.report.Results += len(records)
	}
	if c.report.Results == 0 {
		return errors.New("the job gives no results: there is nothing to compare; use Trial.Collect, Trial.Output or Trial.Path for its sinks")
	}
	lives := 0
	for seed := c.seed; seed < c.seed+uint64(c.seeds); seed++ {
		r := sim.Run(seed, c.simulated, sim.Options{
			Repeat: fmt.Sprintf("millracetest.Simulate(t, build, millracetest.Seed(%d), millracetest.Seeds(1)) and the other options that were given", seed),
		})
		if r.Err != nil {
			return fmt.Errorf("job %s:\n%s", c.job, r)
		}
		lives += len(r.Lives)
	}
	c.t.Logf("millracetest: %d lives in %d simulated worlds: %d times the same %d results", lives, c.seeds, c.seeds, c.report.Results)
	return nil
}

// simulated is the job in a world.
func (c *campaign) simulated(world *sim.World) sim.Job {
	w := newTrial()
	return sim.Job{
		Build: func() *millrace.Job {
			w.mem = world.Mem()
			return c.build(w)
		},
		FS: func(m *fsx.Mem) fsx.FS { return disk{mem: m} },
		Configure: func(cfg *millrace.Config) {
			checkpoint, parallelism := cfg.Checkpoint, cfg.Parallelism
			for _, f := range c.configure {
				f(cfg)
			}
			cfg.Checkpoint, cfg.Parallelism, cfg.State = checkpoint, parallelism, millrace.StateConfig{}
			cfg.StopTimeout = time.Minute
		},
		Check: func(millrace.Status) error {
			w.mem = world.Mem()
			return c.compare(w)
		},
	}
}

// Seeds says in how many worlds Simulate runs the job; 50 without it. They are those of the seed that Seed gives and of those after it.
func Seeds(n int) Option {
	return Option{name: "Seeds", crash: true, apply: func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("Seeds(%d): it must be 1 or more", n)
		}
		s.seeds = n
		return nil
	}}
}
