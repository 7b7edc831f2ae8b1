package progress

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace-stream/millrace/internal/element"
)

// TestScenarios runs the files in testdata/scenarios. A command has one step on a line; the result shows each with what it gave.
//
//	combiner inputs=2    steps: wm INPUT TIME, idle INPUT, wake INPUT, end INPUT, remove INPUT, add, restart
//	bounded bound=5      steps: event times
//	idleness after=10    steps: NOW and any of busy (not at the end), flight, blocked, got; restart
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			step := map[string]func(*testing.T, *datadriven.TestData) func([]string) string{
				"combiner": combinerSteps, "bounded": boundedSteps, "idleness": idlenessSteps,
			}[d.Cmd]
			if step == nil {
				t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			}
			do := step(t, d)
			for line := range strings.SplitSeq(d.Input, "\n") {
				fmt.Fprintf(&b, "%-12s %s\n", line, do(strings.Fields(line)))
			}
			return b.String()
		})
	})
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	switch s {
	case "min":
		return element.NoTime
	case "max":
		return element.EndTime
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func show(wm int64) string {
	switch wm {
	case element.NoTime:
		return "none"
	case element.EndTime:
		return "end"
	}
	return fmt.Sprint(wm)
}

func combinerSteps(t *testing.T, d *datadriven.TestData) func([]string) string {
	var n int
	d.ScanArgs(t, "inputs", &n)
	c := NewCombiner(n)
	return func(f []string) string {
		var wm int64
		var advanced bool
		var i int
		switch f[0] {
		case "add":
			c.Add()
		case "restart":
			var err error
			if c, err = RestoreCombiner(c.State()); err != nil {
				t.Fatal(err)
			}
		default:
			i = int(number(t, f[1]))
			switch f[0] {
			case "wm":
				wm, advanced = c.Advance(i, number(t, f[2]))
			case "idle", "wake":
				wm, advanced = c.SetIdle(i, f[0] == "idle")
			case "end":
				wm, advanced = c.End(i)
			case "remove":
				wm, advanced = c.Remove(i)
			default:
				t.Fatalf("unknown step %v", f)
			}
		}
		s := "output " + show(c.Output())
		if advanced {
			s = "OUTPUT " + show(wm)
		}
		if c.AllIdle() {
			s += " idle"
		}
		s += "  inputs:"
		for i := range c.Len() {
			s += fmt.Sprintf(" %v@%s", c.Status(i), show(c.Watermark(i)))
		}
		return s
	}
}

func boundedSteps(t *testing.T, d *datadriven.TestData) func([]string) string {
	var bound int64
	d.ScanArgs(t, "bound", &bound)
	b, err := NewBounded(time.Duration(bound))
	if err != nil {
		t.Fatal(err)
	}
	return func(f []string) string {
		wm, advanced := b.Observe(number(t, f[0]))
		if advanced {
			return "WATERMARK " + show(wm)
		}
		return "watermark " + show(wm)
	}
}

func idlenessSteps(t *testing.T, d *datadriven.TestData) func([]string) string {
	var after int64
	d.ScanArgs(t, "after", &after)
	idle := Idleness{After: time.Duration(after)}
	return func(f []string) string {
		if f[0] == "restart" {
			was := idle.Idle()
			idle = Idleness{After: time.Duration(after)}
			idle.Restore(was)
		} else {
			l := Look{Now: number(t, f[0]), AtEnd: true}
			for _, w := range f[1:] {
				switch w {
				case "busy":
					l.AtEnd = false
				case "flight":
					l.InFlight = true
				case "blocked":
					l.Backpressured = true
				case "got":
					l.GotRecords = true
				default:
					t.Fatalf("unknown word %q", w)
				}
			}
			idle.Observe(l)
		}
		if idle.Idle() {
			return "idle"
		}
		return "busy"
	}
}
