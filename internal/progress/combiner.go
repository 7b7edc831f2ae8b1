package progress

import (
	"fmt"

	"github.com/millrace-stream/millrace/internal/element"
)

// Status is how an input takes part in the combined watermark.
type Status uint8

// The statuses of an input.
//
//	          SetIdle(true)
//	+--------+ ----------> +------+
//	| Active |             | Idle |    End, Remove: from any of the three
//	+--------+ <---------- +------+
//	    ^      awake, not   |    ^
//	    |      behind       |    | SetIdle(true)
//	    |                   v    |
//	    +----------------- +--------+
//	       caught up       | Behind |
//	                       +--------+
const (
	// Active inputs hold the output: it is the smallest of their watermarks.
	Active Status = iota + 1
	// Behind inputs woke up below the output. They do not count until they have reached it: it cannot go back to them,
	// and the records they bring are late in any case, so nothing is won by waiting.
	Behind
	// Idle inputs do not count until they wake up.
	Idle
	// Ended inputs bring no more records; their watermark is element.EndTime.
	Ended
	// Removed inputs went somewhere else.
	Removed
)

// String returns the status in one word.
func (s Status) String() string {
	switch s {
	case Active:
		return "active"
	case Behind:
		return "behind"
	case Idle:
		return "idle"
	case Ended:
		return "ended"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Combiner makes one watermark of those of several inputs. Inputs have numbers, counted from 0 in the order of their Add; a number
// that was not given is a mistake of the caller and panics like an index. Make it with NewCombiner or RestoreCombiner.
//
// The rules, applied after every call:
//
//	some input is active            output = smallest watermark of the active ones
//	none active, some behind        output stays
//	all that are left are idle      output = largest watermark of the idle ones
//	none left, and some have ended  output = element.EndTime
//	none left, and none has ended   output stays
//
// where the output never goes back, and an input that is behind becomes active when its watermark is not below the output. Because the
// rules are applied as a whole each time, the result depends on what the inputs are and not on which of them changed last: an input
// that wakes up above the output, while all others are behind or idle, moves the output by waking up.
//
// A new input is active: the output waits for it, since its first records may well be in time. One that has nothing to say must be
// set idle.
//
// Invariants:
//
//	C1  output never goes back
//	C2  heap holds the active inputs, smallest watermark first
//	C3  a Behind input has a watermark below the output
type Combiner struct {
	inputs []input
	// heap holds the numbers of the active inputs.
	heap []int32
	// count is the number of inputs in each status.
	count [Removed + 1]int
	out   int64
}

type input struct {
	wm     int64
	at     int32 // place in the heap of an active input
	status Status
}

// NewCombiner returns a combiner of n inputs, all active, of which nothing is known.
func NewCombiner(n int) *Combiner {
	c := &Combiner{inputs: make([]input, 0, n), heap: make([]int32, 0, n), out: element.NoTime}
	for range n {
		c.Add()
	}
	return c
}

// Add adds an active input of which nothing is known and returns its number. The output stays.
func (c *Combiner) Add() int {
	i := len(c.inputs)
	c.inputs = append(c.inputs, input{wm: element.NoTime})
	c.enter(i, Active)
	return i
}

// Len returns the number of inputs that were added, with those that have ended or were removed.
func (c *Combiner) Len() int { return len(c.inputs) }

// Output returns the combined watermark, element.NoTime before the first.
func (c *Combiner) Output() int64 { return c.out }

// Status returns how the input takes part.
func (c *Combiner) Status(i int) Status { return c.inputs[i].status }

// Watermark returns the watermark of the input.
func (c *Combiner) Watermark(i int) int64 { return c.inputs[i].wm }

// Slowest returns the active input that holds the output; ok is false when none is active.
func (c *Combiner) Slowest() (i int, ok bool) {
	if len(c.heap) == 0 {
		return 0, false
	}
	return int(c.heap[0]), true
}

// AllIdle reports whether the output is idle: all inputs that are left are idle, or all have been removed. It is false while no input
// was ever added: only the owner knows whether some will be.
func (c *Combiner) AllIdle() bool {
	return c.count[Active]+c.count[Behind] == 0 && (c.count[Idle] > 0 || c.count[Removed] > 0 && c.count[Ended] == 0)
}

// Advance sets the watermark of an input and wakes it up if it is idle. A watermark below the one it has is taken for that one. It
// returns the output and whether it moved. element.EndTime is the same as End. An input that has ended or was removed stays so.
func (c *Combiner) Advance(i int, wm int64) (out int64, advanced bool) {
	in := &c.inputs[i]
	if in.status >= Ended {
		return c.out, false
	}
	if wm == element.EndTime {
		// As an active input it would lift the output to the end while idle ones may still wake up.
		return c.End(i)
	}
	in.wm = max(in.wm, wm)
	if in.status != Active {
		c.rejoin(i)
	} else {
		c.sink(int(in.at))
	}
	return c.settle()
}

// SetIdle makes an input idle or wakes it up, and returns the output and whether it moved.
func (c *Combiner) SetIdle(i int, idle bool) (out int64, advanced bool) {
	switch s := c.inputs[i].status; {
	case s >= Ended:
	case idle && s != Idle:
		c.leave(i)
		c.enter(i, Idle)
	case !idle && s == Idle:
		c.rejoin(i)
	}
	return c.settle()
}

// End says that an input brings no more records: its watermark is element.EndTime. When all inputs have ended, so is the output. A source
// that may still find other splits must Remove those that are finished instead.
func (c *Combiner) End(i int) (out int64, advanced bool) {
	if c.inputs[i].status < Ended {
		c.leave(i)
		c.inputs[i].wm = element.EndTime
		c.enter(i, Ended)
	}
	return c.settle()
}

// Remove says that an input is no longer read here. It does not count any more, and says nothing about the end.
func (c *Combiner) Remove(i int) (out int64, advanced bool) {
	if s := c.inputs[i].status; s != Removed {
		c.leave(i)
		c.enter(i, Removed)
	}
	return c.settle()
}

// rejoin makes a live input active if it is not behind the output.
func (c *Combiner) rejoin(i int) {
	status := Active
	if c.inputs[i].wm < c.out {
		status = Behind
	}
	if c.inputs[i].status != status {
		c.leave(i)
		c.enter(i, status)
	}
}

// settle applies the rules and returns the output and whether it moved.
func (c *Combiner) settle() (int64, bool) {
	wm := c.out
	switch {
	case len(c.heap) > 0:
		wm = c.inputs[c.heap[0]].wm
	case c.count[Behind] > 0:
	case c.count[Idle] > 0:
		for i := range c.inputs {
			if c.inputs[i].status == Idle {
				wm = max(wm, c.inputs[i].wm)
			}
		}
	case c.count[Ended] > 0:
		wm = element.EndTime
	}
	if wm <= c.out {
		return c.out, false
	}
	c.out = wm
	return wm, true
}
