// Package gen makes the events of Nexmark, an auction site: persons register, open auctions and bid. It is deterministic, and each event
// can be made by itself: so input has any length, any number of splits, and can be read again from any place without being kept.
//
// What it makes is defined by the project's specification of Nexmark, which follows Apache Beam's suite with a random source of its own: Event n is made from the seed and
// n alone.
package gen

import "strconv"

// Kind says what an event is.
type Kind uint8

// The kinds of events. Of each 50 events in a row, the first is a person, three are auctions and the rest are bids.
const (
	KindPerson Kind = iota + 1
	KindAuction
	KindBid
)

// Event is one of the three. It is of 14 words, most of which are those of a bid, since 46 of 50 events are bids.
type Event struct {
	// ID is the number of the event, from 0.
	ID int64
	// Time is the event time in ms since 1970 UTC.
	Time int64
	Kind Kind
	// Bid is set when it is one.
	Bid Bid
	// Person and Auction are set when it is one, else nil. They must not be changed.
	Person  *Person
	Auction *Auction
}

// Person registers.
type Person struct {
	ID                                    int64
	Name, Email, Card, City, State, Extra string
}

// Auction is an item that is offered.
type Auction struct {
	ID                int64
	Item, Description string
	// InitialBid and Reserve are in cents.
	InitialBid, Reserve int64
	// Expires is the end in ms since 1970 UTC: the last moment at which a bid counts.
	Expires          int64
	Seller, Category int64
	Extra            string
}

// Bid is an offer for an auction, which may come before the auction does.
type Bid struct {
	Auction, Bidder int64
	// Price is in cents.
	Price               int64
	Channel, URL, Extra string
}

// Nanos returns the event time in ns since 1970 UTC.
func (e *Event) Nanos() int64 { return e.Time * 1e6 }

// AppendLine appends the event as a line of fields, by which the stream of two generators can be compared.
func (e *Event) AppendLine(dst []byte) []byte {
	number := func(n int64) { dst = append(strconv.AppendInt(dst, n, 10), '|') }
	text := func(s string) { dst = append(append(dst, s...), '|') }
	var extra string
	switch e.Kind {
	case KindPerson:
		p := e.Person
		text("P")
		number(p.ID)
		for _, s := range []string{p.Name, p.Email, p.Card, p.City, p.State} {
			text(s)
		}
		number(e.Time)
		extra = p.Extra
	case KindAuction:
		a := e.Auction
		text("A")
		number(a.ID)
		text(a.Item)
		text(a.Description)
		for _, n := range []int64{a.InitialBid, a.Reserve, e.Time, a.Expires, a.Seller, a.Category} {
			number(n)
		}
		extra = a.Extra
	default:
		b := &e.Bid
		text("B")
		for _, n := range []int64{b.Auction, b.Bidder, b.Price} {
			number(n)
		}
		text(b.Channel)
		text(b.URL)
		number(e.Time)
		extra = b.Extra
	}
	return append(append(dst, extra...), '\n')
}
