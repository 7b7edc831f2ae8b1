package sim

import "fmt"

// History is what has happened, as a number that differs when anything is different, and the last lines of it as text.
type History struct {
	hash  uint64
	lines int
	// recent is a ring of the last lines; nil keeps none.
	recent []string
}

// newHistory returns an empty history that keeps the last lines.
func newHistory(keep int) *History {
	return &History{hash: 14695981039346656037, recent: make([]string, keep)}
}

// Sum returns the number.
func (h *History) Sum() uint64 { return h.hash }

// Lines returns how many lines there were.
func (h *History) Lines() int { return h.lines }

func (h *History) mix(v uint64) {
	const prime = 1099511628211 // FNV-1a, by words
	h.hash = (h.hash ^ v) * prime
	h.hash ^= h.hash >> 32
}

// step notes that a task goes on.
func (h *History) step(id int, now int64) {
	h.mix(uint64(id))
	h.mix(uint64(now))
}

// note adds a line.
func (h *History) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	for i := range len(line) {
		h.mix(uint64(line[i]))
	}
	if len(h.recent) > 0 {
		h.recent[h.lines%len(h.recent)] = line
	}
	h.lines++
}

// Recent returns the last lines, oldest first.
func (h *History) Recent() []string {
	n := min(h.lines, len(h.recent))
	out := make([]string, 0, n)
	for i := h.lines - n; i < h.lines; i++ {
		out = append(out, h.recent[i%len(h.recent)])
	}
	return out
}
