package file

import (
	"errors"
	"math"
	"strconv"
)

var (
	errNotInteger = errors.New("is not a whole number")
	errNotNumber  = errors.New("is not a number")
	errTooBig     = errors.New("does not fit into the field")
)

// parseInt reads a decimal integer of so many bits. No sign but a minus or plus, no underscores, no spaces.
func parseInt(s string, bits int) (int64, error) {
	digits := s
	negative := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		digits = s[1:]
	}
	u, err := parseUint(digits, 64)
	if err != nil {
		return 0, err
	}
	limit := uint64(1) << (bits - 1)
	if negative {
		if u > limit {
			return 0, errTooBig
		}
		return -int64(u), nil
	}
	if u >= limit {
		return 0, errTooBig
	}
	return int64(u), nil
}

// parseUint reads a decimal integer of so many bits without a sign.
func parseUint(s string, bits int) (uint64, error) {
	if len(s) == 0 {
		return 0, errNotInteger
	}
	var u uint64
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, errNotInteger
		}
		if i >= 19 && (u > math.MaxUint64/10 || u*10 > math.MaxUint64-uint64(d)) {
			if _, err := strconv.ParseUint(s, 10, 64); errors.Is(err, strconv.ErrSyntax) {
				return 0, errNotInteger
			}
			return 0, errTooBig
		}
		u = u*10 + uint64(d)
	}
	if bits < 64 && u>>bits != 0 {
		return 0, errTooBig
	}
	return u, nil
}

// powers holds the powers of ten that a float64 holds exactly.
var powers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseFloat reads what strconv.ParseFloat reads, with the same result. Short decimals take a shortcut: their digits
// are an integer below 2^53 and their power of ten is exact too, so one division, rounded once, is the right result.
func parseFloat(s string, bits int) (float64, error) {
	if bits == 64 {
		if f, ok := shortDecimal(s); ok {
			return f, nil
		}
	}
	f, err := strconv.ParseFloat(s, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errTooBig
	case err != nil:
		return 0, errNotNumber
	}
	return f, nil
}

func shortDecimal(s string) (float64, bool) {
	i := 0
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		i++
	}
	if len(s)-i > 16 || len(s) == i { // At most 15 digits and a point, or a few more that are checked below.
		return 0, false
	}
	var m uint64
	point := -1
	digits := 0
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && point < 0 {
			point = i
			continue
		}
		if c-'0' > 9 {
			return 0, false
		}
		m = m*10 + uint64(c-'0')
		digits++
	}
	if digits == 0 || m >= 1<<53 {
		return 0, false
	}
	f := float64(m)
	if point >= 0 {
		f /= powers[len(s)-1-point]
	}
	if negative {
		f = -f
	}
	return f, true
}
