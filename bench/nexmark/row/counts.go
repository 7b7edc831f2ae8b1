package row

import "math/bits"

// The ranks of prices: below the first, below the second, and the rest.
const (
	Rank2 = 10_000
	Rank3 = 1_000_000
)

// RankOf returns the rank of a price, 0 to 2.
func RankOf(price int64) int {
	switch {
	case price < Rank2:
		return 0
	case price < Rank3:
		return 1
	}
	return 2
}

// Prices are statistics of bids.
type Prices struct {
	Bids          int64
	Rank          [3]int64
	Min, Max, Sum int64
}

// Add adds a bid.
func (p *Prices) Add(price int64) {
	if p.Bids == 0 || price < p.Min {
		p.Min = price
	}
	p.Max = max(p.Max, price)
	p.Bids++
	p.Rank[RankOf(price)]++
	p.Sum += price
}

// Merge adds other bids.
func (p *Prices) Merge(o *Prices) {
	if o.Bids == 0 {
		return
	}
	if p.Bids == 0 || o.Min < p.Min {
		p.Min = o.Min
	}
	p.Max = max(p.Max, o.Max)
	p.Bids += o.Bids
	p.Sum += o.Sum
	for i := range p.Rank {
		p.Rank[i] += o.Rank[i]
	}
}

// Counts are numbers of bids, and of different bidders and auctions: of each first all, and then those of each rank.
type Counts struct{ Bids, Bidders, Auctions [4]int64 }

func (c *Counts) sum() (n int64) {
	for i := range c.Bids {
		n = n*31 + c.Bids[i] + c.Bidders[i]<<20 + c.Auctions[i]<<40
	}
	return n
}

func (f fields) counts(c *Counts) fields {
	for _, of := range [][4]int64{c.Bids, c.Bidders, c.Auctions} {
		for _, n := range of {
			f = f.num(n)
		}
	}
	return f
}

// Distinct is a set of numbers above zero, each with the ranks in which it was seen: an open-addressing table. An empty one takes no memory.
type Distinct struct {
	// slots hold a number and, in the low bits, its ranks. Zero is empty.
	slots []uint64
	used  int
}

const rankBits = 3

// Add adds a number with a rank. It returns whether the number was there, and whether it was with this rank.
func (d *Distinct) Add(n int64, rank int) (known, withRank bool) {
	if d.used >= len(d.slots)*5/8 {
		d.grow()
	}
	bit := uint64(1) << rank
	s := d.slot(n)
	switch {
	case *s == 0:
		d.used++
		*s = uint64(n)<<rankBits | bit
		return false, false
	case *s&bit == 0:
		*s |= bit
		return true, false
	}
	return true, true
}

// slot returns the slot of a number, an empty one if it is not there.
func (d *Distinct) slot(n int64) *uint64 {
	mask := uint64(len(d.slots) - 1)
	shift := bits.LeadingZeros64(mask)
	for i := uint64(n) * 0x9E3779B97F4A7C15 >> shift; ; i = (i + 1) & mask {
		if s := &d.slots[i&mask]; *s == 0 || int64(*s>>rankBits) == n {
			return s
		}
	}
}

func (d *Distinct) grow() {
	old := d.slots
	d.slots = make([]uint64, max(4, 2*len(old)))
	for _, s := range old {
		if s != 0 {
			*d.slot(int64(s >> rankBits)) = s
		}
	}
}

// Statistics is what Counts are made of.
type Statistics struct {
	Counts
	// Minute is the last minute of the day with a bid.
	Minute            int64
	bidders, auctions Distinct
}

// Add adds a bid. The time is in ms.
func (s *Statistics) Add(auction, bidder, price, at int64) {
	rank := RankOf(price)
	s.Minute = max(s.Minute, at/60_000%1440)
	s.Bids[0]++
	s.Bids[1+rank]++
	count(&s.Bidders, &s.bidders, bidder, rank)
	count(&s.Auctions, &s.auctions, auction, rank)
}

func count(counts *[4]int64, d *Distinct, n int64, rank int) {
	known, withRank := d.Add(n, rank)
	if !known {
		counts[0]++
	}
	if !withRank {
		counts[1+rank]++
	}
}

// Merge adds the bids of other statistics, and leaves those as they are.
func (s *Statistics) Merge(o *Statistics) {
	s.Minute = max(s.Minute, o.Minute)
	for i := range s.Bids {
		s.Bids[i] += o.Bids[i]
	}
	merge(&s.Bidders, &s.bidders, &o.bidders)
	merge(&s.Auctions, &s.auctions, &o.auctions)
}

func merge(counts *[4]int64, d, o *Distinct) {
	for _, slot := range o.slots {
		for rank := range rankBits {
			if slot&(1<<rank) != 0 {
				count(counts, d, int64(slot>>rankBits), rank)
			}
		}
	}
}
