// Package offheap gives memory that the garbage collector does not know: it is not scanned, does not raise the size at which the collector runs
// next, and goes back to the system at once.
//
// Tables of state are most of what a job keeps. On the heap they let the collector wait until as much again has been left over, so that a process
// takes twice its state.
package offheap

// Least is the smallest size, in bytes, that is worth a mapping of its own.
const Least = 64 << 10
