package states_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/states"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// change is an entry of a snapshot file.
type change struct {
	section    string
	group      int
	span       int64
	kind       snapshot.SectionKind
	begins     bool
	key, value string
	deleted    bool
}

// file takes what is frozen, in the order in which it is written.
type file struct {
	changes []change
	at      change
}

func (f *file) Begin(s snapshot.Section) error {
	f.at = change{section: s.State, group: s.Group, span: s.Span, kind: s.Kind}
	begin := f.at
	begin.begins = true
	f.changes = append(f.changes, begin)
	return nil
}

func (f *file) Put(key, value []byte) error {
	c := f.at
	c.key, c.value = string(key), string(value)
	f.changes = append(f.changes, c)
	return nil
}

func (f *file) Delete(key []byte) error {
	c := f.at
	c.key, c.deleted = string(key), true
	f.changes = append(f.changes, c)
	return nil
}

// load gives what the files say about a section to v, group by group.
func load(files []*file, section string, lo, hi int, v snapshot.Visitor) error {
	for g := lo; g < hi; g++ {
		for _, f := range files {
			for _, c := range f.changes {
				if c.section != section || c.group != g {
					continue
				}
				if err := apply(c, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func apply(c change, v snapshot.Visitor) error {
	switch {
	case c.begins && c.kind == snapshot.Reset:
		return v.Reset(c.group)
	case c.begins && (c.kind == snapshot.Full || c.kind == snapshot.Dropped):
		return v.Drop(c.group, c.span)
	case c.begins:
		return nil
	case c.deleted:
		return v.Delete(c.group, c.span, []byte(c.key))
	}
	return v.Put(c.group, c.span, []byte(c.key), []byte(c.value))
}

// subtask is a registry with one state of each kind.
type subtask struct {
	r     *states.Registry[string]
	value *states.Value[string, int64]
	list  *states.List[string, string]
	m     *states.Map[string, int16, string]
	sum   *states.Reducing[string, int64, agg.SumState[int64], int64]
	table *states.Table[string, int64]
	lo    int
	hi    int
}

const groups = 8

// open makes the subtasks of a parallelism from files.
func open(t *rapid.T, ttls [4]states.TTL, parallelism int, files []*file, now *int64) []*subtask {
	key, err := codec.KeyFor[string]()
	if err != nil {
		t.Fatal(err)
	}
	var all []*subtask
	for i := range parallelism {
		s := &subtask{r: states.New(key, true)}
		s.lo, s.hi = keyed.Range(i, parallelism, groups)
		s.value = states.NewValue[int64](s.r, "value", "value", ttls[0])
		s.list = states.NewList[string](s.r, "list", "list", ttls[1])
		s.m = states.NewMap[int16, string](s.r, "map", "map", ttls[2])
		s.sum = states.NewReducing(s.r, "sum", "sum", agg.Sum(func(n int64) int64 { return n }), ttls[3])
		s.table = states.NewTable[string, int64](s.r, "table", "table")
		if err := s.r.Err(); err != nil {
			t.Fatal(err)
		}
		err := s.r.Open(states.Config{
			Operator: "op", Groups: groups, Lo: s.lo, Hi: s.hi, Processing: func() int64 { return *now },
			Load: func(section string, lo, hi int, v snapshot.Visitor) error { return load(files, section, lo, hi, v) },
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// cell is a value with the time from which its life counts.
type cell[V any] struct {
	v  V
	at int64
}

// naive is what the states should be, as plain maps in which nothing is ever removed by itself.
type naive struct {
	value map[string]cell[int64]
	list  map[string][]cell[string]
	m     map[string]map[int16]cell[string]
	sum   map[string]cell[int64]
	table map[string]int64
	clock int64
}

func (n *naive) clone() *naive {
	c := &naive{maps.Clone(n.value), map[string][]cell[string]{}, map[string]map[int16]cell[string]{}, maps.Clone(n.sum), maps.Clone(n.table), n.clock}
	for k, v := range n.list {
		c.list[k] = slices.Clone(v)
	}
	for k, v := range n.m {
		c.m[k] = maps.Clone(v)
	}
	return c
}

// world is the machine and the model side by side.
type world struct {
	t     *rapid.T
	ttls  [4]states.TTL
	now   int64
	event int64
	tasks []*subtask
	naive *naive
	// files and durable are the last checkpoint.
	files   []*file
	durable *naive
	epoch   uint64
}

// times returns the clock and the time of a write for one of the states.
func (w *world) times(ttl states.TTL) (clock, write int64) {
	if ttl.Processing {
		return w.now, w.now
	}
	return w.naive.clock, w.event
}

// alive reports whether what was written at a time is still there.
func (w *world) alive(state int, at int64) bool {
	ttl := w.ttls[state]
	clock, _ := w.times(ttl)
	return !ttl.Set || at+ttl.For > clock
}

// touch returns the new time of something that is written, or read, with the old time if it was alive.
func (w *world) touch(state int, old int64, alive bool) int64 {
	_, t := w.times(w.ttls[state])
	if alive {
		return max(old, t)
	}
	return t
}

// call begins a call for a key in the subtask that owns it.
func (w *world) call() (*subtask, string) {
	k := rapid.SampledFrom([]string{"", "a", "bb"}).Draw(w.t, "key")
	w.event = max(w.naive.clock, 0) + rapid.Int64Range(-8, 8).Draw(w.t, "event")
	key, _ := codec.KeyFor[string]()
	h := key.Hash(&k)
	for _, s := range w.tasks {
		if g := keyed.Group(h, groups); g >= s.lo && g < s.hi {
			s.r.Call(&k, h, w.event, w.naive.clock)
			return s, k
		}
	}
	w.t.Fatalf("no subtask owns %q", k)
	return nil, ""
}

func (w *world) valueOps() {
	s, k := w.call()
	c, had := w.naive.value[k]
	had = had && w.alive(0, c.at)
	switch rapid.IntRange(0, 3).Draw(w.t, "op") {
	case 0:
		got := s.value.Get()
		if (got != nil) != had || had && *got != c.v {
			w.t.Fatalf("value of %q: got %v, want %v %v", k, got, had, c)
		}
		if had && w.ttls[0].Reads {
			c.at = w.touch(0, c.at, true)
			w.naive.value[k] = c
		}
	case 1:
		n := rapid.Int64Range(0, 9).Draw(w.t, "n")
		s.value.Set(n)
		w.naive.value[k] = cell[int64]{n, w.touch(0, c.at, had)}
	case 2:
		*s.value.Ref()++
		if !had {
			c.v = 0
		}
		w.naive.value[k] = cell[int64]{c.v + 1, w.touch(0, c.at, had)}
	case 3:
		s.value.Clear()
		delete(w.naive.value, k)
	}
}

func (w *world) sumOps() {
	s, k := w.call()
	c, had := w.naive.sum[k]
	had = had && w.alive(3, c.at)
	switch rapid.IntRange(0, 2).Draw(w.t, "op") {
	case 0:
		got, ok, err := s.sum.Get()
		if ok != had || err != nil || had && got != c.v {
			w.t.Fatalf("sum of %q: got %v %v %v, want %v %v", k, got, ok, err, had, c)
		}
		if had && w.ttls[3].Reads {
			c.at = w.touch(3, c.at, true)
			w.naive.sum[k] = c
		}
	case 1:
		n := rapid.Int64Range(0, 9).Draw(w.t, "n")
		if err := s.sum.Add(n); err != nil {
			w.t.Fatal(err)
		}
		if !had {
			c.v = 0
		}
		w.naive.sum[k] = cell[int64]{c.v + n, w.touch(3, c.at, had)}
	case 2:
		s.sum.Clear()
		delete(w.naive.sum, k)
	}
}

func (w *world) listOps() {
	s, k := w.call()
	l := slices.DeleteFunc(w.naive.list[k], func(c cell[string]) bool { return !w.alive(1, c.at) })
	w.naive.list[k] = l
	switch rapid.IntRange(0, 5).Draw(w.t, "op") {
	case 0, 1:
		x := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(w.t, "x")
		s.list.Append(x)
		w.naive.list[k] = append(l, cell[string]{x, w.touch(1, 0, false)})
	case 2:
		if s.list.Len() != len(l) {
			w.t.Fatalf("list of %q has length %d, want %d", k, s.list.Len(), len(l))
		}
	case 3:
		n := rapid.IntRange(0, 3).Draw(w.t, "n")
		s.list.DropFirst(n)
		w.naive.list[k] = l[min(n, len(l)):]
	case 4:
		s.list.Clear()
		delete(w.naive.list, k)
	case 5:
		var got, want []string
		for p := range s.list.All() {
			got = append(got, *p)
		}
		for i := range l {
			want = append(want, l[i].v)
			if w.ttls[1].Reads {
				l[i].at = w.touch(1, l[i].at, true)
			}
		}
		if !slices.Equal(got, want) {
			w.t.Fatalf("list of %q: got %q, want %q", k, got, want)
		}
	}
}

func (w *world) mapOps() {
	s, k := w.call()
	e := rapid.Int16Range(-2, 3).Draw(w.t, "entry")
	m := w.naive.m[k]
	if m == nil {
		m = map[int16]cell[string]{}
		w.naive.m[k] = m
	}
	maps.DeleteFunc(m, func(_ int16, c cell[string]) bool { return !w.alive(2, c.at) })
	c, had := m[e]
	switch rapid.IntRange(0, 6).Draw(w.t, "op") {
	case 0:
		got := s.m.Get(e)
		if (got != nil) != had || had && *got != c.v {
			w.t.Fatalf("entry %d of %q: got %v, want %v %v", e, k, got, had, c)
		}
		if had && w.ttls[2].Reads {
			m[e] = cell[string]{c.v, w.touch(2, c.at, true)}
		}
	case 1, 2:
		x := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(w.t, "x")
		s.m.Set(e, x)
		m[e] = cell[string]{x, w.touch(2, c.at, had)}
	case 3:
		s.m.Delete(e)
		delete(m, e)
	case 4:
		if s.m.Len() != len(m) {
			w.t.Fatalf("map of %q has %d entries, want %d", k, s.m.Len(), len(m))
		}
	case 5:
		w.walk(s, k, m)
	case 6:
		s.m.Clear()
		delete(w.naive.m, k)
	}
}

// walk walks through a map and deletes some of what it meets.
func (w *world) walk(s *subtask, k string, m map[int16]cell[string]) {
	del := rapid.Bool().Draw(w.t, "delete")
	var got, want []string
	for e, v := range s.m.All() {
		got = append(got, fmt.Sprint(e, *v))
		if del && e%2 == 0 {
			s.m.Delete(e)
		}
	}
	for _, e := range slices.Sorted(maps.Keys(m)) {
		want = append(want, fmt.Sprint(e, m[e].v))
		if w.ttls[2].Reads {
			m[e] = cell[string]{m[e].v, w.touch(2, m[e].at, true)}
		}
		if del && e%2 == 0 {
			delete(m, e)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("map of %q: got %q, want %q", k, got, want)
	}
}

func (w *world) tableOps() {
	e := rapid.SampledFrom([]string{"r", "s", "t", "u"}).Draw(w.t, "rule")
	set, n := rapid.Bool().Draw(w.t, "set"), rapid.Int64Range(0, 9).Draw(w.t, "n")
	for _, s := range w.tasks {
		s.r.Broadcasting = true
		if set {
			s.table.Set(e, n)
		} else {
			s.table.Delete(e)
		}
		s.r.Broadcasting = false
	}
	if set {
		w.naive.table[e] = n
	} else {
		delete(w.naive.table, e)
	}
	w.tables()
}

// tables checks that all subtasks have the whole table.
func (w *world) tables() {
	for i, s := range w.tasks {
		got := map[string]int64{}
		var order []string
		for e, v := range s.table.All() {
			got[e] = v
			order = append(order, e)
			if one, ok := s.table.Get(e); !ok || one != v {
				w.t.Fatalf("entry %q of subtask %d: %d %v, want %d", e, i, one, ok, v)
			}
		}
		if !maps.Equal(got, w.naive.table) || !slices.IsSortedFunc(order, cmp.Compare[string]) || s.table.Len() != len(got) {
			w.t.Fatalf("table of subtask %d: %v in order %q, want %v", i, got, order, w.naive.table)
		}
	}
}

func (w *world) advance() {
	w.naive.clock = max(w.naive.clock, 0) + rapid.Int64Range(1, 5).Draw(w.t, "by")
	for _, s := range w.tasks {
		s.r.Advance(w.naive.clock)
	}
}

func (w *world) tick() {
	w.now += rapid.Int64Range(1, 5).Draw(w.t, "by")
	for _, s := range w.tasks {
		if s.r.NextTick() <= w.now {
			s.r.Tick()
		}
		if s.r.NextTick() <= w.now {
			w.t.Fatalf("a tick at %d is followed by one at %d", w.now, s.r.NextTick())
		}
	}
}

func (w *world) freeze() {
	w.epoch++
	done := rapid.Bool().Draw(w.t, "durable")
	var files []*file
	for _, s := range w.tasks {
		f := &file{}
		s.r.Freeze(w.epoch, func(_ string, fr keyed.Frozen) {
			for fr.Pending() {
				fr.Step()
			}
			if err := fr.WriteTo(f); err != nil {
				w.t.Fatal(err)
			}
			fr.Release()
		})
		files = append(files, f)
	}
	if !done {
		return
	}
	for _, s := range w.tasks {
		s.r.Completed(w.epoch)
	}
	w.files, w.durable = append(w.files, files...), w.naive.clone()
}

func (w *world) restore() {
	w.naive = w.durable.clone()
	w.tasks = open(w.t, w.ttls, rapid.IntRange(1, 3).Draw(w.t, "parallelism"), w.files, &w.now)
	w.tables()
}

// undone makes changes that are taken back, or not: then they are noted for nothing.
func (w *world) undone() {
	before := w.naive.clone()
	for _, s := range w.tasks {
		s.r.Begin()
	}
	ops := []func(){w.valueOps, w.sumOps, w.listOps, w.mapOps}
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(ops)-1), 1, 8).Draw(w.t, "within") {
		ops[i]()
	}
	undo := rapid.Bool().Draw(w.t, "undo")
	for _, s := range w.tasks {
		if undo {
			s.r.Undo()
		} else {
			s.r.End()
		}
	}
	if undo {
		w.naive = before
	}
}

// TestStatesAgainstMaps holds states of all kinds, with and without a time to live, against plain maps, with epochs, some of which fail, changes that are taken back, and
// restores at other parallelisms in between.
func TestStatesAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t}
		for i := range w.ttls {
			if rapid.Bool().Draw(t, "ttl") {
				w.ttls[i] = states.TTL{
					Set: true, For: rapid.SampledFrom([]int64{1, 2, 5, 9, 40}).Draw(t, "for"), Processing: rapid.Bool().Draw(t, "processing"), Reads: rapid.Bool().Draw(t, "reads"),
				}
			}
		}
		w.naive = (&naive{
			value: map[string]cell[int64]{}, sum: map[string]cell[int64]{}, table: map[string]int64{}, clock: math.MinInt64,
		}).clone()
		w.durable = w.naive.clone()
		w.tasks = open(t, w.ttls, rapid.IntRange(1, 3).Draw(t, "parallelism"), nil, &w.now)
		ops := []func(){
			w.valueOps, w.valueOps, w.sumOps, w.sumOps, w.listOps, w.listOps, w.mapOps, w.mapOps, w.mapOps, w.tableOps,
			w.advance, w.advance, w.tick, w.tick, w.freeze, w.restore,
			w.undone, w.undone,
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(ops)-1), 150, 150).Draw(t, "ops") {
			ops[i]()
		}
	})
}
