package reference

import (
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// sample is a value of one of 23 series. They begin in different years; each is a split with a watermark of its own.
type sample struct {
	Series string    `csv:"series"`
	Time   time.Time `csv:"timestamp,2006-01-02 15:04:05"`
	Value  float64   `csv:"value"`
}

func (s sample) series() string { return s.Series }
func (s sample) value() float64 { return s.Value }
func (s sample) whole() int64   { return int64(s.Value) }

// nabInput is in order within each series.
var nabInput = input{file: "nab_tweets_traffic_ads.csv.gz", records: 183905, epoch: 5000}

func samples(j *millrace.Job, path string) millrace.Stream[sample] {
	return j.From("samples", file.CSV[sample](path), millrace.EventTime(func(s sample) time.Time { return s.Time }))
}

func ofSeries(prefix string) func(*sample) bool {
	return func(s *sample) bool { return strings.HasPrefix(s.Series, prefix) }
}

var nabQueries = []Query{
	{"n1_tumbling_1h_series", &nabInput, func(j *millrace.Job, path string) outputs {
		return perKey(samples(j, path).KeyByRef((*sample).series).Window(window.Tumbling(time.Hour)).Aggregate("hourly", join2(
			join4(count[sample](), column(agg.Sum(sample.value)), column(agg.Min(sample.value)), column(agg.Max(sample.value))),
			column(agg.Mean(sample.value)))))
	}},
	{"n2_sliding_4h_1h_series", &nabInput, func(j *millrace.Job, path string) outputs {
		return perKey(samples(j, path).FilterRef(ofSeries("realT")).KeyByRef((*sample).series).
			Window(window.Sliding(4*time.Hour, time.Hour)).
			Aggregate("level", join3(count[sample](), column(agg.Max(sample.value)), column(agg.Mean(sample.value)))))
	}},
	{"n3_session_gap7m_series", &nabInput, func(j *millrace.Job, path string) outputs {
		return perKey(samples(j, path).KeyByRef((*sample).series).Window(window.Session(7*time.Minute)).
			Aggregate("runs", join2(count[sample](), column(agg.Max(sample.value)))))
	}},
	{"n4_top3_series_1d", &nabInput, func(j *millrace.Job, path string) outputs {
		day := 24 * time.Hour
		return ranked(samples(j, path).FilterRef(ofSeries("realTweets")).KeyByRef((*sample).series).Window(window.Tumbling(day)).
			Aggregate("mentions", agg.Sum(sample.whole)), 3, day)
	}},
}
