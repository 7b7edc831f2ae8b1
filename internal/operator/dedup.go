package operator

import (
	"errors"
	"math/bits"
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
	// Content hashes what duplicates must have in common; nil when nobody asks.
	Content func(*T) uint64
	// Pool is for the side outputs.
	Pool *element.Pool[T]
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
	space *keyed.Space[K, int64]
	// contents is a space of its own, so that those who compare none need not keep them.
	contents *keyed.Space[K, uint64]
	out      Receiver
	// told is the watermark that the main output knows.
	told  int64
	late  *Emitter[T]
	twice *Emitter[T]
	// buckets are the open ones, by time.
	buckets []dedupBucket[K]
	// wake is the first watermark at which a bucket is forgotten.
	wake int64
	// recent is the bucket that took the last record, nil when it may be gone.
	recent *keyed.Pane[K, int64]
	next   dedupLookups[K]
}

// dedupLookups are the ids and hashes of the next records. They are kept here for the reason that lookups are.
type dedupLookups[K comparable] struct {
	keys   [look]K
	hashes [look]uint64
	// maybe has a bit for each id: it may have been seen. Without it, it was not.
	maybe uint32
	sum   uint64 // of what was touched, so that the compiler does not leave it out
}

type dedupBucket[K comparable] struct {
	first, last int64
	// pane holds the event time of the record passed on.
	pane *keyed.Pane[K, int64]
	// contents has the same ids when contents are compared, and is nil otherwise.
	contents *keyed.Pane[K, uint64]
}

// The names of the states.
const (
	dedupState    = "seen"
	dedupContents = "contents"
)

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
	d.out, d.told = c.Outputs(""), element.NoTime
	d.late = NewEmitter(d.Pool, c.Outputs(LateSide), nil)
	d.twice = NewEmitter(d.Pool, c.Outputs(DuplicateSide), nil)
	d.space = newFilteredSpace[K, int64](c, dedupState, d.KeyCodec, fixed64[int64]{}, codec.Flat)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	d.clock = clock // tell passes it on with what comes first: those after it start anew
	d.late.Advance(clock)
	d.twice.Advance(clock)
	if err := c.Load(dedupState, d.space.Restore()); err != nil {
		return err
	}
	if d.Content != nil {
		d.contents = newSpace[K, uint64](c, dedupContents, d.KeyCodec, fixed64[uint64]{}, codec.Flat)
		if err := c.Load(dedupContents, d.contents.Restore()); err != nil {
			return err
		}
	}
	for _, span := range d.space.Spans() {
		d.buckets = append(d.buckets, d.newBucket(span))
	}
	d.schedule()
	return nil
}

// newBucket returns the bucket of a span, which is its number.
func (d *dedupOp[K, T]) newBucket(span int64) dedupBucket[K] {
	b := dedupBucket[K]{first: satMul(span, d.width), last: satAdd(satMul(span+1, d.width), -1), pane: d.space.Ensure(span)}
	if d.Content != nil {
		b.contents = d.contents.Ensure(span)
	}
	return b
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

// Process judges the records of a batch, with the clock moving where its steps say. Nearly all of them are passed on, so they
// leave in the batch they came in.
func (d *dedupOp[K, T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	d.c.Counters.In.Add(int64(len(in.Records)))
	if err := d.tell(); err != nil {
		in.Free()
		return err
	}
	kept, step, steps := 0, 0, in.Steps[:0]
	for from := 0; from < len(in.Records); {
		n := d.lookUp(in, from)
		for i := range n {
			at := from + i
			for ; step < len(in.Steps) && int(in.Steps[step].At) <= at; step++ {
				steps = d.step(steps, kept, in.Steps[step].Time)
			}
			keep, err := d.judge(&in.Records[at], in.Times[at], i)
			if err != nil {
				in.Free()
				return err
			}
			if !keep {
				continue
			}
			if kept != at {
				in.Records[kept], in.Times[kept] = in.Records[at], in.Times[at]
			}
			kept++
		}
		from += n
	}
	for ; step < len(in.Steps); step++ {
		steps = d.step(steps, kept, in.Steps[step].Time)
	}
	in.Records, in.Times, in.Hashes, in.Steps = in.Records[:kept], in.Times[:kept], in.Hashes[:0], steps
	return d.pass(in)
}

// step moves the clock, and says so before record at of the main output.
func (d *dedupOp[K, T]) step(steps []element.Step, at int, t int64) []element.Step {
	if !d.advance(t) {
		return steps
	}
	return element.AppendStep(steps, element.Step{At: int32(at), Time: t})
}

// pass passes on what is left of a batch, after what goes to the side outputs.
func (d *dedupOp[K, T]) pass(in *element.Of[T]) error {
	if err := d.flush(); err != nil {
		in.Free()
		return err
	}
	if len(in.Steps) > 0 {
		d.told = d.clock
	}
	n := len(in.Records)
	if n == 0 {
		err := passSteps(in.Steps, d.out)
		in.Free()
		return err
	}
	d.c.Counters.Out.Add(int64(n))
	return d.out.Process(in)
}

// lookUp fills d.next for the next records and returns their number. Looking up some records ahead makes the processor wait for the
// memory of all of them at once.
func (d *dedupOp[K, T]) lookUp(in *element.Of[T], from int) int {
	next, n := &d.next, min(look, len(in.Records)-from)
	key, canon := d.Key, d.KeyCodec.Canon
	for i := range n {
		next.keys[i] = key(&in.Records[from+i])
		if canon != nil {
			canon(&next.keys[i])
		}
	}
	if len(in.Hashes) > 0 {
		copy(next.hashes[:n], in.Hashes[from:from+n])
	} else {
		hash := d.KeyCodec.Hash
		for i := range n {
			next.hashes[i] = hash(&next.keys[i])
		}
	}
	next.maybe = d.suspect(next.hashes[:n])
	if d.recent != nil && d.recent.Far() {
		next.sum += d.recent.TouchRuns(next.hashes[:n])
	}
	return n
}

// suspect returns a bit for each hash: whether the id may be in some bucket, or may be that of another one shortly before it.
func (d *dedupOp[K, T]) suspect(hashes []uint64) uint32 {
	var seen [16]uint64
	maybe := uint32(0)
	for i, h := range hashes {
		word, bit := &seen[h>>20&15], h>>24&63
		maybe |= uint32(*word>>bit&1) << i
		*word |= 1 << bit
	}
	held := d.space.MayHold(hashes)
	for i := range d.buckets {
		if p := d.buckets[i].pane; p.Far() {
			for rest := held; rest != 0; rest &= rest - 1 {
				d.next.sum += p.Touch(hashes[bits.TrailingZeros32(rest)])
			}
		}
	}
	return maybe | held
}

// Watermark moves the clock.
func (d *dedupOp[K, T]) Watermark(t int64) error {
	d.advance(t)
	if err := d.flush(); err != nil {
		return err
	}
	return d.tell()
}

// Idle passes on that nothing holds the watermark.
func (d *dedupOp[K, T]) Idle() error {
	return errors.Join(d.late.to.Idle(), d.twice.to.Idle(), d.out.Idle())
}

// flush passes on what goes to the side outputs.
func (d *dedupOp[K, T]) flush() error {
	d.c.Counters.Watermark.Store(d.clock)
	if err := d.late.Flush(); err != nil {
		return err
	}
	return d.twice.Flush()
}

// tell passes the clock on to the main output, unless it is known there.
func (d *dedupOp[K, T]) tell() error {
	if d.told >= d.clock {
		return nil
	}
	d.told = d.clock
	return d.out.Watermark(d.clock)
}

// advance moves the clock and forgets what no record can meet any more. It reports whether the clock has moved.
func (d *dedupOp[K, T]) advance(t int64) bool {
	if t <= d.clock {
		return false
	}
	d.clock = t
	if t >= d.wake {
		d.forget()
	}
	d.late.Advance(t)
	d.twice.Advance(t)
	return true
}

// forget drops the buckets that the clock has left behind.
func (d *dedupOp[K, T]) forget() {
	n := 0
	for n < len(d.buckets) && d.forgotten(d.buckets[n].last) <= d.clock {
		d.space.Drop(d.buckets[n].pane.Span())
		if d.Content != nil {
			d.contents.Drop(d.buckets[n].contents.Span())
		}
		n++
	}
	d.buckets, d.recent = slices.Delete(d.buckets, 0, n), nil
	d.schedule()
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

// judge says whether a record, with its event time and place in d.next, is passed on; otherwise it goes to a side output.
func (d *dedupOp[K, T]) judge(r *T, t int64, i int) (bool, error) {
	if satAdd(t, d.Lateness) <= d.clock {
		d.c.Counters.Late.Add(1)
		return false, d.late.Emit(r, t)
	}
	k, h := &d.next.keys[i], d.next.hashes[i]
	if d.next.maybe>>i&1 != 0 {
		if b := d.find(k, h, t); b != nil {
			d.c.Counters.Duplicates.Add(1)
			if d.Content != nil && *b.contents.Get(k, h) != d.Content(r) {
				d.c.Counters.Conflicts.Add(1)
			}
			return false, d.twice.Emit(r, t)
		}
	}
	b := d.bucket(t)
	at, _ := b.pane.Upsert(k, h)
	*at = t
	if d.Content != nil {
		content, _ := b.contents.Upsert(k, h)
		*content = d.Content(r)
	}
	return true, nil
}

// find returns the bucket that remembers the id less than the horizon away from t, or nil; of two, which a record between them can
// have, the later one. Most duplicates come soon, so the search begins at the newest.
func (d *dedupOp[K, T]) find(k *K, h uint64, t int64) *dedupBucket[K] {
	from, to := satAdd(t, 1-d.Horizon), satAdd(t, d.Horizon-1)
	for i := len(d.buckets) - 1; i >= 0; i-- {
		b := &d.buckets[i]
		if b.last < from {
			break
		}
		if b.first > to {
			continue
		}
		if at := b.pane.Get(k, h); at != nil && from <= *at && *at <= to {
			return b
		}
	}
	return nil
}

// bucket returns the bucket of t, made if need be.
func (d *dedupOp[K, T]) bucket(t int64) *dedupBucket[K] {
	i := len(d.buckets)
	for i > 0 && d.buckets[i-1].first > t {
		i--
	}
	if i == 0 || t > d.buckets[i-1].last {
		d.buckets = slices.Insert(d.buckets, i, d.newBucket(d.spanOf(t)))
		d.schedule()
		i++
	}
	d.recent = d.buckets[i-1].pane
	return &d.buckets[i-1]
}

func (d *dedupOp[K, T]) Freeze(epoch uint64) (Cut, error) {
	cut := Cut{State: clockState(d.clock), Frozen: []NamedFrozen{{dedupState, d.space.Freeze(epoch)}}}
	if d.Content != nil {
		cut.Frozen = append(cut.Frozen, NamedFrozen{dedupContents, d.contents.Freeze(epoch)})
	}
	return cut, nil
}

func (d *dedupOp[K, T]) Completed(epoch uint64) {
	d.space.Completed(epoch)
	if d.Content != nil {
		d.contents.Completed(epoch)
	}
}

func (d *dedupOp[K, T]) Close() error { return nil }
