package gen

import (
	"strings"

	"github.com/millrace-stream/millrace/connect"
)

// Tape has events in memory, so that making them takes no time from who reads them: some 120 bytes for each, of which the garbage collector looks at a tenth.
type Tape struct {
	gen *Generator
	// text has the extra texts of all bids.
	text     string
	bids     []tapeEvent
	persons  []Person
	auctions []Auction
}

// tapeEvent is an event without texts.
type tapeEvent struct {
	time int64
	// auction is that of a bid, or where the person or the auction stands.
	auction, bidder, price int64
	extra                  uint64
	extraLen, channel      uint16 // a channel below 4 is a hot one
	kind                   Kind
}

// Record returns all events.
func (g *Generator) Record() *Tape {
	const batch = 4096
	t := &Tape{gen: g, bids: make([]tapeEvent, 0, g.Events)}
	var text strings.Builder
	text.Grow(int(g.Events)*64 + 1024)
	places := map[string]uint16{}
	for i, name := range hotChannel {
		places[name] = uint16(i)
	}
	for i, name := range g.channel {
		places[name] = uint16(i + len(hotChannel))
	}
	events := make([]Event, batch)
	for from := int64(0); from < g.Events; from += batch {
		some := events[:min(batch, g.Events-from)]
		g.Fill(some, from, 1)
		for i := range some {
			e := &some[i]
			r := tapeEvent{time: e.Time, kind: e.Kind}
			switch e.Kind {
			case KindPerson:
				r.auction = int64(len(t.persons))
				t.persons = append(t.persons, *e.Person)
			case KindAuction:
				r.auction = int64(len(t.auctions))
				t.auctions = append(t.auctions, *e.Auction)
			default:
				r.auction, r.bidder, r.price, r.channel = e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, places[e.Bid.Channel]
				r.extra, r.extraLen = uint64(text.Len()), uint16(len(e.Bid.Extra))
				text.WriteString(e.Bid.Extra)
			}
			t.bids = append(t.bids, r)
		}
	}
	t.text = text.String()
	return t
}

// Len returns the number of events.
func (t *Tape) Len() int64 { return t.gen.Events }

// Watermark is that of the generator.
func (t *Tape) Watermark(position int64) int64 { return t.gen.Watermark(position) }

// Fill is Generator.Fill, with what is on the tape.
func (t *Tape) Fill(events []Event, from, step int64) {
	for i := range events {
		at := from + int64(i)*step
		r := &t.bids[at]
		e := &events[i]
		*e = Event{ID: t.gen.number(at), Time: r.time, Kind: r.kind}
		switch r.kind {
		case KindPerson:
			e.Person = &t.persons[r.auction]
		case KindAuction:
			e.Auction = &t.auctions[r.auction]
		default:
			b := &e.Bid
			b.Auction, b.Bidder, b.Price, b.Extra = r.auction, r.bidder, r.price, t.text[r.extra:r.extra+uint64(r.extraLen)]
			if hot := uint16(len(hotChannel)); r.channel < hot {
				b.Channel, b.URL = hotChannel[r.channel], t.gen.hotURL[r.channel]
			} else {
				b.Channel, b.URL = t.gen.channel[r.channel-hot], t.gen.url[r.channel-hot]
			}
		}
	}
}

// Source is Generator.Source, with what is on the tape.
func (t *Tape) Source(o Options) connect.Source[Event] { return source{t.gen, t.Fill, o} }
