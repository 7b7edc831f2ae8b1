package nexmark

import (
	"strings"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/hand"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// Q0 passes bids through.
func Q0(events Events) millrace.Stream[row.Q0] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q0) bool {
		if e.Kind != gen.KindBid {
			return false
		}
		r.Event, r.Auction, r.Bidder, r.Price, r.Time, r.Extra = e.ID, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Time, e.Bid.Extra
		return true
	})
}

// Q1 converts the prices of bids, as exact decimals.
func Q1(events Events) millrace.Stream[row.Q1] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q1) bool {
		if e.Kind != gen.KindBid {
			return false
		}
		r.Event, r.Auction, r.Bidder, r.PriceMilli, r.Time = e.ID, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price*908, e.Time
		return true
	})
}

// Q2 selects the bids for some auctions.
func Q2(events Events) millrace.Stream[row.Q2] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q2) bool {
		if e.Kind != gen.KindBid || e.Bid.Auction%123 != 0 {
			return false
		}
		r.Event, r.Auction, r.Price = e.ID, e.Bid.Auction, e.Bid.Price
		return true
	})
}

// Q14 computes several things of the bids of a middling price.
func Q14(events Events) millrace.Stream[row.Q14] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q14) bool {
		euro := e.Bid.Price * 908
		if e.Kind != gen.KindBid || euro <= 1_000_000_000 || euro >= 50_000_000_000 {
			return false
		}
		r.Event, r.Auction, r.Bidder, r.PriceMilli, r.Time = e.ID, e.Bid.Auction, e.Bid.Bidder, euro, e.Time
		r.TimeType, r.C = hand.TimeType(e.Time), int64(strings.Count(e.Bid.Extra, "c"))
		return true
	})
}

// Q21 adds the number of the channel to bids, and leaves out those of channels without one.
func Q21(events Events) millrace.Stream[row.Q21] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q21) (ok bool) {
		if e.Kind != gen.KindBid {
			return false
		}
		r.Event, r.Auction, r.Bidder, r.Price, r.Channel = e.ID, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Bid.Channel
		r.ChannelID, ok = hand.ChannelID(e.Bid.Channel, e.Bid.URL)
		return ok
	})
}

// Q22 takes the URLs of bids apart.
func Q22(events Events) millrace.Stream[row.Q22] {
	return events.FilterMapRef(func(e *gen.Event, r *row.Q22) bool {
		if e.Kind != gen.KindBid {
			return false
		}
		r.Event, r.Auction, r.Bidder, r.Price, r.Channel = e.ID, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Bid.Channel
		r.Dir = hand.Directories(e.Bid.URL)
		return true
	})
}
