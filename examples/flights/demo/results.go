package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
)

// output is a directory of results, the columns of expected/NAME.csv that it is compared with, and how its rows are read.
type output struct {
	name    string
	columns []int
	read    func(line string) (string, error)
}

var outputs = []output{
	{"hourly", []int{0, 1, 2, 3, 4, 5, 6, 7}, readHourly},
	{"hubs", []int{0, 1, 2, 3, 4, 5}, readHubs},
	{"routes", []int{0, 2, 3, 4}, readRoutes},
	{"board", []int{0, 1, 2, 3, 4}, readBoard},
	{"late", []int{0, 1, 2, 3, 4, 5}, readLate},
}

// row joins values; times become milliseconds, as in the references.
func row(values ...any) string {
	text := make([]string, len(values))
	for i, v := range values {
		if t, ok := v.(time.Time); ok {
			v = t.UnixMilli()
		}
		text[i] = fmt.Sprint(v)
	}
	return strings.Join(text, ",")
}

// pane is a result as JSON has it.
type pane[R any] struct {
	Key      string    `json:"key"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Value    R         `json:"value"`
	Revision int       `json:"revision"`
	Kind     string    `json:"kind"`
}

func readPane[R any](line string) (p pane[R], err error) {
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		return p, err
	}
	if p.Revision != 0 || p.Kind != "on-time" {
		return p, fmt.Errorf("revision %d, %s: each window has one result here", p.Revision, p.Kind)
	}
	return p, nil
}

func readHubs(line string) (string, error) {
	p, err := readPane[struct {
		Flights  int64 `json:"flights"`
		DelaySum int64 `json:"delay_sum"`
		DelayMax int64 `json:"delay_max"`
	}](line)
	return row(p.Key, p.Start, p.End, p.Value.Flights, p.Value.DelaySum, p.Value.DelayMax), err
}

func readBoard(line string) (string, error) {
	p, err := readPane[struct {
		Flights  int64 `json:"flights"`
		DelayMax int64 `json:"delay_max"`
	}](line)
	return row(p.Key, p.Start, p.End, p.Value.Flights, p.Value.DelayMax), err
}

func readLate(line string) (string, error) {
	var f struct {
		ID          int64     `json:"id"`
		Scheduled   time.Time `json:"scheduled"`
		Delay       int64     `json:"delay_min"`
		Distance    int64     `json:"distance_mi"`
		Origin      string    `json:"origin"`
		Destination string    `json:"destination"`
	}
	err := json.Unmarshal([]byte(line), &f)
	return row(f.ID, f.Scheduled, f.Delay, f.Distance, f.Origin, f.Destination), err
}

func fields(line string, n int) ([]string, error) {
	f, err := csv.NewReader(strings.NewReader(line)).Read()
	if err == nil && len(f) != n {
		err = fmt.Errorf("%d values, want %d", len(f), n)
	}
	return f, err
}

func readHourly(line string) (string, error) {
	f, err := fields(line, 12)
	if err != nil {
		return "", err
	}
	start, err1 := time.Parse(time.RFC3339, f[1])
	end, err2 := time.Parse(time.RFC3339, f[2])
	mean, err3 := strconv.ParseFloat(f[7], 64)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return "", err
		}
	}
	if f[8] != "0" || f[9] != "on-time" {
		return "", fmt.Errorf("revision %s, %s: each window has one result here", f[8], f[9])
	}
	return row(f[0], start, end, f[3], f[4], f[5], f[6], nineDigits(mean)), nil
}

// nineDigits is how the references write a mean.
func nineDigits(f float64) string { return strconv.FormatFloat(f, 'g', 9, 64) }

func readRoutes(line string) (string, error) {
	f, err := fields(line, 4)
	if err != nil {
		return "", err
	}
	day, err := time.Parse(time.DateOnly, f[0])
	return row(day, f[1], f[2], f[3]), err
}

// rows returns what is committed in an output, in the form of the references.
func (t *theater) rows(o output) ([]string, error) {
	lines := t.witness.Lines(t.output(o.name))
	rows := make([]string, len(lines))
	for i, line := range lines {
		var err error
		if rows[i], err = o.read(line); err != nil {
			return nil, fmt.Errorf("%s: row %q: %w", o.name, line, err)
		}
	}
	return rows, nil
}

// results prints something of what was found out.
func (t *theater) results() error {
	routes, err := t.rows(outputs[2])
	if err != nil {
		return err
	}
	hourly, err := t.rows(outputs[0])
	if err != nil {
		return err
	}
	t.say("\nBusiest routes of each day                 Busiest airports of all days")
	slices.Sort(routes)
	left := []string{}
	day := ""
	for _, r := range routes {
		f := strings.Split(r, ",")
		ms, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return err
		}
		name := time.UnixMilli(ms).UTC().Format(time.DateOnly)
		if name == day {
			name = strings.Repeat(" ", len(name))
		} else {
			day = name
		}
		left = append(left, fmt.Sprintf("  %s  %s. %-8s %4s flights", name, f[1], f[2], f[3]))
	}
	right := airports(hourly, len(left))
	for i := range left {
		line := left[i]
		if i < len(right) {
			line = fmt.Sprintf("%-43s%s", line, right[i])
		}
		t.say("%s", line)
	}
	return nil
}

// airports adds up the hours of each airport.
func airports(hourly []string, n int) []string {
	type account struct {
		name           string
		flights, delay int64
	}
	byName := map[string]*account{}
	var all []*account
	for _, r := range hourly {
		f := strings.Split(r, ",")
		a := byName[f[0]]
		if a == nil {
			a = &account{name: f[0]}
			byName[f[0]] = a
			all = append(all, a)
		}
		flights, err1 := strconv.ParseInt(f[3], 10, 64)
		delay, err2 := strconv.ParseInt(f[4], 10, 64)
		if err1 == nil && err2 == nil { // the comparison with the reference finds what is not a number
			a.flights += flights
			a.delay += delay
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].flights > all[j].flights || all[i].flights == all[j].flights && all[i].name < all[j].name
	})
	var out []string
	for _, a := range all[:min(n, len(all))] {
		out = append(out, fmt.Sprintf("  %s %6s flights, %5.1f min late", a.name, thousands(int(a.flights)), float64(a.delay)/float64(a.flights)))
	}
	return out
}

// prove compares every output with its reference and says so.
func (t *theater) prove() error {
	t.say("\nCommitted rows against those computed by SQL (examples/flights/expected)")
	t.say("  %-8s %9s %9s %9s %9s", "output", "equal", "missing", "extra", "twice")
	bad, total := []string{}, 0
	for _, o := range outputs {
		reference, err := witness.Reference(filepath.Join(t.example, "expected", o.name+".csv"))
		if err != nil {
			return err
		}
		got, err := t.rows(o)
		if err != nil {
			return err
		}
		d := witness.Compare(witness.Columns(reference, o.columns...), got)
		total += d.Rows
		t.say("  %-8s %9s %9d %9d %9d", o.name, thousands(d.Rows), d.Missing, d.Extra, d.Twice)
		bad = append(bad, d.Notes...)
	}
	rows, looks := t.witness.Rows()
	v := t.witness.Violations()
	t.say("\nThe reader has looked %s times and seen %s rows: %d withdrawn, %d in part, %d before they were committed.",
		thousands(looks), thousands(rows), v.Withdrawn, v.Torn, v.Undecided)
	if bad = append(bad, v.Notes...); len(bad) > 0 {
		return fmt.Errorf("the output is not what it should be:\n  %s", strings.Join(bad, "\n  "))
	}
	t.say("PROVEN: %s rows equal, 0 missing, 0 extra, 0 twice, after %d kills.", thousands(total), len(kills))
	return nil
}

// thousands writes a number with a comma after each thousand.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
