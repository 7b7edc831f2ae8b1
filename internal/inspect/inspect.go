// Package inspect shows what is in a checkpoint or savepoint to people and to other programs. It reads only, and needs no type of the job.
package inspect

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// Source says which checkpoint is meant.
type Source struct {
	FS fsx.FS
	// Dir is the directory of a savepoint, of a job's checkpoints, or the one above.
	Dir string
	// Job says which of several jobs; empty if there is one.
	Job string
	// Epoch is that of the checkpoint, 0 for the newest.
	Epoch uint64
}

// Report is what is in a checkpoint.
type Report struct {
	Job         string                 `json:"job"`
	Dir         string                 `json:"dir"`
	Savepoint   bool                   `json:"savepoint"`
	Epoch       uint64                 `json:"epoch"`
	Term        uint64                 `json:"term"`
	Created     string                 `json:"created"`
	Fingerprint string                 `json:"fingerprint"`
	Parallelism int                    `json:"parallelism"`
	KeyGroups   int                    `json:"key_groups"`
	Finished    bool                   `json:"finished,omitempty"`
	Drained     bool                   `json:"drained,omitempty"`
	From        *snapshot.SavepointRef `json:"from,omitempty"`
	Restarts    int                    `json:"restarts"`
	// Files and Bytes are those of all files.
	Files     int        `json:"files"`
	Bytes     int64      `json:"bytes"`
	Operators []Operator `json:"operators"`
	// Notes say which newer checkpoints could not be used, and why.
	Notes []string `json:"notes,omitempty"`
}

// Operator is what a checkpoint says about an operator.
type Operator struct {
	ID    string            `json:"id"`
	Kind  string            `json:"kind"`
	Types map[string]string `json:"types,omitempty"`
	// Watermark is the smallest of the subtasks: a time, "none" before the first, "end" behind the last record, or empty if the operator has none.
	Watermark string  `json:"watermark,omitempty"`
	Splits    []Split `json:"splits,omitempty"`
	// Committables are what a sink has prepared and the next start commits.
	Committables []Committable    `json:"committables,omitempty"`
	States       []State          `json:"states,omitempty"`
	Counters     map[string]int64 `json:"counters,omitempty"`
}

// Split is how far a source has read a split.
type Split struct {
	ID string `json:"id"`
	// Position is what the source has written: as JSON, text or {"base64"}.
	Position json.RawMessage `json:"position,omitempty"`
	// Newest is the largest event time, Watermark what a generator or reader has said; empty for none.
	Newest    string `json:"newest,omitempty"`
	Watermark string `json:"watermark,omitempty"`
	Records   int64  `json:"records"`
	Bytes     int64  `json:"bytes"`
}

// Committable is what one subtask of a sink has prepared: as JSON, text or {"base64"}.
type Committable struct {
	Bytes   int             `json:"bytes"`
	Content json.RawMessage `json:"content"`
}

// State is a keyed state of an operator.
type State struct {
	Name string `json:"name"`
	// Key and Value describe the types, "opaque" if the checkpoint does not.
	Key   string `json:"key"`
	Value string `json:"value"`
	// Entries is their number, Spans that of the windows or slices they are in; KeyBytes and ValueBytes are the encodings, before compression.
	Entries    int   `json:"entries"`
	Spans      int   `json:"spans"`
	KeyBytes   int64 `json:"key_bytes"`
	ValueBytes int64 `json:"value_bytes"`
	// Largest are the entries with the longest values, the longest first.
	Largest []Entry `json:"largest,omitempty"`
	// Files is the number of files that hold it.
	Files int `json:"files"`
}

// Entry is the key of an entry and the size of its value.
type Entry struct {
	Key   json.RawMessage `json:"key"`
	Span  int64           `json:"span"`
	Group int             `json:"group"`
	Bytes int             `json:"bytes"`
}

// tries is how often a checkpoint is looked up that a running job removes meanwhile.
const tries = 5

// with calls f with the checkpoint that is meant, again if it is gone before f has read it.
func with(src Source, f func(v *snapshot.View) error) error {
	for i := 1; ; i++ {
		v, err := snapshot.Look(src.FS, src.Dir, src.Job, src.Epoch)
		if err != nil {
			return err
		}
		err = f(v)
		if err == nil || i == tries || src.Epoch != 0 || !v.Gone(err) {
			return err
		}
	}
}

// Read reads all of a checkpoint and says what is in it, with so many of the largest entries of each state.
func Read(src Source, largest int) (*Report, error) {
	var r *Report
	err := with(src, func(v *snapshot.View) (err error) {
		r, err = report(v, largest)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	return r, nil
}

func report(v *snapshot.View, largest int) (*Report, error) {
	m := v.Manifest
	r := &Report{
		Job: m.Job, Dir: v.Dir, Savepoint: v.Savepoint, Epoch: m.Epoch, Term: m.Term, Created: m.Created, Fingerprint: m.Fingerprint,
		Parallelism: m.Parallelism, KeyGroups: m.Groups, Finished: m.Finished, Drained: m.Drained, From: m.From, Restarts: m.Restarts, Files: len(m.Files),
	}
	for _, f := range m.Files {
		r.Bytes += f.Size
	}
	for _, n := range v.Notes {
		r.Notes = append(r.Notes, n.String())
	}
	for i := range m.Operators {
		o, err := operatorOf(v, &m.Operators[i], largest)
		if err != nil {
			return nil, err
		}
		r.Operators = append(r.Operators, o)
	}
	return r, nil
}

func operatorOf(v *snapshot.View, m *snapshot.OperatorState, largest int) (Operator, error) {
	o := Operator{ID: m.ID, Kind: m.Kind, Types: m.Types, Counters: map[string]int64{}}
	for name, n := range m.Counters {
		if n != 0 {
			o.Counters[name] = n
		}
	}
	for _, c := range m.Committables {
		o.Committables = append(o.Committables, Committable{Bytes: len(c), Content: showBytes(c)})
	}
	if err := o.progress(m); err != nil {
		return o, fmt.Errorf("operator %q: %w", m.ID, err)
	}
	for _, c := range v.Manifest.Chains {
		if c.Operator != m.ID {
			continue
		}
		s, err := stateOf(v, m, c, largest)
		if err != nil {
			return o, err
		}
		o.States = append(o.States, s)
	}
	return o, nil
}

// sourceSubtask is what a subtask of a source writes; the names are those of the format.
type sourceSubtask struct {
	Watermark int64 `json:"watermark"`
	Splits    []struct {
		ID        string `json:"id"`
		Position  []byte `json:"position"`
		Newest    int64  `json:"newest"`
		Watermark *int64 `json:"watermark"`
		Records   int64  `json:"records"`
		Bytes     int64  `json:"bytes"`
	} `json:"splits"`
}

// clockSize is the size of what a keyed operator writes about itself: its clock.
const clockSize = 8

// progress reads watermarks and splits.
func (o *Operator) progress(m *snapshot.OperatorState) error {
	wm := int64(math.MaxInt64)
	any := false
	for _, b := range m.Subtasks {
		switch {
		case m.Kind == "source":
			var s sourceSubtask
			if err := json.Unmarshal(b, &s); err != nil {
				return fmt.Errorf("positions of the source: %w", err)
			}
			wm, any = min(wm, s.Watermark), true
			for _, sp := range s.Splits {
				split := Split{ID: sp.ID, Records: sp.Records, Bytes: sp.Bytes, Newest: timeText(sp.Newest)}
				if sp.Position != nil {
					split.Position = showBytes(sp.Position)
				}
				if sp.Watermark != nil {
					split.Watermark = timeText(*sp.Watermark)
				}
				o.Splits = append(o.Splits, split)
			}
		case m.Types["key"] != "" && len(b) == clockSize:
			wm, any = min(wm, int64(binary.BigEndian.Uint64(b))), true
		}
	}
	if any {
		o.Watermark = timeText(wm)
	}
	slices.SortFunc(o.Splits, func(a, b Split) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// timeText shows a time in ns, of which the smallest stands for none and the largest for the end of the input.
func timeText(ns int64) string {
	switch ns {
	case math.MinInt64:
		return "none"
	case math.MaxInt64:
		return "end"
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
}

// stateOf measures a state.
func stateOf(v *snapshot.View, m *snapshot.OperatorState, c snapshot.Chain, largest int) (State, error) {
	rd := newReader(m, c.State)
	s := State{Name: c.State, Key: rd.schema.Key, Value: rd.schema.Value}
	files := map[int]bool{}
	for _, run := range c.Runs {
		for _, f := range run.Files {
			files[f] = true
		}
	}
	s.Files = len(files)
	spans := map[int64]bool{}
	err := rd.each(v, c.Operator, c.State, func(e *entry) error {
		s.Entries++
		s.KeyBytes += int64(len(e.key))
		s.ValueBytes += int64(len(e.value))
		spans[e.span] = true
		if len(s.Largest) == largest && (largest == 0 || s.Largest[largest-1].Bytes >= len(e.value)) {
			return nil
		}
		key, err := rd.keyJSON(e.key)
		if err != nil {
			return err
		}
		if len(s.Largest) == largest {
			s.Largest = s.Largest[:largest-1]
		}
		at, _ := slices.BinarySearchFunc(s.Largest, len(e.value), func(x Entry, n int) int {
			if x.Bytes >= n { // those that came first stand first
				return -1
			}
			return 1
		})
		s.Largest = slices.Insert(s.Largest, at, Entry{Key: key, Span: e.span, Group: e.group, Bytes: len(e.value)})
		return nil
	})
	s.Spans = len(spans)
	return s, err
}
