// Package codec turns state and keys into bytes that mean the same in every process and release, and back.
//
// A codec is compiled once per type: reflection looks at the shape, the work for each value is done by a flat list of steps
// over offsets. There are three encodings:
//
//   - For: compact and fast, for values in checkpoints. Integers and floats have their fixed width, little endian;
//     lengths are varints.
//   - KeyFor: order-preserving, for keys; with hash, comparison and what else a table of keys needs.
//   - Ordered: order-preserving for every encodable type, to sort values and to break ties.
//
// None of them carries type information: Describe gives it, once, to be stored beside the data and compared before
// anything is decoded.
package codec

import (
	"reflect"
	"unsafe"
)

// Codec encodes values of type T. It is safe for concurrent use.
type Codec[T any] interface {
	// Append appends the encoding of v to dst. Equal values have equal encodings, except that a nil and an empty slice
	// or map, and zeros and NaNs of different bits, are told apart.
	Append(dst []byte, v *T) []byte
	// Decode reads one value from the front of src and returns the bytes after it. Every field of v is set, and nothing of
	// v refers to src or to what v held before. An error says which field could not be read and why; v is zero then.
	Decode(src []byte, v *T) (rest []byte, err error)
}

// Self is implemented on *T by a type that brings its own encoding. It is used wherever the type occurs.
//
// DecodeState meets bytes from damaged files too: it must check what it reads and return an error instead of panicking,
// must set every field, and must not keep src. Describe shows the name of such a type and not its content, so a type
// that changes its encoding has to tell old from new by itself.
type Self interface {
	// AppendState appends the encoding of the receiver to dst and must not change the receiver.
	AppendState(dst []byte) []byte
	// DecodeState sets the receiver from the front of src and returns the bytes after it.
	DecodeState(src []byte) (rest []byte, err error)
}

var selfType = reflect.TypeFor[Self]()

// For returns the codec of T. It fails, naming the path to the offending field, when T contains something without
// stable encoding (channels, functions, interfaces, addresses) or contains itself. Pointers are followed: two pointers to one
// value are two values after decoding. Fields named _ are not encoded and are zero after decoding.
func For[T any]() (Codec[T], error) {
	t := reflect.TypeFor[T]()
	if own, err := isSelf(t, rootName(t)); err != nil {
		return nil, err
	} else if own {
		return selfCodec[T]{}, nil
	}
	c := compiler{native: nativeLittle}
	p, err := c.root(t)
	if err != nil {
		return nil, err
	}
	return &compiled[T]{program: p}, nil
}

// compiled is the codec of a type that is encoded by its shape.
type compiled[T any] struct{ program *program }

func (c *compiled[T]) Append(dst []byte, v *T) []byte {
	return c.program.append(dst, unsafe.Pointer(v))
}

func (c *compiled[T]) Decode(src []byte, v *T) ([]byte, error) {
	if c.program.blank {
		clear(unsafe.Slice(v, 1))
	}
	rest, err := c.program.decode(src, unsafe.Pointer(v))
	if err != nil {
		clear(unsafe.Slice(v, 1))
		return nil, err
	}
	return rest, nil
}

// Shape is Describe.
func (*compiled[T]) Shape() string { return Describe[T]() }

// selfCodec is the codec of a type that encodes itself.
type selfCodec[T any] struct{}

func (selfCodec[T]) Append(dst []byte, v *T) []byte { return any(v).(Self).AppendState(dst) }

// Shape is Describe.
func (selfCodec[T]) Shape() string { return Describe[T]() }

func (selfCodec[T]) Decode(src []byte, v *T) ([]byte, error) {
	rest, err := any(v).(Self).DecodeState(src)
	if err != nil {
		clear(unsafe.Slice(v, 1))
		return nil, err
	}
	return rest, nil
}
