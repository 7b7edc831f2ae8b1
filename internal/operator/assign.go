package operator

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/progress"
)

// assignOp gives records new event times. It makes one watermark from all that comes in, as a source does for a split, and forgets
// that of its input, but for its end and its idleness.
type assignOp[T any] struct {
	stamper[T]
	pool    *element.Pool[T]
	out     Receiver
	bounded progress.Bounded
	gen     Generator[T]
	wm      int64
	idle    bool
}

// assignState is a subtask in a checkpoint.
type assignState struct {
	Newest    int64  `json:"newest"`
	Watermark int64  `json:"watermark"`
	Generator []byte `json:"generator,omitempty"`
}

// NewAssign returns an operator that gives records the event time of the spec.
func NewAssign[T any](spec TimeSpec[T], pool *element.Pool[T]) Op {
	return &assignOp[T]{stamper: stamper[T]{time: spec}, pool: pool, wm: element.NoTime}
}

// Open takes over what the checkpoint says and passes the restored watermark on, since the input may never have one.
func (a *assignOp[T]) Open(c *Context) error {
	a.out = c.Outputs("")
	a.open(c, a.pool)
	var err error
	if a.bounded, err = progress.NewBounded(a.time.Bound); err != nil {
		return err
	}
	if a.time.NewGenerator != nil {
		a.gen = a.time.NewGenerator()
	}
	if err := a.restore(c); err != nil {
		return err
	}
	return a.pass(a.wm)
}

// restore takes the state of this subtask. At another parallelism each takes that of the one with the smallest watermark: nothing that was in
// time becomes late.
func (a *assignOp[T]) restore(c *Context) error {
	if len(c.Old) == 0 {
		return nil
	}
	var mine assignState
	for i, b := range c.Old {
		var st assignState
		if err := json.Unmarshal(b, &st); err != nil {
			return fmt.Errorf("state of subtask %d in the checkpoint: %w", i, err)
		}
		switch {
		case len(c.Old) == c.Parallelism:
			if i == c.Subtask {
				mine = st
			}
		case i == 0 || st.Watermark < mine.Watermark:
			mine = st
		}
	}
	a.wm = mine.Watermark
	a.bounded.Restore(mine.Newest)
	if a.gen != nil && mine.Generator != nil {
		if err := a.gen.Restore(mine.Generator); err != nil {
			return fmt.Errorf("state of the watermarks in the checkpoint: %w", err)
		}
	}
	return nil
}

func (a *assignOp[T]) Input(int) Receiver { return a }

// Process stamps the records and puts the watermarks that they make in place of those of the input.
func (a *assignOp[T]) Process(in element.Batch) error {
	b := in.(*element.Of[T])
	c := a.c.Counters
	c.In.Add(int64(len(b.Records)))
	last := len(b.Steps) > 0 && b.Steps[len(b.Steps)-1].Time == element.EndTime
	b.Steps, b.Hashes = b.Steps[:0], b.Hashes[:0]
	bad, err := a.stamp(b)
	if err == nil {
		bad, err = a.advance(b)
	}
	if err != nil {
		b.Free()
		return fmt.Errorf("record %d of its batch: %w", bad, err)
	}
	a.idle = false
	c.Out.Add(int64(len(b.Records)))
	if len(b.Records) == 0 {
		b.Free()
	} else if err := a.out.Process(b); err != nil {
		return err
	}
	if last {
		return a.Watermark(element.EndTime)
	}
	return a.tell(a.wm)
}

// advance puts the watermarks into the batch.
func (a *assignOp[T]) advance(b *element.Of[T]) (bad int, err error) {
	if a.gen == nil {
		for i, t := range b.Times {
			if wm, moved := a.bounded.Observe(t); moved && wm > a.wm {
				a.wm = wm
				b.Advance(i+1, wm)
			}
		}
		return 0, nil
	}
	if len(b.Records) == 0 {
		return 0, nil
	}
	marks, bad, err := a.generate(a.gen, b)
	if err != nil {
		return bad, err
	}
	for i, wm := range marks {
		if wm > a.wm {
			a.wm = wm
			b.Advance(i+1, wm)
		}
	}
	a.bounded.Observe(slices.Max(b.Times))
	return 0, nil
}

// Watermark passes the end on. Others say only that the input is not idle any more.
func (a *assignOp[T]) Watermark(t int64) error {
	if t == element.EndTime { // not kept: the source says it again after a restart
		return a.pass(t)
	}
	if !a.idle {
		return nil
	}
	a.idle = false
	return a.pass(a.wm)
}

func (a *assignOp[T]) pass(wm int64) error {
	if wm == element.NoTime {
		return nil
	}
	if err := a.tell(wm); err != nil {
		return err
	}
	return a.out.Watermark(wm)
}

// Idle passes on that nothing holds the watermark here.
func (a *assignOp[T]) Idle() error {
	a.idle = true
	if err := a.tellIdle(); err != nil {
		return err
	}
	return a.out.Idle()
}

func (a *assignOp[T]) Freeze(uint64) (Cut, error) {
	st := assignState{Newest: a.bounded.State(), Watermark: a.wm}
	if a.gen != nil {
		st.Generator = a.gen.State()
	}
	b, err := json.Marshal(st)
	if err != nil {
		return Cut{}, fmt.Errorf("encode the state of watermarks: %w", err)
	}
	return Cut{State: b}, nil
}

func (a *assignOp[T]) Completed(uint64) {}
func (a *assignOp[T]) Close() error     { return nil }
