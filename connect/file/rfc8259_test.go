package file

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// document is a JSON text and what RFC 8259 says of it. Where it leaves the choice to the parser, free, encoding/json decides.
type document struct{ name, text string }

// repeat is n times a text around another.
func repeat(before string, n int, middle, after string) string {
	return strings.Repeat(before, n) + middle + strings.Repeat(after, n)
}

var validDocuments = []document{
	{"an empty object", `{}`},
	{"an empty array", `[]`},
	{"space in an empty object", "{ \t\r\n}"},
	{"space in an empty array", "[ \t\r\n]"},
	{"space of each kind around", "\t\r\n [ \t1\r,\n2 ] \t\r\n"},
	{"space around colons", `{ "a" : 1 , "b" : 2 }`},
	{"a string by itself", `"text"`},
	{"a number by itself", `-1.5e2`},
	{"true", `true`},
	{"false", `false`},
	{"null", `null`},
	{"an empty string", `""`},
	{"words in an array", `[true,false,null]`},
	{"values of each kind", `[null,1,"1",{},[],true]`},
	{"nested arrays", `[[[[]],[]],[]]`},
	{"an array behind an object", `[{},[]]`},
	{"an empty key", `{"":0}`},
	{"a key twice", `{"a":1,"a":2}`},
	{"a key twice with another type", `{"a":1,"a":"x"}`},
	{"a key and its other case", `{"a":1,"A":2}`},
	{"NUL in a key", `{"a\u0000b":1}`},
	{"an escaped key", `{"\u0061\n":1}`},
	{"a long key", `{"` + strings.Repeat("k", 1000) + `":1}`},
	{"an object that ends in a line end", "{\"a\":1}\n"},

	{"zero", `0`},
	{"minus zero", `-0`},
	{"minus zero with a fraction", `-0.0`},
	{"minus zero with an exponent", `-0e1`},
	{"one digit", `7`},
	{"a negative number", `-123`},
	{"a fraction", `123.456`},
	{"a fraction of zeros", `1.000`},
	{"zero with a fraction", `0.5`},
	{"zero to a power", `0e1`},
	{"zero to a signed power", `0e+1`},
	{"a capital exponent", `1E22`},
	{"an exponent with a plus", `1e+2`},
	{"an exponent with a minus", `1E-2`},
	{"an exponent with leading zeros", `1e0002`},
	{"fraction and exponent", `123.456e-78`},
	{"close to zero", `-0.` + strings.Repeat("0", 78) + `1`},
	{"the largest int64", `9223372036854775807`},
	{"the smallest int64", `-9223372036854775808`},
	{"one more than the largest int64", `9223372036854775808`},
	{"the largest uint64", `18446744073709551615`},
	{"one more than the largest uint64", `18446744073709551616`},
	{"40 digits", strings.Repeat("1234567890", 4)},
	{"40 digits behind the point", `0.` + strings.Repeat("1234567890", 4)},
	{"2^53 + 1", `9007199254740993`},
	{"the largest float", `1.7976931348623157e308`},
	{"the smallest normal float", `2.2250738585072014e-308`},
	{"the largest subnormal float", `2.2250738585072011e-308`},
	{"the smallest float", `5e-324`},
	{"half of the smallest float", `2.4703282292062327e-324`},
	{"far below the smallest float", `1e-400`},
	{"halfway between two floats", `9007199254740993.0`},
	{"just above halfway", `9007199254740993.00000000000000000001`},
	{"a decimal that is no float", `0.1`},
	{"17 digits", `0.30000000000000004`},
	{"the largest float32", `3.4028234663852886e38`},
	{"limits of bytes", `[127,128,-128,-129,255,256,-1]`},

	{"each short escape", `"\"\\\/\b\f\n\r\t"`},
	{"escapes of letters", `"\u0041\u00e9\u20AC\uFFFF"`},
	{"capital and small hexadecimal digits", `"\uaBcD\uAbCd"`},
	{"an escaped NUL", `"\u0000"`},
	{"an escaped control character", `"\u0012\u001f"`},
	{"DEL", "\"\x7f\""},
	{"an escaped quote at the end", `"a\""`},
	{"an escaped backslash at the end", `"a\\"`},
	{"backslash and u", `"\\u0041"`},
	{"a surrogate pair", `"\ud83d\ude39"`},
	{"the last surrogate pair", `"\udbff\udfff"`},
	{"two surrogate pairs", `"\ud83d\ude39\uD834\uDD1E"`},
	{"a slash", `"/\/"`},
	{"UTF-8 of 2, 3 and 4 bytes", `"é€𝄞"`},
	{"a noncharacter", "\"\ufffe\U0010ffff\""},
	{"line separators", "\"\u2028\u2029\""},
	{"a byte order mark inside", "\"a\ufeffb\""},
	{"text that runs to the left", `"עברית"`},
	{"7 bytes and an escape", `"1234567\n8"`},
	{"8 bytes and an escape", `"12345678\n"`},
	{"text behind an escape", `"\n12345678901234567890"`},
	{"a long string", `"` + strings.Repeat("long ", 2000) + `"`},
	{"comments in a string", `"/* */ //"`},
	{"brackets in a string", `"[{}]"`},

	{"9,990 nested arrays", repeat("[", 9990, "", "]")},
	{"9,990 nested objects", repeat(`{"a":`, 9990, "1", "}")},
}

var invalidDocuments = []document{
	{"nothing", ``},
	{"space only", ` `},
	{"a line end only", "\n"},
	{"NUL", "\x00"},
	{"NUL behind the value", "1\x00"},
	{"a byte order mark", "\ufeff{}"},
	{"half of a byte order mark", "\xef\xbb{}"},
	{"a byte order mark by itself", "\ufeff"},
	{"UTF-16", "\xff\xfe[\x00]\x00"},
	{"a form feed for space", "[\f1]"},
	{"a vertical tab for space", "[\v1]"},
	{"a no-break space", "[\u00a01]"},
	{"a word joiner", "[\u2060]"},
	{"a space of another width", "[1]\u3000"},

	{"two values", `1 2`},
	{"two objects", `{}{}`},
	{"a value behind an array", `[1]x`},
	{"a comma behind the value", `1,`},
	{"a hash sign behind it", `{}#`},
	{"a comment", `/**/1`},
	{"a comment behind it", `{"a":"b"}//`},
	{"a comment inside", `[1/**/]`},
	{"an open array", `[`},
	{"an open array with a value", `[1`},
	{"an open array with a comma", `[1,`},
	{"an open object", `{`},
	{"an object with half of a key", `{"a`},
	{"an object with a key only", `{"a"`},
	{"an object without a value", `{"a":`},
	{"an open object with a value", `{"a":1`},
	{"an array closed twice", `[1]]`},
	{"an object closed twice", `{"a":1}}`},
	{"a closing bracket", `]`},
	{"a closing brace", `}`},
	{"the wrong closing bracket", `[1}`},
	{"the wrong closing brace", `{"a":1]`},
	{"a comma behind the last value", `[1,]`},
	{"two commas behind the last value", `[1,,]`},
	{"a comma before the first value", `[,1]`},
	{"only a comma", `[,]`},
	{"two commas", `[1,,2]`},
	{"no comma", `[1 2]`},
	{"no comma between strings", `["a" "b"]`},
	{"a colon for a comma", `[1:2]`},
	{"a comma behind the last field", `{"a":1,}`},
	{"a comma before the first field", `{,"a":1}`},
	{"two commas between fields", `{"a":1,,"b":2}`},
	{"no comma between fields", `{"a":1 "b":2}`},
	{"no colon", `{"a" 1}`},
	{"two colons", `{"a"::1}`},
	{"a comma for a colon", `{"a",1}`},
	{"an equals sign", `{"a"=1}`},
	{"a key without quotes", `{a:1}`},
	{"a key in single quotes", `{'a':1}`},
	{"a number for a key", `{1:1}`},
	{"null for a key", `{null:1}`},
	{"an array for a key", `{[]:1}`},
	{"an array of fields", `["a":1]`},
	{"a key with a bad escape", `{"\x":1}`},
	{"only a key and a comma", `{"a",}`},
	{"a value without quotes", `[text]`},
	{"single quotes", `['a']`},
	{"half of a word", `[tru]`},
	{"half of null", `nul`},
	{"a capital word", `[True]`},
	{"a word that goes on", `[nulls]`},
	{"words together", `[truefalse]`},
	{"a star", `[*]`},
	{"angle brackets", `[<null>]`},
	{"an ampersand", `&`},

	{"a plus sign", `+1`},
	{"two signs", `--1`},
	{"a sign only", `-`},
	{"a sign and a word", `-NaN`},
	{"a sign and a space", `- 1`},
	{"a leading zero", `01`},
	{"a negative leading zero", `-012`},
	{"two zeros", `00`},
	{"a leading zero of a fraction", `00.5`},
	{"no digit before the point", `.5`},
	{"a sign and a point", `-.5`},
	{"no digit behind the point", `1.`},
	{"no digit between point and exponent", `1.e1`},
	{"zero and a point", `0.`},
	{"two points", `1.2.3`},
	{"no exponent", `1e`},
	{"no exponent behind the sign", `1e+`},
	{"no exponent behind minus", `1E-`},
	{"an exponent only", `e1`},
	{"two exponents", `1e1e1`},
	{"two signs of the exponent", `1e+-1`},
	{"a fraction of an exponent", `1e1.5`},
	{"NaN", `NaN`},
	{"Infinity", `Infinity`},
	{"minus Infinity", `-Infinity`},
	{"Inf", `Inf`},
	{"hexadecimal", `0x1F`},
	{"octal", `0o7`},
	{"digits apart", `1 000`},
	{"an underscore", `1_000`},
	{"a letter behind it", `1a`},
	{"a digit of another script", "\u0661"},
	{"a wide digit", "\uff11"},
	{"an expression", `1+2`},
	{"a sign behind it", `1-`},
	{"a suffix", `1.5f`},

	{"an open string", `"abc`},
	{"a quote only", `"`},
	{"an escape at the end", `"\`},
	{"an open string with an escaped quote", `"\"`},
	{"an open string with an escape", `"\n`},
	{"half of an escape", `"\u00`},
	{"three hexadecimal digits", `"\u00A"`},
	{"no hexadecimal digits", `"\u"`},
	{"a letter among them", `"\u00G0"`},
	{"what follows 9 among them", `"\u00:0"`},
	{"what precedes 0", `"\u0/00"`},
	{"what precedes A", `"\u@000"`},
	{"what precedes a", "\"\\u000`\""},
	{"a minus among them", `"\u-123"`},
	{"a capital U", `"\U0041"`},
	{"a sequence that is none", `"\a"`},
	{"an escaped v", `"\v"`},
	{"an escaped x", `"\x41"`},
	{"an escaped zero", `"\0"`},
	{"an escaped quote mark", `"\'"`},
	{"an escaped line end", "\"\\\n\""},
	{"an escaped byte that is no UTF-8", "\"\\\xe5\""},
	{"an escaped letter", "\"\\é\""},
	{"an escaped emoji", "\"\\😀\""},
	{"a line end in a string", "\"a\nb\""},
	{"a tab in a string", "\"a\tb\""},
	{"NUL in a string", "\"a\x00b\""},
	{"a control character", "\"\x1f\""},
	{"a control character at the eighth byte", "\"1234567\x01\""},
	{"a control character behind UTF-8", "\"é\x01\""},
	{"half of a second surrogate", `"\ud800\u"`},
	{"a bad escape behind a surrogate", `"\ud800\x"`},
	{"three digits behind a surrogate", `"\ud83d\ude3"`},

	{"100,000 open arrays", strings.Repeat("[", 100_000)},
	{"50,000 open arrays in objects", strings.Repeat(`[{"":`, 50_000)},
}

var freeDocuments = []document{
	{"too large for a float", `1E400`},
	{"too small for a negative float", `-1e400`},
	{"an exponent of 20 digits", `1e99999999999999999999`},
	{"a negative exponent of 20 digits", `1e-99999999999999999999`},
	{"400 digits", strings.Repeat("9", 400)},
	{"too large for a float32", `3.5e38`},
	{"the first half of a surrogate pair", `"\ud83d"`},
	{"the second half", `"\ude39"`},
	{"halves in the wrong order", `"\ude39\ud83d"`},
	{"two first halves", `"\ud83d\ud83d"`},
	{"a first half and text", `"\ud83dabc"`},
	{"a first half and a newline", `"\ud800\n"`},
	{"a first half and a letter", `"\ud83d\u0041"`},
	{"two first halves and a second", `"\ud83d\ud83d\ude39"`},
	{"a half in a key", `{"\ud800":1}`},
	{"a byte that is no UTF-8", "\"a\xffb\""},
	{"a start without its continuation", "\"\xe9\""},
	{"a start before a quote", "\"\xf0\x9f\""},
	{"a continuation by itself", "\"\x80\""},
	{"UTF-8 cut off", "\"\xe2\x82\""},
	{"a longer form than necessary", "\"\xc0\xaf\""},
	{"a surrogate as UTF-8", "\"\xed\xa0\x80\""},
	{"beyond Unicode", "\"\xf4\xbf\xbf\xbf\""},
	{"no UTF-8 in a key", "{\"\xff\":1}"},
	{"Latin-1 behind text", "\"12345678\xe9\""},
	{"10,010 nested arrays", repeat("[", 10_010, "", "]")},
	{"100,000 nested arrays", repeat("[", 100_000, "", "]")},
	{"100,000 nested objects", repeat(`{"a":`, 100_000, "1", "}")},
}

// likeStandard is a decoder for a type of field whose answers are compared with those of encoding/json.
type likeStandard struct {
	name string
	test func(t *testing.T, document string) (accepted bool)
}

// fieldOf decodes a document as the field of a record.
func fieldOf[F any](t testing.TB) likeStandard {
	type record struct {
		X F `json:"x"`
	}
	return wrapped[record](t, `{"x":`, `}`)
}

// wrapped decodes a document, with a text before and behind it, into a T.
func wrapped[T any](tb testing.TB, before, behind string) likeStandard {
	d, err := newJSONDecoder[T]()
	if err != nil {
		tb.Fatal(err)
	}
	name := reflect.TypeFor[T]().String() + " in " + before + behind
	return likeStandard{name, func(t *testing.T, document string) bool {
		t.Helper()
		text := before + document + behind
		var got, want T
		err, wantErr := d.record(text, &got), json.Unmarshal([]byte(text), &want)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %.200q: error %v, encoding/json: %v", name, text, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) && !repeatsKey(text) {
			t.Errorf("%s: %.200q: got %+v, encoding/json: %+v", name, text, got, want)
		}
		return err == nil
	}}
}

// repeatsKey reports whether a text may have a key twice. Two arrays of one key are not what encoding/json makes of them, see JSONL.
func repeatsKey(text string) bool { return strings.Count(text, "x") > 1 && strings.Contains(text, "[") }

// recursive is a type that a document of any depth of objects fits.
type recursive struct {
	A *recursive            `json:"a"`
	B map[string]*recursive `json:"b"`
	C []recursive           `json:"c"`
}

// documentDecoders are the decoders for whatever a document may hold, with those of any JSON first, and the one that skips what it does
// not know second.
func documentDecoders(t testing.TB) []likeStandard {
	return []likeStandard{
		wrapped[any](t, "", ""), wrapped[struct{ Other int }](t, `{"x":`, `,"other":5}`),
		fieldOf[any](t), fieldOf[*any](t), fieldOf[json.RawMessage](t), fieldOf[json.Number](t), fieldOf[string](t), fieldOf[*string](t), fieldOf[[]string](t), fieldOf[map[string]string](t), fieldOf[float64](t), fieldOf[float32](t), fieldOf[[]float64](t),
		fieldOf[int64](t), fieldOf[int32](t), fieldOf[int16](t), fieldOf[int8](t), fieldOf[int](t), fieldOf[uint64](t), fieldOf[uint32](t), fieldOf[uint16](t), fieldOf[uint8](t), fieldOf[uint](t), fieldOf[[]int8](t), fieldOf[[]any](t), fieldOf[[3]int](t),
		fieldOf[bool](t), fieldOf[*bool](t), fieldOf[[]*bool](t), fieldOf[[]byte](t), fieldOf[time.Time](t), fieldOf[time.Duration](t), fieldOf[map[string]any](t), fieldOf[map[string]int64](t), fieldOf[map[string]float64](t), fieldOf[recursive](t), fieldOf[*recursive](t), fieldOf[[][][]recursive](t),
		wrapped[string](t, "", ""), wrapped[float64](t, "", ""), wrapped[int64](t, "", ""), wrapped[[]float64](t, "", ""), wrapped[map[string]int](t, "", ""), wrapped[recursive](t, "", ""),
	}
}

// TestRFC8259 decodes documents that RFC 8259 allows, forbids or leaves open into every kind of field. What is allowed must be taken
// where any JSON is, what is forbidden nowhere; apart from that, values and refusals are those of encoding/json.
func TestRFC8259(t *testing.T) {
	decoders := documentDecoders(t)
	for _, d := range validDocuments {
		t.Run("valid/"+d.name, func(t *testing.T) {
			if !json.Valid([]byte(d.text)) {
				t.Errorf("%.200q: encoding/json says that it is no JSON", d.text)
			}
			for i, to := range decoders {
				if accepted := to.test(t, d.text); !accepted && i < 2 {
					t.Errorf("%s: %.200q is refused", to.name, d.text)
				}
			}
		})
	}
	for _, d := range invalidDocuments {
		t.Run("invalid/"+d.name, func(t *testing.T) {
			if json.Valid([]byte(d.text)) {
				t.Errorf("%.200q: encoding/json says that it is JSON", d.text)
			}
			for _, to := range decoders {
				if to.test(t, d.text) {
					t.Errorf("%s: %.200q is taken", to.name, d.text)
				}
			}
		})
	}
	for _, d := range freeDocuments {
		t.Run("free/"+d.name, func(t *testing.T) {
			for _, to := range decoders {
				to.test(t, d.text)
			}
		})
	}
}

// FuzzDocument is TestRFC8259 for documents that nobody thought of.
func FuzzDocument(f *testing.F) {
	for _, documents := range [][]document{validDocuments, invalidDocuments, freeDocuments} {
		for _, d := range documents {
			if len(d.text) < 1000 {
				f.Add(d.text)
			}
		}
	}
	decoders := documentDecoders(f)
	f.Fuzz(func(t *testing.T, text string) {
		valid := json.Valid([]byte(text))
		for i, to := range decoders {
			// What a document is not by itself it may be with what is around it, such as 1},{"x":2.
			if accepted := to.test(t, text); accepted && !valid && to.name[len(to.name)-4:] == " in " {
				t.Errorf("%s: %q is taken, but it is no JSON", to.name, text)
			} else if !accepted && valid && i == 1 {
				t.Errorf("%s: %q is refused, but it is JSON", to.name, text)
			}
		}
	})
}
