package bench

import (
	"bytes"
	"context"
	"encoding/json"
	jsonv2 "encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	goccy "github.com/goccy/go-json"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// jsonBid is a bid of an auction, of about 200 bytes as JSON.
type jsonBid struct {
	Auction  uint64 `json:"auction"`
	Bidder   uint64 `json:"bidder"`
	Price    uint64 `json:"price"`
	Channel  string `json:"channel"`
	URL      string `json:"url"`
	DateTime int64  `json:"date_time"` // ms since 1970
	Extra    string `json:"extra"`
}

// makeBids returns n bids for 10,000 auctions, one each 10 us of event time, as JSON lines, with the checksum of the bids and what windows give.
func makeBids(n int) (text []byte, sum bidSum, windows tally) {
	var out bytes.Buffer
	w := bidWindows{open: newHandTable()}
	for i := range n {
		channel := spread(uint64(i)) % 8192
		b := jsonBid{
			Auction: 1000 + spread(uint64(i))%10_000, Bidder: 2000 + uint64(i)%7919, Price: 100 + uint64(i)%10_007,
			Channel: fmt.Sprintf("channel-%d", channel), URL: fmt.Sprintf("https://www.nexmark.com/abcde/fgh/item.htm?query=1&channel_id=%d", channel),
			DateTime: (origin + int64(i)*spacing) / int64(time.Millisecond), Extra: "lorem ipsum dolor sit amet cons"[:20+i%10],
		}
		fmt.Fprintf(&out, `{"auction":%d,"bidder":%d,"price":%d,"channel":%q,"url":%q,"date_time":%d,"extra":%q}`+"\n",
			b.Auction, b.Bidder, b.Price, b.Channel, b.URL, b.DateTime, b.Extra)
		sum.add(&b)
		w.add(&b)
	}
	w.close()
	return out.Bytes(), sum, w.out
}

// bidSum is a checksum over decoded bids that sees every field; of strings their length and two of their bytes.
type bidSum uint64

func (s *bidSum) add(b *jsonBid) {
	x := uint64(*s) + b.Auction*31 + b.Bidder*37 + b.Price*41 + uint64(b.DateTime)*43
	for _, text := range [...]string{b.Channel, b.URL, b.Extra} {
		x = x*5 + uint64(len(text)) + uint64(text[0])<<8 + uint64(text[len(text)-1])<<16
	}
	*s = bidSum(x)
}

// eachLine gives each line of a text to a function.
func eachLine(text []byte, line func([]byte) error) error {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if err := line(text[:end]); err != nil {
			return err
		}
		text = text[end+1:]
	}
	return nil
}

// bidWindows is count and sum for each auction in windows of ten seconds, by a loop written by hand.
type bidWindows struct {
	open *handTable
	at   int64
	out  tally
}

func (w *bidWindows) add(b *jsonBid) {
	if at := b.DateTime * int64(time.Millisecond) / windowSize; at != w.at {
		w.close()
		w.at = at
	}
	s := w.open.slot(b.Auction)
	s.count++
	s.sum += int64(b.Price)
}

func (w *bidWindows) close() {
	for i := range w.open.slots {
		if s := &w.open.slots[i]; s.count != 0 {
			w.out.add(s.key, w.at*windowSize, s.count, s.sum)
		}
	}
	clear(w.open.slots)
	w.open.used = 0
}

// readBids reads the file with the source that a job uses.
func readBids(path string, each func(*jsonBid)) error {
	ctx := context.Background()
	r, err := file.JSONL[jsonBid](path).Open(ctx, connect.Split{ID: filepath.Base(path)}, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	records := make([]jsonBid, 1024)
	for {
		n, err := r.Read(ctx, records)
		for i := range records[:n] {
			each(&records[i])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// BenchmarkDecodeBids is B15: a job that reads JSON from a file into windows, against goccy/go-json decoding the same bytes and doing
// nothing else. All but the job are checked by a sum over all fields, and the windows by that of a loop over the bids that were written.
func BenchmarkDecodeBids(b *testing.B) {
	const n = 2_000_000
	text, wantSum, want := makeBids(n)
	path := filepath.Join(b.TempDir(), "bids.jsonl")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	// decodes is a run of a decoder: it gives the windows that were computed before once the bids have turned out to be right.
	decodes := func(all func(each func(*jsonBid)) error) func() tally {
		return func() tally {
			var sum bidSum
			if err := all(sum.add); err != nil {
				b.Fatal(err)
			}
			if sum != wantSum {
				b.Fatalf("the decoded bids have the sum %x, want %x", sum, wantSum)
			}
			return want
		}
	}
	byLine := func(unmarshal func([]byte, any) error) func(func(*jsonBid)) error {
		return func(each func(*jsonBid)) error {
			var bid jsonBid
			return eachLine(text, func(line []byte) error {
				bid = jsonBid{}
				if err := unmarshal(line, &bid); err != nil {
					return err
				}
				each(&bid)
				return nil
			})
		}
	}
	fast := byLine(goccy.Unmarshal)
	for b.Loop() {
		compare(b, fmt.Sprintf("JSON bids of %d bytes, windows of 10 s", len(text)/n), n, []*contender{
			{name: "goccy/go-json, decoding only", run: decodes(fast)},
			{name: "encoding/json, decoding only", run: decodes(byLine(json.Unmarshal)), once: true},
			{name: "encoding/json/v2, decoding only", run: decodes(byLine(func(line []byte, v any) error { return jsonv2.Unmarshal(line, v) })), once: true},
			{name: "reader of file.JSONL, decoding only", run: decodes(func(each func(*jsonBid)) error { return readBids(path, each) })},
			{name: "goccy/go-json and a hand-written loop", run: func() tally {
				w := bidWindows{open: newHandTable()}
				if err := fast(w.add); err != nil {
					b.Fatal(err)
				}
				w.close()
				return w.out
			}},
			{
				name: "engine, file to windows", run: func() tally { return engine{parallelism: 1, every: time.Second}.bids(b, path) },
				target: "B15", must: 1.5, moonshot: 1.15,
			},
			{name: "engine, keyed exchange, 2 subtasks", run: func() tally { return engine{parallelism: 2, every: time.Second}.bids(b, path) }},
		})
	}
}

// bids runs the job over a file of bids.
func (c engine) bids(tb testing.TB, path string) tally {
	tb.Helper()
	sink := &countingSink[pane]{add: func(t *tally, p *pane) {
		t.add(p.Key, p.Start.UnixNano(), p.Value.Count, p.Value.Sum)
	}}
	job := millrace.NewJob("bench")
	job.From("bids", file.JSONL[jsonBid](path),
		millrace.EventNanosRef(func(b *jsonBid) int64 { return b.DateTime * int64(time.Millisecond) }).Monotonic()).
		KeyByRef(func(b *jsonBid) uint64 { return b.Auction }).
		Window(window.Tumbling(time.Duration(windowSize))).
		Aggregate("totals", agg.Aggregator[jsonBid, total, total]{
			Add:    func(t *total, b *jsonBid) { t.Count++; t.Sum += int64(b.Price) },
			Merge:  func(dst, src *total) { dst.Count += src.Count; dst.Sum += src.Sum },
			Result: func(t *total) total { return *t },
		}).
		To("out", sink)
	c.runJob(tb, job)
	return sink.mu.committed
}
