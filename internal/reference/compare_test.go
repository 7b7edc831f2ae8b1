package reference

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func readText(t *testing.T, text string) (table, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readTable(path)
}

func TestCompareFindsEachKindOfDifference(t *testing.T) {
	want, err := readText(t, "origin,window_start,window_end,n,avg_delay\nABE,0,10,3,0.333333333\nABE,10,20,1,-9\nATL,0,10,0,0\n")
	if err != nil {
		t.Fatal(err)
	}
	good := []Row{{"ATL", "0", "10", "0", "0"}, {"ABE", "0", "10", "3", "0.33333333333333331"}, {"ABE", "10", "20", "1", "-9"}}
	if err := want.compare(good); err != nil {
		t.Errorf("equal rows in another order: %v", err)
	}
	for _, tc := range []struct {
		name   string
		change func(rows []Row) []Row
		says   string
	}{
		{"nothing", func([]Row) []Row { return nil }, "3 of 3 rows differ (got 0): row [ABE 0 10 3 0.333333333] is missing"},
		{"missing", func(r []Row) []Row { return r[1:] }, "row [ATL 0 10 0 0] is missing"},
		{"twice", func(r []Row) []Row { return append(r, r[1]) }, "comes again"},
		{"more", func(r []Row) []Row { return append(r, Row{"ATL", "10", "20", "1", "1"}) }, "is not in the reference"},
		{"integer", func(r []Row) []Row { r[1] = Row{"ABE", "0", "10", "4", "0.333333333"}; return r }, "column n of ABE,0,10"},
		{"integer as float", func(r []Row) []Row { r[1] = Row{"ABE", "0", "10", "3.0", "0.333333333"}; return r }, "column n of"},
		{"float", func(r []Row) []Row { r[1] = Row{"ABE", "0", "10", "3", "0.33333334"}; return r }, "column avg_delay of ABE,0,10"},
		{"no number", func(r []Row) []Row { r[1] = Row{"ABE", "0", "10", "3", "NaN"}; return r }, "column avg_delay of"},
		{"short", func(r []Row) []Row { r[1] = r[1][:4]; return r }, "has 4 columns, not 5"},
	} {
		err := want.compare(tc.change(slices.Clone(good)))
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want a mismatch with %q", tc.name, err, tc.says)
		}
	}
}

func TestReadTableFindsTheKey(t *testing.T) {
	for header, key := range map[string]int{
		"ip,session_start,session_end,n": 3, "window_start,window_end,rnk,item": 3, "window_start,window_end,kept,dropped_late": 2,
	} {
		got, err := readText(t, header+"\na,b,c,d\n")
		if err != nil || got.key != key {
			t.Errorf("%s: key is %d columns, want %d; error %v", header, got.key, key, err)
		}
	}
	for _, bad := range []string{"", "window_start,window_end,n\n", "a,b\n1,2\n"} {
		if _, err := readText(t, bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestDroppedRowsJoinThoseInTime(t *testing.T) {
	got := withDropped([]Row{{"0", "10", "5", "50"}, {"10", "20", "6", "60"}}, []Row{{"0", "10"}, {"20", "30"}, {"0", "10"}})
	want := []Row{{"0", "10", "5", "2", "50"}, {"10", "20", "6", "0", "60"}, {"20", "30", "0", "1", "0"}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMilli(t *testing.T) {
	for text, want := range map[string]milli{
		"2.55": 2550, "0": 0, "-11062.06": -11062060, "0.001": 1, "13541.33": 13541330, "-0.5": -500, "7.": 7000,
	} {
		var m milli
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%s: got %d, want %d; error %v", text, m, want, err)
		}
		var again milli
		out, _ := m.MarshalText()
		if err := again.UnmarshalText(out); err != nil || again != m {
			t.Errorf("%s: written as %s, read again as %d; error %v", text, out, again, err)
		}
	}
	for _, bad := range []string{"", "-", "1.2345", "1e3", "--1", "1.-2", "99999999999999999999"} {
		var m milli
		if err := m.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q: read as %d, want an error", bad, m)
		}
	}
}

func TestParseRequest(t *testing.T) {
	got, err := parseRequest(`83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 304 - "-" "x \"y`)
	if err != nil {
		t.Fatal(err)
	}
	if want := "2015-05-17T10:05:03Z"; got.IP != "83.149.9.216" || got.Path != "/a?b=c" || got.Status != 304 || got.Bytes != 0 ||
		got.Time.Format("2006-01-02T15:04:05Z07:00") != want {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"", `1 - - [x] "GET / HTTP/1.1" x 1`, `1 - - [x] "GET / HTTP/1.1" 200 x`, `1 - - [x] "GET /" 200 1`, `1 - - [x] "GET / HTTP/1.1`} {
		if r, err := parseRequest(bad); err == nil {
			t.Errorf("%q: read as %+v, want an error", bad, r)
		}
	}
}
