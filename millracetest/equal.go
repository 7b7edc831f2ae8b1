package millracetest

import (
	"fmt"
	"slices"
	"strings"
)

// Equal fails the test unless got and want hold the same records, each as often, in any order: the order of results is not part of what a
// job promises. It says which records are too many and which are missing.
//
// Records are compared by content, through pointers. Times are equal when they are the same instant, NaN equals NaN, and an empty
// slice or map is that which is nil.
func Equal[T any](t TB, got, want []T) {
	t.Helper()
	if d := difference(texts(got), texts(want)); d != "" {
		t.Fatalf("millracetest: %s", d)
	}
}

// shown is how many records of each kind a difference shows.
const shown = 10

// difference compares two multisets. It is empty when they are equal.
func difference(got, want []string) string {
	more, missing := without(got, want), without(want, got)
	if len(more)+len(missing) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, want %d", len(got), len(want))
	list := func(what string, records []string) {
		if len(records) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n  %s (%d):", what, len(records))
		for _, r := range records[:min(len(records), shown)] {
			fmt.Fprintf(&b, "\n    %s", r)
		}
		if n := len(records) - shown; n > 0 {
			fmt.Fprintf(&b, "\n    and %d more", n)
		}
	}
	list("missing", missing)
	list("too many", more)
	return b.String()
}

// without returns, sorted, what a has more than b.
func without(a, b []string) (out []string) {
	n := map[string]int{}
	for _, s := range b {
		n[s]++
	}
	for _, s := range a {
		if n[s]--; n[s] < 0 {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}
