//go:build unix && !linux

package main

import "syscall"

// peakBytes returns the most memory that a process had.
func peakBytes(u *syscall.Rusage) int64 { return int64(u.Maxrss) }
