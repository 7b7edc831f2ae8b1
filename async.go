package millrace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// AsyncResults are the results of Async. Its methods say how requests are made; call them before the job runs.
type AsyncResults[T, U any] struct {
	Stream[U]
	set *asyncSettings[T, U]
}

// asyncSettings are what the methods of AsyncResults change.
type asyncSettings[T, U any] struct {
	capacity  int
	unordered bool
	timeout   time.Duration
	retry     AsyncRetry
	fallback  func(T, error) (U, error)
}

// AsyncRetry says when a request that has failed is made again.
type AsyncRetry struct {
	// Attempts is how often a request is made at most, the first time included.
	Attempts int
	// Backoff is the wait after the first failure, doubled after each up to MaxBackoff; 0 means 100 ms and 30 s.
	Backoff, MaxBackoff time.Duration
	// Jitter, from 0 to 1, is the part of each wait that is left out at random, at most: so many requests that failed together do
	// not come again together.
	Jitter float64
	// If says which errors may go away by themselves; nil means all.
	If func(error) bool
}

const (
	defaultCapacity   = 100
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = 30 * time.Second
)

// Async calls f for each record beside the stream, several at a time, and passes on what it returns, with the event time of the
// record: for requests to databases and services. Results come in the order of the records unless Unordered says otherwise, and
// each behind the watermark that its record was behind. The id names the requests in flight in checkpoints.
//
// Each subtask has up to 100 requests in flight, or what Capacity says: a result that waits for its turn counts. When they are in use, the
// job stops reading. A barrier does not wait for requests. Those in flight are saved and made again after a crash, so f may be called more
// than once for a record, also after an answer: results are exactly once, what f does outside is at least once. T must be a type
// that package codec can encode. The requests in flight are part of the manifest of each checkpoint: keep capacity times the size of a
// record below some megabytes.
//
// f runs in goroutines of its own, several at a time, and must not change what r refers to. Its context is done when the call
// times out or the job ends, and then it must return soon: the job waits for it. An error fails the job, after Retry and Fallback; a panic
// does so at once.
func (s Stream[T]) Async[U any](id string, f func(ctx context.Context, r T) (U, error)) AsyncResults[T, U] {
	n := &graph.Node{
		ID: id, Kind: "async", Stateful: true, Inputs: s.input(false),
		Types: map[string]string{"record": codec.Describe[T]()},
	}
	if f == nil {
		n.Errs = append(n.Errs, errors.New("the function is nil"))
	}
	detach, err := codec.Detach[T]()
	var c codec.Codec[T]
	if err == nil {
		c, err = codec.For[T]()
	}
	if err != nil {
		n.Errs = append(n.Errs, fmt.Errorf("the requests in flight cannot be kept in checkpoints: %w", err))
	}
	set := &asyncSettings[T, U]{capacity: defaultCapacity, retry: AsyncRetry{Attempts: 1}.withDefaults()}
	pool := newPool[U](operator.BatchSize)
	n.Op = &operator.Spec{New: func() operator.Op {
		return operator.NewAsync(operator.AsyncConfig[T, U]{
			Call: f, Capacity: set.capacity, Unordered: set.unordered, Timeout: set.timeout,
			Attempts: set.retry.Attempts, Backoff: set.retry.Backoff, MaxBackoff: set.retry.MaxBackoff, Jitter: set.retry.Jitter,
			RetryIf: set.retry.If, Fallback: set.fallback, Codec: c, Detach: detach, Pool: pool,
		})
	}}
	return AsyncResults[T, U]{Stream: Stream[U]{job: s.job, node: s.job.add(1, n), timed: s.timed}, set: set}
}

// wrong notes a mistake in the options.
func (a AsyncResults[T, U]) wrong(format string, args ...any) {
	n := a.job.g.Nodes[a.node]
	n.Errs = append(n.Errs, fmt.Errorf(format, args...))
}

// Unordered lets results overtake each other, so that a slow request does not hold back those after it; but none overtakes a
// watermark: what windows contain does not change. With event times in order and no OutOfOrderness there is a watermark between any two
// records of different times, and little to gain. It returns a.
func (a AsyncResults[T, U]) Unordered() AsyncResults[T, U] {
	a.set.unordered = true
	return a
}

// Capacity sets the number of requests that each subtask has in flight at most. It returns a.
func (a AsyncResults[T, U]) Capacity(n int) AsyncResults[T, U] {
	if n < 1 {
		a.wrong("Capacity(%d): it must be 1 or more", n)
	}
	a.set.capacity = n
	return a
}

// Timeout bounds each call: when d is over, the context of the call is done. The error of a call that fails after that is a
// context.DeadlineExceeded, for Retry and Fallback as any other. Without it a call may take as long as it likes. It returns a.
func (a AsyncResults[T, U]) Timeout(d time.Duration) AsyncResults[T, U] {
	if d <= 0 {
		a.wrong("Timeout(%v): it must be more than 0", d)
	}
	a.set.timeout = d
	return a
}

// Retry makes requests again that have failed. Meanwhile a request keeps its place, and those behind it wait unless they may overtake
// it. Retries are counted. It returns a.
func (a AsyncResults[T, U]) Retry(r AsyncRetry) AsyncResults[T, U] {
	r = r.withDefaults()
	switch {
	case r.Attempts < 1:
		a.wrong("Retry: Attempts is %d: it must be 1 or more", r.Attempts)
	case r.Backoff < 0 || r.MaxBackoff < r.Backoff:
		a.wrong("Retry: Backoff is %v and MaxBackoff %v: they must not be negative, and MaxBackoff not be less", r.Backoff, r.MaxBackoff)
	case !(r.Jitter >= 0 && r.Jitter <= 1): // a NaN is wrong too
		a.wrong("Retry: Jitter is %v: it must be from 0 to 1", r.Jitter)
	}
	a.set.retry = r
	return a
}

func (r AsyncRetry) withDefaults() AsyncRetry {
	if r.Backoff == 0 {
		r.Backoff = defaultBackoff
	}
	if r.MaxBackoff == 0 {
		r.MaxBackoff = max(defaultMaxBackoff, r.Backoff)
	}
	return r
}

// Fallback turns the last error of a request into a result, or into the error that fails the job. Results made from errors are
// counted. It returns a.
func (a AsyncResults[T, U]) Fallback(f func(r T, err error) (U, error)) AsyncResults[T, U] {
	if f == nil {
		a.wrong("Fallback: the function is nil")
	}
	a.set.fallback = f
	return a
}
