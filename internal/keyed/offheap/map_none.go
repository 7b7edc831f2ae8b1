//go:build !unix || race

package offheap

// Map returns nil: there is no such memory here.
func Map(int) []byte { return nil }

// Unmap is not called.
func Unmap([]byte) {}

// InUse returns 0.
func InUse() int64 { return 0 }
