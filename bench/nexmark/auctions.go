package nexmark

import (
	"cmp"
	"slices"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/state"
)

// offer is an auction or a bid for one.
type offer struct {
	Auction, Time int64
	IsBid         bool
	// Bidder, Price and Event are those of a bid.
	Bidder, Price, Event int64
	// Seller, Category and Expires are those of an auction.
	Seller, Category, Expires int64
}

func (o *offer) auction() int64 { return o.Auction }

// offers takes auctions and bids out of the stream.
func offers(events Events) millrace.Stream[offer] {
	return events.FilterMapRef(func(e *gen.Event, o *offer) bool {
		switch e.Kind {
		case gen.KindBid:
			o.Auction, o.Time, o.IsBid = e.Bid.Auction, e.Time, true
			o.Bidder, o.Price, o.Event = e.Bid.Bidder, e.Bid.Price, e.ID
		case gen.KindAuction:
			a := e.Auction
			o.Auction, o.Time, o.Seller, o.Category, o.Expires = a.ID, e.Time, a.Seller, a.Category, a.Expires
		default:
			return false
		}
		return true
	})
}

// Q9 finds the winning bid of each auction when it expires: the highest of those made while it was open.
func Q9(events Events) millrace.Stream[row.Q9] {
	return offers(events).
		KeyByRef((*offer).auction).
		Process("auction", takeOffer, onAuctionTimer)
}

// lot is an auction until it expires, with its best bid so far.
type lot struct {
	// Known says that the auction has come.
	Known                             bool
	Seller, Category, Opened, Expires int64
	// Best has no price as long as there is none.
	Best madeOffer
	// Early are bids that come before the auction: because events are out of order, or because they were made before it opened, or after it has closed, and do
	// not count.
	Early []madeOffer
}

type madeOffer struct{ Bidder, Price, Time, Event int64 }

// offer takes a bid if the lot was open then and has none that is better.
func (l *lot) offer(b madeOffer) {
	if b.Time < l.Opened || b.Time > l.Expires || b.Price < l.Best.Price {
		return
	}
	if b.Price > l.Best.Price || b.Time < l.Best.Time || b.Time == l.Best.Time && b.Event < l.Best.Event {
		l.Best = b
	}
}

// lots is what the functions of Q9 are called with.
type lots = millrace.Proc[int64, lot, row.Q9]

// takeOffer takes an auction or a bid.
func takeOffer(p *lots, o offer) error {
	l := p.State()
	if !o.IsBid {
		early := l.Early
		*l = lot{Known: true, Seller: o.Seller, Category: o.Category, Opened: o.Time, Expires: o.Expires}
		for _, b := range early {
			l.offer(b)
		}
		p.DeleteTimer("forget")
		p.SetTimer("close", fromMS(o.Expires))
		return nil
	}
	b := madeOffer{o.Bidder, o.Price, o.Time, o.Event}
	if l.Known {
		l.offer(b)
		return nil
	}
	if len(l.Early) == 0 {
		p.SetTimer("forget", fromMS(o.Time))
	}
	l.Early = append(l.Early, b)
	return nil
}

// onAuctionTimer closes an auction. Of one that has not come when the watermark reaches a bid it forgets the bid: the auction will open later, or is over.
func onAuctionTimer(p *lots, t millrace.Timer) error {
	l := p.State()
	if t.Name == "forget" {
		now := ms(t.At)
		if l.Early = slices.DeleteFunc(l.Early, func(b madeOffer) bool { return b.Time <= now }); len(l.Early) == 0 {
			p.Clear()
			return nil
		}
		next := slices.MinFunc(l.Early, func(a, b madeOffer) int { return cmp.Compare(a.Time, b.Time) })
		p.SetTimer("forget", fromMS(next.Time))
		return nil
	}
	if b := &l.Best; b.Price > 0 {
		p.Emit(row.Q9{
			Auction: p.Key(), Seller: l.Seller, Category: l.Category, Expires: l.Expires, Bidder: b.Bidder, Price: b.Price, BidTime: b.Time, BidEvent: b.Event,
		})
	}
	p.Clear()
	return nil
}

// Q4 averages the winning bids of each category. Each of its rows replaces the one before.
func Q4(events Events) millrace.Stream[row.Q4] {
	return Q9(events).
		KeyBy(func(w row.Q9) int64 { return w.Category }).
		Process("average", func(p *millrace.Proc[int64, row.Q4, row.Q4], w row.Q9) error {
			s := p.State()
			s.Category = w.Category
			s.Sum += w.Price
			s.Auctions++
			p.Emit(*s)
			return nil
		})
}

// Q6 averages the winning bids of the last ten auctions of each seller, in the order in which they have closed.
func Q6(events Events) millrace.Stream[row.Q6] {
	return Q9(events).
		KeyBy(func(w row.Q9) int64 { return w.Seller }).
		ProcessWith("last-ten", func(s *state.Set[int64]) *lastTen {
			return &lastTen{closed: s.Map[closed, int64]("closed"), prices: s.Value[tenPrices]("prices")}
		})
}

// lastTen puts the auctions of a seller in order: those of the same moment come from several subtasks.
type lastTen struct {
	closed *state.Map[closed, int64]
	prices *state.Value[tenPrices]
}

// closed is an auction that has closed. Maps are in the order of their keys.
type closed struct{ Expires, Auction int64 }

type tenPrices struct {
	// Prices are the last ones; that of the n-th auction is at n % 10.
	Prices [10]int64
	// N is the number of all auctions, Sum the sum of the last ten.
	N, Sum int64
}

// Record keeps an auction until all of its moment have come.
func (l *lastTen) Record(c *millrace.Call[int64, row.Q6], w row.Q9) error {
	l.closed.Set(closed{w.Expires, w.Auction}, w.Price)
	l.wait(c)
	return nil
}

// wait sets the timer for the first auction.
func (l *lastTen) wait(c *millrace.Call[int64, row.Q6]) {
	for first := range l.closed.All() {
		c.SetTimer("closed", fromMS(first.Expires))
		return
	}
}

// OnTimer averages.
func (l *lastTen) OnTimer(c *millrace.Call[int64, row.Q6], t millrace.Timer) error {
	s := l.prices.Ref()
	for a, price := range l.closed.All() {
		if a.Expires > ms(t.At) {
			break
		}
		l.closed.Delete(a)
		oldest := &s.Prices[s.N%int64(len(s.Prices))]
		s.Sum += price - *oldest
		*oldest = price
		s.N++
		c.Emit(row.Q6{Seller: c.Key(), Auction: a.Auction, Expires: a.Expires, Sum: s.Sum, N: min(s.N, int64(len(s.Prices)))})
	}
	l.wait(c)
	return nil
}
