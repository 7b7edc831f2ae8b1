package engine

import (
	"sync"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/task"
)

// mail is what the coordinator is told. One field is set.
type mail struct {
	ack       *cut
	drained   *taskRun
	taskEnded *taskRun
	// err goes with taskEnded, published, committed and splits.
	err       error
	request   bool
	published *publication
	committed uint64
	listed    *listing
}

// listing is the result of looking for new splits of a source.
type listing struct {
	node   int
	splits []connect.Split
}

// mailbox is a queue into the coordinator. It is not bounded by itself: each task and background job has at most a few
// letters under way.
type mailbox struct {
	ev task.Event

	mu struct {
		sync.Mutex
		queue []mail
	}
}

func newMailbox(ev task.Event) *mailbox { return &mailbox{ev: ev} }

func (m *mailbox) post(l mail) {
	m.mu.Lock()
	m.mu.queue = append(m.mu.queue, l)
	m.mu.Unlock()
	m.ev.Set()
}

func (m *mailbox) take() []mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.mu.queue
	m.mu.queue = nil
	return q
}
