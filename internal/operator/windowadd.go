package operator

import (
	"slices"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/window"
)

// look is how many records are looked up together.
const look = 32

// lookups are the keys, hashes and slices of the next records. They are kept here, not in local variables, because the addresses of keys go
// to functions that the compiler cannot see through: each would be allocated.
type lookups[K comparable, A any] struct {
	keys   [look]K
	hashes [look]uint64
	slices [look]*slice[K, A] // nil when the record is too late
	sum    uint64             // of what was touched, so that the compiler does not leave it out
}

// add puts the records of a batch into their slices and moves the clock where the batch says.
//
// Where the state is larger than the caches, most of the time is waiting for the memory. Looking up some records ahead makes the
// processor wait for all of them at once.
func (w *windowOp[K, T, A, R]) add(in *element.Of[T]) error {
	from, step := 0, 0
	for {
		for ; step < len(in.Steps) && int(in.Steps[step].At) <= from; step++ {
			if err := w.advance(in.Steps[step].Time); err != nil {
				return err
			}
		}
		if from == len(in.Records) {
			w.tell()
			return nil
		}
		var n int
		n, step = w.lookUp(in, from, step)
		if err := w.update(in, from, n); err != nil {
			return err
		}
		from += n
	}
}

// lookUp fills w.next for the next records, at least one, and returns their number and the first step that has not been made.
//
// In sorted input every record moves the clock. Steps that fire and drop nothing are made on the way: among them, only whether a
// slice may still be opened depends on the clock, and find is asked with the clock that the record sees. What is emitted must
// follow exactly the watermark before its record: so a late record is the last of its run, and where any record may emit, as with
// allowed lateness, every step ends the run.
func (w *windowOp[K, T, A, R]) lookUp(in *element.Of[T], from, step int) (n, nextStep int) {
	next, cur, key, canon := &w.next, w.current, w.Key, w.KeyCodec.Canon
	size := min(look, len(in.Records)-from)
	records, times := in.Records[from:from+size], in.Times[from:from+size]
	for n < size {
		if step < len(in.Steps) && int(in.Steps[step].At) <= from+n {
			t := in.Steps[step].Time
			if t >= w.wake || w.exact {
				break
			}
			w.clock = max(w.clock, t)
			step++
			continue
		}
		if t := times[n]; cur == nil || uint64(t-cur.start) >= uint64(w.slice) {
			cur = w.other
			if cur == nil || uint64(t-cur.start) >= uint64(w.slice) {
				cur = w.find(t)
			}
			if cur != nil {
				w.current, w.other = cur, w.current
			}
		}
		next.slices[n] = cur
		next.keys[n] = key(&records[n])
		if canon != nil {
			canon(&next.keys[n])
		}
		n++
		if cur == nil {
			break
		}
	}
	if len(in.Hashes) > 0 {
		copy(next.hashes[:n], in.Hashes[from:from+n])
	} else {
		hash := w.KeyCodec.Hash
		for i := range n {
			next.hashes[i] = hash(&next.keys[i])
		}
	}
	if cur != nil && cur.pane.Far() {
		sum := uint64(0)
		for i := range n {
			sum += next.slices[i].pane.Touch(next.hashes[i])
		}
		next.sum = sum
	}
	return n, step
}

// update adds the n records that were looked up.
func (w *windowOp[K, T, A, R]) update(in *element.Of[T], from, n int) error {
	next, add := &w.next, w.Agg.Add
	for i := range n {
		r, s, k, h := &in.Records[from+i], next.slices[i], &next.keys[i], next.hashes[i]
		if s == nil {
			w.tell()
			if err := w.tooLate(in, from+i, k); err != nil {
				return err
			}
			continue
		}
		if w.Agg.Check != nil {
			if err := w.Agg.Check(r); err != nil {
				return recordError(err, in.Times[from+i])
			}
		}
		if w.clock >= s.fired {
			if err := w.addAfterFiring(s, k, h, r, in.Times[from+i]); err != nil {
				return err
			}
			continue
		}
		acc, fresh := s.pane.Upsert(k, h)
		if fresh && w.Agg.Init != nil {
			w.Agg.Init(acc)
		}
		add(acc, r)
	}
	return nil
}

// find returns the open slice of time t, made if need be, or nil when every window of t is past.
func (w *windowOp[K, T, A, R]) find(t int64) *slice[K, A] {
	start := w.Panes.Pane(t).Start
	i, ok := slices.BinarySearchFunc(w.slices, start, func(s *slice[K, A], at int64) int {
		switch {
		case s.start < at:
			return -1
		case s.start > at:
			return 1
		}
		return 0
	})
	if ok {
		return w.slices[i]
	}
	s := w.newSlice(start, nil)
	if s.expired <= w.clock {
		return nil
	}
	s.pane = w.space.Ensure(start)
	w.slices = slices.Insert(w.slices, i, s)
	w.schedule()
	return s
}

// tooLate counts a record that no window takes and gives it to the late output.
func (w *windowOp[K, T, A, R]) tooLate(in *element.Of[T], i int, k *K) error {
	w.c.Counters.Late.Add(1)
	missed := w.Panes.AppendWindows(w.late.spans[:0], in.Times[i])
	w.late.spans = missed
	w.c.Counters.LateWindows.Add(int64(len(missed)))
	return w.late.all(k, &in.Records[i], in.Times[i], missed)
}

// addAfterFiring adds a record to a slice of which some window has fired. Windows that still take records emit a new
// pane; the others miss the record, which is counted.
func (w *windowOp[K, T, A, R]) addAfterFiring(s *slice[K, A], k *K, h uint64, r *T, t int64) error {
	last := w.lastWindow(s.start)
	var again []int64
	missed := w.late.spans[:0]
	for ws := w.firstWindow(s.start); ws <= last; ws += w.slide {
		end := satAdd(ws, w.size-1)
		if end > w.clock {
			break
		}
		if satAdd(end, w.Lateness) <= w.clock {
			missed = append(missed, window.Span{Start: ws, End: satAdd(ws, w.size)})
			continue
		}
		again = append(again, ws)
	}
	w.late.spans = missed
	if len(missed) > 0 {
		w.c.Counters.LateWindows.Add(int64(len(missed)))
		if w.late.named() {
			w.tell()
		}
		if err := w.late.some(k, r, t, missed); err != nil {
			return err
		}
	}
	seen := make([]bool, len(again))
	for i, ws := range again {
		seen[i] = w.holds(ws, k, h)
	}
	acc, fresh := s.pane.Upsert(k, h)
	if fresh && w.Agg.Init != nil {
		w.Agg.Init(acc)
	}
	w.Agg.Add(acc, r)
	for i, ws := range again {
		if err := w.emitLate(ws, k, h, seen[i]); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether the window has a record of the key.
func (w *windowOp[K, T, A, R]) holds(ws int64, k *K, h uint64) bool {
	for _, s := range w.within(ws) {
		if s.pane.Get(k, h) != nil {
			return true
		}
	}
	return false
}

// within returns the open slices of a window.
func (w *windowOp[K, T, A, R]) within(ws int64) []*slice[K, A] {
	end := satAdd(ws, w.size)
	lo, hi := len(w.slices), len(w.slices)
	for i, s := range w.slices {
		if s.start >= ws && i < lo {
			lo = i
		}
		if s.start >= end {
			hi = i
			break
		}
	}
	return w.slices[min(lo, hi):hi]
}

// emitLate emits the pane of one key again.
func (w *windowOp[K, T, A, R]) emitLate(ws int64, k *K, h uint64, seen bool) error {
	rev, fresh := w.revs.Ensure(ws).Upsert(k, h)
	switch {
	case !fresh:
		*rev++
	case seen:
		*rev = 1 // revision 0 was emitted at the watermark
	default:
		*rev = 0
	}
	revision := *rev
	parts := w.within(ws)
	var acc A
	if len(parts) == 1 {
		return w.put(ws, k, parts[0].pane.Get(k, h), revision, window.Late)
	}
	if w.Agg.Init != nil {
		w.Agg.Init(&acc)
	}
	for _, s := range parts {
		if a := s.pane.Get(k, h); a != nil {
			w.Agg.Merge(&acc, a)
		}
	}
	return w.put(ws, k, &acc, revision, window.Late)
}

func (w *windowOp[K, T, A, R]) put(ws int64, k *K, acc *A, revision int32, kind window.Firing) error {
	if w.Agg.Verify != nil {
		if err := w.Agg.Verify(acc); err != nil {
			return resultError(err, k, ws, satAdd(ws, w.size))
		}
	}
	p := window.Pane[K, R]{
		Key: *k, Start: timeOf(ws), End: timeOf(satAdd(ws, w.size)),
		Value: w.Agg.Result(acc), Revision: revision, Kind: kind,
	}
	return w.emit.Emit(&p, satAdd(ws, w.size-1))
}
