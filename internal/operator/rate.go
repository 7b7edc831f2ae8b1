package operator

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-stream/millrace/internal/element"
)

// RateMode says what becomes of records that come too fast.
type RateMode uint8

// The modes of a rate limit.
const (
	// RateHold lets them wait, and with them the input.
	RateHold RateMode = iota
	// RateDropNewest leaves out those for which there is no token when they come.
	RateDropNewest
	// RateDropOldest lets as many as the burst wait, and leaves out the one that has waited longest when another comes.
	RateDropOldest
)

// DroppedSide is the output of records that came too fast.
const DroppedSide = "dropped"

// rateOp lets records pass at a rate.
//
// In a task with a source nothing waits here: the source reads as many records as there are tokens. What waits, because a batch came from
// another task or one record was made into several, is let go at a barrier all the same, with tokens of the future: so nothing has to be
// saved, and in the long run the rate is kept.
type rateOp[T any] struct {
	perSecond float64
	burst     int
	mode      RateMode
	pool      *element.Pool[T]

	c       *Context
	tokens  *rate.Limiter
	out     Receiver
	emit    *Emitter[T]
	dropped *Emitter[T]
	queue   fifo[rateItem[T]]
	held    int // the records in queue
	due     int64
}

// rateItem is a record that waits, a watermark behind it, or the mark that the input is idle.
type rateItem[T any] struct {
	record T
	time   int64
	mark   bool
	idle   bool
}

// NewRate returns an operator that lets perSecond records pass, up to burst at a time, in all its subtasks together.
func NewRate[T any](pool *element.Pool[T], perSecond float64, burst int, mode RateMode) Op {
	return &rateOp[T]{perSecond: perSecond, burst: burst, mode: mode, pool: pool, due: math.MaxInt64}
}

func (r *rateOp[T]) Open(c *Context) error {
	r.c, r.out = c, c.Outputs("")
	r.emit = NewEmitter(r.pool, r.out, &c.Counters.Out)
	r.dropped = NewEmitter(r.pool, c.Outputs(DroppedSide), &c.Counters.Dropped)
	r.perSecond /= float64(c.Parallelism)
	r.burst = max(1, r.burst/c.Parallelism)
	r.tokens = rate.NewLimiter(rate.Limit(r.perSecond), r.burst)
	return nil
}

func (r *rateOp[T]) Input(int) Receiver { return r }

// Process passes a batch on as it is, if there are tokens for all of it.
func (r *rateOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := len(in.Records)
	r.c.Counters.In.Add(int64(n))
	now := r.c.Env.Sched.Now()
	if r.queue.len() == 0 && r.tokens.AllowN(now, n) {
		r.c.Counters.Out.Add(int64(n))
		in.Hashes = in.Hashes[:0]
		if err := passSteps(in.Steps, r.dropped.to); err != nil {
			in.Free()
			return err
		}
		return r.out.Process(in)
	}
	defer in.Free()
	step, end := 0, false
	left := r.available(now)
	for i := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) == i; step++ {
			r.mark(in.Steps[step].Time)
		}
		var err error
		if left, err = r.take(in, i, left, now); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		r.mark(in.Steps[step].Time)
		end = end || in.Steps[step].Time == element.EndTime
	}
	return r.settle(now, end)
}

// take handles one record, with so many tokens left for the batch. It returns how many are left then.
func (r *rateOp[T]) take(in *element.Of[T], i, left int, now time.Time) (int, error) {
	if r.mode == RateDropNewest {
		if left == 0 {
			return 0, r.dropped.Emit(&in.Records[i], in.Times[i])
		}
		r.tokens.ReserveN(now, 1)
		return left - 1, r.emit.Emit(&in.Records[i], in.Times[i])
	}
	r.queue.push(rateItem[T]{record: in.Records[i], time: in.Times[i]})
	r.held++
	if r.mode == RateHold {
		return left, nil
	}
	left, err := r.release(left, now)
	if err == nil && r.held > r.burst {
		it := *r.queue.first()
		r.queue.pop()
		r.held--
		err = r.dropped.Emit(&it.record, it.time)
		if err == nil {
			left, err = r.release(left, now) // marks that stood behind it
		}
	}
	return left, err
}

// available returns how many records may pass now.
func (r *rateOp[T]) available(now time.Time) int { return max(0, int(r.tokens.TokensAt(now)+1e-6)) }

// release lets go from the head of the queue up to n records, and the marks before, between and behind them. It returns what is left of n.
func (r *rateOp[T]) release(n int, now time.Time) (int, error) {
	used := 0
	defer func() { r.spend(used, now) }()
	for r.queue.len() > 0 {
		it := r.queue.first()
		switch {
		case it.idle:
			if err := r.idle(); err != nil {
				return 0, err
			}
		case it.mark:
			r.emit.Advance(it.time)
			r.dropped.Advance(it.time)
		case used == n:
			return 0, nil
		default:
			used++
			r.held--
			if err := r.emit.Emit(&it.record, it.time); err != nil {
				return 0, err
			}
		}
		r.queue.pop()
	}
	return n - used, nil
}

// spend takes n tokens, those of the future too.
func (r *rateOp[T]) spend(n int, now time.Time) {
	for n > 0 {
		k := min(n, r.burst)
		r.tokens.ReserveN(now, k)
		n -= k
	}
}

// settle lets go what may pass, and notes when the next may. At the end of input it waits until all have passed.
func (r *rateOp[T]) settle(now time.Time, end bool) error {
	for {
		if _, err := r.release(r.available(now), now); err != nil {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
		r.due = math.MaxInt64
		if r.held > 0 {
			r.due = r.when(now)
		}
		if !end || r.queue.len() == 0 {
			return nil
		}
		if err := r.c.Task.Await(r.due, func() bool { return false }); err != nil {
			return err
		}
		now = r.c.Env.Sched.Now()
	}
}

// when returns the processing time at which it is worth looking again: not for each single token when they come faster than one in a
// millisecond.
func (r *rateOp[T]) when(now time.Time) int64 {
	enough := max(1, min(r.perSecond/1000, float64(r.burst)))
	if r.held > 0 {
		enough = min(enough, float64(r.held))
	}
	missing := enough - r.tokens.TokensAt(now)
	wait := math.Ceil(missing / r.perSecond * 1e9)
	if wait > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return satAdd(now.UnixNano(), max(1, int64(wait)))
}

// Room returns the number of tokens, when records that come too fast have to wait.
func (r *rateOp[T]) Room() int {
	if r.mode != RateHold {
		return BatchSize
	}
	if r.held > 0 {
		return 0
	}
	now := r.c.Env.Sched.Now()
	n := r.available(now)
	if n == 0 {
		r.due = r.when(now)
	}
	return n
}

// NextTick returns when the next record may pass.
func (r *rateOp[T]) NextTick() int64 { return r.due }

// Tick lets go what may pass.
func (r *rateOp[T]) Tick(now int64) error {
	if now < r.due {
		return nil
	}
	return r.settle(r.c.Env.Sched.Now(), false)
}

// mark puts a watermark behind what waits; of several in a row the last is kept.
func (r *rateOp[T]) mark(t int64) {
	if last := r.queue.last(); last != nil && last.mark && t != element.EndTime {
		last.time = t
		return
	}
	if r.queue.len() == 0 {
		r.emit.Advance(t)
		r.dropped.Advance(t)
		return
	}
	r.queue.push(rateItem[T]{time: t, mark: true})
}

func (r *rateOp[T]) Watermark(t int64) error {
	r.mark(t)
	return r.settle(r.c.Env.Sched.Now(), t == element.EndTime)
}

// Idle says so behind what waits.
func (r *rateOp[T]) Idle() error {
	if r.queue.len() == 0 {
		return r.idle()
	}
	r.queue.push(rateItem[T]{idle: true})
	return nil
}

func (r *rateOp[T]) idle() error {
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.dropped.to.Idle(); err != nil {
		return err
	}
	return r.out.Idle()
}

func (r *rateOp[T]) flush() error {
	if err := r.dropped.Flush(); err != nil {
		return err
	}
	return r.emit.Flush()
}

// Freeze lets go all that waits.
func (r *rateOp[T]) Freeze(uint64) (Cut, error) {
	if _, err := r.release(r.held, r.c.Env.Sched.Now()); err != nil {
		return Cut{}, err
	}
	r.due = math.MaxInt64
	return Cut{}, r.flush()
}

func (r *rateOp[T]) Completed(uint64) {}
func (r *rateOp[T]) Close() error     { return nil }
