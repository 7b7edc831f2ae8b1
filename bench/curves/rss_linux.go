package main

import "syscall"

// peakBytes returns the most memory that a process had: Linux counts in KiB.
func peakBytes(u *syscall.Rusage) int64 { return u.Maxrss << 10 }
