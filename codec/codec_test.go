package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

type celsius float64

type place struct {
	name string
	lat  float32
	ok   bool
	pair [2]int16
}

// version encodes itself.
type version struct{ major, minor int }

func (v *version) AppendState(dst []byte) []byte { return append(dst, byte(v.major), byte(v.minor)) }

func (v *version) DecodeState(src []byte) ([]byte, error) {
	if len(src) < 2 {
		return nil, errors.New("version needs 2 bytes")
	}
	v.major, v.minor = int(src[0]), int(src[1])
	return src[2:], nil
}

// nothing encodes itself as no bytes at all.
type nothing struct{ n int64 }

func (v *nothing) AppendState(dst []byte) []byte { return dst }

func (v *nothing) DecodeState(src []byte) ([]byte, error) { v.n = 0; return src, nil }

type everything struct {
	A     int
	B     int8
	C     uint16
	D     int32
	E     uint64
	F     float64
	G     float32
	H     complex64
	I     complex128
	On    bool
	Temp  celsius
	Name  string
	Raw   []byte
	Nums  []int32
	Three []struct{ x, y, z uint8 }
	Strs  []string
	When  time.Time
	Map   map[string][]int
	Set   map[int16]struct{}
	Grid  [3][2]bool
	Many  [20]string
	Ptr   *place
	Here  place
	Ver   version
	None  []nothing
	Unit  []struct{}
	_     [4]byte
	tail  uint8
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64().Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
}

// genBytes gives nil and empty too.
func genBytes(t *rapid.T) []byte {
	if rapid.Bool().Draw(t, "nil") {
		return nil
	}
	return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
}

func genEverything() *rapid.Generator[everything] {
	return rapid.Custom(func(t *rapid.T) everything {
		e := everything{
			A: rapid.Int().Draw(t, "A"), B: rapid.Int8().Draw(t, "B"), C: rapid.Uint16().Draw(t, "C"),
			D: rapid.Int32().Draw(t, "D"), E: rapid.Uint64().Draw(t, "E"), F: rapid.Float64().Draw(t, "F"),
			G: rapid.Float32().Draw(t, "G"), H: complex(rapid.Float32().Draw(t, "re"), 1), I: complex(2, rapid.Float64().Draw(t, "im")),
			On: rapid.Bool().Draw(t, "On"), Temp: celsius(rapid.Float64().Draw(t, "Temp")), Name: rapid.String().Draw(t, "Name"),
			Raw: genBytes(t), Strs: rapid.SliceOf(rapid.String()).Draw(t, "Strs"), When: genTime().Draw(t, "When"),
			Nums: rapid.SliceOf(rapid.Int32()).Draw(t, "Nums"), Ver: version{rapid.IntRange(0, 255).Draw(t, "major"), 7},
			tail: rapid.Uint8().Draw(t, "tail"), None: make([]nothing, rapid.IntRange(0, 3).Draw(t, "None")),
			Unit: make([]struct{}, rapid.IntRange(0, 300).Draw(t, "Unit")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "Three") {
			e.Three = append(e.Three, struct{ x, y, z uint8 }{1, 2, rapid.Uint8().Draw(t, "z")})
		}
		if rapid.Bool().Draw(t, "maps") {
			e.Map = rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Int())).Draw(t, "Map")
			e.Set = map[int16]struct{}{rapid.Int16().Draw(t, "k1"): {}, rapid.Int16().Draw(t, "k2"): {}}
		}
		e.Grid[1][1] = rapid.Bool().Draw(t, "grid")
		e.Many[rapid.IntRange(0, 19).Draw(t, "at")] = strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "long"))
		e.Here = place{name: rapid.String().Draw(t, "place"), pair: [2]int16{rapid.Int16().Draw(t, "pair"), -1}}
		if rapid.Bool().Draw(t, "ptr") {
			p := e.Here
			p.ok = true
			e.Ptr = &p
		}
		return e
	})
}

func mustFor[T any](tb testing.TB) Codec[T] {
	tb.Helper()
	c, err := For[T]()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestRoundTripOfEverything(t *testing.T) {
	c := mustFor[everything](t)
	portable := compiler{}
	slow, err := portable.root(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		in, tail := genEverything().Draw(t, "in"), rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		b := c.Append(nil, &in)
		if again := c.Append(nil, &in); !bytes.Equal(b, again) {
			t.Fatalf("the same value has two encodings:\n%x\n%x", b, again)
		}
		if other := slow.append(nil, unsafe.Pointer(&in)); !bytes.Equal(b, other) {
			t.Fatalf("without regard to the machine: %x, copied from memory: %x", other, b)
		}
		out := genEverything().Draw(t, "leftover")
		rest, err := c.Decode(append(b, tail...), &out)
		if err != nil || !bytes.Equal(rest, tail) {
			t.Fatalf("rest %x, want %x, error %v", rest, tail, err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("got  %+v\nwant %+v", out, in)
		}
		out = everything{}
		if _, err := slow.decode(b, unsafe.Pointer(&out)); err != nil || !reflect.DeepEqual(in, out) {
			t.Fatalf("without regard to the machine: error %v\ngot  %+v\nwant %+v", err, out, in)
		}
		for i := range b {
			if _, err := c.Decode(b[:i], &out); err == nil {
				t.Fatalf("%d of %d bytes were decoded without an error", i, len(b))
			}
		}
		if !reflect.DeepEqual(out, everything{}) {
			t.Fatalf("after an error the value is not zero: %+v", out)
		}
	})
}

func TestDecodedValueDoesNotShareMemory(t *testing.T) {
	c := mustFor[everything](t)
	in := everything{Name: "name", Raw: []byte("raw"), Strs: []string{"one"}, Map: map[string][]int{"k": {1}}}
	b := c.Append(nil, &in)
	var out everything
	if _, err := c.Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 0xee
	}
	if !reflect.DeepEqual(in, withUnit(out, in)) {
		t.Errorf("the value changed with the buffer: %+v", out)
	}
}

// withUnit exists because two slices of zero-size elements may differ in nothing.
func withUnit(out, in everything) everything { out.Unit = in.Unit; return out }

func TestTimeKeepsTheInstant(t *testing.T) {
	c := mustFor[time.Time](t)
	for _, in := range []time.Time{
		{},
		time.Unix(0, 0), time.Unix(-1, 999_999_999), time.Date(9999, 12, 31, 23, 59, 59, 1, time.FixedZone("x", 3600)),
		time.Unix(math.MaxInt64, 5), time.Unix(math.MinInt64, 5), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		var out time.Time
		if _, err := c.Decode(c.Append(nil, &in), &out); err != nil || out != in.UTC() {
			t.Errorf("%v came back as %v, error %v", in, out, err)
		}
	}
}

func TestMapsAreWrittenInOrderOfKeys(t *testing.T) {
	c := mustFor[map[string]int8](t)
	m := map[string]int8{"b": 2, "a": 1, "c": 3}
	want := []byte{4, 1, 'a', 1, 1, 'b', 2, 1, 'c', 3}
	if got := c.Append(nil, &m); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	nan := map[float64]int8{math.NaN(): 2, math.Copysign(0, -1): 1}
	nan[math.NaN()] = 1
	cn := mustFor[map[float64]int8](t)
	var out map[float64]int8
	if _, err := cn.Decode(cn.Append(nil, &nan), &out); err != nil || len(out) != 3 {
		t.Errorf("map with NaN keys came back with %d of 3 entries, error %v", len(out), err)
	}
}

func TestLayoutIsFixed(t *testing.T) {
	type entry struct {
		id      uint64
		a, b, c int64
		name    string
	}
	c := mustFor[entry](t)
	e := entry{1, 2, -3, 4, "seventeen letters"}
	want := make([]byte, 0, 50)
	for _, u := range []uint64{1, 2, math.MaxUint64 - 2, 4} {
		want = binary.LittleEndian.AppendUint64(want, u)
	}
	want = append(append(want, 17), e.name...)
	if got := c.Append(nil, &e); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestDamagedInputIsAnError(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxInt64)
	check := func(name string, decode func(b []byte) error, b []byte, want string) {
		t.Helper()
		if err := decode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, want)
		}
	}
	check("string", decodes[string](t), huge, "only 0 bytes left")
	check("bytes", decodes[[]byte](t), huge, "only 0 bytes left")
	check("ints", decodes[[]int64](t), append([]byte{3}, make([]byte, 15)...), "slice of length 2")
	check("strings", decodes[[]string](t), huge, "slice of length")
	check("empty elements", decodes[[]nothing](t), huge, "slice of length")
	check("units", decodes[[]struct{}](t), huge, "slice of length")
	check("map", decodes[map[string]nothing](t), huge, "map of length")
	check("map of nothing", decodes[map[struct{}]struct{}](t), huge, "map of length")
	check("duplicate key", decodes[map[int8]int8](t), []byte{3, 1, 1, 1, 2}, "a key comes twice")
	check("bool", decodes[struct{ On bool }](t), []byte{2}, ".On: 0x2 is no bool")
	check("pointer", decodes[*int8](t), []byte{2, 0}, "neither nil nor a value")
	check("time", decodes[time.Time](t), []byte{0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}, "nanoseconds")
	check("varint", decodes[string](t), bytes.Repeat([]byte{0xff}, 11), "cut off or too big")
	check("self", decodes[struct{ V version }](t), []byte{1}, ".V: version needs 2 bytes")
}

func decodes[T any](tb testing.TB) func(b []byte) error {
	c := mustFor[T](tb)
	return func(b []byte) error { var v T; _, err := c.Decode(b, &v); return err }
}

type list struct {
	Value int
	Next  *list
}

type withVersion struct {
	version
	Extra int
}

type card struct {
	ID     int
	Notify chan int
}

func TestUnsupportedTypesNameThePath(t *testing.T) {
	check := func(err error, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		}
	}
	check(fails[card](), "codec: field card.Notify: chan int has no stable encoding; ")
	check(fails[struct{ M map[string][]card }](), ".M[value][].Notify")
	check(fails[[]any](), "[]interface {}[]: interface {}", "concrete type")
	check(fails[func()](), "func()")
	check(fails[list](), "list.Next: codec.list contains itself")
	check(fails[map[time.Time]int](), "[key]: time.Time as a map key", "UnixNano")
	check(fails[map[[2]*int]int](), "*int as a map key")
	check(fails[struct{ P uintptr }](), "an address means nothing")
	check(fails[withVersion](), "withVersion.version: the embedded codec.version", "give the field a name")
	check(fails[[]withVersion](), "the embedded codec.version")
}

func fails[T any]() error { _, err := For[T](); return err }

func TestBlankFieldsAreZeroAfterDecoding(t *testing.T) {
	type padded struct {
		A int32
		_ int32
		B int64
	}
	c := mustFor[padded](t)
	in := padded{A: 1, B: 2}
	out := *(*padded)(unsafe.Pointer(&[2]uint64{math.MaxUint64, math.MaxUint64}))
	b := c.Append(nil, &in)
	if _, err := c.Decode(b, &out); err != nil || len(b) != 12 {
		t.Fatalf("%d bytes, error %v", len(b), err)
	}
	if got := *(*[2]uint64)(unsafe.Pointer(&out)); got != [2]uint64{1, 2} {
		t.Errorf("memory is %x", got)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	type flat struct {
		a uint64
		b [4]int32
		c bool
	}
	type named struct {
		flat
		name string
		when time.Time
	}
	buf := make([]byte, 0, 1024)
	f, n := &flat{a: 1}, &named{name: "name", when: time.Unix(1, 2)}
	cf, cn := mustFor[flat](t), mustFor[named](t)
	if got := testing.AllocsPerRun(100, func() { buf = cf.Append(buf[:0], f) }); got != 0 {
		t.Errorf("flat: %v allocations per encode", got)
	}
	if got := testing.AllocsPerRun(100, func() { buf = cn.Append(buf[:0], n) }); got != 0 {
		t.Errorf("string and time: %v allocations per encode", got)
	}
	buf = cf.Append(buf[:0], f)
	if got := testing.AllocsPerRun(100, func() {
		if _, err := cf.Decode(buf, f); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("flat: %v allocations per decode", got)
	}
}
