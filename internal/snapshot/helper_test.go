package snapshot

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// spanKey addresses an entry of a model.
type spanKey struct {
	operator, state string
	group           int
	span            int64
	key             string
}

// model is the state of a job as one map.
type model map[spanKey]string

func (m model) drop(match func(spanKey) bool) {
	maps.DeleteFunc(m, func(k spanKey, _ string) bool { return match(k) })
}

// modelVisitor builds a model from what Read says.
type modelVisitor struct {
	m               model
	operator, state string
}

func (v modelVisitor) Reset(group int) error {
	v.m.drop(func(k spanKey) bool { return k.operator == v.operator && k.state == v.state && k.group == group })
	return nil
}

func (v modelVisitor) Drop(group int, span int64) error {
	v.m.drop(func(k spanKey) bool {
		return k.operator == v.operator && k.state == v.state && k.group == group && k.span == span
	})
	return nil
}

func (v modelVisitor) Put(group int, span int64, key, value []byte) error {
	v.m[spanKey{v.operator, v.state, group, span, string(key)}] = string(value)
	return nil
}

func (v modelVisitor) Delete(group int, span int64, key []byte) error {
	delete(v.m, spanKey{v.operator, v.state, group, span, string(key)})
	return nil
}

// readModel reads all states that the manifest has chains for.
func readModel(s *Store, m *Manifest) (model, error) {
	got := model{}
	for _, c := range m.Chains {
		if err := s.Read(m, c.Operator, c.State, 0, m.Groups, modelVisitor{got, c.Operator, c.State}); err != nil {
			return nil, err
		}
	}
	return got, nil
}

func (m model) diff(other model) string {
	for k, v := range m {
		if w, ok := other[k]; !ok || v != w {
			return fmt.Sprintf("%v: want %q, got %q (%v)", k, v, w, ok)
		}
	}
	for k := range other {
		if _, ok := m[k]; !ok {
			return fmt.Sprintf("%v: must not be there", k)
		}
	}
	return ""
}

// fixedClock shows the same time for ever.
type fixedClock struct{}

func (fixedClock) Now() time.Time { return time.Unix(1_800_000_000, 0) }

// job writes random checkpoints and knows what is in each.
type job struct {
	store  *Store
	prev   *Manifest
	state  model
	epochs map[uint64]model // content of every epoch that was tried
	rng    *rand.Rand
	groups int
	tasks  int
	resets int // one of this many groups is reset in an epoch
}

const testJob = "orders/eu"

// openJob opens the store, takes over its newest checkpoint and returns the job that goes on from it.
func openJob(fs fsx.FS, seed uint64, hit func(string) error, opts ...Option) (*job, []Note, error) {
	s, err := OpenDir(fs, "/ck", testJob, hit, append(opts, Clock(fixedClock{}))...)
	if err != nil {
		return nil, nil, err
	}
	j := &job{store: s, state: model{}, epochs: map[uint64]model{}, rng: rand.New(rand.NewPCG(seed, 1)), groups: 6, tasks: 2, resets: 5}
	m, notes, err := s.Newest()
	if err != nil {
		return j, notes, err
	}
	j.prev = m
	if m != nil {
		j.state, err = readModel(s, m)
	}
	return j, notes, err
}

// epoch changes the state, writes one file per task and publishes.
func (j *job) epoch() error {
	n := uint64(1)
	if j.prev != nil {
		n = j.prev.Epoch + 1
	}
	next := maps.Clone(j.state)
	j.epochs[n] = next
	var files []FileInfo
	for task := range j.tasks {
		w, err := j.store.CreateFile(n, task)
		if err != nil {
			return err
		}
		if err := writeRandom(w, j.rng, j.resets, next, task*j.groups/j.tasks, (task+1)*j.groups/j.tasks); err != nil {
			return err
		}
		info, err := w.Finish()
		if err != nil {
			return err
		}
		files = append(files, info)
	}
	m := &Manifest{
		Job: testJob, Fingerprint: "f", Epoch: n, Term: j.store.Term(), Parallelism: j.tasks, Groups: j.groups, Created: "now",
		Operators: []OperatorState{{
			ID: "count", Kind: "window", Types: map[string]string{"a": "u64->i64"}, Subtasks: [][]byte{{1, 2}, nil, {}},
			Committables: [][]byte{[]byte("file")}, Counters: map[string]int64{"in": int64(n)},
		}},
	}
	if err := Extend(j.prev, m, files); err != nil {
		return err
	}
	if err := j.store.Publish(m); err != nil {
		return err
	}
	j.prev, j.state = m, next
	_, err := j.store.Retire(2)
	return err
}

// writeRandom writes random sections about groups [lo, hi) and does the same to the model.
func writeRandom(w *Writer, rng *rand.Rand, resets int, m model, lo, hi int) error {
	for _, name := range [][2]string{{"count", "a"}, {"count", "b"}, {"join", ""}} {
		for g := lo; g < hi; g++ {
			if err := writeGroup(w, rng, resets, modelVisitor{m, name[0], name[1]}, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeGroup(w *Writer, rng *rand.Rand, resets int, v modelVisitor, g int) error {
	section := Section{Operator: v.operator, State: v.state, Group: g}
	if rng.IntN(resets) == 0 {
		section.Kind = Reset
		v.Reset(g)
		if err := w.Begin(section); err != nil {
			return err
		}
	}
	for _, section.Span = range []int64{-7, 0, 1 << 40} {
		section.Kind = SectionKind(rng.IntN(4)) // 0: says nothing
		if section.Kind == 0 {
			continue
		}
		if err := w.Begin(section); err != nil {
			return err
		}
		if section.Kind != Delta {
			v.Drop(g, section.Span)
		}
		if section.Kind == Dropped {
			continue
		}
		if err := writeEntries(w, rng, v, section); err != nil {
			return err
		}
	}
	return nil
}

func writeEntries(w *Writer, rng *rand.Rand, v modelVisitor, s Section) error {
	var keys [][]byte
	for range rng.IntN(4) {
		keys = append(keys, bytes.Repeat([]byte{byte('a' + rng.IntN(3))}, rng.IntN(3)*rng.IntN(40)))
	}
	slices.SortFunc(keys, bytes.Compare)
	for _, k := range slices.CompactFunc(keys, bytes.Equal) {
		var err error
		if s.Kind == Delta && rng.IntN(3) == 0 {
			v.Delete(s.Group, s.Span, k)
			err = w.Delete(k)
		} else {
			value := bytes.Repeat([]byte{byte(rng.Uint64())}, rng.IntN(3)*rng.IntN(90))
			v.Put(s.Group, s.Span, k, value)
			err = w.Put(k, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mustJob opens a job and writes epochs.
func mustJob(t *testing.T, fs fsx.FS, seed uint64, epochs int, opts ...Option) *job {
	t.Helper()
	j, _, err := openJob(fs, seed, nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	for range epochs {
		if err := j.epoch(); err != nil {
			t.Fatal(err)
		}
	}
	return j
}
