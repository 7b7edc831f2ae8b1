package keyed

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
)

type timerID struct {
	key  uint64
	name string
}

type firing struct {
	timerID
	at int64
}

func newTimers(groups, lo, hi int) *Timers[uint64] {
	ts, err := NewTimers(TimersConfig[uint64]{
		Operator: "op", State: "timers", Key: uintKey(), Layout: codec.Flat, Groups: groups, Lo: lo, Hi: hi,
	})
	if err != nil {
		panic(err)
	}
	return ts
}

func setTimer(ts *Timers[uint64], k uint64, name string, at int64) { ts.Set(&k, mix(k), name, at) }

func pop(t interface{ Fatal(...any) }, ts *Timers[uint64], until int64) []firing {
	var out []firing
	for _, f := range ts.PopUntil(until, nil) {
		if f.Hash != mix(f.Key) {
			t.Fatal("hash of", f.Key)
		}
		out = append(out, firing{timerID{f.Key, f.Name}, f.At})
	}
	return out
}

// due removes from model what must fire, in order.
func due(model map[timerID]int64, until int64) []firing {
	var out []firing
	for id, at := range model {
		if at <= until {
			out = append(out, firing{id, at})
			delete(model, id)
		}
	}
	slices.SortFunc(out, func(a, b firing) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name))
	})
	return out
}

const timerGroups = 8

// restoreTimers restores a chain, after a look at what three subtasks make of it: each the timers of its own keys, all of them together.
func restoreTimers(t *rapid.T, chain []*memFile, want int) *Timers[uint64] {
	n := 0
	for sub := range 3 {
		lo, hi := Range(sub, 3, timerGroups)
		part := newTimers(timerGroups, lo, hi)
		if err := replay(chain, timerGroups, part.Restore()); err != nil {
			t.Fatal(err)
		}
		for _, f := range pop(t, part, math.MaxInt64) {
			if o := Owner(Group(mix(f.key), timerGroups), 3, timerGroups); o != sub {
				t.Fatalf("timer of key %d restored by subtask %d, its owner is %d", f.key, sub, o)
			}
			n++
		}
	}
	if n != want {
		t.Fatalf("%d timers restored, want %d", n, want)
	}
	ts := newTimers(timerGroups, 0, timerGroups)
	if err := replay(chain, timerGroups, ts.Restore()); err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestTimersAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts, model := newTimers(timerGroups, 0, timerGroups), map[timerID]int64{}
		var chain []*memFile
		durable := map[timerID]int64{}
		epoch := uint64(0)
		draw := func(t *rapid.T) timerID {
			return timerID{rapid.Uint64Range(0, 300).Draw(t, "key"), rapid.SampledFrom([]string{"", "a", "ab", "b"}).Draw(t, "name")}
		}
		set := func(t *rapid.T) {
			for range rapid.IntRange(1, 30).Draw(t, "n") {
				id := draw(t)
				model[id] = rapid.Int64Range(-20, 20).Draw(t, "at")
				setTimer(ts, id.key, id.name, model[id])
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": set, "set2": set,
			"delete": func(t *rapid.T) {
				id := draw(t)
				_, had := model[id]
				delete(model, id)
				if ts.Delete(&id.key, mix(id.key), id.name) != had {
					t.Fatalf("delete %v: want %v", id, had)
				}
			},
			"pop": func(t *rapid.T) {
				until := rapid.Int64Range(-25, 25).Draw(t, "until")
				if got, want := pop(t, ts, until), due(model, until); !slices.Equal(got, want) {
					t.Fatalf("fired %v\nwant %v", got, want)
				}
			},
			"checkpoint": func(t *rapid.T) {
				epoch++
				f := ts.Freeze(epoch)
				file := &memFile{}
				if err := f.WriteTo(file); err != nil {
					t.Fatal(err)
				}
				f.Release()
				if rapid.Bool().Draw(t, "durable") {
					ts.Completed(epoch)
					chain = append(chain, file)
					clear(durable)
					maps.Copy(durable, model)
				}
			},
			"restart": func(t *rapid.T) {
				ts = restoreTimers(t, chain, len(durable))
				clear(model)
				maps.Copy(model, durable)
			},
			"": func(t *rapid.T) {
				if ts.Len() != len(model) {
					t.Fatalf("%d timers, want %d", ts.Len(), len(model))
				}
				next, ok := ts.Next()
				want := int64(math.MaxInt64)
				for _, at := range model {
					want = min(want, at)
				}
				if ok != (len(model) > 0) || ok && next != want {
					t.Fatalf("next %d %v, want %d", next, ok, want)
				}
			},
		})
	})
}

func TestTimersChangedWhileTheyFire(t *testing.T) {
	ts := newTimers(4, 0, 4)
	setTimer(ts, 9, "moved", 5) // leaves an old entry for time 5
	setTimer(ts, 9, "moved", 50)
	for i, name := range []string{"first", "deleted", "later", "sooner"} {
		setTimer(ts, 1, name, int64(i+1))
	}
	var got []string
	run := func(until int64) {
		got = nil
		_, err := ts.Fire(until, func(k *uint64, hash uint64, name string, at int64) error {
			got = append(got, fmt.Sprintf("%d%s@%d", *k, name, at))
			if name == "first" {
				ts.Delete(k, hash, "deleted")
				setTimer(ts, 1, "first", 1)  // again, in the past
				setTimer(ts, 1, "later", 30) // out of this run
				setTimer(ts, 9, "moved", 5)  // into the past
				if _, err := ts.Fire(0, nil); err == nil {
					t.Error("nested Fire is accepted")
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run(10)
	if want := []string{"1first@1", "1sooner@4"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	run(10)
	if want := []string{"1first@1"}; !slices.Contains(got, want[0]) || !slices.Contains(got, "9moved@5") || len(got) != 2 {
		t.Fatalf("second run: %v", got)
	}
	run(100)
	if !slices.Contains(got, "1later@30") {
		t.Fatalf("third run: %v", got)
	}
}

func TestTimersRefuseKeysThatCanChange(t *testing.T) {
	if _, err := NewTimers(TimersConfig[uint64]{Operator: "op", State: "timers", Layout: codec.Deep}); err == nil {
		t.Error("accepted")
	}
}

func TestErrorOfATimerStopsTheRun(t *testing.T) {
	ts := newTimers(1, 0, 1)
	setTimer(ts, 1, "", 1)
	setTimer(ts, 2, "", 2)
	boom := errors.New("boom")
	n, err := ts.Fire(5, func(*uint64, uint64, string, int64) error { return boom })
	if n != 1 || !errors.Is(err, boom) || ts.Len() != 1 {
		t.Fatal(n, err, ts.Len())
	}
	if got := pop(t, ts, 5); len(got) != 1 || got[0].key != 2 {
		t.Fatal(got)
	}
}

func TestTimersThatMoveStayBoundedAndDoNotAllocate(t *testing.T) {
	ts := newTimers(4, 0, 4)
	at := int64(0)
	move := func() {
		for k := range uint64(100) {
			at++
			setTimer(ts, k, "", at)
		}
	}
	for range 100 {
		move()
	}
	if len(ts.heap) > 2*100+minTrim {
		t.Fatalf("%d entries for 100 timers", len(ts.heap))
	}
	if n := testing.AllocsPerRun(100, move); n != 0 {
		t.Errorf("%v allocations", n)
	}
	_, err := ts.Fire(math.MaxInt64, func(k *uint64, hash uint64, _ string, _ int64) error {
		for i := range int64(1000) { // and while they fire
			ts.Set(k, hash, "again", i)
		}
		if n := max(len(ts.late), len(ts.heap)); n > 2*ts.Len()+minTrim {
			return fmt.Errorf("%d entries for %d timers", n, ts.Len())
		}
		return nil
	})
	if err != nil || ts.Len() != 100 {
		t.Fatal(err, ts.Len())
	}
}

func BenchmarkTimerMove(b *testing.B) {
	const n = 100_000
	ts := newTimers(128, 0, 128)
	for i := range b.N {
		k := uint64(i % n)
		ts.Set(&k, mix(k), "t", int64(i))
	}
}

func BenchmarkTimerSetAndPop(b *testing.B) {
	const n = 100_000
	ts := newTimers(128, 0, 128)
	for range b.N {
		for k := range uint64(n) {
			ts.Set(&k, mix(k), "t", int64(mix(k)>>1))
		}
		if _, err := ts.Fire(math.MaxInt64, func(*uint64, uint64, string, int64) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/timer")
}
