package millracetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/progress"
)

// Scripted is a source that does what a script says, in the order of the script: it brings records, moves the watermark,
// is idle, ends. It implements connect.Source and is read by one subtask at any parallelism, so what it brings comes in the
// same order in every run. Its methods return longer copies; a script may be the beginning of several others.
//
// A script that has a Watermark, an Idle or an EndSplit dictates the watermark: that is exactly what these say, and OutOfOrderness
// and IdleAfter of the job do not count. In a script with none of them the job makes its own watermarks, as in production.
type Scripted[T any] struct {
	steps []step[T]
	split string
	open  bool
}

// Script returns an empty script: a source that ends at once.
//
//	millracetest.Script[Ride]().
//		Records(first, second).
//		Watermark(noon).
//		Records(late)
func Script[T any]() Scripted[T] { return Scripted[T]{} }

// step is a line of a script.
type step[T any] struct {
	kind  stepKind
	split string
	// record belongs to a stepRecord, time to a stepWatermark.
	record T
	time   time.Time
	// wait belongs to a stepWait.
	wait time.Duration
}

type stepKind uint8

const (
	stepRecord stepKind = iota + 1
	stepWatermark
	stepIdle
	stepEnd
	stepWait
)

func (s Scripted[T]) with(more ...step[T]) Scripted[T] {
	for i := range more {
		more[i].split = s.split
	}
	s.steps = append(slices.Clip(s.steps), more...)
	return s
}

// Records brings records, in this order. Their event times are those that the EventTime of the job gives them.
func (s Scripted[T]) Records(records ...T) Scripted[T] {
	more := make([]step[T], len(records))
	for i, r := range records {
		more[i] = step[T]{kind: stepRecord, record: r}
	}
	return s.with(more...)
}

// Watermark advances the watermark of the split to t: no more records with event time t or earlier are expected, and those that
// come are judged by it, to the nanosecond. It must not go back.
func (s Scripted[T]) Watermark(t time.Time) Scripted[T] {
	return s.with(step[T]{kind: stepWatermark, time: t})
}

// Idle says that the split has nothing to say for now, so that the watermark goes on without it, until its next record or Watermark.
func (s Scripted[T]) Idle() Scripted[T] { return s.with(step[T]{kind: stepIdle}) }

// Wait lets the script go on when d of processing time has passed since it came to this step: so timeouts, idleness and whatever else
// goes by the clock can run out between two records. Meanwhile the source is one that has nothing to say for now. It looks at the clock now
// and then, so the next step may come some milliseconds later than d. With the option Virtual no time is spent on it. A start after a crash waits
// again.
func (s Scripted[T]) Wait(d time.Duration) Scripted[T] {
	return s.with(step[T]{kind: stepWait, wait: d})
}

// Split makes the following steps those of another split, which exists from the beginning. Splits do not run beside each other, the
// steps come in the order of the script; but each has a watermark, and the source has the smallest of those that are not idle
// and have not ended. The steps before the first Split are of the split "".
func (s Scripted[T]) Split(name string) Scripted[T] {
	s.split = name
	return s
}

// EndSplit ends the split: it has no steps after this, and holds nothing back. At the end of the script all splits end, and with them the
// source: the watermark becomes the final one, all windows fire.
func (s Scripted[T]) EndSplit() Scripted[T] { return s.with(step[T]{kind: stepEnd}) }

// StayOpen lets the source not end after the last step, as one that is followed: windows stay open, and the job runs until it is stopped.
func (s Scripted[T]) StayOpen() Scripted[T] {
	s.open = true
	return s
}

// Check returns the mistakes of the script: watermarks that go back or are out of range, steps of a split that has ended, waits that are
// not for a time to come.
func (s Scripted[T]) Check() error {
	var errs []error
	last := map[string]time.Time{}
	ended := map[string]bool{}
	for i, st := range s.steps {
		if ended[st.split] {
			errs = append(errs, fmt.Errorf("step %d of the script: split %q has ended before", i, st.split))
			continue
		}
		switch st.kind {
		case stepWatermark:
			before, has := last[st.split]
			if has && st.time.Before(before) {
				errs = append(errs, fmt.Errorf("step %d of the script: the watermark goes back from %v to %v", i, before.UTC(), st.time.UTC()))
			}
			if y := st.time.UTC().Year(); y < 1678 || y > 2261 {
				errs = append(errs, fmt.Errorf("step %d of the script: the watermark %v is out of range: it must be from 1678 to 2261", i, st.time.UTC()))
			}
			last[st.split] = st.time
		case stepEnd:
			ended[st.split] = true
		case stepWait:
			if st.wait <= 0 {
				errs = append(errs, fmt.Errorf("step %d of the script: Wait(%v): it must be greater than 0", i, st.wait))
			}
		}
	}
	return errors.Join(errs...)
}

// Splits returns one split, so that one subtask reads the script in its order. Those of the script are inside.
func (s Scripted[T]) Splits(context.Context) ([]connect.Split, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("millracetest: %w", err)
	}
	return []connect.Split{{ID: "script"}}, nil
}

// Open returns a reader that goes on after position.
func (s Scripted[T]) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[T], error) {
	plan, dictates := s.plan()
	r := &scriptReader[T]{plan: plan, open: s.open, clock: env.From(ctx).Sched, expect: expected(ctx)}
	if position != nil {
		at, n := binary.Uvarint(position)
		if n != len(position) || at > uint64(len(plan)) {
			return nil, fmt.Errorf("millracetest: split %s of %d steps has no position %x: is it another script than before?", split.ID, len(plan), position)
		}
		r.next = int(at)
	}
	if dictates {
		return &dictatingReader[T]{r}, nil
	}
	return r, nil
}

// entry is what a reader finds at a position: a record, or a mark where the watermark of the source moves or it becomes idle.
type entry[T any] struct {
	step   int // the index in the script
	record T
	mark   bool
	// wait is how long the reader rests here, if it is not 0.
	wait time.Duration
	// wm and idle are what the source says behind the entry.
	wm   int64
	idle bool
}

// plan turns the script into entries, with the watermarks of its splits combined as those of other sources are, and reports whether the
// script dictates the watermark.
func (s Scripted[T]) plan() (entries []entry[T], dictates bool) {
	inputs := map[string]int{}
	clocks := progress.NewCombiner(0)
	for _, st := range s.steps {
		if _, ok := inputs[st.split]; !ok {
			inputs[st.split] = clocks.Add()
		}
		dictates = dictates || st.kind != stepRecord && st.kind != stepWait
	}
	var wm int64 = math.MinInt64
	idle := false
	mark := func(at int) {
		now, all := clocks.Output(), clocks.AllIdle()
		changed := dictates && now < math.MaxInt64 && (now != wm || all && !idle)
		idle = all
		if changed {
			wm = now
			entries = append(entries, entry[T]{step: at, mark: true, wm: wm, idle: idle})
		}
	}
	for i, st := range s.steps {
		in := inputs[st.split]
		switch st.kind {
		case stepRecord:
			clocks.SetIdle(in, false)
			mark(i)
			entries = append(entries, entry[T]{step: i, record: st.record, wm: wm, idle: idle})
		case stepWatermark:
			clocks.SetIdle(in, false)
			clocks.Advance(in, st.time.UnixNano())
		case stepIdle:
			clocks.SetIdle(in, true)
		case stepEnd:
			clocks.End(in)
		case stepWait:
			entries = append(entries, entry[T]{step: i, wait: st.wait, wm: wm, idle: idle})
		}
		mark(i)
	}
	return entries, dictates
}

// scriptReader reads a script that does not dictate the watermark.
type scriptReader[T any] struct {
	plan []entry[T]
	open bool
	next int
	// until is when the wait at next is over; zero when it has not begun.
	until time.Time
	clock clock.Clock
	// expect tells who watches the run that nothing will move before a time.
	expect func(time.Time)
	// last are the entries of the records of the last Read.
	last []entry[T]
	wm   int64
	idle bool
}

// resting reports whether the reader waits for the clock.
func (r *scriptReader[T]) resting() bool {
	for r.next < len(r.plan) && r.plan[r.next].wait > 0 {
		now := r.clock.Now()
		if r.until.IsZero() {
			r.until = now.Add(r.plan[r.next].wait)
			r.expect(r.until)
		}
		if now.Before(r.until) {
			return true
		}
		r.until = time.Time{}
		r.next++
	}
	return false
}

func (r *scriptReader[T]) Read(_ context.Context, records []T) (int, error) {
	r.last = nil
	if r.resting() {
		return 0, nil
	}
	if r.next == len(r.plan) {
		if r.open {
			return 0, nil
		}
		return 0, io.EOF
	}
	n, first := 0, r.next
	for ; r.next < len(r.plan) && n < len(records) && !r.plan[r.next].mark && r.plan[r.next].wait == 0; r.next++ {
		records[n] = r.plan[r.next].record
		n++
	}
	r.last = r.plan[first:r.next]
	return n, nil
}

func (r *scriptReader[T]) Position() []byte { return binary.AppendUvarint(nil, uint64(r.next)) }

func (r *scriptReader[T]) Where(i int) string {
	if i < 0 || i >= len(r.last) {
		return "the script"
	}
	return fmt.Sprintf("step %d of the script", r.last[i].step)
}

func (r *scriptReader[T]) BytesRead() int64 { return 0 }

func (r *scriptReader[T]) Close() error { return nil }

// dictatingReader is the reader of a script with watermarks.
type dictatingReader[T any] struct{ *scriptReader[T] }

// Read brings the records up to the next mark, and the mark with them when all fit.
func (r *dictatingReader[T]) Read(ctx context.Context, records []T) (int, error) {
	if r.resting() {
		r.wm, r.idle = r.before()
		r.last = nil
		return 0, nil
	}
	r.wm, r.idle = r.before()
	n, err := 0, error(nil)
	if r.next == len(r.plan) || !r.plan[r.next].mark {
		n, err = r.scriptReader.Read(ctx, records)
	} else {
		r.last = nil
	}
	if err == nil && r.next < len(r.plan) && r.plan[r.next].mark {
		r.wm, r.idle = r.plan[r.next].wm, r.plan[r.next].idle
		r.next++
	}
	return n, err
}

// before returns what the script has said up to the position.
func (r *dictatingReader[T]) before() (wm int64, idle bool) {
	if r.next == 0 {
		return math.MinInt64, false
	}
	return r.plan[r.next-1].wm, r.plan[r.next-1].idle
}

func (r *dictatingReader[T]) Watermark() (t int64, idle bool) { return r.wm, r.idle }
