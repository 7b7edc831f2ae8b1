package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
)

// tally is what has happened so far.
type tally struct {
	kills, inEpoch, anyMoment int
	byPoint                   map[string]int
	byParallelism             map[int]int
	passed, failed            int
	rows, seen, looks         int
	lost, twice, wrong        int
	violations                witness.Violations
	notes                     []string
}

func newTally() *tally { return &tally{byPoint: map[string]int{}, byParallelism: map[int]int{}} }

func (t *tally) killed(p plan, e ending) {
	t.kills++
	t.byParallelism[p.parallelism]++
	if e.inEpoch {
		t.inEpoch++
	}
	if p.point == "" {
		t.anyMoment++
	} else {
		t.byPoint[p.point]++
	}
}

func (t *tally) watched(v witness.Violations, rows, looks int) {
	t.seen += rows
	t.looks += looks
	t.violations.Withdrawn += v.Withdrawn
	t.violations.Torn += v.Torn
	t.violations.Undecided += v.Undecided
	t.notes = append(t.notes, v.Notes...)
}

func (t *tally) compared(job, rows int, d witness.Difference) {
	t.rows += rows
	t.lost += d.Missing
	t.twice += d.Twice
	t.wrong += d.Extra
	if d.None() {
		t.passed++
	} else {
		t.failed++
	}
	for _, n := range d.Notes {
		t.notes = append(t.notes, fmt.Sprintf("job %d, %s", job, n))
	}
}

func (t *tally) print(w io.Writer, took time.Duration) {
	fmt.Fprintf(w, "\nkills                       %d in %.1f s\n", t.kills, took.Seconds())
	fmt.Fprintf(w, "  in a running epoch        %d (one that had begun to write and was not committed)\n", t.inEpoch)
	fmt.Fprintf(w, "  at any moment             %d\n", t.anyMoment)
	fmt.Fprintf(w, "  at points                 %d\n", t.kills-t.anyMoment)
	points := make([]string, 0, len(t.byPoint))
	for p, n := range t.byPoint {
		points = append(points, fmt.Sprintf("%s %d", p, n))
	}
	slices.SortFunc(points, cmp.Compare[string])
	for group := range slices.Chunk(points, 4) {
		fmt.Fprintf(w, "    %s\n", strings.Join(group, ", "))
	}
	fmt.Fprintf(w, "  of 1, 2, 4 subtasks       %d, %d, %d\n", t.byParallelism[1], t.byParallelism[2], t.byParallelism[4])
	fmt.Fprintf(w, "rows seen while running     %s, in %s looks\n", thousands(t.seen), thousands(t.looks))
	fmt.Fprintf(w, "rows equal to the reference %s\n", thousands(t.rows))
	fmt.Fprintf(w, "records lost                %d\n", t.lost)
	fmt.Fprintf(w, "records twice               %d\n", t.twice)
	fmt.Fprintf(w, "records wrong               %d\n", t.wrong)
	fmt.Fprintf(w, "uncommitted rows seen       %d (and %d in part, %d withdrawn)\n", t.violations.Undecided, t.violations.Torn, t.violations.Withdrawn)
	fmt.Fprintf(w, "jobs completed and compared %d: %d passed, %d failed\n", t.passed+t.failed, t.passed, t.failed)
}

// verdict returns an error if anything is not as it must be.
func (t *tally) verdict() error {
	if t.failed == 0 && t.lost+t.twice+t.wrong == 0 && !t.violations.Any() {
		return nil
	}
	return fmt.Errorf("the output is not what it must be:\n  %s", strings.Join(t.notes[:min(len(t.notes), 40)], "\n  "))
}
