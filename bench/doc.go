// Package bench measures jobs made with the public API against loops written by hand for the same task, in one process
// and in turn, so that what else the machine does hits both alike.
//
// A benchmark runs its contenders in interleaved rounds over the same records in memory, checks first that all give the same
// results, and compares the medians of the CPU time that the process used for a record, garbage collection and checkpoint
// writers included; wall time stands beside it. When the CPU time of the reference varies by more than 15 % between rounds the machine
// was too busy to say anything, and the verdict is void.
//
// Run it with: make bench. Absolute times belong to the machine; only ratios may be quoted.
package bench
