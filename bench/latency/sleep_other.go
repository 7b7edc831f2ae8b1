//go:build !linux

package main

import "time"

// sleep waits for d.
func sleep(d time.Duration) { time.Sleep(d) }
