package main

import (
	"syscall"
	"time"
)

// sleep waits for d, some 50 us longer at most when there is a processor to wake up on. The timers of Go wait for whole milliseconds while
// nothing else runs, which would be most of what is measured.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // A signal ends it early: the caller looks at the clock anyway.
}
