package console

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// AuditRow is a sink, with what the ledger says that it was given and what it has committed; or why that is not known.
type AuditRow struct {
	Sink              string
	Ledger, Committed int64
	Unknown           string
}

// WriteAudit writes a line for each sink and returns how many are not balanced.
func WriteAudit(w io.Writer, epoch uint64, rows []AuditRow) (wrong int, err error) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "sink\tledger of epoch %d\tcommitted\t\n", epoch)
	for _, r := range rows {
		committed, verdict := fmt.Sprint(r.Committed), "balanced"
		switch {
		case r.Unknown != "":
			committed, verdict = "-", "not known: "+r.Unknown
		case r.Ledger != r.Committed:
			verdict = fmt.Sprintf("NOT BALANCED: %+d", r.Committed-r.Ledger)
			wrong++
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", clean(r.Sink), r.Ledger, committed, clean(verdict))
	}
	if err := t.Flush(); err != nil {
		return wrong, fmt.Errorf("console: write: %w", err)
	}
	return wrong, nil
}

// LetterRow is a dead letter.
type LetterRow struct {
	Operator, Place string
	EventTime       time.Time
	Attempts        int
	Error, Record   string
}

// maxCell is how much of an error or record is shown.
const maxCell = 80

// WriteLetters writes a line for each dead letter.
func WriteLetters(w io.Writer, rows []LetterRow) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "operator\tplace\tevent time\tattempts\terror\trecord")
	for _, r := range rows {
		at := "-"
		if !r.EventTime.IsZero() {
			at = r.EventTime.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", clean(r.Operator), clean(r.Place), at, r.Attempts, clean(r.Error), clean(r.Record))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("console: write: %w", err)
	}
	return nil
}

// clean makes one short line of a text from outside, without what a terminal would obey.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	if s == "" {
		return "-"
	}
	return s
}
