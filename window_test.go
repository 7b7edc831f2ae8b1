package millrace_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// seconds are event times of a stream with disorder; some records are late.
func seconds(rng *rand.Rand, n, disorder int) []ride {
	var in []ride
	for i := range n {
		in = append(in, ride{Base: fmt.Sprint(rng.IntN(5)), At: int64(1_000_000 + i - rng.IntN(disorder+1)), N: int64(i)})
	}
	return in
}

// byHand is what windows of the given size and slide must give: for each key and window the sum of the records for which the
// window had not ended, by the watermark before the record, and the records that no window took.
func byHand(in []ride, size, slide, bound int64) (sums map[string]int64, late map[int64]bool) {
	sums, late = map[string]int64{}, map[int64]bool{}
	newest := int64(-1 << 40)
	for _, r := range in {
		taken := false
		for ws := r.At / slide * slide; ws > r.At-size; ws -= slide {
			if ws+size > newest-bound { // the end is ws+size: it has come when the watermark, just below newest-bound, has reached just below it
				sums[fmt.Sprint(r.Base, "@", ws)] += r.N
				taken = true
			}
		}
		if !taken {
			late[r.N] = true
		}
		newest = max(newest, r.At)
	}
	return sums, late
}

func TestWindowsTakeExactlyTheRecordsThatAreInTime(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		size := int64(1 + rng.IntN(60))
		slide := size
		if seed%2 == 1 {
			slide = int64(1 + rng.IntN(int(size)))
		}
		bound, disorder := int64(rng.IntN(20)), rng.IntN(100)
		if seed%3 == 0 {
			disorder = 0
		}
		in := seconds(rng, 3000, disorder)
		wantSums, wantLate := byHand(in, size, slide, bound)
		var assigner window.Assigner = window.Tumbling(time.Duration(size) * time.Second)
		if slide != size {
			assigner = window.Sliding(time.Duration(size)*time.Second, time.Duration(slide)*time.Second)
		}
		job := millrace.NewJob("exact")
		windows := job.From("rides", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(time.Duration(bound)*time.Second)).
			KeyBy(ride.base).Window(assigner)
		out, late := memory.NewSink[millrace.Pane[string, int64]](), memory.NewSink[ride]()
		windows.Aggregate("sum", agg.Sum(func(r ride) int64 { return r.N })).To("out", out)
		windows.Late().To("late", late)
		err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1 + int(seed%3), Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		gotSums, gotLate := map[string]int64{}, map[int64]bool{}
		for _, p := range out.Records() {
			id := fmt.Sprint(p.Key, "@", p.Start.Unix())
			if _, twice := gotSums[id]; twice {
				t.Errorf("seed %d: window %s fired twice", seed, id)
			}
			gotSums[id] = p.Value
		}
		for _, r := range late.Records() {
			gotLate[r.N] = true
		}
		if !maps.Equal(gotSums, wantSums) {
			t.Errorf("seed %d: size %d slide %d bound %d disorder %d: sums differ: got %d windows, want %d", seed, size, slide, bound, disorder, len(gotSums), len(wantSums))
		}
		if !maps.Equal(gotLate, wantLate) {
			t.Errorf("seed %d: size %d slide %d bound %d disorder %d: late: got %d records, want %d", seed, size, slide, bound, disorder, len(gotLate), len(wantLate))
		}
	}
}
