package file

import "strings"

// arenaSize is how many bytes of strings share one allocation.
const arenaSize = 4 << 10

// arena keeps strings that are not parts of a batch's text, since they stand there with escapes or doubled quotes. A builder
// never changes what it has handed out, so its strings stay good while it goes on growing. A string keeps the block alive that
// it is in, as it does with the text of a batch.
type arena struct{ block strings.Builder }

// keep returns a string of these bytes.
func (a *arena) keep(text []byte) string {
	if len(text) > arenaSize/4 {
		return string(text)
	}
	if a.block.Len()+len(text) > a.block.Cap() {
		a.block = strings.Builder{}
		a.block.Grow(arenaSize)
	}
	from := a.block.Len()
	a.block.Write(text) // A builder takes anything.
	return a.block.String()[from:]
}
