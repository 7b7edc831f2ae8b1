package file

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type name string

type inner struct {
	A  int8              `json:"a"`
	B  []name            `json:"b"`
	M  map[string]*inner `json:"m"`
	In []inner           `json:"in,omitempty"`
}

// everything has a field for each way in which values are decoded.
type everything struct {
	Int     int64          `json:"int"`
	Small   int16          `json:"small"`
	Uint    uint32         `json:"uint"`
	Big     uint64         `json:"big"`
	Float   float64        `json:"float"`
	Single  float32        `json:"single"`
	Bool    bool           `json:"bool"`
	Text    name           `json:"text"`
	Time    time.Time      `json:"time"`
	Ptr     *float64       `json:"ptr"`
	PtrPtr  **inner        `json:"ptrptr"`
	Inner   inner          `json:"inner"`
	Many    []inner        `json:"many"`
	Grid    [][]int        `json:"grid"`
	Dict    map[name]int64 `json:"dict"`
	Any     any            `json:"any"`
	Bytes   []byte         `json:"bytes"`
	Addr    netip.Addr     `json:"addr"`
	Raw     json.RawMessage
	Array   [2]int        `json:"array"`
	ByNum   map[int]bool  `json:"bynum"`
	Quoted  quoted        `json:"quoted"`
	Skipped int           `json:"-"`
	Wait    time.Duration `json:"wait"`
	embedded
	Exported
	Hash   hash                 `json:"hash"`
	Blobs  map[string][]byte    `json:"blobs"`
	Blob   *[]byte              `json:"blob"`
	Addrs  []*netip.Addr        `json:"addrs"`
	Times  map[string]time.Time `json:"times"`
	Prefix netip.Prefix         `json:"prefix,omitzero"`
	Since  time.Time            `json:"since,omitzero"`
	Pair   pairOf               `json:"pair,omitzero"`
	Few    []string             `json:"few,omitempty"`
	Number json.Number          `json:"number"`
	Level  level                `json:"level"`
}

type embedded struct {
	Zone string `json:"zone"`
	Rank int    `json:"rank,omitempty"`
}

type Exported struct {
	Deep struct{ X float32 }
	embeddedTwice
}

type embeddedTwice struct {
	Twice *int `json:"twice"`
}

type pairOf struct{ A, B int }

type hash []byte

// level has text methods, but is no struct.
type level int

func (l level) MarshalText() ([]byte, error)     { return []byte{'L', byte('0' + l%10)}, nil }
func (l *level) UnmarshalText(text []byte) error { *l = level(len(text)); return nil }

type quoted struct {
	N int `json:"n,string"`
}

var jsonCases = []string{
	`{}`, `null`, ` { } `, `{"int":9223372036854775807,"small":-32768,"uint":4294967295,"big":18446744073709551615}`,
	`{"int":9223372036854775808}`, `{"small":32768}`, `{"small":-32769}`, `{"uint":-1}`, `{"uint":-0}`, `{"int":1.0}`, `{"int":1e2}`,
	`{"int":01}`, `{"int":-}`, `{"int":+1}`, `{"float":1e400}`, `{"float":1.}`, `{"float":.5}`, `{"float":1e}`, `{"float":-0}`,
	`{"float":0.1,"single":0.1}`, `{"single":1e39}`, `{"float":123456789012345678901234567890}`, `{"float":2.2250738585072011e-308}`,
	`{"float":9007199254740993}`, `{"float":0.30000000000000004}`, `{"float":NaN}`, `{"float":Infinity}`, `{"bool":true,"bool":false}`,
	`{"bool":tru}`, `{"bool":1}`, `{"text":"a\u00e9\ud83d\ude00\ud83d\u0041\udc00\n\/\\\"\b\f\r\t"}`, `{"text":"\x"}`, `{"text":"\u12"}`,
	"{\"text\":\"a\x00b\"}", "{\"text\":\"\xff\xc3(é€\"}", `{"text":"unclosed}`, `{"TEXT":"fold","Inner":{"A":3}}`, `{"tEXt":"1","text":"2","Text":"3"}`,
	`{"text":null,"int":null,"ptr":null,"many":null,"dict":null,"time":null,"any":null,"inner":null}`, `{"text":5}`, `{"text":{}}`,
	`{"time":"2024-02-29T12:00:00.123456789+01:00"}`, `{"time":"2024-02-30T12:00:00Z"}`, `{"time":"2024-02-29 12:00:00"}`, `{"time":5}`, `{"time":"2024-1-1T0:00:00Z"}`,
	`{"ptr":1.5,"ptr":2.5,"ptrptr":{"a":1,"b":["x",null,"y"]}}`, `{"inner":{"a":1,"b":[]},"inner":{"m":{"k":{"a":2},"l":null}}}`,
	`{"many":[{"a":1},{"b":["z"]},null,{}],"grid":[[1,2],[],null,[3]]}`, `{"many":[{"a":1}],"many":[{"b":["q"]},{"a":2}]}`, `{"dict":{"a":1,"b":-2},"dict":{"b":3}}`,
	`{"any":{"x":[1,"a",null,true,{"y":1e3}]},"bytes":"aGVsbG8=","addr":"10.0.0.1","Raw": {"a" : 1}}`, `{"bytes":"!"}`, `{"addr":"x"}`,
	`{"array":[1,2,3],"bynum":{"1":true},"quoted":{"n":"5"},"wait":1000,"Skipped":1,"-":2}`, `{"unknown":{"deep":[[[{"a":[]}]]]},"int":4}`, `{"unknown":{"deep":[}},"int":4}`,
	`{"int":1,}`, `{,"int":1}`, `{"int" 1}`, `{"int":1 "small":2}`, `{"int":1}}`, `{"int":1} x`, `[]`, `"x"`, `5`, ``, `{`, `{"`, `{"int"`, `{"int":`, `[1,2`,
	`{"grid":[1]}`, `{"grid":{}}`, `{"inner":[]}`, `{"many":{}}`, `{"dict":[]}`, `{"\u0069nt":7}`, `{"int":1,"int":2}`, "{\"int\":\t1\r\n}",
	`{"zone":"z","rank":3,"Deep":{"x":1.5},"twice":7}`, `{"rank":"x"}`, `{"hash":"AAEC","blobs":{"a":"/+8=","b":null},"blob":"","Zone":"Y"}`, `{"hash":[1,2,3]}`, `{"hash":[256]}`, `{"hash":"A"}`, `{"hash":"AAE"}`, `{"hash":"AA==\n"}`,
	`{"hash":"AA\r\n=="}`, `{"hash":null,"blob":null,"addrs":null}`, `{"addrs":["::1",null,""],"addr":null}`, `{"addr":5}`, `{"addr":{}}`, `{"addr":"1.2.3"}`, `{"addr":"1.2\u002e3.4"}`, `{"prefix":"10.0.0.0/8"}`,
	`{"times":{"a":"2024-02-29T12:00:00Z","b":null}}`, `{"since":"0001-01-01T00:00:00Z","pair":{"A":1}}`, `{"number":-1.50e2}`, `{"number":"12"}`, `{"number":"x"}`, `{"level":"abc"}`, `{"level":3}`, `{"few":[]}`,
	`{"inner":{"a":128}}`, `{"inner":{"in":[{"in":[{"in":[{"a":5}]}]}]}}`, `{"text":"ends in \\"}`, `{"text":"\ud800\ud800"}`, `{"text":"12345678\u000012345678é"}`,
}

// decodeBoth gives text to the decoder here and to encoding/json and compares the answers.
func decodeBoth(t *testing.T, d *jsonDecoder[everything], text string) {
	t.Helper()
	got := everything{Int: 77, Text: "left over", Many: []inner{{A: 9}}}
	var want everything
	err := d.record(text, &got)
	wantErr := json.Unmarshal([]byte(text), &want)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: got error %v, encoding/json says %v", text, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) && !repeatsArray(text) {
		t.Fatalf("%q:\n got %+v\nwant %+v", text, got, want)
	}
}

// repeatsArray reports whether one object has the key of an array field twice. encoding/json then shows parts of the
// first array in the second; here the last one wins.
func repeatsArray(text string) bool {
	dec := json.NewDecoder(strings.NewReader(text))
	var seen []map[string]bool
	key := false
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				seen = append(seen, nil)
				if v == '{' {
					seen[len(seen)-1] = map[string]bool{}
				}
			default:
				seen = seen[:len(seen)-1]
			}
			key = len(seen) > 0 && seen[len(seen)-1] != nil
			continue
		case string:
			if key {
				k := strings.ToLower(v)
				if (k == "many" || k == "grid" || k == "b" || k == "in" || k == "addrs" || k == "few") && seen[len(seen)-1][k] {
					return true
				}
				seen[len(seen)-1][k] = true
				key = false
				continue
			}
		}
		key = len(seen) > 0 && seen[len(seen)-1] != nil
	}
}

func TestJSONIsThatOfTheStandardLibrary(t *testing.T) {
	d, err := newJSONDecoder[everything]()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range jsonCases {
		decodeBoth(t, d, text)
	}
	for _, n := range []int{maxDepth - 2, maxDepth + 2, 100_000} {
		decodeBoth(t, d, `{"x":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`}`)
		decodeBoth(t, d, strings.Repeat(`{"inner":{"m":{"x":`, n)+"1")
	}
}

func FuzzJSON(f *testing.F) {
	for _, text := range jsonCases {
		f.Add(text)
	}
	d, err := newJSONDecoder[everything]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) { decodeBoth(t, d, text) })
}

func TestJSONErrorsNameTheField(t *testing.T) {
	d, err := newJSONDecoder[everything]()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]fieldError{
		`{"bool":true,"small":70000}`: {column: "small", char: 22, err: errors.New("the number 70000 does not fit into the field")},
		`{"uint":-5}`:                 {column: "uint", char: 9, err: errors.New("the number -5 is negative, but the field is not")},
		`{"int":1.5}`:                 {column: "int", char: 8, err: errors.New("the number 1.5 is not written as a whole number, but the field is an integer")},
		`{"float":1e400}`:             {column: "float", char: 10, err: errors.New("the number 1e400 does not fit into the field")},
		`{"float":NaN}`:               {column: "float", char: 10, err: errors.New(`found 'N', want a number`)},
		`{"int":1`:                    {column: "int", char: 9, err: errors.New("the JSON value ends too early: want a comma or '}'")},
		`{"inner":{"in":[{},{"m":{"a b":{"a":1}, "c":{"a":128}}}]}}`: {column: `inner.in[1].m["c"].a`, char: 50, err: errors.New("the number 128 does not fit into the field")},
		`{"many":[1]}`:            {column: "many[0]", char: 10, err: errors.New("found '1', want an object")},
		`{"grid":[[],[1,true]]}`:  {column: "grid[1][1]", char: 16, err: errors.New("found 't', want a number")},
		`{"inner":{"a":1 "b":2}}`: {column: "inner.a", char: 17, err: errors.New(`found '"', want a comma or '}'`)},
		`{"inner":{"a":1},, }`:    {char: 18, err: errors.New("found ',', want a string")},
		`{"float":1. }`:           {column: "float", char: 12, err: errors.New("found ' ', want a digit after the point")},
		`{"hash":"A\u003d"}`:      {column: "hash", char: 9, err: errors.New(`"A=" is not base64: illegal base64 data at input byte 1`)},
		`{"addr":"x"}`:            {column: "addr", char: 9, err: errors.New(`"x": ParseAddr("x"): unable to parse IP`)},
		`{"int":1} 2`:             {char: 11, err: errors.New("found '2', want the end of the line after the JSON value")},
	} {
		var out everything
		var got *fieldError
		if err := d.record(text, &out); !errors.As(err, &got) {
			t.Errorf("%s: error is %v", text, err)
			continue
		}
		if got.column != want.column || got.char != want.char || got.err.Error() != want.err.Error() {
			t.Errorf("%s: got %q at %d in %q, want %q at %d in %q", text, got.err, got.char, got.column, want.err, want.char, want.column)
		}
	}
}

// TestTextsStay keeps the strings of many records, which must not change when others are decoded: those that are parts of the record's
// text, and those with escapes, short ones and some that are too long to share a block.
func TestTextsStay(t *testing.T) {
	type rec struct {
		A, B string
		C    []string
	}
	d, err := newJSONDecoder[rec]()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCSVDecoder[struct{ A, B string }](',')
	if err != nil {
		t.Fatal(err)
	}
	if err := c.setColumns([]string{"A", "B"}, "test"); err != nil {
		t.Fatal(err)
	}
	var got, want []rec
	for i := range 3000 {
		w := rec{strconv.Itoa(i), strings.Repeat("\n", i%7) + strconv.Itoa(i), []string{"\"" + strings.Repeat("é\\", i%1500), ""}}
		line, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		var g rec
		if err := d.record(string(line), &g); err != nil {
			t.Fatal(err)
		}
		var fields struct{ A, B string }
		if err := c.record(`"`+strings.ReplaceAll(w.C[0], `"`, `""`)+`",`+w.A, &fields); err != nil {
			t.Fatal(err)
		}
		got, want = append(got, g, rec{A: fields.A, B: fields.B}), append(want, w, rec{A: w.C[0], B: w.A})
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("record %d: got %.300q, want %.300q", i, got[i], want[i])
		}
	}
}

// TestJSONRoundTrip writes records as encoding/json does and reads them back.
func TestJSONRoundTrip(t *testing.T) {
	type rec struct {
		S  string
		F  float64
		G  float32
		I  int64
		U  uint8
		P  *string
		M  map[string]float64
		L  []inner
		B  []byte
		O  string `json:",omitempty"`
		T  time.Time
		In inner
	}
	enc, err := newJSONEncoder[rec]()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := newJSONDecoder[rec]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rec{
			S: rapid.String().Draw(t, "S"), F: rapid.Float64().Draw(t, "F"), G: rapid.Float32().Draw(t, "G"), I: rapid.Int64().Draw(t, "I"),
			U: rapid.Byte().Draw(t, "U"), P: rapid.Ptr(rapid.String(), true).Draw(t, "P"), O: rapid.StringN(0, 2, 9).Draw(t, "O"),
			M: rapid.MapOf(rapid.String(), rapid.Float64Range(-1e30, 1e-3)).Draw(t, "M"), B: rapid.SliceOf(rapid.Byte()).Draw(t, "B"),
			T: time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(t, "T"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
		}
		if rapid.Bool().Draw(t, "nested") {
			v.L = []inner{{A: -3, B: []name{"<&>", "\u2028"}}, {M: map[string]*inner{"k": {A: 1}, "n": nil}}}
			v.In = v.L[1]
		}
		line, err := enc.record(nil, &v)
		if err != nil {
			t.Fatal(err)
		}
		var back, std rec
		if err := dec.record(strings.TrimSuffix(string(line), "\n"), &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, v) {
			t.Fatalf("wrote %+v as %s, read %+v", v, line, back)
		}
		if err := json.Unmarshal(line, &std); err != nil || !reflect.DeepEqual(std, v) {
			t.Fatalf("encoding/json reads %s as %+v, %v", line, std, err)
		}
	})
	for _, bad := range []rec{{F: math.NaN()}, {F: math.Inf(1)}, {T: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		if _, err := enc.record(nil, &bad); err == nil || !strings.Contains(err.Error(), "field") {
			t.Errorf("%+v: error is %v", bad, err)
		}
	}
}

var whole = regexp.MustCompile(`^[+-]?[0-9]+$`)

func TestNumbersAreThoseOfStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		compareNumber(t, rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,18}\.?[0-9]{0,18}`), rapid.StringMatching(`[+-]?[0-9.eE+-]{0,24}`),
			rapid.Just("18446744073709551615"), rapid.Just("18446744073709551616"), rapid.Just("-9223372036854775808"),
			rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) })).Draw(t, "text"))
	})
}

// compareNumber reads a text as a number of each kind, here and with strconv.
func compareNumber(t rapid.TB, s string) {
	t.Helper()
	for _, bits := range []int{32, 64} {
		got, err := parseFloat(s, bits)
		want, wantErr := strconv.ParseFloat(s, bits)
		if (err == nil) != (wantErr == nil) || err == nil && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("float %q: %v, %v; strconv: %v, %v", s, got, err, want, wantErr)
		}
	}
	for _, bits := range []int{8, 16, 32, 64} {
		i, err := parseInt(s, bits)
		wantI, wantErr := strconv.ParseInt(s, 10, bits)
		if (err == nil) != (wantErr == nil) || err == nil && i != wantI || whole.MatchString(s) && errors.Is(wantErr, strconv.ErrRange) != errors.Is(err, errTooBig) {
			t.Fatalf("int%d %q: %v, %v; strconv: %v, %v", bits, s, i, err, wantI, wantErr)
		}
		u, err := parseUint(s, bits)
		wantU, wantErr := strconv.ParseUint(s, 10, bits)
		if (err == nil) != (wantErr == nil) || err == nil && u != wantU {
			t.Fatalf("uint%d %q: %v, %v; strconv: %v, %v", bits, s, u, err, wantU, wantErr)
		}
	}
}

// FuzzCSV compares splitting and unquoting with encoding/csv, which changes CR LF inside quotes into LF.
func FuzzCSV(f *testing.F) {
	for _, text := range []string{
		"a,b\n1,2\n", "a,b\n\"x\"\"y\",\"\n\"\n", "a,b\n\n\"1\",", "a,b\n1,2,3\n", "a,b\n\"x\"y,2\n", "a,b\nx\"y,2\n",
		"a,b\n\"x,2\n", "a,b\r\n\"\r\n\",\r\n\r\n", "a,b\n1\n", "a,b\n\r,\"\"\r", "a,b\n\"\",\"\"\"\"\"\"\n,\n", "a,b\n1,\"2\"\n\"3\",4", "a,b\n1,2\r\r\n",
	} {
		f.Add(strings.TrimPrefix(text, "a,b\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		type pair struct{ A, B string }
		dec, err := newCSVDecoder[pair](',')
		if err != nil {
			t.Fatal(err)
		}
		if err := dec.setColumns([]string{"A", "B"}, "test"); err != nil {
			t.Fatal(err)
		}
		std := csv.NewReader(strings.NewReader(text))
		std.FieldsPerRecord = 2
		split := splitter{csv: true, comma: ','}
		for at := 0; ; {
			sp, ok := split.next([]byte(text), at, true)
			if ok && sp.start == sp.end {
				at = sp.next
				continue
			}
			want, wantErr := std.Read()
			if !ok {
				if !errors.Is(wantErr, io.EOF) {
					t.Fatalf("%q: no more records at %d, encoding/csv: %q, %v", text, at, want, wantErr)
				}
				return
			}
			var got pair
			err := dec.record(text[sp.start:sp.end], &got)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%q at %d: got %q, %v; encoding/csv: %q, %v", text, at, got, err, want, wantErr)
			}
			if err != nil {
				return
			}
			for i, s := range []string{got.A, got.B} {
				if strings.ReplaceAll(s, "\r\n", "\n") != want[i] {
					t.Fatalf("%q at %d: value %d is %q, encoding/csv: %q", text, at, i, s, want[i])
				}
			}
			at = sp.next
		}
	})
}
