package operator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/exchange"
)

// AsyncConfig describes requests that are made beside the task.
type AsyncConfig[T, U any] struct {
	// Call makes a request; several run at a time.
	Call func(ctx context.Context, r T) (U, error)
	// Capacity is the number of requests of a subtask whose results have not been passed on.
	Capacity int
	// Unordered lets results overtake each other between two watermarks.
	Unordered bool
	// Timeout bounds each call; 0 does not.
	Timeout time.Duration
	// Attempts is how often a request is made at most.
	Attempts int
	// Backoff is the wait after the first failure, doubled after each up to MaxBackoff. Up to the fraction Jitter of it is left out at random.
	Backoff, MaxBackoff time.Duration
	Jitter              float64
	// RetryIf says which errors may go away; nil for all.
	RetryIf func(error) bool
	// Fallback turns the last error into a result, or into the error that fails the job; nil leaves it as it is.
	Fallback func(r T, err error) (U, error)

	Codec codec.Codec[T]
	// Detach gives a record memory of its own; nil when it has.
	Detach func(*T)
	Pool   *element.Pool[U]
}

// asyncOp makes a request for each record and passes the results on.
//
//	           waiting            queue                              emit
//	records ------------> [ r5 wm r4 ] -> [ r3 wm r2 r1 ] -- done, at the head --> results, watermarks
//	          (no room)                     |   ^
//	                                   call v   | finished, Wake
//	                                     beside the task
//
// Watermarks stand in the queue among the requests and leave it in their turn. Only Tick passes results on, so none leaves before
// the restored watermarks have gone through the task. All requests that have not left are in the checkpoint, and are made again after
// a restore.
type asyncOp[T, U any] struct {
	AsyncConfig[T, U]

	c     *Context
	emit  *Emitter[U]
	queue fifo[asyncItem[T, U]]
	// waiting are records and marks for which there is no room in the queue.
	waiting fifo[asyncItem[T, U]]
	held    int // the records in waiting
	open    int // the requests in queue that have not left
	// headStretch and tailStretch count the marks that have left the queue and those that have entered it: a request whose stretch is headStretch
	// has no mark before it.
	headStretch, tailStretch uint64
	// later are the requests that failed and are made again; due is the first such time, or math.MaxInt64.
	later []*request[T, U]
	due   int64
	// spare are requests that are not in use.
	spare []*request[T, U]
	// jitter is the state of what spreads the pauses of requests that are made again; it need not be good, only differ.
	jitter uint64

	finished struct {
		sync.Mutex
		list []*request[T, U]
	}
	took []*request[T, U] // the list before, to be used again
}

// request is a record on its way. While the call runs, result and err are the call's.
type request[T, U any] struct {
	record  T
	at      int64
	result  U
	err     error
	attempt int
	again   int64 // the processing time of the next attempt
	stretch uint64
	done    bool
	left    bool
}

// asyncItem is a request, a watermark, or the mark that the input is idle.
type asyncItem[T, U any] struct {
	request *request[T, U]
	wm      int64
	idle    bool
}

// NewAsync returns the operator.
func NewAsync[T, U any](cfg AsyncConfig[T, U]) Op {
	return &asyncOp[T, U]{AsyncConfig: cfg, due: math.MaxInt64}
}

func (a *asyncOp[T, U]) Open(c *Context) error {
	a.c = c
	a.emit = NewEmitter(a.Pool, c.Outputs(""), &c.Counters.Out)
	a.jitter = uint64(c.Now()) + uint64(c.Subtask)<<32
	told, items, err := restoreAsync[T, U](c.Old, c.Subtask, c.Parallelism, a.Codec)
	if err != nil {
		return err
	}
	a.emit.Advance(told) // those after it start anew
	for _, it := range items {
		a.add(it)
	}
	a.issue()
	return nil
}

func (a *asyncOp[T, U]) Input(int) Receiver { return a }

// Process makes requests of the records of a batch, or lets them wait for room.
func (a *asyncOp[T, U]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	n := len(in.Records)
	a.c.Counters.In.Add(int64(n))
	step := 0
	for i := range n {
		for ; step < len(in.Steps) && int(in.Steps[step].At) == i; step++ {
			a.add(asyncItem[T, U]{wm: in.Steps[step].Time})
		}
		r := a.take()
		r.record, r.at = in.Records[i], in.Times[i]
		if a.Detach != nil {
			a.Detach(&r.record)
		}
		a.add(asyncItem[T, U]{request: r})
	}
	end := false
	for ; step < len(in.Steps); step++ {
		a.add(asyncItem[T, U]{wm: in.Steps[step].Time})
		end = end || in.Steps[step].Time == element.EndTime
	}
	in.Free()
	return a.settle(end)
}

// Watermark puts the watermark behind the requests that came before it.
func (a *asyncOp[T, U]) Watermark(t int64) error {
	a.add(asyncItem[T, U]{wm: t})
	return a.settle(t == element.EndTime)
}

// Idle says so when the results of all that came before have left.
func (a *asyncOp[T, U]) Idle() error {
	a.add(asyncItem[T, U]{idle: true})
	return a.settle(false)
}

// settle makes the requests for which there is room and passes on what no request holds back. At the end of input it waits for all.
func (a *asyncOp[T, U]) settle(end bool) error {
	a.issue()
	if end {
		return a.drain()
	}
	if err := a.leave(false); err != nil {
		return err
	}
	return a.flush()
}

// drain waits until all results have left.
func (a *asyncOp[T, U]) drain() error {
	for {
		if err := a.advance(a.c.Now()); err != nil || a.queue.len() == 0 {
			return err
		}
		if err := a.c.Task.Await(a.due, a.anyFinished); err != nil {
			return err
		}
	}
}

// take returns a request to fill.
func (a *asyncOp[T, U]) take() *request[T, U] {
	if n := len(a.spare); n > 0 {
		r := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return r
	}
	return &request[T, U]{}
}

// add puts an item behind all others. Of several watermarks in a row the last is kept, as in a batch.
func (a *asyncOp[T, U]) add(it asyncItem[T, U]) {
	last := a.waiting.last()
	if last == nil {
		last = a.queue.last()
	}
	if it.request == nil && !it.idle && last != nil && last.request == nil && !last.idle && it.wm != element.EndTime {
		last.wm = max(last.wm, it.wm) // that of a restored queue may be ahead
		return
	}
	a.waiting.push(it)
	if it.request != nil {
		a.held++
	}
}

// issue moves what waits into the queue, as long as there is room, and makes the requests.
func (a *asyncOp[T, U]) issue() {
	for a.waiting.len() > 0 {
		it := *a.waiting.first()
		if r := it.request; r != nil {
			if a.open >= a.Capacity {
				break
			}
			a.held--
			a.open++
			r.stretch = a.tailStretch
			a.start(r)
		} else {
			a.tailStretch++
		}
		a.waiting.pop()
		a.queue.push(it)
	}
	a.c.Counters.InFlight.Store(int64(a.open))
}

// Room returns how many requests can be made at once.
func (a *asyncOp[T, U]) Room() int { return a.Capacity - a.open - a.held }

// start makes a request beside the task.
func (a *asyncOp[T, U]) start(r *request[T, U]) {
	r.attempt++
	a.c.Task.Go("call", func() {
		r.result, r.err = a.call(r.record)
		a.finished.Lock()
		a.finished.list = append(a.finished.list, r)
		a.finished.Unlock()
		a.c.Task.Wake()
	})
}

// call calls the function within the timeout. A panic becomes an error.
func (a *asyncOp[T, U]) call(record T) (result U, err error) {
	ctx := a.c.Context
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	result, err = a.Call(ctx, record)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && a.c.Err() == nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		}
		err = fmt.Errorf("no answer within %v: %w", a.Timeout, err)
	}
	return result, err
}

func (a *asyncOp[T, U]) anyFinished() bool {
	a.finished.Lock()
	defer a.finished.Unlock()
	return len(a.finished.list) > 0
}

// NextTick returns when the next failed request is made again.
func (a *asyncOp[T, U]) NextTick() int64 { return a.due }

// Tick passes on what has been finished, and makes the requests whose time has come.
func (a *asyncOp[T, U]) Tick(now int64) error { return a.advance(now) }

// advance looks at finished requests, makes those again whose time has come and those for which there is room now, and passes results on.
func (a *asyncOp[T, U]) advance(now int64) error {
	a.finished.Lock()
	list := a.finished.list
	a.finished.list, a.took = a.took[:0], list
	a.finished.Unlock()
	for _, r := range list {
		if err := a.judge(r, now); err != nil {
			return err
		}
	}
	clear(list)
	a.retry(now)
	if err := a.leave(true); err != nil {
		return err
	}
	a.issue()
	if err := a.leave(true); err != nil { // marks that waited behind the requests that have left
		return err
	}
	return a.flush()
}

// judge decides what becomes of a request that has returned.
func (a *asyncOp[T, U]) judge(r *request[T, U], now int64) error {
	err := r.err
	if err == nil {
		r.done = true
		return a.overtake(r)
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		return p
	}
	if a.c.Err() != nil {
		return exchange.ErrCancelled // the call was cut short because the task ends
	}
	if r.attempt < a.Attempts && (a.RetryIf == nil || a.RetryIf(err)) {
		a.c.Counters.Retries.Add(1)
		r.again = satAdd(now, int64(a.pause(r.attempt)))
		a.later = append(a.later, r)
		a.due = min(a.due, r.again)
		return nil
	}
	if a.Attempts > 1 {
		err = fmt.Errorf("attempt %d of %d: %w", r.attempt, a.Attempts, err)
	}
	if a.Fallback == nil {
		return recordError(err, r.at)
	}
	result, ferr := a.Fallback(r.record, err)
	if ferr != nil {
		return recordError(ferr, r.at)
	}
	a.c.Counters.Fallbacks.Add(1)
	r.result, r.err, r.done = result, nil, true
	return a.overtake(r)
}

// pause returns the wait before the next attempt.
func (a *asyncOp[T, U]) pause(failures int) time.Duration {
	d := a.MaxBackoff
	if shift := failures - 1; shift < 62 && a.Backoff <= a.MaxBackoff>>shift {
		d = a.Backoff << shift
	}
	return d - time.Duration(a.Jitter*a.spread()*float64(d))
}

// spread returns the next of a sequence of numbers from 0 to 1 that look random: the splitmix64 generator of Steele, Lea and Flood.
func (a *asyncOp[T, U]) spread() float64 {
	a.jitter += 0x9e3779b97f4a7c15
	z := a.jitter
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// retry makes requests again whose time has come.
func (a *asyncOp[T, U]) retry(now int64) {
	if now < a.due {
		return
	}
	a.due = math.MaxInt64
	a.later = slices.DeleteFunc(a.later, func(r *request[T, U]) bool {
		if r.again <= now {
			a.start(r)
			return true
		}
		a.due = min(a.due, r.again)
		return false
	})
}

// overtake lets a result leave that need not wait for others.
func (a *asyncOp[T, U]) overtake(r *request[T, U]) error {
	if !a.Unordered || r.stretch != a.headStretch {
		return nil
	}
	return a.pass(r)
}

// pass passes a result on.
func (a *asyncOp[T, U]) pass(r *request[T, U]) error {
	r.left = true
	a.open--
	return a.emit.Emit(&r.result, r.at)
}

// leave empties the queue from its head, as far as requests are done; without results, as far as there are none.
func (a *asyncOp[T, U]) leave(results bool) error {
	for a.queue.len() > 0 {
		it := *a.queue.first()
		if r := it.request; r != nil {
			switch {
			case r.left:
			case !results || !r.done:
				return nil
			default:
				if err := a.pass(r); err != nil {
					return err
				}
			}
			*r = request[T, U]{}
			a.spare = append(a.spare, r)
			a.queue.pop()
			continue
		}
		if err := a.mark(it); err != nil {
			return err
		}
		a.queue.pop()
		a.headStretch++
		if results && a.Unordered {
			if err := a.catchUp(); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark passes a watermark or an idle mark on.
func (a *asyncOp[T, U]) mark(it asyncItem[T, U]) error {
	if !it.idle {
		a.emit.Advance(it.wm)
		return nil
	}
	if err := a.emit.Flush(); err != nil {
		return err
	}
	return a.emit.to.Idle()
}

// catchUp lets those results leave that were done while a mark stood before them.
func (a *asyncOp[T, U]) catchUp() error {
	for i := range a.queue.len() {
		r := a.queue.at(i).request
		if r == nil {
			return nil
		}
		if r.done && !r.left {
			if err := a.pass(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *asyncOp[T, U]) flush() error {
	if a.queue.len() > 2*a.Capacity && a.queue.len() > 4*a.open {
		a.queue.compact(func(it asyncItem[T, U]) bool { return it.request == nil || !it.request.left })
	}
	a.c.Counters.InFlight.Store(int64(a.open))
	a.c.Counters.Watermark.Store(a.emit.told)
	return a.emit.Flush()
}

// Freeze saves all that has not left. The record of a request that runs is read here too; calls must not change it.
func (a *asyncOp[T, U]) Freeze(uint64) (Cut, error) {
	state, held := beginAsyncState(a.emit.told), int64(0)
	for _, f := range []*fifo[asyncItem[T, U]]{&a.queue, &a.waiting} {
		for i := range f.len() {
			it := f.at(i)
			switch {
			case it.request != nil && it.request.left, it.idle: // sources say anew that they are idle
			case it.request != nil:
				held++
				state = a.Codec.Append(appendAsyncRecord(state, it.request.at), &it.request.record)
			default:
				state = appendAsyncWatermark(state, it.wm)
			}
		}
	}
	return Cut{State: state, Held: held}, nil
}

func (a *asyncOp[T, U]) Completed(uint64) {}
func (a *asyncOp[T, U]) Close() error     { return nil }
