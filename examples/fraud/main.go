// Fraud finds suspicious card payments: too many within a minute, in places between which nobody travels that fast, and far above
// what a card usually pays. Payments come in disorder and some twice.
//
// Alerts go to two outputs at once: to files, each exactly once, and to a notification that does not wait for the epoch. The program
// makes the payments itself, 20,000 a second, knows which of them are fraud, and at the end holds the alerts against that. It also tells
// how long alerts took, from the arrival of a payment to the moment at which anyone can see its alert.
//
//	go run ./examples/fraud          # half a minute
//	go run ./examples/fraud -kill    # the same, with a SIGKILL in the middle
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace"
)

// What the latencies must be below, at 20,000 payments a second.
const (
	committedLimit = 200 * time.Millisecond
	notifiedLimit  = 10 * time.Millisecond
)

// options are the flags.
type options struct {
	rate     int
	duration time.Duration
	dir      string
	kill     bool
	jobOnly  bool
	seed     uint64
}

func main() {
	// Every epoch waits for the disk, and a goroutine that does keeps its place among the running ones until the runtime notices, up to 10 ms later. With
	// places to spare, no payment waits for that.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.NumCPU())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fraud:", err)
		os.Exit(1)
	}
}

func parse(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("fraud", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.IntVar(&o.rate, "rate", 20_000, "payments per second")
	flags.DurationVar(&o.duration, "duration", 25*time.Second, "how long payments come")
	flags.StringVar(&o.dir, "dir", "", "directory for state and output; it must be empty or that of a run to go on with (default: a new one, removed at the end)")
	flags.BoolVar(&o.kill, "kill", false, "kill the job with SIGKILL in the middle and start it again")
	flags.BoolVar(&o.jobOnly, "job-only", false, "run the job and check nothing: for -kill, which does it in a process of its own")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the payments")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.rate <= 0:
		return o, fmt.Errorf("-rate is %d: it must be more than 0", o.rate)
	case int64(float64(o.rate)*o.duration.Seconds()) < 1000*rounds:
		return o, fmt.Errorf("-rate %d for -duration %v makes fewer than %d payments: too few for a fraud", o.rate, o.duration, 1000*rounds)
	case o.jobOnly && o.dir == "":
		return o, errors.New("-job-only needs -dir")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "millrace-fraud-"); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = fmt.Errorf("%w\neverything is left in %s", err, o.dir)
				return
			}
			err = os.RemoveAll(o.dir)
		}()
	}
	w := newWorld(o.seed, int64(float64(o.rate)*o.duration.Seconds()))
	if o.jobOnly {
		return runJob(ctx, o, w, out)
	}
	fmt.Fprintf(out, "%d payments of %d cards at %d a second, out of order by up to %v of event time, one in 50 delivered twice; %d cases of fraud among them\n",
		w.total, w.cards, o.rate, disorder, len(w.cases))
	if o.kill {
		err = runAndKill(ctx, o, out)
	} else {
		err = runJob(ctx, o, w, out)
	}
	if err != nil {
		return err
	}
	return verify(o, w, out)
}

// runJob runs the job to its end.
func runJob(ctx context.Context, o options, w *world, out io.Writer) error {
	var committed, notified latencies
	job := build(gateway{world: w, lines: 2, rate: o.rate}, newTimedFiles(filepath.Join(o.dir, "alerts"), &committed),
		notifier{filepath.Join(o.dir, "notifications"), &notified})
	last := time.Now()
	var status millrace.Status
	err := millrace.Run(ctx, job, millrace.Config{
		Parallelism: 2,
		Checkpoint:  millrace.CheckpointConfig{Dir: filepath.Join(o.dir, "state"), Interval: 50 * time.Millisecond},
		Linger:      time.Millisecond,
		Log:         slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Observe: func(s millrace.Status) {
			status = s
			if now := time.Now(); now.Sub(last) >= time.Second && !s.Ended {
				last = now
				n, fast := notified.of(0.99)
				_, sure := committed.of(0.99)
				fmt.Fprintf(out, "%5.1fs  %9d payments  %7d twice  %5d alerts   p99: notified %7.2f ms, committed %7.2f ms   epoch %d took %.1f ms\n",
					s.Elapsed.Seconds(), s.In, s.Duplicates, n, ms(fast), ms(sure), s.Epoch, ms(s.EpochTime))
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d payments in %.1f s (%.0f a second), %d of them delivered twice, %d too late to be judged; %d epochs\n",
		status.InRun, status.Elapsed.Seconds(), float64(status.InRun)/status.Elapsed.Seconds(), status.Duplicates, status.Late, status.Epochs)
	for _, l := range []struct {
		name  string
		took  *latencies
		limit time.Duration
	}{{"payment -> notification (at least once)", &notified, notifiedLimit}, {"payment -> committed alert (exactly once)", &committed, committedLimit}} {
		n, p50 := l.took.of(0.5)
		_, p99 := l.took.of(0.99)
		_, most := l.took.of(1)
		fmt.Fprintf(out, "%-42s  %5d alerts   p50 %7.2f ms   p99 %7.2f ms   largest %7.2f ms   p99 below %v: %s\n",
			l.name, n, ms(p50), ms(p99), ms(most), l.limit, atMost(p99, l.limit))
	}
	if status.Late > 0 {
		return fmt.Errorf("%d payments were too late to be judged: the watermark is wrong", status.Late)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// runAndKill runs the job in a process of its own, kills it, and runs it again to its end.
func runAndKill(ctx context.Context, o options, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	start := func() (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, self, "-job-only", "-rate", fmt.Sprint(o.rate), "-duration", o.duration.String(),
			"-dir", o.dir, "-seed", fmt.Sprint(o.seed))
		cmd.Stdout, cmd.Stderr = out, out
		return cmd, cmd.Start()
	}
	cmd, err := start()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(o.duration / 2):
	}
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the job: %w", err)
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		return errors.Join(errors.New("the job ended before it was killed"), ctx.Err())
	}
	fmt.Fprintf(out, "killed with SIGKILL; starting it again\n")
	if cmd, err = start(); err != nil {
		return err
	}
	return cmd.Wait()
}

// verify holds both outputs against the world.
func verify(o options, w *world, out io.Writer) error {
	var errs []error
	for _, v := range []struct {
		name, pattern string
		once          bool
	}{{"committed", filepath.Join(o.dir, "alerts", "part-*.jsonl"), true}, {"notified", filepath.Join(o.dir, "notifications", "*.jsonl"), false}} {
		alerts, err := readAlerts(v.pattern)
		if err != nil {
			return err
		}
		summary, err := w.check(alerts, v.once)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s alerts are wrong:\n%w", v.name, err))
			continue
		}
		fmt.Fprintf(out, "%-10s %5d alerts are right: %s\n", v.name, len(alerts), summary)
	}
	return errors.Join(errs...)
}
