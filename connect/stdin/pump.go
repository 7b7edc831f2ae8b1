package stdin

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/millrace-stream/millrace/internal/task"
)

const (
	// chunk is how much is read at a time.
	chunk = 64 << 10
	// ahead is how much may wait to be taken, but for a line that is longer.
	ahead = 256 << 10
)

// pump reads a stream beside the job, because a Read of it may block for ever: a task that waits there would hold up every epoch. It outlives
// the attempts of a job, so that what it has read ahead is not lost with them.
type pump struct {
	from io.Reader

	mu struct {
		sync.Mutex
		room    task.Event // set when the pump may go on; nil before it runs
		inUse   bool
		want    int // the longest line that somebody waits for
		buf     []byte
		lines   int64 // taken so far
		ended   bool
		failure error
	}
}

// open takes the pump into use, unless it is, and starts it when it has not been.
func (p *pump) open(s task.Scheduler) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.inUse {
		return false
	}
	p.mu.inUse = true
	if p.mu.room == nil {
		p.mu.room = s.NewEvent()
		s.Go("stdin", p.run)
	}
	return true
}

func (p *pump) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.inUse = false
}

// run fills the buffer until the stream ends.
func (p *pump) run() {
	b := make([]byte, chunk)
	for {
		n, err := p.from.Read(b)
		p.mu.Lock()
		p.mu.buf = append(p.mu.buf, b[:n]...)
		p.mu.ended = err != nil
		if err != nil && !errors.Is(err, io.EOF) {
			p.mu.failure = fmt.Errorf("stdin: read: %w", err)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		for !p.hasRoom() {
			p.mu.room.Wait(task.Forever)
		}
	}
}

func (p *pump) hasRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.buf) < max(ahead, p.mu.want+chunk)
}

// take appends up to n lines, with their ends, and returns the number of the first, from 1. The error is io.EOF or a failure when there
// is nothing left but that, and nil when there is nothing yet.
func (p *pump) take(lines []string, n, longest int) (_ []string, first int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first = p.mu.lines + 1
	p.mu.want = longest
	rest := p.mu.buf
	for len(lines) < n {
		line, ok := cut(rest, p.mu.ended)
		if len(line) > longest+2 || ok && len(trimmed(line)) > longest {
			if len(lines) == 0 {
				err = fmt.Errorf("stdin:%d: the line is longer than %d bytes: raise the limit with MaxLine", first, longest)
			}
			break
		}
		if !ok {
			break
		}
		lines = append(lines, string(line))
		rest = rest[len(line):]
	}
	p.mu.lines += int64(len(lines))
	p.mu.buf = append(p.mu.buf[:0], rest...)
	p.mu.room.Set()
	if len(lines) > 0 || err != nil || !p.mu.ended {
		return lines, first, err
	}
	if p.mu.failure != nil {
		return lines, first, p.mu.failure
	}
	return lines, first, io.EOF
}

// giveBack puts lines back that were taken last.
func (p *pump) giveBack(lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b []byte
	for _, l := range lines {
		b = append(b, l...)
	}
	p.mu.buf = append(b, p.mu.buf...)
	p.mu.lines -= int64(len(lines))
}

// trimmed returns the line without its end.
func trimmed(line []byte) []byte {
	for _, end := range []byte{'\n', '\r'} {
		if n := len(line); n > 0 && line[n-1] == end {
			line = line[:n-1]
		}
	}
	return line
}
