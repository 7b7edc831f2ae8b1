package operator

import (
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
)

// epochAgain is the time after which an operator that waits for an epoch asks for another: that one may have failed.
const epochAgain = time.Second

// InFlight lets the source wait while too many records have passed whose epoch is not decided.
type InFlight struct {
	stateless
	limit int64

	since  int64 // records since the last barrier
	cuts   []inFlightCut
	asked  bool
	askDue int64
}

// inFlightCut is an epoch that is not decided, with its records.
type inFlightCut struct {
	epoch   uint64
	records int64
}

// NewInFlight returns an operator that takes up to limit records, in all its subtasks together, until an epoch is decided.
func NewInFlight(limit int64) Op { return &InFlight{limit: limit, askDue: math.MaxInt64} }

// Open divides the limit among the subtasks.
func (f *InFlight) Open(c *Context) error {
	f.limit = max(1, f.limit/int64(c.Parallelism))
	return f.stateless.Open(c)
}

// Input returns the operator itself.
func (f *InFlight) Input(int) Receiver { return f }

// Process counts the records and passes them on.
func (f *InFlight) Process(b element.Batch) error {
	n := int64(b.Len())
	f.since += n
	f.c.Counters.In.Add(n)
	f.c.Counters.Out.Add(n)
	f.report()
	return f.out.Process(b)
}

// count returns the number of records in flight.
func (f *InFlight) count() int64 {
	n := f.since
	for _, c := range f.cuts {
		n += c.records
	}
	return n
}

func (f *InFlight) report() { f.c.Counters.InFlight.Store(f.count()) }

// Room returns how many records may follow. When there are none, it asks for an epoch: only that makes room.
func (f *InFlight) Room() int {
	room := f.limit - f.count()
	if room > 0 {
		f.askDue = math.MaxInt64
		return int(min(room, BatchSize))
	}
	if f.since > 0 && !f.asked {
		f.ask(f.c.Now())
	} else if f.askDue == math.MaxInt64 {
		f.askDue = satAdd(f.c.Now(), int64(epochAgain))
	}
	return 0
}

func (f *InFlight) ask(now int64) {
	f.asked = true
	f.askDue = satAdd(now, int64(epochAgain))
	f.c.Task.RequestEpoch()
}

// NextTick returns when to ask again.
func (f *InFlight) NextTick() int64 { return f.askDue }

// Tick asks again when an epoch has not come for long.
func (f *InFlight) Tick(now int64) error {
	if now >= f.askDue {
		f.ask(now)
	}
	return nil
}

// Freeze ends the count of an epoch.
func (f *InFlight) Freeze(epoch uint64) (Cut, error) {
	f.cuts = append(f.cuts, inFlightCut{epoch, f.since})
	f.since, f.asked = 0, false
	return Cut{}, nil
}

// Completed forgets the records of the epoch and of those before it, which failed and became part of it.
func (f *InFlight) Completed(epoch uint64) {
	f.cuts = slices.DeleteFunc(f.cuts, func(c inFlightCut) bool { return c.epoch <= epoch })
	f.report()
}
