package reference

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
)

// suite prepares the inputs; it skips the test where they are absent.
func suite(t *testing.T) *Suite {
	t.Helper()
	data, err := FindData()
	if errors.Is(err, ErrNoData) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSuite(data, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestQueries runs every query in every way. Under the race detector, which makes it ten times slower, and with -short, those over
// big inputs take turns: each is run in one way.
func TestQueries(t *testing.T) {
	s := suite(t)
	turn := 0
	for _, q := range Queries() {
		ways := Ways()
		if (underRace || testing.Short()) && q.Records() > 100_000 {
			i := turn % len(ways)
			ways = ways[i : i+1]
			turn++
		}
		for _, w := range ways {
			t.Run(q.Name+"/"+string(w), func(t *testing.T) {
				r, err := s.Run(t.Context(), q, w)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d rows in %v; killed: %s", r.Rows, r.Took, strings.Join(r.Kills, "; "))
				if want := map[Way]int{Killed: 2, Parallel: 2}[w]; len(r.Kills) != want {
					t.Errorf("killed %d times, want %d", len(r.Kills), want)
				}
			})
		}
	}
}

// TestWrongQueriesAreFound makes mistakes that the comparison with the reference must find, in every way.
func TestWrongQueriesAreFound(t *testing.T) {
	s := suite(t)
	for _, tc := range []struct {
		name  string
		input *input
		build func(*millrace.Job, string) outputs
	}{
		{"q4_late_drop_6h_bound1h", &quakeInput, lateQuakes(2 * time.Hour)},
		{"q4_late_drop_6h_bound1h", &quakeInput, func(j *millrace.Job, path string) outputs {
			o := lateQuakes(time.Hour)(j, path)
			o.late = o.late.Filter(func(r Row) bool { return r[0] != "1517356800000" })
			return o
		}},
		{"g3_top5_repo_1h", &githubInput, queryNamed(t, "g1_tumbling_10m_type").build},
		{"g3_top5_repo_1h", &githubInput, func(j *millrace.Job, path string) outputs {
			o := queryNamed(t, "g3_top5_repo_1h").build(j, path)
			o.rows = o.rows.Union(o.rows)
			return o
		}},
	} {
		for _, w := range Ways() {
			_, err := s.Run(t.Context(), Query{Name: tc.name, input: tc.input, build: tc.build}, w)
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("%s, %s: got %v, want a mismatch", tc.name, w, err)
			}
		}
	}
}

// TestKillThatDoesNotComeIsAnError guards the guard: a run that was to be killed and was not proves nothing.
func TestKillThatDoesNotComeIsAnError(t *testing.T) {
	s := suite(t)
	q := queryNamed(t, "g1_tumbling_10m_type")
	few := *q.input
	few.epoch = q.input.records // an epoch at the end and none before
	q.input = &few
	_, err := s.Run(t.Context(), q, Killed)
	if err == nil || errors.Is(err, ErrMismatch) {
		t.Fatalf("got %v, want an error that says that the run was not killed as planned", err)
	}
}

// TestEveryKillPointIsUsed says that the queries together are killed at every point of the list.
func TestEveryKillPointIsUsed(t *testing.T) {
	used := map[string]bool{}
	s := &Suite{}
	for _, q := range Queries() {
		for start := range 2 {
			used[s.killer(q, start).point] = true
		}
	}
	for _, p := range killPoints {
		if !used[p] {
			t.Errorf("no query is killed at %s", p)
		}
	}
}

func queryNamed(t *testing.T, name string) Query {
	t.Helper()
	all := Queries()
	i := slices.IndexFunc(all, func(q Query) bool { return q.Name == name })
	if i < 0 {
		t.Fatalf("there is no query %s", name)
	}
	return all[i]
}
