package keyed

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-stream/millrace/codec"
)

// TestLargePanesComeOutInOrder: panes beyond the caches are sorted another way. Keys that are dense, spread, negative, or far from
// all others come out once each, in order, with their values, one pane after the other from the same working memory. So do those of which only a part
// may be copied at a time.
func TestLargePanesComeOutInOrder(t *testing.T) {
	t.Run("at once", largePanesComeOutInOrder)
	t.Run("in parts", func(t *testing.T) {
		before := spreadLeast
		spreadLeast = 1
		defer func() { spreadLeast = before }()
		largePanesComeOutInOrder(t)
	})
}

func largePanesComeOutInOrder(t *testing.T) {
	t.Helper()
	key, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.For[[3]int64]()
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config[int64, [3]int64]{Operator: "o", State: "s", Key: key, Value: value, Layout: codec.Flat, Groups: 16, Lo: 0, Hi: 16})
	rng := rand.New(rand.NewPCG(7, 8))
	const n = 30_000
	for i, draw := range []func(i int) int64{
		func(i int) int64 { return int64(i) },
		func(int) int64 { return int64(rng.Uint64()) },
		func(i int) int64 { return int64(i)*3 - n },
		func(i int) int64 { return int64(i%(n-1))<<8 | math.MinInt64*int64(i/(n-1)) },
		func(i int) int64 { return int64(i) << 40 },
	} {
		span := int64(i)
		p := s.Ensure(span)
		want := map[int64]bool{}
		for j := range n {
			k := draw(j)
			want[k] = true
			v, _ := p.Upsert(&k, key.Hash(&k))
			v[0] = k
		}
		if !p.Far() {
			t.Fatalf("a pane of %d entries is not large: the test shows nothing", p.Len())
		}
		keys := make([]int64, 0, n)
		for k := range want {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		var got []int64
		if err := p.EachSorted(func(k *int64, v *[3]int64) error {
			if v[0] != *k {
				t.Fatalf("pane %d: key %d has the value of %d", i, *k, v[0])
			}
			got = append(got, *k)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, keys) {
			t.Errorf("pane %d: %d keys are out of order or not those of %d", i, len(got), len(keys))
		}
		stop, calls := errors.New("stop"), 0
		if err := p.EachSorted(func(*int64, *[3]int64) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
			t.Errorf("pane %d: after an error: %v, %d calls", i, err, calls)
		}
		s.Drop(span)
	}
}
