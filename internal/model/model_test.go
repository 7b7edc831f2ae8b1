package model_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/snapshot"

	"pgregory.net/rapid"
)

var cases = flag.Int("model.cases", defaultCases, "number of random cases of each of the tests against the model")

func TestMain(m *testing.M) {
	keyed.PutBesideHeap() // who looks at a table that has gone ends the process
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", strconv.Itoa(*cases)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// kills counts the runs that died, so that a test of kills that never kills fails.
var kills atomic.Int64

// preAggregated counts the records that were aggregated before an exchange, so that a test which means to test that fails when it does not
// happen.
var preAggregated atomic.Int64

// places are where runs die.
var places = append([]string{
	placeFiles, placeFiles, placeFiles, placeReads, placeReads, placeReads,
	"commit.before", "commit.between", "commit.after", "recover.before", "recover.after",
}, snapshot.Points...)

func TestOneSubtaskGivesTheSequenceOfTheModel(t *testing.T) { against(t, exact) }

func TestSeveralSubtasksGiveTheRecordsOfTheModel(t *testing.T) { against(t, bag) }

func TestSeveralSplitsGiveTheRecordsOfTheModel(t *testing.T) { against(t, timely) }

// against runs each random job plainly and in one other way.
func against(t *testing.T, c class) {
	before, preBefore := kills.Load(), preAggregated.Load()
	ways := []func(*rapid.T, trial){inEpochs, killed, killed, extreme}
	rapid.Check(t, func(t *rapid.T) {
		tr := drawTrial(t, c)
		first := newWorld(tr)
		_, last := first.run(t, calm(), nil, 0)
		first.check(t, "plain", c == exact, last)
		rapid.SampledFrom(ways).Draw(t, "way")(t, tr)
	})
	n := kills.Load() - before
	pre := preAggregated.Load() - preBefore
	t.Logf("%d runs were killed, %d records were aggregated before an exchange", n, pre)
	if !t.Failed() && pre == 0 && c != exact {
		t.Error("no record was aggregated before an exchange")
	}
	if !t.Failed() && n == 0 {
		t.Error("no run was killed: the fault points are not reached")
	}
}

// subtasks draws the parallelism of a run.
func subtasks(t *rapid.T, c class) int {
	if c == exact {
		return 1
	}
	return rapid.IntRange(1, 4).Draw(t, "subtasks")
}

// inEpochs ends an epoch after every few records.
func inEpochs(t *rapid.T, tr trial) {
	w := newWorld(tr)
	cfg := kept(calm(), rapid.SampledFrom([]int{1, 2, 3, 7, 20}).Draw(t, "every"))
	cfg.Parallelism = subtasks(t, tr.Class)
	cfg.Checkpoint.Compress = rapid.Bool().Draw(t, "compress")
	_, last := w.run(t, cfg, nil, 0)
	w.check(t, "in epochs", tr.Class == exact, last)
}

// killed kills the job up to three times and lets it go on, with another parallelism.
func killed(t *rapid.T, tr trial) {
	w := newWorld(tr)
	cfg := kept(calm(), rapid.SampledFrom([]int{1, 2, 3, 7, 20}).Draw(t, "every"))
	cfg.Checkpoint.Keep = rapid.IntRange(1, 3).Draw(t, "keep")
	few := rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "read at a time")
	for range rapid.IntRange(1, 3).Draw(t, "kills") {
		cfg.Parallelism = subtasks(t, tr.Class)
		k := &killer{place: rapid.SampledFrom(places).Draw(t, "place")}
		k.left = rapid.SampledFrom([]int{0, 1, 2, 4, 8, 16}).Draw(t, "passes")
		if k.place == placeFiles {
			k.left = rapid.IntRange(0, 200).Draw(t, "file operations")
		}
		if done, _ := w.run(t, cfg, k, few); !done {
			kills.Add(1)
		}
		if rapid.Bool().Draw(t, "power loss") {
			w.losePower(rapid.Uint64().Draw(t, "disk"))
		}
	}
	cfg.Parallelism = subtasks(t, tr.Class)
	_, last := w.run(t, cfg, nil, few)
	w.check(t, "killed", tr.Class == exact, last)
}

// extreme runs with the smallest buffers and batches.
func extreme(t *rapid.T, tr trial) { runExtreme(t, tr, subtasks(t, tr.Class)) }

func runExtreme(t tb, tr trial, parallelism int) {
	w := newWorld(tr)
	cfg := kept(calm(), 1)
	cfg.Parallelism, cfg.Linger, cfg.BufferRecords, cfg.BufferBytes = parallelism, time.Nanosecond, 1, 1
	_, last := w.run(t, cfg, nil, 1)
	w.check(t, "extreme", tr.Class == exact, last)
}
