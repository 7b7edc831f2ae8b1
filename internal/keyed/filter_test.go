package keyed

import (
	"testing"

	"github.com/millrace-stream/millrace/codec"
)

// TestFilterLetsFewStrangersPass fills a Space to many sizes, up to just before and just behind those at which filters are made anew,
// and drops panes on the way, whose keys must be forgotten in the end.
func TestFilterLetsFewStrangersPass(t *testing.T) {
	const perSpan = 5000
	s := New(Config[uint64, pair]{Key: uintKey(), Value: pairCodec{}, Layout: codec.Flat, Groups: 8, Lo: 2, Hi: 7, Filtered: true})
	mine := func(x *uint64) (uint64, bool) {
		h := uintKey().Hash(x)
		g := Group(h, 8)
		return h, g >= 2 && g < 7
	}
	var numbers []uint64
	for x := uint64(0); len(numbers) < 120_000; x++ {
		if _, ok := mine(&x); ok {
			numbers = append(numbers, x)
		}
	}
	passed := func(numbers []uint64) int {
		n := 0
		for _, x := range numbers {
			n += int(s.MayHold([]uint64{uintKey().Hash(&x)}))
		}
		return n
	}
	strangers, keys := numbers[100_000:], numbers[:100_000]
	for i := range keys {
		span := int64(i / perSpan)
		h, _ := mine(&keys[i])
		s.Ensure(span).Upsert(&keys[i], h)
		if i%997 == 0 {
			live := keys[max(0, int(span)-3)*perSpan : i+1]
			if n := passed(live); n != len(live) {
				t.Fatalf("%d of %d keys pass", n, len(live))
			}
			if n := passed(strangers); n*1000 > 15*len(strangers) {
				t.Fatalf("with %d keys in %d spans, %d of %d strangers pass, more than 1.5 %%", s.Len(), len(s.Spans()), n, len(strangers))
			}
		}
		if i%perSpan == perSpan-1 && span >= 3 {
			s.Drop(span - 3)
		}
	}
	if n := passed(keys[:50_000]); n > 1000 {
		t.Errorf("%d of 50000 keys that were dropped long ago pass", n)
	}
	bytes := 0
	for _, f := range s.filters.all {
		bytes += 8 * len(f.words)
	}
	if per := float64(bytes) / float64(s.Len()); per > 7 {
		t.Errorf("filters take %.1f bytes for each key, more than 7", per)
	}
}
