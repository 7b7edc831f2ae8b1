package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-stream/millrace/internal/shape"
)

// Manifest is a checkpoint: what a job was at the end of an epoch. What is not in here, directly or by the name of a file, is lost.
type Manifest struct {
	// Job is the name of the job that the checkpoint belongs to.
	Job string `json:"job"`
	// Fingerprint stands for the graph of the job.
	Fingerprint string `json:"fingerprint"`
	// Epoch is the number of the checkpoint; it rises.
	Epoch uint64 `json:"epoch"`
	// Term is the number of the run that wrote it.
	Term uint64 `json:"term"`
	// Parallelism is the number of subtasks of that run.
	Parallelism int `json:"parallelism"`
	// Groups is the number of key groups, fixed for the life of a job.
	Groups int `json:"groups"`
	// Finished says that all inputs had ended.
	Finished bool `json:"finished"`
	// Drained says that they had because somebody asked for it: there may be more input.
	Drained bool `json:"drained,omitempty"`
	// From is the savepoint that the history of the checkpoint begins with, nil if it is none; Imported says that this is that savepoint
	// itself, taken over.
	From     *SavepointRef `json:"from,omitempty"`
	Imported bool          `json:"imported,omitempty"`
	// Restarts counts how often the job was restarted after a failure.
	Restarts int `json:"restarts"`
	// Created is when it was made, for people.
	Created string `json:"created"`
	// Operators holds what belongs to operators and not to key groups.
	Operators []OperatorState `json:"operators"`
	// Files are all files that chains name.
	Files []FileInfo `json:"files"`
	// Chains say which files hold the keyed state, ordered by operator and state.
	Chains []Chain `json:"chains"`
}

// OperatorState is the part of an operator in a checkpoint.
type OperatorState struct {
	// ID is the name of the operator that is stable across versions of the job.
	ID string `json:"id"`
	// Kind is what sort of operator it is.
	Kind string `json:"kind"`
	// Types gives for each named state the description of its types.
	Types map[string]string `json:"types,omitempty"`
	// Schemas says for each named state how its keys and values are encoded. Version 1 has none.
	Schemas map[string]Schema `json:"schemas,omitempty"`
	// Subtasks is what each subtask wrote about itself, opaque here.
	Subtasks [][]byte `json:"subtasks,omitempty"`
	// Committables are what sinks have prepared and must commit, opaque here.
	Committables [][]byte `json:"committables,omitempty"`
	// Counters are the record counts of the ledger.
	Counters map[string]int64 `json:"counters,omitempty"`
}

// Schema says how the entries of a state are encoded, so that a program that knows nothing of the job can read them.
type Schema struct {
	// Key and Value describe the encodings, as codec.Describe does.
	Key   string `json:"key"`
	Value string `json:"value"`
	// By describes the part at the beginning of the key whose hash chooses the key group; empty for all of it.
	By string `json:"by,omitempty"`
}

const (
	manifestFirst = "millrace-manifest 2\n"
	// manifestOne began manifests without schemas.
	manifestOne = "millrace-manifest 1\n"
	// maxManifest bounds what is read into memory for a manifest.
	maxManifest = 1 << 30
)

// Encode returns the manifest as it stands on storage. It fails when a reader would refuse it.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("snapshot: encode manifest: %w", err)
	}
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("snapshot: encode manifest: %w", err)
	}
	if len(body) > maxManifest/2 {
		return nil, fmt.Errorf("snapshot: encode manifest: %d bytes, the limit is %d", len(body), maxManifest/2)
	}
	return frame(manifestFirst, append(body, '\n')), nil
}

// DecodeManifest reads what Encode wrote; any other bytes are an error for which errors.Is(err, ErrDamaged) holds, except those
// of another format version. The name is for messages.
func DecodeManifest(name string, b []byte) (*Manifest, error) {
	first := manifestFirst
	if bytes.HasPrefix(b, []byte(manifestOne)) {
		first = manifestOne
	}
	body, err := unframe(name, first, b)
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields() // a field that is not understood may be state that would be lost
	if err := d.Decode(m); err != nil {
		return nil, damage(name, d.InputOffset()+int64(len(first)), "%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, damage(name, d.InputOffset()+int64(len(first)), "more than one JSON value")
	}
	err = m.expand()
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, damage(name, 0, "%v", err)
	}
	return m, nil
}

// frame puts a first line before and a checksum line behind the body, which ends with a newline.
func frame(first string, body []byte) []byte {
	b := append([]byte(first), body...)
	return append(b, checksumLine(b)...)
}

func checksumLine(b []byte) string {
	return fmt.Sprintf("crc32c:%08x\n", crc32.Checksum(b, castagnoli))
}

const checksumLen = len("crc32c:00000000\n")

// unframe returns the body. First ends with " <version>\n".
func unframe(name, first string, b []byte) ([]byte, error) {
	if len(b) < len(first)+checksumLen {
		return nil, damage(name, int64(len(b)), "file ends after %d bytes", len(b))
	}
	body, sum := b[:len(b)-checksumLen], string(b[len(b)-checksumLen:])
	if want := checksumLine(body); sum != want {
		return nil, damage(name, int64(len(body)), "last line is %q, the bytes before it have %q", sum, want)
	}
	if !bytes.HasPrefix(body, []byte(first)) {
		line, _, _ := bytes.Cut(clip(body), []byte("\n"))
		if word, _, _ := strings.Cut(first, " "); bytes.HasPrefix(line, []byte(word+" ")) {
			return nil, fmt.Errorf("snapshot: %s: first line is %q, this program reads %q: use the release that wrote it or a newer one", name, line, first)
		}
		return nil, damage(name, 0, "first line is %q instead of %q", line, first)
	}
	return body[len(first):], nil
}

// check finds what no manifest can have, so that users of a decoded one need not look.
func (m *Manifest) check() error {
	if m.Groups < 0 || m.Groups > MaxGroups || m.Parallelism < 0 || m.Restarts < 0 {
		return fmt.Errorf("groups %d (limit %d), parallelism %d, restarts %d", m.Groups, MaxGroups, m.Parallelism, m.Restarts)
	}
	if err := m.checkStrings(); err != nil {
		return err
	}
	seen := make(map[string]bool, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		if id, ok := parseFileName(f.Name); !ok || id != (fileID{f.Epoch, f.Task, f.Term}) {
			return fmt.Errorf("file %q is not named after epoch %d, task %d, term %d", f.Name, f.Epoch, f.Task, f.Term)
		}
		if seen[f.Name] || f.Size < 0 || f.Epoch > m.Epoch {
			return fmt.Errorf("file %q of epoch %d with %d bytes: named twice, newer than the manifest or of negative size", f.Name, f.Epoch, f.Size)
		}
		seen[f.Name] = true
	}
	for i, c := range m.Chains {
		if i > 0 && compareState(m.Chains[i-1].Operator, m.Chains[i-1].State, c.Operator, c.State) >= 0 {
			return fmt.Errorf("chain of %s/%s is out of order", c.Operator, c.State)
		}
		if err := c.check(m); err != nil {
			return fmt.Errorf("chain of %s/%s: %w", c.Operator, c.State, err)
		}
	}
	return nil
}

// checkStrings makes sure that JSON gives back every string as it was: it replaces bytes that are not UTF-8.
func (m *Manifest) checkStrings() error {
	ok := func(s ...string) error {
		for _, s := range s {
			if !utf8.ValidString(s) {
				return fmt.Errorf("%q is not UTF-8", s)
			}
		}
		return nil
	}
	err := ok(m.Job, m.Fingerprint, m.Created)
	if m.From != nil && err == nil {
		err = ok(m.From.Dir, m.From.Job, m.From.Created)
	}
	for i := 0; err == nil && i < len(m.Operators); i++ {
		o := &m.Operators[i]
		err = ok(o.ID, o.Kind)
		for k, v := range o.Types {
			if err == nil {
				err = ok(k, v)
			}
		}
		for k, v := range o.Schemas {
			if err == nil {
				err = ok(k, v.Key, v.Value, v.By)
			}
		}
		for k := range o.Counters {
			if err == nil {
				err = ok(k)
			}
		}
	}
	return err
}

// Operator returns the part of an operator, or nil.
func (m *Manifest) Operator(id string) *OperatorState {
	for i := range m.Operators {
		if m.Operators[i].ID == id {
			return &m.Operators[i]
		}
	}
	return nil
}

// Schema returns the schema of a state; for version 1, what follows from the types of the operator.
func (o *OperatorState) Schema(state string) Schema {
	if s, ok := o.Schemas[state]; ok {
		return s
	}
	if s, ok := shape.Version1(o.Kind, o.Types)[state]; ok {
		return Schema{Key: s.Key, By: s.By, Value: s.Value}
	}
	return Schema{Key: shape.Opaque, Value: shape.Opaque}
}

// Has reports whether there is anything of a state.
func (m *Manifest) Has(operator, state string) bool {
	return slices.ContainsFunc(m.Chains, func(c Chain) bool { return c.Operator == operator && c.State == state })
}
