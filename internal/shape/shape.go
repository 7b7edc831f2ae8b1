// Package shape reads keys and values of state without their Go types: by the description that package codec gives of a type and that stands
// with the data on storage. It turns encodings into JSON, finds where one ends, finds what has changed from one description to another, and
// turns encodings of the one into those of the other.
package shape

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind is the kind of a Shape.
type Kind uint8

// The kinds.
const (
	Bool Kind = iota + 1
	Int
	Uint
	Float
	Complex
	String
	Time
	Struct
	Array
	Slice
	Map
	Pointer
	// Self is a type that encodes itself: nothing is known of its bytes.
	Self
	// Uvarint is an unsigned number of 1 to 10 bytes, BigInt a signed one of 8 bytes, the highest first. They are found in state of our own.
	Uvarint
	BigInt
	// Rest is text that goes up to the end.
	Rest
)

// Shape is what a description says.
type Shape struct {
	Kind Kind
	// Name is that of a scalar, such as int64, or of a type that encodes itself.
	Name string
	// Width is that of a number in bytes.
	Width int
	// Len is that of an array.
	Len int
	// Key and Elem are those of a map; Elem is also that of an array, slice or pointer.
	Key, Elem *Shape
	Fields    []Field
}

// Field is a field of a struct.
type Field struct {
	Name  string
	Shape *Shape
}

// maxDepth bounds how deep descriptions may be nested: they may come from damaged files.
const maxDepth = 1000

// scalars are the kinds and widths of all types of one word.
var scalars = map[string]struct {
	kind  Kind
	width int
}{
	"bool": {Bool, 1}, "int8": {Int, 1}, "int16": {Int, 2}, "int32": {Int, 4}, "int64": {Int, 8}, "int": {Int, 8},
	"uint8": {Uint, 1}, "uint16": {Uint, 2}, "uint32": {Uint, 4}, "uint64": {Uint, 8}, "uint": {Uint, 8},
	"float32": {Float, 4}, "float64": {Float, 8}, "complex64": {Complex, 8}, "complex128": {Complex, 16},
	"string": {String, 0}, "time": {Time, 12}, "uvarint": {Uvarint, 0}, "int64be": {BigInt, 8}, "rest": {Rest, 0},
}

// Parse reads a description as codec.Describe writes it.
func Parse(text string) (*Shape, error) {
	p := parser{rest: text}
	s, err := p.shape(0)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q is left over", p.rest)
	}
	if err != nil {
		return nil, fmt.Errorf("shape: %q is not the description of a type: %w", text, err)
	}
	return s, nil
}

type parser struct{ rest string }

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parser) shape(depth int) (*Shape, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	switch {
	case p.take("struct{"):
		return p.fields(depth)
	case p.take("map["):
		key, err := p.shape(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take("]") {
			return nil, fmt.Errorf("the key of a map is not closed before %q", p.rest)
		}
		return p.elem(&Shape{Kind: Map, Key: key}, depth)
	case p.take("[]"):
		return p.elem(&Shape{Kind: Slice}, depth)
	case p.take("*"):
		return p.elem(&Shape{Kind: Pointer}, depth)
	case p.take("["):
		number, rest, ok := strings.Cut(p.rest, "]")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("the length of an array is not closed before %q", p.rest)
		}
		p.rest = rest
		return p.elem(&Shape{Kind: Array, Len: n}, depth)
	case p.take("self("):
		return p.self()
	}
	end := strings.IndexAny(p.rest, ";}]")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	s, ok := scalars[word]
	if !ok {
		return nil, fmt.Errorf("there is no type %q", word)
	}
	p.rest = p.rest[end:]
	return &Shape{Kind: s.kind, Name: word, Width: s.width}, nil
}

func (p *parser) elem(s *Shape, depth int) (_ *Shape, err error) {
	s.Elem, err = p.shape(depth + 1)
	return s, err
}

func (p *parser) fields(depth int) (*Shape, error) {
	s := &Shape{Kind: Struct}
	for !p.take("}") {
		if len(s.Fields) > 0 && !p.take(";") {
			return nil, fmt.Errorf("a struct is not closed before %q", p.rest)
		}
		name, rest, ok := strings.Cut(p.rest, " ")
		if !ok || name == "" {
			return nil, errors.New("a field has no type")
		}
		p.rest = rest
		f, err := p.shape(depth + 1)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, Field{name, f})
	}
	return s, nil
}

// self takes the name of a type that encodes itself; it may have brackets of its own.
func (p *parser) self() (*Shape, error) {
	open := 1
	for i := range len(p.rest) {
		switch p.rest[i] {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				s := &Shape{Kind: Self, Name: p.rest[:i]}
				p.rest = p.rest[i+1:]
				return s, nil
			}
		}
	}
	return nil, errors.New("the name of a type that encodes itself is not closed")
}

// String returns the description.
func (s *Shape) String() string {
	var b strings.Builder
	s.write(&b)
	return b.String()
}

func (s *Shape) write(b *strings.Builder) {
	switch s.Kind {
	case Struct:
		b.WriteString("struct{")
		for i, f := range s.Fields {
			if i > 0 {
				b.WriteByte(';')
			}
			b.WriteString(f.Name + " ")
			f.Shape.write(b)
		}
		b.WriteByte('}')
	case Array:
		b.WriteString("[" + strconv.Itoa(s.Len) + "]")
		s.Elem.write(b)
	case Slice:
		b.WriteString("[]")
		s.Elem.write(b)
	case Pointer:
		b.WriteByte('*')
		s.Elem.write(b)
	case Map:
		b.WriteString("map[")
		s.Key.write(b)
		b.WriteByte(']')
		s.Elem.write(b)
	case Self:
		b.WriteString("self(" + s.Name + ")")
	default:
		b.WriteString(s.Name)
	}
}

// Field returns a field of a struct, or nil.
func (s *Shape) Field(name string) *Shape {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Shape
		}
	}
	return nil
}

// least returns the number of bytes that an encoding has at least.
func (s *Shape) least() int {
	switch s.Kind {
	case Bool, Int, Uint, Float, Complex, Time, BigInt:
		return s.Width
	case String, Slice, Map, Pointer, Uvarint:
		return 1
	case Array:
		if n := s.Elem.least(); n > 0 && s.Len > 1<<30/n {
			return 1 << 30
		} else {
			return n * s.Len
		}
	case Struct:
		n := 0
		for _, f := range s.Fields {
			n = min(n+f.Shape.least(), 1<<30)
		}
		return n
	}
	return 0
}

// marked says that elements of this shape have a byte before each: they may take none.
func (s *Shape) marked() bool { return s.least() == 0 && s.has(Self) }

func (s *Shape) has(k Kind) bool {
	if s.Kind == k || s.Elem != nil && s.Kind != Slice && s.Kind != Map && s.Kind != Pointer && (s.Kind != Array || s.Len > 0) && s.Elem.has(k) {
		return true
	}
	for _, f := range s.Fields {
		if f.Shape.has(k) {
			return true
		}
	}
	return false
}
