// Package element may pool.
package element

import "sync"

// P is a pool.
var P sync.Pool
