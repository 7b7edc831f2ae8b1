package operator

import (
	"math"
	"math/bits"
	"slices"
	"sort"

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
	next, key, canon := &w.next, w.Key, w.KeyCodec.Canon
	var cur *slice[K, A]
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
		t := times[n]
		if cur = w.near.of(t); cur == nil || !cur.holds(t) {
			cur = w.find(t)
		}
		next.slices[n] = cur
		if !w.single {
			next.keys[n] = key(&records[n])
			if canon != nil {
				canon(&next.keys[n])
			}
		}
		n++
		if cur == nil {
			break
		}
	}
	switch {
	case w.single:
		return n, step // the hash is always that of the one key
	case len(in.Hashes) > 0:
		copy(next.hashes[:n], in.Hashes[from:from+n])
	default:
		hash := w.KeyCodec.Hash
		for i := range n {
			next.hashes[i] = hash(&next.keys[i])
		}
	}
	if cur != nil && (w.far || cur.pane.Far()) {
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
	var last *slice[K, A] // and acc is that of its one key
	var acc *A
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
		if w.single && s == last {
			add(acc, r)
			continue
		}
		var fresh bool
		if acc, fresh = s.pane.Upsert(k, h); fresh && w.Agg.Init != nil {
			w.Agg.Init(acc)
		}
		last = s
		add(acc, r)
	}
	return nil
}

// find returns the open slice of time t, made if need be, or nil when every window of t is past.
func (w *windowOp[K, T, A, R]) find(t int64) *slice[K, A] {
	if w.past.Contains(t) {
		return nil
	}
	i := sort.Search(len(w.slices), func(i int) bool { return w.slices[i].start > t })
	if i > 0 && w.slices[i-1].holds(t) {
		w.near.put(t, w.slices[i-1])
		return w.slices[i-1]
	}
	span := w.Panes.Pane(t)
	s := w.newSlice(span)
	if s.expired <= w.clock {
		w.past = span
		return nil
	}
	opened := w.insert(i, s)
	w.near.put(t, opened)
	w.schedule()
	return opened
}

// near finds the open slices of records that are close in time, without a search: disorder makes records go to and fro between some.
// Slices of one width have places of their own; where others meet, the last one found stands.
type near[K comparable, A any] struct {
	origin int64
	// inverse is 2^64 / width, so that a multiplication does for a division; rounding may miss a place, which costs a search.
	inverse uint64
	slices  [nearby]*slice[K, A]
}

// nearby is the number of slices kept at hand, a power of two.
const nearby = 64

func (c *near[K, A]) place(t int64) uint64 {
	n, _ := bits.Mul64(uint64(t-c.origin), c.inverse)
	return n % nearby
}

// of returns the slice that t may be in, or nil.
func (c *near[K, A]) of(t int64) *slice[K, A] { return c.slices[c.place(t)] }

func (c *near[K, A]) put(t int64, s *slice[K, A]) { c.slices[c.place(t)] = s }

func (c *near[K, A]) clear() { clear(c.slices[:]) }

// reset begins anew with a slice.
func (c *near[K, A]) reset(s *slice[K, A]) {
	c.clear()
	c.origin, c.inverse = s.start, math.MaxUint64/s.width
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
	w.again = w.again[:0]
	missed := w.late.spans[:0]
	for win, last := w.Panes.First(s.start), w.Panes.Last(s.start); win.Last() <= w.clock; win = w.Panes.Next(win) {
		if satAdd(win.Last(), w.Lateness) <= w.clock {
			missed = append(missed, win)
		} else {
			w.again = append(w.again, win)
		}
		if !earlier(win, last) {
			break
		}
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
	w.findHeld(k, h)
	acc, fresh := s.pane.Upsert(k, h)
	if fresh && w.Agg.Init != nil {
		w.Agg.Init(acc)
	}
	w.Agg.Add(acc, r)
	w.fold.update(w.slices, s, k, h)
	for _, win := range w.again {
		if err := w.emitLate(win, k, h); err != nil {
			return err
		}
	}
	return nil
}

// findHeld sets held to the slices of the windows that emit again which have records of the key.
func (w *windowOp[K, T, A, R]) findHeld(k *K, h uint64) {
	w.held = w.held[:0]
	if len(w.again) == 0 {
		return
	}
	for _, s := range between(w.slices, w.again[0].Start, w.again[len(w.again)-1].End) {
		if s.pane.Get(k, h) != nil {
			w.held = append(w.held, s.start)
		}
	}
}

// hadKey reports whether a window had records of the key when held was set.
func (w *windowOp[K, T, A, R]) hadKey(win window.Span) bool {
	i, _ := slices.BinarySearch(w.held, win.Start)
	return i < len(w.held) && w.held[i] < win.End
}

// emitLate emits the pane of one key again.
func (w *windowOp[K, T, A, R]) emitLate(win window.Span, k *K, h uint64) error {
	rev, fresh := w.revs.Ensure(win.End).Upsert(k, h)
	switch {
	case !fresh:
		*rev++
	case w.hadKey(win):
		*rev = 1 // revision 0 was emitted at the watermark
	default:
		*rev = 0
	}
	acc := w.fold.value(win, w.within(win), k, h)
	if w.Agg.Verify != nil {
		if err := w.Agg.Verify(acc); err != nil {
			return resultError(err, k, win.Start, win.End)
		}
	}
	p := w.emit.Next(win.Last())
	p.Key, p.Start, p.End, p.Value = *k, win.StartTime(), win.EndTime(), w.Agg.Result(acc)
	p.Revision, p.Kind, p.Gap, p.Replaces = *rev, window.Late, 0, ""
	return w.emit.Done()
}
