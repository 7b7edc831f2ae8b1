package row

// Q0 is a bid as it is.
type Q0 struct {
	Event, Auction, Bidder, Price, Time int64
	Extra                               string
}

// Q0Header is the first line of its file.
const Q0Header = "eid,auction,bidder,price,ts,extra"

// AppendCSV appends the line.
func (r Q0) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).num(r.Time).text(r.Extra).end()
}

// Order returns what lines are sorted by.
func (r Q0) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ0 adds up rows.
func SumQ0(rows []Q0) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price, int64(len(r.Extra)))
	}
	return sum
}

// Q1 is a bid in euros.
type Q1 struct {
	Event, Auction, Bidder int64
	// PriceMilli is the price in thousandths of a cent.
	PriceMilli int64
	Time       int64
}

// Q1Header is the first line of its file.
const Q1Header = "eid,auction,bidder,price_eur,ts"

// AppendCSV appends the line.
func (r Q1) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).milli(r.PriceMilli).num(r.Time).end()
}

// Order returns what lines are sorted by.
func (r Q1) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ1 adds up rows.
func SumQ1(rows []Q1) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.PriceMilli, r.Bidder)
	}
	return sum
}

// Q2 is a bid for one of some auctions.
type Q2 struct {
	Event, Auction, Price int64
}

// Q2Header is the first line of its file.
const Q2Header = "eid,auction,price"

// AppendCSV appends the line.
func (r Q2) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Price).end()
}

// Order returns what lines are sorted by.
func (r Q2) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ2 adds up rows.
func SumQ2(rows []Q2) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Auction, r.Price)
	}
	return sum
}

// Q13 is a bid with what a table says of its auction.
type Q13 struct {
	Event, Auction, Bidder, Price, Time int64
	Value                               string
}

// Q13Header is the first line of its file.
const Q13Header = "eid,auction,bidder,price,ts,value"

// AppendCSV appends the line.
func (r Q13) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).num(r.Time).text(r.Value).end()
}

// Order returns what lines are sorted by.
func (r Q13) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ13 adds up rows.
func SumQ13(rows []Q13) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price, int64(len(r.Value)))
	}
	return sum
}

// Q14 is a bid of a middling price, with what is computed of it.
type Q14 struct {
	Event, Auction, Bidder int64
	// PriceMilli is the price in thousandths of a cent.
	PriceMilli int64
	TimeType   string
	Time       int64
	// C is the number of letters c in the extra text.
	C int64
}

// Q14Header is the first line of its file.
const Q14Header = "eid,auction,bidder,price_eur,bid_time_type,ts,c_counts"

// AppendCSV appends the line.
func (r Q14) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).milli(r.PriceMilli).text(r.TimeType).num(r.Time).num(r.C).end()
}

// Order returns what lines are sorted by.
func (r Q14) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ14 adds up rows.
func SumQ14(rows []Q14) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.PriceMilli+int64(len(r.TimeType)), r.C)
	}
	return sum
}

// Q21 is a bid with the number of its channel.
type Q21 struct {
	Event, Auction, Bidder, Price int64
	Channel, ChannelID            string
}

// Q21Header is the first line of its file.
const Q21Header = "eid,auction,bidder,price,channel,channel_id"

// AppendCSV appends the line.
func (r Q21) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).text(r.Channel).text(r.ChannelID).end()
}

// Order returns what lines are sorted by.
func (r Q21) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ21 adds up rows.
func SumQ21(rows []Q21) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price+int64(len(r.Channel)), int64(len(r.ChannelID)))
	}
	return sum
}

// Q22 is a bid with the directories of its URL.
type Q22 struct {
	Event, Auction, Bidder, Price int64
	Channel                       string
	Dir                           [3]string
}

// Q22Header is the first line of its file.
const Q22Header = "eid,auction,bidder,price,channel,dir1,dir2,dir3"

// AppendCSV appends the line.
func (r Q22) AppendCSV(dst []byte) []byte {
	return fields(dst).num(r.Event).num(r.Auction).num(r.Bidder).num(r.Price).text(r.Channel).text(r.Dir[0]).text(r.Dir[1]).text(r.Dir[2]).end()
}

// Order returns what lines are sorted by.
func (r Q22) Order() (text string, a, b int64) { return "", r.Event, 0 }

// SumQ22 adds up rows.
func SumQ22(rows []Q22) (sum uint64) {
	for i := range rows {
		r := &rows[i]
		sum += blend(r.Event, r.Price+int64(len(r.Channel)), int64(len(r.Dir[0])+2*len(r.Dir[1])+4*len(r.Dir[2])))
	}
	return sum
}
