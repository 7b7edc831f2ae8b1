package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/console"
)

func TestWriteAudit(t *testing.T) {
	var b strings.Builder
	wrong, err := console.WriteAudit(&b, 7, []console.AuditRow{
		{Sink: "sums", Ledger: 100, Committed: 100}, {Sink: "late", Ledger: 3, Committed: 5}, {Sink: "log", Ledger: 9, Unknown: "it writes through"},
	})
	want := `sink  ledger of epoch 7  committed  
sums  100                100        balanced
late  3                  5          NOT BALANCED: +2
log   9                  -          not known: it writes through
`
	if err != nil || wrong != 1 || b.String() != want {
		t.Errorf("%d, %v:\n%s\nwant\n%s", wrong, err, b.String(), want)
	}
}

// TestWriteLetters also with texts that would move the cursor, break lines or fill the screen.
func TestWriteLetters(t *testing.T) {
	var b strings.Builder
	err := console.WriteLetters(&b, []console.LetterRow{
		{Operator: "in", Place: "a.csv:2", Attempts: 1, Error: "bad\x1b[2J\nvalue", Record: strings.Repeat("é", 100)},
		{Operator: "parsed", EventTime: time.Unix(60, 5), Attempts: 3, Error: "no", Record: `"two"`},
	})
	want := "operator  place    event time                      attempts  error            record\n" +
		"in        a.csv:2  -                               1         bad [2J value    " + strings.Repeat("é", 79) + "…\n" +
		"parsed    -        1970-01-01T00:01:00.000000005Z  3         no               \"two\"\n"
	if squeeze(b.String()) != squeeze(want) || err != nil {
		t.Errorf("%v:\n%s\nwant\n%s", err, b.String(), want)
	}
}

// squeeze makes one blank of many: how wide columns are is not the question.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}
