package operator

import (
	"github.com/millrace-stream/millrace/internal/element"
)

// stateless is the part of operators that keep nothing between batches.
type stateless struct {
	c   *Context
	out Receiver
}

func (s *stateless) Open(c *Context) error {
	s.c, s.out = c, c.Outputs("")
	return nil
}

func (s *stateless) Freeze(uint64) (Cut, error) { return Cut{}, nil }
func (s *stateless) Completed(uint64)           {}
func (s *stateless) Close() error               { return nil }

func (s *stateless) Watermark(t int64) error { return s.out.Watermark(t) }
func (s *stateless) Idle() error             { return s.out.Idle() }

// mapOp applies a function to each record.
type mapOp[T, U any] struct {
	stateless
	pool *element.Pool[U]
	fn   func(in []T, out []U)
}

// NewMap returns an operator that turns each record into another: fn fills out, which is as long as in. The slots of out
// hold leftovers.
func NewMap[T, U any](pool *element.Pool[U], fn func(in []T, out []U)) Op {
	return &mapOp[T, U]{pool: pool, fn: fn}
}

func (m *mapOp[T, U]) Input(int) Receiver { return m }

func (m *mapOp[T, U]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := len(in.Records)
	out := m.pool.Get()
	if cap(out.Records) < n {
		out.Records = make([]U, n)
	}
	out.Records = out.Records[:n]
	m.fn(in.Records, out.Records)
	// Times and steps are the same: the two batches swap them. Hashes are of the old record.
	in.Header, out.Header = out.Header, in.Header
	out.Hashes = out.Hashes[:0]
	in.Free()
	m.c.Counters.In.Add(int64(n))
	m.c.Counters.Out.Add(int64(n))
	return m.out.Process(out)
}

// updateOp changes records in place.
type updateOp[T any] struct {
	stateless
	fn func([]T)
}

// NewUpdate returns an operator that changes the records of a batch in place.
func NewUpdate[T any](fn func([]T)) Op { return &updateOp[T]{fn: fn} }

func (u *updateOp[T]) Input(int) Receiver { return u }

func (u *updateOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := int64(len(in.Records))
	u.fn(in.Records)
	in.Hashes = in.Hashes[:0]
	u.c.Counters.In.Add(n)
	u.c.Counters.Out.Add(n)
	return u.out.Process(in)
}

// filterOp keeps some records.
type filterOp[T any] struct {
	stateless
	keep func(records []T, verdict []bool)
	buf  []bool
}

// NewFilter returns an operator that keeps the records for which keep sets the verdict.
func NewFilter[T any](keep func(records []T, verdict []bool)) Op {
	return &filterOp[T]{keep: keep}
}

func (f *filterOp[T]) Input(int) Receiver { return f }

func (f *filterOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := len(in.Records)
	if cap(f.buf) < n {
		f.buf = make([]bool, max(n, BatchSize))
	}
	verdict := f.buf[:n]
	f.keep(in.Records, verdict)
	kept, step := 0, 0
	for i, ok := range verdict {
		// Steps move to where their place is among the kept records.
		for step < len(in.Steps) && int(in.Steps[step].At) == i {
			in.Steps[step].At = int32(kept)
			step++
		}
		if !ok {
			continue
		}
		if kept != i {
			in.Records[kept] = in.Records[i]
			in.Times[kept] = in.Times[i]
			in.MoveOrigin(kept, i)
		}
		kept++
	}
	for ; step < len(in.Steps); step++ {
		in.Steps[step].At = int32(kept)
	}
	in.Records, in.Times, in.Hashes = in.Records[:kept], in.Times[:kept], in.Hashes[:0]
	in.CutOrigins(kept)
	in.Steps = mergeSteps(in.Steps)
	f.c.Counters.In.Add(int64(n))
	f.c.Counters.Out.Add(int64(kept))
	f.c.Counters.Filtered.Add(int64(n - kept))
	if kept == 0 {
		err := passSteps(in.Steps, f.out)
		in.Free()
		return err
	}
	return f.out.Process(in)
}

// filterMapOp turns some records into others and leaves the rest out, in one pass.
type filterMapOp[T, U any] struct {
	stateless
	pool *element.Pool[U]
	fn   func(in []T, out []U, from []int32) int
	from []int32
}

// NewFilterMap returns an operator that turns some records into others: fn fills the first slots of out, which is as long as in, and of from, where
// it notes the place of the record in in, and returns how many. The slots of out hold leftovers.
func NewFilterMap[T, U any](pool *element.Pool[U], fn func(in []T, out []U, from []int32) int) Op {
	return &filterMapOp[T, U]{pool: pool, fn: fn}
}

func (f *filterMapOp[T, U]) Input(int) Receiver { return f }

func (f *filterMapOp[T, U]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := len(in.Records)
	out := f.pool.Get()
	if cap(out.Records) < n {
		out.Records = make([]U, n)
	}
	if cap(f.from) < n {
		f.from = make([]int32, max(n, BatchSize))
	}
	kept := f.fn(in.Records, out.Records[:n], f.from[:n])
	out.Records = out.Records[:kept]
	in.Header, out.Header = out.Header, in.Header
	in.Free()
	pick(&out.Header, f.from[:kept])
	f.c.Counters.In.Add(int64(n))
	f.c.Counters.Out.Add(int64(kept))
	f.c.Counters.Filtered.Add(int64(n - kept))
	if kept == 0 {
		err := passSteps(out.Steps, f.out)
		out.Free()
		return err
	}
	return f.out.Process(out)
}

// pick keeps of a header what belongs to the records that stood at the places from, which rise. Hashes are of the old records.
func pick(h *element.Header, from []int32) {
	kept := 0
	for i := range h.Steps {
		for kept < len(from) && from[kept] < h.Steps[i].At {
			kept++
		}
		h.Steps[i].At = int32(kept)
	}
	h.Steps = mergeSteps(h.Steps)
	for to, at := range from {
		h.Times[to] = h.Times[at]
		h.MoveOrigin(to, int(at))
	}
	h.Times, h.Hashes = h.Times[:len(from)], h.Hashes[:0]
	h.CutOrigins(len(from))
}

// mergeSteps keeps the last of the steps that stand at the same place.
func mergeSteps(steps []element.Step) []element.Step {
	kept := steps[:0]
	for _, s := range steps {
		kept = element.AppendStep(kept, s)
	}
	return kept
}

// passSteps passes the watermarks of a batch without records on, as merged.
func passSteps(steps []element.Step, out Receiver) error {
	for _, s := range steps {
		if err := out.Watermark(s.Time); err != nil {
			return err
		}
	}
	return nil
}

// flatMapOp turns each record into any number of others.
type flatMapOp[T, U any] struct {
	stateless
	pool *element.Pool[U]
	fn   func(in *T, t int64, emit func(U)) error
	emit *Emitter[U]
	err  error
}

// NewFlatMap returns an operator that calls fn for each record. What it emits has the event time of the record.
func NewFlatMap[T, U any](pool *element.Pool[U], fn func(in *T, t int64, emit func(U)) error) Op {
	return &flatMapOp[T, U]{pool: pool, fn: fn}
}

func (f *flatMapOp[T, U]) Open(c *Context) error {
	if err := f.stateless.Open(c); err != nil {
		return err
	}
	f.emit = NewEmitter(f.pool, f.out, &c.Counters.Out)
	return nil
}

func (f *flatMapOp[T, U]) Input(int) Receiver { return f }

func (f *flatMapOp[T, U]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	f.c.Counters.In.Add(int64(len(in.Records)))
	var now int64
	var from *element.Origin
	emit := func(u U) {
		if f.err == nil {
			f.err = f.emit.EmitFrom(&u, now, from)
		}
	}
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) == i {
			f.emit.Advance(in.Steps[step].Time)
			step++
		}
		now, from = in.Times[i], in.Origin(i)
		if err := f.fn(&in.Records[i], now, emit); err != nil {
			in.Free()
			return recordError(err, now)
		}
		if f.err != nil {
			in.Free()
			return f.err
		}
	}
	for ; step < len(in.Steps); step++ {
		f.emit.Advance(in.Steps[step].Time)
	}
	in.Free()
	return f.emit.Flush()
}

// Union passes everything on; the task in front of it combines the watermarks of its inputs.
type Union struct{ stateless }

// NewUnion returns an operator that passes on what comes, from any input.
func NewUnion() Op { return &Union{} }

// Input returns the operator itself for each port.
func (u *Union) Input(int) Receiver { return u }

// Process passes the batch on.
func (u *Union) Process(b element.Batch) error {
	n := int64(b.Len())
	u.c.Counters.In.Add(n)
	u.c.Counters.Out.Add(n)
	h := b.Head()
	h.Hashes = h.Hashes[:0]
	return u.out.Process(b)
}
