package codec

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func TestDescribeShowsNamesAndKinds(t *testing.T) {
	type inner struct {
		a, b int64
		_    int
	}
	type outer struct {
		ID   uint64
		In   []inner
		M    map[string]*inner
		When time.Time
		Ver  version
		Arr  [3]celsius
	}
	got := Describe[outer]()
	want := "struct{ID uint64;In []struct{a int64;b int64};M map[string]*struct{a int64;b int64};When time;" +
		"Ver self(github.com/millrace-stream/millrace/codec.version);Arr [3]float64}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if Describe[struct{ A int }]() == Describe[struct{ B int }]() {
		t.Error("a renamed field does not show")
	}
	if Describe[struct{ A int }]() == Describe[struct{ A int64 }]() {
		t.Error("a changed type does not show")
	}
	if got := Describe[card](); !strings.HasPrefix(got, "invalid(codec: field card.Notify") {
		t.Errorf("a type without encoding is described as %q", got)
	}
}

func TestLayoutOf(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want Layout
	}{
		{"int", LayoutOf[int](), Flat},
		{"array of flat structs", LayoutOf[[3]struct{ a, b bool }](), Flat},
		{"empty array of slices", LayoutOf[[0][]int](), Flat},
		{"string", LayoutOf[string](), Immutable},
		{"time", LayoutOf[time.Time](), Immutable},
		{"struct with string", LayoutOf[place](), Immutable},
		{"bytes", LayoutOf[[]byte](), Deep},
		{"string and pointer", LayoutOf[struct {
			s string
			p *int
		}](), Deep},
		{"array of maps", LayoutOf[[2]map[int]int](), Deep},
		{"interface", LayoutOf[any](), Deep},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestSizeOfCountsStringsAndSlices(t *testing.T) {
	type record struct {
		name string
		raw  []byte
		tags [2]string
		nums []int32
		when time.Time
		ptr  *place
	}
	v := record{name: "four", raw: make([]byte, 1, 10), tags: [2]string{"a", "bc"}, nums: make([]int32, 3)}
	if got := SizeOf[record]()(&v); got != 4+10+3+12 {
		t.Errorf("got %d, want 29", got)
	}
	if SizeOf[struct{ a int }]() != nil || SizeOf[time.Time]() != nil || SizeOf[map[string]int]() != nil {
		t.Error("a function although there is nothing to count")
	}
}

func TestDetachCopiesAllMemory(t *testing.T) {
	detach, err := Detach[everything]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		in := genEverything().Draw(t, "in")
		in.Map = map[string][]int{"k": {1, 2}}
		out := in
		detach(&out)
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("got  %+v\nwant %+v", out, in)
		}
		if len(in.Name) > 0 && unsafe.StringData(in.Name) == unsafe.StringData(out.Name) {
			t.Fatal("the string is shared")
		}
		if len(in.Raw) > 0 && &in.Raw[0] == &out.Raw[0] || len(in.Nums) > 0 && &in.Nums[0] == &out.Nums[0] {
			t.Fatal("a slice is shared")
		}
		if in.Ptr != nil && in.Ptr == out.Ptr || &in.Map["k"][0] == &out.Map["k"][0] {
			t.Fatal("what a pointer or map leads to is shared")
		}
		if cap(out.Raw) != len(out.Raw) {
			t.Fatal("the copy has room that an append would use")
		}
	})
	if d, err := Detach[[4]int](); d != nil || err != nil {
		t.Errorf("flat type: got a function or error %v", err)
	}
	if _, err := Detach[card](); err == nil {
		t.Error("no error for a type without encoding")
	}
}

func TestDetachFromKeepsWhatWasOwnedBefore(t *testing.T) {
	detach, err := DetachFrom[ride]()
	if err != nil {
		t.Fatal(err)
	}
	buf := []byte("cardtag")
	old := ride{card: "own", tags: [2]string{"x", "y"}}
	v := old
	v.tags[0] = unsafe.String(&buf[4], 3)
	detach(&v, old)
	clear(buf)
	if v.tags[0] != "tag" {
		t.Errorf("a new string is still cut from the buffer: %q", v.tags[0])
	}
	if unsafe.StringData(string(v.card)) != unsafe.StringData(string(old.card)) {
		t.Error("a string that was there before was copied")
	}
	deep, err := DetachFrom[[]int]()
	if err != nil {
		t.Fatal(err)
	}
	a := []int{1}
	b := a
	deep(&b, a)
	if &a[0] == &b[0] {
		t.Error("a slice is shared")
	}
	if d, err := DetachFrom[int](); d != nil || err != nil {
		t.Errorf("flat type: got a function or error %v", err)
	}
}
