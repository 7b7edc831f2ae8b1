package codec

import (
	"bytes"
	"cmp"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace-stream/millrace/internal/clock"
	"pgregory.net/rapid"
)

type cardID string

type ride struct {
	card  cardID
	line  int16
	when  time.Time
	tags  [2]string
	stop  [4]byte
	night bool
	_     int64
	seat  uint32
}

// genText makes zeros, 0xff and common beginnings likely: the cases that an escape can get wrong.
func genText() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 'b', 0xff, 0x10ffff}), 0, 6, -1)
}

func genRide() *rapid.Generator[ride] {
	return rapid.Custom(func(t *rapid.T) ride {
		return ride{
			card: cardID(genText().Draw(t, "card")), line: rapid.Int16().Draw(t, "line"),
			when: time.Unix(rapid.Int64Range(-2, 2).Draw(t, "sec"), rapid.Int64Range(0, 3).Draw(t, "ns")).UTC(),
			tags: [2]string{genText().Draw(t, "tag"), genText().Draw(t, "tag")},
			stop: [4]byte{rapid.Byte().Draw(t, "stop")}, night: rapid.Bool().Draw(t, "night"), seat: rapid.Uint32().Draw(t, "seat"),
		}
	})
}

// compareRides is the order of keys written by hand.
func compareRides(a, b *ride) int {
	return cmp.Or(
		strings.Compare(string(a.card), string(b.card)), cmp.Compare(a.line, b.line), a.when.Compare(b.when),
		strings.Compare(a.tags[0], b.tags[0]), strings.Compare(a.tags[1], b.tags[1]),
		bytes.Compare(a.stop[:], b.stop[:]), compareBools(a.night, b.night), cmp.Compare(a.seat, b.seat),
	)
}

func compareBools(a, b bool) int {
	if a == b {
		return 0
	} else if b {
		return -1
	}
	return 1
}

func mustKey[K comparable](tb testing.TB) *Key[K] {
	tb.Helper()
	k, err := KeyFor[K]()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// checkKey checks all properties of keys of one type against an order written by hand.
func checkKey[K comparable](t *testing.T, gen *rapid.Generator[K], order func(a, b *K) int) {
	t.Helper()
	key := mustKey[K](t)
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if rapid.Bool().Draw(t, "same") {
			b = a
		}
		want := order(&a, &b)
		ea, eb := key.Append(nil, &a), key.Append([]byte("before"), &b)[6:]
		if got := bytes.Compare(ea, eb); got != want {
			t.Fatalf("encodings compare %d, keys %d: %x, %x", got, want, ea, eb)
		}
		if got := key.Compare(&a, &b); got != want {
			t.Fatalf("Compare says %d, want %d", got, want)
		}
		if want != 0 && bytes.HasPrefix(eb, ea) {
			t.Fatalf("the encoding of one key begins that of another: %x, %x", ea, eb)
		}
		if (key.Hash(&a) == key.Hash(&b)) != (a == b) {
			t.Fatalf("hashes %x and %x of keys %v and %v", key.Hash(&a), key.Hash(&b), a, b)
		}
		if key.Uint != nil && cmp.Compare(key.Uint(&a), key.Uint(&b)) != want {
			t.Fatalf("Uint orders %v and %v otherwise", a, b)
		}
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		out := b
		rest, err := key.Decode(append(bytes.Clone(ea), tail...), &out)
		if err != nil || out != a || !bytes.Equal(rest, tail) {
			t.Fatalf("decoded %v, rest %x, error %v; want %v, %x", out, rest, err, a, tail)
		}
		for i := range ea {
			if _, err := key.Decode(ea[:i], &out); err == nil {
				t.Fatalf("%d of %d bytes were decoded without an error", i, len(ea))
			}
		}
	})
}

func natural[K cmp.Ordered](a, b *K) int { return cmp.Compare(*a, *b) }

func TestKeysOfEveryKind(t *testing.T) {
	t.Run("string", func(t *testing.T) { checkKey(t, genText(), natural) })
	t.Run("any string", func(t *testing.T) { checkKey(t, rapid.String(), natural) })
	t.Run("named string", func(t *testing.T) {
		checkKey(t, rapid.Custom(func(t *rapid.T) cardID { return cardID(genText().Draw(t, "s")) }), natural)
	})
	t.Run("int", func(t *testing.T) { checkKey(t, rapid.Int(), natural) })
	t.Run("int8", func(t *testing.T) { checkKey(t, rapid.Int8(), natural) })
	t.Run("int16", func(t *testing.T) { checkKey(t, rapid.Int16(), natural) })
	t.Run("int32", func(t *testing.T) { checkKey(t, rapid.Int32(), natural) })
	t.Run("int64", func(t *testing.T) { checkKey(t, rapid.Int64(), natural) })
	t.Run("uint", func(t *testing.T) { checkKey(t, rapid.Uint(), natural) })
	t.Run("uint8", func(t *testing.T) { checkKey(t, rapid.Uint8(), natural) })
	t.Run("uint16", func(t *testing.T) { checkKey(t, rapid.Uint16(), natural) })
	t.Run("uint32", func(t *testing.T) { checkKey(t, rapid.Uint32(), natural) })
	t.Run("uint64", func(t *testing.T) { checkKey(t, rapid.Uint64(), natural) })
	t.Run("bool", func(t *testing.T) {
		checkKey(t, rapid.Bool(), func(a, b *bool) int { return compareBools(*a, *b) })
	})
	t.Run("time", func(t *testing.T) {
		checkKey(t, genTime(), func(a, b *time.Time) int { return a.Compare(*b) })
	})
	t.Run("struct", func(t *testing.T) { checkKey(t, genRide(), compareRides) })
}

func TestKeyFunctionsThatAreNil(t *testing.T) {
	check := func(name string, isNil, want bool) {
		t.Helper()
		if isNil != want {
			t.Errorf("%s is nil: %v, want %v", name, isNil, want)
		}
	}
	number, text, when, both := mustKey[int32](t), mustKey[cardID](t), mustKey[time.Time](t), mustKey[ride](t)
	check("Uint of int32", number.Uint == nil, false)
	check("Clone of int32", number.Clone == nil, true)
	check("Canon of int32", number.Canon == nil, true)
	check("StringOf of int32", number.StringOf == nil, true)
	check("StringOf of string", text.StringOf == nil, false)
	check("Clone of string", text.Clone == nil, false)
	check("Uint of string", text.Uint == nil, true)
	check("Canon of time", when.Canon == nil, false)
	check("Clone of time", when.Clone == nil, true)
	check("Canon of struct", both.Canon == nil, false)
	check("Clone of struct", both.Clone == nil, false)
	check("StringOf of struct", both.StringOf == nil, true)
	check("Uint of struct of one int", mustKey[struct{ a int }](t).Uint == nil, true)
}

func TestCloneGivesStringsTheirOwnMemory(t *testing.T) {
	buf := []byte("card/tag")
	k := ride{card: cardID(unsafe.String(&buf[0], 4)), tags: [2]string{1: unsafe.String(&buf[5], 3)}}
	s := unsafe.String(&buf[0], 4)
	mustKey[ride](t).Clone(&k)
	mustKey[string](t).Clone(&s)
	clear(buf)
	if k.card != "card" || k.tags[1] != "tag" || s != "card" {
		t.Errorf("got %q, %q, %q", k.card, k.tags[1], s)
	}
}

func TestCanonMakesInstantsEqual(t *testing.T) {
	// A reading of the monotonic clock cannot be made up, so the test takes the real one.
	now := clock.System{}.Now()
	zone := time.FixedZone("somewhere", 7200)
	a, b := ride{when: now}, ride{when: now.In(zone).Round(0)}
	key := mustKey[ride](t)
	if a == b {
		t.Fatal("the two must differ before")
	}
	if key.Hash(&a) != key.Hash(&b) {
		t.Error("the same instant has two hashes")
	}
	if key.Compare(&a, &b) != 0 {
		t.Error("the same instant has two places in the order")
	}
	key.Canon(&a)
	key.Canon(&b)
	if a != b {
		t.Errorf("%v and %v differ", a, b)
	}
}

func TestTypesThatCannotBeKeys(t *testing.T) {
	check := func(err error, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		}
	}
	_, err := KeyFor[float64]()
	check(err, "key field float64: float64 cannot be", "math.Float64bits")
	_, err = KeyFor[struct{ a [2]struct{ b float32 } }]()
	check(err, ".a[].b: float32")
	_, err = KeyFor[*int]()
	check(err, "== compares addresses")
	_, err = KeyFor[any]()
	check(err, "concrete type")
	_, err = KeyFor[struct{ c chan int }]()
	check(err, ".c: chan int", "use a string")
	_, err = KeyFor[complex64]()
	check(err, "NaN")
	_, err = KeyFor[uintptr]()
	check(err, "uintptr")
}

func TestKeyDecodeRefusesDamage(t *testing.T) {
	var s string
	var b bool
	var w time.Time
	for _, in := range []string{"", "a", "a\x00", "a\x00\x01", "a\x00\xff", "a\x00\xffb\x00\x07"} {
		if _, err := mustKey[string](t).Decode([]byte(in), &s); err == nil {
			t.Errorf("string %q was decoded as %q", in, s)
		}
	}
	if _, err := mustKey[bool](t).Decode([]byte{2}, &b); err == nil {
		t.Error("2 was decoded as a bool")
	}
	if _, err := mustKey[time.Time](t).Decode(bytes.Repeat([]byte{0xff}, 12), &w); err == nil {
		t.Error("4 s of nanoseconds were decoded as a time")
	}
}

func TestKeysAllocateNothing(t *testing.T) {
	k := &ride{card: "a card number", when: time.Unix(1, 2), tags: [2]string{"one", "two"}}
	key, buf := mustKey[ride](t), make([]byte, 0, 200)
	if got := testing.AllocsPerRun(100, func() {
		key.Hash(k)
		key.Compare(k, k)
		buf = key.Append(buf[:0], k)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

type sortable struct {
	F  float64
	F2 float32
	S  []string
	B  []byte
	M  map[int8]string
	P  *int16
	C  complex128
	V  version
	A  [2][]int8
}

func genSortable() *rapid.Generator[sortable] {
	small := rapid.SliceOfN(genText(), 0, 2)
	return rapid.Custom(func(t *rapid.T) sortable {
		s := sortable{
			F:  rapid.SampledFrom([]float64{math.NaN(), math.Inf(-1), -1, math.Copysign(0, -1), 0, 1e-300, math.Inf(1)}).Draw(t, "F"),
			F2: rapid.SampledFrom([]float32{-1, 0, 2}).Draw(t, "F2"), S: small.Draw(t, "S"), B: []byte(genText().Draw(t, "B")),
			C: complex(1, rapid.SampledFrom([]float64{-1, 1}).Draw(t, "C")), V: version{rapid.IntRange(0, 3).Draw(t, "V"), 0},
		}
		if rapid.Bool().Draw(t, "more") {
			n := rapid.Int16Range(-1, 1).Draw(t, "P")
			s.P, s.M = &n, map[int8]string{int8(n): "x", 5: genText().Draw(t, "M")}
			s.A[1] = []int8{int8(n)}
		}
		return s
	})
}

func TestOrderedIsATotalOrder(t *testing.T) {
	encode, err := Ordered[sortable]()
	if err != nil {
		t.Fatal(err)
	}
	compare, err := Compare[sortable]()
	if err != nil {
		t.Fatal(err)
	}
	exact := mustFor[sortable](t)
	rapid.Check(t, func(t *rapid.T) {
		a, b := genSortable().Draw(t, "a"), genSortable().Draw(t, "b")
		ea, eb := encode(nil, &a), encode(nil, &b)
		got := bytes.Compare(ea, eb)
		if c := compare(&a, &b); c != got {
			t.Fatalf("Compare says %d, encodings %d", c, got)
		}
		if same := bytes.Equal(exact.Append(nil, &a), exact.Append(nil, &b)); same != (got == 0) {
			t.Fatalf("encodings compare %d, but the values are equal: %v", got, same)
		}
		if a.F < b.F && got >= 0 || a.F > b.F && got <= 0 {
			t.Fatalf("%v and %v compare %d", a.F, b.F, got)
		}
		if got != 0 && (bytes.HasPrefix(ea, eb) || bytes.HasPrefix(eb, ea)) {
			t.Fatalf("one encoding begins the other: %x, %x", ea, eb)
		}
	})
}

func TestOrderedOfFloatsSlicesAndPointers(t *testing.T) {
	one, two := 1, 2
	checkRising(t, -math.MaxFloat64, -1, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.Inf(1), math.NaN())
	checkRising[float32](t, -2, -1, 0, 1, 2)
	checkRising(t, nil, []int{}, []int{-1}, []int{-1, 5}, []int{0}, []int{1})
	checkRising(t, nil, []byte{}, []byte{0}, []byte{0, 0}, []byte{0, 1}, []byte{1}, []byte{255})
	checkRising(t, nil, &one, &two)
	checkRising(t, nil, map[string]int{}, map[string]int{"a": 1}, map[string]int{"a": 1, "b": 0}, map[string]int{"a": 2})
	checkRising(t, version{0, 1}, version{1, 0}, version{1, 1})
	type lists struct{ a, b []string }
	checkRising(t, lists{[]string{"a"}, []string{"z"}}, lists{[]string{"a", ""}, nil})
	checkRising(t, 1-2i, 1+2i, 2-9i)
}

func checkRising[T any](t *testing.T, values ...T) {
	t.Helper()
	encode, err := Ordered[T]()
	if err != nil {
		t.Fatal(err)
	}
	compare, err := Compare[T]()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(values); i++ {
		a, b := encode(nil, &values[i-1]), encode(nil, &values[i])
		if bytes.Compare(a, b) != -1 || compare(&values[i-1], &values[i]) != -1 {
			t.Errorf("%s: %v (%x) is not before %v (%x)", reflect.TypeFor[T](), values[i-1], a, values[i], b)
		}
	}
}
