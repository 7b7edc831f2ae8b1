package millrace_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

type withFunc struct{ F func() }

type withFloat struct{ Lat float64 }

func rides(job *millrace.Job) millrace.Stream[ride] {
	return job.From("in", memory.Of[ride](), millrace.EventTime(ride.time))
}

func sumOf(r ride) int64 { return r.N }

func count() agg.Aggregator[ride, int64, int64] { return agg.Count[ride]() }

func counts() *memory.Sink[millrace.Pane[string, int64]] {
	return memory.NewSink[millrace.Pane[string, int64]]()
}

func minute(s millrace.Stream[ride]) millrace.Windowed[string, ride] {
	return s.KeyBy(ride.base).Window(window.Tumbling(time.Minute))
}

// noMerge is an aggregator that cannot combine accumulators.
func noMerge() agg.Aggregator[ride, int64, int64] {
	a := agg.Count[ride]()
	a.Merge = nil
	return a
}

// TestMistakesOfAJobAreNamed makes one mistake in each job and compares all that Validate says.
func TestMistakesOfAJobAreNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(job *millrace.Job)
		want  string // without the first line; a tab begins each mistake
	}{
		{
			"nothing", func(*millrace.Job) {},
			"the job has no sink: add one with To\n\tthe job has no source: add one with From",
		},
		{"stream without a consumer", func(j *millrace.Job) {
			s := rides(j)
			s.To("out", memory.NewSink[ride]())
			s.Map(sumOf)
		}, `JOB:LINE: operator "map-1": nothing reads the stream of this map: end it in a sink with To, or remove it`},
		{"two of one id", func(j *millrace.Job) {
			minute(rides(j)).Aggregate("n", count()).To("n", counts())
		}, `JOB:LINE: operator "n": the id "n" at JOB:LINE is already used by the aggregate at JOB:LINE: give one of them another`},
		{
			"empty id", func(j *millrace.Job) { rides(j).To("", memory.NewSink[ride]()) },
			`JOB:LINE: the id of this sink is empty: it names the operator in checkpoints and metrics and must be given`,
		},
		{
			"id with a slash", func(j *millrace.Job) { rides(j).To("a/b", memory.NewSink[ride]()) },
			`JOB:LINE: operator "a/b": the id of this sink "a/b" has the character '/': letters a-z and A-Z, digits, '-', '_' and '.' are allowed`,
		},
		{
			"long id", func(j *millrace.Job) { rides(j).To(strings.Repeat("x", 129), memory.NewSink[ride]()) },
			`JOB:LINE: operator "` + strings.Repeat("x", 129) + `": the id of this sink is 129 bytes long, at most 128 are allowed: it begins with "` + strings.Repeat("x", 32) + `"`,
		},
		{"float key", func(j *millrace.Job) {
			rides(j).KeyBy(func(r ride) float64 { return float64(r.N) }).Window(window.Tumbling(time.Minute)).
				Aggregate("n", count()).To("out", memory.NewSink[millrace.Pane[float64, int64]]())
		}, `JOB:LINE: operator "n": KeyBy: codec: key field float64: float64 cannot be (part of) a key; NaN is not equal to itself and -0 equals 0; round it to an integer of a unit (cents, micrometres), or take math.Float64bits`},
		{"float in a key", func(j *millrace.Job) {
			rides(j).KeyBy(func(ride) withFloat { return withFloat{} }).Window(window.Tumbling(time.Minute)).
				Aggregate("n", count()).To("out", memory.NewSink[millrace.Pane[withFloat, int64]]())
		}, `JOB:LINE: operator "n": KeyBy: codec: key field withFloat.Lat: float64 cannot be (part of) a key; NaN is not equal to itself and -0 equals 0; round it to an integer of a unit (cents, micrometres), or take math.Float64bits`},
		{"pointer key", func(j *millrace.Job) {
			rides(j).KeyBy(func(r ride) *ride { return &r }).Window(window.Tumbling(time.Minute)).
				Aggregate("n", count()).To("out", memory.NewSink[millrace.Pane[*ride, int64]]())
		}, `JOB:LINE: operator "n": KeyBy: codec: key field *millrace_test.ride: *millrace_test.ride cannot be (part of) a key; == compares addresses; use a field of what it points to`},
		{"interface key", func(j *millrace.Job) {
			rides(j).KeyBy(func(r ride) any { return r }).Window(window.Tumbling(time.Minute)).
				Aggregate("n", count()).To("out", memory.NewSink[millrace.Pane[any, int64]]())
		}, `JOB:LINE: operator "n": KeyBy: codec: key field interface {}: interface {} cannot be (part of) a key; its concrete type is not known; use that type`},
		{"state with a function", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Process("p", func(p *millrace.Proc[string, withFunc, ride], r ride) error { return nil }).
				To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": the state cannot be kept in checkpoints: codec: field withFunc.F: func() has no stable encoding; leave it out of the state, or give the type around it AppendState and DecodeState`},
		{
			"nil source", func(j *millrace.Job) { j.From[ride]("in", nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "in": the source is nil`,
		},
		{"nil sink", func(j *millrace.Job) { rides(j).To("out", nil) }, `JOB:LINE: operator "out": the sink is nil`},
		{
			"nil map", func(j *millrace.Job) { rides(j).Map[ride](nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "map-1": the function is nil`,
		},
		{
			"nil mapref", func(j *millrace.Job) { rides(j).MapRef[ride](nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "map-1": the function is nil`,
		},
		{
			"nil filter", func(j *millrace.Job) { rides(j).Filter(nil).As("keep").To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "keep": the function is nil`,
		},
		{
			"nil flatmap", func(j *millrace.Job) { rides(j).FlatMap[ride](nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "flatmap-1": the function is nil`,
		},
		{
			"nil filtermap", func(j *millrace.Job) { rides(j).FilterMap[ride](nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "filtermap-1": the function is nil`,
		},
		{
			"nil filtermapref", func(j *millrace.Job) { rides(j).FilterMapRef[ride](nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "filtermap-1": the function is nil`,
		},
		{
			"nil update", func(j *millrace.Job) { rides(j).UpdateRef(nil).To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "update-1": the function is nil`,
		},
		{"nil key", func(j *millrace.Job) {
			rides(j).KeyBy[string](nil).Window(window.Tumbling(time.Minute)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": KeyBy: the key function is nil`},
		{"nil event time", func(j *millrace.Job) {
			minute(j.From("in", memory.Of[ride](), millrace.EventTime[ride](nil))).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "in": EventTime: the function is nil`},
		{"nil event time by pointer", func(j *millrace.Job) {
			minute(j.From("in", memory.Of[ride](), millrace.EventNanosRef[ride](nil))).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "in": EventNanosRef: the function is nil`},
		{"nil source option", func(j *millrace.Job) {
			minute(j.From("in", memory.Of[ride](), nil)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "in": a source option is nil` + "\n\t" + `JOB:LINE: operator "n": windows need event time: give EventTime to the source`},
		{"nil process", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Process[int64, ride]("p", nil).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": the function is nil`},
		{"nil timer function", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Process("p", func(*millrace.Proc[string, int64, ride], ride) error { return nil }, nil).
				To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": the timer function is nil: leave it out`},
		{"nil window", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(nil).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": the window assigner is nil`},
		{"nil function of an aggregator", func(j *millrace.Job) {
			minute(rides(j)).Aggregate("n", agg.Sum[ride, int64](nil)).To("out", counts())
		}, `JOB:LINE: operator "n": agg: Sum: the function is nil; give it one`},
		{"empty aggregator", func(j *millrace.Job) {
			minute(rides(j)).Aggregate("n", agg.Aggregator[ride, int64, int64]{}).To("out", counts())
		}, `JOB:LINE: operator "n": the aggregator has no Add or no Result`},
		{"late before aggregate", func(j *millrace.Job) {
			w := minute(rides(j))
			w.Late().To("late", memory.NewSink[ride]())
			w.Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "late-1": Late before Aggregate: nothing has put records into these windows yet`},
		{"windows without event time", func(j *millrace.Job) {
			minute(j.From("in", memory.Of[ride]())).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": windows need event time: give EventTime to the source`},
		{"union with a stream without event time", func(j *millrace.Job) {
			minute(rides(j).Union(j.From("in2", memory.Of[ride]()))).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": windows need event time: give EventTime to the source`},
		{
			"union of one", func(j *millrace.Job) { rides(j).Union().To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "union-1": a union needs at least two streams`,
		},
		{"union with another job", func(j *millrace.Job) {
			rides(j).Union(rides(millrace.NewJob("other"))).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "union-1": stream 1 is of another job`},
		{"two event times", func(j *millrace.Job) {
			j.From("in", memory.Of[ride](), millrace.EventTime(ride.time), millrace.EventTime(ride.time)).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "in": more than one EventTime: a source has one event time`},
		{"negative disorder", func(j *millrace.Job) {
			j.From("in", memory.Of[ride](), millrace.EventTime(ride.time).OutOfOrderness(-time.Second).IdleAfter(-time.Minute)).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "in": IdleAfter is -1m0s: it must not be negative` + "\n\t" + `JOB:LINE: operator "in": OutOfOrderness is -1s: it must not be negative`},
		{"negative lateness", func(j *millrace.Job) {
			minute(rides(j)).AllowedLateness(-time.Second).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": AllowedLateness is -1s: it must not be negative`},
		{
			"as on an operator with an id", func(j *millrace.Job) { rides(j).As("x").To("out", memory.NewSink[ride]()) },
			`JOB:LINE: operator "in": As("x"): this operator has the id "in" already`,
		},
		{"tumbling of 0", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Tumbling(0)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Tumbling(0s): size is 0s, it must be greater than 0`},
		{"sliding with gaps", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Sliding(time.Second, time.Minute)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Sliding(1s, 1m0s): slide 1m0s is greater than size 1s: the times between two windows would be in none, so records would be lost; it must be at most the size`},
		{"session of -1", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Session(-1)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Session(-1ns): gap is -1ns, it must be greater than 0`},
		{"sliding without merge", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Sliding(time.Minute, time.Second)).Aggregate("n", noMerge()).To("out", counts())
		}, `JOB:LINE: operator "n": Sliding(1m0s, 1s) windows share panes, and this aggregator has no Merge to combine them`},
		{"cumulative without merge", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Cumulative(time.Hour, time.Minute)).Aggregate("n", noMerge()).To("out", counts())
		}, `JOB:LINE: operator "n": Cumulative(1h0m0s, 1m0s) windows share panes, and this aggregator has no Merge to combine them`},
		{"cumulative with a rest", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Cumulative(time.Hour, 7*time.Minute)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Cumulative(1h0m0s, 7m0s): size 1h0m0s is not a multiple of step 7m0s, so the longest window would not end with a step`},
		{"calendar without a zone", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Calendar(window.Day, nil)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Calendar(Day, nil): the time zone is nil, take one from time.LoadLocation, or time.UTC`},
		{"calendar of the machine", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Calendar(window.Month, time.Local)).Aggregate("n", count()).To("out", counts())
		}, `JOB:LINE: operator "n": window: Calendar(Month, Local): the time zone is that of the machine, and results would differ from one to another: ` +
			`take it by its name from time.LoadLocation`},
		{"session without merge", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Window(window.Session(time.Minute)).Aggregate("n", noMerge()).To("out", counts())
		}, `JOB:LINE: operator "n": sessions merge, and this aggregator has no Merge`},
		{"dedup without horizon", func(j *millrace.Job) {
			rides(j).Dedup("d", ride.base, 0).AllowedLateness(-1).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "d": AllowedLateness is -1ns: it must not be negative` + "\n\t" +
			`JOB:LINE: operator "d": the horizon of Dedup is 0s: it must be more than 0`},
		{"dedup without an id", func(j *millrace.Job) {
			rides(j).Dedup[string]("d", nil, time.Hour).Content[string](nil).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "d": Content: the function is nil` + "\n\t" + `JOB:LINE: operator "d": KeyBy: the key function is nil`},
		{"dedup without event time", func(j *millrace.Job) {
			j.From("in", memory.Of[ride]()).Dedup("d", ride.base, time.Hour).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "d": the horizon of Dedup is event time: give EventTime to the source`},
		{"sort without event time", func(j *millrace.Job) {
			j.From("in", memory.Of[ride]()).KeyBy(ride.base).SortByTime("s").To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "s": SortByTime needs event time: give EventTime to the source`},
		{"sort of what cannot be kept", func(j *millrace.Job) {
			j.From("in", memory.Of[withFunc](), millrace.EventTime(func(withFunc) time.Time { return time.Time{} })).
				KeyBy(func(withFunc) int { return 1 }).SortByTime("s").To("out", memory.NewSink[withFunc]())
		}, `JOB:LINE: operator "s": the records that wait cannot be kept in checkpoints: codec: field withFunc.F: func() has no stable encoding; leave it out of the state, or give the type around it AppendState and DecodeState`},
		{"file options", func(j *millrace.Job) {
			j.From("in", file.CSV[reading]("").Comma('\n').MaxLine(0).Follow(-1).RollBytes(-5).NoHeader()).To("out", memory.NewSink[reading]())
		}, "JOB:LINE: operator \"in\": file: Comma('\\n'): must be one ASCII character, not a quote or a line end\n\t\t" +
			"file: MaxLine(0): must be above 0\n\t\tfile: Follow(-1ns): the interval must be above 0\n\t\t" +
			"file: RollBytes(-5): must be above 0\n\t\tfile: NoHeader needs the names of the columns in order\n\t\t" +
			"file: the path is empty: name a file, a directory or a pattern"},
		{"source options on a sink", func(j *millrace.Job) {
			j.From("in", memory.Of[reading]()).To("out", file.CSV[reading]("out").Follow(time.Second))
		}, `JOB:LINE: operator "out": file: out: Follow is for sources`},
		{"pattern for a sink", func(j *millrace.Job) {
			j.From("in", memory.Of[reading]()).To("out", file.CSV[reading]("out/*.csv"))
		}, `JOB:LINE: operator "out": file: out/*.csv: a sink writes to one directory: the path may not have wildcards`},
		{"sink options on a source", func(j *millrace.Job) {
			j.From("in", file.CSV[reading]("in").Gzip()).To("out", memory.NewSink[reading]())
		}, `JOB:LINE: operator "in": file: in: Gzip, Zstd and RollBytes are for sinks: a source finds compression by itself`},
		{
			"bad pattern", func(j *millrace.Job) { j.From("in", file.CSV[reading]("a[")).To("out", memory.NewSink[reading]()) },
			`JOB:LINE: operator "in": file: pattern a[: syntax error in pattern`,
		},
		{"unreadable type", func(j *millrace.Job) {
			j.From("in", file.CSV[withFunc]("in")).To("out", memory.NewSink[withFunc]())
		}, "JOB:LINE: operator \"in\": file: field withFunc.F: a CSV column cannot hold a func(): use a string, []byte, number, bool, time.Time, a pointer to one of them or a type with MarshalText and UnmarshalText, or tag it `csv:\"-\"`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("job")
			c.build(job)
			err := job.Validate()
			_, got, _ := strings.Cut(normal(err, ""), ":\n\t")
			if got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
			if run := millrace.Run(context.Background(), job, millrace.Config{Log: quiet()}); run == nil || run.Error() != err.Error() {
				t.Errorf("Run says %v", run)
			}
		})
	}
}

// TestAllMistakesComeAtOnceWithTheirLines counts them and compares the lines with those of this file.
func TestAllMistakesComeAtOnceWithTheirLines(t *testing.T) {
	job := millrace.NewJob("a b")
	_, _, line, _ := runtime.Caller(0)
	s := job.From("in", memory.Of[ride]())
	w := s.KeyBy(ride.base).Window(window.Tumbling(-1))
	w.Late().To("late", nil)
	w.Aggregate("in", noMerge())
	job.From("in", memory.Of[ride]())
	err := job.Validate()
	dir := "bad_job_test.go:"
	for _, want := range []string{
		`job "a b" has `,
		`the id of the job "a b" has the character ' '`,
		fmt.Sprintf("%s%d: operator \"late-1\": Late before Aggregate", dir, line+3),
		fmt.Sprintf("%s%d: operator \"late\": the sink is nil", dir, line+3),
		fmt.Sprintf("%s%d: operator \"in\": window: Tumbling(-1ns): size is -1ns", dir, line+4),
		fmt.Sprintf("%s%d: operator \"in\": windows need event time", dir, line+4),
		fmt.Sprintf("%s%d: operator \"in\": nothing reads the stream of this aggregate", dir, line+4),
		fmt.Sprintf("%s%d: operator \"in\": nothing reads the stream of this source", dir, line+5),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not found: %s\nin %v", want, err)
		}
	}
	var twice int
	for l := range strings.Lines(err.Error()) {
		if strings.Contains(l, `the id "in" at `) && strings.Contains(l, "is already used by the source at ") && strings.Contains(l, fmt.Sprintf("%s%d: give", dir, line+1)) {
			twice++
		}
	}
	if twice != 2 {
		t.Errorf("the id in is used three times, %d repetitions are named with both places:\n%v", twice, err)
	}
}

// TestWrongConfigurationIsNamed sets every option to a wrong value, alone and all together.
func TestWrongConfigurationIsNamed(t *testing.T) {
	ck := func(c millrace.CheckpointConfig) millrace.Config { return millrace.Config{Checkpoint: c} }
	st := func(c millrace.StateConfig) millrace.Config {
		return millrace.Config{State: c, Checkpoint: millrace.CheckpointConfig{Dir: "dir"}}
	}
	cases := []struct {
		cfg  millrace.Config
		want string
	}{
		{millrace.Config{Parallelism: -1}, "millrace: config: Parallelism is -1: it must be from 1 to the number of key groups, 128"},
		{millrace.Config{Parallelism: 129}, "millrace: config: Parallelism is 129: it must be from 1 to the number of key groups, 128"},
		{millrace.Config{Parallelism: 1, KeyGroups: 32769}, "millrace: config: KeyGroups is 32769: it must be from 1 to 32768"},
		{millrace.Config{Parallelism: 1, KeyGroups: -1}, "millrace: config: KeyGroups is -1: it must be from 1 to 32768"},
		{millrace.Config{Linger: -1}, "millrace: config: Linger is -1ns: it must not be negative"},
		{millrace.Config{StopTimeout: -1}, "millrace: config: StopTimeout is -1ns: it must not be negative"},
		{millrace.Config{ObserveEvery: -1}, "millrace: config: ObserveEvery is -1ns: it must not be negative"},
		{millrace.Config{BufferRecords: -1}, "millrace: config: BufferRecords is -1: it must not be negative"},
		{millrace.Config{BufferBytes: -1}, "millrace: config: BufferBytes is -1: it must not be negative"},
		{millrace.Config{Restart: millrace.RestartConfig{Attempts: -1}}, "millrace: config: Restart.Attempts is -1: it must not be negative"},
		{millrace.Config{Restart: millrace.RestartConfig{Backoff: -1}}, "millrace: config: Restart.Backoff is -1ns: it must not be negative"},
		{millrace.Config{Restart: millrace.RestartConfig{MaxBackoff: -1}}, "millrace: config: Restart.MaxBackoff is -1ns: it must not be negative"},
		{ck(millrace.CheckpointConfig{Interval: -1}), "millrace: config: Checkpoint.Interval is -1ns: it must not be negative"},
		{ck(millrace.CheckpointConfig{Timeout: -1}), "millrace: config: Checkpoint.Timeout is -1ns: it must not be negative"},
		{ck(millrace.CheckpointConfig{EveryRecords: -1}), "millrace: config: Checkpoint.EveryRecords is -1: it must not be negative"},
		{ck(millrace.CheckpointConfig{TolerateFailures: -1}), "millrace: config: Checkpoint.TolerateFailures is -1: it must not be negative"},
		{st(millrace.StateConfig{Backend: "rocks"}), `millrace: config: State.Backend is "rocks": it must be "memory" or "disk"`},
		{st(millrace.StateConfig{MemoryBudget: 1 << 30}), "millrace: config: State.MemoryBudget is 1073741824: only the disk backend has a budget; set State.Backend to DiskBackend"},
		{
			st(millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16<<20 - 1}),
			"millrace: config: State.MemoryBudget is 16777215: with the disk backend it must be at least 16777216 (16 MiB)",
		},
		{
			millrace.Config{State: millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20}},
			"millrace: config: State.Backend is disk and Checkpoint.Dir is empty: without a directory, checkpoints are kept in memory, and state with them",
		},
		{ck(millrace.CheckpointConfig{Keep: -1}), "millrace: config: Checkpoint.Keep is -1: it must not be negative"},
	}
	for _, c := range cases {
		if c.cfg.KeyGroups < 0 {
			continue // the parallelism cannot be right either
		}
		if err := c.cfg.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("got\n%v\nwant\n%s", err, c.want)
		}
	}
	all := millrace.Config{
		Parallelism: -1, KeyGroups: -1, Linger: -1, StopTimeout: -1, ObserveEvery: -1, BufferRecords: -1, BufferBytes: -1,
		Restart:    millrace.RestartConfig{Attempts: -1, Backoff: -1, MaxBackoff: -1},
		Checkpoint: millrace.CheckpointConfig{Interval: -1, Timeout: -1, EveryRecords: -1, TolerateFailures: -1, Keep: -1},
	}
	if got := strings.Count(fmt.Sprint(all.Validate()), "millrace: config: "); got != 15 {
		t.Errorf("%d of 15 wrong values are named:\n%v", got, all.Validate())
	}
	// Mistakes of the job and of the configuration come together too.
	job := millrace.NewJob("job")
	err := millrace.Run(context.Background(), job, millrace.Config{Linger: -1, Log: quiet()})
	if s := fmt.Sprint(err); !strings.Contains(s, "no source") || !strings.Contains(s, "Linger") {
		t.Errorf("got %v, want the mistakes of job and configuration", err)
	}
	if err := (millrace.Config{}).Validate(); err != nil {
		t.Errorf("the zero configuration: %v", err)
	}
}
