package formats_test

import (
	"fmt"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/state"
	"github.com/millrace-stream/millrace/window"
)

// order is the record. It must stay as it is: some states hold it.
type order struct {
	N        int
	Customer string
	Cents    int64
	At       time.Time
}

// place is a key of two fields.
type place struct {
	Row  int16
	Side bool
}

// profile is a state of all sorts of fields.
type profile struct {
	Orders  int32
	Mean    float64
	First   time.Time
	Last    *order
	Tags    []string
	ByKind  map[string]uint16
	Corners [2]place
}

// orderNumber makes the order of a number; the rest of it follows from that.
func orderNumber(n int) order {
	at := time.Unix(1_700_000_000+int64(n), int64(n)).UTC()
	return order{N: n, Customer: fmt.Sprintf("c%d", n*7%13), Cents: int64(n*n%997) - 100, At: at}
}

func ordersUpTo(n int) []order {
	out := make([]order, n)
	for i := range out {
		out[i] = orderNumber(i)
	}
	return out
}

// profiles has a state of each kind, some that expire, and timers.
type profiles struct {
	one   *state.Value[profile]
	kinds *state.Map[place, int64]
	last  *state.List[string]
	sum   *state.Reducing[order, int64]
}

func newProfiles(s *state.Set[string]) *profiles {
	return &profiles{
		one: s.Value[profile]("one"), kinds: s.Map[place, int64]("kinds", state.ExpireAfter(40*time.Second)),
		last: s.List[string]("last"), sum: s.Reducing("sum", agg.Sum(func(o order) int64 { return o.Cents })),
	}
}

func (p *profiles) Record(c *millrace.Call[string, string], o order) error {
	one := p.one.Ref()
	if one.Orders == 0 {
		one.First, one.ByKind = o.At, map[string]uint16{}
	}
	one.Mean = (one.Mean*float64(one.Orders) + float64(o.Cents)) / float64(one.Orders+1)
	one.Orders++
	one.Last = &o
	one.Tags = append(one.Tags, fmt.Sprint(o.N%5))
	one.ByKind[fmt.Sprint(o.N%3)]++
	at := place{int16(o.N % 4), o.N%2 == 0}
	one.Corners[o.N%2] = at
	*p.kinds.Ref(at)++
	p.last.Append(fmt.Sprint(o.N))
	if p.last.Len() > 3 {
		p.last.DropFirst(1)
	}
	if err := p.sum.Add(o); err != nil {
		return err
	}
	c.SetTimer("report", o.At.Add(17*time.Second))
	return nil
}

func (p *profiles) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	one, _ := p.one.Get()
	sum, _, err := p.sum.Get()
	text := fmt.Sprintf("%s %s at %d: %d %.6g %d %d %v %v %v sum %d", t.Name, c.Key(), t.At.Unix(), one.Orders, one.Mean, one.First.Unix(), one.Last.N, one.Tags, one.ByKind, one.Corners, sum)
	for k, v := range p.kinds.All() {
		text += fmt.Sprintf(" %v=%d", k, v)
	}
	for s := range p.last.All() {
		text += " " + s
	}
	c.Emit(text)
	return err
}

// job has every kind of state that checkpoints hold.
func job(in millracetest.Scripted[order], out *memory.Sink[string]) *millrace.Job {
	j := millrace.NewJob("formats")
	orders := j.From("orders", in, millrace.EventTime(func(o order) time.Time { return o.At }).OutOfOrderness(2*time.Second))
	customer := func(o order) string { return o.Customer }
	side := func(o order) place { return place{int16(o.N % 5), o.N%3 == 0} }
	byCustomer := orders.KeyBy(customer)
	lines := byCustomer.ProcessWith[string]("profiles", newProfiles)

	windows := orders.KeyBy(side).Window(window.Tumbling(25*time.Second)).AllowedLateness(5*time.Second).
		Aggregate("window", agg.Combine2(agg.Mean(func(o order) int64 { return o.Cents }), agg.TopBy(2, func(o order) int64 { return o.Cents }),
			func(mean float64, top []order) string { return fmt.Sprintf("%.6g %v", mean, top) })).
		Map(func(p millrace.Pane[place, string]) string {
			return fmt.Sprintf("window %v %d %s", p.Key, p.Start.Unix(), p.Value)
		})

	sessions := byCustomer.Window(window.Session(6*time.Second)).Aggregate("session", agg.ApproxDistinct(func(o order) int64 { return o.Cents })).
		Map(func(p millrace.Pane[string, int64]) string {
			return fmt.Sprintf("session %s %d-%d %d", p.Key, p.Start.Unix(), p.End.Unix(), p.Value)
		})

	pairs := orders.Filter(func(o order) bool { return o.N%2 == 0 }).KeyBy(customer).
		IntervalJoin(orders.Filter(func(o order) bool { return o.N%2 == 1 }).KeyBy(customer), 0, 30*time.Second).
		Full("pairs", func(l, r order, hasLeft, hasRight bool) string {
			return fmt.Sprintf("pair %v %t %v %t", l, hasLeft, r, hasRight)
		})

	firsts := orders.Dedup("firsts", func(o order) int { return o.N % 40 }, 45*time.Second).Content(func(o order) string { return o.Customer }).
		Map(func(o order) string { return fmt.Sprintf("first %d", o.N) })

	sorted := byCustomer.SortByTime("sorted").Map(func(o order) string { return fmt.Sprintf("sorted %d", o.N) })

	counts := byCustomer.Window(window.Tumbling(30*time.Second)).Trigger(window.EveryCount(3)).Aggregate("counted", agg.Count[order]()).
		Map(func(p millrace.Pane[string, int64]) string {
			return fmt.Sprintf("counted %s %d %d %d", p.Key, p.Start.Unix(), p.Value, p.Revision)
		})

	lines.Union(windows, sessions, pairs, firsts, sorted, counts).To("out", out)
	return j
}
