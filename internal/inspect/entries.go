package inspect

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/shape"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// reader reads the entries of one state.
type reader struct {
	schema         snapshot.Schema
	key, by, value *shape.Shape // nil if it is not known
	printer        shape.Printer
}

// newReader makes the reader of a state. What is not described is shown as bytes.
func newReader(o *snapshot.OperatorState, state string) *reader {
	r := &reader{schema: o.Schema(state), printer: shape.Printer{Self: printSelf}}
	parse := func(text string) *shape.Shape {
		s, err := shape.Parse(text)
		if err != nil {
			return nil
		}
		return s
	}
	r.key, r.value = parse(r.schema.Key), parse(r.schema.Value)
	if r.by = r.key; r.schema.By != "" {
		r.by = parse(r.schema.By)
	}
	return r
}

// entry is an entry of a state.
type entry struct {
	group      int
	span       int64
	key, value []byte
}

// merged applies a chain of files to one group in memory.
type merged struct {
	spans map[int64]map[string][]byte
}

func (m *merged) Reset(int) error {
	clear(m.spans)
	return nil
}

func (m *merged) Drop(_ int, span int64) error {
	delete(m.spans, span)
	return nil
}

func (m *merged) Put(_ int, span int64, key, value []byte) error {
	s := m.spans[span]
	if s == nil {
		s = map[string][]byte{}
		m.spans[span] = s
	}
	s[string(key)] = bytes.Clone(value)
	return nil
}

func (m *merged) Delete(_ int, span int64, key []byte) error {
	delete(m.spans[span], string(key))
	return nil
}

// each calls f for all entries of a state, in the order of group, span and encoded key.
func (r *reader) each(v *snapshot.View, operator, state string, f func(e *entry) error) error {
	for group := range v.Manifest.Groups {
		if err := eachIn(v, operator, state, group, f); err != nil {
			return err
		}
	}
	return nil
}

// eachIn calls f for the entries of one group.
func eachIn(v *snapshot.View, operator, state string, group int, f func(e *entry) error) error {
	m := merged{spans: map[int64]map[string][]byte{}}
	if err := v.Read(operator, state, group, group+1, &m); err != nil {
		return err
	}
	for _, span := range slices.Sorted(maps.Keys(m.spans)) {
		entries := m.spans[span]
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if err := f(&entry{group: group, span: span, key: []byte(key), value: entries[key]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyJSON shows a key.
func (r *reader) keyJSON(key []byte) (json.RawMessage, error) {
	if r.key == nil {
		return encoded(key), nil
	}
	b, err := r.printer.Key(nil, r.key, key)
	if err != nil {
		return nil, fmt.Errorf("key %x: %w", key, err)
	}
	return b, nil
}

// ownerJSON shows the part of a key that is the job's, where there is more to it.
func (r *reader) ownerJSON(key []byte) (json.RawMessage, error) {
	if r.by == nil || r.by == r.key {
		return r.keyJSON(key)
	}
	_, rest, err := shape.Hash(r.by, key)
	if err != nil {
		return nil, err
	}
	return r.printer.Key(nil, r.by, key[:len(key)-len(rest)])
}

func (r *reader) valueJSON(value []byte) (json.RawMessage, error) {
	if r.value == nil {
		return encoded(value), nil
	}
	b, err := r.printer.Value(nil, r.value, value)
	if err != nil {
		return nil, fmt.Errorf("value of %d bytes: %w", len(value), err)
	}
	return b, nil
}

func encoded(b []byte) json.RawMessage {
	return json.RawMessage(`{"base64":"` + base64.StdEncoding.EncodeToString(b) + `"}`)
}

// showBytes shows what a connector has written: as JSON or text, where it is one.
func showBytes(b []byte) json.RawMessage {
	text := utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	switch {
	case len(b) > 1 && (b[0] == '{' || b[0] == '[') && json.Valid(b):
		return b
	case text && len(b) > 0:
		if out, err := json.Marshal(string(b)); err == nil {
			return out
		}
	}
	return encoded(b)
}

// selves are the types of package agg that encode themselves, by the beginning of their names.
var selves = []struct {
	name string
	make func() codec.Self
	show func(s codec.Self) any
}{
	{"github.com/millrace-stream/millrace/agg.ApproxState[", func() codec.Self { return &agg.ApproxState[int64]{} }, func(s codec.Self) any {
		return agg.ApproxDistinct(func(n int64) int64 { return n }).Result(s.(*agg.ApproxState[int64]))
	}},
	{"github.com/millrace-stream/millrace/agg.BitsState[", func() codec.Self { return &agg.BitsState[int64]{} }, func(s codec.Self) any {
		return agg.DistinctBits(func(n int64) int64 { return n }).Result(s.(*agg.BitsState[int64]))
	}},
	{"github.com/millrace-stream/millrace/agg.QuantilesState", func() codec.Self { return &agg.QuantilesState{} }, func(s codec.Self) any {
		a := agg.Quantiles(func(f float64) float64 { return f }, 0, 0.25, 0.5, 0.75, 1)
		return a.Result(s.(*agg.QuantilesState))
	}},
}

// printSelf shows what the sketches of package agg say: a number of distinct values, or the quantiles 0, 0.25, 0.5, 0.75 and 1.
func printSelf(name string, src []byte) (text, rest []byte, ok bool, err error) {
	for _, s := range selves {
		if !strings.HasPrefix(name, s.name) {
			continue
		}
		x := s.make()
		if rest, err = x.DecodeState(src); err != nil {
			return nil, src, true, err
		}
		text, err = json.Marshal(s.show(x))
		return text, rest, true, err
	}
	return nil, src, false, nil
}

// Export writes entries as JSON lines.
type Export struct {
	// Operator is an id; empty for all. State is one of its states; empty for all.
	Operator, State string
	// Key, if not empty, is the key whose entries are meant, as JSON or, for text, as it is.
	Key string
}

// line is an entry in an export.
type line struct {
	Operator string          `json:"operator"`
	State    string          `json:"state"`
	Group    int             `json:"group"`
	Span     int64           `json:"span"`
	Key      json.RawMessage `json:"key"`
	Value    json.RawMessage `json:"value"`
}

// Write calls out for each line, without its end, in the order of operator, state, group, span and encoded key. It fails when the checkpoint has
// no such operator or state. When the checkpoint is removed by its job after the first line was written, it fails too.
func (x Export) Write(src Source, out func(b []byte) error) error {
	begun := false
	err := with(src, func(v *snapshot.View) error {
		err := x.write(v, func(b []byte) error {
			begun = true
			return out(b)
		})
		if err != nil && begun && v.Gone(err) {
			return fmt.Errorf("the job has removed checkpoint %d while it was read: take a savepoint, or let the job keep more checkpoints: %s", v.Manifest.Epoch, err.Error())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	return nil
}

func (x Export) write(v *snapshot.View, out func(b []byte) error) error {
	found := false
	for _, c := range v.Manifest.Chains {
		if x.Operator != "" && c.Operator != x.Operator || x.State != "" && c.State != x.State {
			continue
		}
		found = true
		o := v.Manifest.Operator(c.Operator)
		if o == nil {
			return fmt.Errorf("there is state of operator %q, and nothing about it", c.Operator)
		}
		rd := newReader(o, c.State)
		err := rd.each(v, c.Operator, c.State, func(e *entry) error {
			if x.Key != "" {
				if ok, err := rd.means(x.Key, e.key); !ok || err != nil {
					return err
				}
			}
			l := line{Operator: c.Operator, State: c.State, Group: e.group, Span: e.span}
			var err error
			if l.Key, err = rd.keyJSON(e.key); err == nil {
				l.Value, err = rd.valueJSON(e.value)
			}
			if err != nil {
				return err
			}
			b, err := json.Marshal(l)
			if err != nil {
				return err
			}
			return out(b)
		})
		if err != nil {
			return fmt.Errorf("%s/%s: %w", c.Operator, c.State, err)
		}
	}
	if !found {
		return x.unknown(v.Manifest)
	}
	return nil
}

// means says whether a key, or the part of it that is the job's, is the one asked for.
func (r *reader) means(want string, key []byte) (bool, error) {
	whole, err := r.keyJSON(key)
	if err != nil {
		return false, err
	}
	owner, err := r.ownerJSON(key)
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(want)
	if err != nil {
		return false, err
	}
	if json.Valid([]byte(want)) {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(want)); err == nil {
			want = b.String()
		}
	}
	for _, k := range []json.RawMessage{whole, owner} {
		if string(k) == want || bytes.Equal(k, text) {
			return true, nil
		}
	}
	return false, nil
}

// unknown says what there is in the place of a state that there is not.
func (x Export) unknown(m *snapshot.Manifest) error {
	var names []string
	for _, c := range m.Chains {
		names = append(names, c.Operator+"/"+c.State)
	}
	slices.SortFunc(names, cmp.Compare)
	have := "no operator has any"
	if len(names) > 0 {
		have = "there is " + strings.Join(names, ", ")
	}
	return fmt.Errorf("checkpoint %d has no entries of operator %q, state %q: %s", m.Epoch, cmp.Or(x.Operator, "*"), cmp.Or(x.State, "*"), have)
}
