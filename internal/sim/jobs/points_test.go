package jobs_test

import (
	"flag"
	"testing"

	"github.com/millrace-stream/millrace/internal/sim"
	"github.com/millrace-stream/millrace/internal/sim/jobs"
)

var full = flag.Bool("full", false, "all fault points at five passes with each choice of sinks, and all rescalings with each kind of input")

// TestEveryFaultPoint kills a job at every named fault point, with two sinks on one stream; with -full at its first to fifth
// pass, and with file sinks alone too. It must come to the exact result from there.
func TestEveryFaultPoint(t *testing.T) {
	hits, all := 1, []string{"both"}
	if *full {
		hits, all = 5, []string{"files", "both"}
	}
	kills := 0
	for i, point := range sim.Points() {
		for hit := 1; hit <= hits; hit++ {
			for _, sinks := range all {
				create := func(w *sim.World) sim.Job {
					return jobs.New(w, jobs.Shape{Kinds: []string{"window", "pass"}, Sinks: sinks, Records: 60})
				}
				r := sim.AtPoint(uint64(1000*i+10*hit+len(sinks)), create, point, hit)
				if r.Err != nil {
					t.Errorf("pass %d of %s, sink %s: %v", hit, point, sinks, r)
				}
				kills += r.Counts["kill: at point "+point]
			}
		}
	}
	if want := len(sim.Points()) * hits * len(all); kills != want {
		t.Errorf("%d kills at points, want %d", kills, want)
	}
}

// TestRescale kills a job at each parallelism from 1 to 7, after a decided epoch, and lets it go on at each from 1 to 7: windows, sessions, timers,
// states that are made late, dedup, sort and joins, with keys that only one of the two lives sees, and key groups that none does.
func TestRescale(t *testing.T) {
	const most = 7
	for p := 1; p <= most; p++ {
		for q := 1; q <= most; q++ {
			for several, kinds := range map[int][]string{
				-1: {"window", "session", "process", "dedup", "sort"},
				1:  {"window", "session", "total", "join", "sort"},
			} {
				if !*full && (several > 0) != ((p+q)%2 == 0) {
					continue
				}
				create := func(w *sim.World) sim.Job {
					return jobs.New(w, jobs.Shape{Kinds: kinds, Several: several, Records: 40})
				}
				r := sim.Script(uint64(100*p+10*q+several), create, sim.Life{Parallelism: p, Point: "manifest.published", Hit: 1 + (p+q)%3, Power: p%2 == 0}, sim.Life{Parallelism: q})
				if r.Err != nil {
					t.Errorf("from %d to %d subtasks: %v", p, q, r)
				}
			}
		}
	}
}
