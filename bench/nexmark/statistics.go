package nexmark

import (
	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/window"
)

// The statistics of days are windows, whose results come at the end of the day. A result so far, every ten seconds or every thousand bids, is a matter of
// Trigger(window.AtEnd().Early(window.Every(10 * time.Second))).

// statistics is an aggregator that counts bids, and different bidders and auctions, by ranks of the price: one table of each with the ranks in which it was seen, where twelve
// aggregators of package agg would have eight.
func statistics[T any](add func(s *row.Statistics, r *T)) agg.Aggregator[T, row.Statistics, row.Statistics] {
	return agg.Aggregator[T, row.Statistics, row.Statistics]{
		Add:    add,
		Merge:  func(dst, src *row.Statistics) { dst.Merge(src) },
		Result: func(s *row.Statistics) row.Statistics { return row.Statistics{Counts: s.Counts, Minute: s.Minute} },
	}
}

// Q15 counts the bids, bidders and auctions of each day.
func Q15(events Events) millrace.Stream[row.Q15] {
	return bids(events).
		WindowAll(window.Tumbling(day)).
		Aggregate("statistics", statistics(func(s *row.Statistics, b *bid) { s.Add(b.Auction, b.Bidder, b.Price, b.Time) })).
		Map(func(p millrace.Pane[window.All, row.Statistics]) row.Q15 {
			return row.Q15{Day: ms(p.Start) / day.Milliseconds(), Counts: p.Value.Counts}
		})
}

// channelBid is a bid with its channel.
type channelBid struct {
	Channel                      string
	Auction, Bidder, Price, Time int64
}

// Q16 does so for each channel.
func Q16(events Events) millrace.Stream[row.Q16] {
	return events.
		FilterMapRef(func(e *gen.Event, b *channelBid) bool {
			*b = channelBid{e.Bid.Channel, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Time}
			return e.Kind == gen.KindBid
		}).
		KeyByRef(func(b *channelBid) string { return b.Channel }).
		Window(window.Tumbling(day)).
		Aggregate("statistics", statistics(func(s *row.Statistics, b *channelBid) { s.Add(b.Auction, b.Bidder, b.Price, b.Time) })).
		Map(func(p millrace.Pane[string, row.Statistics]) row.Q16 {
			return row.Q16{Channel: p.Key, Day: ms(p.Start) / day.Milliseconds(), Minute: p.Value.Minute, Counts: p.Value.Counts}
		})
}

// Q17 has the number of bids of each auction and day, and their prices.
func Q17(events Events) millrace.Stream[row.Q17] {
	return bids(events).
		KeyByRef((*bid).auction).
		Window(window.Tumbling(day)).
		Aggregate("prices", agg.Aggregator[bid, row.Prices, row.Prices]{
			Add:    func(p *row.Prices, b *bid) { p.Add(b.Price) },
			Merge:  func(dst, src *row.Prices) { dst.Merge(src) },
			Result: func(p *row.Prices) row.Prices { return *p },
		}).
		Map(func(p millrace.Pane[int64, row.Prices]) row.Q17 {
			return row.Q17{Auction: p.Key, Day: ms(p.Start) / day.Milliseconds(), Prices: p.Value}
		})
}

// pair is a bidder and an auction.
type pair struct{ Bidder, Auction int64 }

// Q18 finds the last bid of each bidder for each auction. Each of its rows replaces the one before.
func Q18(events Events) millrace.Stream[row.Q18] {
	return bids(events).
		KeyByRef(func(b *bid) pair { return pair{b.Bidder, b.Auction} }).
		Process("last", func(p *millrace.Proc[pair, row.Q18, row.Q18], b bid) error {
			last := p.State()
			if last.Auction == 0 || b.Time > last.Time || b.Time == last.Time && b.Event > last.Event {
				*last = row.Q18{Event: b.Event, Auction: b.Auction, Bidder: b.Bidder, Price: b.Price, Time: b.Time}
				p.Emit(*last)
			}
			return nil
		})
}

// Q19 finds the ten highest bids for each auction. Each of its rows replaces the one of that rank.
func Q19(events Events) millrace.Stream[row.Q19] {
	return bids(events).
		KeyByRef((*bid).auction).
		Process("top-ten", func(p *millrace.Proc[int64, row.Top, row.Q19], b bid) error {
			top := p.State()
			for rank := top.Add(row.TopBid{Price: b.Price, Time: b.Time, Event: b.Event, Bidder: b.Bidder}); rank < top.N; rank++ {
				t := &top.Bids[rank]
				p.Emit(row.Q19{Auction: b.Auction, Rank: rank + 1, Event: t.Event, Bidder: t.Bidder, Price: t.Price, Time: t.Time})
			}
			return nil
		})
}
