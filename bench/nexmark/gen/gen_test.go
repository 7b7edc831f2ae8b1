package gen

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/connect"
)

// digests are those of the specification, which two other programs have reproduced: sha256 of the first N lines at 1,000 events per
// second and seed 1.
var digests = map[int64][]struct {
	events int
	digest string
}{
	1: {
		{1, "4deeab40fbd403dca4f09ae0dc9cf42d9eb1ef6e440b575f8f84cd0816c4b4b8"},
		{50, "3f31c9cde3fe5db582eded2372c5a626dcb25b4b26926a691660f0632764831a"},
		{1_000, "84bcc802fbf6c9878e31bfbeecd2c26e2dde648f4486dbf7fa82e7f0bab56afd"},
		{10_000, "f4fc5c9151b07f442fc72de5f8f1400a9130c8e4299e2572470a77a557af5ad4"},
		{100_000, "4e851e51a8e5792e5da1502c97680d84860b57c802e6abe6cc426c0a4216e61e"},
	},
	1000: {
		{1, "4deeab40fbd403dca4f09ae0dc9cf42d9eb1ef6e440b575f8f84cd0816c4b4b8"},
		{50, "c02d8dc6a559a29216320f36f99dea561ed287406e3da245d731ebfe10b86c0a"},
		{1_000, "e3f031fbdb260cbd0b604cdde369e7718dd0f596ccf92e4853858e88fabfc781"},
		{10_000, "4584890978b9a0ba2a4aa32b2c37d280ead327bc960b20deb6662d05d25083c2"},
		{100_000, "93367d80f363f71b0e69d47f23e8594937ba59c82e24cd6ed8fdab8aa0752931"},
	},
}

func generator(t testing.TB, c Config) *Generator {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// all returns all events.
func all(g *Generator) []Event {
	events := make([]Event, g.Events)
	g.Fill(events, 0, 1)
	return events
}

func TestEventsAreThoseOfTheSpecification(t *testing.T) {
	for group, want := range digests {
		g := generator(t, Config{Events: 100_000, Rate: 1000, Group: group})
		events, sum, n := all(g), sha256.New(), 0
		var line []byte
		for _, w := range want {
			for ; n < w.events; n++ {
				line = events[n].AppendLine(line[:0])
				sum.Write(line)
			}
			if got := hex.EncodeToString(sum.Sum(nil)); got != w.digest {
				t.Fatalf("groups of %d: the first %d events have the digest %s, want %s; the last one is\n%s", group, w.events, got, w.digest, line)
			}
		}
	}
	g := generator(t, Config{Events: 5, Rate: 1000})
	e := all(g)[4]
	e.Bid.Extra = ""
	const want = "B|1009|1009|11314608|channel-7431|https://www.nexmark.com/mglb/cra_/wbe_/item.htm?query=1&channel_id=524812288|1436918400004|\n"
	if got := string(e.AppendLine(nil)); got != want {
		t.Errorf("event 4 is\n%swant\n%s", got, want)
	}
}

// TestSplitsAreTheWhole reads splits of all kinds, in pieces and with readers that go on where others have stopped, and compares what they bring with all events in a row.
// It also holds each event against the watermarks that were told before.
func TestSplitsAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Events: rapid.Int64Range(0, 3000).Draw(t, "events"), Rate: rapid.SampledFrom([]int64{1, 7, 1000, 10_000, 3_000_000}).Draw(t, "rate"),
			Seed: rapid.Uint64().Draw(t, "seed"), Group: rapid.SampledFrom([]int64{1, 2, 10, 999, 1000}).Draw(t, "group"),
		}
		g, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Splits: rapid.IntRange(0, 7).Draw(t, "splits"), Ranges: rapid.Bool().Draw(t, "ranges")}
		all := all(g)
		src := g.Source(o)
		if rapid.Bool().Draw(t, "tape") {
			src = g.Record().Source(o)
		}
		splits, err := src.Splits(context.Background())
		if err != nil || len(splits) != max(o.Splits, 1) {
			t.Fatalf("%d splits, %v", len(splits), err)
		}
		var got []Event
		for _, s := range splits {
			got = append(got, readSplit(t, src, s)...)
		}
		byID := func(a, b Event) int { return int(a.ID - b.ID) }
		slices.SortFunc(got, byID)
		slices.SortFunc(all, byID)
		if !reflect.DeepEqual(got, all) && len(got)+len(all) > 0 {
			t.Fatalf("the splits bring %d events that are not the %d of the whole", len(got), len(all))
		}
	})
}

// readSplit reads a split in pieces and opens it again now and then.
func readSplit(t *rapid.T, src connect.Source[Event], s connect.Split) (out []Event) {
	var position []byte
	buf := make([]Event, 700)
	wm := int64(math.MinInt64)
	for {
		r, err := src.Open(context.Background(), s, position)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "reads") {
			n, err := r.Read(context.Background(), buf[:rapid.IntRange(1, len(buf)).Draw(t, "most")])
			for i := range buf[:n] {
				if buf[i].Nanos() <= wm {
					t.Fatalf("%s: event %d of time %d is late behind the watermark %d", r.Where(i), buf[i].ID, buf[i].Nanos(), wm)
				}
			}
			out = append(out, buf[:n]...)
			if errors.Is(err, io.EOF) {
				return out
			}
			if err != nil {
				t.Fatal(err)
			}
			next, idle := r.(connect.Watermarks).Watermark()
			if next < wm || idle {
				t.Fatalf("the watermark goes from %d to %d, idle %v", wm, next, idle)
			}
			wm = next
		}
		position = r.Position()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatermarkIsExact: behind the events of a group the watermark is just before the first of the next, and not further back.
func TestWatermarkIsExact(t *testing.T) {
	g := generator(t, Config{Events: 3000, Rate: 1000, Group: 1000})
	for position, want := range map[int64]int64{0: Base, 999: Base, 1000: Base + 1000, 1500: Base + 1000, 2000: Base + 2000} {
		if got := g.Watermark(position); got != want*1e6-1 {
			t.Errorf("in front of position %d the watermark is %d, want %d", position, got, want*1e6-1)
		}
	}
	src := g.Source(Options{NoWatermarks: true})
	r, err := src.Open(t.Context(), connect.Split{ID: "events-000000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.(connect.Watermarks); ok {
		t.Error("the reader dictates watermarks although it should not")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	_, err := New(Config{Events: -1, Rate: -1, Group: 1906})
	const want = "nexmark: Events is -1: it must be from 0 to 9e12\n" +
		"nexmark: Rate is -1: it must be from 1 to 1e9 events per second\n" +
		"nexmark: Group is 1906: it must not be a multiple of 953, or some events would come twice and others never"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := New(Config{Group: -2}); err == nil || err.Error() != "nexmark: Group is -2: it must be from 1 to 2^40" {
		t.Error(err)
	}
	g := generator(t, Config{Events: 10})
	if err := g.Source(Options{Splits: -1}).(connect.Checker).Check(); err == nil || err.Error() != "nexmark: Splits is -1: it must not be negative" {
		t.Error(err)
	}
	src := g.Source(Options{Splits: 2})
	for _, c := range []struct {
		split    string
		position []byte
		want     string
	}{
		{"slice-000000", nil, `nexmark: there is no split "slice-000000", only 2`},
		{"events-000002", nil, `nexmark: there is no split "events-000002", only 2`},
		{"events-000001", []byte{6}, errPosition.Error()},
		{"events-000001", []byte{0x80}, errPosition.Error()},
		{"events-000001", []byte{1, 1}, errPosition.Error()},
	} {
		if _, err := src.Open(t.Context(), connect.Split{ID: c.split}, c.position); err == nil || err.Error() != c.want {
			t.Errorf("%s at %x: %v, want %s", c.split, c.position, err, c.want)
		}
	}
}

// TestFewAllocations: the strings of a batch are one allocation, its persons one or two, its auctions as many.
func TestFewAllocations(t *testing.T) {
	g := generator(t, Config{Events: 1 << 40})
	events := make([]Event, 1000)
	from := int64(0)
	perBatch := testing.AllocsPerRun(20, func() {
		g.Fill(events, from, 1)
		from += 1000
	})
	if perBatch > 6 {
		t.Errorf("%v allocations for a batch of %d events", perBatch, len(events))
	}
}

func BenchmarkFill(b *testing.B) {
	g := generator(b, Config{Events: 1 << 40})
	events := make([]Event, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.Fill(events, int64(i)*1000, 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/event")
	fmt.Fprint(io.Discard, events[0].ID)
}
