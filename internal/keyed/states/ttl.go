package states

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// TTL says when an entry of a state expires: For ns after it was last written. The zero TTL is never.
type TTL struct {
	For int64
	// Set says that there is a TTL.
	Set bool
	// Processing measures by processing time, not by event time and the watermark.
	Processing bool
	// Reads lets reading count like writing.
	Reads bool
	// Many is the mistake of more than one.
	Many bool
}

// check returns what is wrong with a TTL.
func (t TTL) check(timed bool) error {
	switch {
	case !t.Set:
		return nil
	case t.Many:
		return errors.New("it has more than one time to live: give one")
	case t.For <= 0:
		return fmt.Errorf("the time to live is %v: it must be greater than 0", time.Duration(t.For))
	case !t.Processing && !timed:
		return errors.New("the time to live is one of event time, and the stream has none: give EventTime to its source, or measure by ProcessingTime")
	}
	return nil
}

// kind is what checkpoints depend on: whether there is a stamp, and of which time it is. How long an entry lives may change.
func (t TTL) kind() string {
	switch {
	case !t.Set:
		return ""
	case t.Processing:
		return ", expires by processing time"
	}
	return ", expires by event time"
}

// grains is into how many steps the time to live is cut: an entry leaves memory at most one step after it has expired.
const grains = 16

// stamped is a value that may expire.
type stamped[V any] struct {
	value V
	// at is the time from which the time to live counts.
	at int64
	// turn is the turn in which the entry is looked at; it is made anew after a restore.
	turn int64
}

// stampedCodec stores a value behind its stamp.
type stampedCodec[V any] struct{ value codec.Codec[V] }

// Shape describes it as codec.Describe would.
func (c stampedCodec[V]) Shape() string {
	return "struct{at int64;value " + keyed.ShapeOf(c.value) + "}"
}

// Append implements codec.Codec.
func (c stampedCodec[V]) Append(dst []byte, v *stamped[V]) []byte {
	return c.value.Append(binary.LittleEndian.AppendUint64(dst, uint64(v.at)), &v.value)
}

// Decode implements codec.Codec.
func (c stampedCodec[V]) Decode(src []byte, v *stamped[V]) ([]byte, error) {
	if len(src) < 8 {
		return nil, fmt.Errorf("states: the stamp of an entry that may expire has 8 bytes, not %d", len(src))
	}
	*v = stamped[V]{at: int64(binary.LittleEndian.Uint64(src))}
	return c.value.Decode(src[8:], &v.value)
}

// turnCodec stores the turn of an entry, on the way to the disk and back.
type turnCodec[V any] struct{}

// Append implements codec.Codec.
func (turnCodec[V]) Append(dst []byte, v *stamped[V]) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v.turn))
}

// Decode implements codec.Codec.
func (turnCodec[V]) Decode(src []byte, v *stamped[V]) ([]byte, error) {
	if len(src) < 8 {
		return nil, fmt.Errorf("states: the turn of an entry that may expire has 8 bytes, not %d", len(src))
	}
	v.turn = int64(binary.LittleEndian.Uint64(src))
	return src[8:], nil
}

// turns says when which entries may have expired: a turn is a step of time, and its entries are looked at when it is over. An
// entry stands in one turn and goes on to a later one when it was written meanwhile, so a busy entry is looked at a few times
// in its time to live and not for each write.
type turns[K comparable] struct {
	// length is that of a turn in ns.
	length int64
	// order are the turns that have entries, in rising order.
	order []int64
	in    map[int64][]due[K]
	n     int
}

type due[K comparable] struct {
	key  K
	hash uint64
}

func newTurns[K comparable](ttl int64) turns[K] {
	return turns[K]{length: max(1, ttl/grains), in: map[int64][]due[K]{}}
}

// of returns the turn at whose end an entry that expires at t is looked at: the first that ends at t or after.
func (q *turns[K]) of(t int64) int64 {
	turn := t / q.length
	if t%q.length > 0 {
		turn++
	}
	return turn
}

// end returns the end of a turn.
func (q *turns[K]) end(turn int64) int64 {
	if turn > math.MaxInt64/q.length {
		return math.MaxInt64
	}
	return turn * q.length
}

// add puts an entry into a turn.
func (q *turns[K]) add(turn int64, k K, hash uint64) {
	list, ok := q.in[turn]
	if !ok {
		at, _ := slices.BinarySearch(q.order, turn)
		q.order = slices.Insert(q.order, at, turn)
	}
	q.in[turn] = append(list, due[K]{k, hash})
	q.n++
}

// next returns the end of the first turn, or math.MaxInt64.
func (q *turns[K]) next() int64 {
	if len(q.order) == 0 {
		return math.MaxInt64
	}
	return q.end(q.order[0])
}

// take removes the first turn and returns it with its entries.
func (q *turns[K]) take() (int64, []due[K]) {
	turn := q.order[0]
	list := q.in[turn]
	q.order = slices.Delete(q.order, 0, 1)
	delete(q.in, turn)
	q.n -= len(list)
	return turn, list
}

// satAdd adds and stays within int64.
func satAdd(a, b int64) int64 {
	c := a + b
	switch {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	}
	return c
}
