package operator

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// seen is what someone behind an operator sees: each record with the watermark that stands before it.
type seen struct {
	record int64
	wm     int64
}

// fataler is a test, or a check of package rapid.
type fataler interface {
	Fatalf(format string, args ...any)
}

// recorder is a Receiver and a Sender that notes what it sees.
type recorder struct {
	t    fataler
	wm   int64
	seen []seen
	// times are the event times of what was seen.
	times []int64
	idle  int
}

func newRecorder(t fataler) *recorder { return &recorder{t: t, wm: element.NoTime} }

func (r *recorder) Process(b element.Batch) error {
	in := b.(*element.Of[int64])
	if len(in.Records) == 0 || len(in.Times) != len(in.Records) {
		r.t.Fatalf("a batch of %d records and %d times was passed on", len(in.Records), len(in.Times))
	}
	step := 0
	for i, v := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			r.advance(in.Steps[step].Time)
			step++
		}
		r.seen = append(r.seen, seen{v, r.wm})
		r.times = append(r.times, in.Times[i])
	}
	for ; step < len(in.Steps); step++ {
		if int(in.Steps[step].At) > len(in.Records) {
			r.t.Fatalf("step %+v in a batch of %d records", in.Steps[step], len(in.Records))
		}
		r.advance(in.Steps[step].Time)
	}
	b.Free()
	return nil
}

func (r *recorder) advance(t int64) {
	if t <= r.wm {
		r.t.Fatalf("the watermark goes from %d to %d", r.wm, t)
	}
	r.wm = t
}

func (r *recorder) Watermark(t int64) error { r.advance(t); return nil }
func (r *recorder) Idle() error             { r.idle++; return nil }

func (r *recorder) Push(el element.Element) error {
	switch el.Kind {
	case element.KindBatch:
		return r.Process(el.Batch)
	case element.KindWatermark:
		return r.Watermark(el.Time)
	case element.KindIdle:
		return r.Idle()
	}
	r.t.Fatalf("element of kind %d", el.Kind)
	return nil
}

// drawBatches makes batches of records 0, 1, 2 ... with steps anywhere, and tells what stands before each record.
func drawBatches(t *rapid.T, pool *element.Pool[int64]) (batches []*element.Of[int64], want []seen, last int64) {
	wm, next := int64(element.NoTime), int64(0)
	for range rapid.IntRange(0, 6).Draw(t, "batches") {
		b := pool.Get()
		n := rapid.IntRange(1, 12).Draw(t, "records")
		for i := 0; i <= n; i++ {
			if rapid.Bool().Draw(t, "step") {
				wm = max(wm, -1) + rapid.Int64Range(1, 5).Draw(t, "by")
				b.Advance(i, wm)
			}
			if i < n {
				b.Add(&next, next*10)
				want = append(want, seen{next, wm})
				next++
			}
		}
		batches = append(batches, b)
	}
	return batches, want, wm
}

func testContext(out Receiver) *Context {
	return &Context{Context: context.Background(), Counters: &Counters{}, Outputs: func(string) Receiver { return out }}
}

// TestStatelessOperatorsKeepTheWatermarkBeforeEachRecord: whatever is dropped, copied or spread, a record that goes on has the same
// watermark before it as it had, and at the end all know the last one.
func TestStatelessOperatorsKeepTheWatermarkBeforeEachRecord(t *testing.T) {
	pool := element.NewPool[int64](8)
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, pool)
		keep := rapid.SliceOfN(rapid.Bool(), len(want)+1, len(want)+1).Draw(t, "keep")
		ops := map[string]Op{
			"map": NewMap(pool, func(in, out []int64) { copy(out, in) }),
			"filter": NewFilter(func(in []int64, verdict []bool) {
				for i, v := range in {
					verdict[i] = keep[v]
				}
			}),
			"filtermap": NewFilterMap(pool, func(in, out []int64, from []int32) (n int) {
				for i, v := range in {
					if keep[v] {
						out[n], from[n] = v, int32(i)
						n++
					}
				}
				return n
			}),
			"flatmap": NewFlatMap(pool, func(in *int64, _ int64, emit func(int64)) error {
				if keep[*in] {
					emit(*in)
				}
				return nil
			}),
			"update": NewUpdate(func([]int64) {}),
			"union":  NewUnion(),
		}
		for name, op := range ops {
			r := newRecorder(t)
			if err := op.Open(testContext(r)); err != nil {
				t.Fatal(err)
			}
			for _, b := range batches {
				if err := op.Input(0).Process(b.Clone()); err != nil {
					t.Fatal(err)
				}
			}
			i := 0
			for _, w := range want {
				if (name == "filter" || name == "filtermap" || name == "flatmap") && !keep[w.record] {
					continue
				}
				if i >= len(r.seen) || r.seen[i] != w || r.times[i] != w.record*10 {
					t.Fatalf("%s: record %d: saw %v, want %v", name, i, r.seen, w)
				}
				i++
			}
			if i != len(r.seen) || r.wm != last {
				t.Fatalf("%s: %d records and watermark %d at the end, want %d and %d", name, len(r.seen), r.wm, i, last)
			}
		}
	})
}

// TestPartitionKeepsOrderAndWatermarkForEachTarget: each record comes to the owner of its key, in order, with the watermark before it
// exact, and a flush brings all targets up to date.
func TestPartitionKeepsOrderAndWatermarkForEachTarget(t *testing.T) {
	pool := element.NewPool[int64](8)
	small := element.NewPool[int64](3)
	kc, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, pool)
		keys := rapid.Int64Range(1, 7).Draw(t, "keys")
		targets := make([]Sender, rapid.IntRange(1, 4).Draw(t, "targets"))
		records := make([]*recorder, len(targets))
		for i := range targets {
			records[i] = newRecorder(t)
			targets[i] = records[i]
		}
		p := NewPartition(func(v *int64) int64 { return *v % keys }, kc, small, 16, targets)
		for _, b := range batches {
			if err := p.Process(b); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "flush") {
				if _, err := p.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		at := make([]int, len(targets))
		for _, w := range want {
			k := w.record % keys
			owner := int(p.owner[int((kc.Hash(&k)>>32)*16>>32)])
			r := records[owner]
			if at[owner] >= len(r.seen) || r.seen[at[owner]] != w {
				t.Fatalf("target %d saw %v, its record %d must be %v", owner, r.seen, at[owner], w)
			}
			at[owner]++
		}
		for i, r := range records {
			if at[i] != len(r.seen) {
				t.Fatalf("target %d saw %d records, %d are its own", i, len(r.seen), at[i])
			}
			if r.wm != last {
				t.Fatalf("target %d knows watermark %d at the end, want %d", i, r.wm, last)
			}
		}
		if sent, err := p.Flush(); sent || err != nil {
			t.Fatalf("a flush with nothing held says %v, %v", sent, err)
		}
	})
}

// kinds notes the kinds of the elements that a target gets.
type kinds struct{ got []element.Kind }

func (k *kinds) Push(el element.Element) error {
	k.got = append(k.got, el.Kind)
	return nil
}

// TestPartitionWakesAllTargets: after an idle mark, the first record goes to one target, and all others hear that the input is
// active again although the watermark has not moved.
func TestPartitionWakesAllTargets(t *testing.T) {
	kc, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	pool := element.NewPool[int64](8)
	targets := []*kinds{{}, {}, {}}
	p := NewPartition(func(*int64) int64 { return 1 }, kc, pool, 16, []Sender{targets[0], targets[1], targets[2]})
	if err := p.Idle(); err != nil {
		t.Fatal(err)
	}
	b := pool.Get()
	v := int64(7)
	b.Add(&v, 7)
	if err := p.Process(b); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second flush has nothing to say
		if _, err := p.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	batches := 0
	for i, k := range targets {
		if len(k.got) != 2 || k.got[0] != element.KindIdle {
			t.Errorf("target %d got %v, want idle and then a batch or a watermark", i, k.got)
			continue
		}
		if k.got[1] == element.KindBatch {
			batches++
		} else if k.got[1] != element.KindWatermark {
			t.Errorf("target %d got %v", i, k.got)
		}
	}
	if batches != 1 {
		t.Errorf("%d targets got the record", batches)
	}
}
