// Package console shows a person how a job is doing: one line that is redrawn on a terminal, log lines at an interval
// elsewhere, and a summary at the end.
//
// It is told everything by its caller, who polls the job: it starts no goroutine, reads no clock and knows nothing of the
// engine.
package console

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"
)

// Values of Progress.Watermark and Progress.NewestTime that are not times.
const (
	// NoTime stands before anything is known.
	NoTime = math.MinInt64
	// EndTime is the watermark after the last record of bounded input.
	EndTime = math.MaxInt64
)

// Progress is the state of a job at one moment. Counts are those of the job, over restarts; a restart may take them back to
// the last checkpoint.
type Progress struct {
	// Records have been read; Out have been written; Late and Filtered have been left out on the way.
	Records, Out, Late, Filtered int64
	// BytesRead of BytesTotal have been read. BytesTotal is 0 when nobody knows it.
	BytesRead, BytesTotal int64
	// Watermark and NewestTime, the largest event time seen, are in nanoseconds since 1970, or NoTime or EndTime.
	Watermark, NewestTime int64
	// OpenWindows have not fired for good yet.
	OpenWindows int64
	// Epoch is the last one committed, 0 before the first; EpochDuration is the time from its barrier to its commit.
	Epoch         uint64
	EpochDuration time.Duration
	// Restarts counts recoveries in this run.
	Restarts int
}

// Summary is what there is to say at the end of a run.
type Summary struct {
	// Job is its name.
	Job string
	// In, Out, Late and Filtered are the counts of the job.
	In, Out, Late, Filtered int64
	// Duplicates, and records Ahead of the clock that were left out, are shown when there are any.
	Duplicates, Ahead int64
	// Processed is how many records this run has handled, those handled again after a restart included, and not those
	// of runs before it. With Duration, the time of this run, it gives the records per second.
	Processed int64
	Duration  time.Duration
	// Epochs were committed in this run, after Restarts recoveries.
	Epochs   uint64
	Restarts int
	// Outcome says in a word how it ended: "finished", "stopped". An error that ended it stands in Err instead.
	Outcome string
	Err     error
}

// Config says where and how to report.
type Config struct {
	// Writer is the terminal. It is not used when Terminal is false.
	Writer io.Writer
	// Terminal chooses the redrawn line (true) or log lines (false); see IsTerminal.
	Terminal bool
	// Width returns the columns of the terminal, asked before each draw; nil means 80. See WidthOf.
	Width func() int
	// Log takes the lines where there is no terminal. It may be nil when there is one.
	Log *slog.Logger
	// Now tells the time. It must not be nil.
	Now func() time.Time
	// Interval is the time between log lines, 10 seconds when 0. A terminal is redrawn at most every 100 ms.
	Interval time.Duration
}

const (
	defaultWidth    = 80
	defaultInterval = 10 * time.Second
	// redraw is fast enough for the eye and slow enough for a connection to a far machine.
	redraw = 100 * time.Millisecond
	// maxWidth keeps the bar from running across a very wide window.
	maxWidth = 160
)

// Reporter shows the progress of one run. Its methods, and the writer from LogWriter, may be used by several goroutines.
type Reporter struct {
	cfg Config

	mu struct {
		sync.Mutex
		line     *pb.ProgressBar // nil where there is no terminal
		shown    time.Time
		drawn    bool // a line stands on the terminal now
		rate     rate
		finished bool
	}
}

// New returns a reporter. It fails when cfg lacks what it needs.
func New(cfg Config) (*Reporter, error) {
	switch {
	case cfg.Now == nil:
		return nil, fmt.Errorf("console: Config.Now is missing: give it the clock of the run")
	case cfg.Terminal && cfg.Writer == nil:
		return nil, fmt.Errorf("console: Config.Writer is missing: a terminal was announced")
	case !cfg.Terminal && cfg.Log == nil:
		return nil, fmt.Errorf("console: Config.Log is missing: without a terminal the progress goes to a log")
	case cfg.Interval < 0:
		return nil, fmt.Errorf("console: Config.Interval is %v: it must not be negative", cfg.Interval)
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Width == nil {
		cfg.Width = func() int { return defaultWidth }
	}
	r := &Reporter{cfg: cfg}
	r.mu.shown = cfg.Now()
	if cfg.Terminal {
		r.mu.line = newLine(cfg.Writer)
		r.mu.shown = r.mu.shown.Add(-redraw)
	}
	return r, nil
}

// IsTerminal reports whether f is a terminal on which a line can be redrawn.
func IsTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// WidthOf returns a function that asks for the columns of the terminal f, for Config.Width.
func WidthOf(f *os.File) func() int {
	return func() int {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
		return defaultWidth
	}
}

// Update shows p, unless something was shown too short a time ago. Call it often.
func (r *Reporter) Update(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.finished {
		return
	}
	now := r.cfg.Now()
	r.mu.rate.observe(now, p.Records)
	pause := r.cfg.Interval
	if r.mu.line != nil {
		pause = redraw
	}
	if now.Sub(r.mu.shown) < pause {
		return
	}
	r.mu.shown = now
	perSecond := r.mu.rate.perSecond()
	if r.mu.line == nil {
		r.cfg.Log.Info("progress", attributes(p, perSecond)...)
		return
	}
	draw(r.mu.line, p, perSecond, min(r.cfg.Width(), maxWidth))
	r.mu.drawn = true
}

// Finish removes the progress line and shows the summary: a block on a terminal, one log line elsewhere. Later calls of
// Update and Finish do nothing. It returns the error of writing.
func (r *Reporter) Finish(s Summary) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.finished {
		return nil
	}
	r.mu.finished = true
	if r.mu.line == nil {
		r.logSummary(s)
		return nil
	}
	if err := r.clear(); err != nil {
		return err
	}
	if _, err := io.WriteString(r.cfg.Writer, s.String()); err != nil {
		return fmt.Errorf("console: write the summary: %w", err)
	}
	return nil
}

func (r *Reporter) logSummary(s Summary) {
	if s.nothing() {
		r.cfg.Log.Error("job failed", "job", s.Job, "error", s.Err.Error())
		return
	}
	attrs := []any{
		"job", s.Job, "in", s.In, "out", s.Out, "late", s.Late, "filtered", s.Filtered, "epochs", s.Epochs,
		"restarts", s.Restarts, "duration", s.Duration.Round(time.Millisecond).String(),
		"records_per_second", int64(perSecond(s.Processed, s.Duration)),
	}
	if s.Ahead > 0 {
		attrs = append(attrs, "ahead", s.Ahead)
	}
	if s.Duplicates > 0 {
		attrs = append(attrs, "duplicates", s.Duplicates)
	}
	if s.Err != nil {
		r.cfg.Log.Error("job failed", append(attrs, "error", s.Err.Error())...)
		return
	}
	r.cfg.Log.Info("job ended", append(attrs, "outcome", s.Outcome)...)
}

// eraseLine is understood by every terminal since the VT100: to the first column, erase to the end.
const eraseLine = "\r\x1b[K"

// clear takes the progress line away, if there is one.
func (r *Reporter) clear() error {
	if !r.mu.drawn {
		return nil
	}
	r.mu.drawn = false
	if _, err := io.WriteString(r.cfg.Writer, eraseLine); err != nil {
		return fmt.Errorf("console: write to the terminal: %w", err)
	}
	return nil
}

// LogWriter returns a writer to w for the log of the program, which may be the terminal that the progress line is on: the line
// is taken away before the text, and comes back with the next Update. Each Write should be of whole lines.
func (r *Reporter) LogWriter(w io.Writer) io.Writer { return &logWriter{r, w} }

type logWriter struct {
	r *Reporter
	w io.Writer
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if err := l.r.clear(); err != nil {
		return 0, err
	}
	return l.w.Write(p)
}
