package scenario_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/millracetest"
)

// rec is a record of all scenarios.
type rec struct {
	Key string
	At  time.Time
	// N is a number, 1 if the scenario gives none, and X a number that need not be one.
	N int64
	X float64
	// Right says that the record belongs to the right side of a join, or to the second of two streams.
	Right bool
	// Do is what a process does with the record: the words behind it.
	Do string
}

func (r rec) time() time.Time { return r.At }
func (r rec) key() string     { return r.Key }
func (r rec) n() int64        { return r.N }
func (r rec) x() float64      { return r.X }

func (r rec) String() string {
	s := r.Key + "@" + clock(r.At)
	if r.N != 1 {
		s += fmt.Sprintf("=%d", r.N)
	}
	return s
}

// clock writes a time as the duration since the time 0 of scenarios, or as a date when it is far from there.
func clock(t time.Time) string {
	if d := t.Sub(time.Unix(0, 0)); d > -1000*time.Hour && d < 1000*time.Hour {
		return d.String()
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// moment reads a time: a duration since the time 0, or a date.
func moment(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return time.Unix(0, int64(d)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a duration since the time 0 nor a date", s)
	}
	return t, nil
}

// script is a scenario in steps.
type script struct {
	// job are the words of each part of the job.
	job [][]string
	// parts are the steps between stops.
	parts []millracetest.Scripted[rec]
	// sides says that there are records of a right side.
	sides bool
	// virtual says that something goes by the clock: the scenario runs in virtual time.
	virtual bool
	// apart are the scripts of splits that are read beside each other, if the job says so; there is one part then.
	apart []millracetest.Scripted[rec]
	// every is the number of records of an epoch.
	every int64
	// crashes are the parts that end with the death of the job, when all that it can do without more records is done.
	crashes map[int]bool
	// decisions are the epochs of such a part with whose decision it dies, if it is not to come to its end.
	decisions map[int]int
	// files is what the file holds that the job reads, if it reads one, in each part.
	files []string
	// saves are the parts that end with a savepoint, and forks those from which on the runs are those of a fork that begins at it.
	saves, forks map[int]bool
	// drains are the parts at whose end the job is drained.
	drains map[int]bool
	// lost are the parts before which the checkpoints are lost.
	lost  map[int]bool
	steps int
}

// parse reads the text of a scenario: the line of the job, then a line for each step.
func parse(text string) (script, error) {
	s := script{lost: map[int]bool{}, crashes: map[int]bool{}, decisions: map[int]int{}, every: 1}
	s.saves, s.forks, s.drains = map[int]bool{}, map[int]bool{}, map[int]bool{}
	var log []string
	in := millracetest.Script[rec]()
	apart := splits{}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		if i == 0 {
			if len(words) < 2 || words[0] != "job" {
				return s, errors.New(`the first line must be "job ..."`)
			}
			for part := range strings.SplitSeq(strings.TrimPrefix(line, "job"), ",") {
				s.job = append(s.job, strings.Fields(part))
				s.virtual = s.virtual || goesByClock(s.job[len(s.job)-1])
				apart.on = apart.on || slices.Equal(s.job[len(s.job)-1], []string{"splits", "apart"})
				if last := s.job[len(s.job)-1]; len(last) == 2 && last[0] == "every" {
					s.every, _ = strconv.ParseInt(last[1], 10, 64) // 0 is refused below
				}
			}
			if s.every < 1 {
				return s, errors.New("every: it needs a number of records")
			}
			continue
		}
		if len(words) == 0 {
			continue
		}
		s.steps++
		if words[0] == "stop" && apart.on {
			return s, errors.New("a scenario with splits apart has no stop")
		}
		if apart.on && words[0] == "split" {
			in = apart.begin(in, words)
			continue
		}
		if words[0] == "stop" && s.virtual {
			return s, errors.New("a scenario that goes by the clock has no stop")
		}
		if line == "fork" {
			s.forks[len(s.parts)] = true
			continue
		}
		if words[0] == "stop" || words[0] == "crash" || words[0] == "drain" {
			s.saves[len(s.parts)] = line == "stop with savepoint"
			s.drains[len(s.parts)] = line == "drain"
			if words[0] == "crash" {
				s.crashes[len(s.parts)], s.virtual = true, true
				if n, ok := strings.CutPrefix(line, "crash at decision "); ok {
					d, err := strconv.Atoi(n)
					if err != nil || d < 1 {
						return s, fmt.Errorf("line %q: it needs the number of an epoch of this run", line)
					}
					s.decisions[len(s.parts)] = d
				} else if line != "crash" {
					return s, fmt.Errorf("line %q: it is \"crash\" or \"crash at decision 1\"", line)
				}
			}
			s.parts, s.files = append(s.parts, in.StayOpen()), append(s.files, strings.Join(log, ""))
			continue
		}
		if n, ok := strings.CutPrefix(line, "truncate "); ok {
			left, err := strconv.Atoi(n)
			if err != nil || left > len(log) {
				return s, fmt.Errorf("line %q: the file has %d records", line, len(log))
			}
			log = log[:left]
			continue
		}
		if line == "lose checkpoints" {
			s.lost[len(s.parts)] = true
			continue
		}
		s.virtual = s.virtual || words[0] == "wait"
		s.sides = s.sides || words[0] == "right"
		more, err := step(in, words)
		if err != nil {
			return s, fmt.Errorf("line %q: %w", line, err)
		}
		in = more
		if r, err := record(words); err == nil && s.has("file") {
			b, err := json.Marshal(r)
			if err != nil {
				return s, err
			}
			log = append(log, string(b)+"\n")
		}
	}
	s.parts, s.files = append(s.parts, in), append(s.files, strings.Join(log, ""))
	if apart.on {
		apart.begin(in, nil)
		s.apart = apart.scripts
	}
	return s, in.Check()
}

// has reports whether the job has a part that begins with the word.
func (s script) has(word string) bool {
	return slices.ContainsFunc(s.job, func(part []string) bool { return len(part) > 0 && part[0] == word })
}

// splits collects the scripts of splits that are read beside each other. All steps of one stand together.
type splits struct {
	on      bool
	named   bool
	scripts []millracetest.Scripted[rec]
}

// begin ends the script before and begins that of another split.
func (s *splits) begin(before millracetest.Scripted[rec], words []string) millracetest.Scripted[rec] {
	if s.named {
		s.scripts = append(s.scripts, before)
	}
	s.named = len(words) > 0
	return millracetest.Script[rec]()
}

func step(in millracetest.Scripted[rec], words []string) (millracetest.Scripted[rec], error) {
	arg := func() string {
		if len(words) > 1 {
			return words[1]
		}
		return ""
	}
	switch words[0] {
	case "watermark":
		t, err := moment(arg())
		return in.Watermark(t), err
	case "wait":
		d, err := time.ParseDuration(arg())
		return in.Wait(d), err
	case "idle":
		return in.Idle(), nil
	case "split":
		return in.Split(arg()), nil
	case "end-split":
		return in.EndSplit(), nil
	}
	r, err := record(words)
	return in.Records(r), err
}

// record reads "[right] key time [n=1] [x=1.5] [words]".
func record(words []string) (rec, error) {
	r := rec{N: 1}
	if words[0] == "right" {
		r.Right, words = true, words[1:]
	}
	if len(words) < 2 {
		return r, errors.New("a record is a key and an event time")
	}
	t, err := moment(words[1])
	if err != nil {
		return r, err
	}
	r.Key, r.At = words[0], t
	words = words[2:]
	for len(words) > 0 {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok {
			r.Do = strings.Join(words, " ")
			break
		}
		if name == "x" {
			r.X, err = strconv.ParseFloat(value, 64)
		} else {
			r.N, err = strconv.ParseInt(value, 10, 64)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", words[0], err)
		}
		words = words[1:]
	}
	return r, nil
}

// goesByClock reports whether a part of a job does something at a processing time.
func goesByClock(part []string) bool {
	return len(part) > 0 && (part[0] == "max-ahead" || part[0] == "async")
}
