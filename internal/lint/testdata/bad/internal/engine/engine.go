// Package engine imports a module that only another package may.
package engine

import (
	"example.org/bad/internal/keyed"
	"github.com/cockroachdb/pebble/v2" // want core
)

// A is a name.
const A = 1

var (
	_ = keyed.X
	_ pebble.DB
)
