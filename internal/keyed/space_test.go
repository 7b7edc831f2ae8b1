package keyed

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
)

func newPairs(groups, lo, hi int) *Space[uint64, pair] {
	return New(Config[uint64, pair]{
		Operator: "op", State: "st", Key: uintKey(), Value: pairCodec{}, Layout: codec.Flat, Groups: groups, Lo: lo, Hi: hi,
	})
}

func put(s *Space[uint64, pair], span int64, k uint64, sum int64) {
	v, _ := s.Ensure(span).Upsert(&k, mix(k))
	v.Sum = sum
}

// writeOut freezes and writes an epoch.
func writeOut(t *testing.T, s *Space[uint64, pair], epoch uint64) *memFile {
	t.Helper()
	f := s.Freeze(epoch)
	file := &memFile{}
	if err := f.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	f.Release()
	return file
}

// kinds returns the kinds of the sections of a file.
func (m *memFile) kinds() []snapshot.SectionKind {
	var ks []snapshot.SectionKind
	for _, s := range m.sections {
		ks = append(ks, s.Kind)
	}
	return ks
}

func TestRangesCoverEveryGroupOnceAndOwnerAgrees(t *testing.T) {
	for groups := 1; groups <= 40; groups++ {
		for par := 1; par <= 50; par++ {
			next := 0
			for sub := range par {
				lo, hi := Range(sub, par, groups)
				if lo != next || hi < lo {
					t.Fatalf("range %d of %d over %d: [%d,%d), want start %d", sub, par, groups, lo, hi, next)
				}
				for g := lo; g < hi; g++ {
					if o := Owner(g, par, groups); o != sub {
						t.Fatalf("owner of %d (%d, %d): %d, want %d", g, par, groups, o, sub)
					}
				}
				next = hi
			}
			if next != groups {
				t.Fatalf("%d of %d groups covered by %d", next, groups, par)
			}
		}
	}
}

func TestGroupIsInRangeAndUsesAllGroups(t *testing.T) {
	seen := map[int]bool{}
	for i := range uint64(10_000) {
		g := Group(mix(i), 100)
		if g < 0 || g >= 100 {
			t.Fatal(g)
		}
		seen[g] = true
	}
	if len(seen) != 100 || Group(^uint64(0), 100) != 99 || Group(0, 100) != 0 {
		t.Fatal(len(seen))
	}
}

func TestWriterReadsTheBarrierStateWhileTheOwnerGoesOn(t *testing.T) {
	t.Run("memory", func(t *testing.T) { writeBesideTheOwner(t, newPairs(4, 0, 4), 20, func() {}) })
	t.Run("disk", func(t *testing.T) {
		m := tierOf(t, 1<<16, nil).Task(nil)
		writeBesideTheOwner(t, spaceOn(m, 4), 4, m.Settle)
		if c := &m.Counters; c.Evicted.Load() < 4000 || c.Fetched.Load() < 400 {
			t.Errorf("%d entries evicted, %d fetched", c.Evicted.Load(), c.Fetched.Load())
		}
	})
}

// writeBesideTheOwner writes epochs while the owner changes the Space; settle is called between batches.
func writeBesideTheOwner(t *testing.T, s *Space[uint64, pair], epochs uint64, settle func()) {
	t.Helper()
	const keys = 2000
	for epoch := uint64(1); epoch <= epochs; epoch++ {
		for k := range uint64(keys) {
			put(s, 0, k, int64(epoch))
			if k%100 == 0 {
				settle()
			}
		}
		f := s.Freeze(epoch)
		file := &memFile{}
		result := make(chan error, 1)
		task.System{}.Go("writer", func() {
			err := f.WriteTo(file)
			f.Release()
			result <- err
		})
		for k := range uint64(keys) { // beside the writer: change, delete, grow
			put(s, 0, k, -1)
			if k%3 == 0 {
				s.Pane(0).Delete(&k, mix(k))
			}
			put(s, 0, keys+k, -1)
			if k%100 == 0 {
				settle()
			}
		}
		s.Drop(0)
		put(s, 0, 1, -1)
		settle()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		s.Completed(epoch)
		n := 0
		for _, sec := range file.sections {
			for _, e := range sec.entries {
				var v pair
				if _, err := (pairCodec{}).Decode(e.value, &v); err == nil && v.Sum == int64(epoch) {
					n++
				}
			}
		}
		if n != keys {
			t.Fatalf("epoch %d: %d of %d entries are those of the barrier", epoch, n, keys)
		}
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	s := newPairs(16, 0, 16)
	fill := func(span int64) {
		p := s.Ensure(span)
		for k := range uint64(1000) {
			p.Upsert(&k, mix(k))
		}
	}
	fill(0)
	if n := testing.AllocsPerRun(50, func() { fill(0) }); n != 0 {
		t.Errorf("upsert of existing keys: %v allocations", n)
	}
	span := int64(0)
	turn := func() { s.Drop(span - 2); span++; fill(span) }
	for range 8 {
		turn()
	}
	if n := testing.AllocsPerRun(50, turn); n != 0 {
		t.Errorf("a new pane for an old one: %v allocations", n)
	}
	refs := s.Pane(span).Sorted(nil)
	if n := testing.AllocsPerRun(50, func() { refs = s.Pane(span).Sorted(refs[:0]) }); n != 0 {
		t.Errorf("sorted: %v allocations", n)
	}
}

func TestMemoryOfDroppedPanesIsGivenBack(t *testing.T) {
	s := newPairs(4, 0, 4)
	for span := range int64(100) {
		for k := range uint64(2000) {
			put(s, span, k, 1)
		}
	}
	peak := s.pool.live
	for span := range int64(99) {
		s.Drop(span)
	}
	if s.pool.held > s.pool.mayHold() || s.pool.held+s.pool.live > peak/10 {
		t.Errorf("%d slots in use, %d kept, %d at the peak", s.pool.live, s.pool.held, peak)
	}
}

func TestUnchangedTablesAreNotWritten(t *testing.T) {
	s := newPairs(8, 0, 8)
	for k := range uint64(1000) {
		put(s, 0, k, 1)
	}
	writeOut(t, s, 1)
	s.Completed(1)
	if f := writeOut(t, s, 2); len(f.sections) != 0 {
		t.Fatalf("nothing changed, %d sections", len(f.sections))
	}
	s.Completed(2)
	put(s, 0, 7, 2)
	f := writeOut(t, s, 3)
	if len(f.sections) != 1 || f.sections[0].Kind != snapshot.Delta || len(f.sections[0].entries) != 1 {
		t.Fatalf("one entry changed: %+v", f.sections)
	}
}

func TestNothingCountsAsChangedAfterRestore(t *testing.T) {
	s := newPairs(8, 0, 8)
	for k := range uint64(100) {
		put(s, int64(k%3), k, 1)
	}
	file := writeOut(t, s, 1)
	r := newPairs(8, 2, 6)
	if err := replay([]*memFile{file}, 8, r.Restore()); err != nil {
		t.Fatal(err)
	}
	if r.Len() == 0 || r.Len() == 100 {
		t.Fatalf("%d entries in half of the groups", r.Len())
	}
	if f := writeOut(t, r, 2); len(f.sections) != 0 {
		t.Fatalf("%d sections after a restore", len(f.sections))
	}
}

func TestManyDeletionsAreWrittenAsFullTable(t *testing.T) {
	s := newPairs(1, 0, 1)
	for k := range uint64(500) {
		put(s, 0, k, 1)
	}
	chain := []*memFile{writeOut(t, s, 1)}
	s.Completed(1)
	for k := range uint64(495) {
		s.Pane(0).Delete(&k, mix(k))
	}
	if n := len(s.Pane(0).tables[0].dels); n > 200 {
		t.Fatalf("%d deletions recorded for %d entries", n, s.Len())
	}
	writeOut(t, s, 2) // fails
	f := writeOut(t, s, 3)
	if !slices.Equal(f.kinds(), []snapshot.SectionKind{snapshot.Full}) || len(f.sections[0].entries) != 5 {
		t.Fatalf("%+v", f.sections)
	}
	s.Completed(3)
	r := newPairs(1, 0, 1)
	if err := replay(append(chain, f), 1, r.Restore()); err != nil || r.Len() != 5 {
		t.Fatalf("%d entries, %v", r.Len(), err)
	}
	k := uint64(496)
	s.Pane(0).Delete(&k, mix(k))
	for k := range uint64(20) { // more than the chain holds, so that no rewrite is due
		put(s, 0, 600+k, 1)
	}
	if f := writeOut(t, s, 4); !slices.Equal(f.kinds(), []snapshot.SectionKind{snapshot.Delta}) || !f.sections[0].entries[0].deleted {
		t.Fatalf("deltas go on afterwards: %+v", f.sections)
	}
}

func TestManyDroppedSpansAreWrittenAsReset(t *testing.T) {
	s := newPairs(1, 0, 1)
	for span := range int64(maxDrops + 10) {
		put(s, span, 1, 1)
	}
	chain := []*memFile{writeOut(t, s, 1)}
	s.Completed(1)
	for span := range int64(maxDrops + 9) {
		s.Drop(span)
	}
	f := writeOut(t, s, 2)
	if !slices.Equal(f.kinds(), []snapshot.SectionKind{snapshot.Reset, snapshot.Full}) {
		t.Fatalf("%d sections", len(f.sections))
	}
	r := newPairs(1, 0, 1)
	if err := replay(append(chain, f), 1, r.Restore()); err != nil || !slices.Equal(r.Spans(), []int64{maxDrops + 9}) {
		t.Fatalf("%v, %v", r.Spans(), err)
	}
}

func TestChainsStayShortAndRewritesAreSpread(t *testing.T) {
	const groups = 64
	s := newPairs(groups, 0, groups)
	for k := range uint64(20_000) {
		put(s, 0, k, 1)
	}
	files, most := make([]int, groups), 0
	for epoch := uint64(1); epoch <= 200; epoch++ {
		for k := range uint64(groups * 4) {
			put(s, 0, k, int64(epoch))
		}
		f := writeOut(t, s, epoch)
		resets := 0
		seen := map[int]bool{}
		for _, sec := range f.sections {
			if sec.Kind == snapshot.Reset {
				resets++
				files[sec.Group] = 0
			}
			if !seen[sec.Group] {
				seen[sec.Group] = true
				files[sec.Group]++
			}
		}
		if epoch > 1 {
			most = max(most, resets)
		}
		s.Completed(epoch)
		if n := slices.Max(files); n > maxFiles {
			t.Fatalf("epoch %d: a group is in %d files", epoch, n)
		}
	}
	if most == 0 || most > groups/fullShare {
		t.Fatalf("up to %d of %d groups rewritten in one epoch", most, groups)
	}
}

func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	k, v := uint64(5), pair{}
	key, value := uintKey().Append(nil, &k), pairCodec{}.Append(nil, &v)
	g := Group(mix(k), 8)
	for name, c := range map[string]struct {
		group      int
		key, value []byte
		want       string
	}{
		"wrong group":   {(g + 1) % 8, key, value, "belongs to group"},
		"no such group": {8, key, value, "no such key group"},
		"negative":      {-1, key, value, "no such key group"},
		"short key":     {g, key[:3], value, "decode key"},
		"long key":      {g, append(key[:8:8], 1), value, "left over"},
		"short value":   {g, key, value[:3], "decode value"},
		"long value":    {g, key, append(value[:16:16], 1), "left over"},
	} {
		err := newPairs(8, 0, 8).Restore().Put(c.group, 0, c.key, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "op/st") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newPairs(8, 0, 8)
	put(s, 0, 1, 1)
	if err := s.Restore().Reset(0); err == nil {
		t.Error("restore into a used space is accepted")
	}
	if s.Len() != 1 {
		t.Error("it changed the space")
	}
}

func TestFrozenRefusesWrongUse(t *testing.T) {
	s := newPairs(2, 0, 2)
	f := s.Freeze(1)
	if err := f.WriteTo(&memFile{}); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteTo(&memFile{}); err == nil {
		t.Error("written twice")
	}
	f.Release()
	f.Release()
	d := New(Config[string, list]{Key: stringKey(), Value: listCodec{}, Layout: codec.Deep, Groups: 1, Hi: 1})
	k := "k"
	d.Ensure(0).Upsert(&k, stringKey().Hash(&k))
	df := d.Freeze(1)
	if !df.Pending() || df.WriteTo(&memFile{}) == nil {
		t.Error("a pending Frozen is written")
	}
	if df.Step() || df.Pending() {
		t.Error("one table takes one step")
	}
	if err := df.WriteTo(&memFile{}); err != nil || df.Entries() != 1 {
		t.Error(err, df.Entries())
	}
}

func TestEachSortedStopsAtTheFirstError(t *testing.T) {
	s := newPairs(8, 0, 8)
	for k := range uint64(100) {
		put(s, 0, k, 1)
	}
	stop := errors.New("stop")
	calls := 0
	if err := s.Ensure(0).EachSorted(func(*uint64, *pair) error { calls++; return stop }); err != stop || calls != 1 {
		t.Fatalf("%d calls, error %v", calls, err)
	}
}
