package row

// Top is the ten highest bids, the highest first.
type Top struct {
	N    int64
	Bids [10]TopBid
}

// TopBid is a bid.
type TopBid struct{ Price, Time, Event, Bidder int64 }

func (b *TopBid) before(o *TopBid) bool {
	if b.Price != o.Price {
		return b.Price > o.Price
	}
	return b.Time < o.Time || b.Time == o.Time && b.Event < o.Event
}

// Add adds a bid and returns its place, from 0; those from there on have changed. For a bid that is too low it returns N.
func (t *Top) Add(b TopBid) int64 {
	if t.N == int64(len(t.Bids)) && !b.before(&t.Bids[t.N-1]) {
		return t.N
	}
	if t.N < int64(len(t.Bids)) {
		t.N++
	}
	i := t.N - 1
	for ; i > 0 && b.before(&t.Bids[i-1]); i-- {
		t.Bids[i] = t.Bids[i-1]
	}
	t.Bids[i] = b
	return i
}
