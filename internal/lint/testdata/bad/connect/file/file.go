// Package file is a connector: it may import what it likes, but not the engine.
package file

import (
	"example.org/bad/internal/engine" // want floor
	"example.org/bad/internal/fsx"
	"github.com/forgotten/thing"
)

// B is a name.
var B = engine.A

var (
	_ fsx.FS
	_ thing.Thing
)
