package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/millracetest"
)

func TestAllOutputsAreRight(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	err := run(t.Context(), []string{"-rate", "20000", "-duration", "2s", "-dir", dir, "-seed", "7"}, &out, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"40000 payments", "0 too late to be judged", "committed ", "notified ", "33 planted cases found", "0 alerts came again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestSurvivesKills compares the alerts of a job that is killed at all kinds of moments with those of a calm run, at one and
// more subtasks, and with what was planted.
func TestSurvivesKills(t *testing.T) {
	w := newWorld(3, 12_000)
	millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
		return build(gateway{world: w, lines: 2}, file.JSONL[Alert](trial.Path("alerts")), quiet{})
	}, millracetest.Kills(6), millracetest.Check(func(trial *millracetest.Trial) error {
		lines, err := trial.Lines(trial.Path("alerts"))
		if err != nil {
			return err
		}
		path := filepath.Join(t.TempDir(), "alerts.jsonl")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			return err
		}
		alerts, err := readAlerts(path)
		if err != nil {
			return err
		}
		_, err = w.check(alerts, true)
		return err
	}))
}

// quiet is a notification that nobody hears.
type quiet struct{}

func (quiet) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

func (quiet) OpenWriter(context.Context, connect.SinkInfo) (connect.Writer[Alert], error) {
	return quiet{}, nil
}

func (quiet) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

func (quiet) Write(context.Context, []Alert) error                    { return nil }
func (quiet) Prepare(context.Context, uint64) (connect.Finish, error) { return nil, nil }
func (quiet) Flush(context.Context) error                             { return nil }
func (quiet) Close() error                                            { return nil }

func TestCheckFindsWhatIsWrong(t *testing.T) {
	w := newWorld(1, 12_000)
	var right []Alert
	for f := range w.expected() {
		right = append(right, Alert{Rule: f.rule, Payment: f.payment})
	}
	if _, err := w.check(right, true); err != nil {
		t.Fatalf("the right alerts are refused: %v", err)
	}
	i := slices.IndexFunc(right, func(a Alert) bool { return a.Rule == Amount })
	first := right[i].Payment
	var card uint64
	for _, c := range w.cases {
		if c.rule == Amount && c.payments[0] == first {
			card = c.card
		}
	}
	innocent := uint64(1)
	for ; w.expected()[finding{Travel, innocent}]; innocent++ {
	}
	for _, c := range []struct {
		name, want string
		alerts     []Alert
		once       bool
	}{
		{"missing", fmt.Sprintf("the amount case of card %d was planted, and payments [%d] of it are not alerted", card, first),
			slices.Delete(slices.Clone(right), i, i+1), true},
		{"innocent", fmt.Sprintf("payment %d is alerted for travel, and is innocent", innocent), append(slices.Clone(right), Alert{Rule: Travel, Payment: innocent}), true},
		{"twice", "1 alerts came more than once", append(slices.Clone(right), right[0]), true},
		{"twice where it may", "", append(slices.Clone(right), right[0]), false},
	} {
		_, err := w.check(c.alerts, c.once)
		if got := fmt.Sprint(errors.Join(err)); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWorldIsAsDescribed(t *testing.T) {
	w := newWorld(5, 24_000)
	count := map[Rule]int{}
	for _, c := range w.cases {
		count[c.rule]++
	}
	if n := len(w.cases); n != 20 || count[Velocity] < 6 || count[Travel] < 6 || count[Amount] < 6 {
		t.Fatalf("%d cases: %v", n, count)
	}
	newest, seen, again := time.Time{}, map[uint64]Payment{}, 0
	for i := range w.total {
		p := w.at(i)
		if !newest.IsZero() && newest.Sub(p.Time) >= patience {
			t.Fatalf("payment %d comes %v late", p.ID, newest.Sub(p.Time))
		}
		if p.Time.After(newest) {
			newest = p.Time
		}
		if old, ok := seen[p.ID]; ok {
			again++
			if old != p {
				t.Fatalf("payment %d comes again as another one: %v, %v", p.ID, old, p)
			}
		}
		seen[p.ID] = p
	}
	if again < int(w.total)/70 || again > int(w.total)/40 {
		t.Errorf("%d of %d come again", again, w.total)
	}
}

func TestReaderGoesOnWhereItWas(t *testing.T) {
	g := gateway{world: newWorld(1, 12_001), lines: 2}
	seen := map[int64]bool{}
	for _, split := range []string{"line-000", "line-001"} {
		var position []byte
		for end := false; !end; {
			r, err := g.Open(t.Context(), connect.Split{ID: split}, position)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				batch := make([]Payment, 1000)
				n, err := r.Read(t.Context(), batch)
				end = errors.Is(err, io.EOF)
				if err != nil && !end {
					t.Fatal(err)
				}
				for i := range n {
					var line int
					var number int64
					if _, err := fmt.Sscanf(r.Where(i), "line-%d: payment %d", &line, &number); err != nil {
						t.Fatal(err)
					}
					place := 2*number + int64(line)
					want := g.world.at(place)
					if want.Arrived = batch[i].Arrived; seen[place] || want != batch[i] {
						t.Fatalf("place %d, seen %v: got %+v, want %+v", place, seen[place], batch[i], want)
					}
					seen[place] = true
				}
			}
			position = r.Position()
		}
	}
	if len(seen) != 12_001 {
		t.Errorf("%d payments, want 12001", len(seen))
	}
	for _, c := range []struct {
		split, position, want string
	}{
		{"line-002", "", `fraud: there is no line "line-002"`},
		{"line-000", "\xff\xff\x7f", errPosition.Error()},
		{"line-000", "\x01\x01", errPosition.Error()},
	} {
		if _, err := g.Open(t.Context(), connect.Split{ID: c.split}, []byte(c.position)); err == nil || err.Error() != c.want {
			t.Errorf("%s at %x: error %v, want %s", c.split, c.position, err, c.want)
		}
	}
}

func TestKilometres(t *testing.T) {
	for _, c := range []struct {
		lat1, lon1, lat2, lon2, want float64
	}{
		{52.5200, 13.4050, 48.8566, 2.3522, 878},      // Berlin, Paris
		{40.7128, -74.0060, 51.5074, -0.1278, 5570},   // New York, London
		{-36.8509, 174.7645, 40.4168, -3.7038, 19590}, // Auckland, Madrid: nearly the other side
		{0, 179.5, 0, -179.5, 111},                    // over the date line
		{10, 20, 10, 20, 0},
	} {
		if got := kilometres(c.lat1, c.lon1, c.lat2, c.lon2); math.Abs(got-c.want) > 0.003*c.want+0.001 {
			t.Errorf("%v: %.1f km", c, got)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-rate", "0"}, "-rate is 0: it must be more than 0"},
		{[]string{"-duration", "100ms"}, "-rate 20000 for -duration 100ms makes fewer than 12000 payments: too few for a fraud"},
		{[]string{"-job-only"}, "-job-only needs -dir"},
		{[]string{"now"}, `unknown argument "now"`},
	} {
		if err := run(t.Context(), c.args, io.Discard, io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("%v: error %v, want %s", c.args, err, c.want)
		}
	}
}
