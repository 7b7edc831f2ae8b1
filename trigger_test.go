package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// never is a custom trigger for records of type T that does nothing.
func never[T any]() window.Custom[T, int64] {
	return window.Custom[T, int64]{
		Name:     "never",
		OnRecord: func(window.TriggerContext, *int64, *T) window.Decision { return window.Continue },
	}
}

func TestMistakesOfTriggersAreNamed(t *testing.T) {
	byBase := func(j *millrace.Job) millrace.Keyed[string, ride] { return rides(j).KeyBy(ride.base) }
	bad := window.Custom[ride, func()]{}
	for _, c := range []struct {
		name string
		w    func(j *millrace.Job) millrace.Windowed[string, ride]
		want string
	}{
		{"nil", func(j *millrace.Job) millrace.Windowed[string, ride] { return minute(rides(j)).Trigger(nil) },
			"the trigger is nil: leave Trigger out"},
		{"nil part", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AtEnd().Early(nil))
		}, "window: a trigger is nil: leave it out"},
		{"count of 0", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.EveryCount(0))
		}, "window: EveryCount(0): count is 0, it must be at least 1"},
		{"time of 0", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AtEnd().Early(window.Every(0)))
		}, "window: Every(0s): the time is 0s, it must be greater than 0"},
		{"negative event time", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.EveryEventTime(-time.Second))
		}, "window: EveryEventTime(-1s): the time is -1s, it must be greater than 0"},
		{"nothing to join", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AnyOf())
		}, "window: AnyOf(): it has no parts: give it the triggers to join"},
		{"end within", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AllOf(window.EveryCount(2), window.AtEnd()))
		}, "window: AtEnd(): AtEnd cannot be a part of another trigger: begin with it, and give it the others by Early and Late"},
		{"two mistakes", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.Sequence(window.EveryCount(-1), window.Every(-1)))
		}, "window: EveryCount(-1): count is -1, it must be at least 1\n\t\twindow: Every(-1ns): the time is -1ns, it must be greater than 0"},
		{"late without lateness", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AtEnd().Late(window.PerWatermark()))
		}, "AtEnd().Late(PerWatermark()): without AllowedLateness no late record is taken: give it, or leave Late out"},
		{"custom without anything", func(j *millrace.Job) millrace.Windowed[string, ride] { return minute(rides(j)).Trigger(bad) },
			`window: Custom(""): the state cannot be kept in checkpoints: codec: field func(): func() has no stable encoding; leave it out of the state, or give the type around it AppendState and DecodeState` +
				"\n\t\t" + `window: Custom(""): it has no name` + "\n\t\t" + `window: Custom(""): OnRecord is nil`},
		{"custom for others", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return minute(rides(j)).Trigger(window.AnyOf(window.PerRecord(), never[reading]()))
		}, `Custom("never") is a trigger for records of type millrace_test.reading, and these are of type millrace_test.ride`},
		{"custom without merge", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return byBase(j).Window(window.Session(time.Minute)).Trigger(never[ride]())
		}, `Custom("never"): sessions merge, and this trigger has no OnMerge`},
		{"global alone", func(j *millrace.Job) millrace.Windowed[string, ride] { return byBase(j).Window(window.Global()) },
			"Global() windows never end, so they need a trigger that says when there are results: give them one with Trigger, such as window.EveryCount(100) or window.Every(time.Minute)"},
		{"lateness of count windows", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return byBase(j).Window(window.Count(2)).AllowedLateness(time.Second).Trigger(window.AtEnd().Late(window.PerRecord()))
		}, "AtEnd().Late(PerRecord()): no record is late for Count(2) windows: leave Late out\n\t\t" +
			"AllowedLateness is 1s: no record is late for Count(2) windows: leave it out"},
		{"count windows of nothing", func(j *millrace.Job) millrace.Windowed[string, ride] { return byBase(j).Window(window.Count(0)) },
			"window: Count(0): the number of records is 0, it must be at least 1\n\t\twindow: Count(0): a window begins every 0 records, it must be at least 1"},
		{"count windows with gaps", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return byBase(j).Window(window.CountSliding(2, 3))
		}, "window: CountSliding(2, 3): a window begins every 3 records and has 2: the records between two windows would be in none; it must be at most the number of records"},
		{"too many count windows", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return byBase(j).Window(window.CountSliding(1<<21, 1).Partial())
		}, "window: CountSliding(2097152, 1).Partial(): a record is in 2097152 windows; 1048576 are the most allowed"},
		{"event time that is not there", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return j.From("in", memory.Of[ride]()).KeyBy(ride.base).Window(window.Global()).Trigger(window.EveryEventTime(time.Second))
		}, "EveryEventTime(1s) needs event time: give EventTime to the source"},
		{"sessions of triggers without event time", func(j *millrace.Job) millrace.Windowed[string, ride] {
			return j.From("in", memory.Of[ride]()).KeyBy(ride.base).Window(window.Session(time.Second)).Trigger(window.PerRecord())
		}, "windows need event time: give EventTime to the source"},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("job")
			c.w(job).Aggregate("n", count()).To("out", counts())
			_, got, _ := strings.Cut(normal(job.Validate(), ""), ":\n\t")
			if want := `JOB:LINE: operator "n": ` + c.want; got != want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
			}
		})
	}
	joined := millrace.NewJob("job")
	byBase(joined).WindowJoin(byBase(joined), window.Count(2)).Inner("n", func(l, _ ride) ride { return l }).To("out", memory.NewSink[ride]())
	if err := joined.Validate(); err == nil || !strings.Contains(err.Error(), "a window join takes no Count(2) windows, which have no end in event time: take Tumbling, Sliding or Session") {
		t.Errorf("a join in count windows: %v", err)
	}
	job := millrace.NewJob("job")
	byBase(job).Window(window.Session(time.Minute)).Trigger(window.PerRecord()).Aggregate("n", noMerge()).To("out", counts())
	if err := job.Validate(); err == nil || !strings.Contains(err.Error(), "sessions merge, and this aggregator has no Merge") {
		t.Errorf("sessions without Merge: %v", err)
	}
}

// spree is a custom trigger with a state: a result when the numbers since the last one come to ten, after which the window forgets what
// it holds, and a second of event time after each record.
func spree() window.Custom[ride, spreeState] {
	return window.Custom[ride, spreeState]{
		Name: "spree",
		OnRecord: func(c window.TriggerContext, s *spreeState, r *ride) window.Decision {
			s.Sum += r.N
			s.Bases = append(s.Bases, r.Base)
			c.SetEventTimer(c.EventTime().Add(time.Second))
			if s.Sum < 10 {
				return window.Continue
			}
			*s = spreeState{}
			c.DeleteTimers()
			return window.FireAndPurge
		},
		OnEventTime: func(c window.TriggerContext, s *spreeState) window.Decision {
			if c.NewRecords() == 0 || int(c.Records()) < len(s.Bases) {
				return window.Continue
			}
			return window.Fire
		},
		OnMerge: func(dst, src *spreeState) { dst.Sum += src.Sum; dst.Bases = append(dst.Bases, src.Bases...) },
	}
}

type spreeState struct {
	Sum   int64
	Bases []string
}

// TestTriggersSurviveCrashes: results, kinds and revisions are those of a calm run, at any parallelism, for triggers that do not look at
// the processing time.
func TestTriggersSurviveCrashes(t *testing.T) {
	in := seconds(rand.New(rand.NewPCG(11, 7)), 600, 40)
	for _, c := range []struct {
		name string
		cut  func(k millrace.Keyed[string, ride]) millrace.Windowed[string, ride]
	}{
		{"sliding", func(k millrace.Keyed[string, ride]) millrace.Windowed[string, ride] {
			return k.Window(window.Sliding(30*time.Second, 10*time.Second)).AllowedLateness(20 * time.Second).Discarding().
				Trigger(window.AtEnd().Early(window.AnyOf(window.EveryCount(3), window.EveryEventTime(7*time.Second))).Late(window.PerWatermark()))
		}},
		{"sessions", func(k millrace.Keyed[string, ride]) millrace.Windowed[string, ride] {
			return k.Window(window.Session(4 * time.Second)).AllowedLateness(20 * time.Second).Trigger(spree())
		}},
		{"counts", func(k millrace.Keyed[string, ride]) millrace.Windowed[string, ride] {
			return k.Window(window.CountSliding(7, 3).Partial()).Trigger(window.AtEnd().Early(window.Sequence(window.PerRecord(), window.EveryCount(2))))
		}},
		{"global", func(k millrace.Keyed[string, ride]) millrace.Windowed[string, ride] {
			return k.Window(window.Global()).Trigger(window.AllOf(window.EveryCount(4), window.PerWatermark()))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
				job := millrace.NewJob("triggers")
				w := c.cut(job.From("rides", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(5*time.Second)).KeyBy(ride.base))
				w.Aggregate("sum", agg.Sum(sumOf)).To("sums", trial.Collect[millrace.Pane[string, int64]]("sums"))
				w.Late().To("late", trial.Collect[ride]("late"))
				return job
			}, millracetest.Kills(8))
			if r.InEpoch < 3 || r.Results < 100 {
				t.Errorf("too little was tried: %+v", r)
			}
		})
	}
}

// brief are results in short, in the order in which they came.
func brief(out *memory.Sink[millrace.Pane[string, int64]]) []string {
	var all []string
	for _, p := range out.Records() {
		all = append(all, fmt.Sprintf("%s %d #%d %v", p.Key, p.Value, p.Revision, p.Kind))
	}
	return all
}

// TestEarlyResultsComeInProcessingTime runs in virtual time: the results of Every come when their time has come, though no record comes.
func TestEarlyResultsComeInProcessingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, out := millrace.NewJob("early"), counts()
		script := millracetest.Script[ride]().Records(ride{"b", 0, 1}, ride{"a", 1, 2}, ride{"b", 60, 4}, ride{"b", 2, 8}).StayOpen()
		job.From("rides", script, millrace.EventTime(ride.time).OutOfOrderness(time.Hour)).KeyBy(ride.base).
			Window(window.Tumbling(time.Minute)).Trigger(window.AtEnd().Early(window.Every(10*time.Second))).
			Aggregate("sum", agg.Sum(sumOf)).To("out", out)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- millrace.Run(ctx, job, millrace.Config{Log: quiet(), Parallelism: 1, Checkpoint: millrace.CheckpointConfig{Interval: time.Second}})
		}()
		<-time.After(9 * time.Second)
		synctest.Wait()
		if got := brief(out); len(got) > 0 {
			t.Errorf("after nine seconds: %v", got)
		}
		<-time.After(3 * time.Second)
		synctest.Wait()
		// By window and key; once, since nothing is new.
		want := []string{"a 2 #0 early", "b 9 #0 early", "b 4 #0 early"}
		if got := brief(out); !slices.Equal(got, want) {
			t.Errorf("after twelve seconds: %v, want %v", got, want)
		}
		<-time.After(time.Minute)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := brief(out); !slices.Equal(got, want) {
			t.Errorf("at the end: %v, want %v", got, want)
		}
	})
}

// TestOverdueResultsComeAtTheStart: the time of an early result passes while the job does not run. It comes when it runs again.
func TestOverdueResultsComeAtTheStart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		out := counts()
		run := func(parallelism int, d time.Duration) {
			job := millrace.NewJob("overdue")
			script := millracetest.Script[ride]().Records(ride{"b", 0, 1}, ride{"a", 1, 2}).StayOpen()
			job.From("rides", script, millrace.EventTime(ride.time).OutOfOrderness(time.Hour)).KeyBy(ride.base).
				Window(window.Tumbling(time.Minute)).Trigger(window.Every(time.Minute)).
				Aggregate("sum", agg.Sum(sumOf)).To("out", out)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- millrace.Run(ctx, job, millrace.Config{Log: quiet(), Parallelism: parallelism, Checkpoint: millrace.CheckpointConfig{Dir: dir, Interval: time.Second}})
			}()
			<-time.After(d)
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		run(1, 10*time.Second)
		if got := brief(out); len(got) > 0 {
			t.Errorf("in the first run: %v", got)
		}
		<-time.After(time.Hour)
		run(3, 3*time.Second)
		got := brief(out)
		slices.Sort(got)
		if want := []string{"a 2 #0 early", "b 1 #0 early"}; !slices.Equal(got, want) {
			t.Errorf("in the second run: %v, want %v", got, want)
		}
	})
}
