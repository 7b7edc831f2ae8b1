// Latency measures how long it takes from a record to its result, at several rates, with and without checkpoints, through a keyed
// exchange and a window; and, in the same run, the same records through a bare Go channel, which is the least that can be asked for.
//
// Records are due at fixed times, and each is timed from the moment at which it was due, not from that at which the program got round to
// it: what waits because the job was late counts in full (no coordinated omission). Results are timed when the sink has them.
//
//	go run ./bench/latency                           # about two minutes
//	go run ./bench/latency -duration 30s -hgrm out   # longer, with whole distributions in files
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// B13: the largest p99 that the results of single records may have at b13Rate, and how many times that of the channel it should be at most.
const (
	b13Rate     = 100_000
	b13Must     = time.Millisecond
	b13Moonshot = 5
)

// options are the flags.
type options struct {
	rates            []int
	duration, warmup time.Duration
	every, window    time.Duration
	keys             int
	parallelism      int
	hgrm             string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

func parse(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("latency", flag.ContinueOnError)
	flags.SetOutput(errOut)
	rates := flags.String("rates", "1000,10000,100000,1000000", "records per second, with commas between")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "how long records are timed, for each line of the table")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "how long records come before that")
	flags.DurationVar(&o.every, "checkpoint", 200*time.Millisecond, "time between checkpoints, where there are any")
	flags.DurationVar(&o.window, "window", 100*time.Millisecond, "size of the windows that give results at their end")
	flags.IntVar(&o.keys, "keys", 10_000, "number of keys")
	flags.IntVar(&o.parallelism, "parallelism", 2, "subtasks behind the exchange")
	flags.StringVar(&o.hgrm, "hgrm", "", "directory for whole distributions, in the text format of HdrHistogram")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for text := range strings.SplitSeq(*rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate <= 0 || rate > 100_000_000 {
			return o, fmt.Errorf("-rates: %q is no rate: want numbers from 1 to 100,000,000 with commas between", text)
		}
		o.rates = append(o.rates, rate)
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.duration <= 0 || o.warmup < 0 || o.every <= 0 || o.window <= 0 || o.keys <= 0 || o.parallelism <= 0:
		return o, errors.New("-duration, -checkpoint, -window, -keys and -parallelism must be more than 0, and -warmup not less")
	}
	return o, nil
}

// outcome is what a line of the table shows.
type outcome struct {
	took *hdrhistogram.Histogram
	// records were offered in all; behind is how much longer than planned it took until all were taken.
	records int64
	behind  time.Duration
	epochs  int64
	// pause is the longest time for which a barrier kept an operator from records; slowest is the slowest epoch seen.
	pause, slowest time.Duration
}

// way is a way for records from where they come from to their results.
type way struct {
	name string
	file string
	run  func(ctx context.Context, o options, p pacing) (outcome, error)
}

var ways = []way{
	{"channel of records", "channel", channel},
	{"job, result of each record", "records", func(ctx context.Context, o options, p pacing) (outcome, error) {
		return job(ctx, o, p, perRecord, false)
	}},
	{"  with checkpoints", "records-checkpoints", func(ctx context.Context, o options, p pacing) (outcome, error) {
		return job(ctx, o, p, perRecord, true)
	}},
	{"job, result at the end of a window", "windows", func(ctx context.Context, o options, p pacing) (outcome, error) {
		return job(ctx, o, p, atEnd, false)
	}},
	{"  with checkpoints", "windows-checkpoints", func(ctx context.Context, o options, p pacing) (outcome, error) {
		return job(ctx, o, p, atEnd, true)
	}},
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d keys, 1 subtask of the source, %d behind the exchange, windows of %v, checkpoints every %v to %s;\n"+
		"%v timed after %v; from the moment at which a record was due to that at which the sink had its result\n\n",
		o.keys, o.parallelism, o.window, o.every, os.TempDir(), o.duration, o.warmup)
	fmt.Fprintf(out, "%10s  %-35s %9s %9s %9s %9s %9s  %7s %9s %10s\n", "records/s", "", "results", "p50", "p99", "p99.9", "largest", "epochs", "pause", "epoch took")
	for _, rate := range o.rates {
		p99 := map[string]time.Duration{}
		for _, w := range ways {
			r, err := w.run(ctx, o, newPacing(rate, o))
			if err != nil {
				return fmt.Errorf("%d records/s, %s: %w", rate, strings.TrimSpace(w.name), err)
			}
			p99[w.file] = time.Duration(r.took.ValueAtQuantile(99))
			fmt.Fprintln(out, line(rate, w.name, r))
			if err := distribution(o, fmt.Sprintf("%d-%s.hgrm", rate, w.file), r.took); err != nil {
				return err
			}
		}
		if rate == b13Rate {
			fmt.Fprintln(out, verdict(p99["channel"], p99["records-checkpoints"]))
		}
		fmt.Fprintln(out)
	}
	return nil
}

// line is a line of the table.
func line(rate int, name string, r outcome) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%10d  %-35s %9d", rate, name, r.took.TotalCount())
	for _, q := range []float64{50, 99, 99.9, 100} {
		fmt.Fprint(&text, " ", short(time.Duration(r.took.ValueAtQuantile(q))))
	}
	if r.epochs > 0 {
		fmt.Fprintf(&text, "  %7d %s  %s", r.epochs, short(r.pause), short(r.slowest))
	}
	if r.behind > 50*time.Millisecond {
		fmt.Fprintf(&text, "  too fast: %v behind", r.behind.Round(time.Millisecond))
	}
	return text.String()
}

// short writes a duration with three digits in nine characters.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%6.1f us", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%6.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%7.2f s", d.Seconds())
}

// verdict is that of B13.
func verdict(channel, records time.Duration) string {
	ratio := float64(records) / float64(max(channel, 1))
	word := "MISSED"
	switch {
	case channel > b13Must:
		word = "void: the machine is so busy that a bare channel takes longer"
	case ratio <= b13Moonshot:
		word = "moonshot"
	case records <= b13Must:
		word = "ok"
	}
	return fmt.Sprintf("%10s  p99 of a record through exchange and window with checkpoints: %v, %.1f times the channel; must %v, moonshot %d times: %s",
		"B13", records, ratio, b13Must, b13Moonshot, word)
}

// distribution writes a whole histogram to a file, in microseconds.
func distribution(o options, name string, h *hdrhistogram.Histogram) error {
	if o.hgrm == "" {
		return nil
	}
	if err := os.MkdirAll(o.hgrm, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(o.hgrm, name))
	if err != nil {
		return err
	}
	_, err = h.PercentilesPrint(f, 10, 1000)
	return errors.Join(err, f.Close())
}
