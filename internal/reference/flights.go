package reference

import (
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

type flight struct {
	ID          int64     `csv:"id"`
	Departure   time.Time `csv:"ts_ms,unixms"`
	Delay       int64     `csv:"delay_min"`
	Distance    int64     `csv:"distance_mi"`
	Origin      string    `csv:"origin"`
	Destination string    `csv:"destination"`
}

func (f flight) delay() int64        { return f.Delay }
func (f flight) distance() int64     { return f.Distance }
func (f flight) origin() string      { return f.Origin }
func (f flight) destination() string { return f.Destination }
func (f flight) route() string       { return f.Origin + "-" + f.Destination }
func (f flight) at() time.Time       { return f.Departure }

var flightInput = input{file: "flights_2001_01.csv.gz", records: 508239, epoch: 20000, lateness: 99_780_000 * time.Millisecond}

func flights(j *millrace.Job, path string, bound time.Duration) millrace.Stream[flight] {
	return j.From("flights", file.CSV[flight](path),
		millrace.EventNanosRef(func(f *flight) int64 { return f.Departure.UnixNano() }).OutOfOrderness(bound))
}

func perOrigin(j *millrace.Job, path string) millrace.Keyed[string, flight] {
	return flights(j, path, flightInput.lateness).KeyByRef((*flight).origin)
}

// hubs are the airports of the sliding window.
var hubs = map[string]bool{"ATL": true, "ORD": true, "DFW": true, "LAX": true, "PHX": true}

// islands are the airports of the join.
var islands = map[string]bool{"HNL": true, "ANC": true, "SJU": true, "OGG": true}

var flightQueries = []Query{
	{"f1_tumbling_1h_origin", &flightInput, func(j *millrace.Job, path string) outputs {
		return perKey(perOrigin(j, path).Window(window.Tumbling(time.Hour)).Aggregate("delays", join2(
			join4(count[flight](), column(agg.Sum(flight.delay)), column(agg.Min(flight.delay)), column(agg.Max(flight.delay))),
			column(agg.Mean(flight.delay)))))
	}},
	{"f2_sliding_60m_15m_hubs", &flightInput, func(j *millrace.Job, path string) outputs {
		return perKey(flights(j, path, flightInput.lateness).
			FilterRef(func(f *flight) bool { return hubs[f.Origin] }).
			KeyByRef((*flight).origin).
			Window(window.Sliding(time.Hour, 15*time.Minute)).
			Aggregate("delays", join3(count[flight](), column(agg.Sum(flight.delay)), column(agg.Max(flight.delay)))))
	}},
	{"f3_session_60m_origin", &flightInput, func(j *millrace.Job, path string) outputs {
		return perKey(perOrigin(j, path).Window(window.Session(time.Hour)).
			Aggregate("bursts", join3(count[flight](), column(agg.Sum(flight.distance)), column(agg.Max(flight.delay)))))
	}},
	{"f4_top5_routes_1d", &flightInput, func(j *millrace.Job, path string) outputs {
		day := 24 * time.Hour
		return ranked(flights(j, path, flightInput.lateness).KeyByRef((*flight).route).
			Window(window.Tumbling(day)).Aggregate("per-route", agg.Count[flight]()), 5, day)
	}},
	{"f5_distinct_dest_1d_origin", &flightInput, func(j *millrace.Job, path string) outputs {
		return perKey(perOrigin(j, path).Window(window.Tumbling(24*time.Hour)).
			Aggregate("destinations", join2(column(agg.CountDistinct(flight.destination)), count[flight]())))
	}},
	{"f6_interval_join_return_leg", &flightInput, func(j *millrace.Job, path string) outputs {
		// The return leg leaves 60 to 90 minutes after the way out, from where that goes to and back.
		all := flights(j, path, flightInput.lateness)
		out := all.FilterRef(func(f *flight) bool { return islands[f.Origin] }).KeyByRef(func(f *flight) [2]string {
			return [2]string{f.Origin, f.Destination}
		})
		back := all.KeyByRef(func(f *flight) [2]string { return [2]string{f.Destination, f.Origin} })
		return outputs{rows: out.IntervalJoin(back, time.Hour, 90*time.Minute).Inner("return", func(out, back flight) Row {
			return Row{show(out.ID), show(back.ID), millis(out.Departure), millis(back.Departure)}
		})}
	}},
	{"f7_late_drop_1h_bound30m", &flightInput, func(j *millrace.Job, path string) outputs {
		return countLate(flights(j, path, 30*time.Minute), time.Hour, (*flight).at,
			join2(count[flight](), column(agg.Sum(flight.delay))))
	}},
}
