package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// TestMistakesOfTimingsAreNamed compares all that Validate says of each.
func TestMistakesOfTimingsAreNamed(t *testing.T) {
	byTime := millrace.EventTime(ride.time)
	mark := func(r ride) (time.Time, bool) { return r.time(), true }
	own := func(_ *int64, r ride, _ time.Time) (time.Time, bool) { return r.time(), true }
	for _, c := range []struct {
		name   string
		timing millrace.SourceOption[ride]
		want   string
	}{
		{"nil function", millrace.TryEventTime[ride](nil), "TryEventTime: the function is nil"},
		{"nil punctuation", byTime.Punctuated(nil), "Punctuated: the function is nil"},
		{"nil generator", byTime.Watermarks[int64](nil), "Watermarks: the function is nil"},
		{
			"state that cannot be kept", byTime.Watermarks(func(*func(), ride, time.Time) (t time.Time, ok bool) { return }),
			"Watermarks: the state cannot be kept in checkpoints: codec: field func(): func() has no stable encoding; leave it out of the state, " +
				"or give the type around it AppendState and DecodeState",
		},
		{"two ways", byTime.OutOfOrderness(time.Second).Punctuated(mark), "OutOfOrderness and Punctuated: watermarks are made in one way"},
		{"two other ways", byTime.Watermarks(own).Monotonic(), "Watermarks and Monotonic: watermarks are made in one way"},
		{"too much disorder", byTime.OutOfOrderness(math.MaxInt64), "OutOfOrderness is 2562047h47m16.854775807s: it is too long"},
		{"negative guard", byTime.MaxAhead(-1), "MaxAhead is -1ns: it must not be negative"},
		{"drop without guard", byTime.DropAhead(), "DropAhead before MaxAhead: nothing says what is too far ahead"},
		{"negative alignment", byTime.AlignWithin(-1), "AlignWithin is -1ns: it must not be negative"},
		{"group without alignment", byTime.AlignGroup("g"), "AlignGroup before AlignWithin: nothing says how far ahead a split may be"},
		{"group without name", byTime.AlignWithin(1).AlignGroup(""), "AlignGroup: the name is empty"},
		{
			"several", byTime.IdleAfter(-1).AlignGroup("g").OutOfOrderness(-1),
			"AlignGroup before AlignWithin: nothing says how far ahead a split may be\n\tIdleAfter is -1ns: it must not be negative\n\t" +
				"OutOfOrderness is -1ns: it must not be negative",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("job")
			job.From("in", memory.Of[ride](), c.timing).To("out", memory.NewSink[ride]())
			if got := timingMistakes(job, "in"); got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
	assign := func(timing millrace.Timing[ride]) *millrace.Job {
		job := millrace.NewJob("job")
		job.From("in", memory.Of[ride]()).AssignTime("time", timing).To("out", memory.NewSink[ride]())
		return job
	}
	for want, timing := range map[string]millrace.Timing[ride]{
		"AssignTime: the Timing has no EventTime": {},
		"AssignTime: AlignWithin is for sources: only they can wait\n\tAssignTime: IdleAfter is for sources: a stream is idle when its sources are": byTime.IdleAfter(1).AlignWithin(1),
		"EventTime: the function is nil":            millrace.EventTime[ride](nil),
		"MaxAhead is -1ns: it must not be negative": byTime.MaxAhead(-1),
	} {
		if got := timingMistakes(assign(timing), "time"); got != want {
			t.Errorf("AssignTime: got\n\t%s\nwant\n\t%s", got, want)
		}
	}
	job := millrace.NewJob("job")
	job.From("in", memory.Of[ride](), byTime.MaxAhead(1)).Ahead().To("out", memory.NewSink[ride]())
	if got, want := timingMistakes(job, "in"), "Ahead: nothing is left out here: it is for the stream of a source, or of an AssignTime, with DropAhead"; got != want {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
}

// timingMistakes returns what Validate says, without the places, which all are of the operator.
func timingMistakes(job *millrace.Job, operator string) string {
	_, got, _ := strings.Cut(normal(job.Validate(), ""), ":\n\t")
	return strings.ReplaceAll(got, fmt.Sprintf("JOB:LINE: operator %q: ", operator), "")
}

// TestBadTimesFailWithThePlaceOfTheRecord: whatever gives a record no usable time or watermark, the job says which record it was.
func TestBadTimesFailWithThePlaceOfTheRecord(t *testing.T) {
	unreadable := errors.New("no time in here")
	in := []ride{{At: 1}, {At: 2}, {At: 3, Base: "bad"}, {At: 4}}
	far := func(r ride) time.Time {
		if r.Base == "bad" {
			return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		return r.time()
	}
	marked := func(r ride) (time.Time, bool) { return far(r), true }
	const tooFar = "9999-01-01 00:00:00 +0000 UTC: time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right"
	for name, c := range map[string]struct {
		timing millrace.Timing[ride]
		cause  error
		want   string
	}{
		"out of range":          {millrace.EventTime(far), millrace.ErrTimeRange, "event time: " + tooFar},
		"punctuated":            {millrace.EventTime(ride.time).Punctuated(marked), millrace.ErrTimeRange, "watermark: " + tooFar},
		"out of range, by try":  {millrace.TryEventTime(func(r ride) (time.Time, error) { return far(r), nil }), millrace.ErrTimeRange, "event time: " + tooFar},
		"error of the function": {millrace.TryEventTime(failing(unreadable)), unreadable, "event time: no time in here"},
		"own watermarks": {
			millrace.EventTime(ride.time).Watermarks(func(_ *struct{}, r ride, _ time.Time) (time.Time, bool) { return marked(r) }),
			millrace.ErrTimeRange, "watermark: " + tooFar,
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := millrace.NewJob("job")
			out := memory.NewSink[ride]()
			job.From("in", memory.Of(in...), c.timing).To("out", out)
			err := millrace.Run(context.Background(), job, millrace.Config{Log: quiet()})
			want := `millrace: job job: operator "in" (subtask 0, made at JOB:LINE): slice-000000[2]: ` + c.want
			if normal(err, "") != want || !errors.Is(err, c.cause) {
				t.Errorf("got\n\t%s\nwant\n\t%s", normal(err, ""), want)
			}
			if n := len(out.Records()); n > 0 {
				t.Errorf("%d records have come through", n)
			}

			job = millrace.NewJob("job")
			job.From("in", memory.Of(in...)).AssignTime("time", c.timing).To("out", out)
			err = millrace.Run(context.Background(), job, millrace.Config{Log: quiet()})
			if want := "record 2 of its batch: " + c.want; !strings.Contains(normal(err, ""), want) || !errors.Is(err, c.cause) {
				t.Errorf("AssignTime: got\n\t%s\nwant\n\t%s", normal(err, ""), want)
			}
		})
	}
}

func failing(err error) func(ride) (time.Time, error) {
	return func(r ride) (time.Time, error) {
		if r.Base == "bad" {
			return time.Time{}, err
		}
		return r.time(), nil
	}
}

// TestF32TimesAtTheirLimits: times before 1970, at the ends of the range and beyond. Windows have the floor of negative times; what is out
// of range fails with its place and has moved nothing; the bound keeps one record of the future from making others late only as far as it
// reaches, and MaxAhead does it altogether.
func TestF32TimesAtTheirLimits(t *testing.T) {
	first, last := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2261, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	for _, c := range []struct {
		name  string
		at    time.Time
		start time.Time // of its window of 10 s; zero when it is out of range
	}{
		{"0", time.Unix(0, 0), time.Unix(0, 0)},
		{"a nanosecond before 1970", time.Unix(0, -1), time.Unix(-10, 0)},
		{"the start of a window before 1970", time.Unix(-20, 0), time.Unix(-20, 0)},
		{"before it", time.Unix(-20, -1), time.Unix(-30, 0)},
		{"the first", first, first},
		{"before the first", first.Add(-1), time.Time{}},
		{"the last", last, last.Truncate(10 * time.Second)},
		{"after the last", last.Add(1), time.Time{}},
		{"the smallest in ns", time.Unix(0, math.MinInt64), time.Time{}},
		{"the largest in ns", time.Unix(0, math.MaxInt64), time.Time{}},
		{"the largest in s", time.Unix(math.MaxInt64, 0), time.Time{}},
		{"year 1", time.Time{}, time.Time{}},
		{"year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Time{}},
		{"milliseconds taken for seconds", time.Unix(1_700_000_000_000, 0), time.Time{}},
		{"seconds taken for milliseconds", time.UnixMilli(1_700_000_000), time.Unix(1_700_000, 0)},
	} {
		out := memory.NewSink[millrace.Pane[string, int64]]()
		job := millrace.NewJob("limits")
		job.From("in", memory.Of(c.at), millrace.EventTime(func(t time.Time) time.Time { return t }).OutOfOrderness(time.Hour)).
			KeyBy(func(time.Time) string { return "k" }).Window(window.Tumbling(10*time.Second)).
			Aggregate("n", agg.Count[time.Time]()).To("out", out)
		err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: quiet()})
		got := out.Records()
		switch {
		case c.start.IsZero():
			if !errors.Is(err, millrace.ErrTimeRange) || !strings.Contains(err.Error(), "slice-000000[0]") || len(got) > 0 {
				t.Errorf("%s: error %v and panes %v", c.name, err, got)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case len(got) != 1 || !got[0].Start.Equal(c.start) || got[0].End.Sub(got[0].Start) != 10*time.Second:
			t.Errorf("%s: panes %v, want one from %v", c.name, got, c.start.UTC())
		}
	}

	// One record of the year 2200 among others.
	in := []ride{{At: 1000}, {At: 1010}, {At: 7258118400, Base: "future"}, {At: 1020}, {At: 1030}}
	lateAfter := func(timing millrace.Timing[ride]) (late, ahead []ride) {
		out, lateOut, aheadOut := counts(), memory.NewSink[ride](), memory.NewSink[ride]()
		job := millrace.NewJob("future")
		s := job.From("in", memory.Of(in...), timing)
		w := s.KeyBy(ride.base).Window(window.Tumbling(10 * time.Second))
		w.Aggregate("n", count()).To("out", out)
		w.Late().To("late", lateOut)
		s.Ahead().To("ahead", aheadOut)
		if err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: quiet()}); err != nil {
			t.Fatal(err)
		}
		if n := len(out.Records()) + len(lateOut.Records()) + len(aheadOut.Records()); n != len(in) {
			t.Errorf("%d records are accounted for, of %d", n, len(in))
		}
		return lateOut.Records(), aheadOut.Records()
	}
	timing := millrace.EventTime(ride.time)
	if late, ahead := lateAfter(timing.MaxAhead(200 * 365 * 24 * time.Hour).DropAhead()); !slices.Equal(late, in[3:]) || len(ahead) > 0 {
		t.Errorf("without a guard that reaches so far, late are %v and ahead %v: want all behind it to be late", late, ahead)
	}
	if late, ahead := lateAfter(timing.MaxAhead(time.Hour).DropAhead()); len(late) > 0 || !slices.Equal(ahead, in[2:3]) {
		t.Errorf("with a guard late are %v and ahead %v", late, ahead)
	}
}
