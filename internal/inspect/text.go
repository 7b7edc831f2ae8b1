package inspect

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Print writes a report for people.
func (r *Report) Print(w io.Writer) error {
	p := &text{w: w}
	what := "checkpoint"
	if r.Savepoint {
		what = "savepoint"
	}
	p.line("%s %d of job %q in %s", what, r.Epoch, r.Job, r.Dir)
	p.line("  made %s by run %d, parallelism %d, %d key groups, %d restarts", r.Created, r.Term, r.Parallelism, r.KeyGroups, r.Restarts)
	p.line("  %s in %d files, fingerprint %.12s", bytesText(r.Bytes), r.Files, r.Fingerprint)
	if r.From != nil {
		p.line("  begun at the savepoint of epoch %d of job %q that was in %s", r.From.Epoch, r.From.Job, r.From.Dir)
	}
	switch {
	case r.Drained:
		p.line("  the job was drained: it has come to its end")
	case r.Finished:
		p.line("  the job has finished")
	}
	for _, n := range r.Notes {
		p.line("  passed over: %s", n)
	}
	for i := range r.Operators {
		p.operator(&r.Operators[i])
	}
	return p.err
}

// text remembers the first error of a writer.
type text struct {
	w   io.Writer
	err error
}

func (p *text) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *text) operator(o *Operator) {
	p.line("")
	p.line("%s (%s)", o.ID, o.Kind)
	if o.Watermark != "" {
		p.line("  watermark %s", o.Watermark)
	}
	for _, role := range slices.Sorted(maps.Keys(o.Types)) {
		p.line("  %s: %s", role, o.Types[role])
	}
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(o.Counters)) {
		counts = append(counts, fmt.Sprintf("%s %d", name, o.Counters[name]))
	}
	if len(counts) > 0 {
		p.line("  counted: %s", strings.Join(counts, ", "))
	}
	for _, s := range o.Splits {
		p.line("  split %s at %s: %d records, %s read, newest event time %s", s.ID, cmp.Or(string(s.Position), "its start"), s.Records, bytesText(s.Bytes), s.Newest)
	}
	for _, c := range o.Committables {
		p.line("  to be committed: %s, %s", bytesText(int64(c.Bytes)), clip(string(c.Content)))
	}
	for _, s := range o.States {
		spans := ""
		if s.Spans > 1 {
			spans = fmt.Sprintf(" in %d windows", s.Spans)
		}
		p.line("  state %s: %d entries%s, keys %s, values %s, in %d files", s.Name, s.Entries, spans, bytesText(s.KeyBytes), bytesText(s.ValueBytes), s.Files)
		p.line("    %s -> %s", s.Key, s.Value)
		for _, e := range s.Largest {
			p.line("    %s: %s", clip(string(e.Key)), bytesText(int64(e.Bytes)))
		}
	}
}

// maxShown bounds what is shown of one key or committable.
const maxShown = 200

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "..."
}

// bytesText shows a number of bytes.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
