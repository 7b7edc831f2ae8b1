package main

import (
	"math"
	"time"
)

// Payment is what a terminal reports.
type Payment struct {
	ID       uint64
	Card     uint64
	Merchant string
	City     string
	Lat, Lon float64 // of the terminal, in degrees
	Cents    int64
	Time     time.Time // when the card was used
	// Arrived is when the payment came to this job, in ns since 1970, by the clock of the machine. It is there to measure latency and
	// decides nothing.
	Arrived int64
}

// When is the event time.
func (p Payment) When() time.Time { return p.Time }

// Number identifies the payment: a terminal that got no answer sends it again.
func (p Payment) Number() uint64 { return p.ID }

// PaidWith is the card.
func (p Payment) PaidWith() uint64 { return p.Card }

// Rule is what an alert is about.
type Rule string

// The rules.
const (
	// Velocity: more than velocityMax payments of a card within velocityWithin.
	Velocity Rule = "velocity"
	// Travel: the card was in two places between which nobody travels that fast.
	Travel Rule = "travel"
	// Amount: far more than what is usually paid with this card.
	Amount Rule = "amount"
)

// Alert says that a payment is suspicious, by one rule. A payment has one alert for each rule at most.
type Alert struct {
	Rule    Rule      `json:"rule"`
	Card    uint64    `json:"card"`
	Payment uint64    `json:"payment"`
	Cents   int64     `json:"cents"`
	Time    time.Time `json:"time"`
	// Arrived is that of the payment that gave it away. It is not written: it differs from run to run.
	Arrived int64 `json:"-"`
}

// city is a place with terminals.
type city struct {
	name     string
	lat, lon float64
}

var cities = []city{
	{"Berlin", 52.5200, 13.4050}, {"Hamburg", 53.5511, 9.9937}, {"Paris", 48.8566, 2.3522}, {"Brussels", 50.8503, 4.3517},
	{"Amsterdam", 52.3676, 4.9041}, {"London", 51.5074, -0.1278}, {"Madrid", 40.4168, -3.7038}, {"Barcelona", 41.3874, 2.1686},
	{"Rome", 41.9028, 12.4964}, {"Milan", 45.4642, 9.1900}, {"Vienna", 48.2082, 16.3738}, {"Prague", 50.0755, 14.4378},
	{"Warsaw", 52.2297, 21.0122}, {"New York", 40.7128, -74.0060}, {"Toronto", 43.6532, -79.3832}, {"Chicago", 41.8781, -87.6298},
	{"Sao Paulo", -23.5505, -46.6333}, {"Lagos", 6.5244, 3.3792}, {"Nairobi", -1.2921, 36.8219}, {"Mumbai", 19.0760, 72.8777},
	{"Singapore", 1.3521, 103.8198}, {"Tokyo", 35.6762, 139.6503}, {"Sydney", -33.8688, 151.2093}, {"Auckland", -36.8509, 174.7645},
}

var merchants = []string{"supermarket", "bakery", "fuel", "pharmacy", "restaurant", "railway", "electronics", "books"}

// kilometres is the great-circle distance between two places.
func kilometres(lat1, lon1, lat2, lon2 float64) float64 {
	const radius, degree = 6371.0, math.Pi / 180
	dLat, dLon := (lat2-lat1)*degree, (lon2-lon1)*degree
	a := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1*degree)*math.Cos(lat2*degree)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * radius * math.Asin(math.Min(1, math.Sqrt(a)))
}
