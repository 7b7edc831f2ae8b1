package operator

import (
	"errors"
	"math"
	"reflect"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/pane"
)

// Partial is what some records of a key and slice come to, aggregated before the exchange. Its time in a batch is the start of the slice.
type Partial[K comparable, A any] struct {
	Key K
	// Records is how many there were.
	Records int64
	Acc     A
}

// CombineConfig describes the aggregation of records before the exchange in front of aligned windows.
type CombineConfig[K comparable, T, A, R any] struct {
	// Panes are the slices of the windows.
	Panes    pane.Layout
	Key      func(*T) K
	KeyCodec *codec.Key[K]
	Agg      agg.Aggregator[T, A, R]
	Pool     *element.Pool[T]
	Partials *element.Pool[Partial[K, A]]
}

// Combiner is a Partition that aggregates the records of frequent keys and sends what they come to, so that a key with half of all
// records does not make one subtask do half of the work.
//
// Nothing can tell from the results that it is there. A record is added to a partial only while no window of its slice has fired by the
// watermark here. The clock behind the exchange is the smallest of those of all producers and so not ahead of this one: there, too, the
// record is in time for all windows, whenever it comes before the watermark that fires the first. So the partials leave before any
// watermark does that reaches this point for one of them; and when the batches are flushed, which they are before a barrier: no partial
// is ever in a checkpoint. All other records go the way that they go without it.
//
// It is a small table that a key gets a place in by coming again: a key that holds a place gains credit with each record, and each
// record of another key that wants the place takes some away. Where too few records are saved by that, as with uniform keys, it looks away
// for a while and then tries again.
type Combiner[K comparable, T, A, R any] struct {
	*Partition[K, T]
	cfg CombineConfig[K, T, A, R]

	// tags, credits and slots are the table. A tag is the hash of the key, changed by the slice: most lookups see nothing else. A slot that
	// has a key has credit.
	tags    []uint64
	credits []int8
	slots   []combineSlot[K, A]
	held    []int32 // the slots with records, and some that had them
	out     []*element.Of[Partial[K, A]]
	// due is the first watermark that reaches the end of a window of what is held.
	due int64
	// floor is the restored clock behind the exchange: it may be ahead of the watermark here.
	floor int64
	// off ends it for good.
	off bool

	// cur and other are the slices of the last records; disorder makes records go to and fro between two.
	cur, other *combineSlice

	// seen, folded, sent and bytes are what has come of the records since the last judgement.
	seen, folded, sent, bytes int
	// loads counts the records that partials for each target stood for since then.
	loads []int
	// pause is how many records pass unseen from now, next how many will when the next judgement is bad.
	pause, next int
	recordBytes int
}

// combineSlot is a place for a key and slice.
type combineSlot[K comparable, A any] struct {
	hash    uint64
	start   int64
	records int64 // in acc
	named   bool  // key is that of the slot
	key     K
	acc     A
}

// combineSlice is a slice: its start and length, when its first window fires, and what tells it from others in the table.
type combineSlice struct {
	start  int64
	length uint64
	fires  int64
	mix    uint64
}

const (
	// combineSlots is the most places that there are, combineBytes the most memory that they take, but for at least combineFew.
	combineSlots = 1024
	combineBytes = 256 << 10
	combineFew   = 64
	// maxCredit is how many records of other keys a key that was frequent survives.
	maxCredit = 64
	// Judgement is passed when at least judgeAfter records have been seen, and partials are sent after combineMost at the latest.
	judgeAfter  = 8 << 10
	combineMost = 32 << 10
	// The first pause, and the longest.
	firstPause   = 64 << 10
	longestPause = 1 << 20
)

// NewCombiner returns the sender in front of aligned windows. Old is what the subtasks of the windows put into the restored checkpoint.
func NewCombiner[K comparable, T, A, R any](cfg CombineConfig[K, T, A, R], groups int, old [][]byte, to []Sender) *Combiner[K, T, A, R] {
	c := &Combiner[K, T, A, R]{
		Partition: NewPartition(cfg.Key, cfg.KeyCodec, cfg.Pool, groups, to), cfg: cfg,
		out: make([]*element.Of[Partial[K, A]], len(to)), loads: make([]int, len(to)), due: math.MaxInt64, next: firstPause,
		cur: &combineSlice{}, other: &combineSlice{},
	}
	size := combineSlots
	slotBytes := int(reflect.TypeFor[combineSlot[K, A]]().Size())
	for size > combineFew && size*slotBytes > combineBytes {
		size /= 2
	}
	c.tags, c.credits, c.slots = make([]uint64, size), make([]int8, size), make([]combineSlot[K, A], size)
	c.recordBytes = int(reflect.TypeFor[T]().Size()) + 16
	floor, err := oldClock(old)
	c.floor, c.off = floor, err != nil // the operator itself says what is wrong with its state
	return c
}

// Process adds records to partials or copies them to the batches of their targets.
func (c *Combiner[K, T, A, R]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	if c.off {
		return c.Partition.Process(in)
	}
	if c.pause > 0 {
		c.pause -= len(in.Records)
		return c.Partition.Process(in)
	}
	err := c.combine(in)
	in.Free()
	if err != nil || c.seen < combineMost && c.pause <= 0 {
		return err
	}
	// In a pause nothing looks at what is held before a watermark passes. It may have begun in the middle of this batch.
	_, err = c.send()
	return err
}

func (c *Combiner[K, T, A, R]) combine(in *element.Of[T]) error {
	p, step := c.Partition, 0
	canon, hash, add, check, k := p.codec.Canon, p.codec.Hash, c.cfg.Agg.Add, c.cfg.Agg.Check, &p.current
	tags, credits := c.tags, c.credits[:len(c.tags)]
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := c.reach(in.Steps[step].Time); err != nil {
				return err
			}
			p.wm = in.Steps[step].Time
			step++
		}
		r, t := &in.Records[i], in.Times[i]
		*k = p.key(r)
		if canon != nil {
			canon(k)
		}
		h := hash(k)
		if uint64(t-c.cur.start) >= c.cur.length {
			c.turnTo(t)
		}
		if p.wm < c.cur.fires && c.floor < c.cur.fires {
			tag := h ^ c.cur.mix
			at := tag & uint64(len(tags)-1)
			if tags[at] == tag {
				s := &c.slots[at]
				// A record with a mistake goes on, and fails where it would without all this.
				if (check == nil || check(r) == nil) && c.owns(s, k, h) {
					if s.records == 0 {
						c.begin(s, int32(at))
					}
					s.records++
					credits[at] = min(credits[at], maxCredit-1) + 1
					add(&s.acc, r)
					c.folded++
					continue
				}
			} else if credits[at] == 0 { // nobody has it who came twice
				tags[at] = tag
			} else if credits[at]--; credits[at] == 0 {
				if err := c.vacate(&c.slots[at]); err != nil {
					return err
				}
			}
		}
		if err := p.put(r, t, h); err != nil {
			return err
		}
	}
	c.seen += len(in.Records)
	p.held, p.idle = true, false
	for _, s := range in.Steps[step:] {
		if err := c.Watermark(s.Time); err != nil {
			return err
		}
	}
	return nil
}

// turnTo makes the slice of t the current one.
func (c *Combiner[K, T, A, R]) turnTo(t int64) {
	c.cur, c.other = c.other, c.cur
	if uint64(t-c.cur.start) < c.cur.length {
		return
	}
	s, first := c.cfg.Panes.Pane(t), c.cfg.Panes.First(t)
	*c.cur = combineSlice{start: s.Start, length: uint64(s.End - s.Start), fires: satAdd(first.End, -1), mix: codec.Mix(uint64(s.Start))}
}

// begin makes a slot without records an empty accumulator.
func (c *Combiner[K, T, A, R]) begin(s *combineSlot[K, A], at int32) {
	if c.cfg.Agg.Init != nil {
		c.cfg.Agg.Init(&s.acc)
	}
	c.due = min(c.due, c.cur.fires)
	c.held = append(c.held, at)
}

// vacate takes a slot from its key, which has no credit left. Another one may have it from then on.
func (c *Combiner[K, T, A, R]) vacate(s *combineSlot[K, A]) error {
	s.named = false
	if s.records == 0 {
		return nil
	}
	return c.emit(s)
}

// owns reports whether the key, in the current slice, has the slot that was found by its tag. A slot takes the key when the tag comes for the
// second time: most come once, and are not copied.
func (c *Combiner[K, T, A, R]) owns(s *combineSlot[K, A], k *K, h uint64) bool {
	if !s.named {
		s.named, s.key, s.hash, s.start = true, *k, h, c.cur.start
		if c.cfg.KeyCodec.Clone != nil {
			c.cfg.KeyCodec.Clone(&s.key)
		}
	}
	return s.key == *k && s.start == c.cur.start
}

// emit puts the content of a slot into the batch for its target and empties the slot. The accumulator goes with all its memory.
func (c *Combiner[K, T, A, R]) emit(s *combineSlot[K, A]) error {
	at := c.owner[keyed.Group(s.hash, c.groups)]
	b := c.out[at]
	if b == nil {
		b = c.cfg.Partials.Get()
		c.out[at] = b
	}
	b.Add(&Partial[K, A]{Key: s.key, Records: s.records, Acc: s.acc}, s.start)
	b.Hashes = append(b.Hashes, s.hash)
	var none A
	s.acc, s.records = none, 0
	c.sent++
	c.loads[at] += int(b.Records[len(b.Records)-1].Records)
	if len(b.Records) >= c.cfg.Partials.Capacity() {
		return c.push(int(at))
	}
	return nil
}

func (c *Combiner[K, T, A, R]) push(at int) error {
	b := c.out[at]
	c.out[at] = nil
	c.bytes += b.Bytes()
	return c.targets[at].to.Push(element.Element{Kind: element.KindBatch, Batch: b})
}

// reach sends all partials if the watermark w reaches the end of a window of one.
func (c *Combiner[K, T, A, R]) reach(w int64) error {
	if w < c.due {
		return nil
	}
	_, err := c.send()
	return err
}

// send sends all partials, and reports whether there were any.
func (c *Combiner[K, T, A, R]) send() (bool, error) {
	for _, i := range c.held {
		if s := &c.slots[i]; s.records > 0 {
			if err := c.emit(s); err != nil {
				return true, err
			}
		}
	}
	c.held, c.due = c.held[:0], math.MaxInt64
	sent := false
	for at, b := range c.out {
		if b != nil {
			sent = true
			if err := c.push(at); err != nil {
				return true, err
			}
		}
	}
	if c.seen >= judgeAfter {
		c.judge()
	}
	return sent, nil
}

// judge decides whether to go on. What was aggregated must be half of the memory of the records that it stands for, or less. Then it is worth
// it if it has saved three quarters of the records seen, as fewer are dearer to look for than to send; or a quarter of them while
// one target would have had far more records than its share: then it takes work off the one that all wait for.
func (c *Combiner[K, T, A, R]) judge() {
	all, most := 0, 0
	for i := range c.loads {
		n := c.loads[i] + c.targets[i].sent
		all, most = all+n, max(most, n)
		c.loads[i], c.targets[i].sent = 0, 0
	}
	saved, uneven := c.folded-c.sent, 4*most*len(c.loads) >= 5*all
	if 2*c.bytes <= c.folded*c.recordBytes && (4*saved >= 3*c.seen || uneven && 4*saved >= c.seen) {
		c.next = firstPause
	} else {
		c.pause = c.next
		c.next = min(2*c.next, longestPause)
	}
	c.seen, c.folded, c.sent, c.bytes = 0, 0, 0, 0
}

// Watermark notes the watermark, behind the partials that it reaches.
func (c *Combiner[K, T, A, R]) Watermark(w int64) error {
	if err := c.reach(w); err != nil {
		return err
	}
	return c.Partition.Watermark(w)
}

// Flush sends all partials and batches, and the watermark to those that do not know it.
func (c *Combiner[K, T, A, R]) Flush() (bool, error) {
	some, err := c.send()
	if err != nil {
		return true, err
	}
	more, err := c.Partition.Flush()
	return some || more, err
}

// Idle flushes and tells all targets. From then on the clock behind the exchange may go ahead of the watermark here, also when records
// come again, and nothing tells by how much: that ends the aggregation.
func (c *Combiner[K, T, A, R]) Idle() error {
	if _, err := c.send(); err != nil {
		return err
	}
	c.off, c.tags, c.credits, c.slots, c.held = true, nil, nil, nil, nil
	return c.Partition.Idle()
}

// errPartialLate says that a promise of Combiner was broken.
var errPartialLate = errors.New("internal error: records aggregated before the exchange have come after a window that they are in had fired; please report it")

// mergePartials adds partials to their slices.
func (w *windowOp[K, T, A, R]) mergePartials(in *element.Of[Partial[K, A]]) error {
	var s *slice[K, A]
	for i := range in.Records {
		p := &in.Records[i]
		if t := in.Times[i]; s == nil || s.start != t {
			s = w.find(t)
		}
		if s == nil || w.clock >= s.fired {
			return errPartialLate
		}
		acc, fresh := s.pane.Upsert(&p.Key, in.Hashes[i])
		if fresh {
			*acc = p.Acc // nobody else has it
		} else {
			w.Agg.Merge(acc, &p.Acc)
		}
		w.c.Counters.In.Add(p.Records)
		w.c.Counters.PreAggregated.Add(p.Records)
	}
	clear(in.Records) // lets go of what accumulators point to
	return nil
}
