package keyed

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

const machineGroups = 8

// kind adapts the machine to types of keys and values. Values are seen as a number.
type kind[K comparable, V any] struct {
	key    *codec.Key[K]
	value  codec.Codec[V]
	layout codec.Layout
	make   func(i int) K
	set    func(v *V, x int64)
	get    func(v *V) int64
}

type place[K comparable] struct {
	span int64
	key  K
}

// inFlight is an epoch that was frozen but is not decided.
type inFlight[K comparable] struct {
	epoch  uint64
	frozen []Frozen
	files  []*memFile
	want   map[place[K]]int64
}

// machine drives the Spaces of a whole job against a map.
type machine[K comparable, V any] struct {
	kind[K, V]
	// filtered says that the Spaces keep filters.
	filtered bool
	spaces   []*Space[K, V]
	model    map[place[K]]int64
	epoch    uint64
	flights  []*inFlight[K]
	chain    []*memFile // of the newest complete epoch
	durable  map[place[K]]int64
	counter  int64
	// tier is set when entries are evicted.
	tier *Tier
}

func (m *machine[K, V]) start(parallelism int) {
	m.spaces = nil
	for i := range parallelism {
		lo, hi := Range(i, parallelism, machineGroups)
		m.spaces = append(m.spaces, New(Config[K, V]{
			Operator: "op", State: "st", Key: m.key, Value: m.value, Layout: m.layout, Groups: machineGroups, Lo: lo, Hi: hi,
			Filtered: m.filtered, Memory: m.memory(),
		}))
	}
}

// memory returns the memory of one more Space, nil without a tier.
func (m *machine[K, V]) memory() *Memory {
	if m.tier == nil {
		return nil
	}
	return m.tier.Task(nil)
}

// evict evicts a table, or some, or all of a Space.
func (m *machine[K, V]) evict(t *rapid.T) {
	if m.tier == nil {
		return
	}
	s := m.spaces[rapid.IntRange(0, len(m.spaces)-1).Draw(t, "space")]
	keep := rapid.IntRange(0, 6).Draw(t, "keep")
	for _, p := range s.panes {
		for g := range p.tables {
			if rapid.IntRange(0, 3).Draw(t, "table") > 0 {
				s.evict(p, g, keep)
			}
		}
	}
}

// evictAll evicts all there is.
func (m *machine[K, V]) evictAll(*rapid.T) {
	if m.tier == nil {
		return
	}
	for _, s := range m.spaces {
		for s.evictSome() {
		}
		if n := s.hotEntries(); n != 0 {
			panic(fmt.Sprintf("%d entries are left in memory", n))
		}
	}
}

func (m *machine[K, V]) at(k *K) (*Space[K, V], uint64) {
	h := m.key.Hash(k)
	return m.spaces[Owner(Group(h, machineGroups), len(m.spaces), machineGroups)], h
}

func (m *machine[K, V]) draw(t *rapid.T) (*Space[K, V], int64, K, uint64) {
	span := rapid.Int64Range(-1, 2).Draw(t, "span") * 10
	k := m.make(rapid.IntRange(0, 60).Draw(t, "key"))
	s, h := m.at(&k)
	return s, span, k, h
}

func (m *machine[K, V]) upsert(t *rapid.T) {
	for range rapid.IntRange(1, 20).Draw(t, "n") {
		s, span, k, h := m.draw(t)
		v, fresh := s.Ensure(span).Upsert(&k, h)
		old, had := m.model[place[K]{span, k}]
		if fresh == had || m.get(v) != old {
			t.Fatalf("upsert %v/%v: fresh %v value %d, want had %v value %d", span, k, fresh, m.get(v), had, old)
		}
		m.counter++
		m.set(v, m.counter)
		m.model[place[K]{span, k}] = m.counter
	}
}

func (m *machine[K, V]) update(t *rapid.T) {
	s, span, k, h := m.draw(t)
	p := s.Pane(span)
	_, had := m.model[place[K]{span, k}]
	if p == nil {
		if had {
			t.Fatalf("pane %d is missing", span)
		}
		return
	}
	v := p.Update(&k, h)
	if (v != nil) != had {
		t.Fatalf("update %v/%v: %v, want %v", span, k, v != nil, had)
	}
	if v != nil {
		m.counter++
		m.set(v, m.counter)
		m.model[place[K]{span, k}] = m.counter
	}
}

func (m *machine[K, V]) remove(t *rapid.T) {
	for range rapid.IntRange(1, 8).Draw(t, "n") {
		s, span, k, h := m.draw(t)
		_, had := m.model[place[K]{span, k}]
		got := false
		if p := s.Pane(span); p != nil {
			got = p.Delete(&k, h)
		}
		if got != had {
			t.Fatalf("delete %v/%v: %v, want %v", span, k, got, had)
		}
		delete(m.model, place[K]{span, k})
	}
}

func (m *machine[K, V]) drop(t *rapid.T) {
	span := rapid.Int64Range(-1, 2).Draw(t, "span") * 10
	for _, s := range m.spaces {
		s.Drop(span)
	}
	maps.DeleteFunc(m.model, func(p place[K], _ int64) bool { return p.span == span })
}

func (m *machine[K, V]) freeze(t *rapid.T) {
	if len(m.flights) >= 3 {
		return
	}
	m.epoch++
	fl := &inFlight[K]{epoch: m.epoch, want: maps.Clone(m.model)}
	for _, s := range m.spaces {
		fl.frozen = append(fl.frozen, s.Freeze(m.epoch))
	}
	m.flights = append(m.flights, fl)
}

// step lets the owner encode a little.
func (m *machine[K, V]) step(t *rapid.T) {
	for _, fl := range m.flights {
		for _, f := range fl.frozen {
			if f.Pending() != f.Step() && f.Pending() {
				t.Fatal("Step made work pending")
			}
		}
	}
}

// write writes an epoch in flight and completes it, or lets it fail.
func (m *machine[K, V]) write(t *rapid.T) {
	if len(m.flights) == 0 {
		return
	}
	at := rapid.IntRange(0, len(m.flights)-1).Draw(t, "flight")
	fl := m.flights[at]
	how := rapid.IntRange(0, 5).Draw(t, "how")
	for _, f := range fl.frozen {
		for how != 0 && f.Step() {
		}
		file := &memFile{}
		if how == 1 {
			file.fail = rapid.IntRange(1, 10).Draw(t, "fail")
		}
		if how != 0 {
			if err := f.WriteTo(file); err != nil && how != 1 {
				t.Fatal(err)
			}
		}
		n := 0
		for _, s := range file.sections {
			n += len(s.entries)
		}
		if how > 1 && f.Entries() != n {
			t.Fatalf("Entries %d, wrote %d", f.Entries(), n)
		}
		fl.files = append(fl.files, file)
		f.Release()
	}
	m.flights = slices.Delete(m.flights, at, at+1)
	if how <= 1 {
		return // the epoch failed
	}
	// Earlier epochs in flight are overtaken: they never complete, but their writers may still run.
	for _, s := range m.spaces {
		s.Completed(fl.epoch)
	}
	if m.durableEpoch(fl.epoch) {
		m.chain = append(m.chain, fl.files...)
		m.durable = fl.want
		m.check(t, m.restored(t, 3), fl.want)
	}
}

// durableEpoch reports whether the epoch is newer than all completed before, and discards those it overtook.
func (m *machine[K, V]) durableEpoch(epoch uint64) bool {
	for i := len(m.flights) - 1; i >= 0; i-- {
		if m.flights[i].epoch < epoch {
			for _, f := range m.flights[i].frozen {
				f.Release()
			}
			m.flights = slices.Delete(m.flights, i, i+1)
		}
	}
	return true
}

// restored returns a machine with the state of the chain.
func (m *machine[K, V]) restored(t *rapid.T, parallelism int) *machine[K, V] {
	r := &machine[K, V]{kind: m.kind, filtered: m.filtered, tier: m.tier}
	r.start(parallelism)
	for _, s := range r.spaces {
		if err := replay(m.chain, machineGroups, s.Restore()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// restart loses everything that is not durable.
func (m *machine[K, V]) restart(t *rapid.T) {
	if m.durable == nil {
		return
	}
	r := m.restored(t, rapid.IntRange(1, 9).Draw(t, "parallelism"))
	m.spaces, m.flights = r.spaces, nil
	m.model = maps.Clone(m.durable)
	for _, s := range m.spaces {
		f := s.Freeze(m.epoch + 1)
		file := &memFile{}
		for f.Step() {
		}
		if err := f.WriteTo(file); err != nil {
			t.Fatal(err)
		}
		if n := f.Entries(); n > s.Len() { // a rewrite may be due, a delta may not hold anything
			t.Fatalf("%d entries of %d written after a restore", n, s.Len())
		}
		f.Release()
	}
	m.epoch++
}

// check compares all Spaces with want.
func (m *machine[K, V]) check(t *rapid.T, in *machine[K, V], want map[place[K]]int64) {
	got := map[place[K]]int64{}
	for _, s := range in.spaces {
		n := 0
		for _, span := range s.Spans() {
			p := s.Pane(span)
			n += p.Len()
			var last K
			first := true
			err := p.EachSorted(func(k *K, v *V) error {
				if !first && m.key.Compare(&last, k) >= 0 {
					t.Fatalf("not sorted: %v %v", last, *k)
				}
				h := m.key.Hash(k)
				if m.tier == nil && p.Get(k, h) != v { // the disk would give all back
					t.Fatalf("entry %v is not found again", *k)
				}
				if m.filtered && s.MayHold([]uint64{h ^ 0xff, h})&2 == 0 {
					t.Fatalf("the filter does not let %v pass", *k)
				}
				last, first = *k, false
				got[place[K]{span, *k}] = m.get(v)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if m.tier == nil {
				m.sorted(t, p)
			}
			p.Each(func(k *K, v *V, _ uint64) bool { n--; return true })
		}
		if n != 0 {
			t.Fatalf("Each differs from Len by %d", n)
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("got %v\nwant %v", got, want)
	}
}

// sorted compares Sorted with EachSorted.
func (m *machine[K, V]) sorted(t *rapid.T, p *Pane[K, V]) {
	refs := p.Sorted(nil)
	at := 0
	err := p.EachSorted(func(k *K, v *V) error {
		if at >= len(refs) || refs[at].Key != k || refs[at].Value != v || refs[at].Hash != m.key.Hash(k) {
			t.Fatalf("EachSorted and Sorted differ at %d", at)
		}
		at++
		return nil
	})
	if err != nil || at != len(refs) {
		t.Fatalf("EachSorted called for %d of %d: %v", at, len(refs), err)
	}
}

func runMachine[K comparable, V any](t *testing.T, k kind[K, V]) {
	store, err := cold.Open(cold.Options{Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	evicted, fetched := int64(0), int64(0)
	rapid.Check(t, func(t *rapid.T) {
		m := &machine[K, V]{kind: k, model: map[place[K]]int64{}, filtered: rapid.Bool().Draw(t, "filtered")}
		if rapid.Bool().Draw(t, "disk") {
			// A limit of 0 would make filters give up; EvictAll would leave nothing in memory during restores.
			m.tier = NewTier(TierConfig{Store: store, Limit: 1 << rapid.IntRange(8, 40).Draw(t, "limit"), EvictAll: rapid.Bool().Draw(t, "all")})
			defer func() {
				e, f, _, _, _ := m.tier.Counters()
				evicted, fetched = evicted+e, fetched+f
			}()
		}
		m.start(rapid.IntRange(1, 4).Draw(t, "parallelism"))
		if rapid.Bool().Draw(t, "old") { // a process in which the stamps are about to repeat
			for _, s := range m.spaces {
				s.base = stamps - 3
				s.setEpoch(stamps - 2)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"upsert": m.upsert, "upsert2": m.upsert, "update": m.update, "delete": m.remove, "drop": m.drop,
			"freeze": m.freeze, "freeze2": m.freeze, "step": m.step, "write": m.write, "write2": m.write, "restart": m.restart,
			"evict": m.evict, "evict2": m.evict, "evictAll": m.evictAll,
			"": func(t *rapid.T) { m.check(t, m, m.model) },
		})
	})
	if evicted == 0 || fetched == 0 {
		t.Errorf("%d entries were evicted, %d came back: the disk was not tested", evicted, fetched)
	}
}

func TestMachineFlat(t *testing.T) {
	runMachine(t, kind[uint64, pair]{
		key: uintKey(), value: pairCodec{}, layout: codec.Flat,
		make: func(i int) uint64 { return uint64(i) << (i % 50) },
		set:  func(v *pair, x int64) { v.Sum = x },
		get:  func(v *pair) int64 { return v.Sum },
	})
}

func TestMachineImmutable(t *testing.T) {
	runMachine(t, kind[string, pair]{
		key: stringKey(), value: pairCodec{}, layout: codec.Immutable,
		make: func(i int) string { return fmt.Sprintf("%.*s%d", i%13, "common prefix", i) },
		set:  func(v *pair, x int64) { v.Sum = x },
		get:  func(v *pair) int64 { return v.Sum },
	})
}

func TestMachineDeep(t *testing.T) {
	runMachine(t, kind[string, list]{
		key: stringKey(), value: listCodec{}, layout: codec.Deep,
		make: func(i int) string { return fmt.Sprintf("%d", i) },
		set: func(v *list, x int64) { // changes memory that a shallow copy would share
			if len(v.items) == 0 {
				v.items = append(v.items, 0)
			}
			v.items[0] = x
		},
		get: func(v *list) int64 {
			if len(v.items) == 0 {
				return 0
			}
			return v.items[0]
		},
	})
}
