package hand

import (
	"strings"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// Q0 passes bids through.
func Q0(in Input, out *Out[row.Q0]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*out.next() = row.Q0{
					Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Time: e.Time, Extra: e.Bid.Extra,
				}
			}
		}
	}
	out.flush()
}

// Q1 converts prices.
func Q1(in Input, out *Out[row.Q1]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*out.next() = row.Q1{Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, PriceMilli: e.Bid.Price * 908, Time: e.Time}
			}
		}
	}
	out.flush()
}

// Q2 selects bids by auction.
func Q2(in Input, out *Out[row.Q2]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid && e.Bid.Auction%123 == 0 {
				*out.next() = row.Q2{Event: e.ID, Auction: e.Bid.Auction, Price: e.Bid.Price}
			}
		}
	}
	out.flush()
}

// Q13 looks up what a table says.
func Q13(in Input, out *Out[row.Q13], table []string) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*out.next() = row.Q13{
					Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Time: e.Time,
					Value: table[e.Bid.Auction%int64(len(table))],
				}
			}
		}
	}
	out.flush()
}

// Q14 computes and filters.
func Q14(in Input, out *Out[row.Q14]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			if euro := e.Bid.Price * 908; e.Kind == gen.KindBid && euro > 1_000_000_000 && euro < 50_000_000_000 {
				*out.next() = row.Q14{
					Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, PriceMilli: euro, TimeType: TimeType(e.Time), Time: e.Time,
					C: int64(strings.Count(e.Bid.Extra, "c")),
				}
			}
		}
	}
	out.flush()
}

// TimeType says which part of the day a time in ms is in.
func TimeType(ms int64) string {
	switch hour := ms / 3_600_000 % 24; {
	case hour >= 8 && hour <= 18:
		return "dayTime"
	case hour <= 6 || hour >= 20:
		return "nightTime"
	}
	return "otherTime"
}

// Q21 adds the number of the channel.
func Q21(in Input, out *Out[row.Q21]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			if id, ok := ChannelID(e.Bid.Channel, e.Bid.URL); ok {
				*out.next() = row.Q21{
					Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Channel: e.Bid.Channel, ChannelID: id,
				}
			}
		}
	}
	out.flush()
}

// ChannelID returns the number of a channel: that of a big one, else what the URL says, if anything.
func ChannelID(channel, url string) (id string, ok bool) {
	for i, name := range [...]string{"apple", "google", "facebook", "baidu"} {
		if len(channel) == len(name) && strings.EqualFold(channel, name) {
			return "0123"[i : i+1], true
		}
	}
	const parameter = "channel_id="
	if strings.HasPrefix(url, parameter) {
		id = url[len(parameter):]
	} else if _, id, ok = strings.Cut(url, "&"+parameter); !ok {
		return "", false
	}
	id, _, _ = strings.Cut(id, "&")
	return id, true
}

// Q22 takes URLs apart.
func Q22(in Input, out *Out[row.Q22]) {
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*out.next() = row.Q22{
					Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Channel: e.Bid.Channel, Dir: Directories(e.Bid.URL),
				}
			}
		}
	}
	out.flush()
}

// Directories returns the fourth to sixth part of a URL: the first three of its path.
func Directories(url string) (dir [3]string) {
	part := 0
	for url != "" && part < 6 {
		end := strings.IndexByte(url, '/')
		if end < 0 {
			end = len(url)
		}
		if part >= 3 {
			dir[part-3] = url[:end]
		}
		url = url[min(end+1, len(url)):]
		part++
	}
	return dir
}
