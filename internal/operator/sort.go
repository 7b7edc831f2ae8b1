package operator

import (
	"cmp"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// SortConfig describes the holding of records until the watermark has passed them.
type SortConfig[K comparable, T any] struct {
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Held     codec.Codec[Waiting[T]]
	// Detach gives a record memory of its own; nil when it has.
	Detach func(*T)
	Pool   *element.Pool[T]
}

// Waiting are the records of a key that wait, by event time and then by arrival. It is never empty in state.
type Waiting[T any] struct {
	List []Timed[T]
}

// Timed is a record with its event time in ns.
type Timed[T any] struct {
	At     int64
	Record T
}

// sortOp releases records in the order of event time, key and arrival.
//
// Each key that holds records has an entry in a heap for the first of them. An entry may have become too early, when its
// record has been released together with others; it is left out when its time comes.
type sortOp[K comparable, T any] struct {
	SortConfig[K, T]

	c     *Context
	clock int64
	space *keyed.Space[K, Waiting[T]]
	pane  *keyed.Pane[K, Waiting[T]]
	emit  *Emitter[T]
	late  *Emitter[T]
	queue wakeups[K]
	due   []released[K, T]
	held  int64 // the records in pane
	// key is the key of the record at hand; a local one would be allocated for each record.
	key K
}

type released[K comparable, T any] struct {
	key K
	Timed[T]
}

const sortState = "held"

// NewSort returns the operator.
func NewSort[K comparable, T any](cfg SortConfig[K, T]) Op { return &sortOp[K, T]{SortConfig: cfg} }

func (s *sortOp[K, T]) Open(c *Context) error {
	s.c = c
	s.emit = NewEmitter(s.Pool, c.Outputs(""), &c.Counters.Out)
	s.late = NewEmitter(s.Pool, c.Outputs(LateSide), nil)
	s.space = newSpace[K, Waiting[T]](c, sortState, s.KeyCodec, s.Held, codec.Deep)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	s.clock = clock
	s.emit.Advance(clock) // those after it start anew
	s.late.Advance(clock)
	if err := c.Load(sortState, s.space.Restore()); err != nil {
		return err
	}
	s.pane = s.space.Ensure(0)
	s.pane.Each(func(k *K, v *Waiting[T], h uint64) bool {
		s.held += int64(len(v.List))
		if len(v.List) > 0 {
			s.queue.push(wakeup[K]{at: v.List[0].At, key: *k, hash: h})
		}
		return true
	})
	return nil
}

func (s *sortOp[K, T]) Input(int) Receiver { return s }

// Process takes the records of a batch, with the clock moving where its steps say.
func (s *sortOp[K, T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	s.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) <= i; step++ {
			if err := s.advance(in.Steps[step].Time); err != nil {
				return err
			}
		}
		if err := s.hold(in, i); err != nil {
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
func (s *sortOp[K, T]) Watermark(t int64) error {
	if err := s.advance(t); err != nil {
		return err
	}
	return s.flush()
}

// Idle passes on that nothing holds the watermark.
func (s *sortOp[K, T]) Idle() error {
	if err := s.late.to.Idle(); err != nil {
		return err
	}
	return s.emit.to.Idle()
}

func (s *sortOp[K, T]) flush() error {
	s.c.Counters.Watermark.Store(s.clock)
	if err := s.late.Flush(); err != nil {
		return err
	}
	return s.emit.Flush()
}

// hold keeps one record, behind those of its key that are not later.
func (s *sortOp[K, T]) hold(in *element.Of[T], i int) error {
	r, t := &in.Records[i], in.Times[i]
	if t <= s.clock {
		s.c.Counters.Late.Add(1)
		return s.late.Emit(r, t)
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
	v, _ := s.pane.Upsert(k, h)
	at := upTo(v.List, t)
	held := Timed[T]{At: t, Record: *r}
	if s.Detach != nil {
		s.Detach(&held.Record)
	}
	v.List = slices.Insert(v.List, at, held)
	s.held++
	if at == 0 {
		w := wakeup[K]{at: t, key: *k, hash: h}
		if s.KeyCodec.Clone != nil {
			s.KeyCodec.Clone(&w.key) // the queue outlives the batch
		}
		s.queue.push(w)
	}
	return nil
}

// upTo returns how many records are not later than t. Most records come near the end, so the search begins there.
func upTo[T any](list []Timed[T], t int64) int {
	n := len(list)
	for back := 1; n > 0 && list[n-1].At > t; back *= 2 {
		n = max(0, n-back)
	}
	rest, _ := slices.BinarySearchFunc(list[n:], t, func(x Timed[T], t int64) int {
		if x.At <= t {
			return -1
		}
		return 1
	})
	return n + rest
}

// advance moves the clock and releases what it has passed.
func (s *sortOp[K, T]) advance(t int64) error {
	if t <= s.clock {
		return nil
	}
	s.clock = t
	for len(s.queue) > 0 && s.queue[0].at <= t {
		s.collect(s.queue.pop())
	}
	// Those of one key are in their order already, next to each other.
	slices.SortStableFunc(s.due, func(a, b released[K, T]) int {
		if c := cmp.Compare(a.At, b.At); c != 0 {
			return c
		}
		return s.KeyCodec.Compare(&a.key, &b.key)
	})
	for i := range s.due {
		s.emit.Advance(s.due[i].At - 1) // as in windowOp.fire
		if err := s.emit.Emit(&s.due[i].Record, s.due[i].At); err != nil {
			return err
		}
	}
	clear(s.due)
	s.due = s.due[:0]
	s.emit.Advance(t)
	s.late.Advance(t)
	return nil
}

// collect takes the records of a key that the clock has passed.
func (s *sortOp[K, T]) collect(e wakeup[K]) {
	if v := s.pane.Get(&e.key, e.hash); v == nil || v.List[0].At > s.clock {
		return // released with others before
	}
	v := s.pane.Update(&e.key, e.hash)
	n := upTo(v.List, s.clock)
	s.held -= int64(n)
	for _, x := range v.List[:n] {
		s.due = append(s.due, released[K, T]{e.key, x})
	}
	if n == len(v.List) {
		s.pane.Delete(&e.key, e.hash)
		return
	}
	clear(v.List[:n])
	v.List = v.List[n:]
	e.at = v.List[0].At
	s.queue.push(e)
}

func (s *sortOp[K, T]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(s.clock), Held: s.held, Frozen: []NamedFrozen{{sortState, s.space.Freeze(epoch)}}}, nil
}

func (s *sortOp[K, T]) Completed(epoch uint64) { s.space.Completed(epoch) }

func (s *sortOp[K, T]) Close() error { return nil }
