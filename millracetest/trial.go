package millracetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// Trial is what outlives the starts of a job under Crash: its sinks and its disk. Each trial begins with none of them and ends with a
// start that runs to the end. What a trial has collected, put out and written is compared with that of a run that nothing happened to.
//
// The function that builds the job is called anew for each start, as a new process would: what the job's functions keep in variables
// is lost, unless it comes from Once.
type Trial struct {
	mem  *fsx.Mem
	kept map[string]any
	// outputs reads what is compared, by name.
	outputs map[string]func() []string
	errs    []error
}

func newTrial() *Trial {
	return &Trial{mem: fsx.NewMem(), kept: map[string]any{}, outputs: map[string]func() []string{}}
}

// Collect returns the sink of the trial with this name: an exactly-once sink in memory, the same in all starts of the trial. What is
// committed to it is compared.
func (w *Trial) Collect[T any](name string) *memory.Sink[T] {
	s := w.Once("sink "+name, memory.NewSink[T])
	w.Output(name, s.Records)
	return s
}

// Once returns what makes returned when it was called first in this trial, for this name: a sink of one's own, a fake of a system
// outside, or whatever else must outlive a crash.
func (w *Trial) Once[V any](name string, makes func() V) V {
	if old, ok := w.kept[name]; ok {
		v, ok := old.(V)
		if ok {
			return v
		}
		w.errs = append(w.errs, fmt.Errorf("Once or Collect of %q: it is a %T in one place and a %T in another", name, old, v))
	}
	v := makes()
	w.kept[name] = v
	return v
}

// Output compares what read returns at the end of the trial: what a user of the results would see in a system outside.
func (w *Trial) Output[T any](name string, read func() []T) {
	w.outputs[name] = func() []string { return texts(read()) }
}

// Path returns a path on the disk of the trial, which is in memory: for file sinks. All visible lines of all files below a directory are
// compared with those of the reference. Other paths of the machine can be read by the job, and not written.
func (w *Trial) Path(elem ...string) string {
	return filepath.Join(append([]string{filesRoot}, elem...)...)
}

// Lines returns the visible lines of the files in a directory on the disk of the trial, sorted; for Check.
func (w *Trial) Lines(dir string) ([]string, error) {
	all := map[string][]string{}
	if err := readLines(w.mem, filepath.Clean(dir), all); err != nil {
		return nil, fmt.Errorf("millracetest: %w", err)
	}
	var out []string
	for _, lines := range all {
		out = append(out, lines...)
	}
	slices.Sort(out)
	return out, nil
}

// results returns all that is compared, by name.
func (w *Trial) results() (map[string][]string, error) {
	out := map[string][]string{}
	if err := readLines(w.mem, filesRoot, out); err != nil {
		return nil, err
	}
	for name, read := range w.outputs {
		out[name] = read()
	}
	return out, errors.Join(w.errs...)
}
