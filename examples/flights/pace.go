package main

import (
	"context"
	"time"

	"github.com/millrace-stream/millrace/connect"
)

// paced is a source that hands out so many rows per second and split, as a live one would.
type paced struct {
	connect.Source[Flight]
	perSecond int
}

// Open wraps the reader.
func (p paced) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[Flight], error) {
	r, err := p.Source.Open(ctx, split, position)
	return &pacedReader{r, p.perSecond}, err
}

type pacedReader struct {
	connect.Reader[Flight]
	perSecond int
}

// Read waits for as long as the rows it returns take.
func (p *pacedReader) Read(ctx context.Context, records []Flight) (int, error) {
	few := min(len(records), max(1, p.perSecond/50))
	n, err := p.Reader.Read(ctx, records[:few])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(p.perSecond))
	return n, err
}
