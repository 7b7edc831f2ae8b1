// Package row has the results of the Nexmark queries: a type for each, its line of CSV as PostgreSQL writes it, and the order of the lines.
package row

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Row is a result of a query.
type Row interface {
	// AppendCSV appends the line, with its end.
	AppendCSV(dst []byte) []byte
	// Order returns what lines are sorted by, of which no two of a result have the same; most have no text. Of rows that replace each other
	// it is the key.
	Order() (text string, a, b int64)
}

// Line is a row without its type.
type Line struct {
	Text string
	A, B int64
	// CSV is the line, with its end.
	CSV string
}

// LineOf returns the line of a row.
func LineOf[R Row](r R) Line {
	l := Line{CSV: string(r.AppendCSV(make([]byte, 0, 160)))}
	l.Text, l.A, l.B = r.Order()
	return l
}

func compare(x, y Line) int {
	return cmp.Or(strings.Compare(x.Text, y.Text), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
}

// Last keeps, of the lines that replace each other, the last one.
func Last(lines []Line) []Line {
	slices.SortStableFunc(lines, compare)
	var out []Line
	for i, l := range lines {
		if i+1 == len(lines) || compare(l, lines[i+1]) != 0 {
			out = append(out, l)
		}
	}
	return out
}

// Digest returns the number of lines, and the sha256 of the file that they make with a header, in their order.
func Digest(header string, lines []Line) (rows int, digest string) {
	slices.SortFunc(lines, compare)
	h := sha256.New()
	b := append([]byte(header), '\n')
	for _, l := range lines {
		if b = append(b, l.CSV...); len(b) > 1<<16 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
	return len(lines), hex.EncodeToString(h.Sum(nil))
}

// fields is a line that is being made. Nothing that is written needs quotes.
type fields []byte

func (f fields) num(n int64) fields { return append(strconv.AppendInt(f, n, 10), ',') }
func (f fields) text(s string) fields {
	return append(append(f, s...), ',')
}

// milli appends a number of thousandths as a decimal with three places.
func (f fields) milli(n int64) fields {
	f = append(strconv.AppendInt(f, n/1000, 10), '.')
	return append(f, '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10), ',')
}

// mean appends sum / n as a decimal with six places, rounded half up. Neither may be negative.
func (f fields) mean(sum, n int64) fields {
	millionths := (sum%n*2_000_000 + n) / (2 * n)
	f = append(strconv.AppendInt(f, sum/n+millionths/1_000_000, 10), '.')
	for place := int64(100_000); place > 0; place /= 10 {
		f = append(f, '0'+byte(millionths/place%10))
	}
	return append(f, ',')
}

// end makes the last separator the end of the line.
func (f fields) end() []byte {
	f[len(f)-1] = '\n'
	return f
}

// Tally is a number of rows and a sum over them, by which the results of two programs are compared in passing. Sums of rows add up, in any
// order and division.
type Tally struct {
	Rows int64
	Sum  uint64
}

// Add adds the tally of other rows.
func (t *Tally) Add(o Tally) {
	t.Rows += o.Rows
	t.Sum += o.Sum
}

// blend makes one number of three. It costs about a nanosecond.
func blend(a, b, c int64) uint64 {
	return (uint64(a)*0x9E3779B97F4A7C15 ^ uint64(b)*0xBF58476D1CE4E5B9) + uint64(c)*0x94D049BB133111EB
}
