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
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// mistakes builds a job and returns what Validate says, without the first line.
func mistakes(build func(*millrace.Job)) string {
	job := millrace.NewJob("job")
	build(job)
	_, got, _ := strings.Cut(normal(job.Validate(), ""), ":\n\t")
	return got
}

func TestMistakesOfSplitsAreNamed(t *testing.T) {
	sink := func() *memory.Sink[ride] { return memory.NewSink[ride]() }
	for _, c := range []struct {
		name  string
		build func(*millrace.Job)
		want  string
	}{
		{
			"no function", func(j *millrace.Job) { rides(j).Split[string](nil).Branch("a").To("out", sink()) },
			`JOB:LINE: operator "split-1": the function is nil`,
		},
		{
			"no branch", func(j *millrace.Job) { rides(j).To("out", sink()); rides2(j).Split(ride.base) },
			`JOB:LINE: operator "split-1": nothing reads the stream of this split: end it in a sink with To, or remove it`,
		},
		{
			"branches that nobody reads", func(j *millrace.Job) {
				b := rides(j).Split(ride.base).As("bases")
				b.Branch("a").To("out", sink())
				b.Branch("b")
				b.Rest()
			},
			`JOB:LINE: operator "bases": nothing reads the output "branch b" of this split: its records would be lost; end it in a sink with To, or do not ask for it` +
				"\n\t" +
				`JOB:LINE: operator "bases": nothing reads the output "rest" of this split: its records would be lost; end it in a sink with To, or do not ask for it`,
		},
		{
			"NaN", func(j *millrace.Job) {
				b := rides(j).Split(func(r ride) float64 { return float64(r.N) })
				b.Branch(math.NaN())
				b.Rest().To("out", sink())
			},
			`JOB:LINE: operator "split-1": Branch(NaN): no record can be of it, since NaN is equal to nothing`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mistakes(c.build); got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
}

// rides2 is a second source.
func rides2(j *millrace.Job) millrace.Stream[ride] {
	return j.From("in2", memory.Of[ride](), millrace.EventTime(ride.time))
}

// TestRecordOfNoBranchIsNotLost: it stops the job unless the rest is read, and the message shows it.
func TestRecordOfNoBranchIsNotLost(t *testing.T) {
	noLeaks(t)
	in := []ride{{Base: "a", At: 1}, {Base: "c", At: 2, N: 5}}
	job, out := millrace.NewJob("job"), memory.NewSink[ride]()
	job.From("in", memory.Of(in...), millrace.EventTime(ride.time)).Split(ride.base).Branch("a").To("out", out)
	err := millrace.Run(context.Background(), job, quietly)
	const want = `millrace: job job: operator "split-1" (subtask 0, made at JOB:LINE): record with event time 1970-01-01T00:00:02Z: ` +
		`the record is of no branch that is read: {Base:c At:2 N:5}: add the branch, or read Rest`
	if got, _, _ := strings.Cut(normal(err, ""), " (while handling"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if ue, ok := errors.AsType[*millrace.OperatorError](err); !ok || ue.Operator != "split-1" {
		t.Errorf("got %#v", err)
	}
}

// TestBranchesThatPrintAlikeAreTwo: the value is what counts, not its text.
func TestBranchesThatPrintAlikeAreTwo(t *testing.T) {
	type name struct{ A, B string }
	split := func(r ride) name {
		if r.N == 1 {
			return name{"x y", ""}
		}
		return name{"x", "y "}
	}
	job, one, two := millrace.NewJob("job"), memory.NewSink[ride](), memory.NewSink[ride]()
	b := job.From("in", memory.Of(ride{N: 1}, ride{N: 2}, ride{N: 1})).Split(split)
	b.Branch(name{"x y", ""}).To("one", one)
	b.Branch(name{"x", "y "}).To("two", two)
	if fmt.Sprint(name{"x y", ""}) != fmt.Sprint(name{"x", "y "}) {
		t.Fatal("the two names do not print alike: the test shows nothing")
	}
	if err := millrace.Run(context.Background(), job, quietly); err != nil {
		t.Fatal(err)
	}
	if len(one.Records()) != 2 || len(two.Records()) != 1 {
		t.Errorf("branches of %v and %v", one.Records(), two.Records())
	}
}

// TestSplitKilledAnywhereGivesEachRecordOnce: branches with windows behind them, killed at all kinds of moments, give what a calm run gives, and
// that is what plain loops give.
func TestSplitKilledAnywhereGivesEachRecordOnce(t *testing.T) {
	var in []ride
	for i := range 1500 {
		in = append(in, ride{Base: string(rune('a' + i*i%5)), At: int64(i + i*7%40), N: int64(i)})
	}
	var want []string
	sums := map[int64]int64{}
	for _, r := range in {
		switch r.Base {
		case "a":
			sums[r.At/60*60] += r.N
		case "b":
		default:
			want = append(want, fmt.Sprint("rest ", r))
		}
	}
	for start, n := range sums {
		want = append(want, fmt.Sprint("a ", start, " ", n))
	}
	slices.Sort(want)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("split")
		b := job.From("in", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(time.Minute)).Split(ride.base)
		b.Branch("a").KeyBy(ride.base).Window(window.Tumbling(time.Minute)).Aggregate("sum", agg.Sum(sumOf)).
			Map(func(p millrace.Pane[string, int64]) string { return fmt.Sprint("a ", p.Start.Unix(), " ", p.Value) }).To("a", w.Collect[string]("a"))
		b.Branch("b").To("b", w.Collect[ride]("b"))
		b.Rest().Map(func(r ride) string { return fmt.Sprint("rest ", r) }).To("rest", w.Collect[string]("rest"))
		return job
	}, millracetest.Kills(10), millracetest.Check(func(w *millracetest.Trial) error {
		got := slices.Concat(w.Collect[string]("a").Records(), w.Collect[string]("rest").Records())
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("first difference: %s", firstDifference(got, want))
		}
		if b := w.Collect[ride]("b").Records(); len(b)+len(sums) == len(in) || len(b) == 0 {
			return fmt.Errorf("branch b has %d records", len(b))
		}
		return nil
	}))
}
