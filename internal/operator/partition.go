package operator

import (
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// Flusher is a receiver that holds records back until a batch is full. The task flushes it when it has nothing else to
// do, when records have waited for the linger time, and before a barrier.
type Flusher interface {
	Receiver
	// Flush passes on what is held. It reports whether there was anything.
	Flush() (bool, error)
}

// Partition spreads records over targets by the key group of their key. Records of one key keep their order. Each
// target is told the watermark before each record exactly: a step goes into its batch when the watermark has changed
// since its last record, and into all when the batches are flushed.
type Partition[K comparable, T any] struct {
	key     func(*T) K
	codec   *codec.Key[K]
	groups  int
	owner   []int32
	targets []target[T]
	pool    *element.Pool[T]
	// wm is the watermark of the stream here.
	wm   int64
	held bool
	// origins says that records have come that tell where they come from. From then on all batches have origins, unknown ones too.
	origins bool
	// current is the key of the record at hand; a local one would be allocated for each record.
	current K
	// idle says that the targets have been told so. When something comes again all must hear of it, not only the one that
	// gets it: the others would go on without waiting for this input.
	idle bool
}

type target[T any] struct {
	to  Sender
	cur *element.Of[T]
	// records, times and hashes are the slices of cur at full length, n of whose slots are filled: writing to a slot costs
	// less than appending to three slices.
	records []T
	times   []int64
	hashes  []uint64
	n       int
	// sent counts the records that have left for the target.
	sent int
	// wm is the watermark that the target knows after its last record and step.
	wm int64
	// idle says that the target takes this input for idle.
	idle bool
}

// NewPartition returns the sender in front of a keyed operator.
func NewPartition[K comparable, T any](key func(*T) K, kc *codec.Key[K], pool *element.Pool[T], groups int, to []Sender) *Partition[K, T] {
	p := &Partition[K, T]{key: key, codec: kc, groups: groups, pool: pool, wm: element.NoTime}
	p.owner = make([]int32, groups)
	for g := range p.owner {
		p.owner[g] = int32(keyed.Owner(g, len(to), groups))
	}
	for _, s := range to {
		p.targets = append(p.targets, target[T]{to: s, wm: element.NoTime})
		p.open(&p.targets[len(p.targets)-1])
	}
	return p
}

// open gives the target an empty batch.
func (p *Partition[K, T]) open(t *target[T]) {
	size := p.pool.Capacity()
	t.cur = p.pool.Get()
	// Batches swap their slices of times with those of other pools.
	t.cur.Times, t.cur.Hashes = slices.Grow(t.cur.Times, size), slices.Grow(t.cur.Hashes, size)
	t.records, t.times, t.hashes, t.n = t.cur.Records[:size], t.cur.Times[:size], t.cur.Hashes[:size], 0
}

// Process copies each record to the batch of its target.
func (p *Partition[K, T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	if len(in.Origins) > 0 && !p.origins {
		p.knowOrigins()
	}
	step, origins := 0, p.origins
	canon, hash, k := p.codec.Canon, p.codec.Hash, &p.current
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			p.wm = in.Steps[step].Time
			step++
		}
		r := &in.Records[i]
		*k = p.key(r)
		if canon != nil {
			canon(k)
		}
		h := hash(k)
		t := &p.targets[p.owner[keyed.Group(h, p.groups)]]
		n := t.n
		if t.wm != p.wm {
			t.cur.Advance(n, p.wm)
			t.wm = p.wm
		}
		t.records[n] = *r
		t.times[n] = in.Times[i]
		t.hashes[n] = h
		if origins {
			t.cur.Origins = append(t.cur.Origins, originOf(&in.Header, i))
		}
		t.n = n + 1
		if t.n == len(t.records) {
			if err := p.send(t); err != nil {
				in.Free()
				return err
			}
		}
	}
	p.held, p.idle = true, false
	for _, s := range in.Steps[step:] {
		if err := p.Watermark(s.Time); err != nil {
			in.Free()
			return err
		}
	}
	in.Free()
	return nil
}

// put copies a record to the batch of its target, as Process does, which has it written out for speed. Where it comes from is not kept:
// a window, for which this is, makes new records.
func (p *Partition[K, T]) put(r *T, time int64, hash uint64) error {
	t := &p.targets[p.owner[keyed.Group(hash, p.groups)]]
	n := t.n
	if t.wm != p.wm {
		t.cur.Advance(n, p.wm)
		t.wm = p.wm
	}
	t.records[n], t.times[n], t.hashes[n] = *r, time, hash
	if p.origins {
		t.cur.Origins = append(t.cur.Origins, element.Origin{})
	}
	t.n = n + 1
	if t.n == len(t.records) {
		return p.send(t)
	}
	return nil
}

// knowOrigins makes the open batches have origins: of the records that they hold, none is known.
func (p *Partition[K, T]) knowOrigins() {
	p.origins = true
	for i := range p.targets {
		t := &p.targets[i]
		t.cur.Origins = append(t.cur.Origins[:0], make([]element.Origin, t.n)...)
	}
}

// originOf returns where a record comes from, or the zero Origin.
func originOf(h *element.Header, i int) element.Origin {
	if o := h.Origin(i); o != nil {
		return *o
	}
	return element.Origin{}
}

func (p *Partition[K, T]) send(t *target[T]) error {
	full := t.cur
	t.sent += t.n
	full.Records, full.Times, full.Hashes = t.records[:t.n], t.times[:t.n], t.hashes[:t.n]
	p.open(t)
	t.idle = false
	return t.to.Push(element.Element{Kind: element.KindBatch, Batch: full})
}

// Watermark notes the watermark; targets learn it with their next batch or flush.
func (p *Partition[K, T]) Watermark(w int64) error {
	if w == element.EndTime && p.wm != w { // the one before must not be forgotten, see element.AppendStep
		if _, err := p.Flush(); err != nil {
			return err
		}
	}
	p.wm = w
	p.held, p.idle = true, false
	return nil
}

// Flush sends all batches, and the watermark to those that do not know it.
func (p *Partition[K, T]) Flush() (bool, error) {
	if !p.held {
		return false, nil
	}
	p.held = false
	sent := false
	for i := range p.targets {
		t := &p.targets[i]
		if t.n > 0 {
			if t.wm != p.wm {
				t.cur.Advance(t.n, p.wm)
				t.wm = p.wm
			}
			if err := p.send(t); err != nil {
				return true, err
			}
			sent = true
			continue
		}
		if t.wm != p.wm || t.idle != p.idle {
			t.wm, t.idle = p.wm, false
			if err := t.to.Push(element.Element{Kind: element.KindWatermark, Time: p.wm}); err != nil {
				return true, err
			}
			sent = true
		}
	}
	return sent, nil
}

// Idle flushes and tells all targets.
func (p *Partition[K, T]) Idle() error {
	if _, err := p.Flush(); err != nil {
		return err
	}
	p.idle = true
	for i := range p.targets {
		p.targets[i].idle = true
		if err := p.targets[i].to.Push(element.Element{Kind: element.KindIdle}); err != nil {
			return err
		}
	}
	return nil
}

// Forward passes everything to one target as it comes.
type Forward struct{ To Sender }

// Process pushes the batch.
func (f Forward) Process(b element.Batch) error {
	return f.To.Push(element.Element{Kind: element.KindBatch, Batch: b})
}

// Watermark pushes the watermark.
func (f Forward) Watermark(t int64) error {
	return f.To.Push(element.Element{Kind: element.KindWatermark, Time: t})
}

// Idle pushes the idle mark.
func (f Forward) Idle() error { return f.To.Push(element.Element{Kind: element.KindIdle}) }
