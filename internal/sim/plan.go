package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/engine"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// plan is what is to happen in one life of a process: how the job is configured, what goes wrong, and how the life ends.
type plan struct {
	parallelism   int
	interval      time.Duration
	every         int64
	timeout       time.Duration
	tolerate      int
	restarts      int
	compress      bool
	linger        time.Duration
	bufferRecords int

	// leave is how many in 256 wake-ups let others on; stall how many in 100,000 turns are held up, for up to stallFor.
	leave, stall int
	stallFor     time.Duration
	// slow is how many in 1000 operations on the disk take up to slowest.
	slow    int
	slowest time.Duration
	// fullFrom and fullTo are the changes of the disk between which it is full, below fullDir.
	fullFrom, fullTo int
	fullDir          string
	// observe is how often the status is asked for.
	observe time.Duration
	broken  []breakage
	// unread is how many in 1000 reads of a source fail with an error that may go away.
	unread int

	// The life ends at a step, at a pass of a fault point, or in the middle of a change of the disk; 0 and "" are never.
	killStep, killChange, killHit int
	killPoint                     string
	// killElse is another point at which it ends, whichever comes first.
	killElse    string
	killElseHit int
	// stopStep is when the job is told to stop, rivalStep when a second process starts the same job, freezeStep when the whole process is held up
	// for frozen.
	stopStep, rivalStep, freezeStep int
	frozen                          time.Duration
}

// breakage lets an operation of a kind fail, the nth; after says that it is done all the same.
type breakage struct {
	kind  fsx.OpKind
	nth   int
	after bool
}

// points are the fault points at which a life can end. Those of jobs that are at most once are left out: these lose records.
func points() []string {
	all := slices.DeleteFunc(slices.Clone(engine.Points), func(p string) bool { return strings.HasPrefix(p, "release.") })
	all = append(all, snapshot.Points...)
	return append(all, file.FaultPoints...)
}

// String says how the life is to go.
func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "parallelism %d, epochs of %v", p.parallelism, p.interval)
	add := func(ok bool, format string, args ...any) {
		if ok {
			fmt.Fprintf(&b, ", "+format, args...)
		}
	}
	add(p.every > 0, "or %d records", p.every)
	add(p.timeout > 0, "timeout %v", p.timeout)
	add(p.tolerate > 0, "%d may fail", p.tolerate)
	add(p.restarts > 0, "%d restarts", p.restarts)
	add(p.stall > 0, "stalls of %v", p.stallFor)
	add(p.slow > 0, "slow disk (%v)", p.slowest)
	add(p.fullTo > 0, "disk full at changes %d to %d", p.fullFrom, p.fullTo)
	for _, k := range p.broken {
		add(true, "%s fails at its %d. time", k.kind, k.nth)
	}
	add(p.unread > 0, "reads fail")
	add(p.freezeStep > 0, "frozen for %v at step %d", p.frozen, p.freezeStep)
	add(p.rivalStep > 0, "started twice at step %d", p.rivalStep)
	add(p.stopStep > 0, "stopped at step %d", p.stopStep)
	add(p.killStep > 0, "killed at step %d", p.killStep)
	add(p.killChange > 0, "killed at change %d of the disk", p.killChange)
	add(p.killPoint != "", "killed at pass %d of %s", p.killHit, p.killPoint)
	return b.String()
}

// calmPlan draws a life in which nothing goes wrong.
func calmPlan(r *Rand, most int) plan {
	return plan{
		parallelism: 1 + r.IntN(most),
		interval:    pick(r, time.Millisecond, 3*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond, time.Second),
		every:       pick[int64](r, 0, 0, 1, 3, 10, 40),
		compress:    r.IntN(3) == 0,
		linger:      pick(r, 0, time.Nanosecond, 100*time.Microsecond),
		// Small buffers fill, so that tasks wait for each other.
		bufferRecords: pick(r, 0, 1, 4, 32),
		leave:         pick(r, 0, 16, 128),
	}
}

// drawPlan draws a life in which something may go wrong.
func drawPlan(r *Rand, most int) plan {
	p := calmPlan(r, most)
	p.tolerate = pick(r, 0, 1, 5)
	p.restarts = pick(r, 0, 0, 3)
	some := func(n int) bool { return r.IntN(n) == 0 }
	if some(4) {
		p.stall, p.stallFor = pick(r, 30, 300), pick(r, 5*time.Millisecond, 200*time.Millisecond)
	}
	if some(4) {
		p.slow, p.slowest = pick(r, 10, 200), pick(r, 2*time.Millisecond, 100*time.Millisecond)
		if some(2) {
			p.timeout = pick(r, 5*time.Millisecond, 50*time.Millisecond)
			p.tolerate = pick(r, 5, 1000)
		}
	}
	if some(8) {
		p.fullFrom = scaled(r, 3, 9)
		p.fullTo = p.fullFrom + scaled(r, 0, 5)
	}
	if some(4) {
		for range 1 + r.IntN(2) {
			p.broken = append(p.broken, breakage{failable[r.IntN(len(failable))], scaled(r, 0, 6), some(2)})
		}
	}
	if some(10) {
		p.unread = pick(r, 2, 20)
		p.restarts = pick(r, 0, 3)
	}
	if some(12) {
		p.freezeStep, p.frozen = scaled(r, 5, 11), pick(r, time.Second, 5*time.Minute, 50*time.Minute)
	}
	if some(16) {
		p.rivalStep = scaled(r, 3, 11)
	}
	switch r.IntN(8) {
	case 0, 1:
		p.killStep = scaled(r, 3, 12)
	case 2, 3:
		p.killChange = scaled(r, 0, 8)
	case 4, 5:
		all := points()
		p.killPoint, p.killHit = all[r.IntN(len(all))], upTo(r, 8)
	case 6:
		p.stopStep = scaled(r, 4, 12)
	}
	return p
}
