//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// byHand computes what a work must give, with one of Go's maps for all windows.
func byHand(w work) (out tally) {
	type pane struct {
		key uint64
		end int64
	}
	in, size, slide := w.Input, int64(w.Size), int64(w.Slide)
	in.ready()
	if slide == 0 {
		slide = size
	}
	all := map[pane]total{}
	for i := range in.Records {
		e := in.at(i)
		for end := (e.Time/slide + 1) * slide; end-size <= e.Time; end += slide {
			t := all[pane{e.Key, end}]
			all[pane{e.Key, end}] = total{t.Count + 1, t.Sum + e.Val}
		}
	}
	for p, t := range all {
		out.add(p.key, p.end, t.Count, t.Sum)
	}
	return out
}

// TestWorkGivesWhatALoopGives does one work of each kind in this process.
func TestWorkGivesWhatALoopGives(t *testing.T) {
	in := input{Records: 20_000, Keys: 300, Spacing: time.Millisecond}
	zipf, hot := in, in
	zipf.Skew, hot.Skew = "zipf", "hot"
	for name, w := range map[string]work{
		"tumbling":     {Input: in, Parallelism: 1, Size: tumbling, Checkpoints: 5},
		"two subtasks": {Input: zipf, Parallelism: 2, Size: tumbling},
		"plain":        {Input: hot, Parallelism: 2, Size: tumbling, Plain: true},
		"sliding":      {Input: in, Parallelism: 1, Size: 7 * time.Second, Slide: time.Second},
		"wide":         {Input: in, Parallelism: 1, Size: forever, Wide: true},
		"flat":         {Input: in, Size: forever, Flat: true},
	} {
		m, err := w.do(t.Context())
		if w.Checkpoints > 0 && m.Epochs < w.Checkpoints {
			t.Errorf("%s: %d epochs, want %d or more", name, m.Epochs, w.Checkpoints)
		}
		if want := byHand(w); err != nil || m.Tally != want || m.Wall <= 0 {
			t.Errorf("%s: %+v, %v; want %+v", name, m, err, want)
		}
	}
}

// TestKeysAreAsFrequentAsTheyShouldBe counts the most frequent keys: half of the records with a hot key, and 1 / r^1.1 of the first for that
// of rank r with Zipf.
func TestKeysAreAsFrequentAsTheyShouldBe(t *testing.T) {
	const records, keys = 400_000, 1000
	counts := func(skew string) map[uint64]float64 {
		in, all := input{Records: records, Keys: keys, Skew: skew, Spacing: time.Microsecond}, map[uint64]float64{}
		in.ready()
		for i := range in.Records {
			all[in.at(i).Key]++
		}
		return all
	}
	if got := counts("hot")[mix(1)] / records; math.Abs(got-0.5) > 0.01 {
		t.Errorf("the hot key has %.3f of the records, want a half", got)
	}
	// Of a continuous rank x from 1 to keys+1 with density x^-1.1, rank r has the part from r to r+1.
	part := func(from, to float64) float64 {
		return (math.Pow(from, -0.1) - math.Pow(to, -0.1)) / (1 - math.Pow(keys+1, -0.1))
	}
	zipf := counts("zipf")
	for _, r := range []uint64{1, 2, 5, 20, 100} {
		want := records * part(float64(r), float64(r+1))
		if got := zipf[mix(r)]; math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("the key of rank %d has %.0f records, want about %.0f", r, got, want)
		}
	}
	if alike := counts(""); len(alike) != keys || len(zipf) > keys {
		t.Errorf("%d keys alike, %d with Zipf, want %d", len(alike), len(zipf), keys)
	}
}

// few is a curve of four points over two works.
func few() *curve {
	in := input{Records: 1000, Keys: 10}
	return &curve{name: "few", title: "A <title> & more", axis: "x", plot: true, wall: true, logarithmic: true, points: []*point{
		{series: "a", x: "1", work: work{Input: in, Parallelism: 1}},
		{series: "b", x: "1", work: work{Input: in, Parallelism: 1, Plain: true}},
		{series: "a", x: "100000", work: work{Input: in, Parallelism: 2}},
		{series: "b", x: "100000", work: work{Input: in, Parallelism: 2, Plain: true}},
	}}
}

func TestMediansAndRows(t *testing.T) {
	c, calls := few(), 0
	err := c.measure(t.Context(), 3, func(_ context.Context, w work) (measured, error) {
		calls++
		ns := time.Duration(w.Parallelism*1000 + calls*calls*100)
		return measured{Tally: tally{7, 9}, CPU: ns, Wall: 2 * ns, PeakBytes: int64(100 - calls), Epochs: 2}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{ // The calls of the second round are 5 to 8, and the median; the largest memory is that of the first.
		{"few", "a", "1", "1000", "7", "3.5", "7.0", "99", "2"},
		{"few", "b", "1", "1000", "7", "4.6", "9.2", "98", "2"},
		{"few", "a", "100000", "1000", "7", "6.9", "13.8", "97", "2"},
		{"few", "b", "100000", "1000", "7", "8.4", "16.8", "96", "2"},
	}
	if got := c.rows(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var table bytes.Buffer
	c.print(&table)
	if lines := strings.Count(table.String(), "\n"); lines != 7 {
		t.Errorf("%d lines:\n%s", lines, table.String())
	}
}

func TestOtherResultsAreAnError(t *testing.T) {
	calls := int64(0)
	err := few().measure(t.Context(), 1, func(context.Context, work) (measured, error) {
		calls++
		return measured{Tally: tally{Results: calls / 3}}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "a at x 100000 gave {Results:1 Sum:0}, the first run over the same records {Results:0 Sum:0}") {
		t.Errorf("error is %v", err)
	}
}

// TestPlotIsWellFormed parses a plot and looks for its lines, and for points where they belong.
func TestPlotIsWellFormed(t *testing.T) {
	c := few()
	for i, p := range c.points {
		p.cpu, p.wall = []time.Duration{time.Duration(i+1) * 10_000}, []time.Duration{40_000}
	}
	text := c.svg()
	count := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	if count["svg"] != 1 || count["polyline"] != 4 || count["circle"] != 4 {
		t.Errorf("elements: %v", count)
	}
	// 10 ns is at a quarter of 40 above the bottom, 30 ns at three; the first label a quarter from the left, the last a quarter from the right.
	for _, want := range []string{`points="224.0,257.0 544.0,115.0"`, `A &lt;title&gt; &amp; more`, `>100k<`, `>40<`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestNiceStep(t *testing.T) {
	for largest, want := range map[float64]float64{0: 1, 1: 0.2, 6: 1, 7: 2, 30: 5, 31: 10, 61: 20, 400: 100, 999: 200} {
		if got := niceStep(largest); math.Abs(got-want) > 1e-9 {
			t.Errorf("up to %v: steps of %v, want %v", largest, got, want)
		}
	}
}

// TestPlotsAreDrawnFromTheFile draws a curve from its rows, as it was drawn when it was measured.
func TestPlotsAreDrawnFromTheFile(t *testing.T) {
	c := few()
	for i, p := range c.points {
		p.cpu, p.wall = []time.Duration{time.Duration(i+1) * 10_000}, []time.Duration{40_000}
		p.last = measured{Tally: tally{Results: 5}, PeakBytes: 6, Epochs: 7}
	}
	path := filepath.Join(t.TempDir(), "curves.csv")
	if rows, err := readRows(path); err != nil || rows != nil {
		t.Errorf("no file yet: %v, %v", rows, err)
	}
	if err := writeRows(path, c.rows()); err != nil {
		t.Fatal(err)
	}
	rows, err := readRows(path)
	if err != nil || fmt.Sprint(rows) != fmt.Sprint(c.rows()) {
		t.Fatalf("read %v, %v; want %v", rows, err, c.rows())
	}
	again := few()
	if err := again.fill(rows); err != nil || !bytes.Equal(again.svg(), c.svg()) || fmt.Sprint(again.rows()) != fmt.Sprint(c.rows()) {
		t.Errorf("%v:\n%s\nwant\n%s", err, again.svg(), c.svg())
	}
	if err := few().fill(rows[1:]); err == nil || err.Error() != "a at x 1 is not in the CSV file: measure it first" {
		t.Errorf("a row is missing: %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-only wind":   "-only wind: the curves are parallelism, skew, keys, panes, memory",
		"-maxkeys 1e3": "-maxkeys must be from 1e4 to 1e9",
		"-rounds 0":    "-records must be at least 1,000, and -rounds at least 1",
		"more":         `unknown argument "more"`,
	} {
		if err := start(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
