package operator

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
)

// refused leaves out a record that the reader could not read.
func (s *sourceOp[T]) refused(sp *split[T], re *connect.RecordError) error {
	pos := sp.reader.Position()
	if sp.refused && bytes.Equal(pos, sp.refusedAt) {
		return fmt.Errorf("%w: and its reader does not go on behind the record", re)
	}
	sp.refused, sp.refusedAt = true, pos
	s.last, s.lastRead = sp, 0
	sp.records++
	s.c.Counters.In.Add(1)
	s.countBytes(sp)
	o := s.originAt(sp, sp.records-1, re.Where)
	if err := s.fail.failed(&failure{err: re, attempts: 1, origin: &o, at: s.letterTime(), raw: slices.Clone(re.Raw)}); err != nil {
		return err
	}
	return s.tell(s.wm)
}

// letterTime is the event time that dead letters have on their way: the first that is not late.
func (s *sourceOp[T]) letterTime() int64 {
	if s.wm == element.NoTime || s.wm == element.EndTime {
		return 0
	}
	return s.wm + 1
}

func (s *sourceOp[T]) originAt(sp *split[T], record int64, place string) element.Origin {
	if sp.name == nil {
		sp.name = &element.SplitName{Source: s.c.ID, Split: sp.ID}
	}
	return element.Origin{Split: sp.name, Record: record, Place: place}
}

// stampGuarded is stamp with an error policy: records that can have no event time are left out.
func (s *sourceOp[T]) stampGuarded(sp *split[T], b *element.Of[T]) error {
	var left []int32 // the places of those that are left, once one is not
	for {
		bad, panicked, cause := s.tryStamp(b)
		if cause == nil {
			break
		}
		if panicked {
			bad = s.firstBad(b)
		}
		if left == nil {
			for i := range b.Records {
				left = append(left, int32(i))
			}
		}
		at := int(left[bad])
		o := s.originAt(sp, sp.records+int64(at), sp.reader.Where(at))
		if err := s.fail.failed(&failure{err: cause, attempts: 1, origin: &o, at: s.letterTime(), record: &b.Records[bad]}); err != nil {
			return recordAt(sp.reader, at, err)
		}
		b.Records, left = slices.Delete(b.Records, bad, bad+1), slices.Delete(left, bad, bad+1)
		if len(b.Records) == 0 {
			b.Times, s.places = b.Times[:0], s.places[:0]
			return nil
		}
	}
	switch {
	case left == nil:
	case len(s.places) == 0 && len(b.Records) > 0:
		s.places = append(s.places, left...)
	default: // more were left out since
		for i, at := range s.places {
			s.places[i] = left[at]
		}
	}
	return nil
}

// tryStamp is stamp where the function for event times may panic: then the record is not known.
func (s *sourceOp[T]) tryStamp(b *element.Of[T]) (bad int, panicked bool, cause error) {
	if p := try(func() { bad, cause = s.stamp(b) }); p != nil {
		return 0, true, p
	}
	return bad, false, cause
}

// firstBad returns the first record for which the function for event times panics.
func (s *sourceOp[T]) firstBad(b *element.Of[T]) int {
	var at [1]int64
	for i := range b.Records {
		if !whole(func() { _, _ = s.time.Extract(b.Records[i:i+1], at[:]) }) {
			return i
		}
	}
	return len(b.Records) - 1
}

// tell lets those behind the other outputs know the watermark.
func (s *sourceOp[T]) tell(wm int64) error {
	if err := s.fail.follow(wm); err != nil {
		return err
	}
	return s.stamper.tell(wm)
}

// tellIdle lets them know that nothing holds it back.
func (s *sourceOp[T]) tellIdle() error {
	if err := s.fail.idle(); err != nil {
		return err
	}
	return s.stamper.tellIdle()
}
