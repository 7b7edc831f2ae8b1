package operator

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
)

// batchOp puts records together.
//
// What it holds has the event time of its latest record, so the watermark may pass on to just before that and no further: the
// batch would be late behind it. The rest of the watermark follows the batch.
type batchOp[T any] struct {
	size int
	wait time.Duration
	pool *element.Pool[[]T]

	c     *Context
	emit  *Emitter[[]T]
	held  []T
	time  int64 // the largest event time of what is held
	due   int64 // the processing time at which it leaves; math.MaxInt64 when nothing is held
	clock int64 // the watermark of the input
}

// NewBatch returns an operator that puts size records together, or fewer when wait is over since the first, at a barrier, when the input
// is idle, and at its end.
func NewBatch[T any](pool *element.Pool[[]T], size int, wait time.Duration) Op {
	return &batchOp[T]{pool: pool, size: size, wait: wait, due: math.MaxInt64, clock: element.NoTime}
}

func (b *batchOp[T]) Open(c *Context) error {
	b.c = c
	b.emit = NewEmitter(b.pool, c.Outputs(""), &c.Counters.Out)
	return nil
}

func (b *batchOp[T]) Input(int) Receiver { return b }

func (b *batchOp[T]) Process(batch element.Batch) error {
	in := batch.(*element.Of[T])
	defer in.Free()
	b.c.Counters.In.Add(int64(len(in.Records)))
	step := 0
	for i := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) == i; step++ {
			if err := b.advance(in.Steps[step].Time); err != nil {
				return err
			}
		}
		if len(b.held) == 0 {
			b.held, b.time = make([]T, 0, min(b.size, BatchSize)), in.Times[i]
			b.due = satAdd(b.c.Now(), int64(b.wait))
		}
		b.held = append(b.held, in.Records[i])
		if t := in.Times[i]; t > b.time {
			b.time = t
			b.pass()
		}
		if len(b.held) == b.size {
			if err := b.release(); err != nil {
				return err
			}
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := b.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return b.emit.Flush()
}

// release emits what is held, and the watermark that had to wait for it.
func (b *batchOp[T]) release() error {
	if len(b.held) == 0 {
		return nil
	}
	err := b.emit.Emit(&b.held, b.time)
	b.held, b.due = nil, math.MaxInt64
	b.pass()
	return err
}

// advance moves the clock. At the end of input nothing more comes to what is held.
func (b *batchOp[T]) advance(t int64) error {
	if t == element.EndTime {
		if err := b.release(); err != nil {
			return err
		}
	}
	b.clock = max(b.clock, t)
	b.pass()
	return nil
}

// pass lets the watermark go on as far as what is held allows.
func (b *batchOp[T]) pass() {
	t := b.clock
	if len(b.held) > 0 {
		t = min(t, b.time-1)
	}
	b.emit.Advance(t)
}

func (b *batchOp[T]) Watermark(t int64) error {
	if err := b.advance(t); err != nil {
		return err
	}
	return b.emit.Flush()
}

// Idle lets go what is held: nothing says when more will come.
func (b *batchOp[T]) Idle() error {
	if err := b.release(); err != nil {
		return err
	}
	if err := b.emit.Flush(); err != nil {
		return err
	}
	return b.emit.to.Idle()
}

// NextTick returns when the oldest record has waited long enough.
func (b *batchOp[T]) NextTick() int64 { return b.due }

// Tick lets go what has waited long enough.
func (b *batchOp[T]) Tick(now int64) error {
	if now < b.due {
		return nil
	}
	if err := b.release(); err != nil {
		return err
	}
	return b.emit.Flush()
}

// Freeze lets go what is held, before the barrier: so a batch is of one epoch, and nothing needs to be saved.
func (b *batchOp[T]) Freeze(uint64) (Cut, error) {
	if err := b.release(); err != nil {
		return Cut{}, err
	}
	return Cut{}, b.emit.Flush()
}

func (b *batchOp[T]) Completed(uint64) {}
func (b *batchOp[T]) Close() error     { return nil }
