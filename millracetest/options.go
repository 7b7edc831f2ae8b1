package millracetest

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
)

// TB is what the kit needs of a test. A *testing.T, a *testing.B and a *testing.F are one. A Fatalf that returns is followed by nothing.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Option is an option of Run or Crash.
type Option struct {
	name  string
	crash bool // it is one of Crash alone
	apply func(*settings) error
}

type settings struct {
	parallelism []int
	configure   []func(*millrace.Config)
	stuck       time.Duration
	every       int64
	kills       int
	seed        uint64
	seeds       int
	points      []string
	check       []func(*Trial) error
	virtual     bool
}

func newSettings(opts []Option, crash bool) (settings, error) {
	s := settings{parallelism: []int{1}, stuck: 30 * time.Second, kills: 20, seed: 1, seeds: 50, points: Points()}
	if crash {
		s.parallelism = []int{1, 2, 4}
	}
	var errs []error
	for _, o := range opts {
		switch {
		case o.apply == nil:
			errs = append(errs, errors.New("an option is the zero Option"))
		case o.crash && !crash:
			errs = append(errs, fmt.Errorf("%s is an option of Crash, not of Run", o.name))
		default:
			errs = append(errs, o.apply(&s))
		}
	}
	if !crash && len(s.parallelism) > 1 {
		errs = append(errs, fmt.Errorf("option Parallelism%v: Run runs the job once; Crash changes it from start to start", s.parallelism))
	}
	return s, errors.Join(errs...)
}

// config is how a start is run at a parallelism.
func (s *settings) config(parallelism int) millrace.Config {
	cfg := millrace.Config{
		Parallelism: parallelism, Log: slog.New(slog.DiscardHandler), StopTimeout: min(s.stuck, 5*time.Second),
		Checkpoint: millrace.CheckpointConfig{EveryRecords: s.every},
	}
	return cfg
}

// Parallelism says at which parallelism the job runs; 1 without it. Crash takes several, of which the first is that of the reference, and
// changes it from start to start: 1, 2 and 4 without it.
func Parallelism(p ...int) Option {
	return Option{name: "Parallelism", apply: func(s *settings) error {
		if len(p) == 0 || slices.Min(p) < 1 {
			return fmt.Errorf("option Parallelism%v: it must be 1 or more", p)
		}
		s.parallelism = slices.Clone(p)
		return nil
	}}
}

// Every lets an epoch begin after every n records of a source's subtask. Without it Run takes one each second, and Crash about
// twenty in a run.
func Every(n int64) Option {
	return Option{name: "Every", apply: func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("Every(%d): it must be 1 or more", n)
		}
		s.every = n
		return nil
	}}
}

// Configure changes the configuration of each start, as the last one to do so: a log, buffers, key groups. Crash does not let it
// change the directory of the checkpoints.
func Configure(f func(*millrace.Config)) Option {
	return Option{name: "Configure", apply: func(s *settings) error {
		if f == nil {
			return errors.New("Configure: the function is nil")
		}
		s.configure = append(s.configure, f)
		return nil
	}}
}

// StuckAfter says for how long a job may do nothing at all (no record taken or given, no watermark moved) before the test fails with a
// picture of where everything stands; 30 s without it.
func StuckAfter(d time.Duration) Option {
	return Option{name: "StuckAfter", apply: func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("StuckAfter(%v): it must be greater than 0", d)
		}
		s.stuck = d
		return nil
	}}
}

// Virtual lets the job run in virtual time, which begins at midnight UTC of 2000-01-01 and goes on whenever everything in the job waits for
// it: a timeout of a minute is over at once, and is over first exactly when it is shorter than another. So what goes by the clock
// (IdleAfter, waits of Batch, intervals of checkpoints, Wait of a Script) is tested without waiting and without luck. It is an option of tests with a
// *testing.T; connectors to systems outside wait for answers, which virtual time does not wait for.
func Virtual() Option {
	return Option{name: "Virtual", apply: func(s *settings) error { s.virtual = true; return nil }}
}

// inTime calls f, in virtual time if that is asked for.
func (s *settings) inTime(t TB, f func() error) error {
	if !s.virtual {
		return f()
	}
	on, ok := t.(*testing.T)
	if !ok {
		return fmt.Errorf("option Virtual needs a *testing.T, this is a %T", t)
	}
	var err error
	synctest.Test(on, func(*testing.T) { err = f() })
	return err
}

// Kills says how often Crash kills the job in all; 20 without it.
func Kills(n int) Option {
	return Option{name: "Kills", crash: true, apply: func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("Kills(%d): it must be 1 or more", n)
		}
		s.kills = n
		return nil
	}}
}

// Seed chooses where Crash kills; 1 without it. Another seed finds other places; the seed of a failure is part of its text. The same seed
// makes the same choices, while what the goroutines of the job have reached at a kill is up to the Go scheduler.
func Seed(n uint64) Option {
	return Option{name: "Seed", crash: true, apply: func(s *settings) error { s.seed = n; return nil }}
}

// At lets Crash kill at the given points only, which are names out of Points.
func At(points ...string) Option {
	return Option{name: "At", crash: true, apply: func(s *settings) error {
		if len(points) == 0 {
			return errors.New("At: no point is given")
		}
		all := Points()
		for _, p := range points {
			if !slices.Contains(all, p) {
				return fmt.Errorf("At: there is no point %q; there are %s", p, strings.Join(all, ", "))
			}
		}
		s.points = slices.Clone(points)
		return nil
	}}
}

// Check adds a check of what a trial has left behind, called at the end of each, that of the reference included.
func Check(f func(*Trial) error) Option {
	return Option{name: "Check", crash: true, apply: func(s *settings) error {
		if f == nil {
			return errors.New("Check: the function is nil")
		}
		s.check = append(s.check, f)
		return nil
	}}
}
