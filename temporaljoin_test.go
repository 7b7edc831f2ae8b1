package millrace_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// TestTemporalJoinKilledAnywhereGivesEachResultOnce kills a join with a table at fault points, restores it with another
// parallelism, and compares with a loop over all versions.
func TestTemporalJoinKilledAnywhereGivesEachResultOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var left, table []ride
	for i := range 1200 {
		left = append(left, ride{Base: fmt.Sprint("b", rng.IntN(9)), At: int64(i) + rng.Int64N(60) - 30, N: int64(i)})
	}
	for i := range 200 {
		table = append(table, ride{Base: fmt.Sprint("b", rng.IntN(7)), At: int64(i)*6 + rng.Int64N(60) - 30, N: int64(i)})
	}
	text := func(l, v ride, ok bool) string { return fmt.Sprint(l, v, ok) }
	var want []string
	none := 0
	for _, l := range left {
		best, ok := ride{}, false
		for _, v := range table {
			if v.Base == l.Base && v.At <= l.At && (!ok || v.At >= best.At) {
				best, ok = v, true
			}
		}
		if !ok {
			none++
		}
		want = append(want, text(l, best, ok))
	}
	slices.Sort(want)
	if none < 100 || none > 600 {
		t.Fatalf("%d of %d records have no version: too few or too many to show anything", none, len(left))
	}
	build := func(out *memory.Sink[string], late *memory.Sink[ride]) *millrace.Job {
		job := millrace.NewJob("temporal")
		source := func(id string, rs []ride) millrace.Keyed[string, ride] {
			return job.From(id, memory.Of(rs...), millrace.EventTime(ride.time).OutOfOrderness(time.Minute)).KeyBy(ride.base)
		}
		j := source("left", left).TemporalJoin(source("table", table))
		j.Lookup("lookup", text).To("out", out)
		j.LateLeft().Union(j.LateTable()).To("late", late)
		return job
	}
	cfg := func(dir string, p int) millrace.Config {
		return millrace.Config{Parallelism: p, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: dir, EveryRecords: 200, Interval: time.Hour}}
	}
	for n := range 12 {
		k := &killer{after: n * n * 3, hits: map[string]int{}}
		out, late := memory.NewSink[string](), memory.NewSink[ride]()
		dir := t.TempDir()
		if err := millrace.Run(withKiller(k), build(out, late), cfg(dir, 1+n%3)); err == nil && n < 4 {
			t.Fatalf("run %d was not killed", n)
		}
		if err := millrace.Run(context.Background(), build(out, late), cfg(dir, 1+(n+1)%4)); err != nil {
			t.Fatalf("restore after %s: %v", k.killed, err)
		}
		got := out.Records()
		slices.Sort(got)
		same(t, "killed at "+k.killed, got, want)
		if n := len(late.Records()); n > 0 {
			t.Fatalf("%d records are late", n)
		}
	}
}

// TestMistakesOfTemporalJoinsAreNamed makes all mistakes in one job.
func TestMistakesOfTemporalJoinsAreNamed(t *testing.T) {
	job := millrace.NewJob("bad")
	in := rides(job).KeyBy(ride.base)
	in.TemporalJoin(in).LateLeft().To("late", memory.NewSink[ride]())
	in.TemporalJoin(in).LateTable().To("late-table", memory.NewSink[ride]())
	in.TemporalJoin(in).Lookup[ride]("nil", nil).To("nil-out", memory.NewSink[ride]())
	in.TemporalJoin(rides(millrace.NewJob("other")).KeyBy(ride.base)).
		Lookup("two-jobs", func(l, _ ride, _ bool) ride { return l }).To("out", memory.NewSink[ride]())
	got := fmt.Sprint(job.Validate())
	for _, want := range []string{
		"has 4 mistakes", "the function is nil", "late records of a join that is not there yet: call the verb that joins before",
		"the right stream is of another job: both sides of a join must be of one job",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
}
