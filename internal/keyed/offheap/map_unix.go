//go:build unix && !race

package offheap

import (
	"sync/atomic"
	"syscall"
)

var inUse atomic.Int64

// InUse returns how many bytes are mapped.
func InUse() int64 { return inUse.Load() }

// Map returns size bytes of zeros, or nil when the system gives none: the caller takes them from the heap then. There must be no pointers to Go memory in
// them. They are there until Unmap.
//
// The race detector does not look at such memory, so under it there is none.
func Map(size int) []byte {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil // limits on mappings and on memory are the reasons; the heap may still have some
	}
	inUse.Add(int64(size))
	return b
}

// Unmap gives the bytes that Map has returned back. Nobody may look at them any more.
func Unmap(b []byte) {
	inUse.Add(-int64(len(b)))
	if err := syscall.Munmap(b); err != nil {
		panic("offheap: unmap: " + err.Error()) // they are not what Map has returned
	}
}
