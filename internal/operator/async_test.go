package operator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// byHand is a task whose work beside it is done when the test says so, one piece at a time.
type byHand struct {
	pick    func(n int) int // which of n pieces is next
	work    []func()
	woken   bool
	clock   *fakeClock
	most    int // the most that was to be done at a time
	epochs  int
	stopped error
}

func (b *byHand) Wake()         { b.woken = true }
func (b *byHand) RequestEpoch() { b.epochs++ }

func (b *byHand) Go(_ string, fn func()) {
	b.work = append(b.work, fn)
	b.most = max(b.most, len(b.work))
}

// one does a piece of work, if there is any.
func (b *byHand) one() bool {
	if len(b.work) == 0 {
		return false
	}
	i := b.pick(len(b.work))
	fn := b.work[i]
	b.work = slices.Delete(b.work, i, i+1)
	fn()
	return true
}

func (b *byHand) Await(until int64, done func() bool) error {
	for !done() && b.clock.now < until {
		if b.stopped != nil {
			return b.stopped
		}
		if !b.one() {
			if until == math.MaxInt64 {
				return errors.New("the operator waits for nothing, for ever")
			}
			b.clock.now = until
		}
	}
	return nil
}

type asyncTest struct {
	op    *asyncOp[int64, int64]
	task  *byHand
	out   *recorder
	c     *Context
	clock *fakeClock
}

// openAsync opens the operator as a subtask that goes on from old states.
func openAsync(t fataler, cfg AsyncConfig[int64, int64], pick func(int) int, old [][]byte, subtask, parallelism int) *asyncTest {
	a := &asyncTest{out: newRecorder(t)}
	a.c, a.clock = clockedContext(a.out)
	a.task = &byHand{pick: pick, clock: a.clock}
	a.c.Task, a.c.Old, a.c.Subtask, a.c.Parallelism = a.task, old, subtask, parallelism
	var err error
	if cfg.Codec, err = codec.For[int64](); err != nil {
		t.Fatalf("%v", err)
	}
	cfg.Pool = element.NewPool[int64](4)
	cfg.Attempts, cfg.Backoff, cfg.MaxBackoff = max(1, cfg.Attempts), max(1, cfg.Backoff), max(1, cfg.MaxBackoff)
	a.op = NewAsync(cfg).(*asyncOp[int64, int64])
	if err := a.op.Open(a.c); err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

var errUnwell = errors.New("the service is unwell")

// TestAsyncResultsComeInTheirPlace feeds records, watermarks and idle marks, finishes requests in any order, lets some fail for a while or for good, and
// goes on from a checkpoint at any moment. Whatever happens, each record gives one result, behind the watermark that it was behind; in
// order, or between two watermarks in any; and never more requests are made at a time than there is room for.
func TestAsyncResultsComeInTheirPlace(t *testing.T) {
	pool := element.NewPool[int64](8)
	rapid.Check(t, func(t *rapid.T) {
		batches, want, last := drawBatches(t, pool)
		fails := rapid.SliceOfN(rapid.IntRange(0, 4), len(want)+1, len(want)+1).Draw(t, "failures")
		const attempts = 3
		calls := map[int64]int{}
		cfg := AsyncConfig[int64, int64]{
			Capacity: rapid.IntRange(1, 6).Draw(t, "capacity"), Unordered: rapid.Bool().Draw(t, "unordered"),
			Attempts: attempts, Backoff: time.Duration(rapid.IntRange(1, 20).Draw(t, "backoff")), MaxBackoff: 30, Jitter: 0.5,
			Call: func(_ context.Context, r int64) (int64, error) {
				if calls[r]++; calls[r] <= fails[r] {
					return -1, errUnwell
				}
				return r, nil
			},
			Fallback: func(r int64, err error) (int64, error) {
				if !errors.Is(err, errUnwell) {
					return 0, err
				}
				return r, nil
			},
		}
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "finish") }
		a := openAsync(t, cfg, pick, nil, 0, 1)
		var got []seen
		wm, restores := int64(element.NoTime), 0
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for len(batches) > 0 {
			switch rapid.SampledFrom([]string{"batch", "finish", "finish", "finish", "later", "restore"}).Draw(t, "act") {
			case "batch":
				b := batches[0]
				batches = batches[1:]
				if len(b.Steps) > 0 {
					wm = b.Steps[len(b.Steps)-1].Time
				}
				must(a.op.Process(b))
			case "finish":
				if a.task.one() && !a.task.woken {
					t.Fatal("a request is finished and the task was not woken")
				}
				must(a.op.Tick(a.clock.now))
			case "later":
				a.clock.now += rapid.Int64Range(0, 30).Draw(t, "by")
				if a.op.NextTick() <= a.clock.now {
					must(a.op.Tick(a.clock.now))
				}
			case "restore":
				cut, err := a.op.Freeze(1)
				must(err)
				got = append(got, a.out.seen...)
				most, capacity := a.task.most, cfg.Capacity
				if most > capacity {
					t.Fatalf("%d requests at a time, there is room for %d", most, capacity)
				}
				a = openAsync(t, cfg, pick, [][]byte{cut.State}, 0, 1)
				if wm > element.NoTime {
					must(a.op.Watermark(wm)) // those before it begin with what they know
				}
				restores++
			}
		}
		must(a.op.Idle())
		must(a.op.Watermark(element.EndTime))
		got = append(got, a.out.seen...)
		if cfg.Unordered {
			slices.SortFunc(got, func(x, y seen) int { return int(x.record - y.record) })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("after %d restores got %v, want %v", restores, got, want)
		}
		if a.out.wm != element.EndTime || a.out.idle != 1 || last > a.out.wm {
			t.Fatalf("the watermark is %d at the end, %d idle marks came", a.out.wm, a.out.idle)
		}
		if a.op.open != 0 || a.op.held != 0 || a.op.Room() != cfg.Capacity || a.c.Counters.InFlight.Load() != 0 {
			t.Fatalf("%d requests are open and %d held at the end, room for %d", a.op.open, a.op.held, a.op.Room())
		}
		if most := a.task.most; most > cfg.Capacity {
			t.Fatalf("%d requests at a time, there is room for %d", most, cfg.Capacity)
		}
		if restores == 0 {
			var retries, fallbacks int64
			for _, w := range want {
				retries += int64(min(fails[w.record], attempts-1))
				if fails[w.record] >= attempts {
					fallbacks++
				}
			}
			if c := a.c.Counters; c.Retries.Load() != retries || c.Fallbacks.Load() != fallbacks || c.Out.Load() != int64(len(want)) {
				t.Fatalf("%d retries, %d fallbacks and %d results are counted, want %d, %d and %d",
					c.Retries.Load(), c.Fallbacks.Load(), c.Out.Load(), retries, fallbacks, len(want))
			}
		}
	})
}

// TestAsyncRequestsAreSharedAfterARescale: each request of each old subtask is made by one new one, and no result comes behind a
// watermark that its record was not behind; with as many subtasks as before, all is as before.
func TestAsyncRequestsAreSharedAfterARescale(t *testing.T) {
	pool := element.NewPool[int64](8)
	rapid.Check(t, func(t *rapid.T) {
		before, after := rapid.IntRange(1, 4).Draw(t, "before"), rapid.IntRange(1, 4).Draw(t, "after")
		cfg := AsyncConfig[int64, int64]{Capacity: rapid.IntRange(1, 5).Draw(t, "capacity"), Call: func(_ context.Context, r int64) (int64, error) { return r, nil }}
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "finish") }
		left := map[int64]bool{}
		limit := map[int64]int64{} // the watermark before each record
		var old [][]byte
		var lasts []int64
		inFlight, next := 0, int64(0)
		for range before {
			batches, want, last := drawBatches(t, pool)
			a := openAsync(t, cfg, pick, nil, 0, 1)
			for _, b := range batches {
				for i := range b.Records {
					b.Records[i] += next
				}
				if err := a.op.Process(b); err != nil {
					t.Fatal(err)
				}
			}
			for range rapid.IntRange(0, 10).Draw(t, "finished") {
				a.task.one()
				if err := a.op.Tick(a.clock.now); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range want {
				limit[w.record+next] = w.wm
			}
			for _, s := range a.out.seen {
				left[s.record] = true
			}
			inFlight += len(want) - len(a.out.seen)
			next += int64(len(want))
			cut, err := a.op.Freeze(1)
			if err != nil {
				t.Fatal(err)
			}
			old, lasts = append(old, cut.State), append(lasts, last)
		}
		for sub := range after {
			a := openAsync(t, cfg, pick, old, sub, after)
			if wm := slices.Min(lasts); wm > element.NoTime {
				if err := a.op.Watermark(wm); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.op.Watermark(element.EndTime); err != nil {
				t.Fatal(err)
			}
			newest, given := int64(-1), int64(element.EndTime)
			for i := sub; i < before; i += after {
				given = min(given, lasts[i])
			}
			for _, s := range a.out.seen {
				if left[s.record] {
					t.Fatalf("record %d comes twice", s.record)
				}
				left[s.record] = true
				if s.wm > limit[s.record] {
					t.Fatalf("record %d was behind the watermark %d and comes behind %d", s.record, limit[s.record], s.wm)
				}
				if s.wm > given {
					t.Fatalf("record %d comes behind the watermark %d, and one of the old subtasks was only given %d", s.record, s.wm, given)
				}
				if after == before && s.wm != limit[s.record] {
					t.Fatalf("nothing has changed, and record %d that was behind the watermark %d comes behind %d", s.record, limit[s.record], s.wm)
				}
				if after == before && s.record < newest { // all are of one old subtask
					t.Fatalf("record %d comes after %d", s.record, newest)
				}
				newest = s.record
				inFlight--
			}
		}
		if inFlight != 0 || int64(len(left)) != next {
			t.Fatalf("%d requests have not come back; %d of %d records have results", inFlight, len(left), next)
		}
	})
}

// TestAsyncErrorsAreTold: what a call says fails the job, with what was tried.
func TestAsyncErrorsAreTold(t *testing.T) {
	failing := func(context.Context, int64) (int64, error) { return 0, errUnwell }
	for _, c := range []struct {
		name string
		cfg  AsyncConfig[int64, int64]
		want string
	}{
		{"error", AsyncConfig[int64, int64]{Call: failing}, "record with event time 1970-01-01T00:00:07Z: the service is unwell"},
		{
			"retries",
			AsyncConfig[int64, int64]{Call: failing, Attempts: 3},
			"record with event time 1970-01-01T00:00:07Z: attempt 3 of 3: the service is unwell",
		},
		{
			"no use in a retry",
			AsyncConfig[int64, int64]{Call: failing, Attempts: 3, RetryIf: func(err error) bool { return !errors.Is(err, errUnwell) }},
			"record with event time 1970-01-01T00:00:07Z: attempt 1 of 3: the service is unwell",
		},
		{
			"fallback that fails",
			AsyncConfig[int64, int64]{Call: failing, Fallback: func(r int64, err error) (int64, error) { return 0, fmt.Errorf("no way for %d: %w", r, err) }},
			"record with event time 1970-01-01T00:00:07Z: no way for 1: the service is unwell",
		},
		{
			"timeout",
			AsyncConfig[int64, int64]{Timeout: time.Nanosecond, Call: func(ctx context.Context, _ int64) (int64, error) {
				<-ctx.Done()
				return 0, errUnwell
			}},
			"record with event time 1970-01-01T00:00:07Z: no answer within 1ns: context deadline exceeded: the service is unwell",
		},
		{"panic", AsyncConfig[int64, int64]{Attempts: 3, Call: func(context.Context, int64) (int64, error) { panic("oh") }}, "panic: oh"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Capacity = 2
			a := openAsync(t, c.cfg, func(int) int { return 0 }, nil, 0, 1)
			b := element.NewPool[int64](4).Get()
			one := int64(1)
			b.Add(&one, 7e9)
			err := a.op.Process(b)
			if err == nil {
				err = a.op.Watermark(element.EndTime)
			}
			got, _, _ := strings.Cut(fmt.Sprint(err), "\n")
			if got != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
			if p, ok := errors.AsType[*PanicError](err); c.name == "panic" && (!ok || !strings.Contains(string(p.Stack), "TestAsyncErrorsAreTold")) {
				t.Errorf("the panic does not tell the place: %v", err)
			}
		})
	}
}

// TestAsyncPausesDoubleUpToTheirBound compares with a table.
func TestAsyncPausesDoubleUpToTheirBound(t *testing.T) {
	a := openAsync(t, AsyncConfig[int64, int64]{Capacity: 1, Backoff: 100, MaxBackoff: 1000}, nil, nil, 0, 1)
	var got []int64
	for n := 1; n <= 7; n++ {
		got = append(got, int64(a.op.pause(n)))
	}
	if want := []int64{100, 200, 400, 800, 1000, 1000, 1000}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if d := a.op.pause(1 << 20); d != 1000 {
		t.Errorf("after very many failures %v", d)
	}
	a.op.Jitter = 0.25
	least, most := int64(math.MaxInt64), int64(0)
	for range 1000 {
		d := int64(a.op.pause(9))
		least, most = min(least, d), max(most, d)
	}
	if least < 750 || most > 1000 || most-least < 200 {
		t.Errorf("with a quarter of jitter the pauses of 1000 are from %d to %d", least, most)
	}
}

// TestDamagedAsyncStateIsAnError cuts a state at every place and changes its version.
func TestDamagedAsyncStateIsAnError(t *testing.T) {
	a := openAsync(t, AsyncConfig[int64, int64]{Capacity: 9}, nil, nil, 0, 1)
	b := element.NewPool[int64](4).Get()
	for _, v := range []int64{1000, 2000, 3000} {
		b.Advance(b.Len(), v)
		b.Add(&v, v)
	}
	if err := a.op.Process(b); err != nil {
		t.Fatal(err)
	}
	cut, err := a.op.Freeze(1)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[int]bool{}
	for n := range len(cut.State) {
		_, items, err := restoreAsync[int64, int64]([][]byte{cut.State[:n]}, 0, 1, a.op.Codec)
		if err == nil {
			whole[len(items)] = true
		} else if !errors.Is(err, errAsyncState) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	// Between two entries a state may end: 0, 1, 2, 3, 4 of them.
	if len(whole) > 5 {
		t.Errorf("states of %v items were read from parts of a state", whole)
	}
	_, items, err := restoreAsync[int64, int64]([][]byte{cut.State}, 0, 1, a.op.Codec)
	if err != nil || len(items) != 5 {
		t.Errorf("the whole state gives %d items, %v", len(items), err)
	}
	cut.State[0] = 9
	if _, _, err := restoreAsync[int64, int64]([][]byte{cut.State}, 0, 1, a.op.Codec); fmt.Sprint(err) != "the requests in the checkpoint have the format 9, this program knows 1" {
		t.Errorf("got %v", err)
	}
	cut.State[0] = 1
	if _, _, err := restoreAsync[int64, int64]([][]byte{append(cut.State, 7, 0)}, 0, 1, a.op.Codec); !errors.Is(err, errAsyncState) {
		t.Errorf("got %v", err)
	}
}
