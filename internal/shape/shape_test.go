package shape

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
)

type inner struct {
	A int8
	B uint16
	C [3]int32
}

// everything has all kinds that JSON has too, so that encoding/json says what is right.
type everything struct {
	Bool    bool
	I8      int8
	I16     int16
	I32     int32
	I64     int64
	I       int
	U8      uint8
	U16     uint16
	U32     uint32
	U64     uint64
	U       uint
	F32     float32
	F64     float64
	S       string
	Bytes   []byte
	Time    time.Time
	Nested  inner
	Slice   []inner
	Strings []string
	Ptr     *inner
	PtrPtr  **string
	Map     map[string]int64
	ByInt   map[int32][]string
	Array   [2]string
	Empty   []struct{}
	Nothing struct{}
}

func drawEverything(t *rapid.T) everything {
	x := rapid.Make[everything]().Draw(t, "value")
	if math.IsNaN(x.F64) || math.IsInf(x.F64, 0) {
		x.F64 = 0
	}
	if f := float64(x.F32); math.IsNaN(f) || math.IsInf(f, 0) {
		x.F32 = 0
	}
	x.Time = time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	return x
}

// TestValuesAreWhatJSONSays compares the JSON of encodings with that of encoding/json of the values.
func TestValuesAreWhatJSONSays(t *testing.T) {
	c, err := codec.For[everything]()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(codec.Describe[everything]())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), codec.Describe[everything](); got != want {
		t.Errorf("described as %s, want %s", got, want)
	}
	var p Printer
	rapid.Check(t, func(t *rapid.T) {
		x := drawEverything(t)
		got, err := p.Value(nil, s, c.Append(nil, &x))
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, got, x)
	})
}

// sameJSON compares JSON with that of a value, whatever the order of members.
func sameJSON(t *rapid.T, got []byte, x any) {
	t.Helper()
	want, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return v
	}
	if g, w := read(got), read(want); !reflect.DeepEqual(g, w) {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

type keyStruct struct {
	A int16
	S string
	B bool
	T time.Time
	U [3]uint8
	V [2]int64
	N struct{ W uint32 }
}

// TestKeys compares keys with encoding/json, and their hashes with those that place them.
func TestKeys(t *testing.T) {
	t.Run("struct", keysOf(func(t *rapid.T) keyStruct {
		k := rapid.Make[keyStruct]().Draw(t, "key")
		k.T = time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		return k
	}))
	t.Run("string", keysOf(drawAny[string]))
	t.Run("bool", keysOf(drawAny[bool]))
	t.Run("int8", keysOf(drawAny[int8]))
	t.Run("int16", keysOf(drawAny[int16]))
	t.Run("int32", keysOf(drawAny[int32]))
	t.Run("int", keysOf(drawAny[int]))
	t.Run("uint8", keysOf(drawAny[uint8]))
	t.Run("uint32", keysOf(drawAny[uint32]))
	t.Run("uint64", keysOf(drawAny[uint64]))
	t.Run("empty", keysOf(drawAny[struct{}]))
	t.Run("array", keysOf(drawAny[[2]string]))
	t.Run("time", keysOf(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	}))
}

func drawAny[K any](t *rapid.T) K { return rapid.Make[K]().Draw(t, "key") }

func keysOf[K comparable](draw func(*rapid.T) K) func(t *testing.T) {
	return func(t *testing.T) {
		k, err := codec.KeyFor[K]()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(k.Shape)
		if err != nil {
			t.Fatal(err)
		}
		var p Printer
		rapid.Check(t, func(t *rapid.T) {
			x := draw(t)
			b := k.Append(nil, &x)
			got, err := p.Key(nil, s, b)
			if err != nil {
				t.Fatal(err)
			}
			var want any = x
			if x, ok := want.(keyStruct); ok { // arrays of bytes are lists of numbers for encoding/json
				want = struct {
					A int16
					S string
					B bool
					T time.Time
					U []byte
					V [2]int64
					N struct{ W uint32 }
				}{x.A, x.S, x.B, x.T, x.U[:], x.V, x.N}
			}
			sameJSON(t, got, want)
			hash, rest, err := Hash(s, append(b, "more"...))
			if err != nil || string(rest) != "more" || hash != k.Hash(&x) {
				t.Fatalf("hash %x, rest %q, error %v; the codec says %x", hash, rest, err, k.Hash(&x))
			}
		})
	}
}

// TestWhatJSONHasNot has the values that encoding/json refuses.
func TestWhatJSONHasNot(t *testing.T) {
	type odd struct {
		NaN, Inf, MinusInf float64
		C                  complex64
		NotText            string
		ByBool             map[bool]string
		ByText             map[string]bool
	}
	c, err := codec.For[odd]()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(codec.Describe[odd]())
	if err != nil {
		t.Fatal(err)
	}
	x := odd{
		NaN: math.NaN(), Inf: math.Inf(1), MinusInf: math.Inf(-1), C: complex(1, -2), NotText: "\xff", ByBool: map[bool]string{true: "yes", false: ""},
		ByText: map[string]bool{"\xfe": true},
	}
	got, err := new(Printer).Value(nil, s, c.Append(nil, &x))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"NaN":"NaN","Inf":"Inf","MinusInf":"-Inf","C":[1,-2],"NotText":{"base64":"/w=="},` +
		`"ByBool":[{"key":false,"value":""},{"key":true,"value":"yes"}],"ByText":{"{\"base64\":\"/g==\"}":true}}`
	if string(got) != want || !json.Valid(got) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// own encodes itself, in as many bytes as it says.
type own struct{ n uint8 }

func (o *own) AppendState(dst []byte) []byte {
	return append(append(dst, o.n), bytes.Repeat([]byte{7}, int(o.n))...)
}

func (o *own) DecodeState(src []byte) ([]byte, error) {
	o.n = src[0]
	return src[1+int(o.n):], nil
}

// TestTypesThatEncodeThemselves has such a type where others stand behind it: known and not known.
func TestTypesThatEncodeThemselves(t *testing.T) {
	type holder struct {
		Before string
		List   []own
		After  int8
	}
	c, err := codec.For[holder]()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(codec.Describe[holder]())
	if err != nil {
		t.Fatal(err)
	}
	x := holder{"b", []own{{2}, {0}}, 9}
	b := c.Append(nil, &x)
	const name = "github.com/millrace-stream/millrace/internal/shape.own"
	known := Printer{Self: func(n string, src []byte) ([]byte, []byte, bool, error) {
		if n != name {
			t.Errorf("asked for %q", n)
		}
		return []byte{'0' + src[0]}, src[1+src[0]:], true, nil
	}}
	for _, tt := range []struct {
		p    Printer
		want string
	}{
		{known, `{"Before":"b","List":[2,0],"After":9}`},
		{Printer{}, `{"Before":"b","List":[{"self":"` + name + `","base64":"AgcHAQAJ"}]}`},
	} {
		got, err := tt.p.Value(nil, s, b)
		if err != nil || string(got) != tt.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
		}
	}
}

// TestDamage gives bytes and descriptions that nobody wrote.
func TestDamage(t *testing.T) {
	for _, tt := range []struct{ shape, bytes, want string }{
		{"bool", "\x02", "shape: decode bool: 0x2 is no bool"},
		{"bool", "", "shape: decode bool: the bytes end too early"},
		{"bool", "\x01\x01", "shape: decode bool: 1 bytes are left over"},
		{"string", "\x05abc", "shape: decode string: the bytes end too early"},
		{"[]int64", "\x05abc", "shape: decode []int64: 4 elements, and only 3 bytes left"},
		{"[]struct{}", "\xff\xff\xff\x7f", "shape: decode []struct{}: 268435454 elements that take no bytes"},
		{"*bool", "\x02", "shape: decode *bool: a pointer is neither nil nor a value"},
		{"struct{A bool;B []bool}", "\x01\x02\x09", "shape: decode struct{A bool;B []bool}: field B: element 0: 0x9 is no bool"},
		{"time", "\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", "shape: decode time: 4294967295 nanoseconds in a second"},
		{"[]self(x)", "\x02\x02", "shape: decode []self(x): an element does not begin as it should"},
	} {
		s, err := Parse(tt.shape)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := new(Printer).Value(nil, s, []byte(tt.bytes)); err == nil || err.Error() != tt.want {
			t.Errorf("%s from %q: %v\nwant %s", tt.shape, tt.bytes, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"":                 `there is no type ""`,
		"int65":            `there is no type "int65"`,
		"bool;":            `";" is left over`,
		"struct{A bool":    `a struct is not closed before ""`,
		"struct{A}":        `a field has no type`,
		"map[string":       `the key of a map is not closed before ""`,
		"[x]bool":          `the length of an array is not closed before "x]bool"`,
		"[-1]bool":         `the length of an array is not closed before "-1]bool"`,
		"self(a(b)":        `the name of a type that encodes itself is not closed`,
		"opaque":           `there is no type "opaque"`,
		"invalid(because)": `there is no type "invalid(because)"`,
	} {
		if _, err := Parse(text); err == nil || !strings.HasSuffix(err.Error(), "is not the description of a type: "+want) {
			t.Errorf("parse %q: %v\nwant %s", text, err, want)
		}
	}
	if _, err := Parse(strings.Repeat("[]", 5000) + "bool"); err == nil || !strings.Contains(err.Error(), "nested deeper than 1000") {
		t.Errorf("deep: %v", err)
	}
}

// TestRandomBytes finds panics and hunger for memory.
func TestRandomBytes(t *testing.T) {
	s, err := Parse("struct{A []self(x);B map[string][]*struct{C complex64;D [2]time};E map[struct{}]struct{};U uvarint;Z []struct{}}")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")
		p := Printer{Self: func(_ string, src []byte) ([]byte, []byte, bool, error) {
			if len(src) == 0 {
				return []byte("0"), src, true, nil
			}
			return []byte("1"), src[1:], true, nil
		}}
		if b, err := p.Value(nil, s, src); err == nil && !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		if b, err := new(Printer).Value(nil, s, src); err == nil && !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
	})
}
