package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace-stream/millrace/connect"
)

// gateway is the source: the payments of a world, in as many splits as there are lines into the bank. It hands each payment out
// when it is due, as a live one would. The position of a split is the number of its payments that have been read.
type gateway struct {
	world *world
	lines int
	// rate is the number of payments per second over all lines; 0 means as fast as they are taken.
	rate int
}

// Splits lists the lines.
func (g gateway) Splits(context.Context) ([]connect.Split, error) {
	out := make([]connect.Split, g.lines)
	for i := range out {
		out[i].ID = fmt.Sprintf("line-%03d", i)
	}
	return out, nil
}

var errPosition = errors.New("fraud: the position is not one of this line: was the checkpoint made with another -rate or -duration?")

// Open returns a reader that goes on after the position.
func (g gateway) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[Payment], error) {
	r := &line{gateway: g}
	if _, err := fmt.Sscanf(split.ID, "line-%d", &r.number); err != nil || r.number < 0 || r.number >= g.lines {
		return nil, fmt.Errorf("fraud: there is no line %q", split.ID)
	}
	if position != nil {
		n, size := binary.Uvarint(position)
		if size != len(position) || r.place(int64(n)) > g.world.total+int64(g.lines) {
			return nil, errPosition
		}
		r.next = int64(n)
	}
	r.first, r.opened = r.next, time.Now()
	return r, nil
}

// line is the connect.Reader of one split: the payments number, number + lines, number + 2 lines ...
type line struct {
	gateway
	number int
	first  int64     // the number of payments read before it was opened,
	opened time.Time // and when that was
	next   int64
	batch  int64 // next, before the last Read
}

// place returns where in the world the n-th payment of the line stands.
func (l *line) place(n int64) int64 { return n*int64(l.lines) + int64(l.number) }

// due returns when the n-th payment arrives. What the job is too slow to take waits, and the time it waits counts.
func (l *line) due(n int64) time.Time {
	return l.opened.Add(time.Duration(float64((n-l.first)*int64(l.lines)) / float64(l.rate) * float64(time.Second)))
}

// Read returns the payments that are due. It waits a little for the first one: to return nothing would say that there is time.
func (l *line) Read(ctx context.Context, payments []Payment) (int, error) {
	const (
		wait    = time.Millisecond
		longest = 5 * wait
	)
	l.batch = l.next
	if l.place(l.next) >= l.world.total {
		return 0, io.EOF
	}
	for waited := time.Duration(0); l.rate > 0 && time.Now().Before(l.due(l.next)) && waited < longest; waited += wait {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		time.Sleep(wait)
	}
	n, now := 0, time.Now()
	for n < len(payments) && l.place(l.next) < l.world.total {
		arrived := now
		if l.rate > 0 {
			if arrived = l.due(l.next); arrived.After(now) {
				break
			}
		}
		payments[n] = l.world.at(l.place(l.next))
		payments[n].Arrived = arrived.UnixNano()
		l.next++
		n++
	}
	return n, nil
}

// Position is the number of payments read.
func (l *line) Position() []byte { return binary.AppendUvarint(nil, uint64(l.next)) }

// Where names a payment of the last Read.
func (l *line) Where(i int) string {
	return fmt.Sprintf("line-%03d: payment %d", l.number, l.batch+int64(i))
}

// BytesRead is not known.
func (l *line) BytesRead() int64 { return 0 }

// Close does nothing.
func (l *line) Close() error { return nil }
