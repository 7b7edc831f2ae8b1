//go:build !unix

package main

import "time"

var start = time.Now()

// cpuTime is not known here: wall time stands for it.
func cpuTime() time.Duration { return time.Since(start) }
