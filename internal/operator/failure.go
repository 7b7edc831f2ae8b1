package operator

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// ErrorAction says what becomes of a record that fails.
type ErrorAction uint8

// The actions.
const (
	// FailJob fails the job.
	FailJob ErrorAction = iota
	// SkipRecord leaves the record out, counted and logged.
	SkipRecord
	// DeadLetterRecord puts it into DeadLetterSide instead.
	DeadLetterRecord
)

// ErrorSpec is the error policy of an operator.
type ErrorSpec struct {
	Action ErrorAction
	// Retries is how often a record that failed is tried again before that. Backoff is the wait before the first time, doubled each
	// time up to MaxBackoff.
	Retries             int
	Backoff, MaxBackoff time.Duration
}

// DeadLetterSide is the output of the records that have failed, where they are dead letters.
const DeadLetterSide = "dead letters"

// DeadLetter is a record that could not be handled, and what is known about it.
type DeadLetter struct {
	// Job and Operator are the ids of the job and of the operator at which the record failed.
	Job      string `json:"job"`
	Operator string `json:"operator"`
	// Source, Split, Record and Place are where the record comes from, as in Origin. They are empty when the record was made by a stateful operator.
	Source string `json:"source,omitempty"`
	Split  string `json:"split,omitempty"`
	Record int64  `json:"record"`
	Place  string `json:"place,omitempty"`
	// EventTime is that of the record; zero when it failed before it had one.
	EventTime time.Time `json:"event_time"`
	// Error says why it failed, the last time. Panic says that it was a panic; its stack is in the log.
	Error string `json:"error"`
	Panic bool   `json:"panic,omitempty"`
	// Attempts is how often it was tried.
	Attempts int `json:"attempts"`
	// Replays is how often it was a dead letter before, that was handled again and failed again.
	Replays int `json:"replays,omitempty"`
	// Encoding says what Raw is: "raw" is what the source has read, "json" the record as encoding/json writes it, "text" the record as fmt prints
	// it, when it cannot be written as JSON.
	Encoding string `json:"encoding"`
	Raw      []byte `json:"raw"`
}

// The encodings of dead letters.
const (
	EncodedRaw  = "raw"
	EncodedJSON = "json"
	EncodedText = "text"
)

// letterPool has the batches of all dead letters.
var letterPool = element.NewPool[DeadLetter](ExchangeSize).Sized(codec.SizeOf[DeadLetter]())

// failures is what becomes of the records that fail in one operator. Its zero value, of operators without a policy, does nothing.
type failures struct {
	spec *ErrorSpec
	c    *Context
	// letters is nil when there are no dead letters.
	letters *Emitter[DeadLetter]
	told    logLimit
	// replays is that of letters, while one is handled again.
	replays int
}

// logLimit bounds the log lines about records: a few at once, then one in a while.
type logLimit struct {
	burst, hidden int
	next          int64
}

const (
	logBurst = 5
	logEvery = 10 * time.Second
)

// take reports whether there is to be a line now, and how many there were none for.
func (l *logLimit) take(now int64) (hidden int, ok bool) {
	if l.burst >= logBurst && now < l.next {
		l.hidden++
		return 0, false
	}
	l.burst++
	l.next = now + int64(logEvery)
	hidden, l.hidden = l.hidden, 0
	return hidden, true
}

func (f *failures) open(c *Context) {
	f.c, f.spec = c, c.Errors
	if f.spec != nil && f.spec.Action == DeadLetterRecord {
		f.letters = NewEmitter(letterPool, c.Outputs(DeadLetterSide), nil)
	}
}

// on reports whether there is a policy.
func (f *failures) on() bool { return f.spec != nil }

// follow lets those behind the dead letters know the watermark, after the letters before it.
func (f *failures) follow(t int64) error {
	if f.letters == nil {
		return nil
	}
	if t > element.NoTime {
		f.letters.Advance(t)
	}
	return f.letters.Flush()
}

// behind is follow for the watermarks of a batch.
func (f *failures) behind(steps []element.Step) error {
	if f.letters == nil {
		return nil
	}
	if len(steps) == 0 {
		return f.letters.Flush()
	}
	return f.follow(steps[len(steps)-1].Time)
}

// idle lets them know that nothing holds it back.
func (f *failures) idle() error {
	if f.letters == nil {
		return nil
	}
	return f.letters.to.Idle()
}

// failure is a record that has failed.
type failure struct {
	err      error
	attempts int
	origin   *element.Origin
	// event is the event time, if timed; at is that of its dead letter on its way.
	event, at int64
	timed     bool
	// raw is what was read; nil for a record, a pointer to which is in record.
	raw    []byte
	record any
}

// again waits before the next attempt. It returns false when there is none.
func (f *failures) again(attempts int) (bool, error) {
	if attempts > f.spec.Retries {
		return false, nil
	}
	f.c.Counters.Retries.Add(1)
	wait := f.spec.Backoff << min(attempts-1, 30)
	if wait > f.spec.MaxBackoff || wait < f.spec.Backoff { // the shift may have run over
		wait = f.spec.MaxBackoff
	}
	return true, f.c.Task.Await(f.c.Now()+int64(wait), func() bool { return false })
}

// failed does with a record what the policy says. The error is that of the job.
func (f *failures) failed(x *failure) error {
	if f.spec.Action == FailJob {
		if x.timed {
			return recordError(x.err, x.event)
		}
		return x.err
	}
	f.log(x)
	if f.spec.Action == SkipRecord {
		f.c.Counters.Skipped.Add(1)
		return nil
	}
	f.c.Counters.DeadLettered.Add(1)
	l := f.letter(x)
	return f.letters.Emit(&l, x.at)
}

func (f *failures) log(x *failure) {
	hidden, ok := f.told.take(f.c.Now())
	if !ok {
		return
	}
	place := ""
	if x.origin != nil {
		place = x.origin.Place
	}
	what := "left out"
	if f.spec.Action == DeadLetterRecord {
		what = "dead letter"
	}
	f.c.Log.Warn("record failed", "job", f.c.Job, "operator", f.c.ID, "subtask", f.c.Subtask, "place", place, "error", x.err, "attempts", x.attempts,
		"policy", what, "unlogged", hidden)
}

func (f *failures) letter(x *failure) DeadLetter {
	l := DeadLetter{Job: f.c.Job, Operator: f.c.ID, Error: x.err.Error(), Attempts: x.attempts, Replays: f.replays}
	if p, ok := errors.AsType[*PanicError](x.err); ok {
		l.Error, l.Panic = fmt.Sprintf("panic: %v", p.Value), true // without the stack, which differs from run to run
	}
	if o := x.origin; o != nil {
		l.Source, l.Split, l.Record, l.Place = o.Split.Source, o.Split.Split, o.Record, o.Place
	}
	if x.timed {
		l.EventTime = timeOf(x.event)
	}
	l.Raw, l.Encoding = x.raw, EncodedRaw
	if x.record == nil {
		return l
	}
	b, err := json.Marshal(x.record)
	l.Raw, l.Encoding = b, EncodedJSON
	if err != nil {
		l.Raw, l.Encoding = fmt.Appendf(nil, "%+v", x.record), EncodedText
	}
	return l
}

// caught turns what was recovered from a function of the job into its error. A failing disk is none of the record's.
func caught(p any) error {
	if _, ok := p.(keyed.DiskFailure); ok {
		panic(p)
	}
	return &PanicError{Value: p, Stack: debug.Stack()}
}

// whole calls fn and reports whether it did not panic.
func whole(fn func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			_ = caught(p)
			ok = false
		}
	}()
	fn()
	return true
}

// try calls fn and returns what it panics with.
func try(fn func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = caught(p)
		}
	}()
	fn()
	return nil
}

// one calls a function for the record i of a batch, as often as the policy says. It returns false when the record is left out.
func (f *failures) one(h *element.Header, i int, record any, fn func()) (bool, error) {
	for attempts := 1; ; attempts++ {
		err := try(fn)
		if err == nil {
			return true, nil
		}
		again, stop := f.again(attempts)
		if stop != nil {
			return false, stop
		}
		if !again {
			return false, f.failed(&failure{err: err, attempts: attempts, origin: h.Origin(i), event: h.Times[i], at: h.Times[i], timed: true, record: record})
		}
	}
}

// stepwise is an operator that calls a function for one record after the other, where one that fails may be half done.
type stepwise interface {
	// step moves the watermark, between records.
	step(t int64) error
	// run calls the function for the records from to to-1. It returns the first that it has not done: with an error, since it has failed, or
	// without, at to or where settle is due.
	run(from, to int) (at int, err error)
	// undo takes back what the record that has failed has done so far.
	undo()
	// settle passes on what has been put out. It is called where nothing catches panics: those of others are not the record's.
	settle() error
	// record returns a pointer to a record.
	record(i int) any
}

// fatalError is an error within a call that no policy is asked about: a mistake of the job, not of the record.
type fatalError struct{ error }

// each runs an operator over the n records of a batch.
func (f *failures) each(h *element.Header, n int, op stepwise) error {
	step, at, attempts := 0, 0, 0
	for at < n {
		for ; step < len(h.Steps) && int(h.Steps[step].At) <= at; step++ {
			if err := op.step(h.Steps[step].Time); err != nil {
				return err
			}
		}
		to := n
		if step < len(h.Steps) {
			to = min(to, int(h.Steps[step].At))
		}
		next, err := op.run(at, to)
		if next > at {
			at, attempts = next, 0
		}
		if err != nil {
			op.undo()
			if fatal, ok := errors.AsType[fatalError](err); ok {
				return recordError(fatal.error, h.Times[at])
			}
			attempts++
			again, stop := f.again(attempts)
			if stop != nil {
				return stop
			}
			if !again {
				t := h.Times[at]
				if err := f.failed(&failure{err: err, attempts: attempts, origin: h.Origin(at), event: t, at: t, timed: true, record: op.record(at)}); err != nil {
					return err
				}
				at, attempts = at+1, 0
			}
		}
		if err := op.settle(); err != nil {
			return err
		}
	}
	for ; step < len(h.Steps); step++ {
		if err := op.step(h.Steps[step].Time); err != nil {
			return err
		}
	}
	return f.behind(h.Steps)
}

// placeOf returns the record that an error of a reader is about, or nil.
func placeOf(err error) *connect.RecordError {
	if re, ok := errors.AsType[*connect.RecordError](err); ok {
		return re
	}
	return nil
}
