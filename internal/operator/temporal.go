package operator

import (
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// TemporalConfig describes a join of a stream with the versions of a table.
type TemporalConfig[K comparable, L, V, O any] struct {
	KeyCodec *codec.Key[K]
	Left     SideConfig[K, L]
	Table    SideConfig[K, V]
	// Out makes the result of a record and the version that is valid at its time; v is nil when there is none. It must not keep the
	// pointers.
	Out  func(l *L, v *V) O
	Pool *element.Pool[O]
}

// temporalOp joins a stream, port 0, with a versioned table, port 1.
//
// A record waits until the clock reaches its event time: then every version up to that time has come that was not late. Of the versions of
// a key that the clock has reached only the last is kept, since no record before the clock will ask.
type temporalOp[K comparable, L, V, O any] struct {
	joinCore[K, O]
	left  askPort[K, L, V, O]
	table tablePort[K, V, O]
	lst   sideState[K, L]
	vst   sideState[K, V]
	pool  *element.Pool[O]
}

const tableState = "table"

// NewTemporal returns the operator. Its late records go to the outputs "late-left" and "late-right".
func NewTemporal[K comparable, L, V, O any](cfg TemporalConfig[K, L, V, O]) Op {
	j := &temporalOp[K, L, V, O]{pool: cfg.Pool}
	j.codec = cfg.KeyCodec
	j.lst = newSide(cfg.Left, cfg.KeyCodec, leftState, 0, 1)
	j.vst = newSide(cfg.Table, cfg.KeyCodec, tableState, 0, 1)
	j.vst.versions = true
	j.left = askPort[K, L, V, O]{portBase: portBase[K, L, O]{core: &j.joinCore, mine: &j.lst}, table: &j.vst, out: cfg.Out}
	j.table = tablePort[K, V, O]{portBase[K, V, O]{core: &j.joinCore, mine: &j.vst}}
	j.ports = [2]port{&j.left, &j.table} // in this order records are answered before versions are forgotten
	return j
}

func (j *temporalOp[K, L, V, O]) Open(c *Context) error {
	j.c = c
	j.emit = NewEmitter(j.pool, c.Outputs(""), &c.Counters.Out)
	j.left.late = NewEmitter(j.lst.LatePool, c.Outputs(lateLeft), nil)
	j.table.late = NewEmitter(j.vst.LatePool, c.Outputs(lateRight), nil)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	j.clock = clock
	j.tell() // those after it start anew
	if err := j.lst.open(c); err != nil {
		return err
	}
	return j.vst.open(c)
}

// Input returns the receiver of a side.
func (j *temporalOp[K, L, V, O]) Input(port int) Receiver {
	if port == 1 {
		return &j.table
	}
	return &j.left
}

func (j *temporalOp[K, L, V, O]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(j.clock), Frozen: []NamedFrozen{
		{leftState, j.lst.space.Freeze(epoch)},
		{tableState, j.vst.space.Freeze(epoch)},
	}}, nil
}

func (j *temporalOp[K, L, V, O]) Completed(epoch uint64) {
	j.lst.space.Completed(epoch)
	j.vst.space.Completed(epoch)
}

func (j *temporalOp[K, L, V, O]) Close() error { return nil }

// askPort takes the records that ask for versions.
type askPort[K comparable, L, V, O any] struct {
	portBase[K, L, O]
	table *sideState[K, V]
	out   func(*L, *V) O
}

// Process keeps the records of a batch until the clock reaches them.
func (p *askPort[K, L, V, O]) Process(b element.Batch) error {
	return p.each(b.(*element.Of[L]), p.take)
}

func (p *askPort[K, L, V, O]) take(in *element.Of[L], i int) error {
	r, t := &in.Records[i], in.Times[i]
	if t <= p.core.clock {
		return p.tooLate(r, t)
	}
	hash := p.hash(in, i)
	p.mine.keep(&p.key, hash, r, t, false)
	return nil
}

// expire answers the records that the clock has reached.
func (p *askPort[K, L, V, O]) expire() {
	p.mine.expire(p.core.clock, func(k *K, hash uint64, h *Held[L]) {
		var valid *V
		if v := p.table.pane.Get(k, hash); v != nil {
			if n := v.after(h.At + 1); n > 0 {
				valid = p.table.record(&v.List[n-1])
			}
		}
		p.core.due = append(p.core.due, alone[K, O]{at: h.At, key: *k, out: p.out(&h.Record, valid)})
	})
}

// tablePort takes the versions.
type tablePort[K comparable, V, O any] struct{ portBase[K, V, O] }

// Process notes the versions of a batch.
func (p *tablePort[K, V, O]) Process(b element.Batch) error {
	return p.each(b.(*element.Of[V]), p.take)
}

// take notes a version. A late one is counted and told, since records that it holds for have been answered without it; it holds for
// those to come unless a later version is known to.
func (p *tablePort[K, V, O]) take(in *element.Of[V], i int) error {
	r, t := &in.Records[i], in.Times[i]
	hash := p.hash(in, i)
	p.mine.keep(&p.key, hash, r, t, false)
	if t <= p.core.clock {
		return p.tooLate(r, t)
	}
	return nil
}

// expire forgets the versions that are followed by one that the clock has reached.
func (p *tablePort[K, V, O]) expire() { p.mine.expire(p.core.clock, nil) }
