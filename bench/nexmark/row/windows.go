package row

// Q5 is an auction with the most bids of a window.
type Q5 struct {
	// Start is that of the window in ms.
	Start, Auction, Bids int64
}

// Q5Header is the first line of its file.
const Q5Header = "window_start,window_end,auction,num"

// AppendCSV appends the line.
func (r Q5) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Start).num(r.Start + 10_000).num(r.Auction).num(r.Bids).end()
}

// Order returns what lines are sorted by.
func (r Q5) Order() (text string, a, b int64) { return "", r.Start, r.Auction }

// SumQ5 adds up rows.
func SumQ5(rows []Q5) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Start, r.Auction, r.Bids)
	}
	return sum
}

// Q7 is a bid with the highest price of a window.
type Q7 struct {
	// Start is that of the window in ms.
	Start, Event, Auction, Bidder, Price, Time int64
}

// Q7Header is the first line of its file.
const Q7Header = "window_start,eid,auction,bidder,price,ts"

// AppendCSV appends the line.
func (r Q7) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Start).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).num(r.Time).end()
}

// Order returns what lines are sorted by.
func (r Q7) Order() (text string, a, b int64) { return "", r.Start, r.Event }

// SumQ7 adds up rows.
func SumQ7(rows []Q7) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Start, r.Event, r.Price)
	}
	return sum
}

// Q8 is a person who has registered and opened an auction in a window.
type Q8 struct {
	Person int64
	Name   string
	// Start is that of the window in ms.
	Start int64
}

// Q8Header is the first line of its file.
const Q8Header = "id,name,window_start"

// AppendCSV appends the line.
func (r Q8) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Person).text(r.Name).num(r.Start).end()
}

// Order returns what lines are sorted by.
func (r Q8) Order() (text string, a, b int64) { return "", r.Start, r.Person }

// SumQ8 adds up rows.
func SumQ8(rows []Q8) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Person, r.Start, int64(len(r.Name)))
	}
	return sum
}

// Q10 is what a minute has been logged of.
type Q10 struct {
	// Start is that of the minute in ms.
	Start, Bids, Sum int64
}

// Q10Header is the first line of its file.
const Q10Header = "minute_start,n,sum_price"

// AppendCSV appends the line.
func (r Q10) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Start).num(r.Bids).num(r.Sum).end()
}

// Order returns what lines are sorted by.
func (r Q10) Order() (text string, a, b int64) { return "", r.Start, 0 }

// SumQ10 adds up rows.
func SumQ10(rows []Q10) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Start, r.Bids, r.Sum)
	}
	return sum
}

// Q11 is a session of a bidder.
type Q11 struct {
	// Start and End are in ms.
	Bidder, Start, End, Bids int64
}

// Q11Header is the first line of its file.
const Q11Header = "bidder,session_start,session_end,bid_count"

// AppendCSV appends the line.
func (r Q11) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Bidder).num(r.Start).num(r.End).num(r.Bids).end()
}

// Order returns what lines are sorted by.
func (r Q11) Order() (text string, a, b int64) { return "", r.Bidder, r.Start }

// SumQ11 adds up rows.
func SumQ11(rows []Q11) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Bidder<<20+r.Bids, r.Start, r.End)
	}
	return sum
}

// Q12 is the bids of a bidder in a window of processing time.
type Q12 struct {
	// Start is that of the window in ms.
	Bidder, Start, Bids int64
}

// Q12Header is the first line of its file.
const Q12Header = "bidder,bid_count"

// AppendCSV appends the line.
func (r Q12) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Bidder).num(r.Bids).end()
}

// Order returns what lines are sorted by.
func (r Q12) Order() (text string, a, b int64) { return "", r.Bidder, r.Start }

// SumQ12 adds up rows.
func SumQ12(rows []Q12) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Bidder, 0, 0) * uint64(r.Bids)
	}
	return sum
}

// Q17 is the bids for an auction in a day.
type Q17 struct {
	Auction, Day int64
	Prices
}

// Q17Header is the first line of its file.
const Q17Header = "auction,day,total_bids,rank1_bids,rank2_bids,rank3_bids,min_price,max_price,avg_price,sum_price"

// AppendCSV appends the line.
func (r Q17) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Auction).num(r.Day).num(r.Bids).num(r.Rank[0]).num(r.Rank[1]).num(r.Rank[2]).num(r.Min).num(r.Max).num(r.Sum / r.Bids).num(r.Sum).end()
}

// Order returns what lines are sorted by.
func (r Q17) Order() (text string, a, b int64) { return "", r.Auction, r.Day }

// SumQ17 adds up rows.
func SumQ17(rows []Q17) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Auction, r.Sum, r.Bids)
	}
	return sum
}

// Q18 is the last bid of a bidder for an auction.
type Q18 struct {
	Event, Auction, Bidder, Price, Time int64
}

// Q18Header is the first line of its file.
const Q18Header = "eid,auction,bidder,price,ts"

// AppendCSV appends the line.
func (r Q18) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).num(r.Time).end()
}

// Order returns what lines are sorted by.
func (r Q18) Order() (text string, a, b int64) { return "", r.Bidder, r.Auction }

// SumQ18 adds up rows.
func SumQ18(rows []Q18) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price, r.Bidder)
	}
	return sum
}

// Q19 is one of the highest bids for an auction.
type Q19 struct {
	Auction, Rank, Event, Bidder, Price, Time int64
}

// Q19Header is the first line of its file.
const Q19Header = "auction,rank_number,eid,bidder,price,ts"

// AppendCSV appends the line.
func (r Q19) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Auction).num(r.Rank).num(r.Event).num(r.Bidder).num(r.Price).num(r.Time).end()
}

// Order returns what lines are sorted by.
func (r Q19) Order() (text string, a, b int64) { return "", r.Auction, r.Rank }

// SumQ19 adds up rows.
func SumQ19(rows []Q19) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price, r.Rank)
	}
	return sum
}

// Q15 is the statistics of a day.
type Q15 struct {
	Day int64
	Counts
}

// Q15Header is the first line of its file.
const Q15Header = "day,total_bids,rank1_bids,rank2_bids,rank3_bids,total_bidders,rank1_bidders,rank2_bidders,rank3_bidders,total_auctions,rank1_auctions,rank2_auctions,rank3_auctions"

// AppendCSV appends the line.
func (r Q15) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Day).counts(&r.Counts).end()
}

// Order returns what lines are sorted by.
func (r Q15) Order() (text string, a, b int64) { return "", r.Day, 0 }

// SumQ15 adds up rows.
func SumQ15(rows []Q15) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Day, r.sum(), 0)
	}
	return sum
}

// Q16 is the statistics of a channel in a day.
type Q16 struct {
	Channel string
	Day     int64
	// Minute is the last minute of the day with a bid.
	Minute int64
	Counts
}

// Q16Header is the first line of its file.
const Q16Header = "channel,day,minute_of_day,total_bids,rank1_bids,rank2_bids,rank3_bids,total_bidders,rank1_bidders,rank2_bidders,rank3_bidders,total_auctions,rank1_auctions,rank2_auctions,rank3_auctions"

// AppendCSV appends the line.
func (r Q16) AppendCSV(dst []byte) []byte {
	return fields(dst).text(r.Channel).num(r.Day).num(r.Minute).counts(&r.Counts).end()
}

// Order returns what lines are sorted by.
func (r Q16) Order() (text string, a, b int64) { return r.Channel, r.Day, 0 }

// SumQ16 adds up rows.
func SumQ16(rows []Q16) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Day, r.sum(), r.Minute<<20+int64(len(r.Channel)))
	}
	return sum
}
