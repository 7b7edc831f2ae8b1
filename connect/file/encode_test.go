package file

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// standardLine is what encoding/json writes for v with the settings that come closest: nothing is escaped for HTML.
func standardLine(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.String(), err
}

// encodeBoth writes a record here and with encoding/json and compares the lines. Escapes that JSON does not ask for may differ.
func encodeBoth(t *testing.T, e *jsonEncoder[everything], v *everything) {
	t.Helper()
	line, err := e.record(nil, v)
	want, wantErr := standardLine(v)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%+v: error %v, encoding/json: %v", v, err, wantErr)
	}
	if err != nil {
		return
	}
	asHere := strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029", `\ufffd`, "\ufffd", `\u007f`, "\x7f").Replace(want)
	if string(line) != asHere {
		t.Fatalf("%+v:\n got %s\nwant %s", v, line, asHere)
	}
}

// filled is a record with something in each field.
func filled() *everything {
	text, number, blob := "p", 7, []byte("blob")
	addr := netip.MustParseAddr("2001:db8::1%eth\"0")
	v := &everything{
		Int: math.MinInt64, Small: -5, Uint: 9, Big: math.MaxUint64, Float: 1e21, Single: 1e-7, Bool: true, Text: "a\u2028<&>\x7f\x01\xff\"\\\n", Time: time.Unix(1, 5).UTC(),
		Inner: inner{A: -1, B: []name{"é", ""}, M: map[string]*inner{"z": nil, "a": {A: 3}, "\n": {}}, In: []inner{{}}}, Many: []inner{{A: 1}, {}},
		Grid: [][]int{{1}, nil, {}}, Dict: map[name]int64{"b": 1, "a": 2}, Any: map[string]any{"k": []any{1.5, nil, "x"}}, Bytes: []byte{0, 255}, Addr: addr, Raw: json.RawMessage(`{"a":[1]}`),
		ByNum: map[int]bool{3: true}, Quoted: quoted{5}, Wait: time.Hour, embedded: embedded{"z", 0}, Hash: hash{}, Blobs: map[string][]byte{"a": nil, "b": {}, "c": {1}}, Blob: &blob,
		Addrs: []*netip.Addr{nil, &addr}, Times: map[string]time.Time{"t": time.Unix(3, 0).UTC()}, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Since: time.Unix(0, 0).UTC(),
		Pair: pairOf{A: 1}, Few: []string{text}, Number: "12.50", Level: 4,
	}
	v.Ptr, v.Twice, v.Deep.X = &v.Float, &number, 0.1
	return v
}

func TestJSONIsWrittenAsByTheStandardLibrary(t *testing.T) {
	e, err := newJSONEncoder[everything]()
	if err != nil {
		t.Fatal(err)
	}
	encodeBoth(t, e, &everything{})
	encodeBoth(t, e, filled())
	local := filled()
	local.Since = time.Time{}.In(time.FixedZone("", 3600)) // zero, though not the zero value
	local.Pair, local.Prefix, local.Few = pairOf{}, netip.Prefix{}, []string{}
	encodeBoth(t, e, local)
	for _, f := range []float64{0, math.Copysign(0, -1), 1e-6, 9.99e-7, 1e20, 1e21, 5e-324, math.MaxFloat64, 0.1, 100, math.NaN(), math.Inf(-1)} {
		encodeBoth(t, e, &everything{Float: f, Single: float32(f)})
	}
	// What encoding/json refuses as JSON is an error here too, also where the field is foreign.
	for _, bad := range []*everything{{Raw: json.RawMessage(`{`)}, {Any: func() {}}, {Number: "x"}, {Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		encodeBoth(t, e, bad)
	}
}

// FuzzJSONEncode writes whatever encoding/json reads, compares the line with its, and reads it back.
func FuzzJSONEncode(f *testing.F) {
	for _, text := range jsonCases {
		f.Add(text)
	}
	e, err := newJSONEncoder[everything]()
	if err != nil {
		f.Fatal(err)
	}
	d, err := newJSONDecoder[everything]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var v, back, want everything
		if json.Unmarshal([]byte(text), &v) != nil {
			return
		}
		encodeBoth(t, e, &v)
		line, err := e.record(nil, &v)
		if err != nil {
			return
		}
		if i := bytes.IndexByte(line, '\n'); i != len(line)-1 {
			t.Fatalf("%+v is written with a line end at byte %d of %d: %s", v, i, len(line), line)
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("encoding/json does not read %s: %v", line, err)
		}
		if err := d.record(strings.TrimSuffix(string(line), "\n"), &back); err != nil || !reflect.DeepEqual(back, want) {
			t.Fatalf("%s is read back as %+v, %v; encoding/json reads %+v", line, back, err, want)
		}
	})
}

// TestCSVQuotesWhatNeedsThem writes values as strings and as bytes: in quotes if a reader would take them for something else, a byte order
// mark included, which at the beginning of a file is none of its values.
func TestCSVQuotesWhatNeedsThem(t *testing.T) {
	text := encoderOf(newCSVEncoder[struct{ V string }](';', false, nil))
	raw := encoderOf(newCSVEncoder[struct{ V []byte }](';', false, nil))
	for value, want := range map[string]string{
		"plain, ' #\t": "plain, ' #\t", "": `""`, "a;b": `"a;b"`, `"`: `""""`, `a"b`: `"a""b"`, "a\nb": "\"a\nb\"", "a\r": "\"a\r\"", "\ufeffx": "\"\ufeffx\"", "x\ufeff": "x\ufeff", "\xff\x00": "\xff\x00",
	} {
		line, err := text.record(nil, &struct{ V string }{value})
		if err != nil || string(line) != want+"\n" {
			t.Errorf("the string %q is written as %q, %v; want %q", value, line, err, want)
		}
		line, err = raw.record(nil, &struct{ V []byte }{[]byte(value)})
		if err != nil || string(line) != want+"\n" {
			t.Errorf("the bytes %q are written as %q, %v; want %q", value, line, err, want)
		}
	}
}

// FuzzCSVEncode writes values with every separator and reads them back, here and with encoding/csv.
func FuzzCSVEncode(f *testing.F) {
	for _, seed := range []struct{ a, b, c string }{{"", "", ""}, {`"`, "\r", "\n"}, {"a,b", "\ufeff;", "\ufeff"}, {" x ", "\r\n", `""`}, {"\xff", "\x00", "é"}, {`\.`, "#", "\t"}} {
		for _, comma := range []byte{',', ';', '\t', ' '} {
			f.Add(seed.a, seed.b, seed.c, comma)
		}
	}
	type values struct {
		A string
		B []byte
		C *string
	}
	f.Fuzz(func(t *testing.T, a, b, c string, comma byte) {
		if (Files[values]{format: formatCSV}).Comma(rune(comma)).mistakes != nil || comma < ' ' && comma != '\t' {
			return // Letters and digits may be separators too.
		}
		e, err := newCSVEncoder[values](comma, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := newCSVDecoder[values](comma)
		if err != nil {
			t.Fatal(err)
		}
		v := values{A: a}
		if b != "" { // An empty value is nil.
			v.B = []byte(b)
		}
		if c != "" {
			v.C = &c
		}
		line, err := e.record(e.head(nil), &v)
		if err != nil {
			t.Fatal(err)
		}
		split := splitter{csv: true, comma: comma}
		head, ok := split.next(line, 0, true)
		if !ok {
			t.Fatalf("%q has no header", line)
		}
		if err := setColumns[values](d, string(line[head.start:head.end]), "test"); err != nil {
			t.Fatal(err)
		}
		record, ok := split.next(line, head.next, true)
		if !ok || record.next != len(line) {
			t.Fatalf("%q: the record is %+v, %v", line, record, ok)
		}
		var back values
		if err := d.record(string(line[record.start:record.end]), &back); err != nil || !reflect.DeepEqual(back, v) {
			t.Fatalf("%+v is written as %q and read as %+v, %v", v, line, back, err)
		}
		std := csv.NewReader(bytes.NewReader(line))
		std.Comma = rune(comma)
		all, err := std.ReadAll()
		asStandard := strings.NewReplacer("\r\n", "\n").Replace
		if err != nil || len(all) != 2 || !reflect.DeepEqual(all[1], []string{asStandard(a), asStandard(b), asStandard(c)}) {
			t.Fatalf("%+v is written as %q, which encoding/csv reads as %q, %v", v, line, all, err)
		}
	})
}

// TestPlainTimesAreThoseOfTheStandardLibrary writes and reads the layouts that are done by hand.
func TestPlainTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(firstSecond, lastSecond).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).
			In(time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(t, "zone")))
		for _, layout := range []string{secondsLayout, dayLayout} {
			form := newTimeForm(layout)
			text, err := form.append(nil, at)
			if want := at.UTC().Format(layout); err != nil || string(text) != want {
				t.Fatalf("%v is written as %q, %v; want %q", at, text, err, want)
			}
			got, err := form.parse(string(text))
			if want, wantErr := time.Parse(layout, string(text)); err != nil || wantErr != nil || got != want {
				t.Fatalf("%q is read as %v, %v; want %v, %v", text, got, err, want, wantErr)
			}
		}
	})
}

// FuzzNumbers is TestNumbersAreThoseOfStrconv for numbers that nobody thought of.
func FuzzNumbers(f *testing.F) {
	for _, text := range []string{"0", "-0", "1.5", "9007199254740993", "0.30000000000000004", "123456789012345.6", "1e22", "1e23", "5e-324", "18446744073709551616", "-9223372036854775809", "1_0", "0x1p-2", "inf", "+.5", "1.", "."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compareNumber(t, text) })
}

// TestCodecsDoNotAllocate looks at records without slices, maps and pointers to fill, whose text is there already.
func TestCodecsDoNotAllocate(t *testing.T) {
	type plainRecord struct {
		ID     int64         `json:"id" csv:"id"`
		Text   string        `json:"text" csv:"text"`
		Price  float64       `json:"price" csv:"price"`
		Flag   bool          `json:"flag" csv:"flag"`
		At     time.Time     `json:"at" csv:"at"`
		Small  uint8         `json:"small" csv:"small"`
		Inner  pairOf        `json:"inner" csv:"inner"`
		Wait   time.Duration `json:"wait" csv:"wait,ms"`
		Source netip.Addr    `json:"-" csv:"-"`
	}
	type written struct {
		plainRecord
		Ptr    *float64   `json:"ptr" csv:"ptr"`
		Bytes  []byte     `json:"bytes" csv:"bytes"`
		Addr   netip.Addr `json:"addr" csv:"addr"`
		Labels []string   `json:"labels" csv:"-"`
	}
	price := 0.5
	plain := plainRecord{ID: -12, Text: `with "quotes", and a \ here`, Price: 12.75, At: time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC), Small: 200, Inner: pairOf{1, 2}, Wait: time.Minute}
	full := written{plainRecord: plain, Ptr: &price, Bytes: []byte("bytes"), Addr: netip.MustParseAddr("10.0.0.1"), Labels: []string{"a", "b"}}
	jsonOut, csvOut := encoderOf(newJSONEncoder[written]()), encoderOf(newCSVEncoder[written](',', false, nil))
	buf := make([]byte, 0, 1<<10)
	jsonLine, err := standardLine(plain)
	if err != nil {
		t.Fatal(err)
	}
	csvLine, err := encoderOf(newCSVEncoder[plainRecord](',', false, nil)).record(nil, &plain)
	if err != nil {
		t.Fatal(err)
	}
	jsonIn, err := newJSONDecoder[plainRecord]()
	if err != nil {
		t.Fatal(err)
	}
	csvIn, err := newCSVDecoder[plainRecord](',')
	if err != nil {
		t.Fatal(err)
	}
	if err := setColumns[plainRecord](csvIn, "id,text,price,flag,at,small,inner.A,inner.B,wait", "test"); err != nil {
		t.Fatal(err)
	}
	csvText := strings.TrimSuffix(string(csvLine), "\n")
	var out plainRecord
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"writing JSON", func() error { _, err := jsonOut.record(buf, &full); return err }},
		{"writing CSV", func() error { _, err := csvOut.record(buf, &full); return err }},
		{"reading JSON", func() error { return jsonIn.record(jsonLine, &out) }},
		{"reading CSV", func() error { return csvIn.record(csvText, &out) }},
	} {
		// Texts with escapes share blocks, which are allocated from time to time: one for at least a hundred records.
		const records = 1000
		got := testing.AllocsPerRun(3, func() {
			for range records {
				if err := c.run(); err != nil {
					t.Fatal(err)
				}
			}
		})
		if got > records/100 {
			t.Errorf("%s: %v allocations for %d records", c.name, got, records)
		}
		if strings.HasPrefix(c.name, "reading") && out != plain {
			t.Errorf("%s: got %+v, want %+v", c.name, out, plain)
		}
	}
}

// encoderOf takes the encoder out of an answer.
func encoderOf[E any](e E, err error) E {
	if err != nil {
		panic(err)
	}
	return e
}

// benchBids are the records of bidLines.
func benchBids(b *testing.B) []bid {
	bids := make([]bid, 0, benchRecords)
	for d := json.NewDecoder(bytes.NewReader(bidLines(benchRecords))); ; {
		var v bid
		if err := d.Decode(&v); err == io.EOF {
			return bids
		} else if err != nil {
			b.Fatal(err)
		}
		bids = append(bids, v)
	}
}

func BenchmarkEncodeBids(b *testing.B) {
	bids := benchBids(b)
	b.Run("file", func(b *testing.B) {
		e, err := newJSONEncoder[bid]()
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		perRecord(b, benchRecords, func() int {
			for i := range bids {
				if buf, err = e.record(buf[:0], &bids[i]); err != nil {
					b.Fatal(err)
				}
			}
			return len(bids)
		})
	})
	b.Run("encoding", func(b *testing.B) {
		e := json.NewEncoder(io.Discard)
		e.SetEscapeHTML(false)
		perRecord(b, benchRecords, func() int {
			for i := range bids {
				if err := e.Encode(&bids[i]); err != nil {
					b.Fatal(err)
				}
			}
			return len(bids)
		})
	})
}
