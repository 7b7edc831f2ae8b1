package witness

import (
	"encoding/csv"
	"fmt"
	"os"
	"strings"
)

// Difference is what remains when the rows that were wanted are held against those that came, as multisets.
type Difference struct {
	// Rows is how many came and were wanted.
	Rows int
	// Missing were wanted and did not come, Twice came more often than wanted, Extra were not wanted at all.
	Missing, Twice, Extra int
	// Notes shows some of them.
	Notes []string
}

// None reports whether there is no difference.
func (d Difference) None() bool { return d.Missing+d.Twice+d.Extra == 0 }

// Compare compares two multisets of rows.
func Compare(want, got []string) Difference {
	count, wanted := map[string]int{}, map[string]bool{}
	for _, r := range want {
		count[r]++
		wanted[r] = true
	}
	var d Difference
	note := func(what, row string) {
		if len(d.Notes) < 10 {
			d.Notes = append(d.Notes, what+": "+row)
		}
	}
	for _, r := range got {
		switch {
		case count[r] > 0:
			count[r]--
			d.Rows++
		case wanted[r]:
			d.Twice++
			note("twice", r)
		default:
			d.Extra++
			note("extra", r)
		}
	}
	for _, r := range want {
		if count[r] > 0 {
			count[r]--
			d.Missing++
			note("missing", r)
		}
	}
	return d
}

// Reference reads the rows of a CSV file with a header.
func Reference(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("witness: the reference is missing: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("witness: read %s: %w", path, err)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("witness: %s has no rows: a comparison with nothing proves nothing", path)
	}
	return rows[1:], nil
}

// Columns joins the chosen columns of each row with commas.
func Columns(rows [][]string, columns ...int) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		picked := make([]string, len(columns))
		for j, c := range columns {
			picked[j] = r[c]
		}
		out[i] = strings.Join(picked, ",")
	}
	return out
}
