package engine

import (
	"example.org/bad/connect/file"
	"github.com/forgotten/thing"
)

var (
	_ = file.B
	_ thing.Thing
)
