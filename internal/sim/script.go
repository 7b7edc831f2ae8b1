package sim

import (
	"errors"
	"fmt"
	"strings"
)

// Life is a life of a process that dies, or is calm, as a script says.
type Life struct {
	// Parallelism is that of the job; 0 draws it.
	Parallelism int
	// Point and Hit are where the process dies: at which pass of which fault point. An empty Point lets the job come to its end, in the last life.
	Point string
	Hit   int
	// Power says that the disk loses power then.
	Power bool
}

// Script simulates the lives of a job, the last of which must bring it to its end. A process that does not come to the place where it is to die is an error.
func Script(seed uint64, create func(w *World) Job, lives ...Life) Result {
	w := newWorld(seed, 0)
	w.keep = 2
	w.job = create(w)
	return w.result(w.script(lives))
}

func (w *World) script(lives []Life) error {
	for i, l := range lives {
		if l.Point == "" {
			if i < len(lives)-1 {
				return fmt.Errorf("life %d of %d comes to the end", i+1, len(lives))
			}
			return w.calm(l.Parallelism)
		}
		p := calmPlan(w.plans, most)
		if l.Parallelism > 0 {
			p.parallelism = l.Parallelism
		}
		p.every = 1 + w.plans.Int64N(6) // many epochs
		p.killPoint, p.killHit = l.Point, l.Hit
		switch err := w.live(p); {
		case err == nil:
			return fmt.Errorf("the job comes to its end and does not pass %s %d times", l.Point, l.Hit)
		case !errors.Is(err, ErrKilled):
			return err
		}
		if l.Power {
			w.losePower()
		}
	}
	return errors.New("the last life is to bring the job to its end")
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
			return w.calm(0)
		}
		if point == "file.withdraw" {
			if err := w.harm(true); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%d lives have passed %s %d times, and are to do so %d times", mostLives, point, w.passed[point], hit)
}
