package exchange_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/exchange"
	"github.com/millrace-stream/millrace/internal/task"
)

var pool = element.NewPool[int64](16)

func batch(n int) element.Element {
	b := pool.Get()
	for i := range n {
		v := int64(i)
		b.Add(&v, v)
	}
	return element.Element{Kind: element.KindBatch, Batch: b}
}

type rig struct {
	edge      *exchange.Edge
	producer  *exchange.Waiter
	consumer  task.Event
	cancelled atomic.Bool
	blocked   []bool
}

func newRig(l exchange.Limits) *rig {
	s := task.NewSystem()
	r := &rig{consumer: s.NewEvent()}
	r.producer = &exchange.Waiter{
		Event: s.NewEvent(), Cancelled: r.cancelled.Load,
		Blocked: func(b bool) { r.blocked = append(r.blocked, b) },
	}
	r.edge = exchange.NewEdge(l, r.producer, r.consumer)
	return r
}

func TestAnEdgeKeepsOrderAndCountsRecords(t *testing.T) {
	r := newRig(exchange.Limits{Records: 1000, Bytes: 1 << 20})
	for i := 1; i <= 40; i++ { // more than the first ring holds
		if err := r.edge.Push(batch(i % 5)); err != nil {
			t.Fatal(err)
		}
	}
	if records, _ := r.edge.Len(); records != 80 {
		t.Errorf("holds %d records, want 80", records)
	}
	for i := 1; i <= 40; i++ {
		el, ok := r.edge.Pop()
		if !ok || el.Batch.Len() != i%5 {
			t.Fatalf("element %d: %v with %d records", i, ok, el.Batch.Len())
		}
	}
	if _, ok := r.edge.Pop(); ok {
		t.Error("an empty edge gave an element")
	}
	if records, bytes := r.edge.Len(); records != 0 || bytes != 0 {
		t.Errorf("an empty edge counts %d records, %d bytes", records, bytes)
	}
}

// TestAFullEdgeHoldsTheProducer shows that a push beyond a limit, of records or of bytes, waits until the consumer has made room,
// and that it says so while it waits.
func TestAFullEdgeHoldsTheProducer(t *testing.T) {
	for name, l := range map[string]exchange.Limits{
		"records": {Records: 20, Bytes: 1 << 30},
		"bytes":   {Records: 1 << 30, Bytes: 20 * 24},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(l)
				var pushed atomic.Int64
				task.NewSystem().Go("producer", func() {
					for range 100 {
						if err := r.edge.Push(batch(10)); err != nil {
							t.Error(err)
						}
						pushed.Add(1)
					}
				})
				synctest.Wait()
				if n := pushed.Load(); n != 2 {
					t.Fatalf("%d batches of 10 went into an edge for 20 records", n)
				}
				most := 0
				for got := 0; got < 100; {
					if _, ok := r.edge.Pop(); ok {
						got++
						synctest.Wait()
						if records, _ := r.edge.Len(); records > most {
							most = records
						}
						continue
					}
					t.Fatalf("the edge is empty after %d of 100 batches, the producer pushed %d and is not woken", got, pushed.Load())
				}
				if most > 20 {
					t.Errorf("the edge held up to %d records, the limit is 20", most)
				}
				if len(r.blocked) == 0 || !r.blocked[0] || r.blocked[len(r.blocked)-1] {
					t.Errorf("the producer was told %v about waiting", r.blocked)
				}
			})
		})
	}
}

// TestABatchLargerThanTheLimitPasses: one batch always goes into an empty edge, or it never could.
func TestABatchLargerThanTheLimitPasses(t *testing.T) {
	r := newRig(exchange.Limits{Records: 1, Bytes: 1})
	if err := r.edge.Push(batch(10)); err != nil {
		t.Fatal(err)
	}
	if el, ok := r.edge.Pop(); !ok || el.Batch.Len() != 10 {
		t.Errorf("popped %v", ok)
	}
}

func TestWatermarksAloneAreBoundedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(exchange.Limits{Records: 1000, Bytes: 1 << 20})
		var pushed atomic.Int64
		task.NewSystem().Go("producer", func() {
			for i := range int64(5000) {
				if r.edge.Push(element.Element{Kind: element.KindWatermark, Time: i}) != nil {
					return
				}
				pushed.Add(1)
			}
		})
		synctest.Wait()
		if n := pushed.Load(); n >= 5000 || n == 0 {
			t.Fatalf("%d of 5000 watermarks went into an edge that nobody reads", n)
		}
		r.cancelled.Store(true)
		r.producer.Event.Set()
	})
}

func TestACancelledProducerStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(exchange.Limits{Records: 1, Bytes: 1})
		result := make(chan error, 1)
		task.NewSystem().Go("producer", func() {
			_ = r.edge.Push(batch(1))
			result <- r.edge.Push(batch(1))
		})
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("push returned %v while the edge was full", err)
		default:
		}
		r.cancelled.Store(true)
		r.producer.Event.Set()
		if err := <-result; !errors.Is(err, exchange.ErrCancelled) {
			t.Errorf("got %v, want %v", err, exchange.ErrCancelled)
		}
	})
}

func TestAnInboxTakesInTurnAndLeavesBlockedInputsAlone(t *testing.T) {
	var edges []*exchange.Edge
	for range 3 {
		r := newRig(exchange.Limits{Records: 1000, Bytes: 1 << 20})
		for range 2 {
			_ = r.edge.Push(batch(1))
		}
		edges = append(edges, r.edge)
	}
	in := exchange.NewInbox(edges)
	take := func() int {
		i, _, ok := in.Next()
		if !ok {
			return -1
		}
		return i
	}
	if a, b := take(), take(); a != 0 || b != 1 {
		t.Errorf("took from %d, %d, want 0, 1", a, b)
	}
	in.Block(2, true)
	if a, b, c := take(), take(), take(); a != 0 || b != 1 || c != -1 {
		t.Errorf("with input 2 blocked took from %d, %d, %d, want 0, 1, none", a, b, c)
	}
	in.Block(2, false)
	if a, b, c := take(), take(), take(); a != 2 || b != 2 || c != -1 {
		t.Errorf("after that took from %d, %d, %d, want 2, 2, none", a, b, c)
	}
}

func TestBytesCountWhatRecordsHold(t *testing.T) {
	sized := element.NewPool[string](4).Sized(func(s *string) int { return len(*s) })
	b := sized.Get()
	long := string(make([]byte, 1000))
	b.Add(&long, 0)
	r := newRig(exchange.Limits{Records: 1000, Bytes: 1 << 20})
	if err := r.edge.Push(element.Element{Kind: element.KindBatch, Batch: b}); err != nil {
		t.Fatal(err)
	}
	if _, bytes := r.edge.Len(); bytes < 1000 || bytes > 1100 {
		t.Errorf("a record with 1000 bytes counts as %d", bytes)
	}
	r.edge.Pop()
	if _, bytes := r.edge.Len(); bytes != 0 {
		t.Errorf("%d bytes are left in an empty edge", bytes)
	}
}
