package hand

import (
	"strings"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// Q3 joins auctions of category 10 with sellers of three states.
func Q3(in Input, out *Out[row.Q3]) {
	type seller struct {
		person  *gen.Person
		waiting int32
	}
	sellers, waiting := newTable[seller](), lists[int64]{}
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			switch e := &events[i]; {
			case e.Kind == gen.KindAuction && e.Auction.Category == 10:
				s := sellers.put(e.Auction.Seller)
				if s.person == nil {
					s.waiting = waiting.push(e.Auction.ID, s.waiting)
					continue
				}
				*out.next() = row.Q3{Name: s.person.Name, City: s.person.City, State: s.person.State, Auction: e.Auction.ID}
			case e.Kind == gen.KindPerson && (e.Person.State == "OR" || e.Person.State == "ID" || e.Person.State == "CA"):
				s := sellers.put(e.Person.ID)
				// What is kept must not hold the text of its batch.
				s.person = &gen.Person{Name: strings.Clone(e.Person.Name), City: strings.Clone(e.Person.City), State: strings.Clone(e.Person.State)}
				for s.waiting != 0 {
					r := out.next()
					*r = row.Q3{Name: e.Person.Name, City: e.Person.City, State: e.Person.State}
					r.Auction, s.waiting = waiting.pop(s.waiting)
				}
			}
		}
	}
	out.flush()
}

// lot is an auction, or what bids tell of one that has not come yet.
type lot struct {
	known                             bool
	seller, category, opened, expires int64
	bidder, price, time, event        int64
	// early are bids that came before it.
	early int32
}

// bidFor is a bid.
type bidFor struct{ bidder, price, time, event int64 }

func (l *lot) offer(b bidFor) {
	if b.time < l.opened || b.time > l.expires {
		return
	}
	if b.price > l.price || b.price == l.price && (b.time < l.time || b.time == l.time && b.event < l.event) {
		l.bidder, l.price, l.time, l.event = b.bidder, b.price, b.time, b.event
	}
}

// winners calls won for each auction with a winning bid, when it has expired, in the order of time and id.
func winners(in Input, won func(id int64, l *lot)) {
	lots, early, closing, forgetting := newTable[lot](), lists[bidFor]{}, due{}, due{}
	for {
		events, watermark := in()
		for i := range events {
			e := &events[i]
			switch e.Kind {
			case gen.KindBid:
				l := lots.put(e.Bid.Auction)
				b := bidFor{e.Bid.Bidder, e.Bid.Price, e.Time, e.ID}
				if l.known {
					l.offer(b)
					continue
				}
				l.early = early.push(b, l.early)
				forgetting.push(timer{e.Time, e.Bid.Auction})
			case gen.KindAuction:
				a := e.Auction
				l := lots.put(a.ID)
				l.known, l.seller, l.category, l.opened, l.expires = true, a.Seller, a.Category, e.Time, a.Expires
				for l.early != 0 {
					var b bidFor
					b, l.early = early.pop(l.early)
					l.offer(b)
				}
				closing.push(timer{a.Expires, a.ID})
			}
		}
		for t, ok := closing.pop(watermark); ok; t, ok = closing.pop(watermark) {
			l := lots.get(t.key)
			if l.price > 0 {
				won(t.key, l)
			}
			lots.remove(t.key)
		}
		// An auction that has not come when the watermark reaches a bid for it opens later: the bid does not count.
		for t, ok := forgetting.pop(watermark); ok; t, ok = forgetting.pop(watermark) {
			l := lots.get(t.key)
			if l == nil || l.known {
				continue
			}
			var kept int32
			for l.early != 0 {
				var b bidFor
				if b, l.early = early.pop(l.early); b.time > watermark {
					kept = early.push(b, kept)
				}
			}
			if l.early = kept; kept == 0 {
				lots.remove(t.key)
			}
		}
		if len(events) == 0 {
			return
		}
	}
}

// Q4 averages the winning bids of each category.
func Q4(in Input, out *Out[row.Q4]) {
	categories := newTable[row.Q4]()
	winners(in, func(_ int64, l *lot) {
		c := categories.put(l.category)
		c.Category = l.category
		c.Sum += l.price
		c.Auctions++
		*out.next() = *c
	})
	out.flush()
}

// Q6 averages the last ten winning bids of each seller.
func Q6(in Input, out *Out[row.Q6]) {
	const window = 10
	type seller struct {
		prices [window]int64
		n      int64 // of all auctions
		sum    int64
	}
	sellers := newTable[seller]()
	winners(in, func(id int64, l *lot) {
		s := sellers.put(l.seller)
		oldest := &s.prices[s.n%window]
		s.sum += l.price - *oldest
		*oldest = l.price
		s.n++
		*out.next() = row.Q6{Seller: l.seller, Auction: id, Expires: l.expires, Sum: s.sum, N: min(s.n, window)}
	})
	out.flush()
}

// Q9 is the winning bids.
func Q9(in Input, out *Out[row.Q9]) {
	winners(in, func(id int64, l *lot) {
		*out.next() = row.Q9{
			Auction: id, Seller: l.seller, Category: l.category, Expires: l.expires, Bidder: l.bidder, Price: l.price, BidTime: l.time, BidEvent: l.event,
		}
	})
	out.flush()
}

// Q20 joins bids with auctions of category 10.
func Q20(in Input, out *Out[row.Q20]) {
	type entry struct {
		auction *gen.Auction
		opened  int64
		early   int32
	}
	auctions, early := newTable[entry](), lists[bidFor]{}
	emit := func(a *gen.Auction, opened int64, b bidFor) {
		*out.next() = row.Q20{
			Event: b.event, Auction: a.ID, Bidder: b.bidder, Price: b.price, BidTime: b.time,
			Item: a.Item, Seller: a.Seller, Category: a.Category, AuctionTime: opened, Expires: a.Expires,
		}
	}
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			switch e.Kind {
			case gen.KindBid:
				a := auctions.put(e.Bid.Auction)
				b := bidFor{e.Bid.Bidder, e.Bid.Price, e.Time, e.ID}
				switch {
				case a.auction == nil:
					a.early = early.push(b, a.early)
				case a.auction.Category == 10:
					emit(a.auction, a.opened, b)
				}
			case gen.KindAuction:
				a := auctions.put(e.Auction.ID)
				// What is kept of it is what is needed of it.
				a.auction = &gen.Auction{ID: e.Auction.ID, Seller: e.Auction.Seller, Category: e.Auction.Category, Expires: e.Auction.Expires}
				if a.auction.Category == 10 {
					a.auction.Item = strings.Clone(e.Auction.Item)
				}
				a.opened = e.Time
				for a.early != 0 {
					var b bidFor
					if b, a.early = early.pop(a.early); a.auction.Category == 10 {
						emit(a.auction, a.opened, b)
					}
				}
			}
		}
	}
	out.flush()
}

// Q23 joins bids with their bidders and all auctions of those.
func Q23(in Input, out *Out[row.Q23]) {
	type bid struct{ event, price int64 }
	type person struct {
		name           string
		known          bool
		bids, auctions int32
	}
	persons, bids, auctions := newTable[person](), lists[bid]{}, lists[int64]{}
	bidsOf := func(id int64, p *person, auction int64) {
		for at := p.bids; at != 0; at = bids.items[at-1].next {
			b := bids.items[at-1].value
			*out.next() = row.Q23{Event: b.event, Bidder: id, Price: b.price, Name: p.name, Auction: auction}
		}
	}
	for events, _ := in(); len(events) > 0; events, _ = in() {
		for i := range events {
			e := &events[i]
			switch e.Kind {
			case gen.KindBid:
				p := persons.put(e.Bid.Bidder)
				p.bids = bids.push(bid{e.ID, e.Bid.Price}, p.bids)
				if !p.known {
					continue
				}
				for at := p.auctions; at != 0; at = auctions.items[at-1].next {
					*out.next() = row.Q23{Event: e.ID, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Name: p.name, Auction: auctions.items[at-1].value}
				}
			case gen.KindAuction:
				p := persons.put(e.Auction.Seller)
				p.auctions = auctions.push(e.Auction.ID, p.auctions)
				if p.known {
					bidsOf(e.Auction.Seller, p, e.Auction.ID)
				}
			case gen.KindPerson:
				p := persons.put(e.Person.ID)
				p.name, p.known = strings.Clone(e.Person.Name), true
				for at := p.auctions; at != 0; at = auctions.items[at-1].next {
					bidsOf(e.Person.ID, p, auctions.items[at-1].value)
				}
			}
		}
	}
	out.flush()
}
