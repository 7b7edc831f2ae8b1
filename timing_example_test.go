package millrace_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// perMinute counts readings by minute and prints the counts and what came too late.
func perMinute(job *millrace.Job, s millrace.Stream[Reading]) {
	out, late := memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[Reading]()
	w := s.KeyBy(Reading.sensor).Window(window.Tumbling(time.Minute))
	w.Aggregate("count", agg.Count[Reading]()).To("out", out)
	w.Late().To("late", late)
	if err := run(job); err != nil {
		fmt.Println(err)
	}
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), p.Key, p.Value)
	}
	for _, r := range late.Records() {
		fmt.Println("late:", r.Sensor, r.Taken.Format(time.TimeOnly))
	}
}

// The reading of 12:00:50 comes behind that of 12:01:05, and its minute has been counted by then.
func ExampleTiming_Monotonic() {
	job := millrace.NewJob("in-order")
	s := job.From("readings", memory.Of(readings[:4]...), millrace.EventTime(Reading.taken).Monotonic())
	perMinute(job, s)
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 1
	// 12:01 roof 1
	// late: roof 12:00:50
}

func ExampleTiming_OutOfOrderness() {
	job := millrace.NewJob("disorder")
	s := job.From("readings", memory.Of(readings[:4]...), millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second))
	perMinute(job, s)
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 2
	// 12:01 roof 1
}

// A station sends a mark, with a sensor named "mark", when all readings up to its time have been sent.
func ExampleTiming_Punctuated() {
	in := []Reading{
		{"roof", at("12:00:10"), 21},
		{"roof", at("12:01:20"), 22}, // far ahead, and moves nothing
		{"roof", at("12:00:40"), 21},
		{"mark", at("12:01:00"), 0},
		{"roof", at("12:00:50"), 21}, // against the promise
	}
	marked := millrace.EventTime(Reading.taken).Punctuated(func(r Reading) (time.Time, bool) {
		return r.Taken, r.Sensor == "mark"
	})
	job := millrace.NewJob("marks")
	perMinute(job, job.From("readings", memory.Of(in...), marked).Filter(func(r Reading) bool { return r.Sensor != "mark" }))
	// Output:
	// 12:00 roof 2
	// 12:01 roof 1
	// late: roof 12:00:50
}

// lag is the state of a split: the latest time seen, and how far records have been behind it at most.
type lag struct {
	Newest time.Time
	Worst  time.Duration
}

// The bound of disorder is learned: the watermark stays twice as far behind as any record has been so far, and a second at least.
func ExampleTiming_Watermarks() {
	learned := millrace.EventTime(Reading.taken).Watermarks(func(s *lag, _ Reading, t time.Time) (time.Time, bool) {
		if s.Newest.Before(t) {
			s.Newest = t
		}
		s.Worst = max(s.Worst, s.Newest.Sub(t))
		return s.Newest.Add(-2*s.Worst - time.Second), true
	})
	in := []Reading{
		{"roof", at("12:00:10"), 21},
		{"roof", at("12:00:30"), 21},
		{"roof", at("12:00:20"), 21}, // behind by 10 s
		{"roof", at("12:01:15"), 21}, // the watermark is 12:00:54
		{"roof", at("12:00:58"), 21},
	}
	job := millrace.NewJob("learned")
	perMinute(job, job.From("readings", memory.Of(in...), learned))
	// Output:
	// 12:00 roof 4
	// 12:01 roof 1
}

func ExampleTryEventTime() {
	taken := func(line string) (time.Time, error) {
		stamp, _, ok := strings.Cut(line, " ")
		if !ok {
			return time.Time{}, fmt.Errorf("there is none in %q", line)
		}
		return time.Parse(time.RFC3339, stamp)
	}
	job := millrace.NewJob("lines")
	job.From("lines", memory.Of("2026-01-01T12:00:10Z roof 21.5", "cellar"), millrace.TryEventTime(taken)).To("out", memory.NewSink[string]())
	_, what, _ := strings.Cut(run(job).Error(), "): ")
	fmt.Println(what)
	// Output: slice-000000[1]: event time: there is none in "cellar"
}

// A split that is quiet and would hold up the others is left aside after a minute; one that is more than ten minutes ahead waits.
func ExampleTiming_AlignWithin() {
	job := millrace.NewJob("aligned")
	timing := millrace.EventTime(Reading.taken).OutOfOrderness(30 * time.Second)
	perMinute(job, job.From("readings", memory.Splits(readings[:2], readings[2:4]), timing.IdleAfter(time.Minute).AlignWithin(10*time.Minute)))
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 2
	// 12:01 roof 1
}

func ExampleTiming_IdleAfter() {
	job := millrace.NewJob("idle")
	timing := millrace.EventTime(Reading.taken).OutOfOrderness(30 * time.Second).IdleAfter(time.Minute)
	perMinute(job, job.From("readings", memory.Splits(readings[:4], nil), timing)) // the second would matter if it did not end
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 2
	// 12:01 roof 1
}

// Two sources that are joined wait for each other.
func ExampleTiming_AlignGroup() {
	job := millrace.NewJob("group")
	timing := millrace.EventTime(Reading.taken).OutOfOrderness(30 * time.Second).AlignWithin(time.Minute).AlignGroup("readings")
	perMinute(job, job.From("old", memory.Of(readings[:2]...), timing).Union(job.From("new", memory.Of(readings[2:4]...), timing)))
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 2
	// 12:01 roof 1
}

var withFuture = []Reading{readings[0], {"roof", time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), 21}, readings[1]}

// A clock that is wrong, at one sensor, fails the job instead of making all others late.
func ExampleTiming_MaxAhead() {
	job := millrace.NewJob("guarded")
	timing := millrace.EventTime(Reading.taken).MaxAhead(24 * time.Hour)
	job.From("readings", memory.Of(withFuture...), timing).To("out", memory.NewSink[Reading]())
	err := run(job)
	fmt.Println(strings.Contains(err.Error(), "slice-000000[1]: event time: 2200-01-01T00:00:00Z is more than 24h0m0s ahead of the clock"))
	// Output: true
}

// Or it is left out, and looked at by somebody.
func ExampleTiming_DropAhead() {
	job := millrace.NewJob("guarded")
	wrong := memory.NewSink[Reading]()
	timing := millrace.EventTime(Reading.taken).OutOfOrderness(30 * time.Second).MaxAhead(24 * time.Hour).DropAhead()
	s := job.From("readings", memory.Of(withFuture...), timing)
	s.Ahead().To("wrong", wrong)
	perMinute(job, s)
	fmt.Println("ahead:", wrong.Records()[0].Taken)
	// Output:
	// 12:00 cellar 1
	// 12:00 roof 1
	// ahead: 2200-01-01 00:00:00 +0000 UTC
}

func ExampleStream_Ahead() {
	job := millrace.NewJob("ahead")
	wrong := memory.NewSink[Reading]()
	timing := millrace.EventTime(Reading.taken).MaxAhead(time.Hour).DropAhead()
	job.From("readings", memory.Of(withFuture...), timing).Ahead().To("wrong", wrong)
	fmt.Println(run(job))
	show(wrong)
	// Output:
	// <nil>
	// {roof 2200-01-01 00:00:00 +0000 UTC 21}
}

// How many readings came within the same hour, whatever time they tell. (A run at the full hour would give two.)
func ExampleProcessingTime() {
	job := millrace.NewJob("arrivals")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("readings", memory.Of(readings...), millrace.ProcessingTime[Reading]()).
		KeyBy(func(Reading) string { return "all" }).
		Window(window.Tumbling(time.Hour)).
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	var n int64
	for _, p := range out.Records() {
		n += p.Value
	}
	fmt.Println(n)
	// Output:
	// <nil>
	// 6
}

// The source brings lines; when something happened is known only when they have been read.
func ExampleStream_AssignTime() {
	job := millrace.NewJob("decoded")
	s := job.From("lines", memory.Of("roof 12:00:10", "roof 12:01:05", "roof 12:00:50")).
		Map(func(line string) Reading {
			sensor, clock, _ := strings.Cut(line, " ")
			return Reading{Sensor: sensor, Taken: at(clock)}
		}).
		AssignTime("taken", millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second))
	perMinute(job, s)
	// Output:
	// 12:00 roof 2
	// 12:01 roof 1
}
