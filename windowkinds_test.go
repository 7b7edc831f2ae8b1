package millrace_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// The day so far, every six hours.
func Example_cumulative() {
	job := millrace.NewJob("cellar")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("readings", memory.Of(
		Reading{"cellar", at("03:00:00"), 12}, Reading{"cellar", at("07:30:00"), 12.5}, Reading{"cellar", at("19:00:00"), 11},
	), millrace.EventTime(Reading.taken)).
		KeyBy(Reading.sensor).
		Window(window.Cumulative(24*time.Hour, 6*time.Hour)).
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(clock(p.Start), clock(p.End), p.Key, p.Value)
	}
	// Output:
	// <nil>
	// 00:00 06:00 cellar 1
	// 00:00 12:00 cellar 2
	// 00:00 18:00 cellar 2
	// 00:00 00:00 cellar 3
}

// The days of Berlin when its clocks go forward: they begin at 23 o'clock in UTC, and then at 22.
func Example_calendar() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := func(clock string) time.Time { t, _ := time.Parse(time.RFC3339, clock); return t }
	job := millrace.NewJob("days")
	out := memory.NewSink[millrace.Pane[string, int64]]()
	job.From("readings", memory.Of(
		Reading{"roof", at("2024-03-30T22:59:59Z"), 7}, Reading{"roof", at("2024-03-30T23:00:00Z"), 6}, Reading{"roof", at("2024-03-31T21:59:59Z"), 9},
	), millrace.EventTime(Reading.taken)).
		KeyBy(Reading.sensor).
		Window(window.Calendar(window.Day, berlin)).
		Aggregate("count", agg.Count[Reading]()).
		To("out", out)
	fmt.Println(run(job))
	for _, p := range out.Records() {
		fmt.Println(p.Start.In(berlin).Format(time.DateOnly), p.End.Sub(p.Start), p.Key, p.Value)
	}
	// Output:
	// <nil>
	// 2024-03-30 24h0m0s roof 1
	// 2024-03-31 23h0m0s roof 2
}

// floats adds numbers without the care of agg.Sum: the order of additions shows.
func floats() agg.Aggregator[ride, float64, float64] {
	return agg.Aggregator[ride, float64, float64]{
		Add:    func(sum *float64, r *ride) { *sum += 1 / float64(r.N+3) },
		Merge:  func(dst, src *float64) { *dst += *src },
		Result: func(sum *float64) float64 { return *sum },
	}
}

// TestWindowsOfAllKindsSurviveKills: the same bits after kills and at any parallelism, with late results.
func TestWindowsOfAllKindsSurviveKills(t *testing.T) {
	apia, err := time.LoadLocation("Pacific/Apia")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 9))
	day := time.Date(2011, 12, 28, 0, 0, 0, 0, time.UTC).Unix()
	var in []ride
	for i := range 400 {
		in = append(in, ride{Base: fmt.Sprint(rng.IntN(5)), At: day + int64(i*1200) - rng.Int64N(4*3600), N: int64(i)})
	}
	for _, a := range []window.Assigner{
		window.Sliding(31*time.Hour, time.Hour), window.Cumulative(24*time.Hour, 2*time.Hour).Offset(5 * time.Hour), window.Calendar(window.Day, apia),
	} {
		t.Run(strings.Fields(fmt.Sprint(a))[0], func(t *testing.T) {
			r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
				job := millrace.NewJob("kinds")
				windows := job.From("rides", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(time.Hour)).
					KeyBy(ride.base).Window(a).AllowedLateness(time.Hour)
				windows.Aggregate("sum", floats()).To("out", w.Collect[millrace.Pane[string, float64]]("out"))
				windows.Late().To("late", w.Collect[ride]("late"))
				return job
			}, millracetest.Every(20), millracetest.Kills(8), millracetest.Check(func(w *millracetest.Trial) error {
				late := slices.ContainsFunc(w.Collect[millrace.Pane[string, float64]]("out").Records(), func(p millrace.Pane[string, float64]) bool {
					return p.Kind == window.Late
				})
				if !late {
					return errors.New("no result is late: they show nothing")
				}
				return nil
			}))
			if r.InEpoch < 2 {
				t.Errorf("only %d kills at work", r.InEpoch)
			}
		})
	}
}

// TestWindowJoinOfDates joins the records of both sides on one date of a zone.
func TestWindowJoinOfDates(t *testing.T) {
	job := millrace.NewJob("dates")
	out := memory.NewSink[string]()
	from := func(id string, times ...int64) millrace.Keyed[string, ride] {
		var in []ride
		for _, s := range times {
			in = append(in, ride{Base: id, At: s})
		}
		return job.From(id, memory.Of(in...), millrace.EventTime(ride.time)).KeyBy(func(ride) string { return "k" })
	}
	zone := time.FixedZone("half past five", 5*3600+1800)
	from("left", 66_599, 66_600).WindowJoin(from("right", 0, 66_600, 153_000), window.Calendar(window.Day, zone)).
		Inner("pairs", func(l, r ride) string { return fmt.Sprint(l.At, " and ", r.At) }).To("out", out)
	if err := millrace.Run(t.Context(), job, millrace.Config{Log: quiet()}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.Records(), []string{"66599 and 0", "66600 and 66600"}; !slices.Equal(got, want) {
		t.Errorf("pairs %q, want %q", got, want)
	}
}
