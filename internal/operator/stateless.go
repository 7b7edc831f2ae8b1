package operator

import (
	"github.com/millrace-stream/millrace/internal/element"
)

// stateless is the part of operators that keep nothing between batches.
type stateless struct {
	c    *Context
	out  Receiver
	fail failures
}

func (s *stateless) Open(c *Context) error {
	s.c, s.out = c, c.Outputs("")
	s.fail.open(c)
	return nil
}

func (s *stateless) Freeze(uint64) (Cut, error) { return Cut{}, nil }
func (s *stateless) Completed(uint64)           {}
func (s *stateless) Close() error               { return nil }

func (s *stateless) Watermark(t int64) error {
	if err := s.fail.follow(t); err != nil {
		return err
	}
	return s.out.Watermark(t)
}

func (s *stateless) Idle() error {
	if err := s.fail.idle(); err != nil {
		return err
	}
	return s.out.Idle()
}

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
	if m.fail.on() {
		return m.guarded(in, out)
	}
	m.fn(in.Records, out.Records)
	// Times and steps are the same: the two batches swap them. Hashes are of the old record.
	in.Header, out.Header = out.Header, in.Header
	out.Hashes = out.Hashes[:0]
	in.Free()
	m.c.Counters.In.Add(int64(n))
	m.c.Counters.Out.Add(int64(n))
	return m.out.Process(out)
}

// guarded is the rest of Process with an error policy. A batch in which a record fails is done again, one record after the other.
func (m *mapOp[T, U]) guarded(in *element.Of[T], out *element.Of[U]) error {
	n := len(in.Records)
	var from []int32
	all := whole(func() { m.fn(in.Records, out.Records) })
	for i := 0; i < n && !all; i++ {
		at := len(from)
		ok, err := m.fail.one(&in.Header, i, &in.Records[i], func() { m.fn(in.Records[i:i+1], out.Records[at:at+1]) })
		if err != nil {
			in.Free()
			out.Free()
			return err
		}
		if ok {
			from = append(from, int32(i))
		}
	}
	in.Header, out.Header = out.Header, in.Header
	out.Hashes = out.Hashes[:0]
	in.Free()
	if err := m.fail.behind(out.Steps); err != nil {
		out.Free()
		return err
	}
	if !all {
		clear(out.Records[len(from):])
		out.Records = out.Records[:len(from)]
		pick(&out.Header, from)
	}
	m.c.Counters.In.Add(int64(n))
	m.c.Counters.Out.Add(int64(len(out.Records)))
	return pass(out, m.out)
}

// pass passes a batch on, or the watermarks of one without records.
func pass[T any](b *element.Of[T], to Receiver) error {
	if len(b.Records) > 0 {
		return to.Process(b)
	}
	err := passSteps(b.Steps, to)
	b.Free()
	return err
}

// updateOp changes records in place.
type updateOp[T any] struct {
	stateless
	fn func([]T)
	// before are the records of the batch as they came, with an error policy.
	before []T
}

// NewUpdate returns an operator that changes the records of a batch in place.
func NewUpdate[T any](fn func([]T)) Op { return &updateOp[T]{fn: fn} }

func (u *updateOp[T]) Input(int) Receiver { return u }

func (u *updateOp[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := int64(len(in.Records))
	if u.fail.on() {
		return u.guarded(in)
	}
	u.fn(in.Records)
	in.Hashes = in.Hashes[:0]
	u.c.Counters.In.Add(n)
	u.c.Counters.Out.Add(n)
	return u.out.Process(in)
}

// guarded is Process with an error policy. What a function has done to a record before it failed is done to a copy.
func (u *updateOp[T]) guarded(in *element.Of[T]) error {
	n := len(in.Records)
	u.before = append(u.before[:0], in.Records...)
	in.Hashes = in.Hashes[:0]
	u.c.Counters.In.Add(int64(n))
	if !whole(func() { u.fn(in.Records) }) {
		var from []int32
		for i := range n {
			at := len(from)
			ok, err := u.fail.one(&in.Header, i, &u.before[i], func() {
				in.Records[at] = u.before[i]
				u.fn(in.Records[at : at+1])
			})
			if err != nil {
				in.Free()
				return err
			}
			if ok {
				from = append(from, int32(i))
			}
		}
		in.Records = in.Records[:len(from)]
		if err := u.fail.behind(in.Steps); err != nil {
			in.Free()
			return err
		}
		pick(&in.Header, from)
	} else if err := u.fail.behind(in.Steps); err != nil {
		in.Free()
		return err
	}
	u.c.Counters.Out.Add(int64(len(in.Records)))
	return pass(in, u.out)
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
	left := 0 // records that failed
	if !f.fail.on() {
		f.keep(in.Records, verdict)
	} else if err := f.guarded(in, verdict, &left); err != nil {
		in.Free()
		return err
	}
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
	f.c.Counters.Filtered.Add(int64(n - kept - left))
	return pass(in, f.out)
}

// guarded finds the verdicts with an error policy, and counts the records that failed.
func (f *filterOp[T]) guarded(in *element.Of[T], verdict []bool, left *int) error {
	if whole(func() { f.keep(in.Records, verdict) }) {
		return f.fail.behind(in.Steps)
	}
	for i := range in.Records {
		ok, err := f.fail.one(&in.Header, i, &in.Records[i], func() { f.keep(in.Records[i:i+1], verdict[i:i+1]) })
		if err != nil {
			return err
		}
		if !ok {
			verdict[i] = false
			*left++
		}
	}
	return f.fail.behind(in.Steps)
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
	var kept, left int // left are the records that failed
	if f.fail.on() {
		var err error
		if kept, left, err = f.guarded(in, out); err != nil {
			in.Free()
			out.Free()
			return err
		}
	} else {
		kept = f.fn(in.Records, out.Records[:n], f.from[:n])
	}
	out.Records = out.Records[:kept]
	in.Header, out.Header = out.Header, in.Header
	in.Free()
	pick(&out.Header, f.from[:kept])
	f.c.Counters.In.Add(int64(n))
	f.c.Counters.Out.Add(int64(kept))
	f.c.Counters.Filtered.Add(int64(n - kept - left))
	return pass(out, f.out)
}

// guarded calls the function with an error policy. It returns how many records are kept, and how many have failed.
func (f *filterMapOp[T, U]) guarded(in *element.Of[T], out *element.Of[U]) (kept, left int, err error) {
	n := len(in.Records)
	if whole(func() { kept = f.fn(in.Records, out.Records[:n], f.from[:n]) }) {
		return kept, 0, f.fail.behind(in.Steps)
	}
	kept = 0
	for i := range in.Records {
		took := 0
		ok, err := f.fail.one(&in.Header, i, &in.Records[i], func() { took = f.fn(in.Records[i:i+1], out.Records[kept:kept+1], f.from[kept:kept+1]) })
		switch {
		case err != nil:
			return 0, 0, err
		case !ok:
			left++
		case took > 0:
			f.from[kept] = int32(i)
			kept++
		}
	}
	return kept, left, f.fail.behind(in.Steps)
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
	// With an error policy: the batch, the record at hand, and how many records there were in emit before it.
	in       *element.Of[T]
	at, mark int
	used     int64
	give     func(U)
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
	if f.fail.on() {
		f.emit.Hold(true)
		f.give = func(u U) {
			// It holds, so this is no more than an append.
			_ = f.emit.EmitFrom(&u, f.in.Times[f.at], f.in.Origin(f.at))
		}
	}
	return nil
}

func (f *flatMapOp[T, U]) Input(int) Receiver { return f }

func (f *flatMapOp[T, U]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	f.c.Counters.In.Add(int64(len(in.Records)))
	if f.fail.on() {
		return f.guarded(in)
	}
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
	f.c.Counters.Used.Add(int64(len(in.Records)))
	in.Free()
	return f.emit.Flush()
}

// guarded is Process with an error policy.
func (f *flatMapOp[T, U]) guarded(in *element.Of[T]) error {
	defer in.Free()
	f.in = in
	if err := f.fail.each(&in.Header, len(in.Records), f); err != nil {
		return err
	}
	return f.emit.Flush()
}

func (f *flatMapOp[T, U]) step(t int64) error {
	f.emit.Advance(t)
	return nil
}

func (f *flatMapOp[T, U]) run(from, to int) (at int, err error) {
	defer func() {
		if p := recover(); p != nil {
			at, err = f.at, caught(p)
		}
	}()
	for f.at = from; f.at < to && !f.emit.Full(); f.at, f.used = f.at+1, f.used+1 {
		f.mark = f.emit.Mark()
		if err := f.fn(&f.in.Records[f.at], f.in.Times[f.at], f.give); err != nil {
			return f.at, err
		}
	}
	return f.at, nil
}

func (f *flatMapOp[T, U]) undo() { f.emit.Cut(f.mark) }

func (f *flatMapOp[T, U]) settle() error {
	f.c.Counters.Used.Add(f.used)
	f.used = 0
	if f.emit.Full() {
		return f.emit.Flush()
	}
	return nil
}

func (f *flatMapOp[T, U]) record(i int) any { return &f.in.Records[i] }

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
