// Flights reads the departures of real flights, out of order by up to a day, and keeps a few accounts of them that a crash
// cannot falsify: run it, kill it with SIGKILL, run it again.
//
// It stands in the environment where it reads and writes: FLIGHTS_DATA (files of flights, default the three days beside
// this program), FLIGHTS_OUT (directory of the results, default out/flights) and FLIGHTS_PACE (rows per second, to watch it;
// default as fast as it can). Checkpoints are kept in state, see --help.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// Flight is a row of the data. Rows come in the order of actual departure; Scheduled is what the windows go by.
type Flight struct {
	ID          int64     `csv:"id" json:"id"`
	Scheduled   time.Time `csv:"ts_ms,unixms" json:"scheduled"`
	Delay       int64     `csv:"delay_min" json:"delay_min"`
	Distance    int64     `csv:"distance_mi" json:"distance_mi"`
	Origin      string    `csv:"origin" json:"origin"`
	Destination string    `csv:"destination" json:"destination"`
}

// When is the event time.
func (f Flight) When() time.Time { return f.Scheduled }

// From is the airport.
func (f Flight) From() string { return f.Origin }

// Route is the way it goes.
func (f Flight) Route() string { return f.Origin + "-" + f.Destination }

// Minutes of delay; negative when it left early.
func (f Flight) Minutes() int64 { return f.Delay }

// AtHub tells whether it left from one of the five great airports.
func (f Flight) AtHub() bool {
	switch f.Origin {
	case "ATL", "ORD", "DFW", "LAX", "PHX":
		return true
	}
	return false
}

// Departures is what is said about an airport and an hour.
type Departures struct {
	Flights   int64   `csv:"flights"`
	DelaySum  int64   `csv:"delay_sum"`
	DelayMin  int64   `csv:"delay_min"`
	DelayMax  int64   `csv:"delay_max"`
	DelayMean float64 `csv:"delay_mean"`
}

// Traffic is what is said about a hub and a sliding hour.
type Traffic struct {
	Flights  int64 `json:"flights"`
	DelaySum int64 `json:"delay_sum"`
	DelayMax int64 `json:"delay_max"`
}

// Busy is a place in the list of a day's busiest routes.
type Busy struct {
	Day     time.Time `csv:"day,2006-01-02"`
	Place   int       `csv:"place"`
	Route   string    `csv:"route"`
	Flights int64     `csv:"flights"`
}

// Board is what the early board shows.
type Board struct {
	Flights  int64 `json:"flights"`
	DelayMax int64 `json:"delay_max"`
}

// disorder is more than the worst of the month, 27.7 hours: nothing is too late for the accounts.
const disorder = 28 * time.Hour

// patience is how long the board waits. What departs later than that is missing there, and is listed on its own.
const patience = 2 * time.Hour

func build(flights connect.Source[Flight], out string) *millrace.Job {
	job := millrace.NewJob("flights")
	all := job.From("flights", flights, millrace.EventTime(Flight.When).OutOfOrderness(disorder))
	byOrigin := all.KeyBy(Flight.From)

	// Every airport, hour by hour.
	byOrigin.Window(window.Tumbling(time.Hour)).
		Aggregate("hourly", agg.Combine4(agg.Count[Flight](),
			agg.Combine2(agg.Min(Flight.Minutes), agg.Max(Flight.Minutes), func(low, high int64) [2]int64 { return [2]int64{low, high} }),
			agg.Sum(Flight.Minutes), agg.Mean(Flight.Minutes),
			func(n int64, edge [2]int64, sum int64, mean float64) Departures {
				return Departures{Flights: n, DelaySum: sum, DelayMin: edge[0], DelayMax: edge[1], DelayMean: mean}
			})).
		To("hourly-files", file.CSV[millrace.Pane[string, Departures]](filepath.Join(out, "hourly")))

	// The hubs over the last hour, every quarter of an hour.
	all.Filter(Flight.AtHub).KeyBy(Flight.From).Window(window.Sliding(time.Hour, 15*time.Minute)).
		Aggregate("hubs", agg.Combine3(agg.Count[Flight](), agg.Sum(Flight.Minutes), agg.Max(Flight.Minutes),
			func(n, sum, high int64) Traffic { return Traffic{n, sum, high} })).
		To("hubs-files", file.JSONL[millrace.Pane[string, Traffic]](filepath.Join(out, "hubs")))

	// The busiest routes of each day: a count for each route, then the best of the day's counts.
	type route = millrace.Pane[string, int64]
	all.KeyBy(Flight.Route).Window(window.Tumbling(24*time.Hour)).Aggregate("routes", agg.Count[Flight]()).
		KeyBy(func(p route) time.Time { return p.Start }).Window(window.Tumbling(24*time.Hour)).
		Aggregate("busiest", agg.TopN(5, busier)).
		FlatMap(func(_ *millrace.Context, p millrace.Pane[time.Time, []route], emit func(Busy)) error {
			for i, r := range p.Value {
				emit(Busy{Day: p.Start, Place: i + 1, Route: r.Key, Flights: r.Value})
			}
			return nil
		}).
		To("routes-files", file.CSV[Busy](filepath.Join(out, "routes")))

	// A board that does not wait so long reads the same flights with less patience.
	board := job.From("board", flights, millrace.EventTime(Flight.When).OutOfOrderness(patience)).
		Filter(Flight.AtHub).KeyBy(Flight.From).Window(window.Tumbling(time.Hour))
	board.Aggregate("board-hours", agg.Combine2(agg.Count[Flight](), agg.Max(Flight.Minutes),
		func(n, high int64) Board { return Board{n, high} })).
		To("board-files", file.JSONL[millrace.Pane[string, Board]](filepath.Join(out, "board")))
	board.Late().To("late-files", file.JSONL[Flight](filepath.Join(out, "late")))
	return job
}

// busier orders routes by flights; of equally busy ones the first in the alphabet is greater.
func busier(a, b millrace.Pane[string, int64]) int {
	if a.Value != b.Value {
		return int(a.Value - b.Value)
	}
	return strings.Compare(b.Key, a.Key)
}

func main() {
	var flights connect.Source[Flight] = file.CSV[Flight](setting("FLIGHTS_DATA", "examples/flights/data/*.csv.gz"))
	if pace := os.Getenv("FLIGHTS_PACE"); pace != "" {
		n, err := strconv.Atoi(pace)
		if err != nil || n <= 0 {
			fmt.Fprintf(os.Stderr, "error: FLIGHTS_PACE is %q: it must be a number of rows per second, above 0\n", pace)
			os.Exit(1)
		}
		flights = paced{flights, n}
	}
	millrace.Main(build(flights, setting("FLIGHTS_OUT", "out/flights")), millrace.Config{
		Checkpoint: millrace.CheckpointConfig{Dir: "checkpoints", Interval: 200 * time.Millisecond},
	})
}

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
