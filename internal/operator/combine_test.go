package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/window"
)

// hit is a record of the tests of pre-aggregation.
type hit struct {
	Page string
	N    int64
}

var errSick = errors.New("a sick record")

// plan is an aggregation in front of which there is an exchange.
type plan[A, R any] struct {
	panes    pane.Layout
	lateness int64
	a        agg.Aggregator[hit, A, R]
	// combine says that there is a Combiner in front, old what it is told of the restored windows.
	combine bool
	old     [][]byte
}

// journal writes down what comes out of an operator, each with the watermark before it.
type journal[T any] struct {
	lines *[]string
	name  string
	wm    int64
}

func (j *journal[T]) Process(b element.Batch) error {
	in, step := b.(*element.Of[T]), 0
	for i, r := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			j.wm = in.Steps[step].Time
			step++
		}
		*j.lines = append(*j.lines, fmt.Sprintf("%s %d after %d: %+v", j.name, in.Times[i], j.wm, r))
	}
	for ; step < len(in.Steps); step++ {
		j.wm = in.Steps[step].Time
	}
	b.Free()
	return nil
}

func (j *journal[T]) Watermark(t int64) error { j.wm = t; return nil }
func (j *journal[T]) Idle() error             { return nil }

// exchangeRig is an exchange from one producer to windows, with what comes out of each and its counters.
type exchangeRig[A, R any] struct {
	in       Flusher
	windows  []*windowTarget
	partials int
}

// windowTarget is a Sender that hands everything to windows at once.
type windowTarget struct {
	op    Op
	c     *Context
	lines []string
	// partial counts the batches of partials.
	partial func(element.Batch)
	idle    bool
}

func (w *windowTarget) Push(el element.Element) error {
	switch el.Kind {
	case element.KindBatch:
		w.partial(el.Batch)
		return w.op.Input(0).Process(el.Batch)
	case element.KindWatermark:
		return w.op.Input(0).Watermark(el.Time)
	case element.KindIdle:
		w.idle = true
	}
	return nil
}

func newRigOf[A, R any](t fataler, p plan[A, R], targets int) *exchangeRig[A, R] {
	kc, err := codec.KeyFor[string]()
	if err != nil {
		t.Fatalf("%v", err)
	}
	acc, err := codec.For[A]()
	if err != nil {
		t.Fatalf("%v", err)
	}
	key := func(h *hit) string { return h.Page }
	r := &exchangeRig[A, R]{}
	var to []Sender
	for range targets {
		w := &windowTarget{}
		w.partial = func(b element.Batch) {
			if _, ok := b.(*element.Of[Partial[string, A]]); ok {
				r.partials++
				if w.idle {
					t.Fatalf("a partial after an idle mark")
				}
			}
		}
		w.c = &Context{
			Context: context.Background(), Counters: &Counters{}, Groups: 16, Hi: 16, Old: p.old,
			Load: func(string, snapshot.Visitor) error { return nil },
			Outputs: func(side string) Receiver {
				switch side {
				case "late":
					return &journal[hit]{lines: &w.lines, name: side, wm: element.NoTime}
				case "missed":
					return &journal[window.Missed[string, hit]]{lines: &w.lines, name: side, wm: element.NoTime}
				}
				return &journal[window.Pane[string, R]]{lines: &w.lines, name: "pane", wm: element.NoTime}
			},
		}
		w.op = NewWindow(WindowConfig[string, hit, A, R]{
			Panes: p.panes, Lateness: p.lateness, Key: key, KeyCodec: kc, Acc: acc, AccLayout: codec.LayoutOf[A](), Agg: p.a,
			Pool: element.NewPool[window.Pane[string, R]](7), LatePool: element.NewPool[hit](5), MissedPool: element.NewPool[window.Missed[string, hit]](5),
		})
		if err := w.op.Open(w.c); err != nil {
			t.Fatalf("%v", err)
		}
		r.windows = append(r.windows, w)
		to = append(to, w)
	}
	pool := element.NewPool[hit](4)
	r.in = NewPartition(key, kc, pool, 16, to)
	if p.combine {
		r.in = NewCombiner(CombineConfig[string, hit, A, R]{
			Panes: p.panes, Key: key, KeyCodec: kc, Agg: p.a, Pool: pool, Partials: element.NewPool[Partial[string, A]](3),
		}, 16, p.old, to)
	}
	return r
}

// do is one thing that the producer does.
type do struct {
	batch *element.Of[hit]
	wm    int64
	idle  bool
	flush bool
}

func drawDoings(t *rapid.T) []do {
	pool := element.NewPool[hit](16)
	pages := []string{"a", "b", "", "cc"}
	var out []do
	wm, now := int64(element.NoTime), int64(0)
	for range rapid.IntRange(1, 12).Draw(t, "doings") {
		switch rapid.IntRange(0, 11).Draw(t, "what") {
		case 0:
			wm = max(wm, now-4) + rapid.Int64Range(1, 8).Draw(t, "by")
			out = append(out, do{wm: wm})
			continue
		case 1, 2:
			out = append(out, do{flush: true})
			continue
		case 3:
			out = append(out, do{idle: true})
			continue
		}
		b := pool.Get()
		n := rapid.IntRange(1, 12).Draw(t, "records")
		for i := 0; i <= n; i++ {
			if rapid.IntRange(0, 2).Draw(t, "step") == 0 && now-3 > wm {
				wm = now - 3
				b.Advance(i, wm)
			}
			if i < n {
				now += rapid.Int64Range(0, 2).Draw(t, "later")
				r := hit{Page: pages[rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3}).Draw(t, "page")], N: rapid.Int64Range(0, 99).Draw(t, "n")}
				b.Add(&r, now-rapid.Int64Range(0, 9).Draw(t, "behind"))
			}
		}
		out = append(out, do{batch: b})
	}
	return append(out, do{wm: element.EndTime}, do{flush: true})
}

// play lets the producer do all of it and returns what comes out: for each target its records in their order and its counters, then the
// first error.
func (r *exchangeRig[A, R]) play(doings []do) (out []string) {
	var err error
	for _, d := range doings {
		switch {
		case d.batch != nil:
			err = r.in.Process(d.batch.Clone())
		case d.flush:
			_, err = r.in.Flush()
		case d.idle:
			err = r.in.Idle()
		default:
			err = r.in.Watermark(d.wm)
		}
		if errors.Is(err, errSick) {
			// Which of several sick records is met first depends on which target is handed its records first; in a job they
			// run beside each other.
			return []string{errSick.Error()}
		}
		if err != nil {
			return []string{err.Error()}
		}
	}
	for i, w := range r.windows {
		counts := map[string]int64{}
		w.c.Counters.Add(counts)
		delete(counts, "pre_aggregated") // what is meant to differ
		out = append(out, fmt.Sprintf("target %d: %v", i, counts))
		// The order among outputs depends on when batches are passed on, that within one does not.
		slices.SortStableFunc(w.lines, func(a, b string) int { return strings.Compare(a[:4], b[:4]) })
		out = append(out, w.lines...)
	}
	return out
}

// compareRigs plays the same with and without aggregation before the exchange.
func compareRigs[A, R any](t *rapid.T, p plan[A, R]) (partials int) {
	doings, targets := drawDoings(t), rapid.IntRange(1, 3).Draw(t, "targets")
	plain := newRigOf(t, p, targets)
	p.combine = true
	combined := newRigOf(t, p, targets)
	want, got := plain.play(doings), combined.play(doings)
	if !slices.Equal(got, want) {
		t.Fatalf("with aggregation before the exchange:\n%s\nwithout:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return combined.partials
}

func drawPlan[A, R any](t *rapid.T, a agg.Aggregator[hit, A, R]) plan[A, R] {
	size := rapid.Int64Range(1, 12).Draw(t, "size")
	slide := rapid.Int64Range(1, size).Draw(t, "slide")
	spec := window.Spec{Kind: window.KindSliding, Size: time.Duration(size), Slide: time.Duration(slide), Offset: time.Duration(rapid.Int64Range(0, slide-1).Draw(t, "offset"))}
	panes, err := pane.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 4).Draw(t, "sick") == 0 {
		a.Check = func(h *hit) error {
			if h.N == 13 {
				return errSick
			}
			return nil
		}
	}
	return plan[A, R]{panes: panes, lateness: rapid.SampledFrom([]int64{0, 0, 3, 9}).Draw(t, "lateness"), a: a}
}

// TestAggregationBeforeTheExchangeChangesNothing: results, revisions, late records, counters and errors are those of an exchange of all
// records, with accumulators without and with memory of their own.
func TestAggregationBeforeTheExchangeChangesNothing(t *testing.T) {
	partials := 0
	t.Run("flat", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			partials += compareRigs(t, drawPlan(t, agg.Sum(func(h hit) int64 { return h.N })))
		})
	})
	t.Run("deep", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			all := agg.Combine2(agg.Collect[hit](), agg.CountDistinct(func(h hit) int64 { return h.N % 4 }),
				func(list []hit, n int64) string { return fmt.Sprint(list, n) })
			partials += compareRigs(t, drawPlan(t, all))
		})
	})
	t.Run("init", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			partials += compareRigs(t, drawPlan(t, agg.Aggregator[hit, int64, int64]{
				// Whoever forgets Init, or calls it once more, shows.
				Init:   func(acc *int64) { *acc += 1 << 40 },
				Add:    func(acc *int64, h *hit) { *acc = max(*acc&(1<<40-1), h.N) | *acc&^(1<<40-1) },
				Merge:  func(dst, src *int64) { *dst = max(*dst, *src) },
				Result: func(acc *int64) int64 { return *acc },
			}))
		})
	})
	if !t.Failed() && partials < 100 {
		t.Errorf("only %d batches of partials were sent: that tests nothing", partials)
	}
}

// sums is a plan of sums over windows of 10, with a Combiner.
func sums(t *testing.T) plan[agg.SumState[int64], int64] {
	t.Helper()
	panes, err := pane.New(window.Tumbling(10).Spec())
	if err != nil {
		t.Fatal(err)
	}
	return plan[agg.SumState[int64], int64]{panes: panes, a: agg.Sum(func(h hit) int64 { return h.N }), combine: true}
}

// hits makes a batch of records at a time.
func hits(pool *element.Pool[hit], n int, at int64, page func(i int) string) *element.Of[hit] {
	b := pool.Get()
	for i := range n {
		b.Add(&hit{Page: page(i), N: 1}, at)
	}
	return b
}

// preAggregated returns how many records came in partials.
func (r *exchangeRig[A, R]) preAggregated() (n int64) {
	for _, w := range r.windows {
		n += w.c.Counters.PreAggregated.Load()
	}
	return n
}

// TestNothingIsAggregatedForARestoredClockAhead: the windows have fired up to a watermark that the producer, restored too, has not reached:
// records up to there go as they are.
func TestNothingIsAggregatedForARestoredClockAhead(t *testing.T) {
	p := sums(t)
	p.old = [][]byte{clockState(19)}
	r := newRigOf(t, p, 1)
	pool := element.NewPool[hit](64)
	one := func(int) string { return "a" }
	got := r.play([]do{{batch: hits(pool, 20, 15, one)}, {batch: hits(pool, 20, 25, one)}, {wm: 29}, {flush: true}})
	if n := r.preAggregated(); n != 19 {
		t.Errorf("%d records were aggregated, want those of the window that has not fired, but for the first", n)
	}
	want := "pane 29 after 28: {Key:a Start:1970-01-01 00:00:00.00000002 +0000 UTC End:1970-01-01 00:00:00.00000003 +0000 UTC Value:20 Revision:0 Kind:on-time Gap:0s Replaces:}"
	if len(got) != 1+20+20+1 || got[len(got)-1] != want {
		t.Errorf("got %d lines, the last %q", len(got), got[len(got)-1])
	}
}

// TestAggregationLooksAwayWhereKeysAreTooMany: with a key for each record nothing is saved, and after a trial all records go as they are, for
// longer each time; when one key becomes frequent it is found.
func TestAggregationLooksAwayWhereKeysAreTooMany(t *testing.T) {
	r := newRigOf(t, sums(t), 2)
	c := r.in.(*Combiner[string, hit, agg.SumState[int64], int64])
	pool, n := element.NewPool[hit](1024), 0
	feed := func(records int, page func(i int) string) {
		for range records / 1024 {
			if err := r.in.Process(hits(pool, 1024, 5, page)); err != nil {
				t.Fatal(err)
			}
		}
	}
	feed(combineMost, func(int) string { n++; return fmt.Sprint(n) })
	if c.pause != firstPause || r.preAggregated() > 100 {
		t.Fatalf("after a trial with a key for each record %d records pass unseen, want %d; %d were aggregated", c.pause, firstPause, r.preAggregated())
	}
	feed(firstPause+combineMost, func(int) string { n++; return fmt.Sprint(n) })
	if c.pause != 2*firstPause {
		t.Fatalf("after the second trial %d records pass unseen, want %d", c.pause, 2*firstPause)
	}
	feed(2*firstPause, func(int) string { return "hot" })
	before := r.preAggregated()
	feed(combineMost, func(i int) string {
		if n++; i%2 == 0 {
			return "hot"
		}
		return fmt.Sprint(n)
	})
	if got := r.preAggregated() - before; got < combineMost/2-100 || c.pause != 0 || c.next != firstPause {
		t.Errorf("of %d records, half of them of one key, %d were aggregated; %d pass unseen", combineMost, got, c.pause)
	}
}

// TestAggregationIsForUnevenKeysOrManyRecords: half of the records of frequent keys are not worth the search where all targets get as many, but are where
// one gets most of them; with nine tenths it is worth it anyway.
func TestAggregationIsForUnevenKeysOrManyRecords(t *testing.T) {
	for _, c := range []struct {
		name     string
		frequent int // keys
		tenths   int // of the records are theirs
		want     int
	}{
		{"half of the records of 40 keys", 40, 5, firstPause},
		{"half of the records of one key", 1, 5, 0},
		{"nine tenths of the records of 40 keys", 40, 9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigOf(t, sums(t), 2)
			pool, n := element.NewPool[hit](1024), 0
			for range combineMost / 1024 {
				if err := r.in.Process(hits(pool, 1024, 5, func(i int) string {
					if n++; i%10 < c.tenths {
						return fmt.Sprint("frequent ", n/10%c.frequent)
					}
					return fmt.Sprint(n)
				})); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.in.(*Combiner[string, hit, agg.SumState[int64], int64]).pause; got != c.want {
				t.Errorf("%d records pass unseen, want %d", got, c.want)
			}
		})
	}
}

// TestAggregationDoesNotSendMoreThanItSaves: lists of records are no smaller than the records.
func TestAggregationDoesNotSendMoreThanItSaves(t *testing.T) {
	panes, err := pane.New(window.Tumbling(10).Spec())
	if err != nil {
		t.Fatal(err)
	}
	list := agg.Collect[hit]()
	r := newRigOf(t, plan[agg.CollectState[hit], []hit]{panes: panes, a: list, combine: true}, 1)
	c := r.in.(*Combiner[string, hit, agg.CollectState[hit], []hit])
	c.cfg.Partials.Sized(codec.SizeOf[Partial[string, agg.CollectState[hit]]]())
	pool := element.NewPool[hit](1024)
	for range combineMost / 1024 {
		if err := r.in.Process(hits(pool, 1024, 5, func(int) string { return "a" })); err != nil {
			t.Fatal(err)
		}
	}
	if c.pause != firstPause {
		t.Errorf("after a trial with lists %d records pass unseen, want %d", c.pause, firstPause)
	}
}

// TestAPauseInTheMiddleOfABatchLeavesNothingBehind: a watermark in a batch brings the judgement that the search is not worth it. What is aggregated in the rest of the
// batch must go out before the next one, which is not looked at, carries the watermark that fires its window.
func TestAPauseInTheMiddleOfABatchLeavesNothingBehind(t *testing.T) {
	r := newRigOf(t, sums(t), 1)
	c := r.in.(*Combiner[string, hit, agg.SumState[int64], int64])
	pool, n := element.NewPool[hit](1024), 0
	for range judgeAfter / 1024 { // one key that comes again, so that something is held, and many that do not
		if err := r.in.Process(hits(pool, 1024, 5, func(i int) string {
			if n++; i%64 == 0 {
				return "hot"
			}
			return fmt.Sprint(n)
		})); err != nil {
			t.Fatal(err)
		}
	}
	before := c.pause
	b := hits(pool, 10, 15, func(int) string { return "hot" })
	b.Advance(1, 9)
	if err := r.in.Process(b); err != nil {
		t.Fatal(err)
	}
	if before != 0 || c.pause != firstPause {
		t.Fatalf("the pause was %d before the batch and is %d behind it: the test shows nothing", before, c.pause)
	}
	folded := r.preAggregated()
	b = hits(pool, 10, 25, func(int) string { return "hot" })
	b.Advance(0, 19)
	if err := r.in.Process(b); err != nil {
		t.Fatal(err)
	}
	if _, err := r.in.Flush(); err != nil {
		t.Fatal(err)
	}
	if folded == 0 || r.preAggregated() != folded {
		t.Errorf("%d records were aggregated before the pause, %d in all", folded, r.preAggregated())
	}
}

// TestAPartialThatComesTooLateIsAnError: it cannot be, but if it were nothing may be lost in silence.
func TestAPartialThatComesTooLateIsAnError(t *testing.T) {
	r := newRigOf(t, sums(t), 1)
	if err := r.in.Watermark(9); err != nil {
		t.Fatal(err)
	}
	if _, err := r.in.Flush(); err != nil {
		t.Fatal(err)
	}
	b := element.NewPool[Partial[string, agg.SumState[int64]]](1).Get()
	b.Add(&Partial[string, agg.SumState[int64]]{Key: "a", Records: 1}, 0)
	b.Hashes = append(b.Hashes, 0)
	if err := r.windows[0].op.Input(0).Process(b); !errors.Is(err, errPartialLate) {
		t.Errorf("got %v", err)
	}
}
