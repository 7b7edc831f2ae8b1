package operator

import (
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/progress"
)

// heed takes the watermark that the reader of the split dictates: as a step behind the records of b, or by itself when there
// are none. It reports whether anything has changed.
func (s *sourceOp[T]) heed(sp *split[T], b *element.Of[T]) (changed bool, err error) {
	wm, idle := sp.dictates.Watermark()
	if wm == element.EndTime {
		return false, fmt.Errorf("split %s: its reader says that the watermark is at the end: it must return io.EOF instead", sp.ID)
	}
	before := s.wm
	if wm > sp.wm {
		changed, sp.wm = true, wm
		s.wm, _ = s.combiner.Advance(sp.index, wm)
	}
	if idle && s.combiner.Status(sp.index) != progress.Idle {
		changed = true
		s.wm, _ = s.combiner.SetIdle(sp.index, true)
	}
	s.c.Counters.Watermark.Store(s.wm)
	s.publish()
	if b != nil {
		if s.time.Extract != nil {
			s.seen(sp, slices.Max(b.Times))
		}
		if s.wm > before {
			b.Advance(b.Len(), s.wm)
		}
		return changed, nil
	}
	awake := s.saidIdle && !s.combiner.AllIdle() // those after the source must hear of it, also when the watermark stays
	if s.wm > before || awake && s.wm > element.NoTime {
		s.saidIdle = s.saidIdle && !awake
		if err := s.pass(); err != nil {
			return changed, err
		}
	}
	return changed, s.sayIdle()
}

// seen notes the largest event time of a batch of which the watermark is not made.
func (s *sourceOp[T]) seen(sp *split[T], t int64) {
	sp.bounded.Observe(t)
	s.newest(sp)
}

func (s *sourceOp[T]) newest(sp *split[T]) {
	c := s.c.Counters
	if newest := sp.bounded.State(); newest > c.Newest.Load() || c.Newest.Load() == 0 {
		c.Newest.Store(newest)
	}
}

// advance puts into the batch how it moves the watermark.
func (s *sourceOp[T]) advance(sp *split[T], b *element.Of[T]) error {
	switch {
	case s.time.Clock:
		before := s.wm
		s.tickClock()
		for i := range b.Times {
			b.Times[i] = s.clock
		}
		sp.wm = s.wm // so that the split that was read last comes last
		if s.wm > before {
			b.Advance(0, s.wm)
		}
		s.seen(sp, s.clock)
	case sp.dictates != nil:
		_, err := s.heed(sp, b)
		return err
	case s.time.Extract == nil:
		return nil
	case sp.gen != nil:
		return s.follow(sp, b)
	default:
		s.observe(sp, b)
	}
	s.c.Counters.Watermark.Store(s.wm)
	return nil
}

// tickClock reads the clock, which gives the watermark that stands a tick behind it.
func (s *sourceOp[T]) tickClock() {
	if !s.time.Clock {
		return
	}
	s.clock = max(s.clock, s.c.Now())
	s.wm = max(s.wm, s.clock-1)
}

// follow puts into the batch how the generator of the split moves the watermark behind each record.
func (s *sourceOp[T]) follow(sp *split[T], b *element.Of[T]) error {
	marks, bad, err := s.generate(sp.gen, b)
	if err != nil {
		return recordAt(sp.reader, bad, err)
	}
	for i, wm := range marks {
		if wm <= sp.wm {
			continue
		}
		sp.wm = wm
		if out, moved := s.combiner.Advance(sp.index, wm); moved {
			s.wm = out
			b.Advance(i+1, out)
		}
	}
	s.seen(sp, slices.Max(b.Times))
	s.c.Counters.Watermark.Store(s.wm)
	return nil
}

// observe puts into the batch how each record moves the watermark.
func (s *sourceOp[T]) observe(sp *split[T], b *element.Of[T]) {
	top := sp.bounded.State()
	for i, t := range b.Times {
		if t <= top { // nearly all records of a stream with disorder
			continue
		}
		wm, advanced := sp.bounded.Observe(t)
		if !advanced {
			continue
		}
		sp.wm, top = max(sp.wm, wm), t
		if out, moved := s.combiner.Advance(sp.index, wm); moved {
			s.wm = out
			b.Advance(i+1, out)
		}
	}
	s.newest(sp)
}

// Join takes part in an alignment.
func (s *sourceOp[T]) Join(all Alignments, id string, wake func()) {
	spec := s.time.Align
	if spec == nil {
		return
	}
	name := "source " + id
	if spec.Group != "" {
		name = "group " + spec.Group
	}
	if all[name] == nil {
		all[name] = &progress.Alignment{}
	}
	s.member = all[name].Join(wake)
}

// limit returns the largest watermark of a split that need not wait.
func (s *sourceOp[T]) limit() int64 {
	if s.member == nil {
		return element.EndTime
	}
	return addTime(s.member.Set(s.slowest()), s.time.Align.Within)
}

// publish tells the others of the alignment where the slowest split stands.
func (s *sourceOp[T]) publish() {
	if s.member != nil {
		s.member.Set(s.slowest())
	}
}

// slowest returns the smallest watermark of the splits that the others must wait for. A split that has no reader because too many are open
// is none of them: it has to wait itself until another has ended.
func (s *sourceOp[T]) slowest() int64 {
	i, ok := s.combiner.Slowest()
	if !ok {
		return element.EndTime
	}
	if s.readable(s.splits[i]) {
		return s.combiner.Watermark(i)
	}
	low := int64(element.EndTime)
	for _, sp := range s.splits {
		if s.combiner.Status(sp.index) == progress.Active && s.readable(sp) {
			low = min(low, s.combiner.Watermark(sp.index))
		}
	}
	return low
}

// waits asks to be woken when one of the splits that wait for slower ones may be read, if there are any. It returns true when that is
// so already.
func (s *sourceOp[T]) waits() bool {
	if s.member == nil {
		return false
	}
	first := int64(element.EndTime)
	for _, sp := range s.splits {
		if s.readable(sp) && !sp.asked {
			first = min(first, sp.wm)
		}
	}
	if first == element.EndTime {
		return false
	}
	return !s.member.Await(first - int64(s.time.Align.Within))
}
