package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// rooms stands for a service that knows which room a sensor is in.
func rooms(_ context.Context, r Reading) (string, error) {
	room, ok := map[string]string{"roof": "attic", "cellar": "wine cellar"}[r.Sensor]
	if !ok {
		return "", errors.New("no such sensor")
	}
	return fmt.Sprint(room, " ", r.Celsius), nil
}

// Each reading is looked up in a service, several at a time. The results come in the order of the readings.
func ExampleStream_Async() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings[:4]...), millrace.EventTime(Reading.taken)).
		Async("rooms", rooms).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// attic 21.5
	// wine cellar 12
	// attic 22.5
	// attic 20.5
}

// Where the order does not matter, a slow answer holds back none of those behind it.
func ExampleAsyncResults_Unordered() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	others := make(chan struct{}, 3)
	job.From("readings", memory.Of(readings[:4]...)).
		Async("rooms", func(ctx context.Context, r Reading) (string, error) {
			if r.Sensor == "cellar" {
				for range 3 { // the answer takes until the others are there
					<-others
				}
			} else {
				others <- struct{}{}
			}
			return r.Sensor, ctx.Err()
		}).Unordered().
		To("out", out)
	fmt.Println(run(job), len(out.Records()))
	// Output:
	// <nil> 4
}

// No more than two requests are made at a time.
func ExampleAsyncResults_Capacity() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	tokens := make(chan struct{}, 2)
	job.From("readings", memory.Of(readings...)).
		Async("rooms", func(ctx context.Context, r Reading) (string, error) {
			select {
			case tokens <- struct{}{}:
				defer func() { <-tokens }()
				return r.Sensor, nil
			default:
				return "", errors.New("too many requests")
			}
		}).Capacity(2).
		To("out", out)
	fmt.Println(run(job), len(out.Records()))
	// Output:
	// <nil> 6
}

// A service that does not answer fails the job, unless Retry or Fallback has something else to say.
func ExampleAsyncResults_Timeout() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings[:1]...)).
		Async("rooms", func(ctx context.Context, r Reading) (string, error) {
			<-ctx.Done() // no answer
			return "", ctx.Err()
		}).Timeout(10*time.Millisecond).
		To("out", out)
	err := run(job)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "no answer within 10ms"))
	// Output:
	// true true
}

// A service that is busy is asked again.
func ExampleAsyncResults_Retry() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	busy := errors.New("busy")
	asked := 0
	job.From("readings", memory.Of(readings[:1]...)).
		Async("rooms", func(ctx context.Context, r Reading) (string, error) {
			if asked++; asked < 3 {
				return "", busy
			}
			return rooms(ctx, r)
		}).Retry(millrace.AsyncRetry{
		Attempts: 5,
		Backoff:  time.Millisecond,
		Jitter:   0.5,
		If:       func(err error) bool { return errors.Is(err, busy) },
	}).
		To("out", out)
	fmt.Println(run(job), asked, out.Records())
	// Output:
	// <nil> 3 [attic 21.5]
}

// What the service does not know gets a result of its own.
func ExampleAsyncResults_Fallback() {
	job := millrace.NewJob("rooms")
	out := memory.NewSink[string]()
	in := []Reading{{"roof", at("12:00:10"), 21.5}, {"garden", at("12:00:20"), 14}}
	job.From("readings", memory.Of(in...)).
		Async("rooms", rooms).
		Fallback(func(r Reading, err error) (string, error) { return fmt.Sprintf("%s: %v", r.Sensor, err), nil }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// attic 21.5
	// garden: no such sensor
}

// The source is read at 1000 records a second at most, and up to 100 at once.
func ExampleStream_RateLimit() {
	job := millrace.NewJob("slowly")
	out := memory.NewSink[Reading]()
	job.From("readings", memory.Of(readings...)).RateLimit(1000, 100).To("out", out)
	fmt.Println(run(job), len(out.Records()))
	// Output:
	// <nil> 6
}

// Of six readings that come at once, two pass. The others are left out: with one more every 1000 seconds they would wait long.
func ExampleRateLimited_DropNewest() {
	job := millrace.NewJob("sample")
	out := memory.NewSink[string]()
	job.From("readings", memory.Of(readings...)).RateLimit(0.001, 2).DropNewest().Map(Reading.sensor).To("out", out)
	fmt.Println(run(job), out.Records())
	// Output:
	// <nil> [roof cellar]
}

// Of six readings that come at once, the first two pass at once, and the last two as soon as they may.
func ExampleRateLimited_DropOldest() {
	job := millrace.NewJob("latest")
	out := memory.NewSink[float64]()
	job.From("readings", memory.Of(readings...)).RateLimit(100, 2).DropOldest().Map(Reading.celsius).To("out", out)
	fmt.Println(run(job), out.Records())
	// Output:
	// <nil> [21.5 12 999 11]
}

// What a limit leaves out is a stream too.
func ExampleRateLimited_Dropped() {
	job := millrace.NewJob("sample")
	out, dropped := memory.NewSink[Reading](), memory.NewSink[float64]()
	limited := job.From("readings", memory.Of(readings...)).RateLimit(0.001, 2).DropNewest()
	limited.To("out", out)
	limited.Dropped().Map(Reading.celsius).To("dropped", dropped)
	fmt.Println(run(job), dropped.Records())
	// Output:
	// <nil> [22.5 20.5 999 11]
}

// No more than three readings are on their way whose results cannot be seen yet.
func ExampleStream_MaxInFlight() {
	job := millrace.NewJob("close")
	out := memory.NewSink[Reading]()
	job.From("readings", memory.Of(readings...)).MaxInFlight(3).To("out", out)
	fmt.Println(run(job), len(out.Records()))
	// Output:
	// <nil> 6
}
