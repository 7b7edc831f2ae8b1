package nexmark

import (
	"strconv"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/state"
)

// sale is an auction, or a person who may sell.
type sale struct {
	Seller, Auction   int64 // Auction is 0 in a person
	Name, City, State string
}

func (s *sale) seller() int64 { return s.Seller }

// Q3 joins the auctions of category 10 with their sellers, if they are from one of three states. Either may come first, at any distance: so all are kept.
func Q3(events Events) millrace.Stream[row.Q3] {
	return events.
		FilterMapRef(func(e *gen.Event, s *sale) bool {
			switch {
			case e.Kind == gen.KindAuction && e.Auction.Category == 10:
				s.Seller, s.Auction = e.Auction.Seller, e.Auction.ID
				return true
			case e.Kind == gen.KindPerson && (e.Person.State == "OR" || e.Person.State == "ID" || e.Person.State == "CA"):
				s.Seller, s.Name, s.City, s.State = e.Person.ID, e.Person.Name, e.Person.City, e.Person.State
				return true
			}
			return false
		}).
		KeyByRef((*sale).seller).
		ProcessWith("seller", func(s *state.Set[int64]) *sellers {
			return &sellers{person: s.Value[row.Q3]("person"), waiting: s.List[int64]("waiting")}
		})
}

// sellers joins the auctions of a person.
type sellers struct {
	// person is a row without its auction.
	person  *state.Value[row.Q3]
	waiting *state.List[int64]
}

// Record takes an auction or a person.
func (s *sellers) Record(c *millrace.Call[int64, row.Q3], r sale) error {
	if r.Auction == 0 {
		s.join(c, row.Q3{Name: r.Name, City: r.City, State: r.State})
		return nil
	}
	person, ok := s.person.Get()
	if !ok {
		s.waiting.Append(r.Auction)
		return nil
	}
	person.Auction = r.Auction
	c.Emit(person)
	return nil
}

// join takes a person. It is a function of its own because what is used in a loop over a state lies on the heap: so Record costs no allocation.
func (s *sellers) join(c *millrace.Call[int64, row.Q3], person row.Q3) {
	s.person.Set(person)
	for person.Auction = range s.waiting.All() {
		c.Emit(person)
	}
	s.waiting.Clear()
}

// Value is an entry of the table of Q13.
type Value struct {
	Key   int64
	Value string
}

// TableSize is the number of entries of the table of Q13.
const TableSize = 10_000

// Table returns the table of Q13.
func Table() []Value {
	table := make([]Value, TableSize)
	for i := range table {
		table[i] = Value{int64(i), strconv.Itoa(i)}
	}
	return table
}

// table brings the entries of the table with a time before all events, so that no bid is answered without them.
func table(job *millrace.Job) millrace.Stream[Value] {
	return job.From("table", memory.Of(Table()...), millrace.EventTime(func(Value) time.Time { return time.Unix(0, 0) }))
}

// Q13 joins bids with a table that does not change.
func Q13(events Events, table millrace.Stream[Value]) millrace.Stream[row.Q13] {
	return bids(events).
		KeyByRef(func(b *bid) int64 { return b.Auction % TableSize }).
		TemporalJoin(table.KeyByRef(func(v *Value) int64 { return v.Key })).
		Lookup("table-lookup", func(b bid, v Value, _ bool) row.Q13 {
			return row.Q13{Event: b.Event, Auction: b.Auction, Bidder: b.Bidder, Price: b.Price, Time: b.Time, Value: v.Value}
		})
}

// itemOrBid is an auction or a bid for one.
type itemOrBid struct {
	Auction, Time int64
	IsBid         bool
	// Bidder, Price and Event are those of a bid.
	Bidder, Price, Event int64
	item
}

// item is what Q20 keeps of an auction.
type item struct {
	Item                              string
	Seller, Category, Opened, Expires int64
}

func (i *itemOrBid) auction() int64 { return i.Auction }

// Q20 joins bids with their auctions, if they are of category 10. An auction may come after its bids.
func Q20(events Events) millrace.Stream[row.Q20] {
	return events.
		FilterMapRef(func(e *gen.Event, r *itemOrBid) bool {
			switch e.Kind {
			case gen.KindBid:
				r.Auction, r.Time, r.IsBid = e.Bid.Auction, e.Time, true
				r.Bidder, r.Price, r.Event = e.Bid.Bidder, e.Bid.Price, e.ID
			case gen.KindAuction:
				a := e.Auction
				r.Auction, r.Time = a.ID, e.Time
				r.item = item{Item: a.Item, Seller: a.Seller, Category: a.Category, Opened: e.Time, Expires: a.Expires}
			default:
				return false
			}
			return true
		}).
		KeyByRef((*itemOrBid).auction).
		ProcessWith("expand", func(s *state.Set[int64]) *expander {
			return &expander{item: s.Value[item]("item"), early: s.List[madeOffer]("early")}
		})
}

// expander joins the bids for an auction. Of auctions of other categories it keeps that there is nothing to wait for.
type expander struct {
	item  *state.Value[item]
	early *state.List[madeOffer]
}

// Record takes an auction or a bid.
func (x *expander) Record(c *millrace.Call[int64, row.Q20], r itemOrBid) error {
	if !r.IsBid {
		x.open(c, r.Auction, r.item)
		return nil
	}
	b := madeOffer{r.Bidder, r.Price, r.Time, r.Event}
	i, ok := x.item.Get()
	if !ok {
		x.early.Append(b)
		return nil
	}
	if i.Category == 10 {
		c.Emit(expand(r.Auction, &i, b))
	}
	return nil
}

// open takes an auction.
func (x *expander) open(c *millrace.Call[int64, row.Q20], auction int64, i item) {
	if i.Category != 10 {
		i = item{Category: i.Category}
	}
	x.item.Set(i)
	if i.Category == 10 {
		for b := range x.early.All() {
			c.Emit(expand(auction, &i, b))
		}
	}
	x.early.Clear()
}

func expand(auction int64, i *item, b madeOffer) row.Q20 {
	return row.Q20{
		Event: b.Event, Auction: auction, Bidder: b.Bidder, Price: b.Price, BidTime: b.Time,
		Item: i.Item, Seller: i.Seller, Category: i.Category, AuctionTime: i.Opened, Expires: i.Expires,
	}
}

// deed is what somebody does: register, open an auction, or bid.
type deed struct {
	Who  int64
	Kind gen.Kind
	// Name is that of a person, Auction that of an auction, Event and Price those of a bid.
	Name                  string
	Auction, Event, Price int64
}

func (d *deed) who() int64 { return d.Who }

// Q23 joins bids with their bidders and the auctions that those have opened. Any of the three may come last: so all are kept.
func Q23(events Events) millrace.Stream[row.Q23] {
	return events.
		MapRef(func(e *gen.Event, d *deed) {
			switch d.Kind = e.Kind; e.Kind {
			case gen.KindBid:
				d.Who, d.Event, d.Price = e.Bid.Bidder, e.ID, e.Bid.Price
			case gen.KindAuction:
				d.Who, d.Auction = e.Auction.Seller, e.Auction.ID
			case gen.KindPerson:
				d.Who, d.Name = e.Person.ID, e.Person.Name
			}
		}).
		KeyByRef((*deed).who).
		ProcessWith("person", func(s *state.Set[int64]) *traders {
			return &traders{name: s.Value[string]("name"), auctions: s.List[int64]("auctions"), bids: s.List[madeBid]("bids")}
		})
}

// traders joins what a person does.
type traders struct {
	name     *state.Value[string]
	auctions *state.List[int64]
	bids     *state.List[madeBid]
}

type madeBid struct{ Event, Price int64 }

// Record takes a deed.
func (t *traders) Record(c *millrace.Call[int64, row.Q23], d deed) error {
	name, known := t.name.Get()
	switch d.Kind {
	case gen.KindBid:
		b := madeBid{d.Event, d.Price}
		t.bids.Append(b)
		if known {
			t.joinBid(c, name, b)
		}
	case gen.KindAuction:
		t.auctions.Append(d.Auction)
		if known {
			t.joinAuction(c, name, d.Auction)
		}
	default:
		t.register(c, d.Name)
	}
	return nil
}

func (t *traders) register(c *millrace.Call[int64, row.Q23], name string) {
	t.name.Set(name)
	for auction := range t.auctions.All() {
		t.joinAuction(c, name, auction)
	}
}

func (t *traders) joinBid(c *millrace.Call[int64, row.Q23], name string, b madeBid) {
	if t.auctions.Len() == 0 { // most who bid do not sell
		return
	}
	for auction := range t.auctions.All() {
		c.Emit(row.Q23{Event: b.Event, Bidder: c.Key(), Price: b.Price, Name: name, Auction: auction})
	}
}

func (t *traders) joinAuction(c *millrace.Call[int64, row.Q23], name string, auction int64) {
	for b := range t.bids.All() {
		c.Emit(row.Q23{Event: b.Event, Bidder: c.Key(), Price: b.Price, Name: name, Auction: auction})
	}
}
