package hand

import (
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
)

// The lengths of windows in ms.
const (
	windowSize = 10_000
	slide      = 2_000
	sessionGap = 10_000
	minute     = 60_000
	day        = 86_400_000
)

// open are the windows of one length that are not over, the first of them first. Most loops have one or two.
type open[W any] struct {
	size   int64
	spare  []*W
	starts []int64
	all    []*W
	// fresh makes a window, or makes a used one as new if it is not nil.
	fresh func(used *W) *W
}

// at returns the window of a time.
func (o *open[W]) at(ms int64) *W {
	start := ms - ms%o.size
	for i := len(o.starts) - 1; i >= 0; i-- {
		if o.starts[i] == start {
			return o.all[i]
		}
	}
	at, _ := slices.BinarySearch(o.starts, start)
	var used *W
	if n := len(o.spare); n > 0 {
		used, o.spare = o.spare[n-1], o.spare[:n-1]
	}
	w := o.fresh(used)
	o.starts, o.all = slices.Insert(o.starts, at, start), slices.Insert(o.all, at, w)
	return w
}

// over returns the first window if the watermark has reached its end.
func (o *open[W]) over(watermark int64) (start int64, w *W, ok bool) {
	if len(o.starts) == 0 || watermark < o.starts[0]+o.size-1 {
		return 0, nil, false
	}
	start, w = o.starts[0], o.all[0]
	o.starts, o.all = slices.Delete(o.starts, 0, 1), slices.Delete(o.all, 0, 1)
	return start, w, true
}

// freshTable is for windows that are tables.
func freshTable[V any](used *table[V]) *table[V] {
	if used == nil {
		return newTable[V]()
	}
	used.clear()
	return used
}

// Q5 finds the auctions with the most bids in ten seconds, every two. It counts by slices of two seconds, and adds to the counts of the window what comes
// and takes away what goes.
func Q5(in Input, out *Out[row.Q5]) {
	const slices = windowSize / slide
	type counts = table[int64]
	open := open[counts]{size: slide, fresh: freshTable[int64]}
	total := newTable[int64]()
	var ring [slices]*counts // of the window, by number of the slice
	last := int64(-1)        // the number of the last slice that has been added
	var tied []int64
	fire := func(n int64) {
		tied = tied[:0]
		most := int64(1)
		for i := range total.slots {
			switch s := &total.slots[i]; {
			case s.value > most:
				most, tied = s.value, append(tied[:0], s.key)
			case s.value == most:
				tied = append(tied, s.key)
			}
		}
		for _, auction := range tied {
			*out.next() = row.Q5{Start: (n - slices + 1) * slide, Auction: auction, Bids: most}
		}
	}
	// advance makes the window one that ends with slice n.
	advance := func(n int64, c *counts) {
		if old := ring[n%slices]; old != nil {
			for i := range old.slots {
				if s := &old.slots[i]; s.key != 0 {
					left := total.put(s.key)
					if *left -= s.value; *left == 0 {
						total.remove(s.key)
					}
				}
			}
			open.spare = append(open.spare, old)
		}
		if ring[n%slices] = c; c != nil {
			for i := range c.slots {
				if s := &c.slots[i]; s.key != 0 {
					*total.put(s.key) += s.value
				}
			}
		}
		fire(n)
	}
	for {
		events, watermark := in()
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*open.at(e.Time).put(e.Bid.Auction)++
			}
		}
		for start, c, ok := open.over(watermark); ok; start, c, ok = open.over(watermark) {
			n := start / slide
			for ; last >= 0 && last+1 < n && total.used > 0; last++ {
				advance(last+1, nil)
			}
			advance(n, c)
			last = n
		}
		if len(events) == 0 {
			break
		}
	}
	for ; total.used > 0; last++ {
		advance(last+1, nil)
	}
	out.flush()
}

// Q7 finds the bids with the highest price of ten seconds.
func Q7(in Input, out *Out[row.Q7]) {
	type highest struct {
		price int64
		rows  []row.Q7
	}
	open := open[highest]{size: windowSize, fresh: func(used *highest) *highest {
		if used == nil {
			used = &highest{}
		}
		used.price, used.rows = -1, used.rows[:0]
		return used
	}}
	for {
		events, watermark := in()
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			w := open.at(e.Time)
			if e.Bid.Price < w.price {
				continue
			}
			if e.Bid.Price > w.price {
				w.price, w.rows = e.Bid.Price, w.rows[:0]
			}
			w.rows = append(w.rows, row.Q7{
				Start: e.Time - e.Time%windowSize, Event: e.ID, Auction: e.Bid.Auction, Bidder: e.Bid.Bidder, Price: e.Bid.Price, Time: e.Time,
			})
		}
		for _, w, ok := open.over(watermark); ok; _, w, ok = open.over(watermark) {
			for _, r := range w.rows {
				*out.next() = r
			}
			open.spare = append(open.spare, w)
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// Q8 finds persons who register and open an auction within ten seconds.
func Q8(in Input, out *Out[row.Q8]) {
	type person struct {
		name          string
		known, seller bool
	}
	open := open[table[person]]{size: windowSize, fresh: freshTable[person]}
	for {
		events, watermark := in()
		for i := range events {
			switch e := &events[i]; e.Kind {
			case gen.KindPerson:
				p := open.at(e.Time).put(e.Person.ID)
				p.name, p.known = strings.Clone(e.Person.Name), true
			case gen.KindAuction:
				open.at(e.Time).put(e.Auction.Seller).seller = true
			}
		}
		for start, w, ok := open.over(watermark); ok; start, w, ok = open.over(watermark) {
			for i := range w.slots {
				if s := &w.slots[i]; s.value.known && s.value.seller {
					*out.next() = row.Q8{Person: s.key, Name: s.value.name, Start: start}
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

// Q10 adds up the bids of each minute.
func Q10(in Input, out *Out[row.Q10]) {
	open := open[row.Q10]{size: minute, fresh: func(*row.Q10) *row.Q10 { return &row.Q10{} }}
	for {
		events, watermark := in()
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				w := open.at(e.Time)
				w.Bids++
				w.Sum += e.Bid.Price
			}
		}
		for start, w, ok := open.over(watermark); ok; start, w, ok = open.over(watermark) {
			w.Start = start
			*out.next() = *w
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// session is a session of a bidder.
type session struct{ start, last, bids int64 }

// near reports whether a bid at a time belongs to the session.
func (s *session) near(ms int64) bool { return ms >= s.start-sessionGap && ms <= s.last+sessionGap }

// bidder has the sessions of a bidder that are open.
type bidder struct {
	session
	// others are sessions before or behind, which are open because of disorder.
	others []session
	// timed says that a timer is set.
	timed bool
}

// add adds a bid, which may join sessions.
func (b *bidder) add(ms int64) {
	if b.bids > 0 && len(b.others) == 0 && b.near(ms) {
		b.start, b.last, b.bids = min(b.start, ms), max(b.last, ms), b.bids+1
		return
	}
	s := session{ms, ms, 1}
	all := b.others
	if b.bids > 0 {
		all = append(all, b.session)
	}
	kept := all[:0]
	for _, o := range all {
		if o.near(s.start) || o.near(s.last) {
			s.start, s.last, s.bids = min(s.start, o.start), max(s.last, o.last), s.bids+o.bids
		} else {
			kept = append(kept, o)
		}
	}
	b.session, b.others = s, kept
}

// Q11 counts the bids of each bidder's sessions.
func Q11(in Input, out *Out[row.Q11]) {
	bidders, ending := newTable[bidder](), due{}
	for {
		events, watermark := in()
		for i := range events {
			e := &events[i]
			if e.Kind != gen.KindBid {
				continue
			}
			b := bidders.put(e.Bid.Bidder)
			b.add(e.Time)
			if !b.timed {
				b.timed = true
				ending.push(timer{e.Time + sessionGap, e.Bid.Bidder})
			}
		}
		for t, ok := ending.pop(watermark); ok; t, ok = ending.pop(watermark) {
			b := bidders.get(t.key)
			emit := func(s session) bool {
				if s.last+sessionGap > watermark {
					return false
				}
				*out.next() = row.Q11{Bidder: t.key, Start: s.start, End: s.last + sessionGap, Bids: s.bids}
				return true
			}
			b.others = slices.DeleteFunc(b.others, emit)
			if emit(b.session) {
				b.session = session{}
				if n := len(b.others); n > 0 {
					b.session, b.others = b.others[n-1], b.others[:n-1]
				}
			}
			if b.bids == 0 {
				bidders.remove(t.key)
				continue
			}
			first := b.last
			for _, s := range b.others {
				first = min(first, s.last)
			}
			ending.push(timer{first + sessionGap, t.key})
		}
		if len(events) == 0 {
			break
		}
	}
	out.flush()
}

// Q12 counts bids by the clock, which returns ms.
func Q12(in Input, out *Out[row.Q12], clock func() int64) {
	counts, start := newTable[int64](), int64(0)
	closeWindow := func() {
		for i := range counts.slots {
			if s := &counts.slots[i]; s.key != 0 {
				*out.next() = row.Q12{Bidder: s.key, Start: start, Bids: s.value}
			}
		}
		counts.clear()
	}
	for events, _ := in(); len(events) > 0; events, _ = in() {
		now := clock()
		if s := now - now%windowSize; s > start {
			closeWindow()
			start = s
		}
		for i := range events {
			if e := &events[i]; e.Kind == gen.KindBid {
				*counts.put(e.Bid.Bidder)++
			}
		}
	}
	closeWindow()
	out.flush()
}
