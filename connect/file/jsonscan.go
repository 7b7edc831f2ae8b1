package file

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep JSON values may be nested, as in encoding/json.
const maxDepth = 10_000

// scanner walks over the text of one JSON value.
type scanner struct {
	s     string
	i     int
	depth int
	tmp   []byte
	texts arena
}

var errDepth = fmt.Errorf("nested deeper than %d levels", maxDepth)

// wrong says what was expected at the current place.
func (p *scanner) wrong(want string) error {
	if p.i >= len(p.s) {
		return fmt.Errorf("the JSON value ends too early: want %s", want)
	}
	return fmt.Errorf("found %q, want %s", p.s[p.i], want)
}

func (p *scanner) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// peek returns the byte at the current place, 0 at the end.
func (p *scanner) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// word takes a literal such as null.
func (p *scanner) word(w string) error {
	if strings.HasPrefix(p.s[p.i:], w) {
		p.i += len(w)
		return nil
	}
	return p.wrong("a JSON value")
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainRun returns the index of the first byte at or after i that ends a string or needs care: a quote, a backslash, a
// control character or a byte outside ASCII. It looks at eight bytes at a time.
func plainRun(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// For bytes below 0x80 a borrow into the high bit means that the byte was below the subtrahend. Borrows can only
		// mark bytes above one that is marked rightly, so "none" is exact.
		if (x|(x-ones*0x20)|(quote-ones)|(slash-ones))&highs != 0 {
			break
		}
	}
	for i < len(s) && s[i] >= 0x20 && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// str takes a string.
func (p *scanner) str() (string, error) {
	if p.peek() != '"' {
		return "", p.wrong("a string")
	}
	start := p.i + 1
	i := plainRun(p.s, start)
	if i < len(p.s) && p.s[i] == '"' {
		p.i = i + 1
		return p.s[start:i], nil
	}
	return p.specialStr(start, i)
}

// specialStr takes a string that is plain from start to i only.
func (p *scanner) specialStr(start, i int) (string, error) {
	escaped, ascii := false, true
	for ; ; i = plainRun(p.s, i) {
		if i >= len(p.s) {
			p.i = len(p.s)
			return "", p.wrong(`the closing " of a string`)
		}
		c := p.s[i]
		if c == '"' {
			break
		}
		switch {
		case c == '\\':
			escaped = true
			n := escapeLen(p.s[i:])
			if n == 0 {
				p.i = i
				return "", errors.New(`a \ in a string that begins no escape sequence`)
			}
			i += n
		case c >= utf8.RuneSelf:
			ascii = false
			i++
		default:
			p.i = i
			return "", fmt.Errorf("control character %q in a string: it must be escaped", c)
		}
	}
	p.i = i + 1
	text := p.s[start:i]
	if !escaped && (ascii || utf8.ValidString(text)) {
		return text, nil
	}
	p.tmp = unescape(p.tmp[:0], text)
	return p.texts.keep(p.tmp), nil
}

// escapeLen returns the length of the escape sequence at the front of s, 0 when it is none.
func escapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, s[1]) >= 0 {
		return 2
	}
	if s[1] == 'u' && hex4(s) >= 0 {
		return 6
	}
	return 0
}

// hex4 returns the code unit of a \u sequence at the front of s, or -1.
func hex4(s string) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for i := 2; i < 6; i++ {
		c := s[i]
		switch {
		case c-'0' <= 9:
			c -= '0'
		case (c|0x20)-'a' < 6:
			c = (c | 0x20) - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends the text that valid escaped text stands for. Surrogates without a partner and bytes that are not
// UTF-8 become U+FFFD.
func unescape(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		case c != '\\':
			dst = append(dst, c)
			i++
		case s[i+1] == 'u':
			r := hex4(s[i:])
			i += 6
			if utf16.IsSurrogate(r) {
				if pair := utf16.DecodeRune(r, hex4(s[i:])); pair != utf8.RuneError {
					r = pair
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			e := s[i+1]
			if at := strings.IndexByte("bfnrt", e); at >= 0 {
				e = "\b\f\n\r\t"[at]
			}
			dst = append(dst, e)
			i += 2
		}
	}
	return dst
}

// number takes a number and returns its text, and whether it is whole: without fraction and exponent.
func (p *scanner) number() (text string, whole bool, err error) {
	s, start := p.s, p.i
	i := start
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case i < len(s) && s[i]-'1' < 9:
		i = digits(s, i)
	default:
		p.i = i
		return "", false, p.wrong("a number")
	}
	whole = true
	if i < len(s) && s[i] == '.' {
		whole = false
		first := i + 1
		if i = digits(s, first); i == first {
			p.i = i
			return "", false, p.wrong("a digit after the point")
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		whole = false
		first := i + 1
		if first < len(s) && (s[first] == '+' || s[first] == '-') {
			first++
		}
		if i = digits(s, first); i == first {
			p.i = i
			return "", false, p.wrong("a digit of the exponent")
		}
	}
	p.i = i
	return s[start:i], whole, nil
}

// digits returns the index of the first byte at or after i that is no digit.
func digits(s string, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// skip takes any value and checks its form.
func (p *scanner) skip() error {
	switch c := p.peek(); {
	case c == '"':
		_, err := p.str()
		return err
	case c == '{':
		return p.each('}', func() error {
			if _, err := p.str(); err != nil {
				return err
			}
			if err := p.colon(); err != nil {
				return err
			}
			return p.skip()
		})
	case c == '[':
		return p.each(']', p.skip)
	case c == 'n':
		return p.word("null")
	case c == 't':
		return p.word("true")
	case c == 'f':
		return p.word("false")
	case c == '-' || c-'0' <= 9:
		_, _, err := p.number()
		return err
	}
	return p.wrong("a JSON value")
}

// colon takes the colon after a key and the space around it.
func (p *scanner) colon() error {
	p.space()
	if p.peek() != ':' {
		return p.wrong("a colon after the key")
	}
	p.i++
	p.space()
	return nil
}

// each takes an object or array: item takes one of what it holds.
func (p *scanner) each(closing byte, item func() error) error {
	if p.depth++; p.depth > maxDepth {
		return errDepth
	}
	p.i++
	p.space()
	if p.peek() == closing {
		p.i++
		p.depth--
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.i++
			p.space()
		case closing:
			p.i++
			p.depth--
			return nil
		default:
			return p.wrong("a comma or " + strconv.QuoteRune(rune(closing)))
		}
	}
}
