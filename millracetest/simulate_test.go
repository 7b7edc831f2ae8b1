package millracetest_test

import (
	"regexp"
	"testing"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

func TestSimulatePassesARightJob(t *testing.T) {
	in := sales(150, 60)
	tb := &fake{}
	millracetest.Simulate(tb, func(w *millracetest.Trial) *millrace.Job {
		return sums(memory.Of(in...), file.JSONL[pane](w.Path("sums")), w.Collect[sale]("late"))
	}, millracetest.Seeds(30))
	if tb.failure != "" {
		t.Fatal(tb.failure)
	}
	m := regexp.MustCompile(`(\d+) lives in 30 simulated worlds: 30 times the same (\d+) results`).FindStringSubmatch(tb.logs[0])
	if m == nil || len(m[1]) < 2 || m[1] <= "30" {
		t.Errorf("too little was done: %q", tb.logs)
	}
}

// TestSimulateFindsMistakesOfASink, and says how to repeat it, which does the same to the letter.
func TestSimulateFindsMistakesOfASink(t *testing.T) {
	tb := &fake{}
	millracetest.Simulate(tb, outsideJob(true, false))
	m := regexp.MustCompile(`seed (\d+)\n`).FindStringSubmatch(tb.failure)
	if m == nil {
		t.Fatalf("no seed in %q", tb.failure)
	}
	fails(t, func(tb millracetest.TB) { millracetest.Simulate(tb, outsideJob(true, false)) }, tb.failure, `output "outside"`, "too many",
		"repeat it with: millracetest.Simulate(t, build, millracetest.Seed("+m[1]+"), millracetest.Seeds(1))")
}

func TestSimulateRefusesWhatWouldShowNothing(t *testing.T) {
	right := func(w *millracetest.Trial) *millrace.Job {
		return sums(memory.Of(sales(20, 3)...), w.Collect[pane]("sums"), w.Collect[sale]("late"))
	}
	for want, f := range map[string]func(tb millracetest.TB){
		"millracetest: Simulate: the function that builds the job is nil": func(tb millracetest.TB) { millracetest.Simulate(tb, nil) },
		"there is nothing to compare": func(tb millracetest.TB) {
			millracetest.Simulate(tb, func(*millracetest.Trial) *millrace.Job {
				return sums(memory.Of(sales(20, 3)...), memory.NewSink[pane](), memory.NewSink[sale]())
			})
		},
		"Seeds(0): it must be 1 or more":          func(tb millracetest.TB) { millracetest.Simulate(tb, right, millracetest.Seeds(0)) },
		"option Virtual is not one of Simulate":   func(tb millracetest.TB) { millracetest.Simulate(tb, right, millracetest.Virtual()) },
		"Kills and At are options of Crash alone": func(tb millracetest.TB) { millracetest.Simulate(tb, right, millracetest.Kills(3)) },
	} {
		fails(t, f, want)
	}
}
