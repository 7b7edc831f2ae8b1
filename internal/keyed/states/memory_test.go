package states

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

func opened(t testing.TB, r *Registry[string], now *int64) {
	t.Helper()
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	err := r.Open(Config{
		Operator: "op", Groups: 16, Lo: 0, Hi: 16, Processing: func() int64 { return *now },
		Load: func(string, int, int, snapshot.Visitor) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newRegistry(t testing.TB) (*Registry[string], *codec.Key[string]) {
	t.Helper()
	key, err := codec.KeyFor[string]()
	if err != nil {
		t.Fatal(err)
	}
	return New(key, true), key
}

// TestExpiredEntriesLeaveMemory writes a new key at each step of time, for many times as long as an entry lives. What is in memory must
// stay near what is alive, in tables, indexes and queues alike.
func TestExpiredEntriesLeaveMemory(t *testing.T) {
	const life, steps = 160, 20_000
	for _, processing := range []bool{false, true} {
		r, key := newRegistry(t)
		ttl := TTL{Set: true, For: life, Processing: processing}
		v := NewValue[int64](r, "value", "value", ttl)
		m := NewMap[int64, string](r, "map", "map", ttl)
		l := NewList[int64](r, "list", "list", ttl)
		var now int64
		opened(t, r, &now)
		most := 0
		for i := range int64(steps) {
			now = i
			k := fmt.Sprint(i)
			h := key.Hash(&k)
			r.Call(&k, h, i, i-1)
			v.Set(i)
			m.Set(1, "x")
			l.Append(i)
			busy := "busy" // a key that lives on, with entries that do not
			r.Call(&busy, key.Hash(&busy), i, i-1)
			m.Set(i, "y")
			*v.Ref()++
			if r.Advance(i); r.NextTick() <= now {
				r.Tick()
			}
			if i > 2*life {
				most = max(most, r.Entries(), len(m.index), len(m.index["busy"].list), len(l.m.index), v.queue.n, m.queue.n, l.m.queue.n)
			}
		}
		// Four states' entries, each for its life and one step of the queue.
		if limit := 4 * (life + life/grains + 3); most > limit {
			t.Errorf("processing time %v: %d entries in memory, at most %d are alive or wait for their turn", processing, most, limit)
		}
	}
}

// TestDeletedEntriesDoNotFillTheQueue makes and deletes an entry again and again, at one time.
func TestDeletedEntriesDoNotFillTheQueue(t *testing.T) {
	r, key := newRegistry(t)
	v := NewValue[int64](r, "value", "value", TTL{Set: true, For: int64(time.Hour)})
	m := NewMap[int64, int64](r, "map", "map", TTL{})
	opened(t, r, new(int64))
	k := "k"
	r.Call(&k, key.Hash(&k), 0, 0)
	m.Set(-1, 0)
	for i := range int64(10_000) {
		v.Set(1)
		v.Clear()
		m.Set(i, i)
		m.Delete(i)
	}
	if v.queue.n > 100 || len(m.index[k].list) > 100 {
		t.Errorf("%d entries in the queue, %d in the index, for 0 and 1 in the tables", v.queue.n, len(m.index[k].list))
	}
}

// TestASlidingListIsTidied keeps the last few elements, one in and one out.
func TestASlidingListIsTidied(t *testing.T) {
	r, key := newRegistry(t)
	l := NewList[int64](r, "list", "list", TTL{})
	opened(t, r, new(int64))
	k := "k"
	r.Call(&k, key.Hash(&k), 0, 0)
	for i := range int64(10_000) {
		l.Append(i)
		if l.Len() > 5 {
			l.DropFirst(1)
		}
	}
	var got []int64
	for p := range l.All() {
		got = append(got, *p)
	}
	if fmt.Sprint(got) != "[9995 9996 9997 9998 9999]" || len(l.m.index[k].list) > 100 {
		t.Errorf("the list is %v, with %d in the index", got, len(l.m.index[k].list))
	}
}

// TestStatesDoNotAllocate: reading and changing what is there costs no memory.
func TestStatesDoNotAllocate(t *testing.T) {
	r, key := newRegistry(t)
	ttl := TTL{Set: true, For: 1 << 40, Reads: true}
	v := NewValue[int64](r, "value", "value", ttl)
	m := NewMap[string, int64](r, "map", "map", ttl)
	b := NewTable[string, int64](r, "table", "table")
	opened(t, r, new(int64))
	k := "k"
	h := key.Hash(&k)
	r.Call(&k, h, 1, 0)
	m.Set("e", 1)
	r.Broadcasting = true
	b.Set("rule", 1)
	r.Broadcasting = false
	i := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		i++
		r.Call(&k, h, i, i-1)
		r.Advance(i - 1)
		*v.Ref() += *m.Get("e")
		v.Set(*v.Get())
		*m.Ref("e")++
		m.Set("e", i)
		if x, ok := b.Get("rule"); !ok || x != 1 {
			t.Fatal("the rule is gone")
		}
	}); n > 0 {
		t.Errorf("%v allocations for each call, want 0", n)
	}
}
