package operator

import (
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// DedupConfig describes the removal of records whose id was seen before.
type DedupConfig[K comparable, T any] struct {
	// Horizon is the distance in event time, in ns and at least 1, from which on an equal id means another thing.
	Horizon int64
	// Lateness is how far behind the watermark a record is still judged, in ns.
	Lateness int64
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Seen     codec.Codec[Seen]
	// Content hashes what duplicates must have in common; nil when nobody asks.
	Content func(*T) uint64
	Pool    *element.Pool[T]
}

// Seen is what is remembered of a record that was passed on.
type Seen struct {
	// At is its event time in ns, Content the hash of its content or 0.
	At      int64
	Content uint64
}

// dedupOp passes on the first record of each id in the order of arrival.
//
// A record is a duplicate when a record of its id was passed on that is less than the horizon away in event time. So whatever was
// forgotten since cannot be told from the results, as long as no record that is still judged could have met it.
//
// What is remembered lies in buckets of event time, a quarter of the horizon wide, and is forgotten a bucket at a time. One bucket
// holds an id at most once, since two records in it are nearer than the horizon.
//
// Invariant: a bucket exists while a record that is not late can be less than the horizon away from one in it: until its last moment +
// horizon + lateness <= clock.
type dedupOp[K comparable, T any] struct {
	DedupConfig[K, T]
	width int64

	c     *Context
	clock int64
	space *keyed.Space[K, Seen]
	emit  *Emitter[T]
	late  *Emitter[T]
	twice *Emitter[T]
	// buckets are the open ones, by time.
	buckets []dedupBucket[K]
	// wake is the first watermark at which a bucket is forgotten.
	wake int64
	// key is the key of the record at hand; a local one would be allocated for each record.
	key K
}

type dedupBucket[K comparable] struct {
	first, last int64
	pane        *keyed.Pane[K, Seen]
}

const dedupState = "seen"

// The side outputs of a dedup.
const (
	LateSide      = "late"
	DuplicateSide = "duplicate"
)

// NewDedup returns the operator.
func NewDedup[K comparable, T any](cfg DedupConfig[K, T]) Op {
	return &dedupOp[K, T]{DedupConfig: cfg, width: (cfg.Horizon-1)/4 + 1}
}

func (d *dedupOp[K, T]) Open(c *Context) error {
	d.c = c
	d.emit = NewEmitter(d.Pool, c.Outputs(""), &c.Counters.Out)
	d.late = NewEmitter(d.Pool, c.Outputs(LateSide), nil)
	d.twice = NewEmitter(d.Pool, c.Outputs(DuplicateSide), nil)
	d.space = newSpace[K, Seen](c, dedupState, d.KeyCodec, d.Seen, codec.Flat)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	d.clock = clock
	d.tell() // those after it start anew
	if err := c.Load(dedupState, d.space.Restore()); err != nil {
		return err
	}
	for _, span := range d.space.Spans() {
		d.buckets = append(d.buckets, d.newBucket(span, d.space.Pane(span)))
	}
	d.schedule()
	return nil
}

// newBucket returns the bucket of a span, which is its number.
func (d *dedupOp[K, T]) newBucket(span int64, p *keyed.Pane[K, Seen]) dedupBucket[K] {
	return dedupBucket[K]{first: satMul(span, d.width), last: satAdd(satMul(span+1, d.width), -1), pane: p}
}

// spanOf returns the number of the bucket of t.
func (d *dedupOp[K, T]) spanOf(t int64) int64 {
	n := t / d.width
	if t%d.width < 0 {
		n--
	}
	return n
}

// satMul multiplies with b > 0 and stops at the ends of the range.
func satMul(a, b int64) int64 {
	switch {
	case a > element.EndTime/b:
		return element.EndTime
	case a < element.NoTime/b:
		return element.NoTime
	}
	return a * b
}

func (d *dedupOp[K, T]) Input(int) Receiver { return d }

// Process judges the records of a batch, with the clock moving where its steps say.
func (d *dedupOp[K, T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	d.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) <= i; step++ {
			d.advance(in.Steps[step].Time)
		}
		if err := d.judge(in, i); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		d.advance(in.Steps[step].Time)
	}
	return d.flush()
}

// Watermark moves the clock.
func (d *dedupOp[K, T]) Watermark(t int64) error {
	d.advance(t)
	return d.flush()
}

// Idle passes on that nothing holds the watermark.
func (d *dedupOp[K, T]) Idle() error {
	for _, e := range d.outputs() {
		if err := e.to.Idle(); err != nil {
			return err
		}
	}
	return nil
}

func (d *dedupOp[K, T]) outputs() [3]*Emitter[T] { return [3]*Emitter[T]{d.late, d.twice, d.emit} }

func (d *dedupOp[K, T]) flush() error {
	d.c.Counters.Watermark.Store(d.clock)
	for _, e := range d.outputs() {
		if err := e.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// tell passes the clock on, behind what has been emitted.
func (d *dedupOp[K, T]) tell() {
	for _, e := range d.outputs() {
		e.Advance(d.clock)
	}
}

// advance moves the clock and forgets what no record can meet any more.
func (d *dedupOp[K, T]) advance(t int64) {
	if t <= d.clock {
		return
	}
	d.clock = t
	if t >= d.wake {
		n := 0
		for n < len(d.buckets) && d.forgotten(d.buckets[n].last) <= t {
			d.space.Drop(d.buckets[n].pane.Span())
			n++
		}
		d.buckets = slices.Delete(d.buckets, 0, n)
		d.schedule()
	}
	d.tell()
}

// forgotten returns the watermark at which a bucket with this last moment is dropped.
func (d *dedupOp[K, T]) forgotten(last int64) int64 {
	return satAdd(satAdd(last, d.Horizon), d.Lateness)
}

func (d *dedupOp[K, T]) schedule() {
	d.wake = element.EndTime
	if len(d.buckets) > 0 {
		d.wake = d.forgotten(d.buckets[0].last)
	}
}

// judge sends one record to the output where it belongs.
func (d *dedupOp[K, T]) judge(in *element.Of[T], i int) error {
	r, t := &in.Records[i], in.Times[i]
	if satAdd(t, d.Lateness) <= d.clock {
		d.c.Counters.Late.Add(1)
		return d.late.Emit(r, t)
	}
	k := &d.key
	*k = d.Key(r)
	if d.KeyCodec.Canon != nil {
		d.KeyCodec.Canon(k)
	}
	var h uint64
	if len(in.Hashes) > 0 {
		h = in.Hashes[i]
	} else {
		h = d.KeyCodec.Hash(k)
	}
	var content uint64
	if d.Content != nil {
		content = d.Content(r)
	}
	if seen := d.find(k, h, t); seen != nil {
		d.c.Counters.Duplicates.Add(1)
		if seen.Content != content {
			d.c.Counters.Conflicts.Add(1)
		}
		return d.twice.Emit(r, t)
	}
	v, _ := d.bucket(t).Upsert(k, h)
	v.At, v.Content = t, content
	return d.emit.Emit(r, t)
}

// find returns what is remembered of the id less than the horizon away from t; of two, which a record between them can have, the
// later one. Most duplicates come soon, so the search begins at the newest.
func (d *dedupOp[K, T]) find(k *K, h uint64, t int64) *Seen {
	from, to := satAdd(t, 1-d.Horizon), satAdd(t, d.Horizon-1)
	for i := len(d.buckets) - 1; i >= 0; i-- {
		b := &d.buckets[i]
		if b.last < from {
			break
		}
		if b.first > to {
			continue
		}
		if v := b.pane.Get(k, h); v != nil && from <= v.At && v.At <= to {
			return v
		}
	}
	return nil
}

// bucket returns the bucket of t, made if need be.
func (d *dedupOp[K, T]) bucket(t int64) *keyed.Pane[K, Seen] {
	i := len(d.buckets)
	for i > 0 && d.buckets[i-1].first > t {
		i--
	}
	if i > 0 && t <= d.buckets[i-1].last {
		return d.buckets[i-1].pane
	}
	span := d.spanOf(t)
	d.buckets = slices.Insert(d.buckets, i, d.newBucket(span, d.space.Ensure(span)))
	d.schedule()
	return d.buckets[i].pane
}

func (d *dedupOp[K, T]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(d.clock), Frozen: []NamedFrozen{{dedupState, d.space.Freeze(epoch)}}}, nil
}

func (d *dedupOp[K, T]) Completed(epoch uint64) { d.space.Completed(epoch) }

func (d *dedupOp[K, T]) Close() error { return nil }
