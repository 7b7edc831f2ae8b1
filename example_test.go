package millrace_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// Reading is a temperature that a sensor measured.
type Reading struct {
	Sensor  string
	Taken   time.Time
	Celsius float64
}

func (r Reading) sensor() string    { return r.Sensor }
func (r Reading) taken() time.Time  { return r.Taken }
func (r Reading) celsius() float64  { return r.Celsius }
func (r Reading) plausible() bool   { return r.Celsius > -90 && r.Celsius < 60 }
func at(clock string) time.Time     { t, _ := time.Parse("15:04:05", clock); return t.AddDate(2026, 0, 0) }
func run(job *millrace.Job) error   { return millrace.Run(context.Background(), job, quietly) }
func clock(t time.Time) string      { return t.Format("15:04") }
func show[T any](s *memory.Sink[T]) { printEach(s.Records()) }
func printEach[T any](records []T)  { fmt.Print(lines(records)) }
func lines[T any](records []T) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

var quietly = millrace.Config{Parallelism: 1, Log: quiet()}

var readings = []Reading{
	{"roof", at("12:00:10"), 21.5},
	{"cellar", at("12:00:30"), 12},
	{"roof", at("12:01:05"), 22.5},
	{"roof", at("12:00:50"), 20.5}, // comes late, by 15 seconds
	{"roof", at("12:01:40"), 999},
	{"cellar", at("12:02:20"), 11},
}

// A job counts and averages by the time at which things happened.
func Example() {
	job := millrace.NewJob("temperatures")
	out := memory.NewSink[millrace.Pane[string, float64]]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second)).
		Filter(Reading.plausible).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Minute)).
		Aggregate("mean", agg.Mean(Reading.celsius)).
		To("out", out)
	if err := run(job); err != nil {
		fmt.Println(err)
	}
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), clock(p.End), p.Key, p.Value)
	}
	// Output:
	// 12:00 12:01 cellar 12
	// 12:00 12:01 roof 21
	// 12:01 12:02 roof 22.5
	// 12:02 12:03 cellar 11
}

func ExampleStream_Map() {
	job := millrace.NewJob("fahrenheit")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings[:2]...)).
		Map(func(r Reading) string { return fmt.Sprintf("%s %.1f F", r.Sensor, r.Celsius*9/5+32) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// roof 70.7 F
	// cellar 53.6 F
}

func ExampleStream_MapRef() {
	job := millrace.NewJob("names")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings[:2]...)).
		MapRef(func(r *Reading, out *string) { *out = r.Sensor }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// roof
	// cellar
}

func ExampleStream_UpdateRef() {
	job := millrace.NewJob("corrected")
	out := memory.NewSink[float64]()
	job.From("readings", memory.Of(readings[:2]...)).
		UpdateRef(func(r *Reading) { r.Celsius -= 0.5 }).
		Map(Reading.celsius).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 21
	// 11.5
}

func ExampleStream_Filter() {
	job := millrace.NewJob("implausible")
	out := memory.NewSink[float64]()
	job.From("readings", memory.Of(readings...)).
		Filter(func(r Reading) bool { return !r.plausible() }).
		Map(Reading.celsius).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 999
}

func ExampleStream_FilterRef() {
	job := millrace.NewJob("roof")
	out := memory.NewSink[float64]()
	job.From("readings", memory.Of(readings...)).
		FilterRef(func(r *Reading) bool { return r.Sensor == "cellar" }).
		Map(Reading.celsius).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12
	// 11
}

func ExampleStream_FilterMap() {
	job := millrace.NewJob("cellar")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...)).
		FilterMap(func(r Reading) (string, bool) { return fmt.Sprintf("%v degrees", r.Celsius), r.Sensor == "cellar" }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12 degrees
	// 11 degrees
}

// The form for large records: what is left out is not copied.
func ExampleStream_FilterMapRef() {
	job := millrace.NewJob("cellar")
	out := memory.NewSink[float64]()
	job.From("readings", memory.Of(readings...)).
		FilterMapRef(func(r *Reading, celsius *float64) bool {
			*celsius = r.Celsius
			return r.Sensor == "cellar"
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12
	// 11
}

func ExampleStream_FlatMap() {
	job := millrace.NewJob("words")
	out := memory.NewSink[string]()
	job.From("lines", memory.Of("to be or", "", "not to be")).
		FlatMap(func(_ *millrace.Context, line string, emit func(string)) error {
			for w := range strings.FieldsSeq(line) {
				emit(w)
			}
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	fmt.Println(out.Records())
	// Output:
	// <nil>
	// [to be or not to be]
}

func ExampleStream_Union() {
	job := millrace.NewJob("both")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	old := job.From("old", memory.Of(readings[:3]...), millrace.EventTime(Reading.taken))
	late := job.From("new", memory.Of(readings[4:]...), millrace.EventTime(Reading.taken))
	old.Union(late).
		KeyBy(func(Reading) string { return "all" }).
		Window(window.Tumbling(time.Hour)).
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(p.Key, p.Value)
	}
	// Output:
	// <nil>
	// all 5
}

// Records that come after their window has fired go to the late output.
func ExampleWindowed_Late() {
	job := millrace.NewJob("late")
	counts, late := memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[Reading]()
	perSensor := job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Minute))
	perSensor.Aggregate("count", agg.Count[Reading]()).To("counts", counts)
	perSensor.Late().To("late", late)
	fmt.Println(run(job))
	for _, r := range late.Records() {
		fmt.Println("late:", r.Sensor, r.Celsius)
	}
	// Output:
	// <nil>
	// late: roof 20.5
}

// With an allowed lateness the window emits again, as revision 1.
func ExampleWindowed_AllowedLateness() {
	job := millrace.NewJob("revised")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken)).
		KeyBy(Reading.sensor).
		Window(window.Tumbling(time.Minute)).AllowedLateness(time.Minute).
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), p.Key, p.Value, p.Kind, p.Revision)
	}
	// Output:
	// <nil>
	// 12:00 cellar 1 on-time 0
	// 12:00 roof 1 on-time 0
	// 12:00 roof 2 late 1
	// 12:01 roof 2 on-time 0
	// 12:02 cellar 1 on-time 0
}

// A process function has a state for each key, and timers. This one reports sensors that were silent for a minute.
func ExampleKeyed_Process() {
	type seen struct {
		Last  float64
		Times int
	}
	job := millrace.NewJob("silent")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second)).
		KeyBy(Reading.sensor).
		Process("silence",
			func(p *millrace.Proc[string, seen, string], r Reading) error {
				s := p.State()
				s.Last, s.Times = r.Celsius, s.Times+1
				p.SetTimer("silent", p.EventTime().Add(time.Minute))
				return nil
			},
			func(p *millrace.Proc[string, seen, string], t millrace.Timer) error {
				p.Emit(fmt.Sprintf("%s silent at %s after %d readings", p.Key(), t.At.Format("15:04:05"), p.State().Times))
				return nil
			}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// roof silent at 12:02:40 after 4 readings
	// cellar silent at 12:03:20 after 2 readings
}

// A sensor that gets no answer sends its reading again. The second one is left out, also when it comes to be written differently.
func ExampleStream_Dedup() {
	sent := []Reading{
		{"roof", at("12:00:10"), 21.5},
		{"cellar", at("12:00:10"), 12},
		{"roof", at("12:00:10"), 21.5},
		{"roof", at("12:00:40"), 22},
		{"cellar", at("12:00:10"), 12.25},
	}
	type reading struct {
		Sensor string
		Taken  time.Time
	}
	job := millrace.NewJob("once")
	out, again := memory.NewSink[string](), memory.NewSink[string]()
	once := job.From("readings", memory.Of(sent...), millrace.EventTime(Reading.taken)).
		Dedup("once", func(r Reading) reading { return reading{r.Sensor, r.Taken} }, time.Hour)
	text := func(r Reading) string { return fmt.Sprint(r.Sensor, " ", r.Celsius) }
	once.Map(text).To("out", out)
	once.Duplicates().Map(text).To("again", again)
	fmt.Println(run(job))
	show(out)
	fmt.Println("again:", again.Records())
	// Output:
	// <nil>
	// roof 21.5
	// cellar 12
	// roof 22
	// again: [roof 21.5 cellar 12.25]
}

// Readings come a little out of order. What comes more than half a minute late goes to the late output.
func ExampleKeyed_SortByTime() {
	job := millrace.NewJob("in-order")
	out, late := memory.NewSink[string](), memory.NewSink[string]()
	sorted := job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken).OutOfOrderness(30*time.Second)).
		KeyBy(Reading.sensor).
		SortByTime("sorted")
	text := func(r Reading) string { return fmt.Sprint(r.Sensor, " ", r.Taken.Format("15:04:05")) }
	sorted.Map(text).To("out", out)
	sorted.Late().Map(text).To("late", late)
	fmt.Println(run(job))
	show(out)
	fmt.Println("late:", late.Records())
	// Output:
	// <nil>
	// roof 12:00:10
	// cellar 12:00:30
	// roof 12:00:50
	// roof 12:01:05
	// roof 12:01:40
	// cellar 12:02:20
	// late: []
}

// Validate finds all mistakes at once and says where they were made.
func ExampleJob_Validate() {
	job := millrace.NewJob("mistaken")
	job.From("readings", memory.Of(readings...)).
		KeyBy(Reading.celsius).
		Window(window.Sliding(time.Minute, time.Hour)).
		Aggregate("count", agg.Count[Reading]())
	err := job.Validate()
	fmt.Println(strings.Count(err.Error(), "example_test.go"), "mistakes or more:", err != nil)
	// Output:
	// 4 mistakes or more: true
}
