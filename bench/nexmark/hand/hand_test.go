package hand

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// TestTableIsAMap compares with one of Go's.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got, want := newTable[int](), map[int64]int{}
		for i := range rapid.IntRange(0, 400).Draw(t, "steps") {
			key := rapid.Int64Range(1, 150).Draw(t, "key")
			_, there := want[key]
			switch v := got.get(key); {
			case there != (v != nil) || there && *v != want[key]:
				t.Fatalf("step %d: get(%d) is %v, want %d, %v", i, key, v, want[key], there)
			case there && rapid.Bool().Draw(t, "remove"):
				got.remove(key)
				delete(want, key)
			default:
				*got.put(key) += i + 1
				want[key] += i + 1
			}
		}
		if got.used != len(want) {
			t.Fatalf("%d entries, want %d", got.used, len(want))
		}
		for key, v := range want {
			if p := got.get(key); p == nil || *p != v {
				t.Fatalf("at the end get(%d) is %v, want %d", key, p, v)
			}
		}
	})
}

// TestDueIsInOrder compares the heap with a sorted slice.
func TestDueIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got due
		var want []timer
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				x := timer{rapid.Int64Range(0, 20).Draw(t, "at"), rapid.Int64Range(1, 9).Draw(t, "key")}
				got.push(x)
				want = append(want, x)
				slices.SortFunc(want, func(a, b timer) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
				continue
			}
			now := rapid.Int64Range(0, 20).Draw(t, "now")
			x, ok := got.pop(now)
			if should := len(want) > 0 && want[0].at <= now; ok != should || ok && x != want[0] {
				t.Fatalf("pop(%d) is %v, %v of %v", now, x, ok, want)
			}
			if ok {
				want = want[1:]
			}
		}
	})
}

// TestSessionsOfDisorderedBids compares with sorting, where the disorder is longer than the gap: a bidder has several sessions open, and bids join them.
func TestSessionsOfDisorderedBids(t *testing.T) {
	for _, rate := range []int64{1, 3, 30} {
		g, err := gen.New(gen.Config{Events: 20_000, Rate: rate, Group: 500})
		if err != nil {
			t.Fatal(err)
		}
		events := make([]gen.Event, g.Events)
		g.Fill(events, 0, 1)
		times := map[int64][]int64{}
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				times[e.Bid.Bidder] = append(times[e.Bid.Bidder], e.Time)
			}
		}
		var want []row.Q11
		for bidder, at := range times {
			slices.Sort(at)
			for i, ms := range at {
				if i == 0 || ms-at[i-1] > sessionGap {
					want = append(want, row.Q11{Bidder: bidder, Start: ms})
				}
				s := &want[len(want)-1]
				s.End = ms + sessionGap
				s.Bids++
			}
		}
		var got []row.Q11
		at := 0
		Q11(func() ([]gen.Event, int64) {
			from := at
			if at = min(at+300, len(events)); from == at {
				return nil, math.MaxInt64
			}
			return events[from:at], (g.Watermark(int64(at))+1)/1e6 - 1
		}, NewOut(func(rows []row.Q11) { got = append(got, rows...) }))
		byStart := func(a, b row.Q11) int { return cmp.Or(cmp.Compare(a.Bidder, b.Bidder), cmp.Compare(a.Start, b.Start)) }
		slices.SortFunc(got, byStart)
		slices.SortFunc(want, byStart)
		if !slices.Equal(got, want) {
			t.Errorf("at %d events a second: %d sessions, want %d\n%s", rate, len(got), len(want), fmt.Sprint(got[:min(3, len(got))]))
		}
		if len(want) < 1000 {
			t.Errorf("only %d sessions: nothing is shown", len(want))
		}
	}
}
