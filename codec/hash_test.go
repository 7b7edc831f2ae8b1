package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/xxh3"
)

// The hashes of keys decide where state lives. These values are stored in checkpoints: they must never change.
func TestHashOfKeysNeverChanges(t *testing.T) {
	for _, c := range goldenHashes(t) {
		if c.got != c.want {
			t.Errorf("%s: got %#016x, want %#016x", c.name, c.got, c.want)
		}
	}
}

type goldenHash struct {
	name      string
	got, want uint64
}

func goldenHashes(t *testing.T) []goldenHash {
	s := func(v string) uint64 { return mustKey[cardID](t).Hash((*cardID)(&v)) }
	i := func(v int64) uint64 { return mustKey[int64](t).Hash(&v) }
	u8, i8, on := uint8(200), int8(-56), true
	r := ride{card: "card", line: -3, when: time.Unix(1e9, 5), tags: [2]string{"a", "b\x00"}, stop: [4]byte{1, 2, 3, 4}, night: true, seat: 7}
	at := time.Unix(0, 0)
	return []goldenHash{
		{"string empty", s(""), 0x2d06800538d394c2},
		{"string a", s("a"), 0xe6c632b61e964e1f},
		{"string ORD", s("ORD"), 0x9e99e37331053dd2},
		{"string 8", s("12345678"), 0x62e29b4cad9e2ef6},
		{"string 17", s("seventeen letters"), 0x3be2fdb9fa81e0b0},
		{"string 100", s(strings.Repeat("0123456789", 10)), 0x2b476d154b2d122c},
		{"int64 0", i(0), 0xe220a8397b1dcdaf},
		{"int64 1", i(1), 0x910a2dec89025cc1},
		{"int64 -1", i(-1), 0xe4d971771b652c20},
		{"uint8 200", mustKey[uint8](t).Hash(&u8), 0x3f13f4e3c8c592c9},
		{"int8 -56", mustKey[int8](t).Hash(&i8), 0x113ef02f76f175ae},
		{"bool true", mustKey[bool](t).Hash(&on), 0x910a2dec89025cc1},
		{"time 1970", mustKey[time.Time](t).Hash(&at), 0xd1e29f1610eaa76d},
		{"struct", mustKey[ride](t).Hash(&r), 0x94a02a9d9608b90f},
	}
}

func TestHashesAgreeWithTheirDefinition(t *testing.T) {
	buf := make([]byte, 129)
	for i := range buf {
		buf[i] = byte(i*i + 7*i + 3)
	}
	for n := range len(buf) {
		text := string(buf[:n])
		if got, want := mustKey[string](t).Hash(&text), plainXXH3(buf[:n]); got != want {
			t.Errorf("string of %d bytes: got %#x, want %#x", n, got, want)
		}
	}
	r := ride{card: "c", line: 1, when: time.Unix(1, 1), seat: 1}
	key := mustKey[ride](t)
	if got, want := key.Hash(&r), plainXXH3(key.Append(nil, &r)); got != want {
		t.Errorf("struct: got %#x, want %#x", got, want)
	}
	// The published value for the empty input, and three outputs of SplitMix64 with seed 0: successive states are multiples of its
	// increment, and Mix adds one increment by itself.
	if got := plainXXH3(nil); got != 0x2d06800538d394c2 {
		t.Errorf("XXH3 of nothing is %#x", got)
	}
	const step = 0x9e3779b97f4a7c15
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		if got := Mix(step * uint64(i)); got != want {
			t.Errorf("output %d of SplitMix64: got %#x, want %#x", i, got, want)
		}
	}
}

func TestEqualIntegersOfAnyWidthHashAlike(t *testing.T) {
	a, b, c := int8(-5), int32(-5), int64(-5)
	if mustKey[int8](t).Hash(&a) != mustKey[int64](t).Hash(&c) || mustKey[int32](t).Hash(&b) != mustKey[int64](t).Hash(&c) {
		t.Error("-5 has different hashes")
	}
}

func TestGroupsAreEvenAndInRange(t *testing.T) {
	const groups, keys = 128, 128 * 1000
	key, counts := mustKey[int](t), make([]int, groups)
	for i := range keys {
		counts[Group(key.Hash(&i), groups)]++
	}
	for g, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("group %d has %d of %d keys", g, n, keys)
		}
	}
	for _, g := range []int{1, 7, 128, 1 << 20} {
		if Group(0, g) != 0 || Group(1<<64-1, g) != g-1 {
			t.Errorf("%d groups: ends are %d and %d", g, Group(0, g), Group(1<<64-1, g))
		}
	}
	if got := Group(0x8000_0000_0000_0000, 100); got != 50 {
		t.Errorf("the middle of 100 groups is %d", got)
	}
}

// plainXXH3 is XXH3 (64 bits, seed 0, default secret) for up to 128 bytes, written from its specification and not for speed.
func plainXXH3(b []byte) uint64 {
	n := uint64(len(b))
	u32 := func(b []byte, i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[i:])) }
	u64 := func(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	avalanche := func(h uint64) uint64 { h ^= h >> 37; h *= 0x165667919E3779F9; return h ^ h>>32 }
	xxh64 := func(h uint64) uint64 { h ^= h >> 33; h *= prime64[2]; h ^= h >> 29; h *= prime64[3]; return h ^ h>>32 }
	fold := func(x, y uint64) uint64 { hi, lo := bits.Mul64(x, y); return hi ^ lo }
	mix16 := func(i, s int) uint64 { return fold(u64(b, i)^u64(secret, s), u64(b, i+8)^u64(secret, s+8)) }
	switch {
	case n == 0:
		return xxh64(u64(secret, 56) ^ u64(secret, 64))
	case n <= 3:
		c := uint64(b[0])<<16 | uint64(b[n/2])<<24 | uint64(b[n-1]) | n<<8
		return xxh64(c ^ (u32(secret, 0) ^ u32(secret, 4)))
	case n <= 8:
		h := (u32(b, len(b)-4) + u32(b, 0)<<32) ^ (u64(secret, 8) ^ u64(secret, 16))
		h ^= bits.RotateLeft64(h, 49) ^ bits.RotateLeft64(h, 24)
		h *= 0x9FB21C651E98DF25
		h ^= h>>35 + n
		h *= 0x9FB21C651E98DF25
		return h ^ h>>28
	case n <= 16:
		lo := u64(b, 0) ^ (u64(secret, 24) ^ u64(secret, 32))
		hi := u64(b, len(b)-8) ^ (u64(secret, 40) ^ u64(secret, 48))
		return avalanche(n + bits.ReverseBytes64(lo) + hi + fold(lo, hi))
	case n <= 128:
		acc := n * prime64[1]
		for i := range int(n-1)/32 + 1 {
			acc += mix16(16*i, 32*i) + mix16(len(b)-16*(i+1), 32*i+16)
		}
		return avalanche(acc)
	}
	panic(fmt.Sprintf("%d bytes are beyond this implementation; the library gives %#x", n, xxh3.Hash(b)))
}

var prime64 = [4]uint64{1: 0x9E3779B185EBCA87, 2: 0xC2B2AE3D27D4EB4F, 3: 0x165667B19E3779F9}

// secret is the beginning of the default secret.
var secret = []byte{
	0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
	0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
	0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
	0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
	0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
	0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
	0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
	0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
}
