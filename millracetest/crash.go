package millracetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
)

// Report is what Crash has done.
type Report struct {
	// Kills counts the kills. InEpoch counts those that came while an epoch or records were under way: the others came when the job
	// was starting, or had done its work.
	Kills, InEpoch int
	// PowerLosses counts the kills after which the disk had lost what was not synced.
	PowerLosses int
	// Trials counts the times that the job was brought to its end, and its results compared, after kills.
	Trials int
	// Points counts the kills by the name of their point.
	Points map[string]int
	// Results is the number of records that are compared each time.
	Results int
}

// Crash tests that a job gives the same results however often it dies.
//
// It runs the job once without checkpoints, for the reference, and at each parallelism with epochs and without kills; then again and
// again with kills at random passes of random points, each followed by a start from what is left, at another parallelism
// perhaps, with the disk as it was or as a power loss leaves it, until a start comes to the end. What the Trial has
// collected must then be the same records as those of the reference, in any order. The test also fails when there was nothing
// to compare, or when no kill hit a job at work.
//
// Build makes the job for a start; see Trial. The disk is in memory. If Configure gives the job the DiskBackend, all of its keyed state is moved
// to the disk after each batch, while that of the reference stays in memory.
func Crash(t TB, build func(*Trial) *millrace.Job, opts ...Option) Report {
	t.Helper()
	s, err := newSettings(opts, true)
	if err == nil && build == nil {
		err = errors.New("the function that builds the job is nil")
	}
	c := &campaign{settings: s, t: t, build: build}
	c.report.Points = map[string]int{}
	if err == nil {
		err = c.run()
	}
	if err != nil {
		t.Fatalf("millracetest: Crash: %v", err)
		return c.report
	}
	t.Logf("millracetest: %d kills, %d of them at work, %d power losses: %d times the same %d results", c.report.Kills, c.report.InEpoch,
		c.report.PowerLosses, c.report.Trials, c.report.Results)
	return c.report
}

// campaign is a call of Crash.
type campaign struct {
	settings
	t      TB
	build  func(*Trial) *millrace.Job
	job    string
	want   map[string][]string
	passes map[string]int
	report Report
}

func (c *campaign) run() error {
	if err := c.calm(); err != nil {
		return err
	}
	var points []string
	for _, p := range c.points {
		if c.passes[p] > 0 {
			points = append(points, p)
		}
	}
	if len(points) == 0 {
		return fmt.Errorf("the job passes none of the points %s", strings.Join(c.points, ", "))
	}
	for i := uint64(0); c.report.Kills < c.kills; i++ {
		if i > 4*uint64(c.kills)+20 {
			return fmt.Errorf("only %d of %d kills were made in %d trials", c.report.Kills, c.kills, i)
		}
		if err := c.trial(c.seed+i, points); err != nil {
			return err
		}
	}
	if c.report.InEpoch == 0 {
		return fmt.Errorf("%d kills, and none hit the job at work: give it more records, or more kills", c.report.Kills)
	}
	return nil
}

// calm runs the job without kills: once for the reference, then with epochs at each parallelism.
func (c *campaign) calm() error {
	w := newTrial()
	status, err := c.start(w, c.parallelism[0], false, newKiller("", 0))
	if err != nil {
		return fmt.Errorf("the job fails without any kill: %w", err)
	}
	if c.want, err = c.results(w); err != nil {
		return fmt.Errorf("the reference: %w", err)
	}
	for _, records := range c.want {
		c.report.Results += len(records)
	}
	if c.report.Results == 0 {
		return errors.New("the job gives no results: there is nothing to compare; use Trial.Collect, Trial.Output or Trial.Path for its sinks")
	}
	if c.every == 0 {
		c.every = max(1, status.In/20)
	}
	for i, p := range c.parallelism {
		w, k := newTrial(), newKiller("", 0)
		if _, err := c.start(w, p, true, k); err != nil {
			return fmt.Errorf("the job fails at parallelism %d, with epochs and without any kill: %w", p, err)
		}
		if err := c.compare(w); err != nil {
			return fmt.Errorf("at parallelism %d, with epochs and without any kill, the results are not those at parallelism %d: the job is not "+
				"deterministic, or depends on the order between splits:\n%w", p, c.parallelism[0], err)
		}
		if i == 0 {
			c.passes, _ = k.seen()
		}
	}
	return nil
}

// start runs the job once on what the trial has.
func (c *campaign) start(w *Trial, parallelism int, epochs bool, k *killer) (millrace.Status, error) {
	job := c.build(w)
	if job == nil {
		return millrace.Status{}, errors.New("the job is nil")
	}
	if err := errors.Join(w.errs...); err != nil {
		return millrace.Status{}, err
	}
	c.job = job.Name()
	cfg := c.config(parallelism)
	cfg.Checkpoint.Interval = time.Hour // epochs begin by the number of records, on a fast machine as on a slow one
	for _, f := range c.configure {
		f(&cfg)
	}
	cfg.Checkpoint.Dir, cfg.Checkpoint.EveryRecords = "", 0
	if epochs {
		cfg.Checkpoint.Dir, cfg.Checkpoint.EveryRecords = stateRoot, c.every
	} else {
		cfg.State = millrace.StateConfig{} // the reference keeps all in memory
	}
	var status millrace.Status
	err := c.inTime(c.t, func() (err error) {
		status, err = start(job, cfg, k.world(disk{mem: w.mem}), c.stuck)
		return err
	})
	return status, err
}

// trial kills the job once or twice and then lets it come to its end.
func (c *campaign) trial(seed uint64, points []string) error {
	rnd := dice(seed)
	w := newTrial()
	var history []string
	fail := func(err error) error {
		return fmt.Errorf("job %s:\n  %s\n%w\nrepeat it with millracetest.Crash(t, build, millracetest.Seed(%d), millracetest.Kills(1)) and the other options "+
			"that were given; usual causes are a sink that shows records before Commit, a Commit that does harm when repeated, a function that "+
			"keeps something between records or looks at the clock", c.job, strings.Join(history, "\n  "), err, seed)
	}
	for leg := range 1 + rnd.below(2) {
		point := points[rnd.below(len(points))]
		passes := c.passes[point]
		if leg > 0 {
			passes = min(passes, 4) // less is left to do
		}
		k := newKiller(point, 1+rnd.below(passes))
		p := c.parallelism[rnd.below(len(c.parallelism))]
		status, err := c.start(w, p, true, k)
		_, decided := k.seen()
		if !k.died() {
			history = append(history, fmt.Sprintf("start %d at parallelism %d: to the end", leg+1, p))
			if err != nil {
				return fail(err)
			}
			break
		}
		power := rnd.below(2) == 0
		history = append(history, fmt.Sprintf("start %d at parallelism %d: killed at pass %d of %s, after %d decided epochs and %d records%s",
			leg+1, p, k.pass, point, decided, status.InRun, map[bool]string{true: ", power lost"}[power]))
		if err != nil && !errors.Is(err, errKilled) {
			return fail(fmt.Errorf("it ended with another error than the kill: %w", err))
		}
		c.count(point, power, status, err)
		if power {
			w.mem = w.mem.CrashClone(&rnd)
		}
	}
	p := c.parallelism[rnd.below(len(c.parallelism))]
	history = append(history, fmt.Sprintf("last start, at parallelism %d: to the end", p))
	if _, err := c.start(w, p, true, newKiller("", 0)); err != nil {
		return fail(err)
	}
	if err := c.compare(w); err != nil {
		return fail(fmt.Errorf("the results are not those of a run that nothing happened to:\n%w", err))
	}
	if c.report.Kills > 0 {
		c.report.Trials++
	}
	return nil
}

func (c *campaign) count(point string, power bool, s millrace.Status, err error) {
	c.report.Kills++
	c.report.Points[point]++
	if err != nil && s.InRun > 0 && !s.Finished {
		c.report.InEpoch++
	}
	if power {
		c.report.PowerLosses++
	}
}

// results reads what a trial has left and checks it.
func (c *campaign) results(w *Trial) (map[string][]string, error) {
	got, err := w.results()
	if err != nil {
		return nil, err
	}
	for _, check := range c.check {
		if err := check(w); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// compare tells where the results of a trial are not those of the reference.
func (c *campaign) compare(w *Trial) error {
	got, err := c.results(w)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for name := range got {
		names[name] = true
	}
	for name := range c.want {
		names[name] = true
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if d := difference(got[name], c.want[name]); d != "" {
			errs = append(errs, fmt.Errorf("output %q: %s", strings.TrimPrefix(name, diskRoot), d))
		}
	}
	return errors.Join(errs...)
}
