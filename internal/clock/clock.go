// Package clock is the only door to the time of day.
//
// Code that needs the time takes a Clock, so that a test or a simulator can move it. Pure packages take times as
// arguments and do not import this package.
package clock

import "time"

// Clock tells the current time.
type Clock interface {
	// Now returns the current time. Differences of two results of one Clock never go back, except where a fake
	// clock is made to jump on purpose.
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now returns time.Now.
func (System) Now() time.Time { return time.Now() }
