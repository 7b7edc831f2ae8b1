package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEachLineIsThere runs everything at a low rate for a moment. That each record is in the results is checked by every run itself.
func TestEachLineIsThere(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"-rates", "2000,100000", "-duration", "150ms", "-warmup", "50ms", "-window", "10ms", "-checkpoint", "20ms", "-keys", "50", "-hgrm", dir,
	}, &out, io.Discard)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, w := range ways {
		if n := strings.Count(out.String(), "  "+w.name+" "); n < 2 {
			t.Errorf("%q is there %d times, want twice or more:\n%s", w.name, n, out.String())
		}
		text, err := os.ReadFile(filepath.Join(dir, "2000-"+w.file+".hgrm"))
		if err != nil || !strings.Contains(string(text), "Percentile") {
			t.Errorf("the distribution of %s: %q, %v", w.name, text, err)
		}
	}
	if !strings.Contains(out.String(), "B13  p99 of a record") {
		t.Errorf("no verdict:\n%s", out.String())
	}
}

// TestWhatWaitsCountsInFull reads from a source that nobody has asked for a second: all records of the second come at once, each with the
// moment at which it was due.
func TestWhatWaitsCountsInFull(t *testing.T) {
	c := &clock{pacing: pacing{rate: 1000, keys: 5, total: 100_000}, start: time.Now().Add(-time.Second)}
	start := c.start
	records := make([]record, 4096)
	n, err := (&reader{c}).Read(t.Context(), records)
	if err != nil || n < 1000 || n > 2000 { // A slow machine may take a while to get there.
		t.Fatalf("read %d records, %v; want those of a second", n, err)
	}
	for i := range n {
		if want := start.Add(time.Duration(i) * time.Millisecond).UnixNano(); records[i].Due != want {
			t.Fatalf("record %d is due %d, want %d", i, records[i].Due, want)
		}
	}
	c.next = c.total
	if n, err := (&reader{c}).Read(t.Context(), records); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the last record: %d, %v", n, err)
	}
}

func TestFirstIsTheFirstDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pacing{rate: rapid.IntRange(1, 3_000_000).Draw(t, "rate")}
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		i := p.first(d)
		if p.after(i) < d || i > 0 && p.after(i-1) >= d {
			t.Fatalf("first(%v) = %d, due after %v, the one before after %v", d, i, p.after(i), p.after(i-1))
		}
	})
}

func TestVerdict(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		channel, records time.Duration
		want             string
	}{{50 * us, 250 * us, ": moonshot"}, {50 * us, 251 * us, ": ok"}, {50 * us, 1000 * us, ": ok"}, {50 * us, 1001 * us, ": MISSED"}, {1001 * us, 1002 * us, ": void: the machine is so busy that a bare channel takes longer"}} {
		if got := verdict(c.channel, c.records); !strings.HasSuffix(got, c.want) {
			t.Errorf("%v and %v: %q, want %q", c.channel, c.records, got, c.want)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-rates 1000,x":      `-rates: "x" is no rate: want numbers from 1 to 100,000,000 with commas between`,
		"-rates 0":           `-rates: "0" is no rate: want numbers from 1 to 100,000,000 with commas between`,
		"-duration 0s":       "-duration, -checkpoint, -window, -keys and -parallelism must be more than 0, and -warmup not less",
		"-rates 1000 faster": `unknown argument "faster"`,
	} {
		if err := run(context.Background(), strings.Fields(args), io.Discard, io.Discard); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
