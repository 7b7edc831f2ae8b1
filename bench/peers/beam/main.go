// Beam does the task of package input with the Go SDK of Apache Beam: -runner=direct or -runner=prism.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/millrace-stream/millrace/bench/peers/input"
)

func init() {
	register.DoFn2x1[[]byte, func(beam.EventTime, int64, int64), error](&readFn{})
	register.Emitter3[beam.EventTime, int64, int64]()
	register.Function2x1(add)
	register.DoFn3x0[beam.Window, int64, int64](&printFn{})
}

// readFn reads the file.
type readFn struct{ Path string }

// ProcessElement emits every event at its time.
func (f *readFn) ProcessElement(_ []byte, emit func(beam.EventTime, int64, int64)) error {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, 1<<16)
	var b [input.Bytes]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		e := input.Decode(b[:])
		emit(mtime.FromMilliseconds(e.Time), e.Key, e.Val)
	}
}

func add(a, b int64) int64 { return a + b }

// out is where results go. Both runners do all work in this process.
var out struct {
	sync.Mutex
	*bufio.Writer
	line []byte
}

// printFn prints results.
type printFn struct{}

// ProcessElement prints one.
func (*printFn) ProcessElement(w beam.Window, key, sum int64) {
	start := w.MaxTimestamp().ToTime().Add(time.Millisecond - input.Window)
	out.Lock()
	defer out.Unlock()
	out.line = input.AppendResult(out.line[:0], start, key, sum)
	_, _ = out.Write(out.line) // The last Flush returns what went wrong.
}

func main() {
	path := flag.String("input", "", "file of events")
	flag.Parse()
	beam.Init()
	log.SetLogger(quiet{})
	out.Writer = bufio.NewWriterSize(os.Stdout, 1<<16)
	p, s := beam.NewPipelineWithRoot()
	events := beam.ParDo(s, &readFn{Path: *path}, beam.Impulse(s))
	sums := beam.CombinePerKey(s, add, beam.WindowInto(s, window.NewFixedWindows(input.Window), events))
	beam.ParDo0(s, &printFn{}, sums)
	err := beamx.Run(context.Background(), p)
	if err := errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "beam:", err)
		os.Exit(1)
	}
}

// quiet keeps warnings.
type quiet struct{}

// Log prints what matters.
func (quiet) Log(_ context.Context, sev log.Severity, _ int, text string) {
	if sev >= log.SevError {
		fmt.Fprintln(os.Stderr, text)
	}
}
