package millracetest_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// Ride is a taxi ride. Jobs under test are functions of their sources and sinks.
type Ride struct {
	Base string
	At   time.Time
}

func (r Ride) base() string    { return r.Base }
func (r Ride) time() time.Time { return r.At }
func (r Ride) String() string  { return r.Base + " at " + r.At.Format("15:04") }

type counted = millrace.Pane[string, int64]

// hourly counts rides by base and hour.
func hourly(in connect.Source[Ride], out connect.Sink[counted], late connect.Sink[Ride]) *millrace.Job {
	job := millrace.NewJob("hourly")
	w := job.From("rides", in, millrace.EventTime(Ride.time).OutOfOrderness(time.Minute)).
		KeyBy(Ride.base).
		Window(window.Tumbling(time.Hour))
	w.Aggregate("count", agg.Count[Ride]()).To("counts", out)
	w.Late().To("late", late)
	return job
}

func clock(s string) time.Time {
	t, _ := time.Parse("15:04", s)
	return t.AddDate(2026, 0, 0)
}

func ride(base, at string) Ride { return Ride{base, clock(at)} }

// t stands for the *testing.T that a test has.
var t = printing{}

type printing struct{}

func (printing) Helper()             {}
func (printing) Logf(string, ...any) {}
func (printing) Fatalf(f string, a ...any) {
	fmt.Println(strings.ReplaceAll(fmt.Sprintf(f, a...), "\n  ", "\n"))
}

// A user crash-tests a job in ten lines.
func Example() {
	var rides []Ride
	for i := range 200 {
		rides = append(rides, Ride{fmt.Sprint("base-", i%3), clock("12:00").Add(time.Duration(i) * time.Minute)})
	}
	report := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		return hourly(memory.Of(rides...), trial.Collect[counted]("counts"), trial.Collect[Ride]("late"))
	})
	fmt.Println(report.Kills >= 20, report.Results)
	// Output: true 12
}

// The watermark stands where the script says, so the last record is late.
func ExampleScript() {
	in := millracetest.Script[Ride]().
		Records(ride("west", "12:10"), ride("west", "12:50")).
		Watermark(clock("13:00")).
		Records(ride("west", "12:59"))
	out, late := millracetest.Collect[counted](), millracetest.Collect[Ride]()
	millracetest.Run(t, hourly(in, out, late))
	fmt.Println(out.Records()[0].Value, "in time;", late.Records()[0], "is late")
	// Output: 2 in time; west at 12:59 is late
}

// The slower split holds the watermark, until it is idle.
func ExampleScripted_Split() {
	in := millracetest.Script[Ride]().
		Split("slow").Watermark(clock("12:15")).
		Split("fast").Watermark(clock("14:00")).Records(ride("fast", "12:20")).
		Split("slow").Idle().
		Split("fast").Records(ride("fast", "12:30"))
	late := millracetest.Collect[Ride]()
	millracetest.Run(t, hourly(in, millracetest.Collect[counted](), late))
	fmt.Println(late.Records())
	// Output: [fast at 12:30]
}

// What is stuck is shown with where everything stands.
func ExampleRun_stuck() {
	in := millracetest.Script[Ride]().Records(ride("west", "12:10")).Watermark(clock("12:30")).StayOpen()
	millracetest.Run(t, hourly(in, millracetest.Collect[counted](), millracetest.Collect[Ride]()), millracetest.StuckAfter(time.Second),
		millracetest.Configure(func(c *millrace.Config) { c.Checkpoint.Interval = time.Hour }))
	// Output:
	// millracetest: job hourly: stuck: nothing has moved for 1s, 0 epochs are decided
	// operator             kind                 in        out    waiting  watermark
	// rides                source                1          1          0  2026-01-01T12:30:00Z
	// count                aggregate             1          0          0  2026-01-01T12:30:00Z
	// counts               sink                  0          0          0  2026-01-01T12:30:00Z
	// late                 sink                  0          0          0  2026-01-01T12:30:00Z
}

// The order of records does not matter, how often they come does.
func ExampleEqual() {
	millracetest.Equal(t, []string{"a", "b"}, []string{"b", "a"})
	millracetest.Equal(t, []string{"a", "a"}, []string{"b", "a"})
	// Output:
	// millracetest: 2 records, want 2
	// missing (1):
	//   "b"
	// too many (1):
	//   "a"
}

// A function that keeps something in a variable gives other results after a restart.
func ExampleCrash() {
	millracetest.Crash(failing{}, func(trial *millracetest.Trial) *millrace.Job {
		job, n := millrace.NewJob("numbers"), 0
		job.From("in", memory.Of(make([]string, 100)...)).
			Map(func(string) int { n++; return n }).
			To("out", trial.Collect[int]("out"))
		return job
	})
	// Output: the results are not those of a run that nothing happened to
}

// A seed is a world in which all kinds of things happen to the job, and the same in every run. The first check is that of the reference, a run to which
// nothing happens.
func ExampleSimulate() {
	in := []Ride{ride("west", "12:10"), ride("east", "12:20"), ride("west", "13:30"), ride("east", "14:45")}
	millracetest.Simulate(t, func(trial *millracetest.Trial) *millrace.Job {
		return hourly(memory.Of(in...), trial.Collect[counted]("counts"), trial.Collect[Ride]("late"))
	}, millracetest.Seed(7), millracetest.Seeds(5), millracetest.Check(func(trial *millracetest.Trial) error {
		fmt.Println("the end of a world")
		return nil
	}))
	// Output:
	// the end of a world
	// the end of a world
	// the end of a world
	// the end of a world
	// the end of a world
	// the end of a world
}

// failing prints the sentence of a failure that is the same in every run.
type failing struct{ printing }

func (failing) Fatalf(f string, a ...any) {
	for line := range strings.Lines(fmt.Sprintf(f, a...)) {
		if s, ok := strings.CutSuffix(line, ":\n"); ok && strings.HasPrefix(s, "the results") {
			fmt.Println(s)
		}
	}
}

// Files go to the disk of the trial, which loses power; a check looks at what is there in the end.
func ExampleTrial_Path() {
	in := []Ride{ride("west", "12:10"), ride("east", "12:20"), ride("west", "13:30"), ride("east", "14:45")}
	checked := false
	millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		return hourly(memory.Of(in...), file.JSONL[counted](trial.Path("counts")), trial.Collect[Ride]("late"))
	}, millracetest.Every(1), millracetest.Kills(5), millracetest.Check(func(trial *millracetest.Trial) error {
		lines, err := trial.Lines(trial.Path("counts"))
		if len(lines) != 4 {
			err = errors.Join(err, fmt.Errorf("%d lines", len(lines)))
		}
		checked = true
		return err
	}))
	_, err := os.Stat("/millracetest")
	fmt.Println(checked, os.IsNotExist(err))
	// Output: true true
}

// A sink of one's own outlives the crashes of a trial by Once, and is compared by Output.
func ExampleTrial_Once() {
	report := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		sink := trial.Once("my sink", memory.NewSink[counted]) // in place of a sink of one's own
		trial.Output("my sink", sink.Records)
		return hourly(memory.Of(ride("west", "12:10"), ride("east", "12:20"), ride("west", "13:30")), sink, trial.Collect[Ride]("late"))
	}, millracetest.Every(1), millracetest.Kills(5), millracetest.Seed(7), millracetest.Parallelism(1, 3))
	fmt.Println(report.Results)
	// Output: 3
}

// Kills can be kept to some points.
func ExampleAt() {
	in := make([]Ride, 100)
	for i := range in {
		in[i] = Ride{"west", clock("12:00").Add(time.Duration(i) * time.Minute)}
	}
	report := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		return hourly(memory.Of(in...), trial.Collect[counted]("counts"), trial.Collect[Ride]("late"))
	}, millracetest.At("commit.before", "commit.after"), millracetest.Kills(6))
	fmt.Println(report.Points["commit.before"]+report.Points["commit.after"] == report.Kills)
	// Output: true
}

func ExamplePoints() {
	for _, p := range millracetest.Points() {
		if strings.HasPrefix(p, "commit.") {
			fmt.Println(p)
		}
	}
	// Output:
	// commit.before
	// commit.between
	// commit.after
}

func ExampleConfigure() {
	var last millrace.Status
	out := millracetest.Collect[counted]()
	millracetest.Run(t, hourly(memory.Of(ride("west", "12:10")), out, millracetest.Collect[Ride]()),
		millracetest.Configure(func(c *millrace.Config) { c.Observe = func(s millrace.Status) { last = s } }))
	fmt.Println(last.Finished, len(out.Records()))
	// Output: true 1
}

// A wait lets what goes by the clock run out: here a batch leaves before it is full. With the option Virtual, in a test, no time is spent on it.
func ExampleScripted_Wait() {
	in := millracetest.Script[int]().Records(1, 2).Wait(100 * time.Millisecond).Records(3)
	job, out := millrace.NewJob("batches"), millracetest.Collect[[]int]()
	millrace.Batch(job.From("in", in), 10, 10*time.Millisecond).To("out", out)
	millracetest.Run(t, job)
	fmt.Println(out.Records())
	// Output: [[1 2] [3]]
}

// A split that has ended holds nothing back.
func ExampleScripted_EndSplit() {
	in := millracetest.Script[Ride]().
		Split("short").Records(ride("west", "12:05")).EndSplit().
		Split("long").Watermark(clock("14:00")).Records(ride("west", "12:10"))
	late := millracetest.Collect[Ride]()
	millracetest.Run(t, hourly(in, millracetest.Collect[counted](), late))
	fmt.Println(late.Records())
	// Output: [west at 12:10]
}

// Two splits that are read beside each other: with AlignWithin, the one that is far ahead waits for the other.
func ExampleSplits() {
	type rec struct{ Name, At string }
	at := func(r rec) time.Time { t, _ := time.Parse("15:04", r.At); return t.AddDate(2020, 0, 0) }
	in := millracetest.Splits(
		millracetest.Script[rec]().Records(rec{"west", "12:00"}).Wait(20*time.Millisecond).Records(rec{"west", "13:00"}),
		millracetest.Script[rec]().Records(rec{"east", "12:01"}, rec{"east", "13:30"}, rec{"east", "13:31"}),
	)
	out := millracetest.Collect[rec]()
	job := millrace.NewJob("aligned")
	job.From("in", in, millrace.EventTime(at).AlignWithin(time.Hour)).To("out", out)
	millracetest.Run(failing{}, job, millracetest.Every(1))
	for _, r := range out.Records() {
		fmt.Println(r.Name, r.At)
	}
	// Output:
	// west 12:00
	// east 12:01
	// east 13:30
	// west 13:00
	// east 13:31
}
