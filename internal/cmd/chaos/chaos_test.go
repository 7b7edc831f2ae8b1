package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
)

func TestASeedRepeatsThePlanAndAnotherDoesNot(t *testing.T) {
	plans := func(seed uint64) (out []string) {
		p := newPlanner(seed)
		for range 100 {
			out = append(out, p.next().String())
		}
		return out
	}
	if !slices.Equal(plans(7), plans(7)) {
		t.Error("two planners with seed 7 differ")
	}
	if slices.Equal(plans(7), plans(8)) {
		t.Error("seeds 7 and 8 give the same plan")
	}
}

func TestEveryPointHasItsTurn(t *testing.T) {
	p := newPlanner(1)
	times, moments := map[string]int{}, 0
	for range 300 {
		n := p.next()
		if n.point == "" {
			moments++
		} else {
			times[n.point]++
		}
		if n.nth < 1 {
			t.Fatalf("%v: it would never be reached", n)
		}
	}
	for _, point := range killPoints() {
		if times[point] < 3 {
			t.Errorf("%s: %d times in 300", point, times[point])
		}
	}
	if moments < 60 {
		t.Errorf("only %d of 300 kills are at any moment", moments)
	}
}

func TestTheTrackerKnowsARunningEpoch(t *testing.T) {
	cases := map[string]struct {
		points  string
		running bool
		at      string
	}{
		"before the first":        {"pass term.write,pass recover.before,pass recover.after", false, ""},
		"recovering":              {"pass recover.before,pass file.commit.done,kill recover.after", false, "recover.after"},
		"writing state":           {"pass recover.before,pass recover.after,pass snapshot.create", true, ""},
		"preparing":               {"pass file.create,kill file.sync", true, "file.sync"},
		"a part that is full":     {"pass file.create", false, ""},
		"between two sinks":       {"pass snapshot.create,pass manifest.write,pass commit.between", true, ""},
		"at the last step":        {"pass snapshot.create,kill commit.after", true, "commit.after"},
		"committed":               {"pass snapshot.create,pass commit.after", false, ""},
		"committed, and tidying":  {"pass snapshot.create,pass commit.after,kill retire.remove", false, "retire.remove"},
		"in the one after a done": {"pass commit.after,pass retire.remove,pass manifest.sync", true, ""},
	}
	for name, c := range cases {
		tr := tracker{}
		for line := range strings.SplitSeq(c.points, ",") {
			tr.line(line)
		}
		if tr.inEpoch != c.running || tr.atPoint != c.at {
			t.Errorf("%s: in an epoch %v, killed at %q; want %v, %q", name, tr.inEpoch, tr.atPoint, c.running, c.at)
		}
	}
}

func TestALateFlightThatIsThereTwiceIsCounted(t *testing.T) {
	hours, twice := lateHours([]string{"1,1000", "2,1000", "1,1000"})
	if twice != 1 || len(hours) != 3 || hours[0] != "1000" {
		t.Errorf("got %v, twice %d", hours, twice)
	}
}

func TestTheVerdictIsNotGuiltyOnlyWithoutAnyFault(t *testing.T) {
	if err := newTally().verdict(); err != nil {
		t.Errorf("nothing happened: %v", err)
	}
	guilty := map[string]func(*tally){
		"lost":      func(s *tally) { s.compared(1, 5, witness.Difference{Missing: 1}) },
		"twice":     func(s *tally) { s.compared(1, 5, witness.Difference{Twice: 1}) },
		"wrong":     func(s *tally) { s.compared(1, 5, witness.Difference{Extra: 1}) },
		"withdrawn": func(s *tally) { s.watched(witness.Violations{Withdrawn: 1}, 1, 1) },
		"torn":      func(s *tally) { s.watched(witness.Violations{Torn: 1}, 1, 1) },
		"undecided": func(s *tally) { s.watched(witness.Violations{Undecided: 1}, 1, 1) },
	}
	for name, do := range guilty {
		s := newTally()
		do(s)
		if s.verdict() == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

func TestTheFaultCountsEpochsThenPasses(t *testing.T) {
	var out strings.Builder
	f := &fault{out: &out, point: "commit.before", epochs: 1, nth: 2}
	for _, p := range []string{"commit.before", "commit.before", "commit.after", "commit.before"} {
		if err := f.pass(p); err != nil {
			t.Fatal(err)
		}
	}
	// The next pass of commit.before would be the end of this process.
	if f.epochs != 0 || f.nth != 1 || strings.Contains(out.String(), "kill") || strings.Count(out.String(), "pass") != 4 {
		t.Errorf("epochs %d, passes left %d, said %q", f.epochs, f.nth, fmt.Sprint(out.String()))
	}
}
