package file_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/connect/file"
)

// malformed is a record with a field of each kind that can be written wrongly.
type malformed struct {
	K string   `json:"k" csv:"k"`
	N int64    `json:"n" csv:"n,optional"`
	F float64  `json:"f" csv:"f,optional"`
	P *float64 `json:"p" csv:"p"`
}

// text shows a record so that what differs can be seen: -0 and 0, bytes that are no UTF-8, nil.
func (m malformed) text() string {
	p := "nil"
	if m.P != nil {
		p = fmt.Sprint(*m.P)
	}
	return fmt.Sprintf("%q %d %v %s", m.K, m.N, m.F, p)
}

// outcome reads a file to its first mistake and gives the records and the message in a line.
func outcome(t *testing.T, f file.Files[malformed], dir string) string {
	t.Helper()
	records, _, err := readAll(f, 100)
	var all []string
	for _, r := range records {
		all = append(all, r.text())
	}
	if err != nil {
		all = append(all, "error: "+strings.ReplaceAll(err.Error(), dir, ""))
	}
	return strings.Join(all, " | ")
}

// TestF35MalformedInput reads what is wrong, or strange, in each way that the list of faults has. What is no record stops with its place and
// the reason; what is one is read to the last bit. JSON is read as the standard library does it: of two values of a name the last
// counts, bytes that are no UTF-8 become U+FFFD, null leaves a field alone.
func TestF35MalformedInput(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for _, c := range []struct{ name, content, want string }{
		{"broken JSON", "{\"k\":\"a\"}\n{\"k\":\n", `"a" 0 0 nil | error: a.jsonl:2:6: column "k": the JSON value ends too early: want a string`},
		{"a bracket too many", `{"k":"a"}}`, `error: a.jsonl:1:10: found '}', want the end of the line after the JSON value`},
		{"no object", `[1]`, `error: a.jsonl:1:1: found '[', want an object`},
		{"wrong type: text for number", `{"n":"1"}`, `error: a.jsonl:1:6: column "n": found '"', want a number`},
		{"wrong type: number for text", `{"k":1}`, `error: a.jsonl:1:6: column "k": found '1', want a string`},
		{"wrong type: fraction for integer", `{"n":1.5}`, `error: a.jsonl:1:6: column "n": the number 1.5 is not written as a whole number, but the field is an integer`},
		{"wrong type: bool", `{"f":true}`, `error: a.jsonl:1:6: column "f": found 't', want a number`},
		{"NaN", `{"f":NaN}`, `error: a.jsonl:1:6: column "f": found 'N', want a number`},
		{"Inf", `{"f":Infinity}`, `error: a.jsonl:1:6: column "f": found 'I', want a number`},
		{"-0", `{"f":-0}`, `"" 0 -0 nil`},
		{"1e400", `{"f":1e400}`, `error: a.jsonl:1:6: column "f": the number 1e400 does not fit into the field`},
		{"1e-400", `{"f":1e-400}`, `"" 0 0 nil`},
		{"integer beyond 2^53", `{"n":9007199254740993}`, `"" 9007199254740993 0 nil`},
		{"integer beyond 2^63", `{"n":9223372036854775808}`, `error: a.jsonl:1:6: column "n": the number 9223372036854775808 does not fit into the field`},
		{"invalid UTF-8", "{\"k\":\"a\xffb\"}", `"a�b" 0 0 nil`},
		{"half of a surrogate pair", `{"k":"\ud800x"}`, `"�x" 0 0 nil`},
		{"NUL in a text", `{"k":"a\u0000b"}`, `"a\x00b" 0 0 nil`},
		{"NUL by itself in a text", "{\"k\":\"a\x00b\"}", `error: a.jsonl:1:8: column "k": control character '\x00' in a string: it must be escaped`},
		{"NUL between", "{\"k\":\"a\"}\x00\n", `error: a.jsonl:1:10: found '\x00', want the end of the line after the JSON value`},
		{"BOM", "\ufeff{\"k\":\"a\"}\n", `"a" 0 0 nil`},
		{"BOM in the middle", "{\"k\":\"a\"}\n\ufeff{\"k\":\"b\"}\n", `"a" 0 0 nil | error: a.jsonl:2:1: found 'ï', want an object`},
		{"CRLF", "{\"k\":\"a\"}\r\n{\"k\":\"b\"}\r\n", `"a" 0 0 nil | "b" 0 0 nil`},
		{"empty lines", "\n{\"k\":\"a\"}\n\n\n{\"k\":\"b\"}\n\n", `"a" 0 0 nil | "b" 0 0 nil`},
		{"last line without newline", "{\"k\":\"a\"}\n{\"k\":\"b\"}", `"a" 0 0 nil | "b" 0 0 nil`},
		{"duplicate keys", `{"k":"a","k":"b"}`, `"b" 0 0 nil`},
		{"duplicate keys of another case", `{"k":"a","K":"b"}`, `"b" 0 0 nil`},
		{"nesting depth 100,000 in an unknown field", `{"k":"a","x":` + deep + `}`, `error: a.jsonl:1:10013: nested deeper than 10000 levels`},
		{"nesting depth 100,000 by itself", deep, `error: a.jsonl:1:1: found '[', want an object`},
		{"null", `{"k":null,"n":null,"f":null,"p":null}`, `"" 0 0 nil`},
		{"null for the record", `null`, `"" 0 0 nil`},
		{"empty object", `{}`, `"" 0 0 nil`},
	} {
		t.Run("JSONL/"+c.name, func(t *testing.T) {
			path := put(t, "a.jsonl", c.content)
			got := outcome(t, file.JSONL[malformed](path), strings.TrimSuffix(path, "a.jsonl"))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	for _, c := range []struct{ name, content, want string }{
		{"wrong type: text for number", "a,x,1,1\n", `error: a.csv:2:3: column "n": "x" is not a whole number (field malformed.N is int64)`},
		{"wrong type: fraction for integer", "a,1.5,1,1\n", `error: a.csv:2:3: column "n": "1.5" is not a whole number (field malformed.N is int64)`},
		{"NaN", "a,1,NaN,\n", `"a" 1 NaN nil`},
		{"Inf", "a,1,-Inf,\n", `"a" 1 -Inf nil`},
		{"-0", "a,1,-0,\n", `"a" 1 -0 nil`},
		{"1e400", "a,1,1e400,\n", `error: a.csv:2:5: column "f": "1e400" does not fit into the field (field malformed.F is float64)`},
		{"1e-400", "a,1,1e-400,\n", `"a" 1 0 nil`},
		{"integer beyond 2^53", "a,9007199254740993,1,\n", `"a" 9007199254740993 1 nil`},
		{"integer beyond 2^63", "a,9223372036854775808,1,\n", `error: a.csv:2:3: column "n": "9223372036854775808" does not fit into the field (field malformed.N is int64)`},
		{"invalid UTF-8", "a\xffb,1,1,\n", `"a\xffb" 1 1 nil`},
		{"NUL", "a\x00b,1,1,\n", `"a\x00b" 1 1 nil`},
		{"BOM in the middle", "\ufeffa,1,1,\n", `"\ufeffa" 1 1 nil`},
		{"CRLF", "a,1,1,\r\nb,2,2,2\r\n", `"a" 1 1 nil | "b" 2 2 2`},
		{"CR alone", "a,1,1,\rb,2,2,2\n", `error: a.csv:2:7: column "p": "\rb" is not a number (field malformed.P is float64)`},
		{"empty lines", "\na,1,1,\n\n\nb,2,2,2\n\n", `"a" 1 1 nil | "b" 2 2 2`},
		{"last line without newline", "a,1,1,\nb,2,2,2", `"a" 1 1 nil | "b" 2 2 2`},
		{"open quote", "\"a,1,1,\n", `error: a.csv:2:1: the quoted value has no closing "`},
		{"quote in a value", "a\"b,1,1,\n", `error: a.csv:2:2: a bare " in a value that is not quoted: quote the value and double the "`},
		{"too few values", "a,1\n", `error: a.csv:2: the record has 2 values, but there are 4 columns (a.csv:1)`},
		{"too many values", "a,1,1,1,1\n", `error: a.csv:2: the record has 5 values, but there are 4 columns (a.csv:1)`},
		{"empty values", ",,,\n", `"" 0 0 nil`},
	} {
		t.Run("CSV/"+c.name, func(t *testing.T) {
			path := put(t, "a.csv", "k,n,f,p\n"+c.content)
			got := outcome(t, file.CSV[malformed](path), strings.TrimSuffix(path, "a.csv"))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// full makes tests use the sizes of the list of faults; make extremes sets it.
var full = flag.Bool("full", false, "use the full sizes of the list of faults")

// TestF36HugeRecords reads records from 1 byte up to the limit of a line, and names the limit where one is longer.
func TestF36HugeRecords(t *testing.T) {
	sizes := []int{1, 1 << 10, 1 << 20, 8 << 20}
	if *full {
		sizes = append(sizes, 100<<20)
	}
	for _, n := range sizes {
		text := strings.Repeat("x", n)
		quoted, err := json.Marshal(map[string]string{"k": text})
		if err != nil {
			t.Fatal(err)
		}
		lines, csv, jsonl := put(t, "a.txt", "a\n"+text+"\nb\n"), put(t, "a.csv", "k,n,f,p\na,1,1,\n"+text+",1,1,\nb,1,1,\n"), put(t, "a.jsonl", "{}\n"+string(quoted)+"\n{}\n")
		limit := n + 100
		got, _, err := readAll(file.Lines(lines).MaxLine(limit), 2)
		if err != nil || len(got) != 3 || got[1] != text || got[2] != "b" {
			t.Errorf("a line of %d bytes: %d records, %v", n, len(got), err)
		}
		for name, f := range map[string]file.Files[malformed]{"CSV": file.CSV[malformed](csv), "JSONL": file.JSONL[malformed](jsonl)} {
			got, _, err := readAll(f.MaxLine(limit), 2)
			if err != nil || len(got) != 3 || got[1].K != text || got[2].K == text {
				t.Errorf("%s: a value of %d bytes: %d records, %v", name, n, len(got), err)
			}
			if n < 1<<10 {
				continue
			}
			got, _, err = readAll(f.MaxLine(n-1), 2)
			mention(t, err, fmt.Sprintf("the record is longer than %d bytes: raise the limit with MaxLine", n-1))
			if len(got) != 1 {
				t.Errorf("%s: %d records are read before the one that is too long, want 1", name, len(got))
			}
		}
	}
}
