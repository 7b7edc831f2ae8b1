package model_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// death is one run that is killed, and whether the power goes after it.
type death struct {
	place     string
	left      int
	powerLoss bool
}

// Cases that have once failed, as the random tests found them.
func TestCasesThatHaveFailed(t *testing.T) {
	for _, c := range []struct {
		name   string
		trial  trial
		every  int
		deaths []death
	}{
		{
			name:  "the directory of the job was made by a run that did not live to sync it",
			trial: trial{Class: exact, Splits: [][]rec{{{At: 0}}}}, every: 1,
			deaths: []death{{placeFiles, 4, false}, {"commit.before", 1, true}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(c.trial)
			for i, d := range c.deaths {
				if done, _ := w.run(t, kept(calm(), c.every), &killer{place: d.place, left: d.left}, 0); done && i == 0 {
					t.Fatal("the first run was not killed: the case tests nothing")
				}
				if d.powerLoss {
					w.losePower(0)
				}
			}
			_, last := w.run(t, kept(calm(), c.every), nil, 0)
			w.check(t, "killed", c.trial.Class == exact, last)
		})
	}
}

// An epoch after each record, one record in a buffer and no time to fill a batch change nothing, at any parallelism.
func TestSmallestBuffersChangeNothing(t *testing.T) {
	seeds := 5
	if testing.Short() {
		seeds = 1
	}
	for _, c := range []class{exact, bag, timely} {
		jobs := rapid.Custom(func(t *rapid.T) trial {
			tr := drawTrial(t, c)
			tick := ticks[1]
			// More than a batch of an exchange, and few enough for an epoch after each.
			for i := range tr.Splits {
				tr.Splits[i] = longRecords(0, tick, 300/len(tr.Splits), rapid.Uint64().Draw(t, "seed"))
				if c == timely {
					tr.Bound = max(tr.Bound, disorder(tr.Splits[i]))
				}
			}
			return tr
		})
		for seed := range seeds {
			t.Run(fmt.Sprintf("%v/%d", c, seed), func(t *testing.T) {
				tr := jobs.Example(seed)
				parallelism := 1
				if c != exact {
					parallelism = 1 + seed%4
				}
				runExtreme(t, tr, parallelism)
			})
		}
	}
}
