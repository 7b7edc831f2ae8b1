package hand

import (
	"strings"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// Q15 counts bids, bidders and auctions of each day.
func Q15(in Input, out *Out[row.Q15]) {
	open := open[row.Statistics]{size: day, fresh: func(*row.Statistics) *row.Statistics { return &row.Statistics{} }}
	for {
		events, watermark := in()
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				open.at(e.Time).Add(e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Time)
			}
		}
		for start, w, ok := open.over(watermark); ok; start, w, ok = open.over(watermark) {
			*out.next() = row.Q15{Day: start / day, Counts: w.Counts}
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// Q16 does so for each channel. Strings are hashed by Go's map.
func Q16(in Input, out *Out[row.Q16]) {
	type channels = map[string]*row.Statistics
	open := open[channels]{size: day, fresh: func(*channels) *channels { return &channels{} }}
	for {
		events, watermark := in()
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			w := *open.at(e.Time)
			s := w[e.Bid.Channel]
			if s == nil {
				s = &row.Statistics{}
				w[strings.Clone(e.Bid.Channel)] = s
			}
			s.Add(e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Time)
		}
		for start, w, ok := open.over(watermark); ok; start, w, ok = open.over(watermark) {
			for channel, s := range *w {
				*out.next() = row.Q16{Channel: channel, Day: start / day, Minute: s.Minute, Counts: s.Counts}
			}
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// Q17 has the prices of each auction and day.
func Q17(in Input, out *Out[row.Q17]) {
	open := open[table[row.Prices]]{size: day, fresh: freshTable[row.Prices]}
	for {
		events, watermark := in()
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				open.at(e.Time).put(e.Bid.Auction).Add(e.Bid.Price)
			}
		}
		for start, w, ok := open.over(watermark); ok; start, w, ok = open.over(watermark) {
			for i := range w.slots {
				if s := &w.slots[i]; s.key != 0 {
					*out.next() = row.Q17{Auction: s.key, Day: start / day, Prices: s.value}
				}
			}
			open.spare = append(open.spare, w)
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// Q18 finds the last bid of each bidder for each auction, so far.
func Q18(in Input, out *Out[row.Q18]) {
	// Both ids fit into one number: there will not be 2^31 of either.
	last := newTable[row.Q18]()
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			r := last.put(e.Bid.Bidder<<31 | e.Bid.Auction)
			if r.Auction == 0 || e.Time > r.Time || e.Time == r.Time && e.ID > r.Event {
				*r = row.Q18{Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Time: e.Time}
				*out.next() = *r
			}
		}
	}
	out.flush()
}

// Q19 finds the ten highest bids for each auction, so far.
func Q19(in Input, out *Out[row.Q19]) {
	tops := newTable[row.Top]()
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			top := tops.put(e.Bid.Auction)
			for rank := top.Add(row.TopBid{Price: e.Bid.Price, Time: e.Time, Event: e.ID, Bidder: e.Bid.Bidder}); rank < top.N; rank++ {
				b := &top.Bids[rank]
				*out.next() = row.Q19{Auction: e.Bid.Auction, Rank: rank + 1, Event: b.Event, Bidder: b.Bidder, Price: b.Price, Time: b.Time}
			}
		}
	}
	out.flush()
}
