package progress

import (
	"fmt"
	"math"
	"time"
)

// Idleness decides when a split is idle: its reader is at the end of the log, nothing is in flight, and it has been quiet for After.
//
// The time counts only while the quiet is the split's own. While records wait to be read, are in flight, or cannot be
// handed on, the clock stands still: a split is never idle because we are slow.
//
//	      quiet for After, at the end, nothing in flight, no backpressure
//	busy -----------------------------------------------------------------> idle
//	     <-----------------------------------------------------------------
//	      a record; or not at the end; or something in flight
type Idleness struct {
	// After is how long a split must be quiet. 0 or less: it is never idle.
	After time.Duration

	quiet time.Duration // counted so far
	last  int64         // time of the last Observe
	fair  bool          // the conditions held at the last Observe
	idle  bool
}

// Look is what there is to see of a split.
type Look struct {
	// Now is the processing time in ns.
	Now int64
	// AtEnd: the reader has read all that there is.
	AtEnd bool
	// InFlight: records were read or requested and have not reached the watermark yet.
	InFlight bool
	// Backpressured: the task waits for room downstream.
	Backpressured bool
	// GotRecords: records have come since the last look.
	GotRecords bool
}

// Observe takes a look and returns whether the split is idle. The time between two looks counts when the clock was allowed to run at
// both, so it is never counted too long; look at least a few times within After.
func (d *Idleness) Observe(l Look) (idle bool) {
	fair := l.AtEnd && !l.InFlight && !l.Backpressured
	switch {
	case l.GotRecords:
		d.quiet, d.idle = 0, false
	case fair && d.fair && l.Now > d.last:
		d.quiet = addSat(d.quiet, l.Now-d.last)
	}
	d.last, d.fair = l.Now, fair
	switch {
	case !l.AtEnd || l.InFlight:
		d.idle = false
	case fair && d.After > 0 && d.quiet >= d.After:
		d.idle = true
	}
	return d.idle
}

// addSat returns a + b, or the longest duration when the sum, or b as a difference of two times, does not fit.
func addSat(a time.Duration, b int64) time.Duration {
	if b < 0 || int64(a) > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + time.Duration(b)
}

// Idle returns the last decision.
func (d *Idleness) Idle() bool { return d.idle }

// Restore sets the decision that a checkpoint holds. A busy split begins to be quiet anew; an idle one stays so until it has records.
func (d *Idleness) Restore(idle bool) {
	*d = Idleness{After: d.After, idle: idle}
	if idle {
		d.quiet = max(d.After, 0)
	}
}

// Check returns an error when After is negative.
func (d *Idleness) Check() error {
	if d.After < 0 {
		return fmt.Errorf("progress: idle after %v: it must be greater than 0, or 0 for never", d.After)
	}
	return nil
}
