package reference

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// milli is an amount of money in thousandths, exact.
type milli int64

// UnmarshalText reads a decimal number with at most three digits after the point.
func (m *milli) UnmarshalText(b []byte) error {
	number, negative := strings.CutPrefix(string(b), "-")
	whole, fraction, _ := strings.Cut(number, ".")
	if whole == "" {
		return fmt.Errorf("%q is not an amount: it has no digits before the point", b)
	}
	if len(fraction) > 3 {
		return fmt.Errorf("%q has more than three digits after the point", b)
	}
	n, err := strconv.ParseUint(whole+(fraction + "000")[:3], 10, 63)
	if err != nil {
		return fmt.Errorf("%q is not an amount: %w", b, err)
	}
	*m = milli(n)
	if negative {
		*m = -*m
	}
	return nil
}

// MarshalText is the reverse.
func (m milli) MarshalText() ([]byte, error) {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	return fmt.Appendf(nil, "%s%d.%03d", sign, n/1000, n%1000), nil
}

// sale is an order line.
type sale struct {
	// Seq is the number of the line in the file, from 1; see numbered.
	Seq      int64     `csv:"-"`
	Invoice  string    `csv:"InvoiceNo"`
	Stock    string    `csv:"StockCode"`
	Quantity int64     `csv:"Quantity"`
	Time     time.Time `csv:"InvoiceDate,2006-01-02 15:04:05"`
	Price    milli     `csv:"UnitPrice"`
	Customer string    `csv:"CustomerID"`
	Country  string    `csv:"Country"`
	// repeated says that a line of this invoice and stock came before.
	repeated bool
}

// noCustomer is the customer of sales that have none.
const noCustomer = "-"

// cleanCustomer makes the customer what it was before it went through a float: 17850.0 is 17850.
func cleanCustomer(s *sale) {
	s.Customer, _, _ = strings.Cut(s.Customer, ".")
	if s.Customer == "" {
		s.Customer = noCustomer
	}
}

// line is what names an order line.
type line struct{ Invoice, Stock string }

func (s sale) line() line { return line{s.Invoice, s.Stock} }

func (s sale) copies() int64 {
	if s.repeated {
		return 1
	}
	return 0
}

func (s sale) invoice() string  { return s.Invoice }
func (s sale) stock() string    { return s.Stock }
func (s sale) quantity() int64  { return s.Quantity }
func (s sale) price() int64     { return int64(s.Price) }
func (s sale) amount() int64    { return s.Quantity * int64(s.Price) }
func (s sale) customer() string { return s.Customer }
func (s sale) country() string  { return s.Country }

var retailInput = input{file: "retail_2010-12_2011-08.csv.gz", records: 320705, epoch: 20000}

func sales(j *millrace.Job, path string) millrace.Stream[sale] {
	return j.From("sales", file.CSV[sale](path), millrace.EventTime(func(s sale) time.Time { return s.Time })).
		UpdateRef(cleanCustomer).As("clean")
}

func withCustomer(s *sale) bool { return s.Customer != noCustomer }

// numbered gives order lines their numbers. One key keeps them in their order.
func numbered(s millrace.Stream[sale]) millrace.Stream[sale] {
	return s.KeyByRef(everything[sale]).Process("number", func(p *millrace.Proc[bool, int64, sale], r sale) error {
		n := p.State()
		*n++
		r.Seq = *n
		p.Emit(r)
		return nil
	})
}

func cancels(s *sale) bool { return strings.HasPrefix(s.Invoice, "C") }

var retailQueries = []Query{
	{"r1_tumbling_1d_country", &retailInput, func(j *millrace.Job, path string) outputs {
		return perKey(sales(j, path).KeyByRef((*sale).country).Window(window.Tumbling(24*time.Hour)).Aggregate("per-country", join2(
			join3(count[sale](), column(agg.Sum(sale.quantity)), column(agg.Sum(sale.amount))),
			join3(column(agg.Min(sale.price)), column(agg.Max(sale.price)), column(agg.CountDistinct(sale.invoice))))))
	}},
	{"r2_tumbling_1h_revenue", &retailInput, func(j *millrace.Job, path string) outputs {
		return perWindow(sales(j, path).FilterRef(withCustomer).KeyByRef(everything[sale]).Window(window.Tumbling(time.Hour)).
			Aggregate("revenue", join3(count[sale](), column(agg.Sum(sale.amount)), column(agg.CountDistinct(sale.customer)))))
	}},
	{"r3_session_30m_customer", &retailInput, func(j *millrace.Job, path string) outputs {
		return perKey(sales(j, path).FilterRef(withCustomer).KeyByRef((*sale).customer).Window(window.Session(30*time.Minute)).
			Aggregate("visits", join3(count[sale](), column(agg.Sum(sale.amount)), column(agg.CountDistinct(sale.stock)))))
	}},
	{"r4_top10_items_7d", &retailInput, func(j *millrace.Job, path string) outputs {
		week := 7 * 24 * time.Hour
		return ranked(sales(j, path).KeyByRef((*sale).stock).Window(window.Tumbling(week)).
			Aggregate("per-item", agg.Sum(sale.quantity)), 10, week)
	}},
	{"r5_interval_join_purchase_cancel_7d", &retailInput, func(j *millrace.Job, path string) outputs {
		all := numbered(sales(j, path))
		item := func(s *sale) [2]string { return [2]string{s.Customer, s.Stock} }
		bought := all.FilterRef(func(s *sale) bool { return withCustomer(s) && s.Quantity > 0 && !cancels(s) }).KeyByRef(item)
		returned := all.FilterRef(cancels).KeyByRef(item)
		return outputs{rows: bought.IntervalJoin(returned, 0, 7*24*time.Hour).Inner("returned", func(b, r sale) Row {
			return Row{show(b.Seq), show(r.Seq), b.Customer, b.Stock, show(b.Quantity), show(r.Quantity)}
		})}
	}},
	{"r6_dedup_first_invoice_stock_1d", &retailInput, func(j *millrace.Job, path string) outputs {
		// The lines of an invoice are at most a few minutes apart.
		first := sales(j, path).Dedup("first", sale.line, time.Hour)
		again := first.Duplicates().UpdateRef(func(s *sale) { s.repeated = true })
		return perWindow(first.Union(again).KeyByRef(everything[sale]).Window(window.Tumbling(24*time.Hour)).Aggregate("per-day", join3(
			column(agg.Sum(func(s sale) int64 { return 1 - s.copies() })), column(agg.Sum(sale.copies)),
			column(agg.Sum(func(s sale) int64 { return s.Quantity * (1 - s.copies()) })))))
	}},
}
