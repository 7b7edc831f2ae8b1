package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// shown writes a pane with its times as seconds.
func shown[K comparable, R any](p millrace.Pane[K, R]) string {
	s := fmt.Sprintf("%v [%d,%d) last %d: %v #%d %v", p.Key, p.Start.Unix(), p.End.Unix(), p.Last().Unix(), p.Value, p.Revision, p.Kind)
	if p.Replaces != "" {
		s += " replaces " + spans(p.Replaces)
	}
	return s
}

// spans writes spans with their times as seconds.
func spans(s window.Spans) string {
	list, err := s.List()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, x := range list {
		fmt.Fprintf(&b, "[%d,%d)", x.Start/1e9, x.End/1e9)
	}
	return b.String()
}

func sec(n int64) time.Time { return time.Unix(n, 0) }

// scripted is a stream of rides and watermarks.
func scripted(job *millrace.Job, s millracetest.Scripted[ride]) millrace.Stream[ride] {
	return job.From("in", s, millrace.EventTime(ride.time))
}

func number(r ride) int64 { return r.N }

// TestSessionsThatALateRecordJoinsAreNamed: what replaces sessions that have been shown says which.
func TestSessionsThatALateRecordJoinsAreNamed(t *testing.T) {
	script := millracetest.Script[ride]().
		Records(ride{"a", 100, 1}, ride{"a", 120, 2}, ride{"b", 100, 4}).
		Watermark(sec(135)). // shows [100,110), [120,130) of a and [100,110) of b
		Records(
			ride{"a", 110, 8},  // joins both, over all of which the clock has gone
			ride{"a", 105, 16}, // changes no bounds: another revision
			ride{"b", 110, 32}, // makes [100,110) longer, to an end that has passed
			ride{"a", 133, 64}, // alone: it does not touch [100,130)
			ride{"a", 130, 7},  // joins these two, and they are open again
		).
		Watermark(sec(300)).
		Records(ride{"a", 150, 1}, ride{"a", 290, 1})
	job := millrace.NewJob("sessions")
	w := scripted(job, script).KeyBy(ride.base).Window(window.Session(10 * time.Second)).AllowedLateness(60 * time.Second)
	out := millracetest.Collect[string]()
	w.Aggregate("sum", agg.Sum(number)).Map(shown[string, int64]).To("out", out)
	missed := millracetest.Collect[string]()
	millrace.Missed(w).Map(func(m window.Missed[string, ride]) string {
		return fmt.Sprint(m.Key, " ", m.Record.At, " missed ", spans(m.Windows))
	}).To("missed", missed)
	millracetest.Run(t, job)
	millracetest.Equal(t, out.Records(), []string{
		"a [100,110) last 100: 1 #0 on-time",
		"b [100,110) last 100: 4 #0 on-time",
		"a [120,130) last 120: 2 #0 on-time",
		"a [100,130) last 120: 11 #1 late replaces [100,110)[120,130)",
		"a [100,130) last 120: 27 #2 late",
		"b [100,120) last 110: 36 #1 late replaces [100,110)",
		"a [100,143) last 133: 98 #3 on-time replaces [100,130)",
		"a [290,300) last 290: 1 #0 late",
	})
	millracetest.Equal(t, missed.Records(), []string{"a 150 missed [150,160)"})
}

// call is an event of a telephone call, with the seconds that it keeps the call open.
type call struct {
	Line string
	At   int64
	Open int64
}

func (c call) time() time.Time     { return time.Unix(c.At, 0) }
func (c call) line() string        { return c.Line }
func (c call) open() time.Duration { return time.Duration(c.Open) * time.Second }

// times writes when calls were.
func times(calls []call) string {
	var b strings.Builder
	for i, c := range calls {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, c.At)
	}
	return b.String()
}

// TestEachRecordKeepsItsSessionOpenAsLongAsItSays: the gap may come from an earlier record than the last, a record may join from before, and
// one that comes exactly when its session runs out joins it.
func TestEachRecordKeepsItsSessionOpenAsLongAsItSays(t *testing.T) {
	calls := []call{
		{"a", 100, 50}, {"a", 110, 5}, // open until 150 because of the first
		{"a", 150, 1},                 // touches
		{"b", 100, 10}, {"b", 111, 1}, // does not
		{"c", 120, 5}, {"c", 100, 20}, // from before, out of order
		{"c", 126, 3}, // a second after the end
	}
	job := millrace.NewJob("calls")
	out := millracetest.Collect[string]()
	job.From("calls", memory.Of(calls...), millrace.EventTime(call.time).OutOfOrderness(time.Minute)).
		KeyBy(call.line).
		Window(window.SessionBy(call.open)).
		Apply("per-line", func(p millrace.Pane[string, []call], emit func(string)) error {
			emit(shown(millrace.Pane[string, string]{
				Key: p.Key, Start: p.Start, End: p.End, Value: times(p.Value), Revision: p.Revision, Kind: p.Kind, Gap: p.Gap,
			}))
			return nil
		}).
		To("out", out)
	millracetest.Run(t, job)
	millracetest.Equal(t, out.Records(), []string{
		"b [100,110) last 100: 100 #0 on-time",
		"b [111,112) last 111: 111 #0 on-time",
		"c [100,125) last 120: 120 100 #0 on-time",
		"c [126,129) last 126: 126 #0 on-time",
		"a [100,151) last 150: 100 110 150 #0 on-time",
	})
}

func TestARecordWithoutAGapFailsTheJob(t *testing.T) {
	for gap, want := range map[int64]string{
		0:  "record with event time 1970-01-01T00:00:07Z: the gap that SessionBy was given for this record is 0s: it must be greater than 0",
		-3: "record with event time 1970-01-01T00:00:07Z: the gap that SessionBy was given for this record is -3s: it must be greater than 0",
	} {
		job := millrace.NewJob("calls")
		job.From("calls", memory.Of(call{"a", 7, gap}), millrace.EventTime(call.time)).KeyBy(call.line).Window(window.SessionBy(call.open)).
			Aggregate("n", agg.Count[call]()).To("out", millracetest.Collect[millrace.Pane[string, int64]]())
		err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: quiet()})
		if err == nil || !strings.Contains(normal(err, ""), want) || !strings.Contains(normal(err, ""), `operator "n"`) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestMissedNamesTheWindowsOfEachLateRecord: with sliding windows a record can be late for some and in time for others; it is in the results
// of those, and Late has only the records that are late for all.
func TestMissedNamesTheWindowsOfEachLateRecord(t *testing.T) {
	script := millracetest.Script[ride]().
		Records(ride{"a", 100, 1}).Watermark(sec(115)). // [90,110), [80,100) are past
		Records(ride{"a", 104, 2}, ride{"a", 91, 4}, ride{"b", 112, 8}, ride{"b", 95, 16}).
		Watermark(sec(125)).
		Records(ride{"b", 112, 32})
	job := millrace.NewJob("missed")
	w := scripted(job, script).KeyBy(ride.base).Window(window.Sliding(20*time.Second, 10*time.Second))
	out, late, missed := millracetest.Collect[string](), millracetest.Collect[ride](), millracetest.Collect[string]()
	w.Aggregate("sum", agg.Sum(number)).Map(shown[string, int64]).To("out", out)
	w.Late().To("late", late)
	millrace.Missed(w).Map(func(m window.Missed[string, ride]) string {
		return fmt.Sprint(m.Key, " ", m.Record.At, " missed ", spans(m.Windows))
	}).To("missed", missed)
	status := millracetest.Run(t, job)
	millracetest.Equal(t, out.Records(), []string{
		"a [90,110) last 110: 1 #0 on-time",
		"a [100,120) last 120: 3 #0 on-time",
		"b [100,120) last 120: 8 #0 on-time",
		"b [110,130) last 130: 40 #0 on-time",
	})
	millracetest.Equal(t, late.Records(), []ride{{"a", 91, 4}, {"b", 95, 16}})
	millracetest.Equal(t, missed.Records(), []string{
		"a 104 missed [90,110)", "a 91 missed [80,100)[90,110)", "b 95 missed [80,100)[90,110)", "b 112 missed [100,120)",
	})
	if status.Late != 2 || status.LateWindows != 6 {
		t.Errorf("%d records missed all of their windows, %d windows were missed; want 2 and 6", status.Late, status.LateWindows)
	}
}

// TestApplyGetsTheRecordsInOrderOfArrival over sliding windows, whose state is in slices: across them, too.
func TestApplyGetsTheRecordsInOrderOfArrival(t *testing.T) {
	script := millracetest.Script[ride]().
		Records(ride{"a", 115, 1}, ride{"a", 105, 2}, ride{"a", 112, 3}, ride{"a", 101, 4}).
		Watermark(sec(120)).
		Records(ride{"a", 103, 5}, ride{"a", 111, 6}).
		Watermark(sec(200))
	job := millrace.NewJob("apply")
	out := millracetest.Collect[string]()
	scripted(job, script).KeyBy(ride.base).Window(window.Sliding(20*time.Second, 10*time.Second)).AllowedLateness(10*time.Second).
		Apply("all", func(p millrace.Pane[string, []ride], emit func(string)) error {
			var b strings.Builder
			for i, r := range p.Value {
				fmt.Fprint(&b, r.N, " ")
				p.Value[i].N = -1 // the slice is the function's own
			}
			if len(p.Value) > 2 {
				emit(fmt.Sprintf("[%d,%d) #%d %v: %s", p.Start.Unix(), p.End.Unix(), p.Revision, p.Kind, b.String()))
			}
			return nil
		}).
		To("out", out)
	millracetest.Run(t, job)
	millracetest.Equal(t, out.Records(), []string{
		"[100,120) #0 on-time: 1 2 3 4 ",
		"[100,120) #1 late: 1 2 3 4 5 ",
		"[100,120) #2 late: 1 2 3 4 5 6 ",
		"[110,130) #0 on-time: 1 3 6 ",
	})
}

func TestAnErrorOfApplyNamesTheWindow(t *testing.T) {
	job := millrace.NewJob("apply")
	job.From("in", memory.Of(ride{"a", 5, 1}), millrace.EventTime(ride.time)).KeyBy(ride.base).Window(window.Tumbling(time.Minute)).
		Apply("all", func(millrace.Pane[string, []ride], func(int)) error { return errors.New("no answer") }).
		To("out", millracetest.Collect[int]())
	err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: quiet()})
	want := `operator "flatmap-1" (subtask 0, made at JOB:LINE): record with event time 1970-01-01T00:00:59.999999999Z: ` +
		`window [1970-01-01T00:00:00Z, 1970-01-01T00:01:00Z) of key a: no answer`
	if err == nil || !strings.Contains(normal(err, ""), want) {
		t.Errorf("got  %v\nwant %s", normal(err, ""), want)
	}
}

// hotRides are rides of a few bases, most of them of one, out of order by up to 20 seconds.
func hotRides(n int) []ride {
	var in []ride
	for i := range n {
		base := "hot"
		if i%4 == 0 {
			base = fmt.Sprint("b", i%7)
		}
		in = append(in, ride{base, int64(1000 + i/3 - i*7919%20), int64(i)})
	}
	return in
}

// TestWindowsSurviveKills runs all of this page in one job, killed and restored at other parallelisms.
func TestWindowsSurviveKills(t *testing.T) {
	aggregated := int64(0)
	report := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("windows")
		in := job.From("in", memory.Of(hotRides(1500)...), millrace.EventTime(ride.time).OutOfOrderness(8*time.Second))
		keyed := in.KeyBy(ride.base)
		sliding := keyed.Window(window.Sliding(30*time.Second, 10*time.Second)).AllowedLateness(5 * time.Second)
		sliding.Aggregate("sums", agg.Sum(number)).Map(shown[string, int64]).To("sums-out", w.Collect[string]("sums"))
		millrace.Missed(sliding).To("missed-out", w.Collect[window.Missed[string, ride]]("missed"))
		keyed.Window(window.Sliding(20*time.Second, 10*time.Second)).
			Apply("lists", func(p millrace.Pane[string, []ride], emit func(string)) error {
				emit(fmt.Sprint(p.Key, p.Start.Unix(), p.Value))
				return nil
			}).To("lists-out", w.Collect[string]("lists"))
		sessions := keyed.Window(window.SessionBy(func(r ride) time.Duration { return time.Duration(1+r.N%3) * time.Second })).
			AllowedLateness(20 * time.Second)
		sessions.Aggregate("sessions", agg.Count[ride]()).Map(shown[string, int64]).To("sessions-out", w.Collect[string]("sessions"))
		in.WindowAll(window.Tumbling(10*time.Second)).Aggregate("all", agg.Count[ride]()).Map(shown[window.All, int64]).
			To("all-out", w.Collect[string]("all"))
		return job
	}, millracetest.Configure(func(c *millrace.Config) {
		c.Observe = func(s millrace.Status) {
			for _, o := range s.Operators {
				aggregated += o.PreAggregated
			}
		}
	}), millracetest.Kills(8))
	if aggregated == 0 || report.Results < 500 {
		t.Errorf("%d records were aggregated before the exchange, %d results: that tests little", aggregated, report.Results)
	}
}

// TestPreAggregateIsCountedAndCanBeTurnedOff looks at the ledger of the windows.
func TestPreAggregateIsCountedAndCanBeTurnedOff(t *testing.T) {
	mean := agg.Mean(func(r ride) float64 { return float64(r.N) / 7 })
	for _, c := range []struct {
		name  string
		build func(w millrace.Windowed[string, ride]) millrace.Stream[string]
		want  bool
	}{
		{"by itself", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.Aggregate("n", count()).Map(shown[string, int64])
		}, true},
		{"forbidden", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.PreAggregate(false).Aggregate("n", count()).Map(shown[string, int64])
		}, false},
		{"of floats", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.Aggregate("n", mean).Map(shown[string, float64])
		}, false},
		{"of floats, wanted", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.PreAggregate(true).Aggregate("n", mean).Map(shown[string, float64])
		}, true},
		{"without merge", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.Aggregate("n", noMerge()).Map(shown[string, int64])
		}, false},
		{"of lists", func(w millrace.Windowed[string, ride]) millrace.Stream[string] {
			return w.Apply("n", func(p millrace.Pane[string, []ride], emit func(string)) error { emit(p.Key); return nil })
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("hot")
			c.build(job.From("in", memory.Of(hotRides(2000)...), millrace.EventTime(ride.time).OutOfOrderness(time.Minute)).
				KeyBy(ride.base).Window(window.Tumbling(time.Minute))).To("out", millracetest.Collect[string]())
			status := millracetest.Run(t, job, millracetest.Parallelism(2))
			for _, o := range status.Operators {
				if o.ID != "n" {
					continue
				}
				if o.In != 2000 || o.PreAggregated > 0 != c.want {
					t.Errorf("the windows took %d records, %d of them aggregated", o.In, o.PreAggregated)
				}
			}
		})
	}
}

// TestMistakesOfWindowsAreNamed makes one mistake in each job.
func TestMistakesOfWindowsAreNamed(t *testing.T) {
	minute := window.Tumbling(time.Minute)
	for _, c := range []struct {
		name  string
		build func(in millrace.Stream[ride])
		want  string
	}{
		{"sessions by records of another type", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(window.SessionBy(call.open)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window.SessionByWindows[github.com/millrace-stream/millrace_test.call] is made for records of another type than those of the stream, millrace_test.ride`},
		{"sessions by no function", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(window.SessionBy[ride](nil)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: SessionBy: the function that returns the gap of a record is nil`},
		{"a window join by sessions of one side", func(in millrace.Stream[ride]) {
			k := in.KeyBy(ride.base)
			k.WindowJoin(k, window.SessionBy(func(ride) time.Duration { return 1 })).
				Inner("j", func(l, _ ride) ride { return l }).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "j": a window join takes no SessionBy, whose function knows one of the two types of records only: take Session`},
		{"apply nothing", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(minute).Apply[ride]("n", nil).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "flatmap-1": the function is nil`},
		{"missed before aggregate", func(in millrace.Stream[ride]) {
			w := in.KeyBy(ride.base).Window(minute)
			millrace.Missed(w).To("missed", memory.NewSink[window.Missed[string, ride]]())
			w.Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "late-1": Missed before Aggregate: nothing has put records into these windows yet`},
		{"windows of all without event time", func(in millrace.Stream[ride]) {
			in.To("rides", memory.NewSink[ride]())
			all := in.Union(in.Filter(func(ride) bool { return true })).WindowAll(window.Tumbling(0))
			all.Aggregate("n", count()).To("out", memory.NewSink[millrace.Pane[window.All, int64]]())
		}, `JOB:LINE: operator "n": window: Tumbling(0s): size is 0s, it must be greater than 0`},
		{"aggregation of sessions before the exchange", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(window.Session(1)).PreAggregate(true).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": PreAggregate(true): sessions are not known before the exchange, so nothing can be aggregated there`},
		{"aggregation before the exchange that cannot be merged", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(minute).PreAggregate(true).Aggregate("n", noMerge()).To("out", counts())
		}, `JOB:LINE: operator "n": PreAggregate(true): this aggregator has no Merge to combine what was aggregated before the exchange`},
		{"lists before the exchange", func(in millrace.Stream[ride]) {
			in.KeyBy(ride.base).Window(minute).PreAggregate(true).Apply("n", func(millrace.Pane[string, []ride], func(int)) error { return nil }).
				To("out", memory.NewSink[int]())
		}, `JOB:LINE: operator "n": PreAggregate(true): Apply keeps all records, so nothing can be aggregated before the exchange`},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("job")
			c.build(rides(job))
			_, got, _ := strings.Cut(normal(job.Validate(), ""), ":\n\t")
			if got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
	job := millrace.NewJob("job")
	job.From("in", memory.Of[withFunc](), millrace.EventTime(func(withFunc) time.Time { return time.Time{} })).
		WindowAll(minute).Apply("n", func(millrace.Pane[window.All, []withFunc], func(int)) error { return nil }).To("out", memory.NewSink[int]())
	want := `JOB:LINE: operator "n": Apply keeps records: codec: field withFunc.F: func() has no stable encoding`
	if got := normal(job.Validate(), ""); !strings.Contains(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
}

// TestPanesOfSessionsCanBeWrittenAndRead as CSV and JSON, with what they replace.
func TestPanesOfSessionsCanBeWrittenAndRead(t *testing.T) {
	type pane = millrace.Pane[string, int64]
	panes := []pane{
		{Key: "a", Start: sec(1).UTC(), End: sec(2).UTC(), Value: 1},
		{
			Key: "b", Start: sec(3).UTC(), End: sec(9).UTC(), Value: 2, Revision: 1, Kind: window.Late, Gap: time.Second,
			Replaces: window.SpansOf(window.Span{Start: 3e9, End: 4e9}, window.Span{Start: 5e9, End: 6e9}),
		},
	}
	for name, files := range map[string]func(string) file.Files[pane]{"csv": file.CSV[pane], "jsonl": file.JSONL[pane]} {
		dir := t.TempDir()
		job := millrace.NewJob("write")
		job.From("panes", memory.Of(panes...)).To("out", files(dir))
		millracetest.Run(t, job, millracetest.Configure(func(c *millrace.Config) { c.Parallelism = 1 }))
		job = millrace.NewJob("read")
		out := millracetest.Collect[pane]()
		job.From("panes", files(dir)).To("out", out)
		millracetest.Run(t, job)
		t.Log(name)
		millracetest.Equal(t, out.Records(), panes)
	}
}
