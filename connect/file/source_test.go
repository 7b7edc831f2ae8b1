package file_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
)

type ride struct {
	ID     int64     `csv:"id" json:"id"`
	Base   string    `csv:"base" json:"base"`
	Fare   float64   `csv:"fare" json:"fare"`
	Picked time.Time `csv:"picked,2006-01-02 15:04:05" json:"picked"`
	Tip    *float64  `csv:"tip" json:"tip"`
	Note   string    `csv:"-" json:"-"`
}

// put writes a file below a new directory and returns its path.
func put(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// drain reads to the end or the first error that stays, in batches of n.
func drain[T any](r connect.Reader[T], n int) (all []T, where []string, err error) {
	batch := make([]T, n)
	for {
		got, err := r.Read(context.Background(), batch)
		for i := range got {
			all = append(all, batch[i])
			where = append(where, r.Where(i))
		}
		if errors.Is(err, io.EOF) {
			return all, where, nil
		}
		if err != nil || got == 0 {
			return all, where, err
		}
	}
}

// readAll lists the splits and reads them all.
func readAll[T any](f file.Files[T], n int) (all []T, where []string, err error) {
	ctx := context.Background()
	splits, err := f.Splits(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range splits {
		r, err := f.Open(ctx, s, nil)
		if err != nil {
			return all, where, err
		}
		recs, places, err := drain(r, n)
		all, where = append(all, recs...), append(where, places...)
		if err := errors.Join(err, r.Close()); err != nil {
			return all, where, err
		}
	}
	return all, where, nil
}

const header = "id,base,fare,picked,tip\n"

func TestCSVReadsEveryKindOfField(t *testing.T) {
	path := put(t, "rides.csv", "\ufeffBASE,extra,id,fare,picked,tip\r\n"+
		"\"a \"\"b\"\", c\",x,1,2.5,2024-02-29 23:59:59,\r\n\r\n"+
		"\"two\nlines\",,-9223372036854775808,NaN,0001-01-01 00:00:00,0.25")
	got, where, err := readAll(file.CSV[ride](path), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("read %d records: %+v", len(got), got)
	}
	if r := got[0]; r.Base != `a "b", c` || r.ID != 1 || r.Fare != 2.5 || r.Tip != nil || !r.Picked.Equal(time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("first record: %+v", r)
	}
	if r := got[1]; r.Base != "two\nlines" || r.ID != math.MinInt64 || !math.IsNaN(r.Fare) || r.Tip == nil || *r.Tip != 0.25 {
		t.Errorf("second record: %+v", r)
	}
	if !strings.HasSuffix(where[0], "rides.csv:2") || !strings.HasSuffix(where[1], "rides.csv:4") {
		t.Errorf("places: %v", where)
	}
}

func TestCSVErrorsSayWhereAndWhat(t *testing.T) {
	ok := "1,a,1,2024-01-01 00:00:00,\n"
	long := strings.Repeat("x", 1<<20+10)
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"missing column":  {"id,base,fare,tip\n", []string{"bad.csv:1", `no column "picked"`, "ride.Picked", "id, base, fare, tip"}},
		"column twice":    {"id,base,fare,picked,tip,id\n", []string{`"id"`, "twice"}},
		"bad number":      {header + ok + "1x,a,1,2024-01-01 00:00:00,\n", []string{"bad.csv:3", `column "id"`, `"1x" is not a whole number`}},
		"empty number":    {header + ",a,1,2024-01-01 00:00:00,\n", []string{"bad.csv:2", `column "id"`, "empty", "optional"}},
		"too big":         {header + "9223372036854775808,a,1,2024-01-01 00:00:00,\n", []string{"bad.csv:2", "does not fit"}},
		"float too big":   {header + "1,a,1e400,2024-01-01 00:00:00,\n", []string{"bad.csv:2", `column "fare"`, "does not fit"}},
		"bad time":        {header + "1,a,1,2024-02-30 00:00:00,\n", []string{"bad.csv:2", `column "picked"`, "out of range"}},
		"empty time":      {header + "1,a,1,,\n", []string{"bad.csv:2", `column "picked"`, "empty"}},
		"too few":         {header + ok + "1,a,1\n", []string{"bad.csv:3", "3 values", "5 columns"}},
		"too many":        {header + "1,a,1,2024-01-01 00:00:00,,,7\n", []string{"bad.csv:2", "7 values", "5 columns"}},
		"too many quoted": {header + "1,\"a\",1,2024-01-01 00:00:00,,,7\n", []string{"bad.csv:2", "7 values"}},
		"bare quote":      {header + ok + "1,a\"b,1,2024-01-01 00:00:00,\n", []string{"bad.csv:3:4:", "bare"}},
		"after quote":     {header + "1,\"x\ny\"b,1,2024-01-01 00:00:00,\n", []string{"bad.csv:3:3:", `'b' after the closing`}},
		"open quote":      {header + ok + "1,\"ab,1,2024-01-01 00:00:00,\n" + ok, []string{"bad.csv:3:3:", `no closing "`}},
		"open quote long": {header + "1,\"ab,1,2024-01-01 00:00:00,\n" + strings.Repeat(ok, 50_000), []string{"bad.csv:2:", "MaxLine", "quote"}},
		"long line":       {header + ok + "1," + long + ",1,2024-01-01 00:00:00,\n", []string{"bad.csv:3", "longer than 1048576 bytes", "MaxLine"}},
		"UTF-16":          {"\xff\xfei\x00d\x00", []string{"bad.csv", "UTF-16"}},
		"nothing quoted":  {"\"id\n", []string{"header", "closing"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(file.CSV[ride](put(t, "bad.csv", c.content)), 100)
			mention(t, err, c.want...)
		})
	}
}

// mention fails unless the error has all the words.
func mention(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not mention %q", err, w)
		}
	}
}

func TestReadGoesOnAfterBadRecord(t *testing.T) {
	f := file.CSV[ride](put(t, "a.csv", header+"1,a,1,2024-01-01 00:00:00,\nx,a,1,2024-01-01 00:00:00,\n3,a,1,2024-01-01 00:00:00,\n"))
	r, err := f.Open(context.Background(), connect.Split{ID: "a.csv"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch := make([]ride, 10)
	if n, err := r.Read(context.Background(), batch); n != 1 || err != nil {
		t.Fatalf("first read: %d, %v", n, err)
	}
	again, err := f.Open(context.Background(), connect.Split{ID: "a.csv"}, r.Position())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n, err := again.Read(context.Background(), batch); n != 0 || err == nil {
		t.Fatalf("a reader that goes on from there misses the bad record: %d, %v", n, err)
	}
	var bad *connect.RecordError
	if n, err := r.Read(context.Background(), batch); n != 0 || !errors.As(err, &bad) || bad.Column != "id" ||
		string(bad.Raw) != "x,a,1,2024-01-01 00:00:00," {
		t.Fatalf("second read: %d, %v", n, err)
	}
	if n, err := r.Read(context.Background(), batch); n != 1 || err != nil || batch[0].ID != 3 {
		t.Fatalf("third read: %d, %v, %+v", n, err, batch[0])
	}
}

func TestEmptyFilesHaveNoRecords(t *testing.T) {
	for name, content := range map[string]string{"nothing": "", "header": header, "header without line end": strings.TrimSpace(header), "blank": "\n\r\n\n"} {
		got, _, err := readAll(file.CSV[ride](put(t, "e.csv", content)), 3)
		if err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, _, err := readAll(file.JSONL[ride](put(t, "e.jsonl", "\n \t\r\n")), 3); err != nil || len(got) != 0 {
		t.Errorf("JSON lines: %v, %v", got, err)
	}
	if got, _, err := readAll(file.Lines(put(t, "e.txt", "\n")), 3); err != nil || !slices.Equal(got, []string{""}) {
		t.Errorf("lines: %q, %v", got, err)
	}
}

func TestLongLinesAreReadWhenAllowed(t *testing.T) {
	long := strings.Repeat("y", 10<<20)
	path := put(t, "l.txt", "a\n"+long+"\r\nb")
	if _, _, err := readAll(file.Lines(path), 3); err == nil || !strings.Contains(err.Error(), "l.txt:2") {
		t.Errorf("without MaxLine: %v", err)
	}
	got, _, err := readAll(file.Lines(path).MaxLine(10<<20), 3)
	if err != nil || len(got) != 3 || got[1] != long || got[2] != "b" {
		t.Errorf("with MaxLine: %d records, %v", len(got), err)
	}
}

func TestPathsThatLeadNowhere(t *testing.T) {
	dir := t.TempDir()
	_, err := file.Lines(filepath.Join(dir, "sub", "x.txt")).Splits(context.Background())
	mention(t, err, "x.txt does not exist", dir+" exists and has 0 entries")
	_, err = file.Lines(filepath.Join(dir, "*.txt")).Splits(context.Background())
	mention(t, err, "no file matches", dir+" exists")
	_, err = file.Lines(filepath.Join(dir, "sub", "*.txt")).Splits(context.Background())
	mention(t, err, "sub", dir+" exists")
	_, err = file.Lines(filepath.Join(dir, "[")).Splits(context.Background())
	mention(t, err, "syntax error in pattern")
	_, err = file.Lines("").Splits(context.Background())
	mention(t, err, "the path is empty")
	if got, err := file.Lines(filepath.Join(dir, "*.txt")).Follow(time.Second).Splits(context.Background()); err != nil || len(got) != 0 {
		t.Errorf("followed pattern without files: %v, %v", got, err)
	}
	_, err = file.Lines(dir).Open(context.Background(), connect.Split{ID: "../x"}, nil)
	mention(t, err, "is not the id of a split")
}

func TestUnreadableDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(dir); err == nil {
		t.Skip("this user may read every directory")
	}
	for _, path := range []string{dir, filepath.Join(dir, "*.csv")} {
		_, err := file.Lines(path).Splits(context.Background())
		mention(t, err, "closed", "permission denied")
	}
}

func TestSplitsAreNamedBelowTheFixedPart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b/2.txt", "a/1.txt", "a/.hidden.txt", "a/_skip.txt", "a/deep/3.txt", "top.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string][]string{
		"*/*.txt": {"a/1.txt", "b/2.txt"}, "a": {"1.txt"}, "top.txt": {"top.txt"}, "?": {"a/1.txt", "b/2.txt"}, "a/[0-9].txt": {"1.txt"},
		"a/_*": {"_skip.txt"},
	} {
		splits, err := file.Lines(filepath.Join(dir, pattern)).Splits(context.Background())
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		var ids []string
		for _, s := range splits {
			ids = append(ids, s.ID)
			r, err := file.Lines(filepath.Join(dir, pattern)).Open(context.Background(), s, nil)
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
				continue
			}
			r.Close()
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: splits %q, want %q", pattern, ids, want)
		}
	}
}

func TestCheckNamesMistakes(t *testing.T) {
	type inner struct{ C chan int }
	mention(t, file.CSV[inner]("x").Check(), "inner.C", "chan int")
	mention(t, file.JSONL[inner]("x").Check(), "C", "chan int")
	mention(t, file.CSV[int]("x").Check(), "must be a struct")
	type layout struct {
		N int `csv:"n,2006"`
	}
	mention(t, file.CSV[layout]("x").Check(), "layout.N", "2006")
	type wait struct {
		D time.Duration `csv:"d,minutes"`
	}
	mention(t, file.CSV[wait]("x").Check(), `field wait.D: unknown csv tag option "minutes": a time.Duration is a number of ns, us, ms or s, or text as in 1h2m3.5s`)
	type twice struct {
		A int `csv:"x"`
		B int `csv:"x"`
	}
	mention(t, file.CSV[twice]("x").Check(), "twice.A", "twice.B")
	mention(t, file.Lines("x").Comma(';').NoHeader().Follow(0).MaxLine(0).RollBytes(-1).Check(), "Comma", "NoHeader", "Follow", "MaxLine", "RollBytes")
	if err := file.CSV[ride]("x").Check(); err != nil {
		t.Error(err)
	}
}

// TestDurations reads and writes durations in each form, with what none of them holds.
func TestDurations(t *testing.T) {
	type rec struct {
		Plain time.Duration  `csv:"ns"`
		Brief time.Duration  `csv:"us,us"`
		Short time.Duration  `csv:"ms,ms"`
		Whole *time.Duration `csv:"s,s"`
		Text  time.Duration  `csv:"text,text,optional"`
	}
	const head = "ns,us,ms,s,text\n"
	path := put(t, "d.csv", head+"1,-2,3,4,-1h0m0.5s\n0,0,9223372036854,,\n")
	got, _, err := readAll(file.CSV[rec](path), 10)
	four := 4 * time.Second
	want := []rec{
		{1, -2 * time.Microsecond, 3 * time.Millisecond, &four, -time.Hour - time.Second/2},
		{Short: 9223372036854 * time.Millisecond},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for line, message := range map[string]string{
		"1,2,9223372036855,4,1s":  `d.csv:2:5: column "ms": 9223372036855 is out of range: a duration is at most 292 years: is the unit right?`,
		"1,2,-9223372036855,4,1s": `d.csv:2:5: column "ms": -9223372036855 is out of range: a duration is at most 292 years: is the unit right?`,
		"1,2,3,1.5,1s":            `d.csv:2:7: column "s": "1.5" is not a whole number`,
		"1,2,3,4,5":               `d.csv:2:9: column "text": "5" is not a duration such as 1h2m3.5s`,
		"1,,3,4,5":                "d.csv:2:3: column \"us\": the value is empty: if that is right, tag the field `csv:\"us,optional\"` or make it a pointer",
		"\"1\",\"2\",3,\"x\n\",5": `d.csv:2:11: column "s": "x\n" is not a whole number`,
	} {
		_, _, err := readAll(file.CSV[rec](put(t, "d.csv", head+line+"\n")), 10)
		mention(t, err, message)
	}
	w, err := file.CSV[rec](t.TempDir()).OpenWriter(t.Context(), connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	mention(t, w.Write(t.Context(), []rec{{Brief: 1500}}), `column "us": 1.5µs is not a whole number of 1µs`)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoHeaderAndComma(t *testing.T) {
	type rec struct {
		A, B int
		When time.Time `csv:"when,unixms"`
	}
	got, _, err := readAll(file.CSV[rec](put(t, "x", "5;ignored;6;-1\n")).Comma(';').NoHeader("b", "other", "A", "when"), 5)
	if err != nil || len(got) != 1 || got[0].A != 6 || got[0].B != 5 || got[0].When.UnixMilli() != -1 {
		t.Errorf("%+v, %v", got, err)
	}
	_, _, err = readAll(file.CSV[rec](put(t, "x", "")).NoHeader("a", "b"), 5)
	mention(t, err, `"when"`, "NoHeader")
	_, _, err = readAll(file.CSV[rec](put(t, "x", "a,b,when\n1,2,9223372036854775807\n")), 5)
	mention(t, err, "x:2", `"when"`, "time out of range")
}
