package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// Life is a life of a process that goes as a script says.
type Life struct {
	// Parallelism is that of the job; 0 draws it.
	Parallelism int
	// The process dies at the Hit-th pass of the fault point Point, and then must come there; or at a step of the scheduler, or in a change of the disk, if
	// it does not come to its end before. Without any, it comes to its end, or fails.
	Point        string
	Hit          int
	Step, Change int
	// Power says that the disk loses power then.
	Power bool
	// Every is the number of records between epochs; 0 draws a few.
	Every int64
	// Interval is the time between epochs, Timeout how long one may take, Tolerate how many may fail in a row, if they are not 0.
	Interval, Timeout time.Duration
	Tolerate          int
	// Slow is how long an operation on the disk takes at most; 0 takes no time.
	Slow time.Duration
	// The disk is full from the change Full[0] to Full[1], for files below FullDir.
	Full    [2]int
	FullDir string
	// Fails is an operation that fails the Nth time.
	Fails fsx.OpKind
	Nth   int
	// Observe is how often the status of the job is asked for; 0 is now and then.
	Observe time.Duration
}

// plan is the plan of the life.
func (l Life) plan(r *Rand) plan {
	p := calmPlan(r, most)
	p.every = 1 + r.Int64N(6) // many epochs
	if l.Parallelism > 0 {
		p.parallelism = l.Parallelism
	}
	if l.Every > 0 {
		p.every = l.Every
	}
	if l.Interval > 0 {
		p.interval, p.every = l.Interval, 0
	}
	p.killPoint, p.killHit, p.killStep, p.killChange = l.Point, l.Hit, l.Step, l.Change
	p.timeout, p.tolerate, p.observe = l.Timeout, l.Tolerate, l.Observe
	if l.Slow > 0 {
		p.slow, p.slowest = 1000, l.Slow
	}
	p.fullFrom, p.fullTo, p.fullDir = l.Full[0], l.Full[1], l.FullDir
	if l.Nth > 0 {
		p.broken = []breakage{{l.Fails, l.Nth, false}}
	}
	return p
}

// Script simulates the lives of a job. After them, if it is needed, there is one in which nothing goes wrong.
func Script(seed uint64, create func(w *World) Job, lives ...Life) Result {
	w := newWorld(seed, 0)
	w.keep = 2
	w.job = create(w)
	return w.result(w.script(lives))
}

func (w *World) script(lives []Life) error {
	for _, l := range lives {
		switch err := w.live(l.plan(w.plans)); {
		case err == nil && l.Point != "":
			return fmt.Errorf("the job comes to its end and does not pass %s %d times", l.Point, l.Hit)
		case err == nil:
			return w.finish()
		case !errors.Is(err, ErrKilled) && !errors.Is(err, errOff):
			return err
		}
		if l.Power {
			w.losePower()
		}
	}
	return w.calm()
}

// Points returns the names of the fault points at which a process of a job that is exactly once can die.
func Points() []string { return points() }

// AtPoint lets a process die at the hit-th pass of a fault point, which is counted over all lives of the job, then lets the job come to its end. The lives
// before, if there have to be some, die anywhere, and leave a damaged checkpoint when that leads to the point.
func AtPoint(seed uint64, create func(w *World) Job, point string, hit int) Result {
	w := newWorld(seed, 0)
	w.keep = 3
	w.job = create(w)
	return w.result(w.atPoint(point, hit))
}

// mostLives is far more than it takes to pass any point five times.
const mostLives = 40

func (w *World) atPoint(point string, hit int) error {
	for range mostLives {
		p := calmPlan(w.plans, most)
		p.every = 1 + w.plans.Int64N(2) // many epochs
		p.killPoint, p.killHit = point, hit-w.passed[point]
		switch {
		case strings.HasPrefix(point, "recover."): // it is passed at starts only
			p.killStep = 40 + w.plans.IntN(200)
		case point == "file.withdraw": // after a damaged checkpoint only
			p.killElse, p.killElseHit = "commit.after", 3
		}
		switch err := w.live(p); {
		case err == nil:
			return fmt.Errorf("the job comes to its end with %d passes of %s, and is to die at pass %d", w.passed[point], point, hit)
		case !errors.Is(err, ErrKilled) && !errors.Is(err, errOff):
			return err
		}
		if w.passed[point] >= hit {
			if w.plans.IntN(2) == 0 {
				w.losePower()
			}
			return w.calm()
		}
		if point == "file.withdraw" {
			if err := w.harm(true); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%d lives have passed %s %d times, and are to do so %d times", mostLives, point, w.passed[point], hit)
}
