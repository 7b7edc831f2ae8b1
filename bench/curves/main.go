//go:build unix

// Curves measures how the cost of a record grows with the work: with the parallelism, the skew of keys, the number of keys held, and the
// number of panes that a window is made of. It writes a CSV file of all points and a plot of each curve.
//
//	go run ./bench/curves                          # all curves into docs/plots
//	go run ./bench/curves -only keys -maxkeys 1e8  # one curve, further than 24 GB of memory may allow
//	go run ./bench/curves -draw                    # the plots once more, from the CSV file
//
// Each point is a process of its own, so that none inherits the heap of another; the median of several rounds, in turn over all points of
// a curve, counts. Runs over the same records must give the same results.
package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	out     string
	only    string
	records int64
	maxKeys float64
	rounds  int
	draw    bool
	child   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "curves:", err)
		os.Exit(1)
	}
}

func parse(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("curves", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.out, "out", "docs/plots", "directory for the CSV file and the plots")
	flags.StringVar(&o.only, "only", "", "the one curve to measure: parallelism, skew, keys, panes or memory; its points replace those in the CSV file")
	flags.Int64Var(&o.records, "records", 10_000_000, "records of a run; with many keys it is four for each")
	flags.Float64Var(&o.maxKeys, "maxkeys", 1e7, "the most keys held")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each point is measured")
	flags.BoolVar(&o.draw, "draw", false, "measure nothing: draw the plots from the CSV file")
	flags.StringVar(&o.child, "child", "", "do this work and tell: for processes that this program starts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.records < 1000 || o.rounds < 1:
		return o, errors.New("-records must be at least 1,000, and -rounds at least 1")
	case o.maxKeys < 1e4 || o.maxKeys > 1e9:
		return o, errors.New("-maxkeys must be from 1e4 to 1e9")
	}
	return o, nil
}

func start(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if o.child != "" {
		var w work
		if err := json.Unmarshal([]byte(o.child), &w); err != nil {
			return fmt.Errorf("-child: %w", err)
		}
		m, err := w.do(ctx)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(m)
	}
	curves, err := chosen(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	path := filepath.Join(o.out, "curves.csv")
	rows, err := readRows(path)
	if err != nil {
		return err
	}
	for _, c := range curves {
		if o.draw {
			err = c.fill(rows)
		} else {
			err = c.measure(ctx, o.rounds, inProcess)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.print(out)
		rows = append(slices.DeleteFunc(rows, func(r []string) bool { return r[0] == c.name }), c.rows()...)
		if c.plot {
			if err := os.WriteFile(filepath.Join(o.out, c.name+".svg"), c.svg(), 0o644); err != nil {
				return err
			}
		}
	}
	return writeRows(path, rows)
}

// chosen returns the curves that the flags ask for.
func chosen(o options) ([]*curve, error) {
	all := allCurves(o)
	if o.only == "" {
		return all, nil
	}
	var names []string
	for _, c := range all {
		if c.name == o.only {
			return []*curve{c}, nil
		}
		names = append(names, c.name)
	}
	return nil, fmt.Errorf("-only %s: the curves are %s", o.only, strings.Join(names, ", "))
}

// inProcess does work in a process of its own.
func inProcess(ctx context.Context, w work) (m measured, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	text, err := json.Marshal(w)
	if err != nil {
		return m, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", string(text))
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return m, fmt.Errorf("%s: %w: %s", text, err, errOut.String())
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		return m, fmt.Errorf("%s printed %q: %w", text, out.String(), err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.PeakBytes = peakBytes(usage)
	}
	return m, nil
}

var columns = []string{"curve", "series", "x", "records", "results", "cpu_ns_per_record", "wall_ns_per_record", "peak_bytes", "epochs"}

// readRows returns the rows of an earlier run, none if there was none.
func readRows(path string) ([][]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(columns)
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return slices.DeleteFunc(rows, func(r []string) bool { return r[0] == columns[0] }), nil
}

func writeRows(path string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.WriteAll(append([][]string{columns}, rows...))
	return errors.Join(err, os.WriteFile(path, b.Bytes(), 0o644))
}

// median returns the middle one.
func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}
