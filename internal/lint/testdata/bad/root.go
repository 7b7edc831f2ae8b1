// Package bad breaks rules; each line says which.
package bad

import (
	"example.org/bad/connect/file" // want core
	"example.org/bad/internal/engine"
	"github.com/forgotten/thing" // want core
)

type Undocumented struct{} // want exported-doc

// Message is a word for transports.
type Message struct{} // want glossary

// ShardCount has the wrong word.
func ShardCount() int { return len(thing.All) } // want glossary

// EventTime is a fine name, Event alone is not.
func EventTime() {}

// Group of constants: one comment is enough.
const (
	A = engine.A
	B = file.B
)

func (Undocumented) Run() {} // want exported-doc

type hidden struct{}

func (hidden) Run() {}

func (h *hidden) Unseen() {}

// Workers is a plural of a wrong word.
var Workers int // want glossary

// Event is a function here: only the name of a type is another word for record.
func Event() {}

// Unshown is in an Example that is not run.
func Unshown() {} // want example

// Handle is generic, so its methods are verbs.
type Handle[T any] struct{}

// Shown is in an Example.
func (Handle[T]) Shown() {}

// Dark is in none.
func (*Handle[T]) Dark() {} // want example

// String is for fmt.
func (Handle[T]) String() string { return "" }
