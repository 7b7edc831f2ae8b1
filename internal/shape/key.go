package shape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/millrace-stream/millrace/codec"
)

// Key appends a key, as codec.KeyFor encodes it, as JSON to dst. There must be no bytes behind it.
func (p *Printer) Key(dst []byte, s *Shape, src []byte) ([]byte, error) {
	p.stopped = false
	dst, rest, err := p.key(dst, s, src)
	return dst, p.whole(s, rest, err)
}

func (p *Printer) key(dst []byte, s *Shape, src []byte) (_, _ []byte, err error) {
	switch s.Kind {
	case Struct:
		dst = append(dst, '{')
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, []byte(f.Name)), ':')
			if dst, src, err = p.key(dst, f.Shape, src); err != nil {
				return dst, src, err
			}
		}
		return append(dst, '}'), src, nil
	case Array:
		if s.Elem.Kind == Uint && s.Elem.Width == 1 {
			return p.elements(dst, s.Elem, src, s.Len, false)
		}
		if s.Elem.least() == 0 && s.Len > maxEmpty {
			return dst, src, fmt.Errorf("%d elements that take no bytes", s.Len)
		}
		dst = append(dst, '[')
		for i := range s.Len {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, src, err = p.key(dst, s.Elem, src); err != nil {
				return dst, src, err
			}
		}
		return append(dst, ']'), src, nil
	case String:
		text, rest, err := unescape(src)
		return appendText(dst, text), rest, err
	case Rest:
		return appendText(dst, src), nil, nil
	case Time:
		if len(src) < s.Width {
			return dst, src, errShort
		}
		dst, err := appendTime(dst, int64(binary.BigEndian.Uint64(src)^1<<63), binary.BigEndian.Uint32(src[8:]))
		return dst, src[s.Width:], err
	case Bool, Int, Uint:
		if len(src) < s.Width {
			return dst, src, errShort
		}
		u := big(src[:s.Width])
		if s.Kind == Int {
			u ^= 1 << (8*s.Width - 1)
		}
		dst, err := appendNumber(dst, s, u)
		return dst, src[s.Width:], err
	}
	return dst, src, fmt.Errorf("%s cannot be part of a key", s)
}

// unescape reads a string: 00 stands as 00 FF, the end is 00 00.
func unescape(src []byte) (text, rest []byte, err error) {
	for {
		i := bytes.IndexByte(src, 0)
		if i < 0 || i+1 >= len(src) {
			return nil, src, errShort
		}
		text = append(text, src[:i]...)
		switch src[i+1] {
		case 0:
			return text, src[i+2:], nil
		case 0xff:
			text = append(text, 0)
			src = src[i+2:]
		default:
			return nil, src, errors.New("a string has a wrong escape")
		}
	}
}

// Hash returns the hash of a key, which decides its key group, from the front of src: that of codec.Key.Hash.
func Hash(s *Shape, src []byte) (hash uint64, rest []byte, err error) {
	var p Printer
	_, rest, err = p.key(nil, s, src)
	if err != nil {
		return 0, src, fmt.Errorf("shape: decode %s: %w", s, err)
	}
	own := src[:len(src)-len(rest)]
	switch s.Kind {
	case Bool, Int, Uint:
		u := big(own)
		if s.Kind == Int {
			shift := 64 - 8*s.Width
			u = uint64(int64((u^1<<(8*s.Width-1))<<shift) >> shift)
		}
		return codec.Mix(u), rest, nil
	case String:
		text, _, err := unescape(own)
		return xxh3.Hash(text), rest, err
	}
	return xxh3.Hash(own), rest, nil
}
