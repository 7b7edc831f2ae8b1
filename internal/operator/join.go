package operator

import (
	"cmp"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// JoinConfig describes a join of two keyed streams by distance in event time.
type JoinConfig[K comparable, L, R, O any] struct {
	// Lower and Upper bound, both inclusive and in ns, how long after a left record its right partners are.
	Lower, Upper int64
	KeyCodec     *codec.Key[K]
	Left         SideConfig[K, L]
	Right        SideConfig[K, R]
	// Out makes a result of a pair; l or r is nil for a record without partner. It must not keep the pointers.
	Out  func(l *L, r *R) O
	Pool *element.Pool[O]
}

// joinOp joins two streams: port 0 is the left one, port 1 the right one.
//
// A record pairs, as it comes, with those of the other side that have come before it; so each pair leaves once, when the second of
// the two comes, and at no earlier event time than the clock. A record at or before the clock is late: its earliest partners may be
// gone. So a record can be forgotten when no record behind the clock can be its partner.
//
// Invariants:
//  1. A record of time t is kept while clock < t + reach; expired ones may stay a little longer, out of the reach of all matches.
//  2. On an outer side reach >= 0, and a record that expires without a partner leaves then.
type joinOp[K comparable, L, R, O any] struct {
	joinCore[K, O]
	left  joinPort[K, L, R, O]
	right joinPort[K, R, L, O]
	lst   sideState[K, L]
	rst   sideState[K, R]
}

// joinCore is the part of a join that knows nothing of the records of its sides.
type joinCore[K comparable, O any] struct {
	c     *Context
	codec *codec.Key[K]
	clock int64
	emit  *Emitter[O]
	due   []alone[K, O]
	order []dueAt // scratch
	ports [2]port
}

// alone is a result of a record that found no partner.
type alone[K comparable, O any] struct {
	at    int64
	right bool
	key   K
	out   O
}

// port is what joinCore does with either side.
type port interface {
	expire()
	advanceLate(t int64)
	flushLate() error
	idleLate() error
}

const (
	leftState  = "left"
	rightState = "right"
	lateLeft   = "late-left"
	lateRight  = "late-right"
)

// grains is into how many steps the time is cut for which a record is kept: records go at the end of a step.
const grains = 16

// NewJoin returns the operator. Its late records go to the outputs "late-left" and "late-right".
func NewJoin[K comparable, L, R, O any](cfg JoinConfig[K, L, R, O]) Op {
	j := &joinOp[K, L, R, O]{}
	j.codec = cfg.KeyCodec
	grain := max(1, (cfg.Upper/2-cfg.Lower/2)/grains*2)
	j.lst = newSide(cfg.Left, cfg.KeyCodec, leftState, cfg.Upper, grain)
	j.rst = newSide(cfg.Right, cfg.KeyCodec, rightState, -cfg.Lower, grain)
	j.left = joinPort[K, L, R, O]{
		portBase: portBase[K, L, O]{core: &j.joinCore, mine: &j.lst},
		theirs:   &j.rst, from: cfg.Lower, to: cfg.Upper, out: cfg.Out,
	}
	j.right = joinPort[K, R, L, O]{
		portBase: portBase[K, R, O]{core: &j.joinCore, mine: &j.rst},
		theirs:   &j.lst, from: -cfg.Upper, to: -cfg.Lower, right: true,
		out: func(r *R, l *L) O { return cfg.Out(l, r) },
	}
	j.ports = [2]port{&j.left, &j.right}
	j.emit = &Emitter[O]{pool: cfg.Pool}
	return j
}

func newSide[K comparable, T any](cfg SideConfig[K, T], kc *codec.Key[K], state string, reach, grain int64) sideState[K, T] {
	s := sideState[K, T]{SideConfig: cfg, codec: kc, state: state, reach: reach, grain: grain}
	if cfg.Outer {
		// Before its own time a record cannot leave: that would be known only by chance.
		s.reach, s.grain = max(0, reach), 1
	}
	return s
}

func (j *joinOp[K, L, R, O]) Open(c *Context) error {
	j.c = c
	j.emit = NewEmitter(j.emit.pool, c.Outputs(""), &c.Counters.Out)
	j.left.late = NewEmitter(j.lst.LatePool, c.Outputs(lateLeft), nil)
	j.right.late = NewEmitter(j.rst.LatePool, c.Outputs(lateRight), nil)
	clock, err := oldClock(c.Old)
	if err != nil {
		return err
	}
	j.clock = clock
	if clock > element.NoTime { // tell those after it, who start anew
		j.tell()
	}
	if err := j.lst.open(c); err != nil {
		return err
	}
	return j.rst.open(c)
}

// Input returns the receiver of a side.
func (j *joinOp[K, L, R, O]) Input(port int) Receiver {
	if port == 1 {
		return &j.right
	}
	return &j.left
}

func (j *joinOp[K, L, R, O]) Freeze(epoch uint64) (Cut, error) {
	return Cut{State: clockState(j.clock), Frozen: []NamedFrozen{
		{leftState, j.lst.space.Freeze(epoch)},
		{rightState, j.rst.space.Freeze(epoch)},
	}}, nil
}

func (j *joinOp[K, L, R, O]) Completed(epoch uint64) {
	j.lst.space.Completed(epoch)
	j.rst.space.Completed(epoch)
}

func (j *joinOp[K, L, R, O]) Close() error { return nil }

// advance moves the clock: what has expired is forgotten, and leaves if it is of an outer side and found no partner. Such results
// are ordered by the time at which they could leave, left before right, by key, event time and arrival.
func (j *joinCore[K, O]) advance(t int64) error {
	if t <= j.clock {
		return nil
	}
	j.clock = t
	for _, p := range j.ports {
		p.expire()
	}
	j.sortDue()
	for _, n := range j.order {
		d := &j.due[n.place]
		j.emit.Advance(d.at - 1) // as in windowOp.fire
		if err := j.emit.Emit(&d.out, d.at); err != nil {
			return err
		}
	}
	clear(j.due)
	j.due = j.due[:0]
	j.tell()
	return nil
}

// sortDue puts into order where in due the results stand, in the order in which they leave. Results are large, so they stay where they are.
func (j *joinCore[K, O]) sortDue() {
	j.order = j.order[:0]
	for i := range j.due {
		j.order = append(j.order, dueAt{at: j.due[i].at, place: i})
	}
	slices.SortFunc(j.order, func(a, b dueAt) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		x, y := &j.due[a.place], &j.due[b.place]
		if x.right != y.right {
			if x.right {
				return 1
			}
			return -1
		}
		if c := j.codec.Compare(&x.key, &y.key); c != 0 {
			return c
		}
		return cmp.Compare(a.place, b.place)
	})
}

// dueAt is where a result stands in joinCore.due.
type dueAt struct {
	at    int64
	place int
}

// tell passes the clock on, behind what has been emitted.
func (j *joinCore[K, O]) tell() {
	j.emit.Advance(j.clock)
	for _, p := range j.ports {
		p.advanceLate(j.clock)
	}
}

func (j *joinCore[K, O]) flush() error {
	j.c.Counters.Watermark.Store(j.clock)
	for _, p := range j.ports {
		if err := p.flushLate(); err != nil {
			return err
		}
	}
	return j.emit.Flush()
}

func (j *joinCore[K, O]) idle() error {
	for _, p := range j.ports {
		if err := p.idleLate(); err != nil {
			return err
		}
	}
	return j.emit.to.Idle()
}

// portBase is what the ports of joins have in common.
type portBase[K comparable, T, O any] struct {
	core *joinCore[K, O]
	mine *sideState[K, T]
	late *Emitter[T]
	key  K // of the record at hand; a local one would be allocated for each record
}

// each calls take for the records of a batch, with the clock moving where its steps say.
func (p *portBase[K, T, O]) each(in *element.Of[T], take func(in *element.Of[T], i int) error) error {
	defer in.Free()
	p.core.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := p.core.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		if err := take(in, i); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := p.core.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return p.core.flush()
}

// hash sets key to that of a record and returns its hash.
func (p *portBase[K, T, O]) hash(in *element.Of[T], i int) uint64 {
	kc := p.core.codec
	p.key = p.mine.Key(&in.Records[i])
	if kc.Canon != nil {
		kc.Canon(&p.key)
	}
	if len(in.Hashes) > 0 {
		return in.Hashes[i]
	}
	return kc.Hash(&p.key)
}

// tooLate counts a late record and passes it to its output.
func (p *portBase[K, T, O]) tooLate(r *T, t int64) error {
	p.core.c.Counters.Late.Add(1)
	return p.late.Emit(r, t)
}

// Watermark moves the clock.
func (p *portBase[K, T, O]) Watermark(t int64) error {
	if err := p.core.advance(t); err != nil {
		return err
	}
	return p.core.flush()
}

// Idle passes on that nothing holds the watermark.
func (p *portBase[K, T, O]) Idle() error { return p.core.idle() }

func (p *portBase[K, T, O]) advanceLate(t int64) { p.late.Advance(t) }
func (p *portBase[K, T, O]) flushLate() error    { return p.late.Flush() }
func (p *portBase[K, T, O]) idleLate() error     { return p.late.to.Idle() }

// joinPort takes the records T of one side; those of the other are U.
type joinPort[K comparable, T, U, O any] struct {
	portBase[K, T, O]
	theirs *sideState[K, U]
	// from and to bound how long after a record its partners are.
	from, to int64
	right    bool
	out      func(*T, *U) O
}

// Process joins the records of a batch.
func (p *joinPort[K, T, U, O]) Process(b element.Batch) error {
	return p.each(b.(*element.Of[T]), p.take)
}

// take pairs one record with those that have come, and keeps it for those that will.
func (p *joinPort[K, T, U, O]) take(in *element.Of[T], i int) error {
	r, t, clock := &in.Records[i], in.Times[i], p.core.clock
	if t <= clock {
		return p.tooLate(r, t)
	}
	hash := p.hash(in, i)
	partners := p.theirs.match(&p.key, hash, satAdd(t, p.from), satAdd(t, p.to))
	emit := p.core.emit
	for n := range partners {
		h := &partners[n]
		*emit.Next(max(t, h.At)) = p.out(r, p.theirs.record(h))
		if err := emit.Done(); err != nil {
			return err
		}
	}
	if satAdd(t, p.mine.reach) > clock {
		p.mine.keep(&p.key, hash, r, t, len(partners) > 0)
	}
	return nil
}

// expire forgets what has expired and notes what has to leave.
func (p *joinPort[K, T, U, O]) expire() {
	if !p.mine.Outer {
		p.mine.expire(p.core.clock, nil)
		return
	}
	p.mine.expire(p.core.clock, func(k *K, _ uint64, h *Held[T]) {
		if h.Matched {
			return
		}
		// It leaves the state, so nothing is shared.
		at := min(satAdd(h.At, p.mine.reach), element.EndTime-1)
		p.core.due = append(p.core.due, alone[K, O]{at: at, right: p.right, key: *k, out: p.out(&h.Record, nil)})
	})
}
