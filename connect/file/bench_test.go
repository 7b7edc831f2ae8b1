package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/connect"
)

type flight struct {
	ID       int64  `csv:"id"`
	TS       int64  `csv:"ts_ms"`
	Delay    int32  `csv:"delay_min"`
	Distance int32  `csv:"distance_mi"`
	Origin   string `csv:"origin"`
	Dest     string `csv:"destination"`
}

type bid struct {
	Auction  uint64 `json:"auction"`
	Bidder   uint64 `json:"bidder"`
	Price    uint64 `json:"price"`
	Channel  string `json:"channel"`
	URL      string `json:"url"`
	DateTime int64  `json:"date_time"`
	Extra    string `json:"extra"`
}

// data returns the path of a file of real data and skips where it is absent.
func data(tb testing.TB, name string) string {
	path := filepath.Join("..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("no real data here: %v", err)
	}
	return path
}

func TestRealFiles(t *testing.T) {
	type retail struct {
		InvoiceNo, StockCode, Description string
		Quantity                          int
		InvoiceDate                       string
		UnitPrice                         float64
		CustomerID                        *float64
		Country                           string
	}
	type quake struct {
		ID    string
		Time  int64
		Mag   *float64
		Place string
	}
	flights := readReal[flight](t, CSV[flight](data(t, "flights_2001_01.csv.gz")), 508_239)
	if f := flights[1]; f != (flight{4, 978307260000, -13, 2345, "ANC", "LAX"}) {
		t.Errorf("second flight: %+v", f)
	}
	cancelled, nobody, negative := 0, 0, 0
	for _, r := range readReal[retail](t, CSV[retail](data(t, "retail_2010-12_2011-08.csv.gz")), 320_705) {
		if strings.HasPrefix(r.InvoiceNo, "C") {
			cancelled++
		}
		if r.CustomerID == nil {
			nobody++
		}
		if r.Quantity < 0 {
			negative++
		}
	}
	if cancelled != 5847 || nobody != 88_652 || negative != 6772 {
		t.Errorf("retail: %d cancelled, %d without customer, %d negative", cancelled, nobody, negative)
	}
	readReal[quake](t, JSONL[quake](data(t, "quakes_week.jsonl.gz")), 1707)
	readReal[string](t, Lines(data(t, "apache_access.log.gz")), 10_000)
}

func readReal[T any](tb testing.TB, f Files[T], want int) []T {
	tb.Helper()
	splits, err := f.Splits(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	all, err := readSplit(f, splits[0].ID, make([]T, want+1))
	if err != nil || all != want {
		tb.Fatalf("%s: %d records, %v; want %d", f.path, all, err, want)
	}
	out := make([]T, want+1)
	if _, err := readSplit(f, splits[0].ID, out); err != nil {
		tb.Fatal(err)
	}
	return out[:want]
}

// readSplit reads a split into records, in batches of 512, and returns how many there were.
func readSplit[T any](f Files[T], id string, records []T) (int, error) {
	r, err := f.Open(context.Background(), connect.Split{ID: id}, nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for at := 0; ; {
		n, err := r.Read(context.Background(), records[at:min(at+512, len(records))])
		at += n
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil || n == 0 {
			return at, err
		}
	}
}

// flightLines returns n lines of real or, failing that, similar flights below a header.
func flightLines(b *testing.B, n int) []byte {
	f, err := os.Open(data(b, "flights_2001_01.csv.gz"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	for s := bufio.NewScanner(z); n >= 0 && s.Scan(); n-- {
		out.Write(s.Bytes())
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func bidLines(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, `{"auction":%d,"bidder":%d,"price":%d,"channel":"channel-%d","url":"https://www.nexmark.com/abcde/fgh/item.htm?query=1&channel_id=%d","date_time":%d,"extra":"%s"}`+"\n",
			1000+i%977, 2000+i%7919, 100+i%10007, i%8192, i%8192, 1436918400000+i, "lorem ipsum dolor sit amet cons"[:20+i%10])
	}
	return out.Bytes()
}

const benchRecords = 100_000

// perRecord reports the time and the allocations of one record.
func perRecord(b *testing.B, n int, run func() int) {
	b.ReportAllocs()
	for b.Loop() {
		if got := run(); got != n {
			b.Fatalf("%d records, want %d", got, n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}

func benchFile[T any](b *testing.B, make func(string) Files[T], content []byte) {
	path := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	f := make(path)
	batch := [512]T{}
	perRecord(b, benchRecords, func() int {
		r, err := f.Open(context.Background(), connect.Split{ID: "f"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		for all := 0; ; {
			n, err := r.Read(context.Background(), batch[:])
			all += n
			if err != nil {
				return all
			}
		}
	})
}

func BenchmarkReadFlights(b *testing.B) {
	content := flightLines(b, benchRecords)
	b.Run("file", func(b *testing.B) { benchFile(b, CSV[flight], content) })
	b.Run("encoding", func(b *testing.B) {
		perRecord(b, benchRecords, func() int {
			r := csv.NewReader(bytes.NewReader(content))
			r.ReuseRecord = true
			var f flight
			n := -1
			for {
				v, err := r.Read()
				if err != nil {
					return n
				}
				n++
				f.ID, _ = strconv.ParseInt(v[0], 10, 64)
				f.TS, _ = strconv.ParseInt(v[1], 10, 64)
				d, _ := strconv.ParseInt(v[2], 10, 32)
				m, _ := strconv.ParseInt(v[3], 10, 32)
				f.Delay, f.Distance, f.Origin, f.Dest = int32(d), int32(m), v[4], v[5]
			}
		})
	})
	b.Run("hand", func(b *testing.B) {
		perRecord(b, benchRecords, func() int {
			n := -1
			var f flight
			for rest := content; len(rest) > 0; n++ {
				end := bytes.IndexByte(rest, '\n')
				line := rest[:end]
				rest = rest[end+1:]
				var v [6][]byte
				for i := range 5 {
					at := bytes.IndexByte(line, ',')
					v[i], line = line[:at], line[at+1:]
				}
				f.ID, _ = strconv.ParseInt(string(v[0]), 10, 64)
				f.TS, _ = strconv.ParseInt(string(v[1]), 10, 64)
				d, _ := strconv.ParseInt(string(v[2]), 10, 32)
				m, _ := strconv.ParseInt(string(v[3]), 10, 32)
				f.Delay, f.Distance, f.Origin, f.Dest = int32(d), int32(m), string(v[4]), string(line)
			}
			_ = f
			return n
		})
	})
}

func BenchmarkReadBids(b *testing.B) {
	content := bidLines(benchRecords)
	b.Run("file", func(b *testing.B) { benchFile(b, JSONL[bid], content) })
	b.Run("encoding", func(b *testing.B) {
		perRecord(b, benchRecords, func() int {
			n := 0
			for rest := content; len(rest) > 0; n++ {
				end := bytes.IndexByte(rest, '\n')
				var v bid
				if err := json.Unmarshal(rest[:end], &v); err != nil {
					b.Fatal(err)
				}
				rest = rest[end+1:]
			}
			return n
		})
	})
}
