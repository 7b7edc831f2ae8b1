package keyed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/codec"

	"pgregory.net/rapid"
)

// TestRunsAreSortedUnions merges random runs and compares with maps, for keys that are numbers and for strings of which many begin alike.
func TestRunsAreSortedUnions(t *testing.T) {
	t.Run("numbers", func(t *testing.T) {
		checkRuns(t, func(t *rapid.T) int64 { return rapid.Int64Range(-40, 40).Draw(t, "key") })
	})
	t.Run("strings", func(t *testing.T) {
		checkRuns(t, func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", "a", "same beginning", "same be"}).Draw(t, "begin") + rapid.StringN(0, 2, -1).Draw(t, "end")
		})
	})
}

func checkRuns[K interface{ ~int64 | ~string }](t *testing.T, draw func(*rapid.T) K) {
	key, err := codec.KeyFor[K]()
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.For[string]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		space := New(Config[K, string]{Operator: "op", State: "s", Key: key, Value: value, Layout: codec.Flat, Groups: 4, Lo: 0, Hi: 4})
		runs := NewRuns(key, func(dst, src *string) { *dst = "(" + *dst + *src + ")" })
		var made []*Run[K, string]
		var want []map[K]string
		for i := range rapid.IntRange(2, 6).Draw(t, "panes") {
			p, m := space.Ensure(int64(i)), map[K]string{}
			for range rapid.IntRange(0, 60).Draw(t, "entries") {
				k := draw(t)
				v, _ := p.Upsert(&k, key.Hash(&k))
				*v, m[k] = fmt.Sprint(i), fmt.Sprint(i)
			}
			made, want = append(made, runs.Of(p)), append(want, m)
		}
		for range rapid.IntRange(1, 8).Draw(t, "merges") {
			i, j := rapid.IntRange(0, len(made)-1).Draw(t, "a"), rapid.IntRange(0, len(made)-1).Draw(t, "b")
			if i == j {
				continue
			}
			m := maps.Clone(want[i])
			for k, v := range want[j] {
				if m[k] != "" {
					m[k] = "(" + m[k] + v + ")"
				} else {
					m[k] = v
				}
			}
			listed := ""
			if err := runs.Each(made[i], made[j], func(k *K, v *string) error {
				listed += fmt.Sprintf("%v=%s ", *k, *v)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			merged := runs.Merge(made[i], made[j])
			compareRun(t, runs, merged, m)
			if all := textOf(m); listed != all {
				t.Fatalf("Each lists %s, want %s", listed, all)
			}
			if rapid.Bool().Draw(t, "free") {
				runs.Free(made[i])
				made[i], want[i] = merged, m
			}
		}
		for i := range made {
			compareRun(t, runs, made[i], want[i])
		}
	})
}

func textOf[K interface{ ~int64 | ~string }](m map[K]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%v=%s ", k, m[k])
	}
	return b.String()
}

func compareRun[K interface{ ~int64 | ~string }](t *rapid.T, runs *Runs[K, string], r *Run[K, string], want map[K]string) {
	t.Helper()
	got := ""
	if err := runs.Each(nil, r, func(k *K, v *string) error { got += fmt.Sprintf("%v=%s ", *k, *v); return nil }); err != nil {
		t.Fatal(err)
	}
	if got != textOf(want) || r.Len() != len(want) {
		t.Fatalf("got %d: %s, want %s", r.Len(), got, textOf(want))
	}
	for k, v := range want {
		if found := runs.Find(r, &k); found == nil || *found != v {
			t.Fatalf("%v is not found", k)
		}
	}
	for _, k := range slices.Collect(maps.Keys(want)) {
		k += k
		if found := runs.Find(r, &k); (found != nil) != (want[k] != "") {
			t.Fatalf("%v is found wrongly", k)
		}
	}
}
