package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fakeClock is moved by the test.
type fakeClock struct{ t time.Time }

func newClock() *fakeClock               { return &fakeClock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }
func (c *fakeClock) now() time.Time      { return c.t }
func (c *fakeClock) add(d time.Duration) { c.t = c.t.Add(d) }

// screen is a fake terminal of one line: it obeys what the reporter uses and keeps the lines that have been left.
type screen struct {
	width   int
	lines   []string
	current []byte
	column  int
	raw     bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.raw.Write(p)
	text := string(p)
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			s.current, text = s.current[:s.column], text[3:]
			continue
		case text[0] == '\r':
			s.column = 0
		case text[0] == '\n':
			s.lines = append(s.lines, strings.TrimRight(string(s.current), " "))
			s.current, s.column = nil, 0
		default:
			if s.column < len(s.current) {
				s.current[s.column] = text[0]
			} else {
				s.current = append(s.current, text[0])
			}
			s.column++
			if s.width > 0 && s.column >= s.width {
				s.lines = append(s.lines, "SCROLLED")
				s.current, s.column = nil, 0
			}
		}
		text = text[1:]
	}
	return len(p), nil
}

func (s *screen) line() string { return strings.TrimRight(string(s.current), " ") }

func onTerminal(t *testing.T, width int) (*Reporter, *screen, *fakeClock) {
	t.Helper()
	s, c := &screen{width: width}, newClock()
	r, err := New(Config{Writer: s, Terminal: true, Width: func() int { return width }, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return r, s, c
}

var hour = int64(time.Hour)

func running(records int64) Progress {
	return Progress{
		Records: records, BytesRead: records * 10, BytesTotal: 20_000_000,
		Watermark: 978307200 * int64(time.Second), NewestTime: 978307200*int64(time.Second) + hour/2,
		OpenWindows: 1234, Epoch: 7, EpochDuration: 34 * time.Millisecond,
	}
}

func TestTerminalRedrawsOneLine(t *testing.T) {
	r, s, c := onTerminal(t, 140)
	r.Update(running(0))
	c.add(time.Second)
	r.Update(running(1_000_000))
	want := "1,000,000 records  1,000,000/s  watermark 2001-01-01 00:00:00Z (30m behind)  epoch 7 in 34ms  1,234 windows  ["
	if !strings.HasPrefix(s.line(), want) {
		t.Errorf("line is\n%q, want it to begin with\n%q", s.line(), want)
	}
	if end := "] 50% of 19.07 MiB"; !strings.HasSuffix(s.line(), end) {
		t.Errorf("line is %q, want it to end with %q", s.line(), end)
	}
	if len(s.lines) != 0 {
		t.Errorf("the terminal has scrolled: %q", s.lines)
	}
}

func TestTheBarShowsTheShareReadAndNeverMore(t *testing.T) {
	for _, k := range []struct {
		read, total int64
		share       string
		full        float64
	}{
		{0, 100 << 20, "0% of 100.00 MiB", 0},
		{50 << 20, 100 << 20, "50% of 100.00 MiB", 0.5},
		{100 << 20, 100 << 20, "100% of 100.00 MiB", 1},
		{300 << 20, 100 << 20, "100% of 100.00 MiB", 1},
	} {
		r, s, _ := onTerminal(t, 120)
		r.Update(Progress{BytesRead: k.read, BytesTotal: k.total, Watermark: NoTime})
		bar := s.line()
		bar = bar[strings.Index(bar, "[")+1 : strings.Index(bar, "]")]
		filled := float64(strings.Count(bar, "=")+strings.Count(bar, ">")) / float64(len(bar))
		if math.Abs(filled-k.full) > 0.1 || !strings.HasSuffix(s.line(), k.share) {
			t.Errorf("%d of %d: line %q, want %q and %.1f of the bar (got %.2f)", k.read, k.total, s.line(), k.share, k.full, filled)
		}
	}
}

func TestALineNeverFillsTheTerminal(t *testing.T) {
	for width := 1; width < 170; width++ {
		for _, total := range []int64{0, 1 << 40} {
			r, s, c := onTerminal(t, width)
			p := running(math.MaxInt64 / 100)
			p.BytesTotal, p.Late, p.Restarts = total, 5, 3
			for range 3 {
				r.Update(p)
				c.add(time.Second)
			}
			if len(s.lines) != 0 {
				t.Fatalf("width %d, total %d: the terminal has scrolled: %q", width, total, s.raw.String())
			}
			if want := "92,233,720,368,547,758"; width > 3 && !strings.HasPrefix(s.line(), want[:min(width-3, len(want))]) {
				t.Fatalf("width %d: the number of records is missing: %q", width, s.line())
			}
		}
	}
}

func TestAShorterLineLeavesNothingOfALongerOne(t *testing.T) {
	r, s, c := onTerminal(t, 100)
	long := running(123_456_789)
	long.BytesTotal = 0
	r.Update(long)
	c.add(time.Second)
	r.Update(Progress{Watermark: NoTime})
	if want := "0 records  0/s  watermark none yet  0 windows  0 B read"; s.line() != want {
		t.Errorf("line is %q, want %q", s.line(), want)
	}
}

func TestUpdatesInQuickSuccessionAreDrawnOnce(t *testing.T) {
	r, s, c := onTerminal(t, 100)
	r.Update(running(1))
	before := s.raw.Len()
	for range 50 {
		c.add(time.Millisecond)
		r.Update(running(2))
	}
	if s.raw.Len() != before {
		t.Error("drawn again within 100 ms")
	}
	c.add(50 * time.Millisecond)
	r.Update(running(3))
	if s.raw.Len() == before {
		t.Error("not drawn after 100 ms")
	}
}

func TestSummaryShowsDuplicatesWhenThereAreAny(t *testing.T) {
	s := Summary{Job: "j", In: 5, Filtered: 2, Outcome: "finished"}
	if text := s.String(); strings.Contains(text, "repeated") {
		t.Errorf("without duplicates:\n%s", text)
	}
	s.Ahead = 7
	if text := s.String(); !strings.Contains(text, "  filtered                 2\n  ahead                    7\n") {
		t.Errorf("with records ahead:\n%s", text)
	}
	s.Duplicates, s.Ahead = 1234, 0
	if text := s.String(); !strings.Contains(text, "  filtered                 2\n  repeated             1,234\n") {
		t.Errorf("with duplicates:\n%s", text)
	}
}

func TestSummaryReplacesTheLine(t *testing.T) {
	r, s, c := onTerminal(t, 100)
	r.Update(running(5))
	c.add(time.Second)
	err := r.Finish(Summary{
		Job: "flights", In: 508239, Out: 12345, Late: 17, Filtered: 0, Processed: 508239, Duration: 2 * time.Second,
		Epochs: 9, Restarts: 1, Outcome: "finished",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"flights finished",
		"  in                 508,239",
		"  out                 12,345",
		"  late                    17",
		"  filtered                 0",
		"  epochs                   9",
		"  restarts                 1",
		"  duration                2s",
		"  records/s          254,119",
	}
	if got := strings.Join(s.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	before := s.raw.Len()
	r.Update(running(6))
	if err := r.Finish(Summary{}); err != nil || s.raw.Len() != before {
		t.Errorf("something was written after Finish (error %v)", err)
	}
}

func TestLogLinesDoNotMixWithTheLine(t *testing.T) {
	r, s, c := onTerminal(t, 100)
	r.Update(running(5))
	if _, err := io.WriteString(r.LogWriter(s), "level=WARN msg=slow\n"); err != nil {
		t.Fatal(err)
	}
	if len(s.lines) != 1 || s.lines[0] != "level=WARN msg=slow" || s.line() != "" {
		t.Errorf("lines %q, then %q: want the log line alone", s.lines, s.line())
	}
	c.add(time.Second)
	r.Update(running(6))
	if !strings.HasPrefix(s.line(), "6 records") {
		t.Errorf("the progress did not come back: %q", s.line())
	}
}

func TestHostileNamesCannotMoveTheCursor(t *testing.T) {
	r, s, _ := onTerminal(t, 100)
	err := r.Finish(Summary{Job: "a\x1b[2Jb\r\n\u202ec\xffd", Err: errors.New("bad\x07 name \u00e9"), Processed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := `a\x1b[2Jb\r\n\u202ec\xffd failed: bad\a name ` + "\u00e9"; s.lines[0] != want {
		t.Errorf("got %q, want %q", s.lines[0], want)
	}
}

func logged(t *testing.T, b *bytes.Buffer) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(b.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestWithoutATerminalProgressIsLoggedAtTheInterval(t *testing.T) {
	var b bytes.Buffer
	c := newClock()
	r, err := New(Config{Log: slog.New(slog.NewJSONHandler(&b, nil)), Now: c.now, Interval: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // 0 to 9.9 seconds
		r.Update(running(int64(i) * 100))
		c.add(100 * time.Millisecond)
	}
	lines := logged(t, &b)
	if len(lines) != 1 {
		t.Fatalf("%d lines in 10 seconds at an interval of 5, want 1 (the first comes after 5 seconds, the next is due now)", len(lines))
	}
	for key, want := range map[string]any{
		"msg": "progress", "records": 5000.0, "records_per_second": 1000.0, "watermark": "2001-01-01T00:00:00Z",
		"watermark_lag": "30m0s", "open_windows": 1234.0, "epoch": 7.0, "bytes_total": 2e7,
	} {
		if lines[0][key] != want {
			t.Errorf("%s is %v, want %v", key, lines[0][key], want)
		}
	}
	if err := r.Finish(Summary{Job: "j", In: 10, Err: errors.New("disk full"), Outcome: "failed"}); err != nil {
		t.Fatal(err)
	}
	last := logged(t, &b)[1]
	if last["level"] != "ERROR" || last["error"] != "disk full" || last["in"] != 10.0 {
		t.Errorf("the summary is %v, want an error with its figures", last)
	}
}

func TestTheRateForgetsWhatWasBeforeARestart(t *testing.T) {
	var r rate
	now := newClock()
	for i := range 20 {
		r.observe(now.t, int64(i)*1000)
		now.add(time.Second)
	}
	if got := r.perSecond(); got != 1000 {
		t.Errorf("steady rate is %v, want 1000", got)
	}
	r.observe(now.t, 500)
	if got := r.perSecond(); got != 0 {
		t.Errorf("rate right after going back is %v, want 0", got)
	}
	now.add(time.Second)
	r.observe(now.t, 700)
	if got := r.perSecond(); got != 200 {
		t.Errorf("rate after going back is %v, want 200", got)
	}
	now.add(time.Hour)
	r.observe(now.t, 700+3600)
	if got := r.perSecond(); got != 1 {
		t.Errorf("rate after an hour without samples is %v, want 1", got)
	}
	for range 100_000 {
		now.add(time.Millisecond)
		r.observe(now.t, 5000)
	}
	if limit := int(rateSpan/rateStep) + 2; len(r.samples) > limit {
		t.Errorf("%d samples are kept, want at most %d", len(r.samples), limit)
	}
}

func TestWatermarkAtTheEdges(t *testing.T) {
	for _, k := range []struct {
		watermark, newest int64
		want              string
	}{
		{NoTime, NoTime, "none yet"},
		{NoTime, 5, "none yet"},
		{EndTime, 5, "at the end"},
		{0, hour, "1970-01-01 00:00:00Z (1h behind)"},
		{hour, 0, "1970-01-01 01:00:00Z (0s behind)"},
		{NoTime + 1, EndTime - 1, "1677-09-21 00:12:43Z (2562047h47m16s behind)"},
	} {
		p := Progress{Watermark: k.watermark, NewestTime: k.newest}
		if got := moment(p.Watermark) + lagText(p); got != k.want {
			t.Errorf("watermark %d, newest %d: %q, want %q", k.watermark, k.newest, got, k.want)
		}
	}
}

func TestNumbersAndDurations(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567: "1,234,567", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1500: "2µs", 34_400 * time.Microsecond: "34ms", 1234 * time.Millisecond: "1.2s", 61 * time.Second: "1m1s", 30 * time.Minute: "30m",
		59_960 * time.Millisecond: "1m0s",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	c := newClock()
	log := slog.New(slog.DiscardHandler)
	for want, cfg := range map[string]Config{
		"Config.Now":      {Log: log},
		"Config.Writer":   {Terminal: true, Now: c.now},
		"Config.Log":      {Now: c.now},
		"Config.Interval": {Log: log, Now: c.now, Interval: -1},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v", want, err)
		}
	}
}

// brokenWriter fails after a number of bytes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestABrokenTerminalIsReported(t *testing.T) {
	c := newClock()
	r, err := New(Config{Writer: &brokenWriter{10}, Terminal: true, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	r.Update(running(1))
	if err := r.Finish(Summary{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got error %v, want that of the writer", err)
	}
}

func TestNothingRunsBesideTheCaller(t *testing.T) {
	before := runtime.NumGoroutine()
	r, _, c := onTerminal(t, 100)
	for range 10 {
		r.Update(running(1))
		c.add(time.Second)
		if n := runtime.NumGoroutine(); n > before {
			t.Fatalf("%d goroutines, %d before", n, before)
		}
	}
	if err := r.Finish(Summary{}); err != nil {
		t.Fatal(err)
	}
}

func TestARunThatFailedBeforeItDidAnythingHasNoNumbers(t *testing.T) {
	r, s, _ := onTerminal(t, 100)
	if err := r.Finish(Summary{Job: "flights", Err: errors.New("the directory is taken")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"flights failed: the directory is taken"}; strings.Join(s.lines, "\n") != want[0] {
		t.Errorf("got %q, want %q", s.lines, want)
	}
}

func TestCtrlCDoesNotSplitTheLine(t *testing.T) {
	for width := 40; width < 170; width++ {
		r, s, _ := onTerminal(t, width)
		r.Update(running(123_456_789_012))
		if _, err := io.WriteString(s, "^C"); err != nil { // as the terminal does
			t.Fatal(err)
		}
		if err := r.Finish(Summary{Job: "flights", In: 1, Outcome: "stopped"}); err != nil {
			t.Fatal(err)
		}
		if s.lines[0] != "flights stopped" {
			t.Fatalf("width %d: %q is left of the line", width, s.lines[0])
		}
	}
}
