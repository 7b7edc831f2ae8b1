package progress

import (
	"fmt"

	"github.com/millrace-stream/millrace/internal/element"
)

// InputState is one input of a combiner in a checkpoint.
type InputState struct {
	Watermark int64
	Status    Status
}

// CombinerState is a combiner in a checkpoint.
type CombinerState struct {
	// Output is the combined watermark.
	Output int64
	// Inputs are ordered by number.
	Inputs []InputState
}

// State returns what a checkpoint needs.
func (c *Combiner) State() CombinerState {
	s := CombinerState{Output: c.Output(), Inputs: make([]InputState, len(c.inputs))}
	for i, in := range c.inputs {
		s.Inputs[i] = InputState{in.wm, in.status}
	}
	return s
}

// RestoreCombiner returns the combiner that a state describes. The output is taken as it stands, also when the inputs would allow a
// higher one, as they may when they were put together anew for another parallelism: it moves with the next call.
func RestoreCombiner(s CombinerState) (*Combiner, error) {
	c := &Combiner{out: s.Output}
	for i, in := range s.Inputs {
		switch {
		case in.Status < Active || in.Status > Removed:
			return nil, fmt.Errorf("progress: restore: input %d has the unknown status %d", i, uint8(in.Status))
		case in.Status == Behind && in.Watermark >= s.Output:
			return nil, fmt.Errorf("progress: restore: input %d is behind with watermark %d, but the output is %d", i, in.Watermark, s.Output)
		case in.Status != Removed && (in.Status == Ended) != (in.Watermark == element.EndTime):
			return nil, fmt.Errorf("progress: restore: input %d is %v with watermark %d; it must be ended at %d and at no other",
				i, in.Status, in.Watermark, element.EndTime)
		}
		c.inputs = append(c.inputs, input{wm: in.Watermark})
		c.enter(i, in.Status)
	}
	return c, nil
}
