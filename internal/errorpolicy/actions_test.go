package errorpolicy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// quick is a policy that tries again soon.
func quick(action millrace.ErrorAction, retries int) millrace.ErrorPolicy {
	return millrace.ErrorPolicy{Action: action, Retries: retries, Backoff: 100 * time.Millisecond, MaxBackoff: 250 * time.Millisecond}
}

// tries makes a function of the numbers that fails for 3 as often as it is told to.
func tries(failures int) func(*millrace.Context, int64, func(int64)) error {
	return func(_ *millrace.Context, n int64, emit func(int64)) error {
		emit(n)
		if n == 3 && failures > 0 {
			failures--
			return errors.New("not now")
		}
		emit(-n)
		return nil
	}
}

// TestRetries: a record is tried again after each wait, without what it has emitted before; then the action counts.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures int
		policy   millrace.ErrorPolicy
		want     []int64
		status   [3]int64 // retries, skipped, dead-lettered
		waited   int      // in ms
		err      string
	}{
		{"it succeeds", 4, quick(millrace.FailJob, 4), []int64{1, -1, 2, -2, 3, -3, 4, -4}, [3]int64{4, 0, 0}, 100 + 200 + 250 + 250, ""},
		{"it is left out", 9, quick(millrace.SkipRecord, 2), []int64{1, -1, 2, -2, 4, -4}, [3]int64{2, 1, 0}, 100 + 200, ""},
		{"it is a dead letter", 9, quick(millrace.DeadLetterRecord, 1), []int64{1, -1, 2, -2, 4, -4}, [3]int64{1, 0, 1}, 100, ""},
		{"without retries", 1, quick(millrace.SkipRecord, 0), []int64{1, -1, 2, -2, 4, -4}, [3]int64{0, 1, 0}, 0, ""},
		{
			"the job fails", 9, quick(millrace.FailJob, 3), nil,
			[3]int64{3, 0, 0},
			100 + 200 + 250,
			`millrace: job tries: operator "flatmap-1" (subtask 0, made at LINE): record with event time 1970-01-01T00:00:00Z: not now ` +
				`(while handling records from slice-000000[0] to slice-000000[3])`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			job, out, dead := millrace.NewJob("tries"), millracetest.Collect[int64](), millracetest.Collect[millrace.DeadLetter]()
			s := job.From("in", memory.Of[int64](1, 2, 3, 4)).FlatMap(tries(c.failures)).OnError(c.policy)
			s.To("out", out)
			if c.policy.Action == millrace.DeadLetterRecord {
				millrace.DeadLetters(s).To("dead", dead)
			}
			var status millrace.Status
			failed := &fatal{TB: t}
			millracetest.Run(failed, job, millracetest.Configure(func(cfg *millrace.Config) {
				cfg.Observe = func(s millrace.Status) { status = s }
			}))
			if c.err == "" && failed.text != "" || !strings.HasSuffix(normal(failed.text), c.err) {
				t.Fatalf("got %q\nwant %q", normal(failed.text), c.err)
			}
			retries := int64(0)
			for _, o := range status.Operators {
				retries += o.Retries
			}
			if got := [3]int64{retries, status.Skipped, status.DeadLettered}; got != c.status {
				t.Errorf("retries, skipped, dead-lettered: %v, want %v", got, c.status)
			}
			if got := out.Records(); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if least := time.Duration(c.waited) * time.Millisecond; status.Elapsed < least {
				t.Errorf("it took %v, with waits of %v", status.Elapsed, least)
			}
			if got := dead.Records(); int64(len(got)) != c.status[2] || len(got) > 0 && (got[0].Attempts != 2 || string(got[0].Raw) != "3") {
				t.Errorf("dead letters %+v", got)
			}
		})
	}
}

// fatal notes what fails a test of the kit.
type fatal struct {
	millracetest.TB
	text string
}

func (f *fatal) Fatalf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }

var madeAt = regexp.MustCompile(`[\w.-]+/\w+_test\.go:\d+`)

func normal(s string) string { return madeAt.ReplaceAllString(s, "LINE") }

// TestSkippedRecordsAreCountedAndLogged: of many there are few lines, and none is silent.
func TestSkippedRecordsAreCountedAndLogged(t *testing.T) {
	const n = 5000
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	job, out := millrace.NewJob("skips"), millracetest.Collect[int64]()
	job.From("in", memory.Of(numbers...)).
		Map(func(n int64) int64 { return 1000 / (n % 2) }).As("divided").OnError(millrace.ErrorPolicy{Action: millrace.SkipRecord}).
		To("out", out)
	var log bytes.Buffer
	status := millracetest.Run(t, job, millracetest.Configure(func(cfg *millrace.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	}))
	if status.Skipped != n/2 || status.Filtered != 0 || len(out.Records()) != n/2 {
		t.Errorf("%d skipped, %d filtered, %d left", status.Skipped, status.Filtered, len(out.Records()))
	}
	lines := regexp.MustCompile(`level=WARN msg="record failed" job=skips operator=divided subtask=0 place="" error="panic: runtime error: integer divide by zero`).FindAllString(log.String(), -1)
	if len(lines) < 1 || len(lines) > 6 {
		t.Errorf("%d lines:\n%.2000s", len(lines), log.String())
	}
}

// TestF37PanicFailsTheTask: a panic of a function is an error with its operator and stack, and not the end of the process.
func TestF37PanicFailsTheTask(t *testing.T) {
	job := millrace.NewJob("panics")
	job.From("in", memory.Of[int64](1, 2)).
		Map(func(n int64) int64 { return 1 / (n - 2) }).As("divided").
		To("out", millracetest.Collect[int64]())
	err := millrace.Run(context.Background(), job, millrace.Config{Log: slog.New(slog.DiscardHandler), Parallelism: 1})
	var oe *millrace.OperatorError
	var pe *millrace.PanicError
	if !errors.As(err, &oe) || !errors.As(err, &pe) {
		t.Fatalf("%v", err)
	}
	if oe.Job != "panics" || oe.Operator != "divided" || oe.Retryable() || oe.Place != "slice-000000[0] to slice-000000[1]" {
		t.Errorf("%+v", oe)
	}
	if fmt.Sprint(pe.Value) != "runtime error: integer divide by zero" || !bytes.Contains(pe.Stack, []byte("TestF37PanicFailsTheTask")) {
		t.Errorf("%v\n%s", pe.Value, pe.Stack)
	}
}

// TestF38PoisonRecord: a record that fails each time stops the job with its place when nothing else is said, though restarts are allowed; with
// dead letters the job goes on.
func TestF38PoisonRecord(t *testing.T) {
	build := func(p millrace.ErrorPolicy) (*millrace.Job, *memory.Sink[string], *memory.Sink[millrace.DeadLetter]) {
		job, out, dead := millrace.NewJob("poison"), millracetest.Collect[string](), millracetest.Collect[millrace.DeadLetter]()
		s := job.From("in", memory.Of("a", "poison", "b")).KeyBy(func(string) int { return 0 }).Process("count",
			func(p *millrace.Proc[int, int, string], r string) error {
				*p.State()++
				if r == "poison" {
					return errors.New("it is poison")
				}
				p.Emit(fmt.Sprint(r, *p.State()))
				return nil
			}).OnError(p)
		s.To("out", out)
		if p.Action == millrace.DeadLetterRecord {
			millrace.DeadLetters(s).To("dead", dead)
		}
		return job, out, dead
	}
	job, _, _ := build(millrace.ErrorPolicy{})
	cfg := millrace.Config{Log: slog.New(slog.DiscardHandler), Parallelism: 1, Restart: millrace.RestartConfig{Attempts: 3, Backoff: time.Millisecond}}
	err := millrace.Run(context.Background(), job, cfg)
	want := `millrace: job poison: operator "count" (subtask 0, made at LINE): record with event time 1970-01-01T00:00:00Z: it is poison ` +
		`(while handling records from slice-000000[0] to slice-000000[2])`
	if err == nil || normal(err.Error()) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	job, out, dead := build(millrace.ErrorPolicy{Action: millrace.DeadLetterRecord})
	millracetest.Run(t, job)
	if got := fmt.Sprint(out.Records()); got != "[a1 b2]" {
		t.Errorf("got %s", got)
	}
	letter := millrace.DeadLetter{
		Job: "poison", Operator: "count", Source: "in", Split: "slice-000000", Record: 1, Place: "slice-000000[1]", EventTime: time.Unix(0, 0).UTC(),
		Error: "it is poison", Attempts: 1, Encoding: "json", Raw: []byte(`"poison"`),
	}
	if err := differ("dead letters", dead.Records(), []millrace.DeadLetter{letter}); err != nil {
		t.Error(err)
	}
}

// stuck is a source whose reader refuses its second record, and does not go on behind it unless it is told to.
type stuck struct{ goesOn bool }

func (stuck) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: "s"}}, nil
}

func (s stuck) Open(context.Context, connect.Split, []byte) (connect.Reader[int64], error) {
	return &stuckReader{goesOn: s.goesOn}, nil
}

type stuckReader struct {
	goesOn bool
	at     int64
}

func (r *stuckReader) Read(_ context.Context, out []int64) (int, error) {
	switch r.at {
	case 1:
		if r.goesOn {
			r.at++
		}
		return 0, &connect.RecordError{Where: "record 1", Raw: []byte("?"), Err: errors.New("it is no number")}
	case 3:
		return 0, io.EOF
	}
	out[0] = r.at
	r.at++
	return 1, nil
}

func (r *stuckReader) Position() []byte { return binary.AppendVarint(nil, r.at) }
func (r *stuckReader) Where(int) string { return "somewhere" }
func (r *stuckReader) BytesRead() int64 { return 0 }
func (r *stuckReader) Close() error     { return nil }

// TestReaderThatDoesNotGoOn: a policy does not make the same record fail for ever.
func TestReaderThatDoesNotGoOn(t *testing.T) {
	for _, goesOn := range []bool{true, false} {
		job, out := millrace.NewJob("reads"), millracetest.Collect[int64]()
		job.From("in", stuck{goesOn}).OnError(millrace.ErrorPolicy{Action: millrace.SkipRecord}).To("out", out)
		failed := &fatal{TB: t}
		status := millracetest.Run(failed, job)
		if goesOn && (failed.text != "" || fmt.Sprint(out.Records()) != "[0 2]" || status.Skipped != 1 || status.In != 3) {
			t.Errorf("%v, %d of %d skipped, %s", out.Records(), status.Skipped, status.In, failed.text)
		}
		if want := "it is no number: and its reader does not go on behind the record"; !goesOn && !strings.HasSuffix(failed.text, want) {
			t.Errorf("got %q, want %q", failed.text, want)
		}
	}
}

// TestMistakesInPolicies compares the messages.
func TestMistakesInPolicies(t *testing.T) {
	job := millrace.NewJob("mistakes")
	in := job.From("in", memory.Of[int64](1)).OnError(millrace.ErrorPolicy{Retries: 1})
	in.Union(in).OnError(letters).To("a", millracetest.Collect[int64]())
	in.Map(func(n int64) int64 { return n }).As("m").OnError(letters).To("b", millracetest.Collect[int64]())
	in.Filter(func(int64) bool { return true }).As("f").OnError(millrace.ErrorPolicy{Action: 7, Backoff: -1}).To("c", millracetest.Collect[int64]())
	in.Filter(func(int64) bool { return true }).As("g").OnError(quick(millrace.SkipRecord, 1)).OnError(millrace.ErrorPolicy{}).To("d", millracetest.Collect[int64]())
	in.Filter(func(int64) bool { return true }).As("h").OnError(millrace.ErrorPolicy{Backoff: time.Minute, MaxBackoff: time.Second}).To("e", millracetest.Collect[int64]())
	millrace.DeadLetters(in).To("f2", millracetest.Collect[millrace.DeadLetter]())
	err := job.Validate()
	if err == nil {
		t.Fatal("no mistake is found")
	}
	var got []string
	for line := range strings.Lines(normal(err.Error())) {
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		`graph: job "mistakes" has 8 mistakes:`,
		`LINE: operator "in": DeadLetters: there are none here: call it on the stream of an operator after OnError with DeadLetterRecord`,
		`LINE: operator "in": OnError: Retries is 1 at a source: a record is no other when it is read again`,
		`LINE: operator "union-1": OnError: the stream is not the main output of an operator that can have an error policy: those are sources, Map, UpdateRef, Filter, FilterMap, FlatMap and Process`,
		`LINE: operator "m": nothing reads the output "dead letters" of this map: its records would be lost; end it in a sink with To, or do not ask for it`,
		`LINE: operator "f": OnError: Action is 7: it must be FailJob, SkipRecord or DeadLetterRecord`,
		`LINE: operator "f": OnError: Retries is 0, Backoff -1ns and MaxBackoff 0s: none may be negative`,
		`LINE: operator "g": OnError: it is given twice`,
		`LINE: operator "h": OnError: MaxBackoff is 1s, less than Backoff, 1m0s`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
