package exchange_test

import (
	"testing"
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/exchange"
)

// scripted is an event whose waits are played by the test: each wait does the next step, as if another goroutine had done it,
// and uses up the wake-up.
type scripted struct {
	set   bool
	steps []func()
}

func (s *scripted) Set() { s.set = true }

func (s *scripted) Wait(time.Duration) bool {
	if len(s.steps) > 0 {
		s.steps[0]()
		s.steps = s.steps[1:]
	}
	was := s.set
	s.set = false
	return was
}

// A task has one event for input, for room and for commands. The wake-up of a command that comes while it waits for room is used up
// by that wait: when the task went to wait for work after it, a barrier stayed where it was and its epoch never ended.
func TestPushGivesBackTheWakeUpsThatItUsedUpWhileItWaited(t *testing.T) {
	ev := &scripted{}
	e := exchange.NewEdge(exchange.Limits{Records: 1, Bytes: 1 << 20}, &exchange.Waiter{Event: ev, Cancelled: func() bool { return false }}, &scripted{})
	mark := element.Element{Kind: element.KindWatermark, Time: 1}
	for range 1024 { // as many elements without records as an edge takes
		if err := e.Push(mark); err != nil {
			t.Fatal(err)
		}
	}
	if ev.set {
		t.Fatal("a push that found room must not wake its own task: it would never rest")
	}
	ev.steps = []func(){
		ev.Set, // a command
		func() { // room
			for {
				if _, ok := e.Pop(); !ok {
					return
				}
			}
		},
	}
	if err := e.Push(mark); err != nil {
		t.Fatal(err)
	}
	if len(ev.steps) != 0 {
		t.Fatal("the push has not waited")
	}
	if !ev.set {
		t.Error("the wake-up of the command is lost: the task would not look at it")
	}
}
