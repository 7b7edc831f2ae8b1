package row

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestDecimals compares decimals with those of exact fractions.
func TestDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 10).Draw(t, "n")
		sum := rapid.Int64Range(0, 1_000_000_000).Draw(t, "sum")
		if got, want := string(fields(nil).mean(sum, n)), big.NewRat(sum, n).FloatString(6)+","; got != want {
			t.Fatalf("%d / %d is %s, want %s", sum, n, got, want)
		}
		if got, want := string(fields(nil).milli(sum)), big.NewRat(sum, 1000).FloatString(3)+","; got != want {
			t.Fatalf("%d thousandths are %s, want %s", sum, got, want)
		}
	})
}

// TestStatisticsCount compares with maps, added one by one, in two parts that are merged, and added after a merge.
func TestStatisticsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole, left, right Statistics
		bidders, auctions := map[string]bool{}, map[string]bool{}
		var want Counts
		var minute int64
		for range rapid.IntRange(0, 200).Draw(t, "bids") {
			auction, bidder := rapid.Int64Range(1, 60).Draw(t, "auction"), rapid.Int64Range(1, 1<<40).Draw(t, "bidder")%50+1
			price := rapid.SampledFrom([]int64{1, 9_999, 10_000, 999_999, 1_000_000}).Draw(t, "price")
			at := rapid.Int64Range(0, 86_399_999).Draw(t, "at")
			rank := 1 + map[int64]int{1: 0, 9_999: 0, 10_000: 1, 999_999: 1, 1_000_000: 2}[price]
			want.Bids[0]++
			want.Bids[rank]++
			for _, of := range []struct {
				id   int64
				seen map[string]bool
				n    *[4]int64
			}{{bidder, bidders, &want.Bidders}, {auction, auctions, &want.Auctions}} {
				for place, key := range map[int]string{0: fmt.Sprint(of.id), rank: fmt.Sprint(of.id, " ", rank)} {
					if !of.seen[key] {
						of.seen[key] = true
						of.n[place]++
					}
				}
			}
			minute = max(minute, at/60_000)
			whole.Add(auction, bidder, price, at)
			if rapid.Bool().Draw(t, "left") {
				left.Add(auction, bidder, price, at)
			} else {
				right.Add(auction, bidder, price, at)
			}
		}
		left.Merge(&right)
		if whole.Counts != want || whole.Minute != minute {
			t.Fatalf("%+v at minute %d, want %+v at %d", whole.Counts, whole.Minute, want, minute)
		}
		if left.Counts != want || left.Minute != minute {
			t.Fatalf("merged: %+v at minute %d, want %+v at %d", left.Counts, left.Minute, want, minute)
		}
	})
}

func TestLastKeepsOneOfEach(t *testing.T) {
	lines := []Line{{A: 2, CSV: "a"}, {A: 1, B: 1, CSV: "b"}, {A: 2, CSV: "c"}, {A: 1, B: 2, CSV: "d"}, {Text: "x", CSV: "e"}, {A: 2, CSV: "f"}}
	want := []Line{{A: 1, B: 1, CSV: "b"}, {A: 1, B: 2, CSV: "d"}, {A: 2, CSV: "f"}, {Text: "x", CSV: "e"}}
	if got := Last(lines); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
