package window

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/millrace-stream/millrace/codec"
)

// Decision is what a trigger wants of a window.
type Decision uint8

// The decisions. Fire gives a result, if the window has content. Purge makes the window forget its content, and keeps the number of
// its revisions.
const (
	Continue     Decision = 0
	Fire         Decision = 1
	Purge        Decision = 2
	FireAndPurge          = Fire | Purge
)

// String returns the name of the decision.
func (d Decision) String() string {
	switch d {
	case Continue:
		return "Continue"
	case Fire:
		return "Fire"
	case Purge:
		return "Purge"
	case FireAndPurge:
		return "FireAndPurge"
	}
	return fmt.Sprintf("Decision(%d)", uint8(d))
}

// Custom is a trigger of one's own for records of type T. It is a struct of functions over a state of type S, which must be of a type
// that package codec can encode and should be small: there is one for each key and window, zero at first, and it is in the
// checkpoint. What the functions change in it is kept.
//
//	window.Custom[Order, struct{}]{
//		Name: "closed",
//		OnRecord: func(_ window.TriggerContext, _ *struct{}, o *Order) window.Decision {
//			if o.Closed {
//				return window.FireAndPurge
//			}
//			return window.Continue
//		},
//	}
//
// The functions are called by several goroutines, each for windows of its own, so they must keep nothing anywhere else. They are not
// told of results that other triggers give; TriggerContext.NewRecords says what has come since the last one. Given as it is, not as
// a part of others, a custom trigger alone decides: what it does not fire before the window is forgotten is in no result.
type Custom[T, S any] struct {
	// Name names the trigger in checkpoints and messages.
	Name string
	// OnRecord is called when a record has been added to the window. It must not change the record, nor keep it.
	OnRecord func(c TriggerContext, s *S, r *T) Decision
	// OnEventTime is called when the watermark has reached the time of the event timer, and when it has reached the end of the
	// window, for which no timer is needed. The end of a count window is its last record, that of global windows the end of bounded
	// input. Nil stands for Continue.
	OnEventTime func(c TriggerContext, s *S) Decision
	// OnProcessingTime is called when the time of the processing timer has come, and at the end of bounded input if it has not. Nil
	// stands for Continue.
	OnProcessingTime func(c TriggerContext, s *S) Decision
	// OnMerge is called when two sessions become one: it adds what src knows to dst. Of each kind of timers the earlier one stays. It
	// is needed for sessions only.
	OnMerge func(dst, src *S)
}

// TriggerContext is what the functions of a custom trigger work with. It is valid during the call.
type TriggerContext interface {
	// Window is the span of the window. For count and global windows it is that of the event times in it, and zero if there are none.
	Window() Span
	// EventTime is that of the record, the time of the event timer that fires, or the last instant of the window that ends. In
	// OnProcessingTime it is the watermark.
	EventTime() time.Time
	// Watermark is the operator's clock. ok is false before the first.
	Watermark() (t time.Time, ok bool)
	// Ended reports whether the watermark has reached the last instant of the window.
	Ended() bool
	// ProcessingTime is the time at which the call was due: now, or the time of the processing timer that fires.
	ProcessingTime() time.Time
	// Records is the number of records in the window since it was purged.
	Records() int64
	// NewRecords is the number of records since the last result or purge.
	NewRecords() int64
	// SetEventTimer sets or moves the event timer of the window. One for a time that the watermark has reached fires when it
	// moves. One for a time after the window is forgotten never fires.
	SetEventTimer(t time.Time)
	// SetProcessingTimer sets or moves the processing timer of the window. One for a time that is past fires at once.
	SetProcessingTimer(t time.Time)
	// DeleteTimers removes both timers.
	DeleteTimers()
}

// TriggerSpec returns what the trigger says.
func (c Custom[T, S]) TriggerSpec() TriggerSpec {
	spec := &CustomSpec{
		Name: c.Name, Record: reflect.TypeFor[T](), State: codec.Describe[S](), Merges: c.OnMerge != nil,
	}
	state, err := codec.For[S]()
	if err != nil {
		spec.err = fmt.Errorf("window: %v: the state cannot be kept in checkpoints: %w", spec, err)
	}
	if c.Name == "" {
		spec.err = errors.Join(spec.err, fmt.Errorf("window: %v: it has no name", spec))
	}
	if c.OnRecord == nil {
		spec.err = errors.Join(spec.err, fmt.Errorf("window: %v: OnRecord is nil", spec))
	}
	spec.New = func() CustomRun { return &customRun[T, S]{Custom: c, codec: state} }
	return TriggerSpec{Kind: TriggerCustom, Custom: spec}
}

// Check returns all mistakes, joined.
func (c Custom[T, S]) Check() error { return c.TriggerSpec().Check() }

// String returns the name in the form of a call.
func (c Custom[T, S]) String() string { return c.TriggerSpec().String() }

func (Custom[T, S]) sealedTrigger() {}

// CustomSpec is a custom trigger in the form that the engine reads.
type CustomSpec struct {
	// Name is that of the trigger.
	Name string
	// Record is the type of the records that it takes, State the description of its state.
	Record reflect.Type
	State  string
	// Merges says that it can be used for sessions.
	Merges bool
	// New returns an instance for one goroutine.
	New func() CustomRun

	err error
}

// String returns the name in the form of a call.
func (c *CustomSpec) String() string { return fmt.Sprintf("Custom(%q)", c.Name) }

func (c *CustomSpec) check() error { return c.err }

// CustomRun calls the functions of a custom trigger with states in their encoded form; an empty one is a zero state. What is returned is
// the state after the call, in the memory of the state before it if there is room.
type CustomRun interface {
	// Record calls OnRecord; r is a pointer to the record.
	Record(c TriggerContext, state []byte, r any) ([]byte, Decision, error)
	// EventTime calls OnEventTime.
	EventTime(c TriggerContext, state []byte) ([]byte, Decision, error)
	// ProcessingTime calls OnProcessingTime.
	ProcessingTime(c TriggerContext, state []byte) ([]byte, Decision, error)
	// Merge calls OnMerge.
	Merge(dst, src []byte) ([]byte, error)
}

// customRun keeps the decoded state of the call at hand; a local one would be allocated for each.
type customRun[T, S any] struct {
	Custom[T, S]
	codec      codec.Codec[S]
	state, src S
}

func (c *customRun[T, S]) load(s *S, state []byte) error {
	if len(state) == 0 {
		var zero S
		*s = zero
		return nil
	}
	rest, err := c.codec.Decode(state, s)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	if err != nil {
		return fmt.Errorf("window: the state of trigger %q in the checkpoint is not readable: %w", c.Name, err)
	}
	return nil
}

// call runs f on a state.
func (c *customRun[T, S]) call(state []byte, f func() Decision) ([]byte, Decision, error) {
	if err := c.load(&c.state, state); err != nil {
		return state, Continue, err
	}
	d := f()
	if d > FireAndPurge {
		return state, Continue, fmt.Errorf("window: trigger %q decides %v: there is Continue, Fire, Purge and FireAndPurge", c.Name, d)
	}
	return c.codec.Append(state[:0], &c.state), d, nil
}

func (c *customRun[T, S]) Record(ctx TriggerContext, state []byte, r any) ([]byte, Decision, error) {
	return c.call(state, func() Decision { return c.OnRecord(ctx, &c.state, r.(*T)) })
}

func (c *customRun[T, S]) EventTime(ctx TriggerContext, state []byte) ([]byte, Decision, error) {
	if c.OnEventTime == nil {
		return state, Continue, nil
	}
	return c.call(state, func() Decision { return c.OnEventTime(ctx, &c.state) })
}

func (c *customRun[T, S]) ProcessingTime(ctx TriggerContext, state []byte) ([]byte, Decision, error) {
	if c.OnProcessingTime == nil {
		return state, Continue, nil
	}
	return c.call(state, func() Decision { return c.OnProcessingTime(ctx, &c.state) })
}

func (c *customRun[T, S]) Merge(dst, src []byte) ([]byte, error) {
	if err := c.load(&c.src, src); err != nil {
		return dst, err
	}
	dst, _, err := c.call(dst, func() Decision { c.OnMerge(&c.state, &c.src); return Continue })
	return dst, err
}
