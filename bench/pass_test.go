package bench

import (
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// bid is a record of 64 bytes.
type bid struct {
	Auction, Bidder, Price, Time int64
	Channel, URL                 string
}

// addBids is what every contender does with the bids in the end.
func addBids(t *tally, bids []bid) {
	for i := range bids {
		t.Sum += uint64(bids[i].Price) ^ uint64(len(bids[i].URL))
	}
	t.Count += int64(len(bids))
}

// BenchmarkPassThrough is B1: bids from a source to a sink in one task, against a loop that copies them to a batch.
func BenchmarkPassThrough(b *testing.B) {
	const records = 20_000_000
	bids := make([]bid, records/10) // read ten times, so that the input is not most of the memory
	for i := range bids {
		n := int64(i)
		bids[i] = bid{Auction: n % 977, Bidder: n % 1013, Price: n*7919%99_991 + 1, Time: origin + n, Channel: "channel", URL: "https://example.org/item"[:10+i%14]}
	}
	cs := []*contender{
		{name: "hand, copy to a batch", run: func() tally {
			var t tally
			batch := make([]bid, batch)
			for range 10 {
				for in := bids; len(in) > 0; {
					n := copy(batch, in)
					addBids(&t, batch[:n])
					in = in[n:]
				}
			}
			return t
		}},
		{name: "engine, source to sink", target: "B1", must: 4, moonshot: 2, run: func() tally {
			sink := &countingSink[bid]{addAll: addBids}
			job := millrace.NewJob("bench")
			splits := make([][]bid, 10)
			for i := range splits {
				splits[i] = bids
			}
			job.From("bids", memory.Splits(splits...)).To("out", sink)
			engine{parallelism: 1, every: time.Second}.runJob(b, job)
			return sink.mu.committed
		}},
	}
	for b.Loop() {
		for _, c := range cs {
			c.cpu, c.wall = nil, nil
		}
		compare(b, "pass-through of 64 bytes", records, cs)
	}
}

// five is a record that the compiler does not keep in registers.
type five struct{ A, B, C, D, E int64 }

func addFives(t *tally, in []five) {
	for i := range in {
		t.Sum += uint64(in[i].A + in[i].B)
	}
	t.Count += int64(len(in))
}

// BenchmarkChain is B2: map, filter, map and sink, by pointer, against one loop that does it all.
func BenchmarkChain(b *testing.B) {
	const records = 40_000_000
	in := make([]five, records/20)
	for i := range in {
		in[i] = five{A: int64(i), B: int64(i * 3), C: int64(i & 63)}
	}
	cs := []*contender{
		{name: "hand, one loop and a copy", run: func() tally { return handChain(in, 20) }},
		{name: "engine, map, filter, map", target: "B2", must: 8, moonshot: 5, run: func() tally {
			sink := &countingSink[five]{addAll: addFives}
			splits := make([][]five, 20)
			for i := range splits {
				splits[i] = in
			}
			engine{parallelism: 1, every: time.Second}.runJob(b, chainJob(memory.Splits(splits...), sink))
			return sink.mu.committed
		}},
	}
	for b.Loop() {
		for _, c := range cs {
			c.cpu, c.wall = nil, nil
		}
		compare(b, "map, filter, map, sink", records, cs)
	}
}
