package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
)

// every is how many records there are for a row of output.
const every = 1000

type record struct{ At, Key int64 }

// row tells how often the key of record At has been seen, by the state of the job, and how often it should have been.
type row struct {
	At    int64 `csv:"at"`
	Times int64 `csv:"times"`
	Want  int64 `csv:"want"`
}

// seen is the state of a key.
type seen struct{ Times, Last int64 }

// rounds is a source without end: all keys, again and again, in an order without a pattern.
type rounds struct {
	keys int64
	say  func(what string, n int64)
}

func (s rounds) Splits(context.Context) ([]connect.Split, error) {
	return []connect.Split{{ID: "rounds"}}, nil
}

func (s rounds) Open(_ context.Context, _ connect.Split, position []byte) (connect.Reader[record], error) {
	r := &reader{rounds: s}
	if len(position) == 8 {
		r.next = int64(binary.LittleEndian.Uint64(position))
	}
	s.say("reading", r.next)
	return r, nil
}

type reader struct {
	rounds
	next int64
}

func (r *reader) Read(_ context.Context, out []record) (int, error) {
	for i := range out {
		out[i] = record{At: r.next, Key: int64(uint64(r.next%r.keys) * 0x9e3779b97f4a7c15)}
		if r.next++; r.next == r.keys {
			r.say("loaded", r.next)
		}
	}
	return len(out), nil
}

func (r *reader) Position() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(r.next)) }
func (r *reader) Where(int) string { return "rounds" }
func (r *reader) BytesRead() int64 { return 0 }
func (r *reader) Close() error     { return nil }

// work runs the job until it is killed. It says on its output how far it has come.
func work(ctx context.Context, o options) error {
	var mu sync.Mutex
	say := func(what string, n int64) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, n)
	}
	job := millrace.NewJob("restart")
	job.From("rounds", rounds{o.keys, say}).
		KeyByRef(func(r *record) int64 { return r.Key }).
		Process("count", func(p *millrace.Proc[int64, seen, row], r record) error {
			s := p.State()
			s.Times, s.Last = s.Times+1, r.At
			if r.At%every == 0 {
				p.Emit(row{At: r.At, Times: s.Times, Want: r.At/o.keys + 1})
			}
			return nil
		}).
		To("rows", file.CSV[row](filepath.Join(o.dir, "out")))
	var last uint64
	begun := false
	return millrace.Run(ctx, job, millrace.Config{
		Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(o.dir, "state"), Interval: o.interval},
		Log:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Observe: func(s millrace.Status) {
			if begun && s.Epoch > last {
				say("committed", int64(s.Epoch))
			}
			begun, last = true, s.Epoch
		},
		ObserveEvery: 5 * time.Millisecond,
	})
}
