package millrace

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// Branches are the streams into which Split has divided one.
type Branches[B comparable, T any] struct {
	stream Stream[T]
	set    *branchSettings[B]
}

// branchSettings are what the methods of Branches change.
type branchSettings[B comparable] struct {
	index map[B]int
	sides []string
	rest  string
}

// restSide is the output of the records that are of no branch; others begin with branchPrefix.
const (
	restSide     = "rest"
	branchPrefix = "branch "
)

// Split divides a stream: each record goes to the one branch that f names, with its event time and in its order. Branch returns the
// branches, Rest what is of none of them. Every branch that was asked for must be read. A record that is of none fails the job
// unless Rest is read: no record gets lost because nobody thought of it.
//
//	byKind := events.Split(Event.Kind)
//	byKind.Branch(Click).To("clicks", clicks)
//	byKind.Branch(View).To("views", views)
//	byKind.Rest().To("unknown", unknown)
func (s Stream[T]) Split[B comparable](f func(T) B) Branches[B, T] {
	pool := newPool[T](operator.BatchSize)
	set := &branchSettings[B]{index: map[B]int{}}
	at := s.then("split", f != nil, &operator.Spec{New: func() operator.Op {
		route := func(r *T) int {
			if i, ok := set.index[f(*r)]; ok {
				return i
			}
			return -1
		}
		return operator.NewSplit(pool, set.sides, set.rest, route)
	}})
	return Branches[B, T]{stream: Stream[T]{job: s.job, node: at, timed: s.timed}, set: set}
}

// op returns the node of the operator.
func (b Branches[B, T]) op() *graph.Node { return b.stream.job.g.Nodes[b.stream.node] }

// As names the operator, for metrics and errors.
func (b Branches[B, T]) As(name string) Branches[B, T] {
	b.stream.As(name)
	return b
}

// Branch returns the records for which the function of Split returns name. Asked for twice it is the same stream.
func (b Branches[B, T]) Branch(name B) Stream[T] {
	if name != name { // only a NaN is not itself
		b.op().Errs = append(b.op().Errs, errors.New("Branch(NaN): no record can be of it, since NaN is equal to nothing"))
		return b.stream
	}
	i, ok := b.set.index[name]
	if !ok {
		side := branchPrefix + fmt.Sprint(name)
		for n := 2; slices.Contains(b.set.sides, side); n++ { // different values may print alike
			side = fmt.Sprintf("%s%v (%d)", branchPrefix, name, n)
		}
		i = len(b.set.sides)
		b.set.index[name] = i
		b.set.sides = append(b.set.sides, side)
		b.op().Sides = append(b.op().Sides, side)
	}
	return b.stream.output(b.set.sides[i])
}

// Rest returns the records that are of none of the branches that Branch has returned, before or after this call.
func (b Branches[B, T]) Rest() Stream[T] {
	if b.set.rest == "" {
		b.set.rest = restSide
		b.op().Sides = append(b.op().Sides, restSide)
	}
	return b.stream.output(restSide)
}
