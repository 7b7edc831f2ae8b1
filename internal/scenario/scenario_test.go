package scenario_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	_ "time/tzdata" // the zones of scenarios, on machines that have none

	"github.com/cockroachdb/datadriven"
)

const (
	folder = "../../docs/semantics"
	page   = "../../docs/semantics.md"
)

// TestScenarios runs every scenario. With -rewrite what they show is written into the files: read the difference, rule in hand.
func TestScenarios(t *testing.T) {
	before := kills.Load()
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "run" {
				d.Fatalf(t, "there is no command %q, only run", d.Cmd)
			}
			out, err := try(t, d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return out
		})
	})
	n := kills.Load() - before
	t.Logf("%d runs were killed", n)
	if !t.Failed() && n == 0 {
		t.Error("no run was killed")
	}
}

// row is a row of a table of the page: question, rule, and the link to the scenario.
var row = regexp.MustCompile(`^\| (.+?) \| (.+) \| \[(.+)\]\(semantics/(.+)\.txt\) \|$`)

// TestEveryRuleHasItsScenario: every row of the tables of the page has a scenario, which says in its first line what it is about,
// and every scenario has a row.
func TestEveryRuleHasItsScenario(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var linked []string
	table := ""
	for i, line := range strings.Split(string(text), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			table = title
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| Question |") {
			continue
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %d of %s is no row of question, rule and scenario: %s", i+1, page, line)
			continue
		}
		linked = append(linked, m[4]+".txt")
		scenario, err := os.ReadFile(filepath.Join(folder, m[4]+".txt"))
		if err != nil {
			t.Errorf("line %d of %s: %v", i+1, page, err)
			continue
		}
		first, _, _ := strings.Cut(string(scenario), "\n")
		if want := "# " + table + ": " + m[1]; first != want {
			t.Errorf("%s.txt begins with %q, want %q", m[4], first, want)
		}
		if !strings.Contains(string(scenario), "\nrun\n") {
			t.Errorf("%s.txt runs nothing", m[4])
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(linked, f.Name()) {
			t.Errorf("%s has no row in %s", f.Name(), page)
		}
	}
	if len(linked) < 30 {
		t.Errorf("only %d rows were found: the page is read wrongly", len(linked))
	}
}
