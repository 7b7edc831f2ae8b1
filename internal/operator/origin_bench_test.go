package operator

import (
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// drain frees what it is given.
type drain struct{}

func (drain) Push(el element.Element) error {
	if el.Batch != nil {
		el.Batch.Free()
	}
	return nil
}

// BenchmarkFilterAndExchange is the way of a record from a source to a keyed operator, with and without its origin.
func BenchmarkFilterAndExchange(b *testing.B) {
	for _, origins := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "origins"}[origins]
		b.Run(name, func(b *testing.B) {
			kc, err := codec.KeyFor[int64]()
			if err != nil {
				b.Fatal(err)
			}
			pool, small := element.NewPool[int64](BatchSize), element.NewPool[int64](ExchangeSize)
			part := NewPartition(func(v *int64) int64 { return *v }, kc, small, 128, []Sender{drain{}, drain{}})
			filter := NewFilter(func(in []int64, verdict []bool) {
				for i, v := range in {
					verdict[i] = v%8 != 0
				}
			})
			c := testContext(part)
			if err := filter.Open(c); err != nil {
				b.Fatal(err)
			}
			split := &element.SplitName{Source: "in", Split: "a"}
			b.ReportAllocs()
			for n := 0; n < b.N; n += BatchSize {
				in := pool.Get()
				for i := range int64(BatchSize) {
					in.Records = append(in.Records, i)
					in.Times = append(in.Times, i)
				}
				if origins {
					for i := range int64(BatchSize) {
						in.Origins = append(in.Origins, element.Origin{Split: split, Record: i})
					}
				}
				if err := filter.Input(0).Process(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
