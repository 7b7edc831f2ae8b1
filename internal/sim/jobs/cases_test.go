package jobs_test

import (
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/sim"
	"github.com/millrace-stream/millrace/internal/sim/jobs"
)

// The cases of docs/reliability.md that are about crashes and disks. In each, the job must come to the exact result, and what was done to it is counted.

func shaped(shape jobs.Shape) func(w *sim.World) sim.Job {
	return func(w *sim.World) sim.Job { return jobs.New(w, shape) }
}

// some is a number for each run of the tests, and another with -full.
func some(short, long int) int {
	if *full {
		return long
	}
	return short
}

// ordinary has sinks on one stream in memory and in files.
var ordinary = shaped(jobs.Shape{Kinds: []string{"window", "pass"}, Sinks: "both", Records: 20})

// runs simulates, and adds up what was done.
type runs struct {
	t      *testing.T
	counts map[string]int
}

func newRuns(t *testing.T) *runs { return &runs{t: t, counts: map[string]int{}} }

func (c *runs) script(seed uint64, create func(w *sim.World) sim.Job, lives ...sim.Life) sim.Result {
	c.t.Helper()
	r := sim.Script(seed, create, lives...)
	if r.Err != nil {
		c.t.Errorf("%v", r)
	}
	for what, n := range r.Counts {
		c.counts[what] += n
	}
	return r
}

// atLeast checks that something was done often enough.
func (c *runs) atLeast(n int, what string) {
	c.t.Helper()
	if c.counts[what] < n {
		c.t.Errorf("%q was done %d times, want %d at least: %v", what, c.counts[what], n, c.counts)
	}
}

// TestF01KilledAtAnyMoment: at steps all over the life of a job.
func TestF01KilledAtAnyMoment(t *testing.T) {
	c, kills := newRuns(t), some(30, 200)
	for seed := uint64(1); c.counts["kill: at a step of the scheduler"] < kills && seed < 400; seed++ {
		c.script(seed, ordinary, sim.Life{Step: 20 + int(seed*37%600), Power: seed%2 == 0}, sim.Life{Step: 20 + int(seed*53%900)})
	}
	c.atLeast(kills, "kill: at a step of the scheduler")
}

// TestF02KilledBeforeTheManifest, when state is on the disk and the epoch is not decided.
func TestF02KilledBeforeTheManifest(t *testing.T) {
	c := newRuns(t)
	points := []string{"snapshot.synced", "snapshot.dirsync", "manifest.write", "manifest.sync", "manifest.copy", "manifest.rename", "manifest.dirsync"}
	for i, point := range points {
		c.script(uint64(i), ordinary, sim.Life{Point: point, Hit: 2, Power: i%2 == 0})
	}
	c.atLeast(len(points), "kill: at a fault point")
}

// TestF03KilledBeforeTheFirstCommit, when the epoch is decided and no sink has shown anything of it.
func TestF03KilledBeforeTheFirstCommit(t *testing.T) {
	c := newRuns(t)
	for hit := 1; hit <= 4; hit++ {
		c.script(uint64(hit), ordinary, sim.Life{Point: "commit.before", Hit: hit, Power: hit%2 == 0})
	}
	c.atLeast(4, "kill: at point commit.before")
}

// TestF04KilledBetweenTwoCommits, when one sink has shown its output and the next has not.
func TestF04KilledBetweenTwoCommits(t *testing.T) {
	c := newRuns(t)
	for hit := 1; hit <= 6; hit++ {
		c.script(uint64(hit), ordinary, sim.Life{Point: "commit.between", Hit: hit, Power: hit%2 == 0})
	}
	c.atLeast(6, "kill: at point commit.between")
}

// TestF05KilledInTheRestoreTwice in a row.
func TestF05KilledInTheRestoreTwice(t *testing.T) {
	c := newRuns(t)
	for i, second := range []string{"recover.before", "recover.after", "term.rename", "term.written"} {
		c.script(uint64(i), ordinary, sim.Life{Point: "manifest.published", Hit: 2}, sim.Life{Point: second, Hit: 1, Power: true}, sim.Life{Point: "recover.after", Hit: 1})
	}
	c.atLeast(12, "kill: at a fault point")
}

// TestF06KilledAtTheEnd: at each of the last steps of a job, when its input is drained, its last epoch is decided and committed, and tasks end.
func TestF06KilledAtTheEnd(t *testing.T) {
	c := newRuns(t)
	whole := c.script(6, ordinary, sim.Life{Step: 1 << 30}).Steps
	for back := 0; back < 120; back += some(5, 1) {
		c.script(6, ordinary, sim.Life{Step: whole - back, Power: back%2 == 1})
	}
	c.atLeast(some(24, 120), "kill: at a step of the scheduler")
}

// TestF20DiskFull of checkpoints, and of results.
func TestF20DiskFull(t *testing.T) {
	c := newRuns(t)
	for seed := uint64(1); seed <= 8; seed++ {
		dir := []string{sim.StateDir, sim.OutDir}[seed%2]
		from := 10 + int(seed)*20
		c.script(seed, ordinary, sim.Life{Full: [2]int{from, from + 20}, FullDir: dir, Tolerate: int(seed%3) * 100})
	}
	c.atLeast(8, "disk: full (ENOSPC)")
	c.atLeast(1, "a run ends with the injected error")
}

// TestF21FailedOperations: the n-th call of each kind fails; the job goes on, or ends and comes to the exact result when it is started again.
func TestF21FailedOperations(t *testing.T) {
	c := newRuns(t)
	for _, kind := range []fsx.OpKind{fsx.OpWrite, fsx.OpSync, fsx.OpRename, fsx.OpSyncDir, fsx.OpCreate, fsx.OpRemove, fsx.OpRead, fsx.OpOpen} {
		for n := 1; n <= some(3, 20); n++ {
			c.script(uint64(n), ordinary, sim.Life{Fails: kind, Nth: n, Power: n%2 == 0})
		}
		c.atLeast(some(3, 20), "disk: "+string(kind)+" fails (EIO)")
	}
}

// TestF22PowerLoss at each of the first changes of the disk, with what was not synced lost, kept, reordered and torn.
func TestF22PowerLoss(t *testing.T) {
	c := newRuns(t)
	for change := 1; change <= 150; change += some(4, 1) {
		c.script(uint64(change), ordinary, sim.Life{Change: change, Power: true})
	}
	c.atLeast(some(36, 144), "power loss")
	c.atLeast(10, "power loss: a name was lost")
	c.atLeast(1, "power loss: unsynced content was torn")
}

// TestF26SlowStorage: operations take up to 10 s and an epoch may take 20: those that are given up do not mix with the next.
func TestF26SlowStorage(t *testing.T) {
	c := newRuns(t)
	for seed := uint64(1); seed <= 10; seed++ {
		c.script(seed, ordinary, sim.Life{Slow: 10 * time.Second, Timeout: 20 * time.Second, Tolerate: 1000, Step: 400})
	}
	c.atLeast(500, "disk: slow operation")
}

// TestF45ManyCheckpoints: epochs at 10 ms, with -full 10,000 of them, leave no more files behind than a few.
func TestF45ManyCheckpoints(t *testing.T) {
	want := int64(some(100, 10_000))
	c := newRuns(t)
	slow := shaped(jobs.Shape{Kinds: []string{"total"}, Several: 1, Records: int(want), Quiet: 900})
	r := c.script(45, slow, sim.Life{Interval: 10 * time.Millisecond, Parallelism: 2})
	if r.Epochs < want || r.Files > 40 {
		t.Errorf("%d epochs, and %d files are left; want %d epochs at least", r.Epochs, r.Files, want)
	}
}

// TestF47EndOfInput with open windows, timers that are held, empty splits and no records at all.
func TestF47EndOfInput(t *testing.T) {
	c := newRuns(t)
	for seed := uint64(1); seed <= 3; seed++ {
		for _, empty := range []int{1, 2, 5} {
			kinds := shaped(jobs.Shape{Kinds: []string{"window", "session", "total", "join"}, Several: 1, Empty: empty})
			c.script(seed, kinds, sim.Life{Step: int(100 * seed)})
		}
	}
}

// TestF48StatusIsAskedForAllTheTime, a thousand times a second of virtual time, with crashes: results are the same.
func TestF48StatusIsAskedForAllTheTime(t *testing.T) {
	c := newRuns(t)
	for seed := uint64(1); seed <= 10; seed++ {
		r := c.script(seed, shaped(jobs.Shape{Kinds: []string{"window", "pass"}, Sinks: "both", Records: 40, Quiet: 300}),
			sim.Life{Observe: time.Nanosecond, Step: int(200 * seed)}, sim.Life{Observe: time.Nanosecond})
		c.counts["statuses"] += r.Statuses
	}
	c.atLeast(1000, "statuses")
}
