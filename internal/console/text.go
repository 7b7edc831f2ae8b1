package console

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cheggaaa/pb/v3"
)

// The line has two forms: with a bar, which takes the room that the words leave, and without, when the total is not known.
const (
	withBar    pb.ProgressBarTemplate = `{{string . "words"}}  {{bar . "[" "=" ">" " " "]"}} {{string . "share"}}`
	withoutBar pb.ProgressBarTemplate = `{{string . "words"}}`
	// barColumns is the least room in which a bar says anything, with what stands around it.
	barColumns = 12
)

// newLine returns a progress line on w that is drawn only when it is told to: without its Start, the library runs nothing.
func newLine(w io.Writer) *pb.ProgressBar {
	line := pb.New64(0)
	line.Set(pb.Static, true).Set(pb.Terminal, true).Set(pb.ReturnSymbol, "\r").Set(pb.Color, false).Set(pb.Bytes, true)
	return line.SetWriter(w)
}

// echo is what a terminal shows of Ctrl-C, behind the line. If it went on to the next line, the first could not be taken away.
const echo = "^C"

// draw shows p in one line of fewer than width columns: a full line would make some terminals scroll.
func draw(line *pb.ProgressBar, p Progress, perSecond float64, width int) {
	room := width - 1
	if room > 4*len(echo) {
		room -= len(echo)
	}
	if room < 1 {
		return
	}
	line.SetWidth(room)
	if p.BytesTotal <= 0 {
		line.SetTemplate(withoutBar)
		line.Set("words", fit(append(words(p, perSecond), line.Format(p.BytesRead)+" read"), room))
		line.Write()
		return
	}
	read := min(p.BytesRead, p.BytesTotal) // a file may have grown since it was listed
	share := fmt.Sprintf("%d%% of %s", int(float64(read)/float64(p.BytesTotal)*100), line.Format(p.BytesTotal))
	line.SetTotal(p.BytesTotal)
	line.SetCurrent(read)
	if room < barColumns+len(share)+len(words(p, perSecond)[0]) {
		line.SetTemplate(withoutBar)
		line.Set("words", fit(words(p, perSecond), room))
	} else {
		line.SetTemplate(withBar)
		line.Set("words", fit(words(p, perSecond), room-barColumns-len(share)))
		line.Set("share", share)
	}
	line.Write()
}

// words returns the parts of the line, the most wanted first.
func words(p Progress, perSecond float64) []string {
	out := []string{
		count(p.Records) + " records",
		count(int64(perSecond)) + "/s",
		"watermark " + moment(p.Watermark) + lagText(p),
	}
	if p.Epoch > 0 {
		out = append(out, fmt.Sprintf("epoch %d in %s", p.Epoch, short(p.EpochDuration)))
	}
	out = append(out, count(p.OpenWindows)+" windows")
	if p.Restarts > 0 {
		out = append(out, fmt.Sprintf("%d restarts", p.Restarts))
	}
	if p.Late > 0 {
		out = append(out, count(p.Late)+" late")
	}
	return out
}

// fit joins as many parts as there is room for, whole ones; of the first, what there is room for.
func fit(parts []string, room int) string {
	text := parts[0]
	if len(text) > room {
		return text[:max(room, 0)]
	}
	for _, part := range parts[1:] {
		if len(text)+2+len(part) > room {
			break
		}
		text += "  " + part
	}
	return text
}

// lag is how far the watermark is behind the newest event time. It is false while one of them is not a time.
func lag(p Progress) (time.Duration, bool) {
	for _, t := range []int64{p.Watermark, p.NewestTime} {
		if t == NoTime || t == EndTime {
			return 0, false
		}
	}
	d := p.NewestTime - p.Watermark
	if p.Watermark < 0 && p.NewestTime > math.MaxInt64+p.Watermark {
		d = math.MaxInt64 // more than 292 years: as long as a Duration can say
	}
	return time.Duration(max(d, 0)), true
}

func lagText(p Progress) string {
	if d, ok := lag(p); ok {
		return " (" + short(d) + " behind)"
	}
	return ""
}

// moment writes a watermark.
func moment(ns int64) string {
	switch ns {
	case NoTime:
		return "none yet"
	case EndTime:
		return "at the end"
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05Z")
}

// short writes a duration with two or three digits that matter.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Truncate(time.Second).String() // 1h30m0s
	if whole, ok := strings.CutSuffix(text, "h0m0s"); ok {
		return whole + "h"
	}
	if whole, ok := strings.CutSuffix(text, "m0s"); ok {
		return whole + "m"
	}
	return text
}

// count writes a number with a comma after each thousand.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(text, "-")
	sign := text[:len(text)-len(digits)]
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// nothing reports whether the run failed before it did anything: then there is nothing to count.
func (s Summary) nothing() bool {
	return s.Err != nil && s.In == 0 && s.Processed == 0 && s.Epochs == 0
}

// String returns the summary as a block of lines.
func (s Summary) String() string {
	var b strings.Builder
	outcome := Printable(s.Outcome)
	if s.Err != nil {
		outcome = "failed: " + Printable(s.Err.Error())
	}
	fmt.Fprintf(&b, "%s %s\n", Printable(s.Job), outcome)
	if s.nothing() {
		return b.String()
	}
	type row struct{ name, value string }
	rows := []row{
		{"in", count(s.In)},
		{"out", count(s.Out)},
		{"late", count(s.Late)},
		{"filtered", count(s.Filtered)},
		{"epochs", strconv.FormatUint(s.Epochs, 10)},
		{"restarts", strconv.Itoa(s.Restarts)},
		{"duration", short(s.Duration)},
		{"records/s", count(int64(perSecond(s.Processed, s.Duration)))},
	}
	if s.Ahead > 0 {
		rows = slices.Insert(rows, 4, row{"ahead", count(s.Ahead)})
	}
	if s.Duplicates > 0 {
		rows = slices.Insert(rows, 4, row{"repeated", count(s.Duplicates)})
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "  %-9s  %15s\n", row.name, row.value)
	}
	return b.String()
}

// attributes returns p for a log line. Times that are not known are left out.
func attributes(p Progress, perSecond float64) []any {
	out := []any{"records", p.Records, "records_per_second", int64(perSecond), "out", p.Out, "late", p.Late, "filtered", p.Filtered}
	switch p.Watermark {
	case NoTime:
	case EndTime:
		out = append(out, "watermark", "end")
	default:
		out = append(out, "watermark", time.Unix(0, p.Watermark).UTC().Format(time.RFC3339Nano))
	}
	if d, ok := lag(p); ok {
		out = append(out, "watermark_lag", d.String())
	}
	out = append(out, "open_windows", p.OpenWindows, "epoch", p.Epoch, "epoch_duration", p.EpochDuration.String(),
		"restarts", p.Restarts, "bytes_read", p.BytesRead)
	if p.BytesTotal > 0 {
		out = append(out, "bytes_total", p.BytesTotal)
	}
	return out
}

// Printable returns the text with everything that a terminal might obey, or that turns the direction of writing, spelt out: a
// name that comes from outside cannot move the cursor or hide what follows it.
func Printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text) // n is 1 for a byte that is not UTF-8: it is spelt out as itself
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteString(text[:n])
		} else {
			quoted := strconv.QuoteToASCII(text[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[n:]
	}
	return b.String()
}
