// Package codec turns keys and values into bytes and back.
package codec

// Codec encodes and decodes values of T.
type Codec[T any] interface {
	// Append appends the encoding of *v to dst.
	Append(dst []byte, v *T) []byte
	// Decode reads one value from src and returns what follows it.
	Decode(src []byte, v *T) (rest []byte, err error)
}

// Layout says how far a value reaches beyond its own bytes.
type Layout uint8

// The layouts.
const (
	// Flat values hold no pointers.
	Flat Layout = iota
	// Immutable values hold strings and no other pointers.
	Immutable
	// Deep values hold pointers to memory that may change.
	Deep
)

// Key is what the engine must know about keys of K.
type Key[K comparable] struct {
	// Append appends an encoding whose byte order is the order of keys.
	Append func(dst []byte, k *K) []byte
	// Decode reads one key from src and returns what follows it.
	Decode func(src []byte, k *K) ([]byte, error)
	// Hash is the same in every process and release.
	Hash func(*K) uint64
	// Compare orders as the encoding does.
	Compare func(a, b *K) int
	// Clone gives the key memory of its own; nil when it has nothing to clone.
	Clone func(*K)
	// Canon makes equal keys identical; nil when they are.
	Canon func(*K)
	// Uint is non-nil when the order of keys is the order of this number.
	Uint func(*K) uint64
}
