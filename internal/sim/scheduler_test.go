package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/task"
)

func scheduler(seed uint64) *Scheduler { return newScheduler(stream(seed, 1), newHistory(0), epoch0) }

// TestOrderIsDrawn: tasks take turns in an order that the seed decides, and all orders come.
func TestOrderIsDrawn(t *testing.T) {
	orders := func(seed uint64) string {
		s := scheduler(seed)
		var out []string
		err := s.run(func() {
			for _, name := range []string{"a", "b", "c"} {
				s.Go(name, func() { out = append(out, name) })
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, "")
	}
	seen := map[string]int{}
	for seed := range uint64(100) {
		o := orders(seed)
		seen[o]++
		if again := orders(seed); again != o {
			t.Errorf("seed %d: order %s, and %s when it is run again", seed, o, again)
		}
	}
	if len(seen) != 6 {
		t.Errorf("orders %v, want all six", seen)
	}
}

// TestEventsAndTimeouts: a wait ends when the event is set or when virtual time has come, whichever is first, and no time is spent on it.
func TestEventsAndTimeouts(t *testing.T) {
	s := scheduler(1)
	var got []string
	note := func(format string, args ...any) {
		got = append(got, fmt.Sprintf("%v: ", s.Now().Sub(time.Unix(0, epoch0)).Round(time.Second))+fmt.Sprintf(format, args...))
	}
	err := s.run(func() {
		g := task.NewGroup(s)
		ev := s.NewEvent()
		g.Go("sleeper", func() {
			s.Sleep(40 * time.Minute)
			ev.Set()
		})
		note("a timeout: %v", ev.Wait(10*time.Minute))
		note("the event: %v", ev.Wait(time.Hour))
		note("no wait: %v", ev.Wait(0))
		ev.Set()
		note("set before: %v", ev.Wait(task.Forever))
		g.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10m0s: a timeout: false", "40m0s: the event: true", "40m0s: no wait: false", "40m0s: set before: true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStuckTasksAreNamed: a run in which all wait for each other, or that goes on for ever, ends with an error.
func TestStuckTasksAreNamed(t *testing.T) {
	s := scheduler(1)
	err := s.run(func() {
		s.Go("other", func() { s.NewEvent().Wait(task.Forever) })
		s.NewEvent().Wait(task.Forever)
	})
	if want := "stuck: every task waits for another\n  task 1 main\n  task 2 other\n"; err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	s = scheduler(1)
	err = s.run(func() {
		for ev := s.NewEvent(); ; {
			ev.Wait(time.Minute)
		}
	})
	if !errors.Is(err, errStuck) || !strings.Contains(err.Error(), "not done after an hour of virtual time") {
		t.Errorf("got %v", err)
	}
}

// TestKillEndsAllTasksWhereTheyStand: nothing that stands behind the place of a task is done, and nobody is left.
func TestKillEndsAllTasksWhereTheyStand(t *testing.T) {
	for seed := range uint64(50) {
		s := scheduler(seed)
		behind, deferred := 0, 0
		err := s.run(func() {
			for range 5 {
				s.Go("waits", func() {
					defer func() { deferred++ }()
					s.Sleep(time.Hour)
					behind++
				})
			}
			s.Go("kills", func() {
				s.Sleep(time.Minute)
				s.kill()
				s.Yield()
				s.die()
			})
			s.NewEvent().Wait(task.Forever)
			behind++
		})
		if err != nil || behind != 0 || deferred != 5 || len(s.tasks) != 0 {
			t.Fatalf("seed %d: error %v, %d went on, %d of 5 ended, %d are left", seed, err, behind, deferred, len(s.tasks))
		}
	}
}

// TestPanicsEndTheRun with the task that panicked.
func TestPanicsEndTheRun(t *testing.T) {
	s := scheduler(1)
	err := s.run(func() {
		s.Go("bad", func() { panic("no good") })
		s.NewEvent().Wait(task.Forever)
	})
	if err == nil || !strings.Contains(err.Error(), "task bad panicked: no good") {
		t.Errorf("got %v", err)
	}
}
