package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace-stream/millrace/connect"
)

// record is what is timed. Its event time is the moment at which it is due.
type record struct {
	Due int64 // ns since 1970
	Key uint64
}

// pacing says when records are due: record i at the beginning and i / rate later.
type pacing struct {
	rate   int
	keys   uint64
	total  int64
	warmup int64 // So many records are not timed.
}

func newPacing(rate int, o options) pacing {
	return pacing{
		rate: rate, keys: uint64(o.keys), total: int64(float64(rate) * (o.warmup + o.duration).Seconds()),
		warmup: int64(float64(rate) * o.warmup.Seconds()),
	}
}

// after returns how long after the beginning record i is due.
func (p pacing) after(i int64) time.Duration {
	return time.Duration(i/int64(p.rate))*time.Second + time.Duration(i%int64(p.rate)*int64(time.Second)/int64(p.rate))
}

// first returns the number of the first record that is due at least d after the beginning.
func (p pacing) first(d time.Duration) int64 {
	seconds, rest := int64(d/time.Second), int64(d%time.Second)
	i := seconds*int64(p.rate) + rest*int64(p.rate)/int64(time.Second)
	for i > 0 && p.after(i-1) >= d {
		i--
	}
	for p.after(i) < d {
		i++
	}
	return i
}

// clock is the beginning and the place of a run.
type clock struct {
	pacing
	start time.Time
	next  int64
}

func (c *clock) begin() {
	if c.start.IsZero() {
		c.start = time.Now()
	}
}

// due returns when the next record is due.
func (c *clock) due() time.Time { return c.start.Add(c.after(c.next)) }

// take returns the next record.
func (c *clock) take() record {
	// Keys in an order without a pattern, the same in every run.
	x := uint64(c.next) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	r := record{Due: c.due().UnixNano(), Key: (x ^ x>>32) % c.keys}
	c.next++
	return r
}

// longestWait is how long a reader waits for a record at most: in the meantime the task does nothing else.
const longestWait = time.Millisecond

// wait sleeps until the next record is due, or for longestWait.
func (c *clock) wait() (now time.Time) {
	now = time.Now()
	if d := c.due().Sub(now); d > 0 {
		sleep(min(d, longestWait))
		now = time.Now()
	}
	return now
}

// source is a paced source of one split.
type source struct{ clock *clock }

// Splits lists the split.
func (s source) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: "paced"}}, nil
}

// Open returns its reader. A run is not continued.
func (s source) Open(_ context.Context, _ connect.Split, position []byte) (connect.Reader[record], error) {
	if position != nil {
		return nil, fmt.Errorf("a paced run cannot go on from %x", position)
	}
	return &reader{s.clock}, nil
}

type reader struct{ clock *clock }

// Read returns the records that are due, and waits a little for the first.
func (r *reader) Read(_ context.Context, records []record) (int, error) {
	r.clock.begin()
	if r.clock.next >= r.clock.total {
		return 0, io.EOF
	}
	now := r.clock.wait()
	n := 0
	for n < len(records) && r.clock.next < r.clock.total && !r.clock.due().After(now) {
		records[n] = r.clock.take()
		n++
	}
	return n, nil
}

func (r *reader) Position() []byte { return []byte{1} }
func (r *reader) Where(int) string { return "paced" }
func (r *reader) BytesRead() int64 { return 0 }
func (r *reader) Close() error     { return nil }

// newHistogram holds latencies from a microsecond to ten minutes with three digits, in ns.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(10*time.Minute), 3)
}

// note adds a latency. One below the smallest is that.
func note(h *hdrhistogram.Histogram, took time.Duration) error {
	return h.RecordValue(max(int64(took), int64(time.Microsecond)))
}

// channel sends the records through a channel from one goroutine to another, and nothing else.
func channel(ctx context.Context, _ options, p pacing) (outcome, error) {
	c := &clock{pacing: p}
	c.begin()
	records := make(chan record, 4096)
	go func() {
		defer close(records)
		for c.next < p.total && ctx.Err() == nil {
			now := c.wait()
			for c.next < p.total && !c.due().After(now) {
				records <- c.take()
			}
		}
	}()
	o := outcome{took: newHistogram()}
	for r := range records {
		if o.records++; o.records > p.warmup {
			if err := note(o.took, time.Duration(time.Now().UnixNano()-r.Due)); err != nil {
				return o, err
			}
		}
	}
	o.behind = time.Since(c.start) - p.after(p.total)
	return o, ctx.Err()
}
