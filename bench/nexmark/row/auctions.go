package row

// Q3 is an auction with its seller.
type Q3 struct {
	Name, City, State string
	Auction           int64
}

// Q3Header is the first line of its file.
const Q3Header = "name,city,state,id"

// AppendCSV appends the line.
func (r Q3) AppendCSV(dst []byte) []byte {
	return fields(dst).text(r.Name).text(r.City).text(r.State).num(r.Auction).end()
}

// Order returns what lines are sorted by.
func (r Q3) Order() (text string, a, b int64) { return "", r.Auction, 0 }

// SumQ3 adds up rows.
func SumQ3(rows []Q3) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Auction, int64(len(r.Name)), int64(len(r.City)))
	}
	return sum
}

// Q4 is the winning bids of a category so far.
type Q4 struct {
	Category, Sum, Auctions int64
}

// Q4Header is the first line of its file.
const Q4Header = "category,sum_final,auctions,avg_final"

// AppendCSV appends the line.
func (r Q4) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Category).num(r.Sum).num(r.Auctions).num(r.Sum / r.Auctions).end()
}

// Order returns what lines are sorted by.
func (r Q4) Order() (text string, a, b int64) { return "", r.Category, 0 }

// SumQ4 adds up rows.
func SumQ4(rows []Q4) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Category, r.Sum, r.Auctions)
	}
	return sum
}

// Q6 is the mean of the last auctions of a seller.
type Q6 struct {
	Seller, Auction, Expires int64
	// Sum and N are those of the prices of the auctions.
	Sum, N int64
}

// Q6Header is the first line of its file.
const Q6Header = "seller,auction,expires,avg_last10"

// AppendCSV appends the line.
func (r Q6) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Seller).num(r.Auction).num(r.Expires).mean(r.Sum, r.N).end()
}

// Order returns what lines are sorted by.
func (r Q6) Order() (text string, a, b int64) {
	return "", r.Seller, r.Expires*1_000_000 + r.Auction%1_000_000
}

// SumQ6 adds up rows.
func SumQ6(rows []Q6) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Auction, r.Sum, r.N)
	}
	return sum
}

// Q9 is an auction with its winning bid.
type Q9 struct {
	Auction, Seller, Category, Expires, Bidder, Price, BidTime, BidEvent int64
}

// Q9Header is the first line of its file.
const Q9Header = "id,seller,category,expires,bidder,price,bid_ts,bid_eid"

// AppendCSV appends the line.
func (r Q9) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Auction).num(r.Seller).num(r.Category).num(r.Expires).num(r.Bidder).num(r.Price).num(r.BidTime).num(r.BidEvent).end()
}

// Order returns what lines are sorted by.
func (r Q9) Order() (text string, a, b int64) { return "", r.Auction, 0 }

// SumQ9 adds up rows.
func SumQ9(rows []Q9) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Auction, r.Price, r.BidEvent)
	}
	return sum
}

// Q20 is a bid with its auction.
type Q20 struct {
	Event, Auction, Bidder, Price, BidTime int64
	Item                                   string
	Seller, Category, AuctionTime, Expires int64
}

// Q20Header is the first line of its file.
const Q20Header = "eid,auction,bidder,price,bid_ts,item_name,seller,category,auction_ts,expires"

// AppendCSV appends the line.
func (r Q20) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).num(r.BidTime).text(r.Item).num(r.Seller).num(r.Category).num(r.AuctionTime).num(r.Expires).end()
}

// Order returns what lines are sorted by.
func (r Q20) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ20 adds up rows.
func SumQ20(rows []Q20) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.AuctionTime, r.Expires)
	}
	return sum
}

// Q23 is a bid with its bidder and an auction of theirs.
type Q23 struct {
	Event, Bidder, Price int64
	Name                 string
	Auction              int64
}

// Q23Header is the first line of its file.
const Q23Header = "eid,bidder,price,name,auction"

// AppendCSV appends the line.
func (r Q23) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Bidder).num(r.Price).text(r.Name).num(r.Auction).end()
}

// Order returns what lines are sorted by.
func (r Q23) Order() (text string, a, b int64) { return "", r.Event, r.Auction }

// SumQ23 adds up rows.
func SumQ23(rows []Q23) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Auction, r.Price)
	}
	return sum
}
