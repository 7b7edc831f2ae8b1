package millrace_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// Ad is an advertisement that was shown, Click a click on one.
type Ad struct {
	ID    int
	Shown time.Time
}

type Click struct {
	Ad int
	At time.Time
}

var (
	ads    = []Ad{{1, at("12:00:00")}, {2, at("12:00:05")}, {3, at("12:00:10")}}
	clicks = []Click{{1, at("12:00:04")}, {3, at("12:00:12")}, {1, at("12:00:20")}, {9, at("12:00:30")}}
)

// shownAndClicked joins ads with the clicks on them within ten seconds.
func shownAndClicked(job *millrace.Job) millrace.IntervalJoined[int, Ad, Click] {
	shown := job.From("ads", memory.Of(ads...), millrace.EventTime(func(a Ad) time.Time { return a.Shown }))
	clicked := job.From("clicks", memory.Of(clicks...), millrace.EventTime(func(c Click) time.Time { return c.At }))
	return shown.KeyBy(func(a Ad) int { return a.ID }).
		IntervalJoin(clicked.KeyBy(func(c Click) int { return c.Ad }), 0, 10*time.Second)
}

// Ads are joined with the clicks that follow within ten seconds. The second click on ad 1 comes too long after.
func ExampleKeyed_IntervalJoin() {
	job := millrace.NewJob("clicked")
	out := memory.NewSink[string]()
	shownAndClicked(job).
		Inner("clicked", func(a Ad, c Click) string { return fmt.Sprintf("ad %d after %v", a.ID, c.At.Sub(a.Shown)) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Unordered output:
	// <nil>
	// ad 1 after 4s
	// ad 3 after 2s
}

// Ads that nobody clicks leave too.
func ExampleIntervalJoined_Left() {
	job := millrace.NewJob("shown")
	out := memory.NewSink[string]()
	shownAndClicked(job).
		Left("shown", func(a Ad, c Click, clicked bool) string { return fmt.Sprintf("ad %d clicked: %v", a.ID, clicked) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Unordered output:
	// <nil>
	// ad 1 clicked: true
	// ad 2 clicked: false
	// ad 3 clicked: true
}

// Clicks that follow no ad leave too.
func ExampleIntervalJoined_Right() {
	job := millrace.NewJob("followed")
	out := memory.NewSink[string]()
	shownAndClicked(job).
		Right("followed", func(a Ad, c Click, shown bool) string { return fmt.Sprintf("click on %d shown: %v", c.Ad, shown) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Unordered output:
	// <nil>
	// click on 1 shown: true
	// click on 3 shown: true
	// click on 1 shown: false
	// click on 9 shown: false
}

func ExampleIntervalJoined_Full() {
	job := millrace.NewJob("all")
	out := memory.NewSink[string]()
	shownAndClicked(job).
		Full("all", func(a Ad, c Click, shown, clicked bool) string {
			return fmt.Sprintf("ad %d shown: %v clicked: %v", max(a.ID, c.Ad), shown, clicked)
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Unordered output:
	// <nil>
	// ad 1 shown: true clicked: true
	// ad 3 shown: true clicked: true
	// ad 2 shown: true clicked: false
	// ad 1 shown: false clicked: true
	// ad 9 shown: false clicked: true
}

// A record that comes too late to be joined goes to a late output. Whether one that is late in its own stream is too late for the join
// depends on how far the other stream has come; but each is in one of the outputs.
func ExampleIntervalJoined_LateLeft() {
	job := millrace.NewJob("late")
	out, late := memory.NewSink[int](), memory.NewSink[Ad]()
	delayed := append(slices.Clone(ads), Ad{4, at("11:59:00")})
	shown := job.From("ads", memory.Of(delayed...), millrace.EventTime(func(a Ad) time.Time { return a.Shown }))
	clicked := job.From("clicks", memory.Of(clicks...), millrace.EventTime(func(c Click) time.Time { return c.At }))
	j := shown.KeyBy(func(a Ad) int { return a.ID }).
		IntervalJoin(clicked.KeyBy(func(c Click) int { return c.Ad }), 0, 10*time.Second)
	j.Left("shown", func(a Ad, c Click, clicked bool) int { return a.ID }).To("out", out)
	j.LateLeft().To("late", late)
	fmt.Println(run(job))
	fmt.Println(len(out.Records())+len(late.Records()), "of", len(delayed))
	// Output:
	// <nil>
	// 4 of 4
}

func ExampleIntervalJoined_LateRight() {
	job := millrace.NewJob("late")
	out, late := memory.NewSink[int](), memory.NewSink[Click]()
	j := shownAndClicked(job)
	j.Right("followed", func(a Ad, c Click, shown bool) int { return c.Ad }).To("out", out)
	j.LateRight().To("late", late)
	fmt.Println(run(job))
	fmt.Println(len(out.Records()), "in time,", len(late.Records()), "late")
	// Output:
	// <nil>
	// 4 in time, 0 late
}

// shownAndClickedIn joins ads with clicks in the same ten seconds.
func shownAndClickedIn(job *millrace.Job) millrace.WindowJoined[int, Ad, Click] {
	shown := job.From("ads", memory.Of(ads...), millrace.EventTime(func(a Ad) time.Time { return a.Shown }))
	clicked := job.From("clicks", memory.Of(clicks...), millrace.EventTime(func(c Click) time.Time { return c.At }))
	return shown.KeyBy(func(a Ad) int { return a.ID }).
		WindowJoin(clicked.KeyBy(func(c Click) int { return c.Ad }), window.Tumbling(10*time.Second))
}

func ExampleKeyed_WindowJoin() {
	job := millrace.NewJob("clicked")
	out := memory.NewSink[string]()
	shownAndClickedIn(job).
		Inner("clicked", func(a Ad, c Click) string { return fmt.Sprintf("ad %d after %v", a.ID, c.At.Sub(a.Shown)) }).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// ad 1 after 4s
	// ad 3 after 2s
}

// CoGroup sees all records of a window and key, of one side alone too.
func ExampleWindowJoined_CoGroup() {
	job := millrace.NewJob("both")
	out := memory.NewSink[string]()
	shownAndClickedIn(job).
		CoGroup("both", func(w millrace.JoinWindow[int], ads []Ad, clicks []Click, emit func(string)) error {
			emit(fmt.Sprintf("%s ad %d: shown %d, clicked %d", w.Start.Format("15:04:05"), w.Key, len(ads), len(clicks)))
			return nil
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 12:00:00 ad 1: shown 1, clicked 1
	// 12:00:00 ad 2: shown 1, clicked 0
	// 12:00:10 ad 3: shown 1, clicked 1
	// 12:00:20 ad 1: shown 0, clicked 1
	// 12:00:30 ad 9: shown 0, clicked 1
}

// Each click is in a group or late.
func ExampleWindowJoined_LateRight() {
	job := millrace.NewJob("late")
	out, late := memory.NewSink[int](), memory.NewSink[Click]()
	j := shownAndClickedIn(job)
	j.CoGroup("both", func(_ millrace.JoinWindow[int], _ []Ad, clicks []Click, emit func(int)) error {
		emit(len(clicks))
		return nil
	}).To("out", out)
	j.LateRight().To("late", late)
	fmt.Println(run(job))
	fmt.Println(out.Records(), "in time,", len(late.Records()), "late")
	// Output:
	// <nil>
	// [1 0 1 1 1] in time, 0 late
}

func ExampleWindowJoined_LateLeft() {
	job := millrace.NewJob("late")
	out, late := memory.NewSink[string](), memory.NewSink[Ad]()
	j := shownAndClickedIn(job)
	j.Inner("clicked", func(a Ad, _ Click) string { return fmt.Sprint("ad ", a.ID) }).To("out", out)
	j.LateLeft().To("late", late)
	fmt.Println(run(job))
	fmt.Println(out.Records(), late.Records())
	// Output:
	// <nil>
	// [ad 1 ad 3] []
}

// Rate is the price of a currency in cents, from a time on.
type Rate struct {
	Currency string
	From     time.Time
	Cents    int
}

// Order is an amount of a currency.
type Order struct {
	Currency string
	At       time.Time
	Amount   int
}

// An order is worth what its currency cost at the time, whatever it costs now.
func ExampleKeyed_TemporalJoin() {
	job := millrace.NewJob("worth")
	out := memory.NewSink[string]()
	rates := job.From("rates", memory.Of(Rate{"EUR", at("09:00:00"), 110}, Rate{"EUR", at("10:00:00"), 120}),
		millrace.EventTime(func(r Rate) time.Time { return r.From }))
	orders := job.From("orders", memory.Of(
		Order{"EUR", at("09:30:00"), 2}, Order{"EUR", at("10:00:00"), 3}, Order{"GBP", at("10:30:00"), 1},
	), millrace.EventTime(func(o Order) time.Time { return o.At }))
	orders.KeyBy(func(o Order) string { return o.Currency }).
		TemporalJoin(rates.KeyBy(func(r Rate) string { return r.Currency })).
		Lookup("worth", func(o Order, r Rate, ok bool) string {
			if !ok {
				return fmt.Sprintf("%d %s: no rate", o.Amount, o.Currency)
			}
			return fmt.Sprintf("%d %s: %d cents", o.Amount, o.Currency, o.Amount*r.Cents)
		}).
		To("out", out)
	fmt.Println(run(job))
	show(out)
	// Output:
	// <nil>
	// 2 EUR: 220 cents
	// 3 EUR: 360 cents
	// 1 GBP: no rate
}

// An order that comes late in its own stream is joined or late, depending on how far the rates have come.
func ExampleTemporalJoined_LateLeft() {
	job := millrace.NewJob("late")
	out, late, lateRates := memory.NewSink[int](), memory.NewSink[Order](), memory.NewSink[Rate]()
	rates := job.From("rates", memory.Of(Rate{"EUR", at("09:00:00"), 110}),
		millrace.EventTime(func(r Rate) time.Time { return r.From }))
	orders := job.From("orders", memory.Of(Order{"EUR", at("09:30:00"), 2}, Order{"EUR", at("09:10:00"), 3}),
		millrace.EventTime(func(o Order) time.Time { return o.At }))
	j := orders.KeyBy(func(o Order) string { return o.Currency }).
		TemporalJoin(rates.KeyBy(func(r Rate) string { return r.Currency }))
	j.Lookup("worth", func(o Order, r Rate, ok bool) int { return o.Amount * r.Cents }).To("out", out)
	j.LateLeft().To("late", late)
	j.LateTable().To("late-rates", lateRates)
	fmt.Println(run(job))
	fmt.Println(len(out.Records())+len(late.Records()), "orders,", len(lateRates.Records()), "late rates")
	// Output:
	// <nil>
	// 2 orders, 0 late rates
}
