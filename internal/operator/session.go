package operator

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/window"
)

// Session is one session of a key: records of which each touches the span [time, time+gap) of another.
type Session[A any] struct {
	// First and Last are the smallest and largest event time. The session spans [First, End).
	First, Last, End int64
	// Revision is that of the next pane; 0 before the session has fired.
	Revision int32
	// Shown are the spans of the panes that the next one takes the place of.
	Shown []window.Span
	Acc   A
}

func (x *Session[A]) span() window.Span { return window.Span{Start: x.First, End: x.End} }

// Sessions are the sessions of a key, by First. No two touch.
type Sessions[A any] struct {
	List []Session[A]
	// Wake is the time of the key's entry in the queue, if Queued. Both are made anew after a restore.
	Wake   int64
	Queued bool
}

// SessionConfig describes an aggregation over session windows.
type SessionConfig[K comparable, T, A, R any] struct {
	// Gap and Lateness are in ns.
	Gap, Lateness int64
	// GapOf, if set, is the gap of a record, and Gap says nothing.
	GapOf    func(*T) time.Duration
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Value    codec.Codec[Sessions[A]]
	Agg      agg.Aggregator[T, A, R]
	// Own, if set, makes the aggregator in the place of Agg.
	Own        Own[T, A, R]
	Pool       *element.Pool[window.Pane[K, R]]
	LatePool   *element.Pool[T]
	MissedPool *element.Pool[window.Missed[K, T]]
}

// sessionOp aggregates records per key over sessions.
//
// Each key has one entry in a heap: the next watermark at which one of its sessions fires or expires, or an earlier one.
// A record that prolongs a session leaves the entry alone; when its time comes and nothing is due, it is put back with
// the time that is right then. So the heap is touched once per session and not once per record.
type sessionOp[K comparable, T, A, R any] struct {
	SessionConfig[K, T, A, R]

	c     *Context
	clock int64
	space *keyed.Space[K, Sessions[A]]
	pane  *keyed.Pane[K, Sessions[A]]
	emit  *Emitter[window.Pane[K, R]]
	late  *lateOutput[K, T]
	queue wakeups[K]
	due   []dueSession[K, A]
	open  int64
	// key is the key of the record at hand; a local one would be allocated for each record.
	key K
	// missed is scratch.
	missed [1]window.Span
}

type dueSession[K comparable, A any] struct {
	key     K
	session Session[A]
}

const sessionState = "session"

// NewSession returns the operator.
func NewSession[K comparable, T, A, R any](cfg SessionConfig[K, T, A, R]) Op {
	return &sessionOp[K, T, A, R]{SessionConfig: cfg}
}

func (s *sessionOp[K, T, A, R]) Open(c *Context) error {
	s.c = c
	s.emit = NewEmitter(s.Pool, c.Outputs(""), &c.Counters.Out)
	s.late = newLateOutput(c, s.LatePool, s.MissedPool)
	s.space = newWokenSpace(c, sessionState, s.KeyCodec, s.Value, func(v *Sessions[A]) ([2]*int64, *bool) {
		return [2]*int64{&v.Wake}, &v.Queued
	})
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	s.clock = clock
	if clock > element.NoTime { // tell those after it, who start anew
		s.emit.Advance(clock)
		s.late.Advance(clock)
	}
	if err := c.Load(sessionState, s.space.Restore()); err != nil {
		return err
	}
	s.pane = s.space.Ensure(0)
	restored := ownAggregator(&s.Agg, s.Own)
	s.pane.Rebuild(func(k *K, v *Sessions[A], h uint64) bool {
		for i := range v.List {
			if restored != nil {
				restored(&v.List[i].Acc)
			}
		}
		s.open += int64(len(v.List))
		v.Queued = false
		s.queueUp(*k, h, v)
		return true
	})
	return nil
}

func (s *sessionOp[K, T, A, R]) Input(int) Receiver { return s }

// next returns the first watermark at which a session of the key fires or expires.
func (s *sessionOp[K, T, A, R]) next(v *Sessions[A]) int64 {
	at := int64(element.EndTime)
	for i := range v.List {
		x := &v.List[i]
		t := satAdd(x.End, -1)
		if t <= s.clock { // it has fired
			t = satAdd(t, s.Lateness)
		}
		at = min(at, t)
	}
	return at
}

// queueUp sees to it that the key is woken in time.
func (s *sessionOp[K, T, A, R]) queueUp(k K, h uint64, v *Sessions[A]) {
	at := s.next(v)
	if v.Queued && v.Wake <= at {
		return
	}
	v.Queued, v.Wake = true, at
	if s.KeyCodec.Clone != nil {
		s.KeyCodec.Clone(&k) // the queue outlives the batch
	}
	s.queue.push(wakeup[K]{at: at, key: k, hash: h})
}

// Process adds the records of a batch, with the clock moving where its steps say.
func (s *sessionOp[K, T, A, R]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	s.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := s.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		if err := s.add(in, i); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := s.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return s.flush()
}

// Watermark moves the clock.
func (s *sessionOp[K, T, A, R]) Watermark(t int64) error {
	if err := s.advance(t); err != nil {
		return err
	}
	return s.flush()
}

// Idle passes on that nothing holds the watermark.
func (s *sessionOp[K, T, A, R]) Idle() error {
	if err := s.late.Idle(); err != nil {
		return err
	}
	return s.emit.to.Idle()
}

func (s *sessionOp[K, T, A, R]) flush() error {
	s.c.Counters.Watermark.Store(s.clock)
	s.c.Counters.OpenWindows.Store(s.open)
	if err := s.late.Flush(); err != nil {
		return err
	}
	return s.emit.Flush()
}

// add puts one record into the sessions of its key: merge first, then test whether the merged session is past.
func (s *sessionOp[K, T, A, R]) add(in *element.Of[T], i int) error {
	r, t := &in.Records[i], in.Times[i]
	if s.Agg.Check != nil {
		if err := s.Agg.Check(r); err != nil {
			return recordError(err, t)
		}
	}
	k := &s.key
	*k = s.Key(r)
	if s.KeyCodec.Canon != nil {
		s.KeyCodec.Canon(k)
	}
	var h uint64
	if len(in.Hashes) > 0 {
		h = in.Hashes[i]
	} else {
		h = s.KeyCodec.Hash(k)
	}
	gap, err := sessionGap(s.GapOf, s.Gap, r)
	if err != nil {
		return recordError(err, t)
	}
	v := s.pane.Update(k, h)
	if v != nil && len(v.List) == 1 {
		// Nearly all records prolong the one session of their key, which is not over: nothing else changes, and the key is woken early enough.
		if x := &v.List[0]; t >= x.First && t <= x.End && satAdd(x.End, -1) > s.clock {
			x.Last, x.End = max(x.Last, t), max(x.End, satAdd(t, gap))
			s.Agg.Add(&x.Acc, r)
			return nil
		}
	}
	own := Session[A]{First: t, Last: t, End: satAdd(t, gap)}
	lo, hi := 0, 0
	if v != nil {
		lo, hi = touching(v, &own)
	}
	span := own.span()
	if lo < hi {
		span = span.Cover(window.Span{Start: v.List[lo].First, End: v.List[hi-1].End})
	}
	if satAdd(satAdd(span.End, -1), s.Lateness) <= s.clock {
		s.c.Counters.Late.Add(1)
		s.c.Counters.LateWindows.Add(1)
		s.missed[0] = span
		return s.late.all(k, r, t, s.missed[:])
	}
	if v == nil {
		v, _ = s.pane.Upsert(k, h)
	}
	x := s.merge(v, lo, hi, own)
	s.Agg.Add(&x.Acc, r)
	if satAdd(x.End, -1) <= s.clock {
		// It has ended and takes records only because of the allowed lateness: emit it again.
		if err := s.put(k, x, window.Late); err != nil {
			return err
		}
		s.shown(x)
	}
	s.queueUp(*k, h, v)
	return nil
}

// sessionGap returns how long a record keeps its session open: what of says, if it is set.
func sessionGap[T any](of func(*T) time.Duration, gap int64, r *T) (int64, error) {
	if of == nil {
		return gap, nil
	}
	d := of(r)
	if d <= 0 {
		return 0, fmt.Errorf("the gap that SessionBy was given for this record is %v: it must be greater than 0", d)
	}
	return int64(d), nil
}

// touching returns the range of sessions that one of a single record joins.
func touching[A any](v *Sessions[A], own *Session[A]) (lo, hi int) {
	lo = len(v.List)
	for i := range v.List {
		if v.List[i].End >= own.First {
			lo = i
			break
		}
	}
	hi = lo
	for hi < len(v.List) && v.List[hi].First <= own.End {
		hi++
	}
	return lo, hi
}

// merge makes one session of those in [lo, hi) and one without records yet, and returns it.
func (s *sessionOp[K, T, A, R]) merge(v *Sessions[A], lo, hi int, own Session[A]) *Session[A] {
	if lo == hi {
		if s.Agg.Init != nil {
			s.Agg.Init(&own.Acc)
		}
		v.List = slices.Insert(v.List, lo, own)
		s.open++
		return &v.List[lo]
	}
	x := &v.List[lo]
	for i := lo + 1; i < hi; i++ {
		y := &v.List[i]
		s.Agg.Merge(&x.Acc, &y.Acc)
		x.Last, x.End = max(x.Last, y.Last), max(x.End, y.End)
		// A session that swallows one that has fired is a later revision of it. If it is open again it fires when it ends.
		x.Revision = max(x.Revision, y.Revision)
		x.Shown = append(x.Shown, y.Shown...)
	}
	v.List = slices.Delete(v.List, lo+1, hi)
	s.open -= int64(hi - lo - 1)
	x = &v.List[lo]
	x.First, x.Last, x.End = min(x.First, own.First), max(x.Last, own.Last), max(x.End, own.End)
	return x
}

// shown notes that a pane of the session, which is kept, has been put out.
func (s *sessionOp[K, T, A, R]) shown(x *Session[A]) {
	x.Revision++
	x.Shown = append(x.Shown[:0], x.span())
}

// replaced returns the windows that the next pane of a session takes the place of, of those that were shown. One with the same bounds is
// an earlier revision.
func replaced(shown []window.Span, span window.Span) window.Spans {
	if len(shown) == 0 || len(shown) == 1 && shown[0] == span {
		return ""
	}
	return window.SpansOf(shown...)
}

func (s *sessionOp[K, T, A, R]) put(k *K, x *Session[A], kind window.Firing) error {
	if s.Agg.Verify != nil {
		if err := s.Agg.Verify(&x.Acc); err != nil {
			return resultError(err, k, x.First, x.End)
		}
	}
	p := window.Pane[K, R]{
		Key: *k, Start: timeOf(x.First), End: timeOf(x.End), Gap: time.Duration(x.End - x.Last), Replaces: replaced(x.Shown, x.span()),
		Value: s.Agg.Result(&x.Acc), Revision: x.Revision, Kind: kind,
	}
	return s.emit.Emit(&p, satAdd(x.End, -1))
}

// advance moves the clock, fires the sessions that have ended and forgets those that take no more records.
func (s *sessionOp[K, T, A, R]) advance(t int64) error {
	if t < element.EndTime && t > element.NoTime {
		// A record a whole gap after the last one still joins the session. It is in time as long as the watermark is below
		// it, which is a tick more than the end of the session - 1: the clock of sessions is a tick behind.
		t--
	}
	if t <= s.clock {
		return nil
	}
	before := s.clock
	s.clock = t
	for len(s.queue) > 0 && s.queue[0].at <= t {
		e := s.queue.pop()
		s.wake(e, before)
	}
	slices.SortFunc(s.due, func(a, b dueSession[K, A]) int {
		if c := cmp.Compare(a.session.End, b.session.End); c != 0 {
			return c
		}
		if c := cmp.Compare(a.session.First, b.session.First); c != 0 {
			return c
		}
		return s.KeyCodec.Compare(&a.key, &b.key)
	})
	for i := range s.due {
		s.emit.Advance(satAdd(s.due[i].session.End, -2)) // as in windowOp.fire
		if err := s.put(&s.due[i].key, &s.due[i].session, window.OnTime); err != nil {
			return err
		}
	}
	clear(s.due)
	s.due = s.due[:0]
	s.emit.Advance(t)
	s.late.Advance(t)
	return nil
}

// wake collects the sessions of a key that end between the clock before and now, and drops the expired.
func (s *sessionOp[K, T, A, R]) wake(e wakeup[K], before int64) {
	v := s.pane.Update(&e.key, e.hash)
	if v == nil || !v.Queued || v.Wake != e.at {
		return // an entry that was replaced by an earlier one
	}
	v.Queued = false
	kept := v.List[:0]
	for i := range v.List {
		x := v.List[i]
		last := satAdd(x.End, -1)
		fires, stays := last <= s.clock && last > before, satAdd(last, s.Lateness) > s.clock
		if fires {
			s.due = append(s.due, dueSession[K, A]{e.key, x})
			if stays {
				x.Shown = nil // those shown so far are for the pane that is due
				s.shown(&x)
			}
		}
		if stays {
			kept = append(kept, x)
		}
	}
	s.open -= int64(len(v.List) - len(kept))
	clear(v.List[len(kept):])
	v.List = kept
	if len(kept) == 0 {
		s.pane.Delete(&e.key, e.hash)
		return
	}
	s.queueUp(e.key, e.hash, v)
}

func (s *sessionOp[K, T, A, R]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(s.clock), Frozen: []NamedFrozen{{sessionState, s.space.Freeze(epoch)}}}, nil
}

func (s *sessionOp[K, T, A, R]) Completed(epoch uint64) { s.space.Completed(epoch) }

func (s *sessionOp[K, T, A, R]) Close() error { return nil }
