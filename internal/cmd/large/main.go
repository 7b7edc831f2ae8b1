// Command large shows keyed state that is larger than memory: it counts records of many distinct keys in one window, with the
// disk behind a budget of memory and then with all of it in memory, and prints what each took. The results of both are compared
// with what a bare loop computes. A run is stopped and started again on the way, for the time that recovery takes.
//
//	large -keys 50000000 -memory 512MiB -plot docs/large.svg
//
// Each run is a process of its own, so that the memory of one does not show in another.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
)

// options are what a run is about.
type options struct {
	keys, memory int64
	interval     time.Duration
	dir, plot    string
	backends     string
	stop         bool
	child        string
}

// report is what one run has to say.
type report struct {
	Backend string
	Records int64
	// Seconds is the time that records took, CPU that of all processors.
	Seconds, CPU float64
	Results      tally
	Evicted      int64
	DiskReads    int64
	DiskBytes    int64
	// PeakRSS is the largest memory of the process, in bytes.
	PeakRSS int64
	// Recovery is the time in seconds from the second start to its first record; StateBytes is the size of the checkpoint. Both are 0
	// when the run was not stopped.
	Recovery   float64
	StateBytes int64
	Samples    []sample
}

// sample is what a run took at a time.
type sample struct {
	Seconds   float64
	RSS       int64
	Records   int64
	Cold      int64
	Evicted   int64
	DiskReads int64
}

func main() {
	var o options
	flag.Int64Var(&o.keys, "keys", 50_000_000, "distinct keys")
	memory := flag.String("memory", "512MiB", "budget of the disk backend")
	flag.DurationVar(&o.interval, "interval", 30*time.Second, "time between checkpoints")
	flag.StringVar(&o.dir, "dir", "", "directory for checkpoints and state (empty: a temporary one)")
	flag.StringVar(&o.plot, "plot", "", "write a plot of the memory to this SVG file")
	flag.StringVar(&o.backends, "backends", "disk,memory", "the backends to run")
	flag.BoolVar(&o.stop, "stop", false, "stop each run behind two thirds of the records, and start it again")
	flag.StringVar(&o.child, "child", "", "used by the command itself")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := parseBytes(*memory, &o.memory)
	if err == nil && o.child != "" {
		err = child(ctx, o)
	} else if err == nil {
		err = parent(ctx, o)
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

// parseBytes reads a number of bytes in MiB or GiB.
func parseBytes(s string, to *int64) error {
	var n int64
	var unit string
	if _, err := fmt.Sscanf(s, "%d%s", &n, &unit); err != nil || n <= 0 {
		return fmt.Errorf("-memory %q: write it as 512MiB or 2GiB", s)
	}
	switch unit {
	case "MiB":
		*to = n << 20
	case "GiB":
		*to = n << 30
	default:
		return fmt.Errorf("-memory %q: write it as 512MiB or 2GiB", s)
	}
	return nil
}

// parent runs each backend in a process of its own.
func parent(ctx context.Context, o options) error {
	if o.dir != "" {
		return compare(ctx, o)
	}
	var err error
	if o.dir, err = os.MkdirTemp("", "large-"); err != nil {
		return err
	}
	return errors.Join(compare(ctx, o), os.RemoveAll(o.dir))
}

// compare runs the backends in the directory and compares their results.
func compare(ctx context.Context, o options) error {
	var reports []report
	for backend := range strings.SplitSeq(o.backends, ",") {
		r, err := spawn(ctx, o, backend, filepath.Join(o.dir, backend))
		if err != nil {
			return fmt.Errorf("%s: %w", backend, err)
		}
		r.print()
		reports = append(reports, r)
	}
	want := expect(o.keys)
	for _, r := range reports {
		if r.Results != want {
			return fmt.Errorf("%s: results %+v, want %+v", r.Backend, r.Results, want)
		}
	}
	fmt.Printf("results are those of a bare loop: %d windows, %d records, checksum %016x\n", want.Results, want.Records, want.Sum)
	if o.plot == "" {
		return nil
	}
	return os.WriteFile(o.plot, plot(reports, o.memory), 0o644)
}

// spawn runs a backend.
func spawn(ctx context.Context, o options, backend, dir string) (report, error) {
	self, err := os.Executable()
	if err != nil {
		return report{}, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "-child", backend, "-dir", dir, "-keys", fmt.Sprint(o.keys), "-memory", fmt.Sprintf("%dMiB", o.memory>>20),
		"-interval", o.interval.String(), fmt.Sprintf("-stop=%v", o.stop))
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if backend == string(millrace.DiskBackend) {
		cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", o.memory+o.memory/5))
	}
	if err := cmd.Run(); err != nil {
		return report{}, err
	}
	var r report
	return r, json.Unmarshal(out.Bytes(), &r)
}

func (r *report) print() {
	const mib = 1 << 20
	fmt.Printf("%-6s  %d records in %.1f s, %.0f records/s, %.2f us CPU each; RSS at most %d MiB; %d entries evicted, %d reads from disk, %d MiB on disk\n",
		r.Backend, r.Records, r.Seconds, float64(r.Records)/r.Seconds, r.CPU*1e6/float64(r.Records), r.PeakRSS/mib, r.Evicted, r.DiskReads, r.DiskBytes/mib)
	if r.Recovery > 0 {
		fmt.Printf("        started again from a checkpoint of %d MiB: the first record after %.1f s\n", r.StateBytes/mib, r.Recovery)
	}
	every := max(1, len(r.Samples)/12)
	for i := 0; i < len(r.Samples); i += every {
		s := r.Samples[i]
		fmt.Printf("        %6.1f s  %9d records  RSS %5d MiB  %9d entries on disk alone\n", s.Seconds, s.Records, s.RSS/mib, s.Cold)
	}
}

// child runs one backend and prints its report.
func child(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	r := &runner{options: o, report: report{Backend: o.child}, started: time.Now()}
	err := r.run(ctx)
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(o.dir), json.NewEncoder(os.Stdout).Encode(r.report))
}
