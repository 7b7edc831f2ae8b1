package errorpolicy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// rec is the record of the tests.
type rec struct {
	Key string `csv:"key" json:"key"`
	At  int64  `csv:"at" json:"at"`
	N   int64  `csv:"n" json:"n"`
}

func (r rec) key() string { return r.Key }

func (r rec) time() (time.Time, error) {
	switch {
	case r.N%53 == 0:
		return time.Time{}, errors.New("no clock was at hand")
	case r.N%59 == 0:
		panic("a clock without hands")
	}
	return time.Unix(r.At, 0), nil
}

var letters = millrace.ErrorPolicy{Action: millrace.DeadLetterRecord}

// fate is what a record meets: the operator at which it fails, with the error, or none.
func fate(r rec) (operator, why string) {
	switch {
	case r.N%53 == 0:
		return "in", "event time: no clock was at hand"
	case r.N%59 == 0:
		return "in", "panic: a clock without hands"
	case r.N%41 == 0:
		return "mapped", "panic: map"
	case r.N%37 == 0:
		return "updated", "panic: update"
	case r.N%31 == 0:
		return "filtered", "panic: filter"
	case r.N%29 == 0:
		return "both", "panic: both"
	case r.N%23 == 0:
		return "flat", "flat 1"
	case r.N%19 == 0:
		return "flat", "panic: flat"
	case r.N%13 == 0:
		return "sum", "sum"
	case r.N%11 == 0:
		return "sum", "panic: sum"
	}
	return "", ""
}

// sums is a state that a call changes before it fails.
type sums struct {
	Sum  int64
	Seen []int64
	By   map[int64]int64
}

var side = millrace.NewSideOutput[string]("side")

// failing puts records through all operators that can have an error policy. Each fails as late as it can.
func failing(w *millracetest.Trial, path string) *millrace.Job {
	job := millrace.NewJob("failing")
	in := job.From("in", file.CSV[rec](path), millrace.TryEventTime(rec.time)).OnError(letters)
	at := func(operator, want string, r rec) bool {
		op, why := fate(r)
		return op == operator && why == want
	}
	fail := func(operator string, r rec) {
		if at(operator, "panic: "+operator, r) {
			panic(operator)
		}
	}
	mapped := in.Map(func(r rec) rec {
		if at("mapped", "panic: map", r) {
			panic("map")
		}
		return r
	}).As("mapped").OnError(letters)
	updated := mapped.UpdateRef(func(r *rec) {
		before := *r
		r.N += 1000
		if at("updated", "panic: update", before) {
			panic("update")
		}
		r.N -= 1000
	}).As("updated").OnError(letters)
	filtered := updated.Filter(func(r rec) bool {
		if at("filtered", "panic: filter", r) {
			panic("filter")
		}
		return r.N%5 != 0
	}).As("filtered").OnError(letters)
	both := filtered.FilterMapRef(func(r, out *rec) bool {
		*out = *r
		fail("both", *r)
		return r.N%7 != 0
	}).As("both").OnError(letters)
	flat := both.FlatMap(func(_ *millrace.Context, r rec, emit func(rec)) error {
		emit(r)
		fail("flat", r)
		if at("flat", "flat 1", r) {
			return errors.New("flat 1")
		}
		emit(rec{r.Key + "'", r.At, 0})
		return nil
	}).As("flat").OnError(letters)
	sum := flat.KeyBy(rec.key).SideOutputs(side).WithOrigin().Process("sum", func(p *millrace.Proc[string, sums, string], r rec) error {
		s := p.State()
		s.Sum += r.N
		s.Seen = append(s.Seen, r.N)
		if s.By == nil {
			s.By = map[int64]int64{}
		}
		s.By[r.N%3]++
		p.SetTimer(fmt.Sprint("t", r.N%17), p.EventTime().Add(10*time.Second))
		p.DeleteTimer(fmt.Sprint("t", (r.N+1)%17))
		p.Emit(fmt.Sprint(r.Key, " ", s.Sum, len(s.Seen), s.By))
		p.EmitSide(side, fmt.Sprint("side of ", r.N))
		fail("sum", r)
		if at("sum", "sum", r) {
			p.Clear()
			return errors.New("sum")
		}
		return nil
	}, func(p *millrace.Proc[string, sums, string], t millrace.Timer) error {
		p.Emit(fmt.Sprint(p.Key(), " ", t.Name, " at ", t.At.Unix(), " of ", p.State().Sum))
		return nil
	}).OnError(letters)
	sum.To("sums", w.Collect[string]("sums"))
	sum.Side(side).To("sides", w.Collect[string]("sides"))
	all := millrace.DeadLetters(in)
	others := []millrace.Stream[millrace.DeadLetter]{
		millrace.DeadLetters(mapped), millrace.DeadLetters(updated), millrace.DeadLetters(filtered), millrace.DeadLetters(both),
		millrace.DeadLetters(flat), millrace.DeadLetters(sum),
	}
	all.Union(others...).To("letters", w.Collect[millrace.DeadLetter]("letters"))
	return job
}

// oracle is what the job has to make of its input, found by loops over the records.
type oracle struct {
	sums, sides []string
	letters     []millrace.DeadLetter

	states map[string]*sums
	timers map[string]map[string]int64 // by key and name, in seconds
}

// letter notes a letter. In the place stands the name of the file alone.
func (o *oracle) letter(i int, l millrace.DeadLetter) {
	l.Job, l.Source, l.Split, l.Record, l.Attempts = "failing", "in", "in.csv", int64(i), 1
	l.Panic = strings.HasPrefix(l.Error, "panic")
	o.letters = append(o.letters, l)
}

// add is what the process function does with a record that does not fail.
func (o *oracle) add(r rec) {
	s := o.states[r.Key]
	if s == nil {
		s = &sums{By: map[int64]int64{}}
		o.states[r.Key], o.timers[r.Key] = s, map[string]int64{}
	}
	s.Sum += r.N
	s.Seen = append(s.Seen, r.N)
	s.By[r.N%3]++
	o.timers[r.Key][fmt.Sprint("t", r.N%17)] = r.At + 10
	delete(o.timers[r.Key], fmt.Sprint("t", (r.N+1)%17))
	o.sums = append(o.sums, fmt.Sprint(r.Key, " ", s.Sum, len(s.Seen), s.By))
	o.sides = append(o.sides, fmt.Sprint("side of ", r.N))
}

// fire lets all timers fire that stand at until or before.
func (o *oracle) fire(until int64) {
	for k, named := range o.timers {
		for name, at := range named {
			if at <= until {
				delete(named, name)
				o.sums = append(o.sums, fmt.Sprint(k, " ", name, " at ", at, " of ", o.states[k].Sum))
			}
		}
	}
}

// input makes n lines, of which some are no records.
func input(t *testing.T, n int) (path string, o *oracle) {
	path = filepath.Join(t.TempDir(), "in.csv")
	o = &oracle{states: map[string]*sums{}, timers: map[string]map[string]int64{}}
	lines := []string{"key,at,n"}
	newest := int64(0)
	for i := range n {
		r := rec{fmt.Sprint("k", i%3), int64(i / 4), int64(i + 1)}
		line := fmt.Sprintf("%s,%d,%d", r.Key, r.At, r.N)
		place := fmt.Sprintf("in.csv:%d", len(lines)+1)
		if i%47 == 5 {
			line += " is no number"
			place += fmt.Sprint(":", strings.LastIndexByte(line, ',')+2)
			o.letter(i, millrace.DeadLetter{
				Operator: "in", Place: place, Encoding: "raw", Raw: []byte(line),
				Error: fmt.Sprintf("%s: column \"n\": \"%d is no number\" is not a whole number (field rec.N is int64)", place, r.N),
			})
			lines = append(lines, line)
			continue
		}
		lines = append(lines, line)
		operator, why := fate(r)
		if r.N%5 == 0 && (operator == "both" || operator == "flat" || operator == "sum") || r.N%7 == 0 && (operator == "flat" || operator == "sum") {
			operator = "" // it is filtered out before
		}
		if operator != "" {
			raw, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			l := millrace.DeadLetter{Operator: operator, Place: place, Encoding: "json", Raw: raw, Error: why, EventTime: time.Unix(r.At, 0).UTC()}
			if operator == "in" {
				l.EventTime = time.Time{}
			}
			o.letter(i, l)
		}
		if operator == "in" {
			continue
		}
		if r.N%5 != 0 && r.N%7 != 0 && (operator == "" || operator == "sum") {
			if operator == "" {
				o.add(r)
			}
			o.add(rec{r.Key + "'", r.At, 0})
		}
		newest = max(newest, r.At)
		o.fire(newest - 1) // the watermark is 1 ns before the newest
	}
	o.fire(1 << 40)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, o
}

// TestFailedRecordsHaveNoEffect lets records fail at every kind of operator that can have a policy, after they have changed state, emitted and set timers;
// kills the job, and changes its parallelism. What comes out is what loops over the records make of those that do not fail, and a letter for each
// that does.
func TestFailedRecordsHaveNoEffect(t *testing.T) {
	path, want := input(t, 1500)
	byOperator := map[string]int{}
	for _, l := range want.letters {
		byOperator[l.Operator+" "+l.Encoding]++
	}
	for _, o := range []string{"in raw", "in json", "mapped json", "updated json", "filtered json", "both json", "flat json", "sum json"} {
		if byOperator[o] < 3 {
			t.Fatalf("the input has %d failures of %q", byOperator[o], o)
		}
	}
	report := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job { return failing(w, path) },
		millracetest.Kills(8), millracetest.Parallelism(1, 3), millracetest.Check(func(w *millracetest.Trial) error {
			once := func(name string) []string {
				return w.Once("sink "+name, memory.NewSink[string]).Records()
			}
			var got []millrace.DeadLetter
			for _, l := range w.Once("sink letters", memory.NewSink[millrace.DeadLetter]).Records() {
				l.Place = strings.TrimPrefix(l.Place, filepath.Dir(path)+"/")
				l.Split = strings.TrimPrefix(l.Split, filepath.Dir(path)+"/")
				l.Error = strings.TrimPrefix(l.Error, filepath.Dir(path)+"/")
				got = append(got, l)
			}
			return errors.Join(differ("sums", once("sums"), want.sums), differ("sides", once("sides"), want.sides), differ("letters", got, want.letters))
		}))
	if report.Kills < 8 {
		t.Errorf("%d kills", report.Kills)
	}
}

// differ tells the first difference between two lists in any order.
func differ[T any](what string, got, want []T) error {
	texts := func(list []T) []string {
		out := make([]string, len(list))
		for i, v := range list {
			b, err := json.Marshal(v)
			if err != nil {
				return []string{err.Error()}
			}
			out[i] = string(b)
		}
		slices.Sort(out)
		return out
	}
	g, w := texts(got), texts(want)
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			return fmt.Errorf("%s: %d, want %d; the first difference is at %d: %s, want %s", what, len(g), len(w), i, at(g, i), at(w, i))
		}
	}
	return nil
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}
