package millrace_test

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/state"
)

// Payment is what a card paid.
type Payment struct {
	Card string
	Shop string
	Paid time.Time
	Euro int64
}

func (p Payment) card() string    { return p.Card }
func (p Payment) shop() string    { return p.Shop }
func (p Payment) paid() time.Time { return p.Paid }

var payments = []Payment{
	{"1234", "books", at("12:00:00"), 20},
	{"9876", "fuel", at("12:01:00"), 60},
	{"1234", "fuel", at("12:02:00"), 40},
	{"1234", "shoes", at("12:03:00"), 300},
	{"9876", "fuel", at("12:30:00"), 55},
	{"5555", "books", at("13:10:00"), 15},
}

func paymentsOf(job *millrace.Job) millrace.Keyed[string, Payment] {
	return job.From("payments", memory.Of(payments...), millrace.EventTime(Payment.paid)).KeyBy(Payment.card)
}

// largest is an aggregator of one's own. It is a struct of functions, like those of package agg.
var largest = agg.Aggregator[Payment, int64, int64]{
	Add:    func(most *int64, p *Payment) { *most = max(*most, p.Euro) },
	Merge:  func(dst, src *int64) { *dst = max(*dst, *src) },
	Result: func(most *int64) int64 { return *most },
}

// watch is an operator of one's own: it has several states, each with a life of its own, and timers.
type watch struct {
	total *state.Value[int64]
	last  *state.List[int64]
	shops *state.Map[string, time.Time]
	most  *state.Reducing[Payment, int64]
}

func newWatch(s *state.Set[string]) *watch {
	return &watch{
		total: s.Value[int64]("total"),
		last:  s.List[int64]("last", state.ExpireAfter(time.Hour)),
		shops: s.Map[string, time.Time]("shops", state.ExpireAfter(10*time.Minute)),
		most:  s.Reducing("most", largest),
	}
}

func (w *watch) Record(c *millrace.Call[string, string], p Payment) error {
	*w.total.Ref() += p.Euro
	w.last.Append(p.Euro)
	w.shops.Set(p.Shop, p.Paid)
	if err := w.most.Add(p); err != nil {
		return err
	}
	if w.shops.Len() >= 3 {
		c.Emit(fmt.Sprintf("card %s was in %d shops within 10 minutes", c.Key(), w.shops.Len()))
	}
	c.SetTimer("bill", c.EventTime().Truncate(time.Hour).Add(time.Hour))
	return nil
}

func (w *watch) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	total, _ := w.total.Get()
	most, _, err := w.most.Get()
	if err != nil {
		return err
	}
	c.Emit(fmt.Sprintf("%s: card %s: %d euro, at most %d, within the last hour %d times", clock(t.At), c.Key(), total, most, w.last.Len()))
	w.total.Clear()
	w.most.Clear()
	return nil
}

// A processor has several states.
func ExampleKeyed_ProcessWith() {
	job := millrace.NewJob("cards")
	out := memory.NewSink[string]()
	paymentsOf(job).ProcessWith("watch", newWatch).To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// card 1234 was in 3 shops within 10 minutes
	// 13:00: card 1234: 360 euro, at most 300, within the last hour 2 times
	// 13:00: card 9876: 115 euro, at most 60, within the last hour 2 times
	// 14:00: card 5555: 15 euro, at most 15, within the last hour 1 times
}

// The number of payments is forgotten when the watermark has come a minute further than the last one.
func ExampleKeyed_StateTTL() {
	job := millrace.NewJob("series")
	out := memory.NewSink[string]()
	paymentsOf(job).StateTTL(state.ExpireAfter(time.Minute)).
		Process("series", func(p *millrace.Proc[string, int, string], r Payment) error {
			*p.State()++
			p.Emit(fmt.Sprintf("%s %s: payment %d of a series", clock(r.Paid), p.Key(), *p.State()))
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12:00 1234: payment 1 of a series
	// 12:01 9876: payment 1 of a series
	// 12:02 1234: payment 2 of a series
	// 12:03 1234: payment 3 of a series
	// 12:30 9876: payment 1 of a series
	// 13:10 5555: payment 1 of a series
}

// A side output has records of another type than the main one.
func ExampleStream_Side() {
	large := millrace.NewSideOutput[Payment]("large")
	job := millrace.NewJob("large")
	out, review := memory.NewSink[int64](), memory.NewSink[string]()
	sums := paymentsOf(job).SideOutputs(large).
		Process("sum", func(p *millrace.Proc[string, int64, int64], r Payment) error {
			if r.Euro >= 100 {
				p.EmitSide(large, r)
				return nil
			}
			*p.State() += r.Euro
			p.Emit(*p.State())
			return nil
		})
	sums.To("out", out)
	sums.Side(large).Map(Payment.shop).To("review", review)
	fmt.Println(run(job))
	show(out)
	show(review)
	// Output:
	// <nil>
	// 20
	// 60
	// 60
	// 115
	// 15
	// shoes
}

// A timer of processing time asks for attention an hour after a payment, by the clock of the machine. At the end of bounded input all that are set fire at once.
func ExampleCall_SetProcessingTimer() {
	job := millrace.NewJob("remind")
	out := memory.NewSink[string]()
	paymentsOf(job).
		Process("remind", func(p *millrace.Proc[string, int64, string], r Payment) error {
			*p.State() += r.Euro
			p.SetProcessingTimer("remind", p.ProcessingTime().Add(time.Hour))
			return nil
		}, func(p *millrace.Proc[string, int64, string], t millrace.Timer) error {
			p.Emit(fmt.Sprintf("%s %s: %d euro", t.Name, p.Key(), *p.State()))
			return nil
		}).
		// Which of the two timers is the earlier one is a matter of nanoseconds of the machine's clock.
		Filter(func(s string) bool { return s == "remind 1234: 360 euro" }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// remind 1234: 360 euro
}

// Records tell where they come from.
func ExampleCall_Origin() {
	job := millrace.NewJob("origins")
	out := memory.NewSink[string]()
	job.From("payments", memory.Of(payments...), millrace.EventTime(Payment.paid)).
		Filter(func(p Payment) bool { return p.Euro > 50 }).
		KeyBy(Payment.card).
		WithOrigin().
		Process("large", func(p *millrace.Proc[string, struct{}, string], r Payment) error {
			o, _ := p.Origin()
			p.Emit(fmt.Sprintf("%d euro: record %d of %s, %s, at %s", r.Euro, o.Record, o.Source, o.Split, o.Place))
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 60 euro: record 1 of payments, slice-000000, at slice-000000[1]
	// 300 euro: record 3 of payments, slice-000000, at slice-000000[3]
	// 55 euro: record 4 of payments, slice-000000, at slice-000000[4]
}

// Cap is a rule: what a shop may take at once, from a time on.
type Cap struct {
	Shop string
	From time.Time
	Euro int64
}

func (c Cap) from() time.Time { return c.From }

var caps = []Cap{{"fuel", at("12:00:00"), 100}, {"shoes", at("12:00:00"), 250}, {"fuel", at("12:30:00"), 50}}

// checker compares payments with the rules of their time. It keeps each until the watermark of both streams has come to it: so all rules up to that
// time are there, whichever stream is faster.
type checker struct {
	caps *state.Broadcast[string, []Cap]
	held *state.Map[time.Time, Payment]
}

func newChecker(s *state.Set[string]) *checker {
	return &checker{caps: s.Broadcast[string, []Cap]("caps"), held: s.Map[time.Time, Payment]("held")}
}

func (x *checker) Broadcast(c Cap) error {
	versions, _ := x.caps.Get(c.Shop)
	x.caps.Set(c.Shop, append(versions[:len(versions):len(versions)], c))
	return nil
}

func (x *checker) Record(c *millrace.Call[string, string], p Payment) error {
	x.held.Set(p.Paid, p)
	c.SetTimer(clock(p.Paid), p.Paid)
	return nil
}

func (x *checker) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	p, _ := x.held.Get(t.At)
	x.held.Delete(t.At)
	versions, _ := x.caps.Get(p.Shop)
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].From.After(p.Paid) {
			if p.Euro > versions[i].Euro {
				c.Emit(fmt.Sprintf("%s %s: %d euro in %s, at most %d", clock(p.Paid), c.Key(), p.Euro, p.Shop, versions[i].Euro))
			}
			break
		}
	}
	return nil
}

// Rules go to all subtasks.
func ExampleKeyed_ProcessBroadcast() {
	job := millrace.NewJob("caps")
	out := memory.NewSink[string]()
	rules := job.From("caps", memory.Of(caps...), millrace.EventTime(Cap.from))
	paymentsOf(job).ProcessBroadcast("check", rules, newChecker).To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12:03 1234: 300 euro in shoes, at most 250
	// 12:30 9876: 55 euro in fuel, at most 50
}

// A small table goes to all subtasks, and the payments stay where they are.
func ExampleStream_BroadcastJoin() {
	job := millrace.NewJob("names")
	out := memory.NewSink[string]()
	// What the table holds when a payment comes is a matter of arrival: here payments wait until it is there.
	var there atomic.Int64
	shops := job.From("shops", memory.Of(caps[:2]...)).KeyBy(func(c Cap) string { there.Add(1); return c.Shop })
	job.From("payments", gatedBy(memory.Of(payments...), func() bool { return there.Load() >= 2 })).
		BroadcastJoin(shops, Payment.shop).
		Inner("cap", func(p Payment, c Cap) string { return fmt.Sprintf("%s: %d of %d", p.Shop, p.Euro, c.Euro) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// fuel: 60 of 100
	// fuel: 40 of 100
	// shoes: 300 of 250
	// fuel: 55 of 100
}

// The table holds what came last for each key.
func ExampleKeyed_LatestJoin() {
	job := millrace.NewJob("latest")
	out := memory.NewSink[string]()
	var there atomic.Int64
	shops := job.From("shops", memory.Of(caps...)).KeyBy(func(c Cap) string { there.Add(1); return c.Shop })
	job.From("payments", gatedBy(memory.Of(payments...), func() bool { return there.Load() >= 3 })).
		KeyBy(Payment.shop).
		LatestJoin(shops).
		Left("cap", func(p Payment, c Cap, ok bool) string {
			if !ok {
				return fmt.Sprintf("%s: %d", p.Shop, p.Euro)
			}
			return fmt.Sprintf("%s: %d of %d", p.Shop, p.Euro, c.Euro)
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// books: 20
	// fuel: 60 of 50
	// fuel: 40 of 50
	// shoes: 300 of 250
	// fuel: 55 of 50
	// books: 15
}
