package task

import (
	"context"
	"runtime/pprof"
)

// Go starts a goroutine labelled with its name, so that a profile says which task spent the time.
func (System) Go(name string, fn func()) {
	go pprof.Do(context.Background(), pprof.Labels("task", name), func(context.Context) { fn() })
}
