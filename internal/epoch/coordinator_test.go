package epoch

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errDisk = errors.New("disk full")

func coordinator(t interface {
	Helper()
	Fatal(...any)
}, cfg Config,
) *Coordinator {
	t.Helper()
	c, err := NewCoordinator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// observer checks the invariants from outside: it sees events and effects only.
type observer struct {
	cfg Config

	restored, last, inFlight uint64
	acks                     map[int]bool
	published, committed     bool
	publishAsked             bool
	final, over, forced      bool
	drained                  map[int]bool
	stopped                  bool
	now, trigger             int64
	timed                    bool
	failures                 int
	finishedAtTrigger        bool
}

// event notes what the coordinator is told.
func (o *observer) event(e Event) {
	tell := func(now int64) {
		if !o.timed {
			o.timed, o.trigger = true, now
		}
		o.now = max(o.now, now)
	}
	switch e := e.(type) {
	case Tick:
		tell(e.Now)
	case Request:
		tell(e.Now)
		o.forced = true
	case StopRequested:
		tell(e.Now)
		o.stopped = true
	case Restored:
		o.restored, o.last = e.Epoch, e.Epoch
	case SourceDrained:
		o.drained[e.Task] = true
	case TaskAck:
		if o.inFlight != 0 && e.Epoch == o.inFlight {
			o.acks[e.Task] = true
		}
	case Published:
		o.published = e.Err == nil
	case Committed:
		o.committed = e.Err == nil
	}
}

// effect checks what the coordinator answers.
func (o *observer) effect(t *rapid.T, e Effect) {
	if o.over {
		t.Fatalf("%s after the end", describe(e))
	}
	switch e := e.(type) {
	case Trigger:
		o.triggered(t, e)
	case Publish:
		if e.Epoch != o.inFlight || len(o.acks) != o.cfg.Tasks || o.publishAsked || e.Finished != o.finishedAtTrigger {
			t.Fatalf("%s: in flight %d, acknowledged by %v of %d tasks", describe(e), o.inFlight, o.acks, o.cfg.Tasks)
		}
		o.publishAsked = true
	case Commit:
		if e.Epoch != o.inFlight || !o.published {
			t.Fatalf("E3: %s: in flight %d, published %v", describe(e), o.inFlight, o.published)
		}
	case Retire:
		if e.Epoch != o.inFlight || !o.committed {
			t.Fatalf("%s: in flight %d, committed %v", describe(e), o.inFlight, o.committed)
		}
		o.inFlight, o.failures = 0, 0
	case Abort:
		if e.Epoch != o.inFlight || o.published || e.Reason == nil {
			t.Fatalf("%s: in flight %d, published %v", describe(e), o.inFlight, o.published)
		}
		o.inFlight = 0
		o.failures++
	case Fail:
		o.over = true
		tooMany := o.failures > o.cfg.Tolerate
		commit := o.inFlight != 0 && o.published && !o.committed
		if !e.Retry || !(tooMany || commit) {
			t.Fatalf("%s: %d failures in a row, commit pending %v", describe(e), o.failures, commit)
		}
	case Done:
		o.over = true
		if !o.final || !o.committed || o.inFlight != 0 || (e.Outcome == Finished) != o.finishedAtTrigger {
			t.Fatalf("%s: final %v, committed %v, in flight %d", describe(e), o.final, o.committed, o.inFlight)
		}
	}
}

func (o *observer) triggered(t *rapid.T, e Trigger) {
	if o.inFlight != 0 {
		t.Fatalf("E1: %s while %d is in flight", describe(e), o.inFlight)
	}
	if e.Epoch != o.last+1 {
		t.Fatalf("E2: %s after %d", describe(e), o.last)
	}
	allDrained := len(o.drained) == len(o.cfg.Sources)
	if want := o.final || o.stopped || allDrained; e.Final != want {
		t.Fatalf("%s: stopped %v, drained %v, final before %v", describe(e), o.stopped, o.drained, o.final)
	}
	gap := time.Duration(o.now - o.trigger)
	if !o.forced && gap < o.cfg.Interval && (!e.Final || o.final && gap < min(o.cfg.Interval, FinalRetry)) {
		t.Fatalf("%s only %v after the last", describe(e), gap)
	}
	if !o.forced && !e.Final && o.cfg.Interval == 0 {
		t.Fatalf("%s: nobody asked for it", describe(e))
	}
	if o.failures > o.cfg.Tolerate {
		t.Fatalf("%s after %d failures", describe(e), o.failures)
	}
	*o = observer{
		cfg: o.cfg, restored: o.restored, last: e.Epoch, inFlight: e.Epoch, acks: map[int]bool{}, final: e.Final, drained: o.drained,
		stopped: o.stopped, now: o.now, trigger: o.now, timed: o.timed, failures: o.failures, finishedAtTrigger: allDrained,
	}
}

// TestCoordinatorInvariants plays an engine that is slow, fails and repeats itself, and at the end lets the job finish.
func TestCoordinatorInvariants(t *testing.T) {
	var outcomes [3]int // failed, finished, stopped
	rapid.Check(t, func(t *rapid.T) {
		tasks := rapid.IntRange(1, 4).Draw(t, "tasks")
		cfg := Config{
			Tasks: tasks, Sources: indexes(rapid.IntRange(1, tasks).Draw(t, "sources")),
			Interval: time.Duration(rapid.IntRange(0, 10).Draw(t, "interval")),
			Timeout:  time.Duration(rapid.IntRange(0, 20).Draw(t, "timeout")), Tolerate: rapid.IntRange(0, 3).Draw(t, "tolerate"),
		}
		c := coordinator(t, cfg)
		o := &observer{cfg: cfg, drained: map[int]bool{}}
		step := func(e Event) {
			o.event(e)
			for _, f := range c.Step(e) {
				o.effect(t, f)
				switch f := f.(type) {
				case Fail:
					outcomes[0]++
				case Done:
					outcomes[f.Outcome]++
				}
			}
			if (c.Phase() == Idle) != (o.inFlight == 0) && !o.over {
				t.Fatalf("phase %v, in flight %d", c.Phase(), o.inFlight)
			}
		}
		if rapid.Bool().Draw(t, "restored") {
			step(Restored{rapid.Uint64Range(0, 100).Draw(t, "epoch")})
		}
		now := int64(1000)
		for range rapid.IntRange(0, 80).Draw(t, "events") {
			now += rapid.Int64Range(0, 6).Draw(t, "time")
			step(drawEvent(t, c, o, now))
		}
		// From now on all goes well.
		if rapid.Bool().Draw(t, "stop") {
			step(StopRequested{now})
		} else {
			for i := range cfg.Sources {
				step(SourceDrained{i})
			}
		}
		for round := 0; !o.over; round++ {
			if round > 20 {
				t.Fatalf("the job does not end: phase %v, epoch %d", c.Phase(), c.Epoch())
			}
			now += 100
			step(Tick{now})
			for i := range tasks {
				step(TaskAck{i, c.Epoch()})
			}
			if c.Phase() == Publishing {
				step(Published{c.Epoch(), nil})
			}
			if c.Phase() == Committing {
				step(Committed{c.Epoch(), nil})
			}
		}
		if step(Tick{now + 1e9}); c.Phase() != Over {
			t.Fatalf("phase %v after the end", c.Phase())
		}
	})
	t.Logf("runs that failed, finished, stopped: %v", outcomes)
	if slices.Contains(outcomes[:], 0) {
		t.Errorf("the runs failed, finished, stopped %v times: one of them is not tested", outcomes)
	}
}

// drawEvent draws something that an engine may say now.
func drawEvent(t *rapid.T, c *Coordinator, o *observer, now int64) Event {
	task := rapid.IntRange(0, o.cfg.Tasks-1).Draw(t, "task")
	err := rapid.SampledFrom([]error{nil, nil, errDisk}).Draw(t, "error")
	earlier := rapid.Uint64Range(0, c.Epoch()).Draw(t, "earlier epoch")
	switch kind := rapid.IntRange(0, 40).Draw(t, "event"); {
	case kind == 0:
		return StopRequested{now}
	case kind == 1 && task < len(o.cfg.Sources):
		return SourceDrained{task}
	case kind <= 3:
		return Request{now}
	case kind <= 5 && !o.acks[task]:
		return TaskFailed{task, c.Epoch(), err}
	case kind <= 7 && earlier < c.Epoch():
		return TaskFailed{task, earlier, errDisk}
	case kind <= 10:
		return TaskAck{task, earlier}
	case kind <= 30 && c.Phase() == Collecting:
		return TaskAck{task, c.Epoch()}
	case kind <= 30 && c.Phase() == Publishing:
		return Published{c.Epoch(), err}
	case kind <= 30 && c.Phase() == Committing:
		if kind > 12 {
			err = nil // or hardly any run would go on
		}
		return Committed{c.Epoch(), err}
	}
	return Tick{now}
}

func indexes(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// TestCoordinatorFailsOnTheImpossible tells things that no engine may say.
func TestCoordinatorFailsOnTheImpossible(t *testing.T) {
	cfg := Config{Tasks: 2, Sources: []int{0}}
	for name, events := range map[string][]Event{
		"unknown event":                    {nil},
		"restored late":                    {Tick{1}, Restored{1}},
		"restored twice":                   {Restored{1}, Restored{1}},
		"unknown task":                     {Request{1}, TaskAck{2, 1}},
		"negative task":                    {Request{1}, TaskAck{-1, 1}},
		"acknowledged before triggered":    {TaskAck{0, 1}},
		"failed before triggered":          {TaskFailed{0, 1, errDisk}},
		"acknowledged and failed":          {Request{1}, TaskAck{0, 1}, TaskFailed{0, 1, errDisk}},
		"failed while publishing":          {Request{1}, TaskAck{0, 1}, TaskAck{1, 1}, TaskFailed{0, 1, errDisk}},
		"no source":                        {SourceDrained{1}},
		"published unasked":                {Request{1}, Published{1, nil}},
		"another published":                {Request{1}, TaskAck{0, 1}, TaskAck{1, 1}, Published{2, nil}},
		"committed unasked":                {Request{1}, TaskAck{0, 1}, TaskAck{1, 1}, Committed{1, nil}},
		"another committed":                {Request{1}, TaskAck{0, 1}, TaskAck{1, 1}, Published{1, nil}, Committed{0, nil}},
		"published again":                  {Request{1}, TaskAck{0, 1}, TaskAck{1, 1}, Published{1, nil}, Published{1, nil}},
		"more epochs than there are":       {Restored{math.MaxUint64}, Request{1}},
		"published after the epoch failed": {Request{1}, TaskFailed{0, 1, errDisk}, Published{1, nil}},
	} {
		cfg.Tolerate = 1
		c := coordinator(t, cfg)
		for i, e := range events {
			effects := c.Step(e)
			var fail Fail
			if len(effects) > 0 {
				fail, _ = effects[len(effects)-1].(Fail)
			}
			if last := i == len(events)-1; (fail.Err != nil) != last || fail.Retry {
				t.Errorf("%s: event %d, %+v, gave %+v", name, i, e, effects)
			}
		}
		if got := c.Step(Tick{1e9}); len(got) > 0 {
			t.Errorf("%s: %+v after Fail", name, got)
		}
	}
}

func TestFailKeepsTheCause(t *testing.T) {
	c := coordinator(t, Config{Tasks: 1, Sources: []int{0}})
	c.Step(Request{1})
	effects := c.Step(TaskFailed{0, 1, errDisk})
	if len(effects) != 2 || !errors.Is(effects[0].(Abort).Reason, errDisk) || !errors.Is(effects[1].(Fail).Err, errDisk) {
		t.Errorf("effects = %+v, want Abort and Fail because of %v", effects, errDisk)
	}
}

// TestTimeRunningBackwards: neither does the coordinator's time, nor is an interval cut short.
func TestTimeRunningBackwards(t *testing.T) {
	c := coordinator(t, Config{Tasks: 1, Sources: []int{0}, Interval: 10, Timeout: 10, Tolerate: 1})
	for _, now := range []int64{100, 50, 109} {
		if got := c.Step(Tick{now}); len(got) > 0 {
			t.Fatalf("at %d: %+v", now, got)
		}
	}
	if got := c.Step(Tick{110}); len(got) != 1 {
		t.Fatalf("at 110: %+v, want a trigger", got)
	}
	// Beyond what fits into an int64 as a difference, both have passed.
	if got := c.Step(Tick{math.MaxInt64}); len(got) != 1 {
		t.Errorf("at the end of time: %+v, want an abort", got)
	}
}

// TestMinPause counts from the end of an epoch, whatever it came to, and holds back none that is asked for.
func TestMinPause(t *testing.T) {
	c := coordinator(t, Config{Tasks: 1, Sources: []int{0}, Interval: 10, MinPause: 25, Tolerate: 1})
	triggered := func(e Event) bool {
		for _, f := range c.Step(e) {
			if _, ok := f.(Trigger); ok {
				return true
			}
		}
		return false
	}
	if first := triggered(Tick{Now: 0}); triggered(Tick{Now: 10}) == first {
		t.Fatal("the first epoch waits for no pause")
	}
	c.Step(TaskAck{Task: 0, Epoch: 1})
	c.Step(Published{Epoch: 1})
	c.Step(Tick{Now: 40}) // it takes longer than the interval
	c.Step(Committed{Epoch: 1})
	if triggered(Tick{Now: 64}) {
		t.Error("triggered before the pause was over")
	}
	if !triggered(Tick{Now: 65}) {
		t.Error("not triggered when the pause was over")
	}
	c.Step(TaskFailed{Task: 0, Epoch: 2, Err: errors.New("disk full")})
	if triggered(Tick{Now: 80}) {
		t.Error("triggered before the pause after a failed epoch was over")
	}
	if !triggered(Request{Now: 81}) {
		t.Error("an epoch that is asked for waits")
	}
	if _, err := NewCoordinator(Config{Tasks: 1, Sources: []int{0}, MinPause: -1}); err == nil || !strings.Contains(err.Error(), "least pause is -1ns, it must be at least 0") {
		t.Errorf("a negative pause: %v", err)
	}
}
