package operator

import (
	"encoding/binary"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// newSpace returns the empty keyed state of an operator. The layout is that of the values.
func newSpace[K comparable, V any](c *Context, state string, key *codec.Key[K], value codec.Codec[V], layout codec.Layout) *keyed.Space[K, V] {
	return keyed.New(spaceConfig(c, state, key, value, layout))
}

// newFilteredSpace is newSpace for states that are mostly asked for keys they do not have.
func newFilteredSpace[K comparable, V any](c *Context, state string, key *codec.Key[K], value codec.Codec[V], layout codec.Layout) *keyed.Space[K, V] {
	cfg := spaceConfig(c, state, key, value, layout)
	cfg.Filtered = true
	return keyed.New(cfg)
}

func spaceConfig[K comparable, V any](c *Context, state string, key *codec.Key[K], value codec.Codec[V], layout codec.Layout) keyed.Config[K, V] {
	return keyed.Config[K, V]{
		Operator: c.ID, State: state, Key: key, Value: value, Layout: max(layout, codec.LayoutOf[K]()),
		Groups: c.Groups, Lo: c.Lo, Hi: c.Hi, Memory: c.Memory,
	}
}

// newWokenSpace is newSpace for values that know when they have to be looked at.
func newWokenSpace[K comparable, V any](c *Context, state string, key *codec.Key[K], value codec.Codec[V], wakes wakeCodec[V]) *keyed.Space[K, V] {
	cfg := spaceConfig(c, state, key, value, codec.Deep)
	cfg.Transient = wakes
	return keyed.New(cfg)
}

// wakeCodec stores, on the way to the disk and back, the times for which a value stands in a queue, and whether it stands there. Checkpoints
// do without: queues are made anew.
type wakeCodec[V any] func(*V) (times [2]*int64, queued *bool)

// Append implements codec.Codec.
func (f wakeCodec[V]) Append(dst []byte, v *V) []byte {
	times, queued := f(v)
	for _, t := range times {
		if t != nil {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(*t))
		}
	}
	switch {
	case queued == nil:
		return dst
	case *queued:
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Decode implements codec.Codec.
func (f wakeCodec[V]) Decode(src []byte, v *V) ([]byte, error) {
	times, queued := f(v)
	for _, t := range times {
		if t == nil {
			continue
		}
		if len(src) < 8 {
			return nil, errShort64
		}
		*t = int64(binary.LittleEndian.Uint64(src))
		src = src[8:]
	}
	if queued == nil {
		return src, nil
	}
	if len(src) == 0 {
		return nil, errShort64
	}
	*queued = src[0] != 0
	return src[1:], nil
}

// clockState encodes the clock of an operator for the checkpoint.
func clockState(clock int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(clock)) }

// oldClock returns the restored clock. The subtasks of a checkpoint aligned on the same barriers and so agree; should
// they not, the smallest is the one that calls no record late that was in time.
func oldClock(old [][]byte) (int64, error) {
	if len(old) == 0 {
		return element.NoTime, nil
	}
	clock := int64(element.EndTime)
	for _, b := range old {
		if len(b) != 8 {
			return 0, errBadClock
		}
		clock = min(clock, int64(binary.BigEndian.Uint64(b)))
	}
	return clock, nil
}

// timeOf turns ns since the epoch into a time in UTC.
func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// int32Codec encodes revisions.
type int32Codec struct{}

var codecInt32 codec.Codec[int32] = int32Codec{}

// Shape describes it as codec.Describe would.
func (int32Codec) Shape() string { return "uvarint" }

func (int32Codec) Append(dst []byte, v *int32) []byte {
	return binary.AppendUvarint(dst, uint64(uint32(*v)))
}

func (int32Codec) Decode(src []byte, v *int32) ([]byte, error) {
	u, n := binary.Uvarint(src)
	if n <= 0 || u > 1<<31-1 {
		return nil, errBadRevision
	}
	*v = int32(u)
	return src[n:], nil
}

// fixed64 encodes numbers of 64 bits as they are, in 8 bytes.
type fixed64[V ~int64 | ~uint64] struct{}

// Shape describes it as codec.Describe would.
func (fixed64[V]) Shape() string { return codec.Describe[V]() }

func (fixed64[V]) Append(dst []byte, v *V) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(*v))
}

func (fixed64[V]) Decode(src []byte, v *V) ([]byte, error) {
	if len(src) < 8 {
		return nil, errShort64
	}
	*v = V(binary.LittleEndian.Uint64(src))
	return src[8:], nil
}
