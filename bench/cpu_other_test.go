//go:build !unix

package bench

import (
	"testing"
	"time"
)

// cpuTime is known on Unix systems only.
func cpuTime(tb testing.TB) time.Duration {
	tb.Skip("the CPU time of the process is read with getrusage, which this system does not have")
	return 0
}
