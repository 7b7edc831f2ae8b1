package keyed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// tierOf returns a tier in memory with a limit.
func tierOf(t *testing.T, limit int64, fault func(op, file string) error) *Tier {
	t.Helper()
	store, err := cold.Open(cold.Options{Memory: 1, Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewTier(TierConfig{Store: store, Limit: limit})
}

func spaceOn(m *Memory, groups int) *Space[uint64, pair] {
	return New(Config[uint64, pair]{
		Operator: "op", State: "st", Key: uintKey(), Value: pairCodec{}, Layout: codec.Flat, Groups: groups, Hi: groups, Memory: m,
	})
}

func store(p *Pane[uint64, pair], k uint64, x int64) { v, _ := p.Upsert(&k, mix(k)); v.Sum = x }

// TestBudgetHolds puts more into a Space than may be in memory, in batches, and finds all of it.
func TestBudgetHolds(t *testing.T) {
	const limit, keys, batch = 1 << 18, 30_000, 256
	tier := tierOf(t, limit, nil)
	m := tier.Task(nil)
	s := spaceOn(m, 32)
	p := s.Ensure(0)
	most := int64(0)
	for i := range uint64(keys) {
		store(p, i*7919, int64(i))
		if i%batch == 0 {
			m.Settle()
			most = max(most, m.Counters.Hot.Load())
		}
	}
	m.Settle()
	if most > limit {
		t.Errorf("%d bytes in memory, the limit is %d", most, limit)
	}
	if p.Len() != keys || m.Counters.Cold.Load() < keys/2 {
		t.Errorf("%d entries, %d on the disk alone", p.Len(), m.Counters.Cold.Load())
	}
	sum, n, last := int64(0), 0, uint64(0)
	err := p.EachSorted(func(k *uint64, v *pair) error {
		if n > 0 && *k <= last {
			return fmt.Errorf("%d behind %d", *k, last)
		}
		sum += v.Sum
		last = *k
		n++
		return nil
	})
	if err != nil || n != keys || sum != keys*(keys-1)/2 {
		t.Errorf("%d entries with the sum %d: %v", n, sum, err)
	}
	for i := uint64(0); i < keys; i += 100 {
		k := i * 7919
		if v := p.Get(&k, mix(k)); v == nil || v.Sum != int64(i) {
			t.Fatalf("key %d: %v", k, v)
		}
	}
	s.Drop(0)
	if p = s.Ensure(0); p.Len() != 0 || s.coldEntries() != 0 {
		t.Errorf("%d entries after a drop", p.Len())
	}
	k := uint64(7919)
	if v := p.Get(&k, mix(k)); v != nil {
		t.Errorf("an entry of a dropped pane: %v", *v)
	}
}

// TestShareOfTasks lets a task take what another leaves, and give it back.
func TestShareOfTasks(t *testing.T) {
	const limit = 700_000
	tier := tierOf(t, limit, nil)
	woken := 0
	a, b := tier.Task(func() { woken++ }), tier.Task(nil)
	first, second := spaceOn(a, 8), spaceOn(b, 8)
	for i := range uint64(4500) {
		store(first.Ensure(0), i, 1)
	}
	store(second.Ensure(0), 1, 1)
	b.Settle()
	a.Settle()
	alone := a.Counters.Hot.Load()
	if alone < limit/2 || a.Counters.Evicted.Load() != 0 {
		t.Errorf("alone it keeps %d bytes and has evicted %d entries", alone, a.Counters.Evicted.Load())
	}
	for i := range uint64(2000) {
		store(second.Ensure(0), i, 1)
	}
	b.Settle()
	if woken == 0 || b.Counters.Evicted.Load() != 0 {
		t.Errorf("woken %d times; the one with less has evicted %d entries", woken, b.Counters.Evicted.Load())
	}
	a.Settle()
	if got := a.Counters.Hot.Load() + b.Counters.Hot.Load(); got > limit || a.Counters.Evicted.Load() == 0 {
		t.Errorf("together they keep %d bytes; %d were evicted", got, a.Counters.Evicted.Load())
	}
}

// TestEvictionGoesOnBehindASpaceWithoutEntries has a space whose filters take more than the budget: the other one is evicted all the same.
func TestEvictionGoesOnBehindASpaceWithoutEntries(t *testing.T) {
	m := tierOf(t, 10_000, nil).Task(nil)
	cfg := spaceOn(m, 1).cfg
	cfg.Filtered = true
	filtered, other := New(cfg), spaceOn(m, 1)
	for i := range uint64(5000) {
		put(filtered, 0, i, 1)
	}
	for filtered.evictSome() {
	}
	put(other, 0, 1, 1)
	if filtered.bytes() < 10_000 || other.bytes() > filtered.bytes() {
		t.Fatalf("filters take %d bytes, the other space %d", filtered.bytes(), other.bytes())
	}
	m.Settle()
	if n := other.hotEntries(); n != 0 {
		t.Errorf("%d entries are left in memory", n)
	}
}

// TestEvictionKeepsWhatChangedLast evicts from a table of which a few entries have changed in this epoch.
func TestEvictionKeepsWhatChangedLast(t *testing.T) {
	m := tierOf(t, 1, nil).Task(nil)
	s := spaceOn(m, 1)
	p := s.Ensure(0)
	for i := range uint64(1000) {
		store(p, i, 1)
	}
	s.Freeze(1).Release()
	for i := range uint64(50) {
		store(p, i*20, 2)
	}
	if !s.evictSome() {
		t.Fatal("nothing was evicted")
	}
	hot := 0
	for i := range uint64(1000) {
		if sl := p.find(0, &i, mix(i)); sl != nil {
			hot++
		} else if i%20 == 0 {
			t.Errorf("entry %d has changed last and was evicted", i)
		}
	}
	if hot < 50 || hot > 500 {
		t.Errorf("%d entries are left in memory", hot)
	}
}

// TestFilterOfDiskIsMadeAnew evicts and deletes so many keys that the filter is made anew while entries are written.
func TestFilterOfDiskIsMadeAnew(t *testing.T) {
	m := tierOf(t, 1<<30, nil).Task(nil)
	s := spaceOn(m, 1)
	p := s.Ensure(0)
	next := uint64(0)
	keep := map[uint64]bool{}
	rebuilt := false
	for round := range 60 {
		for range 200 {
			store(p, next, int64(next))
			keep[next] = true
			next++
		}
		before := 0
		if f := p.tables[0].disk; f != nil {
			before = f.keys
		}
		s.evict(p, 0, 0)
		rebuilt = rebuilt || p.tables[0].disk.keys < before
		for k := range keep {
			if p.find(0, &k, mix(k)) != nil || !p.tables[0].disk.mayHold(mix(k)) {
				t.Fatalf("round %d: the filter does not let key %d pass", round, k)
			}
			if k+300 < next {
				if !p.Delete(&k, mix(k)) {
					t.Fatalf("key %d is not there", k)
				}
				delete(keep, k)
			}
		}
	}
	if !rebuilt {
		t.Error("the filter was never made anew")
	}
	if p.Len() != len(keep) {
		t.Errorf("%d entries, want %d", p.Len(), len(keep))
	}
}

// TestFilterWithoutMemory gives the filter of the disk up when there is no memory for it: all is found without.
func TestFilterWithoutMemory(t *testing.T) {
	m := tierOf(t, 1, nil).Task(nil)
	s := spaceOn(m, 1)
	p := s.Ensure(0)
	for i := range uint64(3000) {
		store(p, i, int64(i))
	}
	s.evict(p, 0, 0)
	s2 := s.disk
	if f := p.tables[0].disk; !f.blind || s2.filters != 0 {
		t.Fatalf("the filter takes %d bytes", s2.filters)
	}
	for i := range uint64(3000) {
		if v := p.Get(&i, mix(i)); v == nil || v.Sum != int64(i) {
			t.Fatalf("key %d: %v", i, v)
		}
	}
	absent := uint64(1 << 40)
	if p.Get(&absent, mix(absent)) != nil || m.Counters.Misses.Load() != 1 {
		t.Errorf("%d misses", m.Counters.Misses.Load())
	}
}

// noted is a value with a part that checkpoints leave out.
type noted struct{ sum, note int64 }

type notedCodec struct{ note bool }

func (c notedCodec) at(v *noted) *int64 {
	if c.note {
		return &v.note
	}
	return &v.sum
}

func (c notedCodec) Append(dst []byte, v *noted) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(*c.at(v)))
}

func (c notedCodec) Decode(src []byte, v *noted) ([]byte, error) {
	if len(src) < 8 {
		return nil, errShort
	}
	*c.at(v) = int64(binary.LittleEndian.Uint64(src))
	return src[8:], nil
}

// TestTransientGoesToTheDiskAndNotIntoCheckpoints follows the part of values that checkpoints leave out.
func TestTransientGoesToTheDiskAndNotIntoCheckpoints(t *testing.T) {
	m := tierOf(t, 1, nil).Task(nil)
	s := New(Config[uint64, noted]{
		Operator: "op", State: "st", Key: uintKey(), Value: notedCodec{}, Transient: notedCodec{note: true}, Layout: codec.Immutable, Groups: 2, Hi: 2, Memory: m,
	})
	evictAll := func() {
		for s.evictSome() {
		}
	}
	p := s.Ensure(0)
	for i := range uint64(40) {
		v, _ := p.Upsert(&i, mix(i))
		*v = noted{int64(i), 1}
	}
	f := s.Freeze(1)
	if err := f.WriteTo(&memFile{}); err != nil {
		t.Fatal(err)
	}
	f.Release()
	s.Completed(1)
	evictAll()
	for i := range uint64(20) {
		p.Amend(&i, mix(i)).note = 2
	}
	evictAll()
	file := &memFile{}
	f = s.Freeze(2)
	if err := f.WriteTo(file); err != nil || f.Entries() != 0 {
		t.Errorf("%d entries written for what checkpoints leave out: %v", f.Entries(), err)
	}
	f.Release()
	k := uint64(3)
	p.Get(&k, mix(k)) // one of them is in memory, and clean
	p.Rebuild(func(_ *uint64, v *noted, _ uint64) bool { v.note += 10; return true })
	evictAll()
	var notes []int64
	sums := int64(0)
	err := p.EachSorted(func(_ *uint64, v *noted) error {
		notes = append(notes, v.note)
		sums += v.sum
		return nil
	})
	want := slices.Concat(slices.Repeat([]int64{12}, 20), slices.Repeat([]int64{11}, 20))
	if err != nil || !slices.Equal(notes, want) || sums != 780 {
		t.Errorf("notes %v, sum %d: %v", notes, sums, err)
	}
	if p.Amend(new(uint64(99)), mix(99)) != nil {
		t.Error("an entry that is not there was amended")
	}
}

// TestReadingMovesNothing reads an entry from the disk while another one of its full table is held for writing.
func TestReadingMovesNothing(t *testing.T) {
	m := tierOf(t, 1<<40, nil).Task(nil)
	s := spaceOn(m, 1)
	p := s.Ensure(0)
	for i := range uint64(2 * minSlots) {
		store(p, i, int64(i))
	}
	s.evict(p, 0, 0)
	held := make([]*pair, 0, limitOf(minSlots))
	for i := range uint64(limitOf(minSlots)) {
		held = append(held, p.Update(&i, mix(i)))
	}
	for i := range uint64(2 * minSlots) {
		if v := p.Get(&i, mix(i)); v == nil || v.Sum != int64(i) {
			t.Fatalf("key %d: %v", i, v)
		}
	}
	for i, v := range held {
		v.Sum = -1
		if k := uint64(i); p.Get(&k, mix(k)).Sum != -1 {
			t.Errorf("the entry %d was moved", i)
		}
	}
}

// TestDiskFailureEndsTheBatch lets the disk fail under each kind of call that needs it.
func TestDiskFailureEndsTheBatch(t *testing.T) {
	var failing atomic.Bool // the store writes beside the test
	tier := tierOf(t, 1, func(string, string) error {
		if failing.Load() {
			return syscall.EIO
		}
		return nil
	})
	m := tier.Task(nil)
	s := spaceOn(m, 1)
	p := s.Ensure(0)
	for i := range uint64(10_000) {
		store(p, i, int64(i))
		if i%1000 == 0 {
			m.Settle()
		}
	}
	s.evict(p, 0, 0)
	failing.Store(true)
	hits := 0
	for i := range uint64(10_000) {
		failure := func() (f DiskFailure) {
			defer func() {
				if p := recover(); p != nil {
					f = p.(DiskFailure)
				}
			}()
			p.Get(&i, mix(i))
			return DiskFailure{}
		}()
		if failure.Err != nil {
			hits++
			if !errors.Is(failure, syscall.EIO) || !strings.HasPrefix(failure.Error(), "state on disk in ") {
				t.Fatalf("failure %v", failure)
			}
		}
	}
	if hits == 0 {
		t.Error("no read has failed")
	}
}

// TestOuterBytes compares the estimate of what values point to with their sizes.
func TestOuterBytes(t *testing.T) {
	type inner struct {
		Name string
		List []string
	}
	for _, c := range []struct {
		value any
		want  int
	}{
		{7, 0},
		{[3]int{}, 0},
		{"", 0},
		{"12345", 13},
		{make([]int64, 2, 10), 88},
		{[]string{"abc"}, 16 + 8 + 11},
		{&inner{"a", nil}, 40 + 8 + 9},
		{inner{"a", []string{"b"}}, 9 + 16 + 8 + 9},
		{(*inner)(nil), 0},
		{map[string]int64{"k": 1}, 48 + 2*24 + 9},
	} {
		if got := outerBytes(reflect.ValueOf(c.value), 0); got != c.want {
			t.Errorf("%#v: %d bytes, want %d", c.value, got, c.want)
		}
	}
}
