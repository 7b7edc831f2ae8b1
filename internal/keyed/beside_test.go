package keyed

import (
	"os"
	"runtime"
	"testing"

	"github.com/millrace-stream/millrace/internal/keyed/offheap"
)

// TestMain puts even small tables beside the heap, so that any use of a table that has gone ends the process.
func TestMain(m *testing.M) {
	PutBesideHeap()
	os.Exit(m.Run())
}

// TestTablesWithoutPointersLieBesideTheHeap: they go back to the system when a table has outgrown its block, and with the Space.
func TestTablesWithoutPointersLieBesideTheHeap(t *testing.T) {
	if m := offheap.Map(1); m == nil {
		t.Skip("no memory beside the heap here: the race detector is on, or this is not Unix")
	} else {
		offheap.Unmap(m)
	}
	collect := func(enough func() bool) { // blocks that were left to the collector go some time after it has found them
		for range 200 {
			if runtime.GC(); enough() {
				return
			}
			runtime.Gosched()
		}
	}
	collect(func() bool { return offheap.InUse() == 0 }) // what other tests have left
	before := offheap.InUse()
	fillBeside(t, before)
	collect(func() bool { return offheap.InUse() <= before })
	if after := offheap.InUse(); after > before {
		t.Errorf("%d bytes are left when the Space has gone", after-before)
	}
}

// fillBeside fills a table and lets go of it.
func fillBeside(t *testing.T, before int64) {
	t.Helper()
	const keys = 100_000
	s := newPairs(1, 0, 1)
	p := s.Ensure(0)
	for i := range uint64(keys) {
		h := s.cfg.Key.Hash(&i)
		v, _ := p.Upsert(&i, h)
		v.Sum = int64(i)
	}
	slots := int64(len(p.tables[0].slots))
	const size = 32 // of a slot
	if in := offheap.InUse() - before; in < slots*size || in > slots*size*5/4 {
		t.Errorf("%d bytes beside the heap for a table of %d slots of %d bytes: what it has outgrown must be gone but for a little", in, slots, size)
	}
	for i := range uint64(keys) {
		if v := p.Get(&i, s.cfg.Key.Hash(&i)); v == nil || v.Sum != int64(i) {
			t.Fatalf("key %d has %v", i, v)
		}
	}
	runtime.KeepAlive(s)
}
