// Package keyed imports upwards.
package keyed

import (
	"example.org/bad"                 // want floor
	"example.org/bad/internal/engine" // want floor
	"github.com/cockroachdb/pebble/v2"
)

var (
	_ bad.Message
	_ = engine.A
	_ pebble.DB
)
