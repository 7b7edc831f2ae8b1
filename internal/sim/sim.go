package sim

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Result is what came of a simulation.
type Result struct {
	Seed uint64
	// Err is the first thing that was wrong; nil if nothing was.
	Err error
	// History is a number that two simulations share only if the same happened in both, and Recent its last lines.
	History uint64
	Recent  []string
	// Lives says of each life of the process what was to happen in it and how it ended.
	Lives []string
	// Counts counts what was done to the job, by name, and Steps the turns that tasks took.
	Counts map[string]int
	Steps  int
}

// Options are those of a simulation.
type Options struct {
	// Recent is how many lines of the history are kept.
	Recent int
	// Lives is the most lives before the one in which nothing goes wrong; 0 means 4.
	Lives int
	// Parallelism is the most subtasks; 0 means 4.
	Parallelism int
}

// Run simulates one job: lives in which things go wrong, and one in which nothing does and the job must come to its end.
func Run(seed uint64, create func(w *World) Job, o Options) Result {
	w := newWorld(seed, o.Recent)
	r := Result{Seed: seed, Counts: w.counts}
	r.Err = w.simulate(create, o, &r.Steps)
	r.History, r.Recent, r.Lives = w.history.Sum(), w.history.Recent(), w.lives
	return r
}

func (w *World) simulate(create func(w *World) Job, o Options, steps *int) error {
	most, lives := o.Parallelism, o.Lives
	if most == 0 {
		most = 4
	}
	if lives == 0 {
		lives = 4
	}
	w.keep = 1 + w.plans.IntN(3)
	w.job = create(w)
	parallelism := 0
	live := func(p plan) error {
		if parallelism > 0 && p.parallelism != parallelism {
			w.count("rescale: another parallelism")
		}
		parallelism = p.parallelism
		w.history.note("life %d: %v", len(w.lives)+1, p)
		err := w.run(p)
		*steps += w.steps
		end := "to the end"
		if err != nil {
			end = err.Error()
		}
		w.lives = append(w.lives, fmt.Sprintf("%v: %s", p, end))
		return err
	}
	for range w.plans.IntN(lives + 1) {
		err := live(drawPlan(w.plans, most))
		if err == nil {
			return w.finish()
		}
		if !errors.Is(err, errOff) && !errors.Is(err, ErrKilled) {
			return err
		}
		if err := w.between(); err != nil {
			return err
		}
	}
	for range 2 + len(w.damages) { // a life may end because of damage, which is put back then
		err := live(calmPlan(w.plans, most))
		if err == nil {
			return w.finish()
		}
		if !errors.Is(err, errOff) {
			return err
		}
	}
	return errors.New("the job does not come to its end although nothing goes wrong any more")
}

// between is what happens to the disk between two lives.
func (w *World) between() error {
	if w.plans.IntN(2) == 0 {
		w.losePower()
	} else {
		w.count("kill: the disk stays as it was")
	}
	if err := w.look(false); err != nil {
		return err
	}
	if w.plans.IntN(4) > 0 {
		return nil
	}
	return w.harm()
}

// harm damages the checkpoints on the disk, where there is an older one to go back to.
func (w *World) harm() error {
	epochs := w.manifests(w.mem)
	if len(epochs) < 2 {
		return nil
	}
	var newest, all []string
	for _, path := range files(w.mem, StateDir) {
		if !isCheckpoint(path) {
			continue
		}
		all = append(all, path)
		if strings.Contains(path, fmt.Sprintf("manifest-%020d", epochs[len(epochs)-1])) {
			newest = append(newest, path)
		}
	}
	victims := newest // both copies: so the job must go back
	if w.plans.IntN(2) == 0 {
		victims = []string{all[w.plans.IntN(len(all))]}
	}
	for _, path := range victims {
		if len(victims) > 1 {
			w.count("damage: both copies of the newest manifest")
		}
		d, err := w.ruin(path)
		if err != nil {
			return err
		}
		w.damages = append(w.damages, d)
	}
	w.shaken = true
	return nil
}

// putBack undoes all damage, as from a backup, and reports whether there was any.
func (w *World) putBack() bool {
	some := len(w.damages) > 0
	for _, d := range slices.Backward(w.damages) {
		if _, err := w.mem.Stat(filepath.Dir(d.path)); err == nil {
			if err := overwrite(w.mem, d.path, d.was); err != nil {
				return false
			}
		}
	}
	w.damages = nil
	return some
}

// finish checks what the job has left behind at its end.
func (w *World) finish() error {
	if err := w.look(true); err != nil {
		return err
	}
	if err := w.tidy(); err != nil {
		return err
	}
	if err := w.job.Check(w.last); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// tidy checks that the directory of checkpoints holds what is needed and no more.
func (w *World) tidy() error {
	epochs := w.manifests(w.mem)
	if len(epochs) == 0 {
		return errors.New("the job has finished and there is no checkpoint")
	}
	if len(epochs) > w.keep+1 && len(w.damages) == 0 { // the last may be removed at the next start
		return fmt.Errorf("%d checkpoints are kept, there are %d", w.keep, len(epochs))
	}
	now, err1 := w.restorable(w.mem.CrashClone(ones{}))
	later, err2 := w.restorable(w.worst())
	if err := errors.Join(err1, err2); err != nil || now != later {
		return fmt.Errorf("the job has finished in epoch %d, and after a power loss it would go on from %d (%v)", now, later, err)
	}
	return nil
}

// Repeat is the command that repeats a simulation.
func (r Result) Repeat() string {
	return fmt.Sprintf("go run ./internal/cmd/sim -seed %d -seeds 1 -v", r.Seed)
}

// String tells what happened.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d", r.Seed)
	for i, l := range r.Lives {
		fmt.Fprintf(&b, "\n  life %d, %s", i+1, l)
	}
	for _, line := range r.Recent {
		fmt.Fprintf(&b, "\n    %s", line)
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "\n  wrong: %v\n  repeat it with: %s", r.Err, r.Repeat())
	}
	return b.String()
}
