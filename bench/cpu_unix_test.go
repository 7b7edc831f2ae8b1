//go:build unix

package bench

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns the time that all threads of the process have run.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
