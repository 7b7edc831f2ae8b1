package jobs_test

import (
	"testing"

	"github.com/millrace-stream/millrace/internal/sim"
	"github.com/millrace-stream/millrace/internal/sim/jobs"
)

func simulate(seed uint64) sim.Result {
	return sim.Run(seed, func(w *sim.World) sim.Job { return jobs.New(w) }, sim.Options{})
}

// TestSameSeedSameHistory: each turn of each task, each operation on the disk and each time is the same when a seed is run again.
func TestSameSeedSameHistory(t *testing.T) {
	different := map[uint64]bool{}
	for seed := uint64(1); seed <= 40; seed++ {
		first, again := simulate(seed), simulate(seed)
		if first.History != again.History || first.Steps != again.Steps {
			t.Errorf("seed %d: history %016x of %d steps, and %016x of %d when it was run again", seed, first.History, first.Steps, again.History, again.Steps)
		}
		different[first.History] = true
	}
	if len(different) < 40 {
		t.Errorf("40 seeds have %d histories", len(different))
	}
}

// TestSeeds is a short run of `make sim`.
func TestSeeds(t *testing.T) {
	counts := map[string]int{}
	for seed := uint64(1_000_001); seed <= 1_000_060; seed++ {
		r := simulate(seed)
		if r.Err != nil {
			t.Error(r)
		}
		for what, n := range r.Counts {
			counts[what] += n
		}
	}
	for _, what := range []string{
		"kill: at a step of the scheduler", "kill: at a change of the disk", "kill: at a fault point", "power loss", "power loss: a name was lost",
		"stop: with a last checkpoint", "disk: full (ENOSPC)", "disk: slow operation", "pause: one task", "rescale: another parallelism",
	} {
		if counts[what] == 0 {
			t.Errorf("nothing of this was done to any job: %s (%v)", what, counts)
		}
	}
}
