package operator

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
)

// AheadSide is the output of the records that are too far ahead of the clock, where they are left out.
const AheadSide = "ahead"

// TimeSpec says how records get their event time and a split its watermark.
type TimeSpec[T any] struct {
	// Extract fills times; it returns the index of the record that has no usable time, with the reason. Nil means that
	// the records have no event time, or that of the clock.
	Extract func(records []T, times []int64) (bad int, err error)
	// Clock makes the event time the processing time at which the source has read the record.
	Clock bool
	// Bound is how far behind the newest record another may come.
	Bound time.Duration
	// NewGenerator makes what gives a split its watermarks instead of Bound; nil for Bound.
	NewGenerator func() Generator[T]
	// IdleAfter is how long a split at its end must be quiet to be idle; 0 means never.
	IdleAfter time.Duration
	// Ahead guards against event times from the future; nil lets all pass.
	Ahead *AheadSpec
	// Align lets splits wait that are far ahead of others; nil lets none.
	Align *AlignSpec
}

// Timed reports whether records have an event time.
func (t *TimeSpec[T]) Timed() bool { return t.Extract != nil || t.Clock }

// LeavesOut reports whether records can leave by AheadSide.
func (t *TimeSpec[T]) LeavesOut() bool { return t.Ahead != nil && t.Ahead.Drop }

// AheadSpec says what becomes of records whose event time is ahead of the clock.
type AheadSpec struct {
	// Most is how far ahead of the processing time an event time may be.
	Most time.Duration
	// Drop gives those beyond to AheadSide and counts them, instead of failing.
	Drop bool
}

// AlignSpec says which splits wait for which.
type AlignSpec struct {
	// Within is how far a split may be ahead of the slowest active one.
	Within time.Duration
	// Group joins sources; empty for one by itself.
	Group string
}

// Generator makes the watermarks of one split from its records.
type Generator[T any] interface {
	// Observe sets, for each record, the watermark behind it in ns, or element.NoTime where there is none. One that does not
	// rise is ignored. It returns the index of the record with an unusable watermark, and the reason.
	Observe(records []T, times, marks []int64) (bad int, err error)
	// State returns what a checkpoint needs, Restore takes it.
	State() []byte
	Restore(state []byte) error
}

// stamper gives the records of a batch their event times and leaves out those too far ahead.
type stamper[T any] struct {
	time TimeSpec[T]
	c    *Context
	// ahead takes what is left out; nil when nothing is.
	ahead *Emitter[T]
	// places are the indexes that the records had before some were left out; empty when none was.
	places []int32
	marks  []int64
}

func (s *stamper[T]) open(c *Context, pool *element.Pool[T]) {
	s.c = c
	if s.time.LeavesOut() {
		s.ahead = NewEmitter(pool, c.Outputs(AheadSide), nil)
	}
}

// stamp fills the event times of a batch and leaves records out. The error belongs to the record that had the index bad.
func (s *stamper[T]) stamp(b *element.Of[T]) (bad int, err error) {
	n := len(b.Records)
	b.Times = slices.Grow(b.Times[:0], n)[:n]
	s.places = s.places[:0]
	if s.time.Extract == nil {
		clear(b.Times)
		return 0, nil
	}
	if bad, err := s.time.Extract(b.Records, b.Times); err != nil {
		return bad, err
	}
	if s.time.Ahead == nil {
		return 0, nil
	}
	return s.guard(b)
}

// guard keeps the records that are not too far ahead of the clock.
func (s *stamper[T]) guard(b *element.Of[T]) (bad int, err error) {
	now := s.c.Now()
	limit := addTime(now, s.time.Ahead.Most)
	if slices.Max(b.Times) <= limit {
		return 0, nil
	}
	kept := 0
	for i, t := range b.Times {
		if t > limit {
			if !s.time.Ahead.Drop {
				return i, fmt.Errorf("event time: %s is more than %v ahead of the clock, which says %s: is the unit of the field right",
					timeOf(t).Format(time.RFC3339Nano), s.time.Ahead.Most, timeOf(now).Format(time.RFC3339Nano))
			}
			s.c.Counters.Ahead.Add(1)
			if err := s.ahead.Emit(&b.Records[i], t); err != nil {
				return i, err
			}
			continue
		}
		b.Records[kept], b.Times[kept] = b.Records[i], t
		if len(b.Origins) > 0 {
			b.Origins[kept] = b.Origins[i]
		}
		s.places = append(s.places, int32(i))
		kept++
	}
	b.Records, b.Times = b.Records[:kept], b.Times[:kept]
	b.Origins = b.Origins[:min(kept, len(b.Origins))]
	return 0, s.ahead.Flush()
}

// generate asks the generator for the watermarks behind the records of a batch.
func (s *stamper[T]) generate(g Generator[T], b *element.Of[T]) (marks []int64, bad int, err error) {
	n := len(b.Records)
	s.marks = slices.Grow(s.marks[:0], n)[:n]
	bad, err = g.Observe(b.Records, b.Times, s.marks)
	if err != nil && len(s.places) > 0 {
		bad = int(s.places[bad])
	}
	return s.marks, bad, err
}

// tell lets those behind AheadSide know the watermark.
func (s *stamper[T]) tell(wm int64) error {
	if s.ahead == nil || wm == element.NoTime {
		return nil
	}
	s.ahead.Advance(wm)
	return s.ahead.Flush()
}

// tellIdle lets them know that nothing holds it back.
func (s *stamper[T]) tellIdle() error {
	if s.ahead == nil {
		return nil
	}
	return s.ahead.to.Idle()
}

// addTime returns t + d, or the largest time when that does not fit. D is not negative.
func addTime(t int64, d time.Duration) int64 {
	if t > math.MaxInt64-int64(d) {
		return math.MaxInt64
	}
	return t + int64(d)
}

// recordAt is the error of a record of a reader.
func recordAt[T any](r connect.Reader[T], i int, err error) error {
	return &connect.RecordError{Where: r.Where(i), Err: err}
}
