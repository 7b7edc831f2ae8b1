package progress

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// TestAlignmentAgainstDefinition: the smallest of all counts, at any order of calls; a member that waits is woken at the call that brings what it
// waits for, by that call alone, and once.
func TestAlignmentAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "members")
		var a Alignment
		var members []*Member
		woken := make([]int, n)
		at, awaits := make([]int64, n), make([]int64, n)
		for i := range n {
			members = append(members, a.Join(func() { woken[i]++ }))
			at[i], awaits[i] = element.NoTime, noWait
		}
		for range rapid.IntRange(0, 30).Draw(t, "calls") {
			i := rapid.IntRange(0, n-1).Draw(t, "member")
			to := rapid.OneOf(rapid.Int64Range(0, 6), rapid.SampledFrom([]int64{element.NoTime, element.EndTime})).Draw(t, "time")
			low := slices.Min(at)
			if rapid.Bool().Draw(t, "await") && to != element.EndTime {
				if got, want := members[i].Await(to), low < to; got != want {
					t.Fatalf("at %v: Await(%d) = %v", at, to, got)
				}
				awaits[i] = noWait
				if low < to {
					awaits[i] = to
				}
				continue
			}
			at[i] = to
			clear(woken)
			if got := members[i].Set(to); got != slices.Min(at) {
				t.Fatalf("at %v: the smallest is %d", at, got)
			}
			for j := range n {
				want := 0
				if slices.Min(at) > low && awaits[j] != noWait && slices.Min(at) >= awaits[j] {
					want, awaits[j] = 1, noWait
				}
				if woken[j] != want {
					t.Fatalf("at %v: member %d was woken %d times, want %d", at, j, woken[j], want)
				}
			}
		}
	})
}

// TestAlignmentOfNobodyActive: when all stand at the end, nobody waits.
func TestAlignmentOfNobodyActive(t *testing.T) {
	var a Alignment
	one, two := a.Join(func() {}), a.Join(func() {})
	one.Set(element.EndTime)
	if low := two.Set(element.EndTime); low != element.EndTime || one.Await(1<<62) {
		t.Errorf("the smallest is %d, or somebody waits", low)
	}
}
