package console

import "time"

// rateSpan is the time over which the current rate is taken: short enough to follow, long enough not to flicker.
const rateSpan = 5 * time.Second

// rateStep is the least time between two samples; with rateSpan it bounds their number.
const rateStep = 200 * time.Millisecond

type sample struct {
	at      time.Time
	records int64
}

// rate is the number of records per second over the last rateSpan. The zero value is ready.
type rate struct {
	samples []sample
	last    sample
}

// observe notes a count.
func (r *rate) observe(at time.Time, records int64) {
	if n := len(r.samples); n > 0 && (records < r.last.records || at.Before(r.last.at)) {
		// The job has gone back to a checkpoint, or the clock has jumped: what was measured before says nothing.
		r.samples = r.samples[:0]
	}
	r.last = sample{at, records}
	if n := len(r.samples); n > 0 && at.Sub(r.samples[n-1].at) < rateStep {
		return
	}
	old := 0
	for old < len(r.samples) && at.Sub(r.samples[old].at) > rateSpan {
		old++
	}
	// One sample older than the span is kept when nothing else is left to compare with.
	if old > 0 && old == len(r.samples) {
		old--
	}
	r.samples = append(r.samples[:0], r.samples[old:]...)
	r.samples = append(r.samples, r.last)
}

// perSecond returns the current rate.
func (r *rate) perSecond() float64 {
	if len(r.samples) == 0 {
		return 0
	}
	first := r.samples[0]
	return perSecond(r.last.records-first.records, r.last.at.Sub(first.at))
}

// perSecond divides, and is 0 when no time has passed.
func perSecond(records int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(records) / d.Seconds()
}
