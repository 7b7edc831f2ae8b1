package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// world is a seeded stream of payments, each a function of its place in it, and what is wrong in it.
//
// In each of rounds rounds every card pays once: every card about every half hour. Payments come up to disorder behind their
// place, some are delivered twice, some cards move to a city nearby. That is the life of honest cards, of which none may be
// alerted. The cases stand in the place of other payments.
type world struct {
	seed  uint64
	total int64 // payments, repeated ones included
	cards int64
	pace  time.Duration // event time from one place to the next
	// special are the payments of cases, by place.
	special map[int64]Payment
	cases   []fraud
}

// fraud is a case that was planted: the payments of which each must be alerted.
type fraud struct {
	rule     Rule
	card     uint64
	payments []uint64
}

const (
	rounds     = 12
	roundTime  = 30 * time.Minute
	disorder   = 2 * time.Minute // how far a payment may come behind its time
	redelivery = time.Minute     // how much later it may come again
	burst      = 8               // payments of a velocity case
	burstEvery = 5 * time.Second
	// patience is more than what disorder, redelivery and bursts make together.
	patience = 5 * time.Minute
	// movesIn is the round from which on some cards are used in a city nearby.
	movesIn = 6
)

var worldBegins = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// newWorld returns a world of so many payments, at least a few thousand.
func newWorld(seed uint64, total int64) *world {
	w := &world{seed: seed, total: total, cards: total / rounds, special: map[int64]Payment{}}
	w.pace = roundTime / time.Duration(w.cards)
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // fraud that can be repeated
	used := map[uint64]bool{}
	for tries := int64(0); len(w.cases) < int(w.cards/100) && tries < w.cards; tries++ {
		rule := []Rule{Velocity, Travel, Amount}[len(w.cases)%3]
		first := w.cards
		if rule == Amount {
			first = 8 * w.cards // its card has a history by then
		}
		at := first + rng.Int64N(w.total-w.cards-first)
		gap := 1 + rng.Int64N(w.cards/3) // up to ten minutes
		if card := w.cardAt(at); !used[card] && w.plant(rule, at, gap) {
			used[card] = true
		}
	}
	return w
}

// plant puts a case of the card that pays at a place there, unless another one is in the way.
func (w *world) plant(rule Rule, at, gap int64) bool {
	p := w.normal(at)
	places := []int64{at}
	switch rule {
	case Velocity:
		for i := range int64(burst - 1) {
			places = append(places, at+1+i)
		}
	case Travel:
		places = append(places, at+gap)
	}
	for _, i := range places {
		if _, taken := w.special[i]; taken {
			return false
		}
	}
	c := fraud{rule: rule, card: p.Card}
	switch rule {
	case Velocity:
		begin := p.Time
		for i, place := range places {
			p.ID = uint64(place + 1)
			p.Time = begin.Add(time.Duration(i*3%burst) * burstEvery) // in disorder
			w.special[place] = p
			if i*3%burst >= velocityMax {
				c.payments = append(c.payments, p.ID)
			}
		}
	case Travel:
		there := w.normal(places[1])
		there.Card, there.Cents = p.Card, p.Cents
		far := slices.IndexFunc(cities, func(c city) bool { return kilometres(p.Lat, p.Lon, c.lat, c.lon) > 5000 })
		there.City, there.Lat, there.Lon = cities[far].name, cities[far].lat, cities[far].lon
		w.special[places[0]], w.special[places[1]] = p, there
		c.payments = []uint64{there.ID}
		if there.Time.Before(p.Time) { // which of the two comes second in event time depends on disorder
			c.payments = []uint64{p.ID}
		}
	case Amount:
		p.Cents = 25 * w.usual(p.Card)
		w.special[at] = p
		c.payments = []uint64{p.ID}
	}
	w.cases = append(w.cases, c)
	return true
}

// at returns the payment that is delivered at a place.
func (w *world) at(place int64) Payment {
	if p, ok := w.special[place]; ok {
		return p
	}
	if first := w.redelivers(place); first >= 0 {
		return w.first(first)
	}
	return w.normal(place)
}

// first is at for places that redeliver nothing.
func (w *world) first(place int64) Payment {
	if p, ok := w.special[place]; ok {
		return p
	}
	return w.normal(place)
}

// redelivers returns the place of the payment that is delivered again at a place, or -1: one in fifty is.
func (w *world) redelivers(place int64) int64 {
	back := 1 + int64(w.random(place, 2)%uint64(redelivery/w.pace+1))
	if !w.again(place) || place < back || w.again(place-back) {
		return -1
	}
	return place - back
}

// again says that a place is one of redeliveries.
func (w *world) again(place int64) bool {
	_, special := w.special[place]
	return !special && w.random(place, 3)%50 == 0
}

// normal returns the payment of an honest card.
func (w *world) normal(place int64) Payment {
	card := w.cardAt(place)
	late := time.Duration(w.random(place, 4) % uint64(disorder))
	c := cities[w.cityOf(card, place/w.cards)]
	return Payment{
		ID: uint64(place + 1), Card: card, Merchant: merchants[w.random(place, 5)%uint64(len(merchants))],
		City: c.name, Lat: c.lat, Lon: c.lon,
		Cents: w.usual(card) * (60 + int64(w.random(place, 6)%81)) / 100,
		Time:  worldBegins.Add(time.Duration(place)*w.pace - late),
	}
}

func (w *world) cardAt(place int64) uint64 {
	return 4_000_000_000 + uint64(place%w.cards)
}

// usual is what a card pays in the middle, in cents; what it pays is within 40 % of that.
func (w *world) usual(card uint64) int64 { return 500 + int64(w.random(int64(card), 7)%8000) }

// cityOf returns where a card is used in a round. Some move to a city that a train reaches between two payments.
func (w *world) cityOf(card uint64, round int64) int {
	home := int(w.random(int64(card), 8) % uint64(len(cities)))
	if round < movesIn || w.random(int64(card), 9)%20 != 0 {
		return home
	}
	for i, c := range cities {
		if d := kilometres(cities[home].lat, cities[home].lon, c.lat, c.lon); d > 0 && d < 400 {
			return i
		}
	}
	return home
}

// random returns numbers that depend on the seed, a number and what they are for.
func (w *world) random(n int64, purpose uint64) uint64 {
	x := uint64(n)*0x9e3779b97f4a7c15 ^ purpose*0xd6e8feb86659fd93 ^ w.seed
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
