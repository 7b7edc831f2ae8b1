package reference

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// quake is an earthquake, in the order in which its network revised it.
type quake struct {
	Millis    int64    `json:"time"`
	Magnitude *float64 `json:"mag"`
	Network   string   `json:"net"`
}

func (q quake) network() string { return q.Network }
func (q quake) at() time.Time   { return time.UnixMilli(q.Millis).UTC() }

// magnitude is -Inf, less than any, where there is none.
func (q quake) magnitude() float64 {
	if q.Magnitude == nil {
		return math.Inf(-1)
	}
	return *q.Magnitude
}

var quakeInput = input{file: "quakes_week.jsonl.gz", records: 1707, epoch: 100, lateness: 575_377_336 * time.Millisecond}

func quakes(j *millrace.Job, path string, bound time.Duration) millrace.Stream[quake] {
	return j.From("quakes", file.JSONL[quake](path),
		millrace.EventNanosRef(func(q *quake) int64 { return q.Millis * int64(time.Millisecond) }).OutOfOrderness(bound))
}

func lateQuakes(bound time.Duration) func(*millrace.Job, string) outputs {
	return func(j *millrace.Job, path string) outputs {
		return countLate(quakes(j, path, bound), 6*time.Hour, (*quake).at,
			join2(count[quake](), column(agg.CountDistinct(quake.network))))
	}
}

var quakeQueries = []Query{
	{"q1_tumbling_6h_net", &quakeInput, func(j *millrace.Job, path string) outputs {
		return perKey(quakes(j, path, quakeInput.lateness).KeyByRef((*quake).network).Window(window.Tumbling(6*time.Hour)).
			Aggregate("strongest", join2(count[quake](), column(agg.Max(quake.magnitude)))))
	}},
	{"q2_sliding_24h_6h_mag25", &quakeInput, func(j *millrace.Job, path string) outputs {
		return perWindow(quakes(j, path, quakeInput.lateness).
			FilterRef(func(q *quake) bool { return q.magnitude() >= 2.5 }).
			KeyByRef(everything[quake]).
			Window(window.Sliding(24*time.Hour, 6*time.Hour)).
			Aggregate("strength", join2(count[quake](), column(agg.Mean(quake.magnitude)))))
	}},
	{"q3_session_10m", &quakeInput, func(j *millrace.Job, path string) outputs {
		return perWindow(quakes(j, path, quakeInput.lateness).KeyByRef(everything[quake]).Window(window.Session(10*time.Minute)).
			Aggregate("swarms", join2(count[quake](), column(agg.Max(quake.magnitude)))))
	}},
	{"q4_late_drop_6h_bound1h", &quakeInput, lateQuakes(time.Hour)},
	{"q5_late_drop_6h_bound24h", &quakeInput, lateQuakes(24 * time.Hour)},
}
