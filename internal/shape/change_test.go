package shape

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/codec"
)

type oldItem struct {
	A int8
	B uint16
	S string
	G float32
}

type newItem struct {
	Extra []string
	S     string
	G     float64
	A     int64
	B     int32
	O     own `json:"-"`
}

// oldState and newState differ in all ways that can be bridged; JSON has the same names, so encoding/json says what is right.
type oldState struct {
	Gone   map[string][]int8
	Items  []oldItem
	Ptr    *oldItem
	None   *oldItem
	ByName map[string]oldItem
	Pair   [2]oldItem
	Nested struct{ X, Y, Z int16 }
	T      time.Time
	Same   bool
	Small  []struct{}
	U      uint8
	Text   []string
}

type newState struct {
	U      uint64
	Same   bool
	Items  []newItem
	Ptr    *newItem
	None   *newItem
	ByName map[string]newItem
	Pair   [2]newItem
	Nested struct{ Z, W, X int32 }
	T      time.Time
	When   time.Time
	Map    map[int64]bool
	Small  []struct{}
	Text   []string
	P      *int64
	Arr    [3]struct{ C complex64 } `json:"-"`
}

func ownOf[T any]() map[string]Own {
	out := map[string]Own{}
	for _, s := range codec.SelfTypes[T]() {
		out[s.Name] = Own{s.Skip, s.Zero}
	}
	return out
}

func shapeOf[T any](t testing.TB) *Shape {
	s, err := Parse(codec.Describe[T]())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConvert compares with what encoding/json makes of the old value when it is read as the new type.
func TestConvert(t *testing.T) {
	from, to := shapeOf[oldState](t), shapeOf[newState](t)
	conv, err := Convert(from, to, ownOf[newState]())
	if err != nil {
		t.Fatal(err)
	}
	oldCodec, err := codec.For[oldState]()
	if err != nil {
		t.Fatal(err)
	}
	newCodec, err := codec.For[newState]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Make[oldState]().Draw(t, "value")
		x.T = time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "seconds"), 5).UTC()
		short := func(i *oldItem) { i.G = float32(i.A) / 4 } // JSON has the same number in both widths
		for i := range x.Items {
			short(&x.Items[i])
		}
		for k, v := range x.ByName {
			short(&v)
			x.ByName[k] = v
		}
		for _, p := range []*oldItem{x.Ptr, x.None, &x.Pair[0], &x.Pair[1]} {
			if p != nil {
				short(p)
			}
		}
		b, rest, err := conv(nil, append(oldCodec.Append(nil, &x), "more"...))
		if err != nil || string(rest) != "more" {
			t.Fatalf("%q left, %v", rest, err)
		}
		var got, want newState
		if rest, err := newCodec.Decode(b, &got); err != nil || len(rest) > 0 {
			t.Fatalf("the new encoding: %d bytes left, %v", len(rest), err)
		}
		text, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		want.T, want.When, got.When = x.T, time.Time{}, got.When.UTC()
		if !got.When.IsZero() {
			t.Fatalf("a time that was not there is %v", got.When)
		}
		got.When = time.Time{}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// TestConvertDamaged reads bytes that nobody wrote: no panic, and no value from what the old codec refuses.
func TestConvertDamaged(t *testing.T) {
	conv, err := Convert(shapeOf[oldState](t), shapeOf[newState](t), ownOf[newState]())
	if err != nil {
		t.Fatal(err)
	}
	c, err := codec.For[newState]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
		if b, _, err := conv(nil, src); err == nil {
			var v newState
			if rest, err := c.Decode(b, &v); err == nil && len(rest) > 0 {
				t.Fatalf("%d bytes are left over", len(rest))
			}
		}
	})
}

// TestSelfTypesAreCarriedOver has a type that encodes itself in front of what changes.
func TestSelfTypesAreCarriedOver(t *testing.T) {
	type before struct {
		O []own
		N int8
	}
	type after struct {
		O []own
		N int16
		P own
	}
	x := before{[]own{{3}, {0}}, -4}
	c, err := codec.For[before]()
	if err != nil {
		t.Fatal(err)
	}
	conv, err := Convert(shapeOf[before](t), shapeOf[after](t), ownOf[after]())
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := conv(nil, c.Append(nil, &x))
	if err != nil {
		t.Fatal(err)
	}
	n, err := codec.For[after]()
	if err != nil {
		t.Fatal(err)
	}
	var got after
	if _, err := n.Decode(b, &got); err != nil || !reflect.DeepEqual(got, after{O: x.O, N: -4}) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = Convert(shapeOf[before](t), shapeOf[struct{ N int8 }](t), nil)
	const want = "github.com/millrace-stream/millrace/internal/shape.own encodes itself, and the job does not have it any more: where it ends is not known"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without the type: %v", err)
	}
}

// TestCompare has each kind of difference.
func TestCompare(t *testing.T) {
	for _, tt := range []struct{ from, to, changes, err string }{
		{"int64", "int64", "", ""},
		{"int32", "int64", "it was int32 and is int64", ""},
		{"uint8", "int16", "it was uint8 and is int16", ""},
		{"int", "int64", "it was int and is int64", ""},
		{"float32", "float64", "it was float32 and is float64", ""},
		{"uint16", "int16", "", "was uint16 and is int16"},
		{"int64", "int32", "", "was int64 and is int32"},
		{"int64", "uint64", "", "was int64 and is uint64"},
		{"float64", "float32", "", "was float64 and is float32"},
		{"int32", "float64", "", "was int32 and is float64"},
		{"string", "[]uint8", "", "was string and is []uint8"},
		{"complex64", "complex128", "", "was complex64 and is complex128"},
		{"struct{A int8}", "struct{A int8;B bool}", "B (bool) is added", ""},
		{"struct{A int8;B bool}", "struct{A int8}", "B (bool) is removed", ""},
		{"struct{A int8;B bool}", "struct{B bool;A int8}", "fields of it are in another order", ""},
		{"struct{A struct{C int8;B bool}}", "struct{A struct{B bool;C int16}}", "A.C was int8 and is int16; fields of A are in another order", ""},
		{"[]struct{A int8}", "[]struct{A int16}", "[].A was int8 and is int16", ""},
		{"map[string]*int8", "map[string]*int16", "[] was int8 and is int16", ""},
		{"map[int8]bool", "map[int16]bool", "", "was a map by int8 and is one by int16"},
		{"[2]int8", "[3]int8", "", "was an array of 2 and is one of 3"},
		{"struct{A [2]int8;B string}", "struct{A [3]int8;B bool}", "", "A was an array of 2 and is one of 3\nB was string and is bool"},
		{"self(a.B)", "self(a.C)", "", "was a a.B and is a a.C, which encode themselves"},
		{"time", "int64", "", "was time and is int64"},
	} {
		from, err := Parse(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := Parse(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := Compare(from, to)
		var texts []string
		for _, c := range changes {
			texts = append(texts, c.Text)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got := strings.Join(texts, "; "); tt.err == "" && got != tt.changes || text != tt.err {
			t.Errorf("%s to %s: %q, error %q\nwant %q, %q", tt.from, tt.to, got, text, tt.changes, tt.err)
		}
	}
}

// TestRenamed finds what may be a field of another name.
func TestRenamed(t *testing.T) {
	from, _ := Parse("struct{A int8;S struct{X bool;Y bool;W time};G bool;L []struct{P int8}}")
	to, _ := Parse("struct{A int8;S struct{X bool;Z bool};L []struct{Q int16};T string}")
	changes, err := Compare(from, to)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"S.Y", "L[].P"}
	if got := Renamed(changes); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
