// Package keyed holds the state of keyed operators in memory: open-addressing tables, one per key group and span (pane),
// which know what changed since the last durable epoch, can be frozen at a barrier without a long pause, and are written
// in the background and restored at any parallelism. Timers are built on the same tables.
//
// A Space belongs to one task. Only its goroutine calls it. The one exception is Frozen: WriteTo and Release may run on
// another goroutine while the owner goes on (see block.go for why that is safe).
//
// Keys given to a Space are canonical (codec.Key.Canon was applied where the key was made), and the hash given with a key is
// codec.Key.Hash of it.
package keyed

import "github.com/millrace-stream/millrace/codec"

// Group returns the key group of a hash, in [0, groups). It uses the upper half of the hash; tables use the lower.
func Group(hash uint64, groups int) int {
	return codec.Group(hash, groups)
}

// Range returns the key groups [lo, hi) of one subtask. The ranges of all subtasks are contiguous and cover every group once;
// some are empty when parallelism is larger than groups.
func Range(subtask, parallelism, groups int) (lo, hi int) {
	return subtask * groups / parallelism, (subtask + 1) * groups / parallelism
}

// Owner returns the subtask whose Range contains the group.
func Owner(group, parallelism, groups int) int {
	return ((group+1)*parallelism - 1) / groups
}
