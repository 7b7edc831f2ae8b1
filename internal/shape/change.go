package shape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Change is a difference between two shapes that can be bridged.
type Change struct {
	// Path names the place, "" for the whole: fields, [] for elements.
	Path string
	// Action says what is done.
	Action Action
	// Text is what a message says about it.
	Text string

	shape *Shape // of a field that is added or removed
}

// Action is what is done where two shapes differ.
type Action uint8

// The actions.
const (
	// Added fields begin with their zero value.
	Added Action = iota + 1
	// Removed fields are forgotten.
	Removed
	// Widened numbers keep their value.
	Widened
	// Moved fields stand at another place.
	Moved
)

// Compare says what has to be done to read data of one shape as another. It fails, naming all reasons, when data would be lost that is not a field, or
// read as something else.
func Compare(from, to *Shape) ([]Change, error) {
	var c comparison
	c.compare("", from, to)
	return c.changes, errors.Join(c.errs...)
}

type comparison struct {
	changes []Change
	errs    []error
}

func (c *comparison) change(path string, a Action, format string, args ...any) {
	c.changes = append(c.changes, Change{Path: path, Action: a, Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) refuse(path, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if path != "" {
		what = path + " " + what
	}
	c.errs = append(c.errs, errors.New(what))
}

func (c *comparison) compare(path string, from, to *Shape) {
	switch {
	case from.Kind != to.Kind && !widens(from, to):
		c.refuse(path, "was %s and is %s", from, to)
	case from.Kind == Struct:
		c.fields(path, from, to)
	case from.Kind == Array && from.Len != to.Len:
		c.refuse(path, "was an array of %d and is one of %d", from.Len, to.Len)
	case from.Kind == Array, from.Kind == Slice, from.Kind == Pointer:
		c.compare(path+brackets(from.Kind), from.Elem, to.Elem)
	case from.Kind == Map:
		if from.Key.String() != to.Key.String() {
			c.refuse(path, "was a map by %s and is one by %s", from.Key, to.Key)
		}
		c.compare(path+"[]", from.Elem, to.Elem)
	case from.Kind == Self && from.Name != to.Name:
		c.refuse(path, "was a %s and is a %s, which encode themselves", from.Name, to.Name)
	case from.Name == to.Name:
	case widens(from, to):
		c.change(path, Widened, "%s was %s and is %s", pathText(path), from, to)
	default:
		c.refuse(path, "was %s and is %s", from, to)
	}
}

func brackets(k Kind) string {
	if k == Pointer {
		return ""
	}
	return "[]"
}

func pathText(path string) string {
	if path == "" {
		return "it"
	}
	return path
}

// widens says that each number of the one kind is one of the other.
func widens(from, to *Shape) bool {
	switch {
	case from.Kind == Int && to.Kind == Int, from.Kind == Uint && to.Kind == Uint, from.Kind == Float && to.Kind == Float:
		return from.Width <= to.Width
	case from.Kind == Uint && to.Kind == Int:
		return from.Width < to.Width
	}
	return false
}

func (c *comparison) fields(path string, from, to *Shape) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	for _, f := range from.Fields {
		if to.Field(f.Name) == nil {
			c.change(join(f.Name), Removed, "%s (%s) is removed", join(f.Name), f.Shape)
			c.changes[len(c.changes)-1].shape = f.Shape
		}
	}
	next, moved := 0, false
	for _, f := range to.Fields {
		old := from.Field(f.Name)
		if old == nil {
			c.change(join(f.Name), Added, "%s (%s) is added", join(f.Name), f.Shape)
			c.changes[len(c.changes)-1].shape = f.Shape
			continue
		}
		at := 0
		for i := range from.Fields {
			if from.Fields[i].Name == f.Name {
				at = i
			}
		}
		moved = moved || at < next
		next = at
		c.compare(join(f.Name), old, f.Shape)
	}
	if moved {
		c.change(path, Moved, "fields of %s are in another order", pathText(path))
	}
}

// Renamed returns the paths of fields that are gone where others are new that could hold what was in them: they may live on under another name.
func Renamed(changes []Change) (lost []string) {
	in := func(c *Change) string { return c.Path[:max(0, strings.LastIndexByte(c.Path, '.'))] }
	for i := range changes {
		gone := &changes[i]
		if gone.Action != Removed {
			continue
		}
		for k := range changes {
			if c := &changes[k]; c.Action == Added && in(c) == in(gone) {
				if _, err := Compare(gone.shape, c.shape); err == nil {
					lost = append(lost, gone.Path)
					break
				}
			}
		}
	}
	return lost
}

// Own is what is known of a type that encodes itself: where an encoding ends, and that of the zero value.
type Own struct {
	Skip func(src []byte) (rest []byte, err error)
	Zero func() []byte
}

// Converter makes encodings of one shape from those of another: it reads one from the front of src and appends the new one to dst.
type Converter func(dst, src []byte) (out, rest []byte, err error)

// Convert returns the converter. Own are the types that encode themselves, by name.
func Convert(from, to *Shape, own map[string]Own) (Converter, error) {
	if _, err := Compare(from, to); err != nil {
		return nil, err
	}
	return builder{own}.convert(from, to)
}

type builder struct{ own map[string]Own }

func (b builder) convert(from, to *Shape) (Converter, error) {
	if from.String() == to.String() {
		return b.copier(from)
	}
	switch from.Kind {
	case Struct:
		return b.structs(from, to)
	case Array:
		elem, err := b.convert(from.Elem, to.Elem)
		return func(dst, src []byte) ([]byte, []byte, error) { return repeat(dst, src, from.Len, false, false, elem) }, err
	case Slice:
		return b.slice(from, to)
	case Map:
		return b.maps(from, to)
	case Pointer:
		elem, err := b.convert(from.Elem, to.Elem)
		return func(dst, src []byte) ([]byte, []byte, error) {
			if len(src) == 0 || src[0] > 1 {
				return dst, src, errors.New("a pointer is neither nil nor a value")
			}
			if dst = append(dst, src[0]); src[0] == 0 {
				return dst, src[1:], nil
			}
			return elem(dst, src[1:])
		}, err
	}
	return number(from, to), nil
}

// copier copies an encoding as it is.
func (b builder) copier(s *Shape) (Converter, error) {
	skip, err := b.skip(s)
	return func(dst, src []byte) ([]byte, []byte, error) {
		rest, err := skip(src)
		if err != nil {
			return dst, src, err
		}
		return append(dst, src[:len(src)-len(rest)]...), rest, nil
	}, err
}

// number converts what widens.
func number(from, to *Shape) Converter {
	return func(dst, src []byte) ([]byte, []byte, error) {
		if len(src) < from.Width {
			return dst, src, errShort
		}
		u := little(src[:from.Width])
		switch {
		case from.Kind == Int:
			shift := 64 - 8*from.Width
			u = uint64(int64(u<<shift) >> shift)
		case from.Kind == Float && from.Width < to.Width:
			u = math.Float64bits(float64(math.Float32frombits(uint32(u))))
		}
		for range to.Width {
			dst = append(dst, byte(u))
			u >>= 8
		}
		return dst, src[from.Width:], nil
	}
}

// repeat converts n elements.
func repeat(dst, src []byte, n int, marked, mark bool, elem Converter) (_, _ []byte, err error) {
	for i := range n {
		if marked {
			if src, err = unmark(src); err != nil {
				return dst, src, err
			}
		}
		if mark {
			dst = append(dst, 1)
		}
		if dst, src, err = elem(dst, src); err != nil {
			return dst, src, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return dst, src, nil
}

func (b builder) slice(from, to *Shape) (Converter, error) {
	elem, err := b.convert(from.Elem, to.Elem)
	marked, mark, least := from.Elem.marked(), to.Elem.marked(), from.Elem.least()
	if marked {
		least = 1
	}
	return b.counted(least, func(dst, src []byte, n int) ([]byte, []byte, error) { return repeat(dst, src, n, marked, mark, elem) }), err
}

func (b builder) maps(from, to *Shape) (Converter, error) {
	key, err1 := b.copier(from.Key)
	elem, err2 := b.convert(from.Elem, to.Elem)
	least, mark := from.Key.least()+from.Elem.least(), to.Key.least()+to.Elem.least() == 0
	entry := func(dst, src []byte) ([]byte, []byte, error) {
		dst, src, err := key(dst, src)
		if err != nil {
			return dst, src, err
		}
		return elem(dst, src)
	}
	return b.counted(max(least, 1), func(dst, src []byte, n int) ([]byte, []byte, error) {
		return repeat(dst, src, n, least == 0, mark, entry)
	}), errors.Join(err1, err2)
}

// counted converts what has a number of elements in front.
func (builder) counted(least int, elements func(dst, src []byte, n int) ([]byte, []byte, error)) Converter {
	return func(dst, src []byte) ([]byte, []byte, error) {
		n, isNil, rest, err := count(src, least)
		if err != nil {
			return dst, src, err
		}
		if isNil {
			return append(dst, 0), rest, nil
		}
		if least == 0 && n > maxEmpty {
			return dst, src, fmt.Errorf("%d elements that take no bytes", n)
		}
		return elements(binary.AppendUvarint(dst, uint64(n)+1), rest, n)
	}
}

func (b builder) structs(from, to *Shape) (Converter, error) {
	skips := make([]func([]byte) ([]byte, error), len(from.Fields))
	at := map[string]int{}
	var errs []error
	for i, f := range from.Fields {
		skip, err := b.skip(f.Shape)
		skips[i], at[f.Name] = skip, i
		errs = append(errs, err)
	}
	fields := make([]struct {
		from  int // -1 for none
		elem  Converter
		zeros []byte
	}, len(to.Fields))
	for i, f := range to.Fields {
		n, ok := at[f.Name]
		var err error
		if fields[i].from = n; ok {
			fields[i].elem, err = b.convert(from.Fields[n].Shape, f.Shape)
		} else {
			fields[i].from = -1
			fields[i].zeros, err = b.zero(nil, f.Shape)
		}
		errs = append(errs, err)
	}
	return func(dst, src []byte) (_, _ []byte, err error) {
		var few [16][]byte
		parts := few[:0]
		for i, skip := range skips {
			rest, err := skip(src)
			if err != nil {
				return dst, src, fmt.Errorf("field %s: %w", from.Fields[i].Name, err)
			}
			parts = append(parts, src[:len(src)-len(rest)])
			src = rest
		}
		for i := range fields {
			f := &fields[i]
			if f.from < 0 {
				dst = append(dst, f.zeros...)
			} else if dst, _, err = f.elem(dst, parts[f.from]); err != nil {
				return dst, src, fmt.Errorf("field %s: %w", to.Fields[i].Name, err)
			}
		}
		return dst, src, nil
	}, errors.Join(errs...)
}

// zero appends the encoding of the zero value.
func (b builder) zero(dst []byte, s *Shape) (_ []byte, err error) {
	switch s.Kind {
	case String, Slice, Map, Pointer, Uvarint:
		return append(dst, 0), nil
	case Time: // the first second of the year 1 is the zero of times
		return append(dst, make([]byte, s.Width)...), nil
	case Struct:
		for _, f := range s.Fields {
			if dst, err = b.zero(dst, f.Shape); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case Array:
		for range s.Len {
			if dst, err = b.zero(dst, s.Elem); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case Self:
		o, ok := b.own[s.Name]
		if !ok {
			return dst, unknownSelf(s)
		}
		return append(dst, o.Zero()...), nil
	}
	return append(dst, make([]byte, s.Width)...), nil
}

func unknownSelf(s *Shape) error {
	return fmt.Errorf("%s encodes itself, and the job does not have it any more: where it ends is not known", s.Name)
}

// skip returns what finds the end of an encoding.
func (b builder) skip(s *Shape) (func(src []byte) ([]byte, error), error) {
	var p Printer
	var unknown error
	b.each(s, func(s *Shape) {
		if _, ok := b.own[s.Name]; !ok {
			unknown = unknownSelf(s)
		}
	})
	p.Self = func(name string, src []byte) (_, rest []byte, ok bool, err error) {
		rest, err = b.own[name].Skip(src)
		return nil, rest, true, err
	}
	if fixed, ok := width(s); ok {
		return func(src []byte) ([]byte, error) {
			if len(src) < fixed {
				return src, errShort
			}
			return src[fixed:], nil
		}, unknown
	}
	if s.Kind == String {
		return func(src []byte) ([]byte, error) {
			n, rest, err := length(src)
			if err != nil || n > uint64(len(rest)) {
				return src, errors.Join(err, errShort)
			}
			return rest[n:], nil
		}, unknown
	}
	return func(src []byte) ([]byte, error) {
		_, rest, err := p.value(nil, s, src)
		return rest, err
	}, unknown
}

// width returns the number of bytes that all encodings of a shape have, if they have the same.
func width(s *Shape) (int, bool) {
	switch s.Kind {
	case Int, Uint, Float, Complex, BigInt:
		return s.Width, true
	case Struct:
		n := 0
		for _, f := range s.Fields {
			w, ok := width(f.Shape)
			if !ok {
				return 0, false
			}
			n += w
		}
		return n, true
	}
	return 0, false
}

// each calls f for all types in a shape that encode themselves.
func (b builder) each(s *Shape, f func(*Shape)) {
	if s.Kind == Self {
		f(s)
	}
	if s.Elem != nil {
		b.each(s.Elem, f)
	}
	if s.Key != nil {
		b.each(s.Key, f)
	}
	for _, x := range s.Fields {
		b.each(x.Shape, f)
	}
}
