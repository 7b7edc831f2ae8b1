package millrace_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/window"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBadInputFailsWithPlaceAndReason runs a job on input that is wrong in one way each and compares the whole message.
func TestBadInputFailsWithPlaceAndReason(t *testing.T) {
	const head = "key,at,n\n"
	const operator = `millrace: job sums: operator "in" (subtask 0, made at JOB:LINE): `
	cut := gzipped(t, disorder(1, 3000, 2))
	for _, c := range []struct {
		name, file, content string
		pattern             string
		want                string
	}{
		{
			"missing file", "other.csv", head, "in.csv",
			operator + `file: DIR/in.csv does not exist: directory DIR exists and has 1 entries: file does not exist`,
		},
		{
			"pattern without a match", "other.csv", head, "day-*.csv",
			operator + `file: no file matches DIR/day-*.csv: directory DIR exists and has 1 entries`,
		},
		{
			"truncated gzip", "in.csv.gz", cut[:len(cut)/2], "*",
			operator + `file: DIR/in.csv.gz: broken gzip data near byte N of the file: the file ends in the middle (truncated, or still being written): unexpected EOF; N records were read before it, to line N (while handling records from DIR/in.csv.gz)`,
		},
		{
			"gzip header only", "in.csv.gz", cut[:6], "*",
			operator + `open split in.csv.gz: file: DIR/in.csv.gz: broken gzip data near byte N of the file: the file ends in the middle (truncated, or still being written): unexpected EOF`,
		},
		{
			"column missing", "in.csv", "key,when,n\na,1,1\n", "*",
			operator + "open split in.csv: file: DIR/in.csv:1: no column \"at\" for field reading.At; the columns are key, when, n: rename the field, tag it `csv:\"its column\"`, or `csv:\"-\"` to leave it alone",
		},
		{
			"not a number", "in.csv", head + "a,1,1\nb,2,2x\n", "*",
			operator + `DIR/in.csv:3:5: column "n": "2x" is not a whole number (field reading.N is int64)`,
		},
		{
			"number too big", "in.csv", head + "a,1,99999999999999999999\n", "*",
			operator + `DIR/in.csv:2:5: column "n": "99999999999999999999" does not fit into the field (field reading.N is int64)`,
		},
		{
			"value missing", "in.csv", head + "a,1,\n", "*",
			operator + "DIR/in.csv:2:5: column \"n\": the value is empty: if that is right, tag the field `csv:\"n,optional\"` or make it a pointer",
		},
		{
			"too few values", "in.csv", head + "a,1\n", "*",
			operator + `DIR/in.csv:2: the record has 2 values, but there are 3 columns (DIR/in.csv:1)`,
		},
		{
			"open quote", "in.csv", head + "\"a,1,1\nb,2,2\n", "*",
			operator + `DIR/in.csv:2:1: the quoted value has no closing "`,
		},
		{
			"10 MB line", "in.csv", head + "a,1,1\n" + strings.Repeat("x", 10<<20) + ",1,1\n", "*",
			operator + `file: DIR/in.csv:3: the record is longer than 1048576 bytes: raise the limit with MaxLine (while handling records from DIR/in.csv)`,
		},
		{
			"year 1600", "in.csv", head + "a,1,1\nb,-11676096000,1\n", "*",
			operator + `DIR/in.csv:3: event time: 1600-01-01 00:00:00 +0000 UTC: time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right`,
		},
		{
			"year 2300", "in.csv", head + "a,10413792000,1\n", "*",
			operator + `DIR/in.csv:2: event time: 2300-01-01 00:00:00 +0000 UTC: time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right`,
		},
		{
			"milliseconds where seconds belong", "in.csv", head + "a,1700000000000,1\n", "*",
			operator + `DIR/in.csv:2:3: column "at": time out of range: 1700000000000 lies outside the years 0 to 9999: is the unit right?`,
		},
		{
			"UTF-16", "in.csv", "\xff\xfek\x00e\x00", "*",
			operator + `open split in.csv: file: DIR/in.csv is UTF-16 text: convert it to UTF-8`,
		},
		{
			"empty directory", "sub/in.csv", head, "*.csv",
			operator + `file: no file matches DIR/*.csv: directory DIR exists and has 1 entries`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			in := t.TempDir()
			put(t, in, c.file, c.content)
			out := t.TempDir()
			err := millrace.Run(context.Background(), sumJob(filepath.Join(in, c.pattern), out), small(t.TempDir()))
			if got := digits(normal(err, in), c.want); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if lines := visible(t, out); len(lines) > 0 && len(c.content) < 1000 { // one epoch holds more
				t.Errorf("a failed run shows %d lines of output, such as %s", len(lines), lines[0])
			}
			var oe *millrace.OperatorError
			if !errors.As(err, &oe) || oe.Operator != "in" || oe.Job != "sums" || oe.Line == 0 {
				t.Errorf("the error does not hold an OperatorError of the source: %#v", oe)
			}
		})
	}
}

// digits replaces the numbers that stand where the wanted text has N.
func digits(got, want string) string {
	var b strings.Builder
	for len(want) > 0 && len(got) > 0 {
		if want[0] == 'N' && got[0] >= '0' && got[0] <= '9' {
			b.WriteByte('N')
			want = want[1:]
			got = strings.TrimLeft(got, "0123456789")
			continue
		}
		b.WriteByte(got[0])
		want, got = want[1:], got[1:]
	}
	return b.String() + got
}

// TestStrangeButGoodInputIsRead: what is unusual in a file and says nothing wrong changes nothing.
func TestStrangeButGoodInputIsRead(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"plain", "key,at,n\na,1,1\nb,2,2\n", "a1 b2"},
		{"no line end at the end", "key,at,n\na,1,1\nb,2,2", "a1 b2"},
		{"byte order mark", "\ufeffkey,at,n\na,1,1\nb,2,2\n", "a1 b2"},
		{"CR LF", "key,at,n\r\na,1,1\r\nb,2,2\r\n", "a1 b2"},
		{"CR LF without the last", "key,at,n\r\na,1,1\r\nb,2,2", "a1 b2"},
		{"empty file", "", ""},
		{"header only", "key,at,n\n", ""},
		{"header without a line end", "key,at,n", ""},
		{"empty lines", "key,at,n\n\na,1,1\n\n\nb,2,2\n\n", "a1 b2"},
		{"quotes over lines", "key,at,n\n\"a\nx\",1,1\n", "a\nx1"},
		{"columns in another order", "n,extra,at,key\n1,z,1,a\n", "a1"},
		{"gzip", gzipped(t, "key,at,n\na,1,1\n"), "a1"},
		{"two gzip members", gzipped(t, "key,at,n\na,1,1\n") + gzipped(t, "b,2,2\n"), "a1 b2"},
		{"years 1678 and 2261", "key,at,n\na,-9214560000,1\nb,9214646399,2\n", "a1 b2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			in, out := t.TempDir(), memory.NewSink[millrace.Pane[string, int64]]()
			put(t, in, "in.csv", c.content)
			job := millrace.NewJob("sums")
			job.From("in", file.CSV[reading](in), millrace.EventTime(reading.time)).KeyBy(reading.key).
				Window(window.Tumbling(time.Minute)).Aggregate("sum", agg.Sum(func(r reading) int64 { return r.N })).To("out", out)
			if err := millrace.Run(context.Background(), job, millrace.Config{Log: quiet()}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range out.Records() {
				got = append(got, p.Key+string(rune('0'+p.Value)))
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// TestUnreadableFilesAreNamed lets the disk refuse in several places.
func TestUnreadableFilesAreNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		kind fsx.OpKind
		path string
		err  error
		want string
	}{
		{"directory", fsx.OpReadDir, "", fs.ErrPermission, `list directory DIR: readdir DIR: permission denied`},
		{"open", fsx.OpOpen, "in.csv", fs.ErrPermission, `open split in.csv: file: open DIR/in.csv: open DIR/in.csv: permission denied`},
		{"description of the directory", fsx.OpStat, "", syscall.EIO, `file: stat DIR: input/output error`},
		{"description of a directory in the pattern", fsx.OpStat, "sub", syscall.EIO, `file: stat DIR/sub: input/output error`},
		{"read", fsx.OpRead, "in.csv", syscall.EIO, `open split in.csv: file: read DIR/in.csv: read DIR/in.csv: input/output error`},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			in := t.TempDir()
			put(t, in, "in.csv", disorder(1, 10, 2))
			put(t, in, "sub/in.csv", disorder(1, 10, 2))
			pattern := in
			if c.path == "sub" {
				pattern = filepath.Join(in, "*", "in.csv")
			}
			ctx := withFS(func(op fsx.Op) error {
				if op.Kind == c.kind && op.Path == filepath.Join(in, c.path) {
					return c.err
				}
				return nil
			})
			err := millrace.Run(ctx, sumJob(pattern, t.TempDir()), small(t.TempDir()))
			if got := normal(err, in); !strings.HasSuffix(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("got\n%s\nwant at its end\n%s", got, c.want)
			}
		})
	}
}

// TestNaNIsRefusedWhereOrderMatters: an aggregate that compares names the record whose value is NaN.
func TestNaNIsRefusedWhereOrderMatters(t *testing.T) {
	noLeaks(t)
	type temp struct {
		Key string    `csv:"key"`
		At  time.Time `csv:"at,unix"`
		C   float64   `csv:"c"`
	}
	in := t.TempDir()
	put(t, in, "in.csv", "key,at,c\na,1,20.5\na,2,NaN\na,3,1\n")
	job := millrace.NewJob("temps")
	job.From("in", file.CSV[temp](in), millrace.EventTime(func(r temp) time.Time { return r.At })).
		KeyBy(func(r temp) string { return r.Key }).
		Window(window.Tumbling(time.Minute)).
		Aggregate("max", agg.Max(func(r temp) float64 { return r.C })).
		To("out", memory.NewSink[millrace.Pane[string, float64]]())
	err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: quiet()})
	const want = `millrace: job temps: operator "max" (subtask 0, made at JOB:LINE): record with event time 1970-01-01T00:00:02Z: ` +
		`agg: Max: the value is NaN, which has no place in an order (while handling records from DIR/in.csv:2 to DIR/in.csv:4)`
	if got := normal(err, in); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBadRecordStopsAtTheSamePlaceEachTime: a restart does not step over what could not be read.
func TestBadRecordStopsAtTheSamePlaceEachTime(t *testing.T) {
	noLeaks(t)
	in, out, state := t.TempDir(), t.TempDir(), t.TempDir()
	good := disorder(3, 600, 3)
	put(t, in, "in.csv", good+"k1,oops,1\n")
	var first string
	for i := range 3 {
		err := millrace.Run(context.Background(), sumJob(in, out), small(state))
		var re *connect.RecordError
		if !errors.As(err, &re) {
			t.Fatalf("run %d: got %v, want a RecordError", i, err)
		}
		if first == "" {
			first = re.Error()
		}
		if re.Error() != first || re.Column != "at" || string(re.Raw) != "k1,oops,1" {
			t.Errorf("run %d: got %v (column %s, raw %q), want %s", i, re, re.Column, re.Raw, first)
		}
	}
	put(t, in, "in.csv", good+"k1,1000700,1\n")
	if err := millrace.Run(context.Background(), sumJob(in, out), small(state)); err != nil {
		t.Fatal(err)
	}
	same(t, "after the repair", visible(t, out), undisturbed(t, in))
}

// TestChangedInputIsNoticed: a file that is not the one that was read before the restart.
func TestChangedInputIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, path, good string)
		want   string
	}{
		{
			"truncated", func(t *testing.T, path, good string) { put(t, filepath.Dir(path), "in.csv", good[:60]) },
			"it was truncated or replaced since the checkpoint",
		},
		{
			"replaced", func(t *testing.T, path, good string) {
				put(t, filepath.Dir(path), "in.csv", "key,at,n\n"+strings.Repeat("q", len(good)))
			},
			"DIR/in.csv",
		},
		{"removed", func(t *testing.T, path, good string) {
			put(t, filepath.Dir(path), "another.csv", good)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "DIR/in.csv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			in, out, state, whole := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
			good := disorder(3, 600, 3)
			path := put(t, in, "in.csv", good+"k1,oops,1\n")
			if err := millrace.Run(context.Background(), sumJob(in, out), small(state)); err == nil {
				t.Fatal("the bad record was read")
			}
			c.change(t, path, good)
			before := visible(t, out)
			err := millrace.Run(context.Background(), sumJob(in, out), small(state))
			got := normal(err, in)
			t.Log(got)
			if !strings.Contains(got, c.want) || !strings.Contains(got, `operator "in"`) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			// The second start makes visible what a completed epoch of the first had still to make visible, and nothing else.
			after := visible(t, out)
			put(t, whole, "in.csv", good)
			within(t, "the output before, in that after", before, after)
			within(t, "the output after, in that of the good file", after, undisturbed(t, whole))
		})
	}
}

// within fails the test unless all lines of part are in all, each as often at least. Both are sorted.
func within(t testing.TB, what string, part, all []string) {
	t.Helper()
	for i, line := range part {
		n, found := slices.BinarySearch(all, line)
		if !found {
			t.Fatalf("%s: line %d of %d is not in it: %s", what, i, len(part), line)
		}
		all = all[n+1:]
	}
}
