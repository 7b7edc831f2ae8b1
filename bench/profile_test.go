package bench

import (
	"testing"
	"time"
)

func BenchmarkEngineSmallChained(b *testing.B)  { profile(b, 10_000, 20_000_000, 1) }
func BenchmarkEngineLargeChained(b *testing.B)  { profile(b, 1_000_000, 10_000_000, 1) }
func BenchmarkEngineSmallExchange(b *testing.B) { profile(b, 10_000, 20_000_000, 2) }
func BenchmarkEngineLargeExchange(b *testing.B) { profile(b, 1_000_000, 10_000_000, 2) }

// profile runs the engine alone, for use with -cpuprofile.
func profile(b *testing.B, keys uint64, records, parallelism int) {
	events := makeInput(records, keys)
	b.ResetTimer()
	start := cpuTime(b)
	for b.Loop() {
		engine{parallelism: parallelism, every: time.Second}.run(b, events)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/float64(records), "cpu-ns/record")
}
