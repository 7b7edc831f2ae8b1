package keyed

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSortItems sorts numbers of all kinds: spread, dense, equal in their upper or lower bytes, equal throughout.
func TestSortItems(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	kinds := map[string]func(i int) uint64{
		"spread":       func(int) uint64 { return rng.Uint64() },
		"dense":        func(i int) uint64 { return uint64(i) * 7919 % 100_003 },
		"upper bytes":  func(int) uint64 { return rng.Uint64N(5) << 60 },
		"two clusters": func(int) uint64 { return rng.Uint64N(2)<<63 | rng.Uint64N(300) },
		"ends":         func(int) uint64 { return rng.Uint64N(900)<<48 | rng.Uint64N(900) },
		"equal":        func(int) uint64 { return 42 },
	}
	for name, kind := range kinds {
		for _, n := range []int{0, 1, 2, few - 1, few, 1000, 30_000} {
			items := make([]item, n)
			for i := range items {
				items[i] = item{order: kind(i), slot: uint32(i)}
			}
			want := slices.Clone(items)
			slices.SortFunc(want, byOrder)
			sortItems(items, make([]item, n))
			seen := make([]bool, n)
			for i := range items {
				if items[i].order != want[i].order || seen[items[i].slot] {
					t.Fatalf("%s: %d items: item %d is %+v, want order %d, each once", name, n, i, items[i], want[i].order)
				}
				seen[items[i].slot] = true
			}
		}
	}
}
