package main

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
)

// What is suspicious.
const (
	velocityMax    = 5
	velocityWithin = time.Minute
	travelWithin   = 45 * time.Minute
	plausibleSpeed = 1000.0 // km/h
	amountCount    = 5      // so many other payments must be known,
	amountTimes    = 4      // and an amount so many times their mean
	amountSigmas   = 6      // and so many standard deviations above it is suspicious
)

// build returns the job. Both outputs get each alert: files when its epoch is decided, once; notify at once, again after a crash.
func build(payments connect.Source[Payment], files, notify connect.Sink[Alert]) *millrace.Job {
	job := millrace.NewJob("fraud")
	received := job.From("payments", payments, millrace.EventTime(Payment.When).OutOfOrderness(patience)).
		Dedup("redelivered", Payment.Number, time.Hour).AllowedLateness(0)
	alerts := received.KeyBy(Payment.PaidWith).Process("rules", detect)
	alerts.To("alerts", files)
	alerts.To("notify", notify)
	return job
}

// history is the state of a card. It has no slices or pointers, so checkpoints copy it as it is.
//
// Payments come in disorder, and nobody waits for those that are missing: latency is money here. So each rule is one about the set of
// a card's payments and not about the order in which they came. A payment that comes late is put in its place in event time, and may
// give away another one that is there already. It takes no payment back: none is alerted that the full set would clear.
type history struct {
	// Recent are the payments that one which may still come can be compared with: those that the watermark has left behind by less than
	// the longest rule looks back. They are in the order of event time, N of them. A card with more than that is long blocked.
	Recent [20]recent
	N      int64
	// Count, Sum and Squares are of the amounts of all payments that are not alerted for theirs.
	Count, Sum, Squares int64
}

type recent struct {
	At       int64 // ns since 1970
	ID       uint64
	Cents    int64
	Lat, Lon float32
	Alerted  uint8 // a bit for each rule
}

// detect is called for each payment of a card.
func detect(p *millrace.Proc[uint64, history, Alert], pay Payment) error {
	h := p.State()
	if watermark, ok := p.Watermark(); ok {
		h.forget(watermark.Add(-travelWithin))
	}
	at := h.insert(recent{
		At: pay.Time.UnixNano(), ID: pay.ID, Cents: pay.Cents, Lat: float32(pay.Lat), Lon: float32(pay.Lon),
	})
	alert := func(i int, bit uint8, rule Rule) {
		r := &h.Recent[i]
		if r.Alerted&bit == 0 {
			r.Alerted |= bit
			p.Emit(Alert{Rule: rule, Card: p.Key(), Payment: r.ID, Cents: r.Cents, Time: time.Unix(0, r.At).UTC(), Arrived: pay.Arrived})
		}
	}
	for i := at; i < int(h.N) && h.Recent[i].At-h.Recent[at].At < int64(velocityWithin); i++ {
		if h.within(i) > velocityMax {
			alert(i, 1, Velocity)
		}
	}
	for i := range int(h.N) {
		if first, second := min(i, at), max(i, at); first != second && h.impossible(first, second) {
			alert(second, 2, Travel)
		}
	}
	for i := range int(h.N) {
		if r := &h.Recent[i]; r.Alerted&4 == 0 && h.unusual(r.Cents) {
			h.Count, h.Sum, h.Squares = h.Count-1, h.Sum-r.Cents, h.Squares-r.Cents*r.Cents
			alert(i, 4, Amount)
		}
	}
	return nil
}

// forget lets go of payments from before t.
func (h *history) forget(t time.Time) {
	n, old := int(h.N), 0
	for old < n && h.Recent[old].At < t.UnixNano() {
		old++
	}
	copy(h.Recent[:], h.Recent[old:n])
	clear(h.Recent[n-old : n])
	h.N = int64(n - old)
}

// insert puts a payment in its place and returns it. When there is no room, the oldest is forgotten.
func (h *history) insert(r recent) int {
	h.Count, h.Sum, h.Squares = h.Count+1, h.Sum+r.Cents, h.Squares+r.Cents*r.Cents
	if int(h.N) == len(h.Recent) {
		h.forget(time.Unix(0, h.Recent[0].At+1))
	}
	at := int(h.N)
	for at > 0 && h.Recent[at-1].At > r.At {
		h.Recent[at] = h.Recent[at-1]
		at--
	}
	h.Recent[at] = r
	h.N++
	return at
}

// within counts the payments of the minute that ends with payment i.
func (h *history) within(i int) int {
	n := 0
	for j := i; j >= 0 && h.Recent[i].At-h.Recent[j].At < int64(velocityWithin); j-- {
		n++
	}
	return n
}

// impossible says that nobody comes from the place of payment a to that of a later one b in the time between.
func (h *history) impossible(a, b int) bool {
	x, y := &h.Recent[a], &h.Recent[b]
	if x.Lat == y.Lat && x.Lon == y.Lon || y.At-x.At > int64(travelWithin) {
		return false
	}
	hours := time.Duration(y.At - x.At).Hours()
	return kilometres(float64(x.Lat), float64(x.Lon), float64(y.Lat), float64(y.Lon)) > plausibleSpeed*hours
}

// unusual says that an amount, which is one of those counted, is far above the others.
func (h *history) unusual(cents int64) bool {
	n := h.Count - 1
	if n < amountCount {
		return false
	}
	mean := float64(h.Sum-cents) / float64(n)
	deviation := math.Sqrt(max(0, float64(h.Squares-cents*cents)/float64(n)-mean*mean))
	return float64(cents) > amountTimes*mean && float64(cents) > mean+amountSigmas*deviation
}
