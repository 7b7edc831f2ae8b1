package nexmark

import (
	"slices"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
)

// Events are those of the auction site, in one stream.
type Events = millrace.Stream[gen.Event]

// bid is a bid without its texts, which few queries ask for.
type bid struct{ Event, Auction, Bidder, Price, Time int64 }

// bids takes the bids out of the stream.
func bids(events Events) millrace.Stream[bid] {
	return events.FilterMapRef(func(e *gen.Event, b *bid) bool {
		*b = bid{Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Time: e.Time}
		return e.Kind == gen.KindBid
	})
}

func (b *bid) auction() int64 { return b.Auction }

// itself is the key function of streams of keys.
func itself(k int64) int64 { return k }

// ms returns a time in ms since 1970.
func ms(t time.Time) int64 { return t.UnixMilli() }

// fromMS returns the time of a number of ms since 1970.
func fromMS(t int64) time.Time { return time.UnixMilli(t) }

// tied are the records with the highest value.
type tied[T any] struct {
	Value   int64
	Records []T
}

// highest returns all records whose value is the highest. It is an aggregator of one's own: agg.MaxBy returns one of them.
func highest[T any](value func(*T) int64) agg.Aggregator[T, tied[T], []T] {
	add := func(t *tied[T], v int64, records ...T) {
		switch {
		case len(t.Records) == 0 || v > t.Value:
			t.Value, t.Records = v, append(t.Records[:0], records...)
		case v == t.Value:
			t.Records = append(t.Records, records...)
		}
	}
	return agg.Aggregator[T, tied[T], []T]{
		Add: func(t *tied[T], r *T) {
			if v := value(r); len(t.Records) == 0 || v >= t.Value {
				add(t, v, *r)
			}
		},
		Merge:  func(dst, src *tied[T]) { add(dst, src.Value, src.Records...) },
		Result: func(t *tied[T]) []T { return slices.Clone(t.Records) },
	}
}
