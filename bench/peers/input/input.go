// Package input is the task that all programs here do: they read a file of events and print, for each key and each window of ten seconds
// of event time, a line with the start of the window in seconds, the key and the sum of the values. The order of lines does not matter.
package input

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Event is a record of the file: 24 bytes, little endian.
type Event struct {
	Time int64 // ms since 1970
	Key  int64
	Val  int64
}

// Bytes is the size of an event in the file.
const Bytes = 24

// Window is the size of the windows, and Disorder how far an event may lie behind one before it.
const (
	Window   = 10 * time.Second
	Disorder = 5 * time.Second
)

// Decode reads an event.
func Decode(b []byte) Event {
	return Event{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:])), int64(binary.LittleEndian.Uint64(b[16:]))}
}

// Write writes n events of uniform keys, 10 us apart and moved back by up to Disorder.
func Write(out io.Writer, n int, keys int64) error {
	w := bufio.NewWriterSize(out, 1<<16)
	var b [Bytes]byte
	for i := range int64(n) {
		chance := mix(uint64(i) + 1)
		late := int64(mix(chance) % uint64(Disorder.Milliseconds()))
		at := 1_700_000_000_000 + i/100 + Disorder.Milliseconds() - late
		binary.LittleEndian.PutUint64(b[:], uint64(at))
		binary.LittleEndian.PutUint64(b[8:], chance%uint64(keys))
		binary.LittleEndian.PutUint64(b[16:], uint64(i&1023))
		if _, err := w.Write(b[:]); err != nil {
			return err
		}
	}
	return w.Flush()
}

// mix makes a number without a pattern of another one.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// AppendResult writes a line.
func AppendResult(b []byte, start time.Time, key, sum int64) []byte {
	return fmt.Appendf(b, "%d %d %d\n", start.Unix(), key, sum)
}
