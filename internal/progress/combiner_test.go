package progress

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// model is the definition of the combined watermark, as directly as it can be said.
type model struct {
	inputs []modelInput
	out    int64
}

type modelInput struct {
	wm                          int64
	idle, waits, ended, movedOn bool
}

// op is one call. Kinds above 2 are watermarks of kind - 2.
type op struct{ kind, input int }

const (
	opAdd = iota - 2
	opRemove
	opEnd
	opIdle
	opWake
	opAdvance // + watermark
)

func (o op) String() string {
	name := map[int]string{opAdd: "add", opRemove: "remove", opEnd: "end", opIdle: "idle", opWake: "wake"}[o.kind]
	if name == "" {
		name = fmt.Sprintf("wm %d", o.kind-opAdvance)
	}
	return fmt.Sprintf("%s(%d)", name, o.input)
}

func newModel(n int) *model {
	m := &model{out: element.NoTime}
	for range n {
		m.inputs = append(m.inputs, modelInput{wm: element.NoTime})
	}
	return m
}

func (m *model) clone() *model { return &model{slices.Clone(m.inputs), m.out} }

func (m *model) apply(o op) (int64, bool) {
	if o.kind == opAdd {
		m.inputs = append(m.inputs, modelInput{wm: element.NoTime})
		return m.out, false
	}
	in := &m.inputs[o.input]
	switch live := !in.ended && !in.movedOn; {
	case o.kind == opRemove:
		in.movedOn = true
	case !live:
	case o.kind == opEnd:
		in.ended = true
	case o.kind == opIdle:
		in.idle, in.waits = true, false
	default: // a sign of life
		in.waits = in.waits || in.idle
		in.idle = false
		if o.kind > opAdvance {
			in.wm = max(in.wm, int64(o.kind-opAdvance))
		}
		in.waits = in.waits && in.wm < m.out
	}
	before := m.out
	m.out = max(m.out, m.rule())
	return m.out, m.out > before
}

// rule is the output without regard to what it was.
func (m *model) rule() int64 {
	var active, waiting, idle []int64
	ended := false
	for _, in := range m.inputs {
		switch {
		case in.movedOn:
		case in.ended:
			ended = true
		case in.idle:
			idle = append(idle, in.wm)
		case in.waits:
			waiting = append(waiting, in.wm)
		default:
			active = append(active, in.wm)
		}
	}
	switch {
	case len(active) > 0:
		return slices.Min(active)
	case len(waiting) > 0:
		return element.NoTime
	case len(idle) > 0:
		return slices.Max(idle)
	case ended:
		return element.EndTime
	}
	return element.NoTime
}

func run(c *Combiner, o op) (int64, bool) {
	switch o.kind {
	case opAdd:
		c.Add()
		return c.Output(), false
	case opRemove:
		return c.Remove(o.input)
	case opEnd:
		return c.End(o.input)
	case opIdle, opWake:
		return c.SetIdle(o.input, o.kind == opIdle)
	}
	return c.Advance(o.input, int64(o.kind-opAdvance))
}

// check compares the combiner with the model and with what must hold by itself.
func check(c *Combiner, m *model, before, out int64, advanced bool) error {
	if out != m.out || c.Output() != m.out {
		return fmt.Errorf("output %d, want %d", out, m.out)
	}
	if out < before || advanced != (out > before) {
		return fmt.Errorf("C1: output %d after %d, advanced %v", out, before, advanced)
	}
	active, allIdle, some, ended := 0, true, false, false
	for i, in := range m.inputs {
		want := Active
		switch {
		case in.movedOn:
			want = Removed
		case in.ended:
			want, ended = Ended, true
		case in.idle:
			want, some = Idle, true
		case in.waits:
			want, allIdle = Behind, false
			if c.Watermark(i) >= out {
				return fmt.Errorf("C3: input %d is behind with %d, output %d", i, c.Watermark(i), out)
			}
		default:
			active++
			allIdle = false
		}
		if c.Status(i) != want {
			return fmt.Errorf("input %d is %v, want %v", i, c.Status(i), want)
		}
	}
	if want := len(m.inputs) > 0 && allIdle && (some || !ended); c.AllIdle() != want {
		return fmt.Errorf("AllIdle = %v, want %v", c.AllIdle(), want)
	}
	if len(c.heap) != active {
		return fmt.Errorf("C2: %d inputs in the heap, %d active", len(c.heap), active)
	}
	for at, i := range c.heap {
		if c.Status(int(i)) != Active || c.inputs[i].at != int32(at) || at > 0 && c.less(at, (at-1)/2) {
			return fmt.Errorf("C2: heap is out of order at %d: %v", at, c.heap)
		}
	}
	return nil
}

// TestCombinerExhaustive runs all sequences of calls up to a depth against the model. At each step the combiner goes through a checkpoint, and it
// is made sure that it can still move: when all live inputs reach a time, so does the output.
func TestCombinerExhaustive(t *testing.T) {
	for _, size := range []struct{ inputs, times, depth int }{{1, 3, 6}, {2, 3, 5}, {3, 2, 4}} {
		if testing.Short() {
			size.depth--
		}
		steps := 0
		var visit func(c *Combiner, m *model, path []op)
		visit = func(c *Combiner, m *model, path []op) {
			if len(path) == size.depth {
				return
			}
			try := func(o op) {
				steps++
				path := append(path, o)
				c2, err := RestoreCombiner(c.State())
				if err != nil {
					t.Fatalf("%v: %v", path, err)
				}
				m2 := m.clone()
				before := c2.Output()
				out, advanced := run(c2, o)
				m2.apply(o)
				if err := check(c2, m2, before, out, advanced); err != nil {
					t.Fatalf("%v: %v", path, err)
				}
				visit(c2, m2, path)
			}
			for i := range m.inputs {
				for kind := opRemove; kind <= opAdvance+size.times; kind++ {
					if kind != opAdvance {
						try(op{kind, i})
					}
				}
			}
			if len(m.inputs) == size.inputs {
				try(op{kind: opAdd})
			}
			if len(path) == size.depth-1 {
				if err := canMove(c); err != nil {
					t.Fatalf("%v: %v", path, err)
				}
			}
		}
		visit(NewCombiner(size.inputs), newModel(size.inputs), nil)
		t.Logf("%d inputs, depth %d: %d steps", size.inputs, size.depth, steps)
	}
}

// canMove advances all live inputs to a time above all others.
func canMove(c *Combiner) error {
	const far = 1000
	before, live := c.State(), 0
	for i := range c.inputs {
		if c.Status(i) < Ended {
			live++
			c.Advance(i, far)
		}
	}
	if live > 0 && c.Output() < far {
		return fmt.Errorf("all inputs are at %d and the output is held at %d; it was %+v", far, c.Output(), before)
	}
	return nil
}

func TestCombinerManyInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 80).Draw(t, "inputs")
		c, m := NewCombiner(n), newModel(n)
		for range rapid.IntRange(0, 200).Draw(t, "calls") {
			o := op{kind: opAdd}
			if len(m.inputs) > 0 {
				o.input = rapid.IntRange(0, len(m.inputs)-1).Draw(t, "input")
				o.kind = rapid.OneOf(rapid.IntRange(opAdvance+1, opAdvance+40), rapid.SampledFrom([]int{opIdle, opIdle, opWake, opWake}),
					rapid.IntRange(opAdd, opWake)).Draw(t, "kind")
			}
			before := c.Output()
			out, advanced := run(c, o)
			m.apply(o)
			if err := check(c, m, before, out, advanced); err != nil {
				t.Fatalf("%v: %v", o, err)
			}
		}
		r, err := RestoreCombiner(c.State())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r.State(), c.State()) {
			t.Fatalf("restored %+v, was %+v", r.State(), c.State())
		}
	})
}

func TestRestoreCombinerRejects(t *testing.T) {
	for _, s := range []CombinerState{
		{Inputs: []InputState{{0, 0}}},
		{Inputs: []InputState{{0, Removed + 1}}},
		{Output: 5, Inputs: []InputState{{5, Behind}}},
		{Output: 5, Inputs: []InputState{{5, Ended}}},
		{Output: 5, Inputs: []InputState{{element.EndTime, Idle}}},
	} {
		if c, err := RestoreCombiner(s); err == nil {
			t.Errorf("RestoreCombiner(%+v) = %+v, want an error", s, c)
		}
	}
}

func BenchmarkCombiner(b *testing.B) {
	for _, n := range []int{1, 4, 64, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := NewCombiner(n)
			var t int64
			i := 0
			for b.Loop() { // round robin: the worst case, since the smallest always moves to the end
				if i == n {
					i = 0
					t++
				}
				c.Advance(i, t)
				i++
			}
		})
	}
}
