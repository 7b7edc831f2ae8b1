package millrace

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// SideOutput names a second output of an operator, with records of type T. It is a value, which is given to the operator (SideOutputs),
// to what it emits (Call.EmitSide), and to the stream where it is read (Stream.Side). Two with the same name and type are
// the same.
type SideOutput[T any] struct {
	name string
	out  operator.SideOutput
}

// NewSideOutput returns a side output. The name is unique within an operator.
func NewSideOutput[T any](name string) SideOutput[T] {
	return SideOutput[T]{name: name, out: operator.NewSideOutput(name, newPool[T](operator.ExchangeSize))}
}

// Name returns the name.
func (o SideOutput[T]) Name() string { return o.name }

func (o SideOutput[T]) declared() operator.SideOutput { return o.out }

// AnySideOutput is a SideOutput of any type.
type AnySideOutput interface {
	// Name returns the name.
	Name() string
	declared() operator.SideOutput
}

// declareSides appends side outputs to those that an operator has, and returns the mistakes.
func declareSides(sides []operator.SideOutput, outputs []AnySideOutput) ([]operator.SideOutput, []error) {
	var errs []error
	sides = slices.Clip(sides)
	for _, o := range outputs {
		switch {
		case o == nil || o.declared() == nil:
			errs = append(errs, errors.New("a side output is nil: make it with NewSideOutput"))
		case o.Name() == "":
			errs = append(errs, errors.New("a side output has no name: give it one, it is the empty one of the main output"))
		case slices.ContainsFunc(sides, func(s operator.SideOutput) bool { return s.Name() == o.Name() }):
			errs = append(errs, fmt.Errorf("side output %q is declared twice: give each a name of its own", o.Name()))
		default:
			sides = append(sides, o.declared())
		}
	}
	return sides, errs
}

// Side returns the records that the operator whose output s is puts into a side output. They have its watermark.
func (s Stream[T]) Side[U any](o SideOutput[U]) Stream[U] {
	of := s.job.g.Nodes[s.node]
	spec, _ := of.Op.(*operator.Spec)
	var err error
	switch at := slices.IndexFunc(spec.Sides, func(d operator.SideOutput) bool { return d.Name() == o.name }); {
	case s.side != "" || at < 0:
		err = fmt.Errorf("side output %q is read, which the %s at %s has not declared: name it in SideOutputs", o.name, of.Kind, of.Where())
	case !operator.IsSideOutput[U](spec.Sides[at]):
		err = fmt.Errorf("side output %q is read with another type than that with which the %s at %s has declared it", o.name, of.Kind, of.Where())
	default:
		return Stream[U]{job: s.job, node: s.node, side: o.name, timed: s.timed}
	}
	// A node with the mistake takes the place of the one that is not there.
	n := &graph.Node{Kind: "side", Inputs: s.input(false), Op: &operator.Spec{New: operator.NewUnion}, Errs: []error{err}}
	return Stream[U]{job: s.job, node: s.job.add(1, n), timed: s.timed}
}
