// Package epoch decides when an epoch begins, when it is complete and what becomes of it.
//
// An epoch is cut out of the stream by barriers. The Coordinator triggers it, one at a time, at the sources; barriers flow with the
// records; in each task an Alignment says when the barrier has come on all inputs. When all tasks have acknowledged, the coordinator has the
// manifest published, which decides the epoch, and then committed.
//
// Both are plain state machines: calls in, results out, with no clock, goroutine or I/O. What the results ask for is done by the engine.
package epoch

import (
	"fmt"
	"math"

	"github.com/millrace-stream/millrace/internal/element"
)

// Alignment waits in one task for the barrier of an epoch on all inputs. An input that has brought it is blocked, so that no record of the
// next epoch gets into the snapshot of this one:
//
//	input 0  ..r r r | r r      blocked: what stands behind the barrier waits
//	input 1  ..r r r r r r |    read on
//	               aligned ^    snapshot, barrier goes on, all inputs are read again
//
// An epoch may be given up while its barriers are on their way: some sources have sent barrier 3, others, told of the end of 3 first, go from
// 2 to 4. So a newer barrier ends the alignment of an older epoch, and older barriers that come after it are of no interest.
//
// A job that is at least once does not wait: its tasks take from all inputs all the time, and an epoch is complete at its last barrier. What came
// behind an earlier one is in the snapshot then, and comes again after a restore. See NewTracking.
//
// Make it with NewAlignment or NewTracking. After an error it must not be used any more: barriers have come in an order that the protocol excludes.
//
// Invariants:
//
//	A1  an input is blocked if and only if it has brought the barrier that is waited for, and that is one to wait for: with NewTracking,
//	    only that of the restored epoch is
//	A2  an epoch aligns at most once, and epochs align in rising order
type Alignment struct {
	inputs []alignInput
	// current is the epoch that is waited for; 0 when there is none.
	current uint64
	// missing counts the inputs that have not brought current.
	missing int
	// over is the largest epoch that was given up by Abort, or the restored one.
	over uint64
	// plain is the largest epoch seen with a barrier that was not final, final the smallest with one that was (0: none). All
	// epochs from the first final one on are final.
	plain, final uint64
	// waits is the largest epoch for which inputs are blocked.
	waits uint64
}

type alignInput struct {
	// last is the epoch of the last barrier.
	last uint64
	// brought says that it was the one that is waited for.
	brought bool
}

// NewAlignment returns the alignment of a task with n inputs that goes on after the restored epoch (0 at a first start). A task
// without inputs is that of a source: the trigger of the coordinator comes as the barrier of input 0 and aligns at once.
func NewAlignment(n int, restored uint64) (*Alignment, error) {
	if n < 0 {
		return nil, fmt.Errorf("epoch: alignment of %d inputs", n)
	}
	a := &Alignment{inputs: make([]alignInput, max(n, 1)), over: restored, waits: math.MaxUint64}
	for i := range a.inputs {
		a.inputs[i].last = restored
	}
	return a, nil
}

// NewTracking is NewAlignment for a task that blocks its inputs for no epoch after the given one, at which it knows what it knew at the checkpoint
// that it goes on from.
func NewTracking(n int, restored, waits uint64) (*Alignment, error) {
	a, err := NewAlignment(n, restored)
	if err == nil {
		a.waits = waits
	}
	return a, err
}

// Barrier takes a barrier from an input and reports whether its epoch is now aligned: the task takes its snapshot and hands the barrier on, and
// all inputs may be read. It fails on barriers that cannot come: from a blocked input, not newer than the last of the
// same input, or not final after a final one.
func (a *Alignment) Barrier(i int, b element.Barrier) (aligned bool, err error) {
	if i < 0 || i >= len(a.inputs) {
		return false, fmt.Errorf("epoch: barrier %d from input %d, the task has inputs 0 to %d", b.Epoch, i, len(a.inputs)-1)
	}
	in := &a.inputs[i]
	if a.Blocked(i) {
		return false, fmt.Errorf("epoch: barrier %d from input %d, which is blocked until epoch %d is aligned", b.Epoch, i, a.current)
	}
	if b.Epoch <= in.last {
		return false, fmt.Errorf("epoch: barrier %d from input %d after barrier %d", b.Epoch, i, in.last)
	}
	if err := a.checkFinal(i, b); err != nil {
		return false, err
	}
	in.last = b.Epoch
	if b.Epoch <= a.over || b.Epoch < a.current {
		return false, nil // given up, by Abort or because another input went on without it
	}
	if b.Epoch > a.current {
		a.release()
		a.current, a.missing = b.Epoch, len(a.inputs)
	}
	in.brought = true
	if a.missing--; a.missing > 0 {
		return false, nil
	}
	a.release()
	return true, nil
}

// checkFinal keeps the order of final and other epochs.
func (a *Alignment) checkFinal(i int, b element.Barrier) error {
	plain, final := a.plain, a.final
	if !b.Final {
		plain = max(plain, b.Epoch)
	} else if final == 0 || b.Epoch < final {
		final = b.Epoch
	}
	if final != 0 && plain >= final {
		return fmt.Errorf("epoch: barrier %d (final: %t) from input %d: epoch %d was final, epoch %d was not", b.Epoch, b.Final, i, final, plain)
	}
	a.plain, a.final = plain, final
	return nil
}

// Abort gives up all epochs up to the given one: what is blocked for them is released, and their barriers are of no interest any more.
// It reports whether inputs were released.
func (a *Alignment) Abort(epoch uint64) bool {
	a.over = max(a.over, epoch)
	if a.current == 0 || a.current > epoch {
		return false
	}
	a.release()
	return true
}

// release ends the current alignment.
func (a *Alignment) release() {
	a.current, a.missing = 0, 0
	for i := range a.inputs {
		a.inputs[i].brought = false
	}
}

// Current returns the epoch that is waited for; 0 when there is none.
func (a *Alignment) Current() uint64 { return a.current }

// Blocked reports whether an input must not be read. Every call of Barrier and Abort may change it for all inputs.
func (a *Alignment) Blocked(i int) bool { return a.inputs[i].brought && a.current <= a.waits }

// Missing returns the inputs that have not brought the barrier that is waited for: those that hold up the epoch.
func (a *Alignment) Missing() []int {
	if a.current == 0 {
		return nil
	}
	var inputs []int
	for i := range a.inputs {
		if !a.inputs[i].brought {
			inputs = append(inputs, i)
		}
	}
	return inputs
}
