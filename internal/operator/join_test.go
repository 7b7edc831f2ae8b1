package operator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// lrec and rrec are the records of the two sides: a key and a number of their own.
type lrec struct{ Key, N int64 }

type rrec struct {
	Key int64
	Tag string
}

func pairText(l *lrec, r *rrec) string {
	s := ""
	if l != nil {
		s = fmt.Sprintf("%d/%d", l.Key, l.N)
	}
	if r != nil {
		s += " " + r.Tag
	}
	return s
}

// catch notes what comes out, as the items of the model.
type catch[T any] struct {
	items []model.Item[T]
}

func (c *catch[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	step := 0
	for i := 0; i <= len(in.Records); i++ {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			c.items = append(c.items, model.Item[T]{Time: in.Steps[step].Time, Mark: true})
			step++
		}
		if i < len(in.Records) {
			c.items = append(c.items, model.Item[T]{Value: in.Records[i], Time: in.Times[i]})
		}
	}
	b.Free()
	return nil
}

func (c *catch[T]) Watermark(t int64) error {
	c.items = append(c.items, model.Item[T]{Time: t, Mark: true})
	return nil
}

func (c *catch[T]) Idle() error { return nil }

// tester is what newJoined needs of a test.
type tester interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

// joined is a join under test and what it puts out.
type joined struct {
	op    Op
	join  *joinOp[int64, lrec, rrec, string]
	out   catch[string]
	left  catch[lrec]
	right catch[rrec]
	c     *Context
	lp    *element.Pool[lrec]
	rp    *element.Pool[rrec]
}

func newJoined(t tester, lower, upper int64, leftOuter, rightOuter bool) *joined {
	t.Helper()
	j := &joined{lp: element.NewPool[lrec](4), rp: element.NewPool[rrec](4)}
	kc, left, right := j.sides(t)
	left.Outer, right.Outer = leftOuter, rightOuter
	j.join = NewJoin(JoinConfig[int64, lrec, rrec, string]{
		Lower: lower, Upper: upper, KeyCodec: kc, Out: pairText, Pool: element.NewPool[string](4), Left: left, Right: right,
	}).(*joinOp[int64, lrec, rrec, string])
	j.open(t, j.join)
	return j
}

// sides describes the two sides.
func (j *joined) sides(t tester) (*codec.Key[int64], SideConfig[int64, lrec], SideConfig[int64, rrec]) {
	t.Helper()
	kc, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	lv, err := codec.For[HeldList[lrec]]()
	if err != nil {
		t.Fatal(err)
	}
	rv, err := codec.For[HeldList[rrec]]()
	if err != nil {
		t.Fatal(err)
	}
	return kc, SideConfig[int64, lrec]{Key: func(r *lrec) int64 { return r.Key }, Value: lv, LatePool: j.lp},
		SideConfig[int64, rrec]{Key: func(r *rrec) int64 { return r.Key }, Value: rv, LatePool: j.rp}
}

// open opens the operator and catches its outputs.
func (j *joined) open(t tester, op Op) {
	t.Helper()
	j.op = op
	j.c = &Context{
		Context: t.Context(), ID: "join", Groups: 8, Lo: 0, Hi: 8, Counters: &Counters{},
		Load: func(string, snapshot.Visitor) error { return nil },
		Outputs: func(side string) Receiver {
			return map[string]Receiver{"": &j.out, lateLeft: &j.left, lateRight: &j.right}[side]
		},
	}
	if err := j.op.Open(j.c); err != nil {
		t.Fatal(err)
	}
}

// feed gives the items to the join: records of one side that follow each other, with the marks between, in one batch.
func (j *joined) feed(in []model.Item[model.Side[lrec, rrec]]) error {
	for i := 0; i < len(in); {
		lb, rb := j.lp.Get(), j.rp.Get()
		for ; i < len(in) && (in[i].Mark || in[i].Value.Left != nil); i++ {
			if in[i].Mark {
				lb.Advance(len(lb.Records), in[i].Time)
				continue
			}
			lb.Add(in[i].Value.Left, in[i].Time)
		}
		if err := j.op.Input(0).Process(lb); err != nil {
			return err
		}
		for ; i < len(in) && (in[i].Mark || in[i].Value.Right != nil); i++ {
			if in[i].Mark {
				rb.Advance(len(rb.Records), in[i].Time)
				continue
			}
			rb.Add(in[i].Value.Right, in[i].Time)
		}
		if err := j.op.Input(1).Process(rb); err != nil {
			return err
		}
	}
	return nil
}

// drawSides makes records of both sides as they come, some late, with watermarks between.
func drawSides(t *rapid.T) []model.Item[model.Side[lrec, rrec]] {
	var in []model.Item[model.Side[lrec, rrec]]
	now, wm := int64(0), int64(-20)
	for n := range rapid.IntRange(0, 40).Draw(t, "records") {
		now += rapid.Int64Range(0, 3).Draw(t, "step")
		key := rapid.Int64Range(0, 2).Draw(t, "key")
		at := now - rapid.Int64Range(0, 8).Draw(t, "behind")
		side := model.Side[lrec, rrec]{Left: &lrec{key, int64(n)}}
		if rapid.Bool().Draw(t, "right") {
			side = model.Side[lrec, rrec]{Right: &rrec{key, fmt.Sprint("r", n)}}
		}
		in = append(in, model.Item[model.Side[lrec, rrec]]{Value: side, Time: at})
		if by := rapid.Int64Range(-4, 8).Draw(t, "watermark"); by > 0 {
			wm += by
			in = append(in, model.Item[model.Side[lrec, rrec]]{Time: wm, Mark: true})
		}
	}
	return append(in, model.Item[model.Side[lrec, rrec]]{Time: model.End, Mark: true})
}

// lastMarks leaves of marks without a record between only the last, as batches do.
func lastMarks[T any](in []model.Item[T]) []model.Item[T] {
	var out []model.Item[T]
	for _, x := range in {
		if n := len(out); x.Mark && n > 0 && out[n-1].Mark {
			out[n-1] = x
			continue
		}
		out = append(out, x)
	}
	return out
}

// TestJoinGivesTheSequenceOfTheModel compares results, late records and the watermarks between them, in order.
func TestJoinGivesTheSequenceOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lower := rapid.Int64Range(-6, 6).Draw(t, "lower")
		upper := lower + rapid.Int64Range(0, 40).Draw(t, "width")
		lo, ro := rapid.Bool().Draw(t, "left outer"), rapid.Bool().Draw(t, "right outer")
		in := drawSides(t)
		want := model.Join[int64, lrec, rrec, string]{
			Lower: lower, Upper: upper, LeftOuter: lo, RightOuter: ro, Out: pairText, Compare: cmp.Compare[int64],
			LeftKey: func(r lrec) int64 { return r.Key }, RightKey: func(r rrec) int64 { return r.Key },
		}.Run(in)
		j := newJoined(t, lower, upper, lo, ro)
		if err := j.feed(in); err != nil {
			t.Fatal(err)
		}
		j.compare(t, want)
		if n := j.join.lst.space.Len() + j.join.rst.space.Len(); n != 0 {
			t.Fatalf("%d keys are left after the end", n)
		}
	})
}

// compare compares results, late records and the watermarks between them, in order.
func (j *joined) compare(t *rapid.T, want model.JoinOutput[lrec, rrec, string]) {
	t.Helper()
	if got, want := lastMarks(j.out.items), lastMarks(want.Results); !slices.Equal(got, want) {
		t.Fatalf("results:\n got %v\nwant %v", got, want)
	}
	late := len(want.LateLeft) + len(want.LateRight)
	if !slices.Equal(model.Records(j.left.items), model.Records(want.LateLeft)) ||
		!slices.Equal(model.Records(j.right.items), model.Records(want.LateRight)) || j.c.Counters.Late.Load() != int64(late) {
		t.Fatalf("late %v and %v, %d; want %v and %v", j.left.items, j.right.items, j.c.Counters.Late.Load(), want.LateLeft, want.LateRight)
	}
}

// TestTemporalJoinGivesTheSequenceOfTheModel also looks at what is kept: at the end, a version of each key.
func TestTemporalJoinGivesTheSequenceOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawSides(t)
		want := model.Temporal[int64, lrec, rrec, string]{
			LeftKey: func(r lrec) int64 { return r.Key }, RightKey: func(r rrec) int64 { return r.Key }, Compare: cmp.Compare[int64], Out: pairText,
		}.Run(in)
		j := &joined{lp: element.NewPool[lrec](4), rp: element.NewPool[rrec](4)}
		kc, left, table := j.sides(t)
		op := NewTemporal(TemporalConfig[int64, lrec, rrec, string]{
			KeyCodec: kc, Left: left, Table: table, Out: pairText, Pool: element.NewPool[string](4),
		}).(*temporalOp[int64, lrec, rrec, string])
		j.open(t, op)
		if err := j.feed(in); err != nil {
			t.Fatal(err)
		}
		j.compare(t, want)
		if n := op.lst.space.Len(); n != 0 {
			t.Fatalf("the records of %d keys still wait", n)
		}
		op.vst.pane.Each(func(k *int64, v *HeldList[rrec], _ uint64) bool {
			if len(v.List) != 1 {
				t.Fatalf("key %d has %d versions at the end, want 1", *k, len(v.List))
			}
			return true
		})
	})
}

// TestJoinForgetsWhatHasNoPartnersToCome: a key of very many records keeps those of the interval, and finding partners and
// forgetting stay cheap; with a scan of what is kept this test would take minutes.
func TestJoinForgetsWhatHasNoPartnersToCome(t *testing.T) {
	const (
		records = 200_000
		behind  = 40_000 // how far the watermark is behind the newest record
		upper   = 4000
	)
	j := newJoined(t, -1, upper, false, true)
	most := [2]int{}
	for n := int64(0); n < records; n += 100 {
		lb, rb := j.lp.Get(), j.rp.Get()
		for i := n; i < n+100; i++ {
			lb.Add(&lrec{Key: 1, N: i}, i)
			if i%2000 == 0 {
				rb.Add(&rrec{Key: 1}, i)
			}
		}
		lb.Advance(100, n+100-behind)
		if err := j.op.Input(1).Process(rb); err != nil {
			t.Fatal(err)
		}
		if err := j.op.Input(0).Process(lb); err != nil {
			t.Fatal(err)
		}
		k := int64(1)
		h := j.join.codec.Hash(&k)
		most[0] = max(most[0], len(j.join.lst.pane.Get(&k, h).List))
		most[1] = max(most[1], len(j.join.rst.pane.Get(&k, h).List))
		j.out.items = nil
	}
	if limit := behind + upper + upper/grains + 200; most[0] > limit || most[0] < behind {
		t.Errorf("up to %d left records are kept, want at most %d", most[0], limit)
	}
	if limit := (behind+200)/2000 + 2; most[1] > limit {
		t.Errorf("up to %d right records are kept, want at most %d", most[1], limit)
	}
	if n := j.c.Counters.Out.Load(); n < records/2000*(upper-3000) {
		t.Errorf("only %d results", n)
	}
}

// TestJoinKeepsRecordsOfItsOwn: what is kept does not change with the batch, or with results that were given away.
func TestJoinKeepsRecordsOfItsOwn(t *testing.T) {
	type deep struct{ S []int64 }
	keep, err := codec.Detach[deep]()
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.For[HeldList[deep]]()
	if err != nil {
		t.Fatal(err)
	}
	kc, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	pool := element.NewPool[deep](4)
	side := SideConfig[int64, deep]{Key: func(*deep) int64 { return 1 }, Value: value, Keep: keep, Give: keep, LatePool: pool}
	out := catch[deep]{}
	op := NewJoin(JoinConfig[int64, deep, deep, deep]{
		Lower: -5, Upper: 5, KeyCodec: kc, Left: side, Right: side, Pool: pool,
		Out: func(l, _ *deep) deep { return *l },
	})
	c := &Context{
		Context: t.Context(), ID: "join", Groups: 8, Lo: 0, Hi: 8, Counters: &Counters{},
		Load: func(string, snapshot.Visitor) error { return nil }, Outputs: func(string) Receiver { return &out },
	}
	if err := op.Open(c); err != nil {
		t.Fatal(err)
	}
	shared := []int64{7}
	send := func(port int, r deep) {
		b := pool.Get()
		b.Add(&r, 10)
		if err := op.Input(port).Process(b); err != nil {
			t.Fatal(err)
		}
	}
	send(0, deep{shared})
	shared[0] = 8
	for range 2 {
		send(1, deep{})
		got := model.Records(out.items)
		if got[len(got)-1].S[0] != 7 {
			t.Fatalf("the kept record is %v, want 7", got[len(got)-1].S)
		}
		got[len(got)-1].S[0] = 9
	}
}
