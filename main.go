package millrace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/commands"
	"github.com/millrace-stream/millrace/internal/console"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
)

// Main makes a program of a job and does not return. Its commands are run (the default), graph, validate, inspect, which shows what
// is in a checkpoint or savepoint, plan, which says what a start would do with it, audit, and dlq, which lists dead letters or handles them again; run
// and dlq replay take flags that override cfg. On a terminal it shows one line of progress and a summary, otherwise it writes log lines.
//
// SIGINT and SIGTERM stop the job with a last checkpoint; a second signal ends the process at once. The exit status is 0 when
// the job has finished or was stopped, and 1 after an error, which is printed.
func Main(job *Job, cfg Config) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	task.NewSystem().Go("signals", func() {
		<-ctx.Done()
		stop() // the second signal has its default effect again
	})
	cmd := command(job, cfg)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		if shown := (shownError{}); !errors.As(err, &shown) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// shownError is an error that the summary has shown: once is enough.
type shownError struct{ error }

func (e shownError) Unwrap() error { return e.error }

// mainFlags are the flags of run that are not fields of Config.
type mainFlags struct {
	logFormat string
	logLevel  string
	progress  bool
	delivery  string
	// savepoint is where a signal lets the job write a savepoint; drain says that it lets it drain.
	savepoint string
	drain     bool
}

// deliveries are the values of --delivery.
var deliveries = map[string]Delivery{"exactly-once": ExactlyOnce, "at-least-once": AtLeastOnce, "at-most-once": AtMostOnce}

func command(job *Job, cfg Config) *cobra.Command {
	var flags mainFlags
	run := func(cmd *cobra.Command, _ []string) error { return runMain(cmd, job, cfg, flags) }
	root := &cobra.Command{
		Use: job.Name(), Short: "millrace job " + job.Name(), Args: cobra.NoArgs, RunE: run,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	runCmd := &cobra.Command{Use: "run", Short: "run the job, from its newest checkpoint if there is one", Args: cobra.NoArgs, RunE: run}
	dlq := &cobra.Command{Use: "dlq", Short: "look at dead letters, or handle them again"}
	replay := &cobra.Command{
		Use: "replay PATH...", Short: "run the job, and let it handle dead letters again before anything else, exactly once", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			letters, err := ReadDeadLetters(paths...)
			if err != nil {
				return err
			}
			cfg.Replay = letters
			return run(cmd, nil)
		},
	}
	dlq.AddCommand(replay, &cobra.Command{
		Use: "list PATH...", Short: "show the dead letters in files or directories that file.JSONL has written", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			letters, err := ReadDeadLetters(paths...)
			return errors.Join(err, printLetters(cmd.OutOrStdout(), letters))
		},
	})
	for _, c := range []*cobra.Command{root, runCmd, replay} {
		f := c.Flags()
		f.IntVar(&cfg.Parallelism, "parallelism", cfg.Parallelism, "subtasks of each operator (0: one for each CPU)")
		f.StringVar(&cfg.Checkpoint.Dir, "checkpoint-dir", cfg.Checkpoint.Dir, "directory for checkpoints (empty: none are kept)")
		f.DurationVar(&cfg.Checkpoint.Interval, "checkpoint-interval", cfg.Checkpoint.Interval, "time from one epoch to the next (0: 1s)")
		f.DurationVar(&cfg.Checkpoint.MinPause, "checkpoint-min-pause", cfg.Checkpoint.MinPause, "least time from the end of one epoch to the next")
		f.DurationVar(&cfg.Checkpoint.Timeout, "checkpoint-timeout", cfg.Checkpoint.Timeout, "how long an epoch may take (0: 10m)")
		f.IntVar(&cfg.Checkpoint.TolerateFailures, "checkpoint-failures", cfg.Checkpoint.TolerateFailures, "how many epochs in a row may fail before the job does")
		f.IntVar(&cfg.Checkpoint.Keep, "checkpoint-keep", cfg.Checkpoint.Keep, "how many checkpoints are kept (0: 2)")
		f.StringVar(&cfg.From, "from", cfg.From, "directory of a savepoint to begin at, if the job has not begun")
		f.BoolVar(&cfg.FromAgain, "from-again", cfg.FromAgain, "go back to the savepoint although the job has checkpoints of its own")
		f.StringSliceVar(&cfg.Drop, "drop", cfg.Drop, "what a changed job may lose of its state: operator, operator/state or operator/state.Field (see plan)")
		f.StringVar(&flags.savepoint, "savepoint-on-stop", "", "directory for a savepoint that is written when a signal stops the job")
		f.BoolVar(&flags.drain, "drain-on-stop", false, "let a signal end the input instead: all windows fire and the job has finished")
		f.IntVar(&cfg.Restart.Attempts, "restart-attempts", cfg.Restart.Attempts, "restarts in a row after failures that may go away (0: none)")
		f.StringVar((*string)(&cfg.Restart.Strategy), "restart", string(cfg.Restart.Strategy), "waits between restarts: exponential, fixed or never (empty: exponential)")
		f.DurationVar(&cfg.Restart.Backoff, "restart-backoff", cfg.Restart.Backoff, "wait before the first restart (0: 100ms)")
		f.Int64Var(&cfg.FailureBudget.Records, "max-failures", cfg.FailureBudget.Records, "records that may fail before the job does (0: any number)")
		f.Float64Var(&cfg.FailureBudget.Share, "max-failure-share", cfg.FailureBudget.Share, "part of the records that may fail before the job does, from 0 to 1 (0: any)")
		f.DurationVar(&cfg.Watchdog.BlockedAfter, "blocked-after", cfg.Watchdog.BlockedAfter, "how long an operator may be in one call before it is told of (0: 30s)")
		f.StringVar(&flags.delivery, "delivery", "", "exactly-once, at-least-once or at-most-once (empty: as the program says)")
		f.StringVar((*string)(&cfg.State.Backend), "state", string(cfg.State.Backend), "where keyed state is kept: memory, or disk beside it (empty: memory)")
		f.StringVar(&cfg.State.Dir, "state-dir", cfg.State.Dir, "directory for keyed state on disk (empty: beside the checkpoints)")
		f.Var((*byteSize)(&cfg.State.MemoryBudget), "memory", "memory for keyed state with --state disk, such as 512MB or 2GiB")
		f.StringVar(&flags.logFormat, "log-format", "text", "text or json")
		f.StringVar(&flags.logLevel, "log-level", "info", "debug, info, warn or error")
		f.BoolVar(&flags.progress, "progress", true, "show progress")
	}
	graph := &cobra.Command{Use: "graph", Short: "print the graph of the job", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := job.Validate(); err != nil {
			return err
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), job.String())
		return err
	}}
	validate := &cobra.Command{Use: "validate", Short: "check the job without running it", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return errors.Join(job.Validate(), cfg.Validate())
	}}
	root.AddCommand(runCmd, graph, validate, auditCommand(job, &cfg), dlq, planCommand(job, &cfg), commands.Inspect(fsx.OS{}, cfg.Checkpoint.Dir, job.Name()),
		commands.Rekey(fsx.OS{}, clock.System{}))
	return root
}

// planCommand says what a start would do with a savepoint or checkpoint.
func planCommand(job *Job, cfg *Config) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan [DIR]", Short: "say what of a savepoint or checkpoint the job would keep, migrate, drop or refuse", Args: cobra.MaximumNArgs(1),
		Long: `Plan compares the job with a savepoint, or with the newest of its checkpoints, and says what a start would do with each operator and state. It writes nothing
and does not run the job. The exit status is 1 if the start would be refused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			steps, err := job.Plan(*cfg, strings.Join(args, ""))
			if err != nil {
				return err
			}
			refused := 0
			for _, s := range steps {
				name := s.Operator
				if s.State != "" {
					name += "/" + s.State
				}
				if s.Action == PlanRefuse {
					refused++
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s: %s\n", s.Action, cmp.Or(name, job.Name()), s.Text); err != nil {
					return err
				}
			}
			if refused > 0 {
				return fmt.Errorf("plan: the job would not start: %d of %d steps are refused", refused, len(steps))
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&cfg.Drop, "drop", cfg.Drop, "what the job may lose: operator, operator/state or operator/state.Field")
	cmd.Flags().IntVar(&cfg.KeyGroups, "key-groups", cfg.KeyGroups, "number of key groups (0: 128)")
	return cmd
}

func runMain(cmd *cobra.Command, job *Job, cfg Config, flags mainFlags) error {
	out := cmd.ErrOrStderr()
	file, isFile := out.(*os.File)
	terminal := flags.progress && isFile && console.IsTerminal(file)
	conf := console.Config{Writer: out, Terminal: terminal, Now: clock.System{}.Now}
	if terminal {
		conf.Width = console.WidthOf(file)
	}
	var reporter *console.Reporter
	logTo := out
	log, err := newLog(writerFunc(func(b []byte) (int, error) { return logTo.Write(b) }), flags)
	if err != nil {
		return err
	}
	conf.Log = log
	reporter, err = console.New(conf)
	if err != nil {
		return err
	}
	if terminal {
		logTo = reporter.LogWriter(out) // log lines stand above the progress line
	}
	cfg.Log = log
	if err := flags.choose(&cfg); err != nil {
		return err
	}
	var last Status
	observe := cfg.Observe
	cfg.Observe = func(s Status) {
		if observe != nil {
			observe(s)
		}
		last = s
		if flags.progress && !s.Ended {
			reporter.Update(progress(s))
		}
	}
	ctx := cmd.Context()
	var asked error
	if flags.drain || flags.savepoint != "" {
		var over func()
		ctx, over = stopBy(ctx, &cfg, flags, &asked)
		err = Run(ctx, job, cfg)
		over()
	} else {
		err = Run(ctx, job, cfg)
	}
	stopped := err != nil && (errors.Is(err, ErrStopped) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)))
	sum := console.Summary{
		Job: job.Name(), In: last.In, Out: last.Out, Late: last.Late, Filtered: last.Filtered, Duplicates: last.Duplicates, Ahead: last.Ahead, Processed: last.InRun,
		Duration: last.Elapsed, Epochs: uint64(last.Epochs), Restarts: last.Restarts, Outcome: "finished",
	}
	switch {
	case stopped:
		sum.Outcome, err = "stopped, goes on from its last checkpoint when run again", nil
	case err != nil:
		sum.Outcome, sum.Err = "failed", err
	}
	err = errors.Join(err, asked)
	if last.Ended {
		ferr := reporter.Finish(sum)
		if ferr == nil && err != nil {
			return shownError{err}
		}
		err = errors.Join(err, ferr)
	}
	return err
}

// choose checks the flags that a Config has no field for, and sets what they say.
func (f mainFlags) choose(cfg *Config) error {
	if f.drain && f.savepoint != "" {
		return errors.New("--drain-on-stop and --savepoint-on-stop: a job that is drained has come to its end: there is nothing to begin at")
	}
	if f.delivery == "" {
		return nil
	}
	d, ok := deliveries[f.delivery]
	if !ok {
		return fmt.Errorf("--delivery %q: it must be exactly-once, at-least-once or at-most-once", f.delivery)
	}
	cfg.Delivery = d
	return nil
}

// stopBy lets the end of ctx, which is a signal, ask the job to stop or drain. It returns a context that does not end with it, and what waits for the
// answer, which goes to asked.
func stopBy(ctx context.Context, cfg *Config, flags mainFlags, asked *error) (context.Context, func()) {
	if cfg.Control == nil {
		cfg.Control = &Control{}
	}
	control := cfg.Control
	run := context.WithoutCancel(ctx)
	waits, over := context.WithCancel(ctx)
	group := task.NewGroup(task.NewSystem())
	group.Go("stop", func() {
		<-waits.Done()
		if ctx.Err() == nil {
			return // the job has ended by itself
		}
		if flags.drain {
			*asked = control.Drain(run)
		} else {
			*asked = control.Stop(run, flags.savepoint)
		}
	})
	return run, func() {
		over()
		group.Wait()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func newLog(w io.Writer, flags mainFlags) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(flags.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: it must be debug, info, warn or error", flags.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch flags.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: it must be text or json", flags.logFormat)
}

// progress turns a status into what the console shows.
func progress(s Status) console.Progress {
	p := console.Progress{
		Records: s.In, Out: s.Out, Late: s.Late, Filtered: s.Filtered, BytesRead: s.BytesRead, BytesTotal: s.BytesTotal,
		Watermark: console.NoTime, NewestTime: console.NoTime, OpenWindows: s.OpenWindows,
		Epoch: s.Epoch, EpochDuration: s.EpochTime, Restarts: s.Restarts,
	}
	if !s.Watermark.IsZero() {
		p.Watermark = s.Watermark.UnixNano()
	}
	if s.InputEnded {
		p.Watermark = math.MaxInt64
	}
	if !s.EventTime.IsZero() {
		p.NewestTime = s.EventTime.UnixNano()
	}
	return p
}

// byteSize is a flag that takes a number of bytes with a unit.
type byteSize int64

// byteUnits are the units, the longest first: of two that fit, that is meant.
var byteUnits = []struct {
	name string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}

// String implements flag.Value.
func (b *byteSize) String() string { return strconv.FormatInt(int64(*b), 10) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "bytes" }

// Set implements flag.Value.
func (b *byteSize) Set(s string) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*float64(u.size) > math.MaxInt64/2 {
			break
		}
		*b = byteSize(n * float64(u.size))
		return nil
	}
	return fmt.Errorf("%q is not a number of bytes: write it as 512MB, 2GiB or 536870912", s)
}
