// Package witness is a reader of the output directories of a job that is being killed: it knows nothing of the engine but the
// names of files, looks again and again, and keeps a record of all that must not happen.
//
// It is not for jobs: make demo and make chaos use it.
package witness

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Witness watches some directories. Its methods may be called from several goroutines.
type Witness struct {
	state string
	dirs  []string

	mu         sync.Mutex
	parts      map[string]*part
	order      []string
	looks      int
	rows       int
	violations Violations
}

// part is a part file as it was first seen.
type part struct {
	size  int64
	crc   uint32
	mod   time.Time
	lines []string
	gone  bool
}

// Violations counts what must not happen.
type Violations struct {
	// Withdrawn rows were visible once and are gone or changed; Torn ones were visible in part; Undecided ones were
	// visible before the manifest of their epoch.
	Withdrawn, Torn, Undecided int
	// Notes says what it was, for the first of them.
	Notes []string
}

// Any reports whether there was one.
func (v Violations) Any() bool { return v.Withdrawn+v.Torn+v.Undecided > 0 }

// New returns a witness of output directories, which need not exist yet. State is the checkpoint directory of the job.
func New(state string, dirs ...string) *Witness {
	return &Witness{state: state, dirs: dirs, parts: map[string]*part{}}
}

// partName gives the epoch of an output file.
var partName = regexp.MustCompile(`^part-([0-9]{10,})-[0-9]+-[0-9]+\.(csv|jsonl|txt)$`)

// Look reads what has become visible since the last call, and checks that what was visible is so still. It fails when
// something cannot be read.
func (w *Witness) Look() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for _, dir := range w.dirs {
		if err := w.lookAt(dir); err != nil {
			return fmt.Errorf("witness: %w", err)
		}
	}
	return nil
}

func (w *Witness) lookAt(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := map[string]bool{}
	for _, e := range entries {
		m := partName.FindStringSubmatch(e.Name())
		if m == nil {
			if !strings.HasPrefix(e.Name(), ".") {
				w.note(&w.violations.Undecided, 1, "%s: a visible file that is no part", filepath.Join(dir, e.Name()))
			}
			continue
		}
		path := filepath.Join(dir, e.Name())
		there[path] = true
		if p := w.parts[path]; p != nil {
			info, err := e.Info()
			if err == nil && (info.Size() != p.size || !info.ModTime().Equal(p.mod)) {
				w.lost(path, p, "has changed")
			}
			continue
		}
		if err := w.firstSight(path, m[1]); err != nil {
			return err
		}
	}
	for _, path := range w.order {
		p := w.parts[path]
		if filepath.Dir(path) != filepath.Clean(dir) || there[path] || p.gone {
			continue
		}
		// A listing beside renames may leave out a name; the name itself does not lie.
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			w.lost(path, p, "is gone")
		}
	}
	return nil
}

func (w *Witness) firstSight(path, epochText string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p := &part{size: int64(len(content)), crc: crc32.ChecksumIEEE(content), mod: info.ModTime()}
	w.parts[path] = p
	w.order = append(w.order, path)
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		w.note(&w.violations.Torn, 1, "%s: the last line has no end", path)
	}
	p.lines = strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if strings.HasSuffix(path, ".csv") {
		p.lines = p.lines[1:]
	}
	w.rows += len(p.lines)
	epoch, err := strconv.ParseUint(epochText, 10, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// The part came first and the manifest is looked for after it: what is decided later than it is shown is found out.
	newest, err := Newest(w.state)
	if err != nil {
		return err
	}
	if newest < epoch {
		w.note(&w.violations.Undecided, len(p.lines), "%s is visible, the newest checkpoint is %d", path, newest)
	}
	return nil
}

func (w *Witness) lost(path string, p *part, how string) {
	p.gone = true
	w.note(&w.violations.Withdrawn, len(p.lines), "%s, with %d rows, %s", path, len(p.lines), how)
}

func (w *Witness) note(counter *int, n int, format string, args ...any) {
	*counter += max(n, 1)
	if len(w.violations.Notes) < 20 {
		w.violations.Notes = append(w.violations.Notes, fmt.Sprintf(format, args...))
	}
}

// Final looks a last time and reads every file again, so that a change that left size and time alone is found too.
func (w *Witness) Final() error {
	if err := w.Look(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, p := range w.parts {
		if p.gone {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("witness: %w", err)
		}
		if crc32.ChecksumIEEE(content) != p.crc {
			w.lost(path, p, "has changed")
		}
	}
	return nil
}

// Violations returns what was found so far.
func (w *Witness) Violations() Violations {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.violations
}

// Rows returns how many rows have been seen, and in how many looks.
func (w *Witness) Rows() (rows, looks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows, w.looks
}

// Lines returns the rows seen in a directory, in the order in which they appeared, without the headers of CSV files.
func (w *Witness) Lines(dir string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, path := range w.order {
		if filepath.Dir(path) == filepath.Clean(dir) {
			all = append(all, w.parts[path].lines...)
		}
	}
	return all
}

// Newest returns the epoch of the newest manifest in the checkpoint directory of a job; 0 when there is none.
func Newest(state string) (uint64, error) {
	entries, err := os.ReadDir(state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	newest := uint64(0)
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), "manifest-"); ok {
			if n, err := strconv.ParseUint(number, 10, 64); err == nil {
				newest = max(newest, n)
			}
		}
	}
	return newest, nil
}
