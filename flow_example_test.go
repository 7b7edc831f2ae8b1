package millrace_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// Readings go different ways by their sensor. Rest has those of sensors that nobody thought of.
func ExampleStream_Split() {
	job := millrace.NewJob("by-sensor")
	roof, others := memory.NewSink[float64](), memory.NewSink[string]()
	bySensor := job.From("readings", memory.Of(readings...), millrace.EventTime(Reading.taken)).
		Split(Reading.sensor).As("by-sensor")
	bySensor.Branch("roof").Map(Reading.celsius).To("roof", roof)
	bySensor.Rest().Map(Reading.sensor).To("others", others)
	fmt.Println(run(job))
	fmt.Println(roof.Records(), others.Records())
	// Output:
	// <nil>
	// [21.5 22.5 20.5 999] [cellar cellar]
}

// Branch may be asked for any value of the type that the function returns; here a bool.
func ExampleBranches_Branch() {
	job := millrace.NewJob("plausible")
	good, bad := memory.NewSink[float64](), memory.NewSink[float64]()
	plausible := job.From("readings", memory.Of(readings...)).Split(Reading.plausible)
	plausible.Branch(true).Map(Reading.celsius).To("good", good)
	plausible.Branch(false).Map(Reading.celsius).To("bad", bad)
	fmt.Println(run(job))
	fmt.Println(good.Records(), bad.Records())
	// Output:
	// <nil>
	// [21.5 12 22.5 20.5 11] [999]
}

// Without Rest, a record that is of no branch stops the job, so that it is not lost.
func ExampleBranches_Rest() {
	job := millrace.NewJob("by-sensor")
	roof := memory.NewSink[Reading]()
	bySensor := job.From("readings", memory.Of(readings[:2]...)).Split(Reading.sensor)
	bySensor.Branch("roof").To("roof", roof)
	fmt.Println("without:", run(job) != nil)

	job = millrace.NewJob("by-sensor")
	rest := memory.NewSink[string]()
	bySensor = job.From("readings", memory.Of(readings[:2]...)).Split(Reading.sensor)
	bySensor.Branch("roof").To("roof", roof)
	bySensor.Rest().Map(Reading.sensor).To("rest", rest)
	fmt.Println("with:", run(job), rest.Records())
	// Output:
	// without: true
	// with: <nil> [cellar]
}

// A name for a split shows in messages and metrics.
func ExampleBranches_As() {
	job := millrace.NewJob("by-sensor")
	out := memory.NewSink[Reading]()
	job.From("readings", memory.Of(readings...)).Split(Reading.sensor).As("by-sensor").Branch("roof").To("out", out)
	fmt.Println(job.Validate())
	fmt.Print(job)
	// Output:
	// <nil>
	// job "by-sensor"
	//   readings   source
	//   by-sensor  split   <- readings
	//   out        sink    <- by-sensor (side branch roof)
}

// Readings are put together by two, for what works better on many at once.
func ExampleBatch() {
	job := millrace.NewJob("pairs")
	out := memory.NewSink[string]()
	source := job.From("readings", memory.Of(readings[:5]...), millrace.EventTime(Reading.taken))
	millrace.Batch(source, 2, time.Second).Map(func(b []Reading) string {
		return fmt.Sprintf("%d from %s on", len(b), clock(b[0].Taken))
	}).To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 2 from 12:00 on
	// 2 from 12:01 on
	// 1 from 12:01 on
}
