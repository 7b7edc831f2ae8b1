package reference

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how far, relatively, a float may be from the reference, which has nine digits.
const tolerance = 1e-8

// ErrMismatch says that results are not those of the reference.
var ErrMismatch = errors.New("mismatch")

// table is the reference of a query: its column names and rows.
type table struct {
	columns []string
	rows    []Row
	// key is the number of columns, from the left, that tell rows apart.
	key int
}

// readTable reads a reference file.
func readTable(path string) (table, error) {
	f, err := os.Open(path)
	if err != nil {
		return table{}, fmt.Errorf("reference: %w", err)
	}
	all, err := csv.NewReader(bufio.NewReader(f)).ReadAll()
	if err = errors.Join(err, f.Close()); err != nil {
		return table{}, fmt.Errorf("reference: %s: %w", path, err)
	}
	if len(all) < 2 {
		return table{}, fmt.Errorf("reference: %s has no rows", path)
	}
	t := table{columns: all[0]}
	for _, r := range all[1:] {
		t.rows = append(t.rows, r)
	}
	t.key = 1 + slices.IndexFunc(t.columns, func(c string) bool { return c == "window_end" || c == "session_end" })
	if t.key == 0 && joined(t.columns) {
		t.key = 2
	}
	if t.key == 0 {
		return table{}, fmt.Errorf("reference: %s has no column window_end or session_end, and does not begin with two numbers of records", path)
	}
	if len(t.columns) > t.key && t.columns[t.key] == "rnk" {
		t.key++
	}
	return t, nil
}

// joined reports whether rows begin with the numbers of two records, as those of joins do.
func joined(columns []string) bool {
	number := func(c string) bool { return strings.HasSuffix(c, "_id") || strings.HasSuffix(c, "_seq") }
	return len(columns) > 2 && number(columns[0]) && number(columns[1])
}

// compare returns nil when got has the rows of the table, each once, in any order. Else it is an ErrMismatch that says how many
// differ and shows the first.
func (t table) compare(got []Row) error {
	want := map[string]Row{}
	for _, r := range t.rows {
		want[strings.Join(r[:t.key], ",")] = r
	}
	if len(want) != len(t.rows) {
		return fmt.Errorf("reference: %d rows have %d keys", len(t.rows), len(want))
	}
	wrong, first := 0, ""
	report := func(format string, args ...any) {
		if wrong++; wrong == 1 {
			first = fmt.Sprintf(format, args...)
		}
	}
	seen := map[string]bool{}
	for _, r := range got {
		if len(r) != len(t.columns) {
			report("row %v has %d columns, not %d", r, len(r), len(t.columns))
			continue
		}
		k := strings.Join(r[:t.key], ",")
		switch w := want[k]; {
		case w == nil:
			report("row %v is not in the reference", r)
		case seen[k]:
			report("row %v comes again", r)
		default:
			if c := t.differ(w, r); c != "" {
				report("column %s of %s: got %v, want %v", c, k, r[t.key:], w[t.key:])
			}
		}
		seen[k] = true
	}
	for _, r := range t.rows { // in their order, so that the message is the same every time
		if k := strings.Join(r[:t.key], ","); !seen[k] {
			report("row %v is missing", r)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%w: %d of %d rows differ (got %d): %s", ErrMismatch, wrong, len(t.rows), len(got), first)
	}
	return nil
}

// differ returns the name of the first column that differs, or "".
func (t table) differ(want, got Row) string {
	for i, name := range t.columns {
		if want[i] == got[i] {
			continue
		}
		if strings.HasPrefix(name, "avg_") || strings.HasPrefix(name, "f_") {
			w, werr := strconv.ParseFloat(want[i], 64)
			g, gerr := strconv.ParseFloat(got[i], 64)
			if werr == nil && gerr == nil && math.Abs(w-g) <= tolerance*math.Abs(w) {
				continue
			}
		}
		return name
	}
	return ""
}

// withDropped puts the number of late rows of each window into the rows of those that were in time, as the fourth column.
// A window of which all records were late has no row of its own.
func withDropped(kept, late []Row) []Row {
	dropped := map[string]int64{}
	for _, r := range late {
		dropped[strings.Join(r, ",")]++
	}
	var out []Row
	for _, r := range kept {
		if len(r) != 4 {
			out = append(out, r) // compare complains about it
			continue
		}
		k := strings.Join(r[:2], ",")
		out = append(out, Row{r[0], r[1], r[2], show(dropped[k]), r[3]})
		delete(dropped, k)
	}
	for _, k := range slices.Sorted(maps.Keys(dropped)) {
		out = append(out, append(strings.Split(k, ","), "0", show(dropped[k]), "0"))
	}
	return out
}

// readRows reads the part files of a sink's directory.
func readRows(dir string) ([]Row, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "[^._]*"))
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	var rows []Row
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("reference: read results: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			var r Row
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return nil, fmt.Errorf("reference: %s: %w", p, err)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}
