package errorpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// pair is a key with a number in words.
type pair struct {
	Key string `csv:"key" json:"key"`
	N   string `csv:"n" json:"n"`
}

type number struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// replaying sums numbers by key. Numbers in words fail at "parsed" unless they are known, and sums of 13 fail at "sum".
func replaying(in connect.Source[pair], known map[string]int, refuse13 bool, sums connect.Sink[string], dead connect.Sink[millrace.DeadLetter]) *millrace.Job {
	job := millrace.NewJob("replaying")
	read := job.From("in", in).OnError(letters)
	parsed := read.FlatMap(func(_ *millrace.Context, p pair, emit func(number)) error {
		n, ok := known[p.N]
		if !ok {
			var err error
			if n, err = strconv.Atoi(p.N); err != nil {
				return err
			}
		}
		emit(number{p.Key, n})
		return nil
	}).As("parsed").OnError(letters)
	sum := parsed.KeyBy(func(n number) string { return n.Key }).Process("sum", func(p *millrace.Proc[string, int, string], n number) error {
		*p.State() += n.N
		if refuse13 && n.N == 13 {
			return errors.New("13 brings bad luck")
		}
		p.Emit(fmt.Sprint(n.Key, " ", n.N))
		return nil
	}).OnError(letters)
	sum.To("sums", sums)
	all := []millrace.Stream[millrace.DeadLetter]{millrace.DeadLetters(parsed), millrace.DeadLetters(sum)}
	millrace.DeadLetters(read).Union(all...).To("dead", dead)
	return job
}

const pairs = "key,n\na,1\nb,two\nc,13,0\na,13\nb,three\na,four\n"

func writePairs(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pairs.csv")
	if err := os.WriteFile(path, []byte(pairs), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplayOfAFinishedJob: what has failed is handled again by a corrected job, from the files of the sink, by the operators at which it failed. What fails
// again is a letter again; and the same letters have no effect twice.
func TestReplayOfAFinishedJob(t *testing.T) {
	dir, path := t.TempDir(), writePairs(t)
	sums := memory.NewSink[string]()
	dead := filepath.Join(dir, "dead")
	run := func(known map[string]int, refuse13 bool, letters []millrace.DeadLetter) (millrace.Status, error) {
		var status millrace.Status
		job := replaying(file.CSV[pair](path), known, refuse13, sums, file.JSONL[millrace.DeadLetter](dead))
		err := millrace.Run(context.Background(), job, millrace.Config{
			Log: slog.New(slog.DiscardHandler), Parallelism: 3, Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state")}, Replay: letters,
			Observe: func(s millrace.Status) { status = s },
		})
		if err == nil && status.Imbalance != "" {
			err = errors.New(status.Imbalance)
		}
		return status, err
	}
	check := func(what string, want ...string) {
		t.Helper()
		got := sums.Records()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if _, err := run(nil, true, nil); err != nil {
		t.Fatal(err)
	}
	check("at first", "a 1")
	all, err := millrace.ReadDeadLetters(dead)
	if err != nil || len(all) != 5 {
		t.Fatalf("%d letters: %+v, %v", len(all), all, err)
	}
	known := map[string]int{"two": 2, "three": 3}
	for range 2 { // the second time it is known that they have been handled
		status, err := run(known, false, all)
		if err != nil || status.DeadLettered != 5+2 {
			t.Fatalf("%+v, %v", status, err)
		}
		check("handled again", "a 1", "a 13", "b 2", "b 3")
	}
	again, err := millrace.ReadDeadLetters(dead)
	if err != nil || len(again) != 7 {
		t.Fatalf("%d letters: %v", len(again), err)
	}
	var left []millrace.DeadLetter
	for _, l := range again {
		if l.Replays == 1 {
			left = append(left, l)
		}
	}
	var what []string
	for _, l := range left {
		what = append(what, fmt.Sprint(l.Operator, " ", filepath.Base(l.Place), " ", string(l.Raw)))
	}
	slices.Sort(what)
	if want := []string{"in pairs.csv:4 c,13,0", `parsed pairs.csv:7 {"key":"a","n":"four"}`}; !slices.Equal(what, want) {
		t.Errorf("letters again: %q, want %q", what, want)
	}
	if _, err := run(map[string]int{"four": 4}, false, left); err != nil {
		t.Fatal(err)
	}
	check("handled a third time", "a 1", "a 13", "a 4", "b 2", "b 3")
}

// TestReplayIsExactlyOnce kills the job while it handles letters again, and after.
func TestReplayIsExactlyOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "many.csv")
	var lines strings.Builder
	lines.WriteString("key,n\n")
	var want []string
	for i := range 400 {
		fmt.Fprintf(&lines, "k%d,%d\n", i%5, i+20)
		want = append(want, fmt.Sprint("k", i%5, " ", i+20))
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var replay []millrace.DeadLetter
	letter := func(operator, encoding, raw string) {
		replay = append(replay, millrace.DeadLetter{
			Job: "replaying", Operator: operator, Source: "in", Split: "many.csv", Encoding: encoding, Raw: []byte(raw), EventTime: time.Unix(0, 0).UTC(),
		})
	}
	for i := range 10 {
		letter("in", "raw", fmt.Sprintf("k%d,%d", i, 1000+i))
		letter("parsed", "json", fmt.Sprintf(`{"key":"k%d","n":"%d"}`, i, 2000+i))
		letter("sum", "json", fmt.Sprintf(`{"key":"k%d","n":%d}`, i, 3000+i))
		for _, n := range []int{1000, 2000, 3000} {
			want = append(want, fmt.Sprint("k", i, " ", n+i))
		}
	}
	letter("in", "raw", "no columns")
	letter("parsed", "json", `{"key":"k","n":"many"}`)
	letter("sum", "json", `{"key":"k","n":13}`)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return replaying(file.CSV[pair](path), nil, true, w.Collect[string]("sums"), w.Collect[millrace.DeadLetter]("dead"))
	}, millracetest.Kills(10), millracetest.Parallelism(1, 3), millracetest.Configure(func(c *millrace.Config) { c.Replay = replay }),
		millracetest.Check(func(w *millracetest.Trial) error {
			dead := w.Once("sink dead", memory.NewSink[millrace.DeadLetter]).Records()
			for _, l := range dead {
				if l.Replays != 1 {
					return fmt.Errorf("%+v", l)
				}
			}
			if len(dead) != 3 {
				return fmt.Errorf("%d dead letters: %+v", len(dead), dead)
			}
			return differ("sums", w.Once("sink sums", memory.NewSink[string]).Records(), want)
		}))
}

// TestMistakesInReplays compares the messages.
func TestMistakesInReplays(t *testing.T) {
	path := writePairs(t)
	job := replaying(file.CSV[pair](path), nil, true, memory.NewSink[string](), memory.NewSink[millrace.DeadLetter]())
	err := millrace.Run(context.Background(), job, millrace.Config{Replay: []millrace.DeadLetter{
		{Job: "other", Operator: "in"},
		{Job: "replaying", Operator: "none"},
		{Job: "replaying", Operator: "sums"},
		{Job: "replaying", Operator: "sum", Encoding: "text"},
		{Job: "replaying", Operator: "sum", Encoding: "raw"},
	}})
	want := `millrace: replay by job "replaying": dead letter 1 is of job "other"
millrace: replay by job "replaying": dead letter 2 is of operator "none", which the job does not have
millrace: replay by job "replaying": dead letter 3 is of operator "sums", which has no error policy any more: if it failed again, the job would
millrace: replay by job "replaying": dead letter 4 holds its record as "text", which cannot be read back
millrace: replay by job "replaying": dead letter 5 holds its record as "raw", which cannot be read back`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := millrace.ReadDeadLetters(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: this is no dead letter as file.JSONL writes it: ") {
		t.Errorf("a file of something else: %v", err)
	}
	if _, err := millrace.ReadDeadLetters(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
