package nexmark

import (
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/window"
)

const (
	windowSize = 10 * time.Second
	slide      = 2 * time.Second
	day        = 24 * time.Hour
)

// Q5 finds the auctions with the most bids in ten seconds, every two. It counts in sliding windows, of which all results of one have the same event time, so that they
// meet in a window of their own.
func Q5(events Events) millrace.Stream[row.Q5] {
	return events.
		FilterMapRef(func(e *gen.Event, auction *int64) bool {
			*auction = e.Bid.Auction
			return e.Kind == gen.KindBid
		}).
		KeyBy(itself).
		Window(window.Sliding(windowSize, slide)).
		Aggregate("count", agg.Count[int64]()).
		MapRef(func(p *millrace.Pane[int64, int64], r *row.Q5) {
			r.Start, r.Auction, r.Bids = ms(p.Start), p.Key, p.Value
		}).
		WindowAll(window.Tumbling(slide)).
		Aggregate("most", highest(func(r *row.Q5) int64 { return r.Bids })).
		FlatMap(each[row.Q5])
}

// each emits the records of a pane.
func each[R any](_ *millrace.Context, p millrace.Pane[window.All, []R], emit func(R)) error {
	for _, r := range p.Value {
		emit(r)
	}
	return nil
}

// Q7 finds the bids with the highest price of ten seconds.
func Q7(events Events) millrace.Stream[row.Q7] {
	return events.
		FilterMapRef(func(e *gen.Event, r *row.Q7) bool {
			r.Start = e.Time - e.Time%windowSize.Milliseconds()
			r.Event, r.Auction, r.Bidder, r.Price, r.Time = e.ID, e.Bid.Auction, e.Bid.Bidder, e.Bid.Price, e.Time
			return e.Kind == gen.KindBid
		}).
		WindowAll(window.Tumbling(windowSize)).
		Aggregate("highest", highest(func(r *row.Q7) int64 { return r.Price })).
		FlatMap(each[row.Q7])
}

// Q8 finds persons who register and open an auction within ten seconds.
func Q8(events Events) millrace.Stream[row.Q8] {
	some := events.FilterMapRef(func(e *gen.Event, s *sale) bool {
		switch e.Kind {
		case gen.KindPerson:
			s.Seller, s.Name = e.Person.ID, e.Person.Name
		case gen.KindAuction:
			s.Seller, s.Auction = e.Auction.Seller, e.Auction.ID
		default:
			return false
		}
		return true
	})
	persons := some.FilterRef(func(s *sale) bool { return s.Auction == 0 }).KeyByRef((*sale).seller)
	sellers := some.FilterMapRef(func(s *sale, id *int64) bool {
		*id = s.Seller
		return s.Auction != 0
	}).KeyBy(itself)
	return persons.
		WindowJoin(sellers, window.Tumbling(windowSize)).
		CoGroup("new-sellers", func(w millrace.JoinWindow[int64], persons []sale, auctions []int64, emit func(row.Q8)) error {
			if len(persons) > 0 && len(auctions) > 0 {
				emit(row.Q8{Person: w.Key, Name: persons[0].Name, Start: ms(w.Start)})
			}
			return nil
		})
}

// Q10 adds up the bids of each minute. The log that the suite has written to a folder for each minute is left to a file sink, whose parts appear when their epoch is decided.
func Q10(events Events) millrace.Stream[row.Q10] {
	return bids(events).
		WindowAll(window.Tumbling(time.Minute)).
		Aggregate("log", agg.Combine2(agg.Count[bid](), agg.Sum(func(b bid) int64 { return b.Price }),
			func(n, sum int64) row.Q10 { return row.Q10{Bids: n, Sum: sum} })).
		Map(func(p millrace.Pane[window.All, row.Q10]) row.Q10 {
			p.Value.Start = ms(p.Start)
			return p.Value
		})
}

// Q11 counts the bids of each bidder's sessions. Bids that are exactly ten seconds apart are of one session, so the gap is longer by the smallest unit of time.
func Q11(events Events) millrace.Stream[row.Q11] {
	return bidders(events).
		Window(window.Session(windowSize+1)).
		Aggregate("session", agg.Count[int64]()).
		Map(func(p millrace.Pane[int64, int64]) row.Q11 {
			return row.Q11{Bidder: p.Key, Start: ms(p.Start), End: ms(p.Last().Add(windowSize)), Bids: p.Value}
		})
}

func bidders(events Events) millrace.Keyed[int64, int64] {
	return events.
		FilterMapRef(func(e *gen.Event, bidder *int64) bool {
			*bidder = e.Bid.Bidder
			return e.Kind == gen.KindBid
		}).
		KeyBy(itself)
}

// Q12 counts the bids of each bidder in ten seconds by the clock of the machine. The source of its events must have ProcessingTime.
func Q12(events Events) millrace.Stream[row.Q12] {
	return bidders(events).
		Window(window.Tumbling(windowSize)).
		Aggregate("count", agg.Count[int64]()).
		Map(func(p millrace.Pane[int64, int64]) row.Q12 {
			return row.Q12{Bidder: p.Key, Start: ms(p.Start), Bids: p.Value}
		})
}
