package bench

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestNoAllocationPerRecord runs jobs of two lengths. What a job allocates by itself, for its tasks, buffers and tables, is the
// same in both; the rest must not grow with the records.
func TestNoAllocationPerRecord(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget batches by chance; make check runs this test without it")
	}
	// The collector empties pools of batches, which is not the fault of records: it waits until the end.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const keys, n = 1000, 2_000_000
	events := makeInput(2*n, keys)
	// Windows short enough that slices come and go many times: until the first goes, each takes new memory.
	sliding := engine{parallelism: 1, size: 5 * time.Second, slide: time.Second}
	for _, c := range []struct {
		name string
		job  engine
	}{{"chained", engine{parallelism: 1}}, {"exchange", engine{parallelism: 2}}, {"sliding", sliding}} {
		t.Run(c.name, func(t *testing.T) {
			job := c.job
			job.every = time.Hour
			checkAllocations(t, n, func(records int) { job.run(t, events[:records]) })
		})
	}
	t.Run("dedup", func(t *testing.T) {
		const n = 500_000
		messages := makeMessages(2 * n)
		job := engine{parallelism: 1, every: time.Hour}
		checkAllocations(t, n, func(records int) { job.dedup(t, messages[:records], int64(n)*spacing/10) })
	})
}

// checkAllocations runs a job with n and with 2n records.
func checkAllocations(t *testing.T, n int, run func(records int)) {
	t.Helper()
	run(n)      // fills pools
	best := 1e9 // the background work of two runs differs a little: the smallest difference counts
	for range 4 {
		once := mallocs(func() { run(n) })
		twice := mallocs(func() { run(2 * n) })
		best = min(best, (float64(twice)-float64(once))/float64(n))
	}
	t.Logf("%.6f allocations for a record", best)
	if best > 0.001 {
		t.Errorf("%.4f allocations for a record, want 0", best)
	}
}

func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
