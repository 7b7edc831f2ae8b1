package millrace_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// TestMistakesOfJoinsAreNamed makes one mistake in each join and compares all that Validate says.
func TestMistakesOfJoinsAreNamed(t *testing.T) {
	pair := func(l, r ride) ride { return l }
	inner := func(j millrace.IntervalJoined[string, ride, ride]) {
		j.Inner("j", pair).To("out", memory.NewSink[ride]())
	}
	for _, c := range []struct {
		name  string
		build func(in millrace.Keyed[string, ride])
		want  string
	}{
		{
			"bounds the wrong way round", func(in millrace.Keyed[string, ride]) { inner(in.IntervalJoin(in, time.Second, 0)) },
			"the lower bound 1s is above the upper bound 0s: no pair can be between them",
		},
		{
			"bound out of range", func(in millrace.Keyed[string, ride]) { inner(in.IntervalJoin(in, math.MinInt64, 0)) },
			"the lower bound -2562047h47m16.854775808s is out of range",
		},
		{"nil function", func(in millrace.Keyed[string, ride]) {
			in.IntervalJoin(in, 0, 0).Full[ride]("j", nil).To("out", memory.NewSink[ride]())
		}, "the function is nil"},
		{"late before the join", func(in millrace.Keyed[string, ride]) {
			j := in.IntervalJoin(in, 0, 0)
			j.LateRight().To("late", memory.NewSink[ride]())
			inner(j)
		}, "late records of a join that is not there yet: call the verb that joins before"},
		{"two jobs", func(in millrace.Keyed[string, ride]) {
			inner(in.IntervalJoin(rides(millrace.NewJob("other")).KeyBy(ride.base), 0, 0))
		}, "the right stream is of another job: both sides of a join must be of one job"},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("bad")
			c.build(rides(job).KeyBy(ride.base))
			err := job.Validate()
			if err == nil || !strings.Contains(normal(err, ""), c.want) || strings.Count(err.Error(), "\n") != 1 {
				t.Errorf("got %v\nwant %s", normal(err, ""), c.want)
			}
			if !strings.Contains(normal(err, ""), "JOB:LINE") {
				t.Errorf("the mistake has no place: %v", err)
			}
		})
	}
}

// TestJoinNeedsTimesKeysAndRecordsItCanKeep: each side is checked by itself.
func TestJoinNeedsTimesKeysAndRecordsItCanKeep(t *testing.T) {
	job := millrace.NewJob("bad")
	in := rides(job)
	untimed := job.From("untimed", memory.Of[withFunc]())
	in.KeyBy(func(ride) float64 { return 0 }).
		IntervalJoin(untimed.KeyBy(func(withFunc) float64 { return 0 }), 0, time.Second).
		Inner("j", func(l ride, _ withFunc) ride { return l }).
		To("out", memory.NewSink[ride]())
	err := job.Validate()
	for _, want := range []string{
		"KeyBy: codec: key field float64", "KeyBy of the right stream: codec: key field float64",
		"joins need event time, and the right stream has none: give EventTime to its source",
		"the records of the right stream cannot be kept in checkpoints: codec: field",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

// TestMistakesOfWindowJoinsAreNamed makes one mistake in each join.
func TestMistakesOfWindowJoinsAreNamed(t *testing.T) {
	pair := func(l, r ride) ride { return l }
	inner := func(j millrace.WindowJoined[string, ride, ride]) {
		j.Inner("j", pair).To("out", memory.NewSink[ride]())
	}
	for _, c := range []struct {
		build func(in millrace.Keyed[string, ride])
		want  string
	}{
		{func(in millrace.Keyed[string, ride]) { inner(in.WindowJoin(in, nil)) }, "the window assigner is nil"},
		{func(in millrace.Keyed[string, ride]) { inner(in.WindowJoin(in, window.Tumbling(0))) }, "window"},
		{func(in millrace.Keyed[string, ride]) {
			in.WindowJoin(in, window.Tumbling(1)).CoGroup[ride]("j", nil).To("out", memory.NewSink[ride]())
		}, "the function is nil"},
		{func(in millrace.Keyed[string, ride]) {
			j := in.WindowJoin(in, window.Tumbling(1))
			j.LateLeft().To("late", memory.NewSink[ride]())
			inner(j)
		}, "late records of a join that is not there yet: call the verb that joins before"},
		{func(in millrace.Keyed[string, ride]) {
			inner(in.WindowJoin(rides(millrace.NewJob("other")).KeyBy(ride.base), window.Tumbling(1)))
		}, "the right stream is of another job: both sides of a join must be of one job"},
		{func(in millrace.Keyed[string, ride]) {
			other := in.Window(window.Tumbling(1)).Aggregate("n", count()).Map(func(millrace.Pane[string, int64]) withFunc { return withFunc{} })
			in.WindowJoin(other.KeyBy(func(withFunc) string { return "" }), window.Tumbling(1)).
				Inner("j", func(l ride, _ withFunc) ride { return l }).To("out", memory.NewSink[ride]())
		}, "the records cannot be kept in checkpoints"},
	} {
		job := millrace.NewJob("bad")
		c.build(rides(job).KeyBy(ride.base))
		err := job.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(normal(err, ""), "JOB:LINE") != 1 {
			t.Errorf("got %v\nwant %s", normal(err, ""), c.want)
		}
	}
}

// TestJoinThatChangesItsBoundsDoesNotGoOn: what was kept for other bounds is not all that is needed.
func TestJoinThatChangesItsBoundsDoesNotGoOn(t *testing.T) {
	dir := t.TempDir()
	build := func(upper time.Duration) *millrace.Job {
		job := millrace.NewJob("join")
		in := job.From("in", memory.Of(ride{At: 1}, ride{At: 2}), millrace.EventTime(ride.time)).KeyBy(ride.base)
		in.IntervalJoin(in, 0, upper).Inner("j", func(l, r ride) ride { return l }).To("out", memory.NewSink[ride]())
		return job
	}
	if err := millrace.Run(context.Background(), build(time.Second), small(dir)); err != nil {
		t.Fatal(err)
	}
	err := millrace.Run(context.Background(), build(time.Minute), small(dir))
	if err == nil || !strings.Contains(err.Error(), "inner [0s, 1m0s]") || !strings.Contains(err.Error(), "inner [0s, 1s]") {
		t.Fatalf("got %v, want an error that names both intervals", err)
	}
}

// TestJoinOfTwoSourcesKilledAnywhereGivesEachPairOnce kills a full join of two sources, one with fewer records than the other, at
// fault points, restores it with another parallelism, and compares with loops over all records.
func TestJoinOfTwoSourcesKilledAnywhereGivesEachPairOnce(t *testing.T) {
	const lower, upper = -40, 25
	rng := rand.New(rand.NewPCG(3, 4))
	var left, right []ride
	for i := range 1200 {
		left = append(left, ride{Base: fmt.Sprint("b", rng.IntN(9)), At: int64(i) + rng.Int64N(60) - 30, N: int64(i)})
	}
	for i := range 300 {
		right = append(right, ride{Base: fmt.Sprint("b", rng.IntN(12)), At: int64(i)*4 + rng.Int64N(60) - 30, N: int64(i)})
	}
	text := func(l, r ride, hasLeft, hasRight bool) string { return fmt.Sprint(l, hasLeft, r, hasRight) }
	var want []string
	matched := map[int]bool{}
	for _, l := range left {
		alone := true
		for i, r := range right {
			if l.Base == r.Base && r.At-l.At >= lower && r.At-l.At <= upper {
				want = append(want, text(l, r, true, true))
				alone, matched[i] = false, true
			}
		}
		if alone {
			want = append(want, text(l, ride{}, true, false))
		}
	}
	pairs := len(matched)
	for i, r := range right {
		if !matched[i] {
			want = append(want, text(ride{}, r, false, true))
		}
	}
	slices.Sort(want)
	if pairs < 100 || pairs == len(right) {
		t.Fatalf("%d of %d right records have partners: too few or too many to show anything", pairs, len(right))
	}
	build := func(out *memory.Sink[string], late *memory.Sink[ride]) *millrace.Job {
		job := millrace.NewJob("join")
		source := func(id string, rs []ride) millrace.Keyed[string, ride] {
			return job.From(id, memory.Of(rs...), millrace.EventTime(ride.time).OutOfOrderness(time.Minute)).KeyBy(ride.base)
		}
		j := source("left", left).IntervalJoin(source("right", right), lower*time.Second, upper*time.Second)
		j.Full("join", text).To("out", out)
		j.LateLeft().Union(j.LateRight()).To("late", late)
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
