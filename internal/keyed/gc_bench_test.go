package keyed

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// manyKeys makes BenchmarkCollect use ten million keys, which take some minutes and gigabytes.
var manyKeys = flag.Bool("many", false, "ten million keys and not one for BenchmarkCollect")

// account is state as users write it: a struct with strings.
type account struct {
	Name, City string
	Visits     int64
}

type accountCodec struct{}

func (accountCodec) Append(dst []byte, v *account) []byte {
	dst = append(dst, byte(len(v.Name)))
	dst = append(dst, v.Name...)
	dst = append(dst, byte(len(v.City)))
	dst = append(dst, v.City...)
	return fixedCodec{}.Append(dst, &v.Visits)
}

func (accountCodec) Decode(src []byte, v *account) ([]byte, error) {
	for _, s := range []*string{&v.Name, &v.City} {
		if len(src) == 0 || len(src) <= int(src[0]) {
			return nil, errShort
		}
		*s = string(src[1 : 1+src[0]])
		src = src[1+src[0]:]
	}
	return fixedCodec{}.Decode(src, &v.Visits)
}

// fixedCodec is that of a number.
type fixedCodec struct{}

func (fixedCodec) Append(dst []byte, v *int64) []byte {
	k := uint64(*v)
	return uintKey().Append(dst, &k)
}

func (fixedCodec) Decode(src []byte, v *int64) ([]byte, error) {
	var k uint64
	rest, err := uintKey().Decode(src, &k)
	*v = int64(k)
	return rest, err
}

func fill(v *account, i int) {
	v.Name, v.City, v.Visits = fmt.Sprintf("customer number %d", i), strings.Clone("Rotterdam"), int64(i)
}

// gcCPU returns the processor time that the garbage collector has taken, in seconds.
func gcCPU() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/mark/dedicated:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/assist:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64() + s[1].Value.Float64() + s[2].Value.Float64()
}

// BenchmarkCollect measures a garbage collection beside state of many keys: of structs with strings in memory, the same with the disk behind a
// budget, structs without pointers, and one of Go's maps. Each collection is forced; the time is that of all processors.
//
//	go test -run xxx -bench Collect -benchtime 5x ./internal/keyed -many
func BenchmarkCollect(b *testing.B) {
	n := 1_000_000
	if *manyKeys {
		n = 10_000_000
	}
	collect := func(b *testing.B, keep func()) {
		b.Helper()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := gcCPU()
		b.ResetTimer()
		for range b.N {
			runtime.GC()
		}
		b.StopTimer()
		b.ReportMetric((gcCPU()-before)*1000/float64(b.N), "ms-CPU/GC")
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB")
		b.ReportMetric(0, "ns/op")
		keep()
	}
	accounts := func(b *testing.B, m *Memory) {
		b.Helper()
		s := New(Config[uint64, account]{
			Operator: "op", State: "st", Key: uintKey(), Value: accountCodec{}, Layout: codec.Immutable, Groups: benchGroups, Hi: benchGroups, Memory: m,
		})
		p := s.Ensure(0)
		for i := range n {
			k := uint64(i)
			v, _ := p.Upsert(&k, mix(k))
			fill(v, i)
			if i%256 == 0 {
				m.Settle()
			}
		}
		collect(b, func() { runtime.KeepAlive(s) })
		if p.Len() != n {
			b.Fatal(p.Len())
		}
	}
	b.Run(fmt.Sprintf("strings/memory/%d", n), func(b *testing.B) { accounts(b, nil) })
	b.Run(fmt.Sprintf("strings/disk/%d", n), func(b *testing.B) {
		const budget = 512 << 20
		store, err := cold.Open(cold.Options{Dir: b.TempDir(), Memory: budget / 4})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		accounts(b, NewTier(TierConfig{Store: store, Limit: budget * 3 / 4}).Task(nil))
	})
	b.Run(fmt.Sprintf("flat/memory/%d", n), func(b *testing.B) {
		s, _ := benchSpace(n)
		collect(b, func() { runtime.KeepAlive(s) })
	})
	b.Run(fmt.Sprintf("strings/map/%d", n), func(b *testing.B) {
		m := make(map[uint64]*account)
		for i := range n {
			v := &account{}
			fill(v, i)
			m[uint64(i)] = v
		}
		collect(b, func() { runtime.KeepAlive(m) })
	})
}
