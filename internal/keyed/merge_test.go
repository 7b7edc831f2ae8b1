package keyed

import (
	"fmt"
	"maps"
	"testing"

	"github.com/millrace-stream/millrace/codec"

	"pgregory.net/rapid"
)

// TestMergeIsTheUnionOfItsParts merges random panes into one and compares with maps, for values that may be copied and for others.
func TestMergeIsTheUnionOfItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 9).Draw(t, "groups")
		from, to := newPairs(groups, 0, groups), newPairs(groups, 0, groups)
		var begin func(dst, src *pair)
		if rapid.Bool().Draw(t, "begin") {
			begin = func(dst, src *pair) {
				if *dst != (pair{}) {
					t.Fatalf("begin is given %v, which is not zero", *dst)
				}
				*dst = pair{Count: 100, Sum: src.Sum}
			}
		}
		for round := range rapid.IntRange(1, 3).Draw(t, "rounds") { // the second one finds what was left over
			want := map[uint64]pair{}
			dst := to.Ensure(7)
			for span := range rapid.Int64Range(0, 5).Draw(t, "panes") {
				most := rapid.SampledFrom([]uint64{3, 30, 300}).Draw(t, "keys")
				for range rapid.IntRange(0, int(most)).Draw(t, "records") {
					k := rapid.Uint64Range(0, most).Draw(t, "key")
					v, _ := from.Ensure(span).Upsert(&k, mix(k))
					v.Sum++
				}
				src := from.Ensure(span)
				src.Each(func(k *uint64, v *pair, _ uint64) bool {
					old, ok := want[*k]
					switch {
					case ok:
						old.Sum += v.Sum
					case begin != nil:
						old = pair{Count: 100, Sum: v.Sum}
					default:
						old = *v
					}
					want[*k] = old
					return true
				})
				dst.Merge(src, func(dst, src *pair) { dst.Sum += src.Sum }, begin)
			}
			got := map[uint64]pair{}
			dst.Each(func(k *uint64, v *pair, h uint64) bool {
				got[*k] = *v
				if dst.Get(k, h) != v {
					t.Fatalf("key %d is not found where it is", *k)
				}
				return true
			})
			if !maps.Equal(got, want) || dst.Len() != len(want) {
				t.Fatalf("round %d: merged %v (%d entries), want %v", round, got, dst.Len(), want)
			}
			to.Drop(7)
		}
	})
}

// TestMergeSharesKeys: keys have memory of their own already, so strings are not copied again; steady state allocates nothing.
func TestMergeSharesKeys(t *testing.T) {
	key, err := codec.KeyFor[string]()
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.For[int64]()
	if err != nil {
		t.Fatal(err)
	}
	space := New(Config[string, int64]{Key: key, Value: value, Layout: codec.Immutable, Groups: 8, Hi: 8})
	for span := range int64(3) {
		for i := range 500 {
			k := fmt.Sprint("key ", i*int(span+1))
			v, _ := space.Ensure(span).Upsert(&k, key.Hash(&k))
			*v++
		}
	}
	add := func(dst, src *int64) { *dst += *src }
	n := testing.AllocsPerRun(20, func() {
		all := space.Ensure(-1)
		for span := range int64(3) {
			all.Merge(space.Pane(span), add, nil)
		}
		space.Drop(-1)
	})
	if n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
