// Package progress decides how far event time has come: watermarks of splits, their combination, and idleness.
//
// A watermark t says that no more records with event time t or earlier are expected. Bounded makes the watermarks of one split from
// the event times it sees; a Combiner makes one watermark of those of several inputs; Idleness decides when an input
// has been quiet for so long that the others need not wait for it.
//
//	split -> Bounded --+
//	split -> Bounded --+-> Combiner -> task -> exchange --+-> Combiner -> task ...
//	split -> Bounded --+                 ... another task -+
//
// All of it is plain state: no clock, no goroutine, no I/O. What a checkpoint needs is read and set with State and Restore, so
// a record that was late before a crash is late after it.
package progress

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
)

// Bounded makes the watermarks of one split whose records are out of order by at most a bound: the largest event time
// seen - bound - 1 ns. Make it with NewBounded.
//
// No watermark is made while that would lie below the range of int64, and none reaches element.EndTime, so neither sentinel
// comes from records.
type Bounded struct {
	// top is the largest event time seen, and not below the smallest int64 + lag, so that the watermark is always top - lag.
	top int64
	// lag is the bound + 1.
	lag int64
}

// NewBounded returns the generator of a split that has seen nothing. The bound must not be negative.
func NewBounded(bound time.Duration) (Bounded, error) {
	if bound < 0 || bound == math.MaxInt64 {
		return Bounded{}, fmt.Errorf("progress: the bound of out-of-orderness is %v, it must be from 0 to %v", bound, time.Duration(math.MaxInt64-1))
	}
	lag := int64(bound) + 1
	return Bounded{top: element.NoTime + lag, lag: lag}, nil
}

// Observe takes the event time of a record and returns the watermark after it, and whether the record moved it. The watermark is
// element.NoTime before any is made.
func (b *Bounded) Observe(t int64) (wm int64, advanced bool) {
	if t <= b.top {
		return b.top - b.lag, false
	}
	b.top = t
	return t - b.lag, true
}

// Watermark returns the current watermark.
func (b *Bounded) Watermark() int64 { return b.top - b.lag }

// State returns what a checkpoint needs: the largest event time that made a watermark, or element.NoTime.
func (b *Bounded) State() int64 {
	if b.Watermark() == element.NoTime {
		return element.NoTime
	}
	return b.top
}

// Restore takes what State returned. The bound may be another now: with a larger one the watermark of the split stands lower than it
// did, and it is the combiner, restored too, that does not go back.
func (b *Bounded) Restore(state int64) { b.top = max(state, element.NoTime+b.lag) }
