package operator

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
)

// The state of a subtask is the watermark that it has passed on and then, in their order, the requests and the watermarks that have
// not left:
//
//	version 1 | watermark | { kind 1 | event time | record }  or  { kind 2 | watermark } ...
//
// Times are signed varints, the record is as package codec writes it.
const (
	asyncVersion   = 1
	asyncRecord    = 1
	asyncWatermark = 2
)

func beginAsyncState(told int64) []byte {
	return binary.AppendVarint([]byte{asyncVersion}, told)
}

func appendAsyncRecord(dst []byte, at int64) []byte {
	return binary.AppendVarint(append(dst, asyncRecord), at)
}

func appendAsyncWatermark(dst []byte, wm int64) []byte {
	return binary.AppendVarint(append(dst, asyncWatermark), wm)
}

var errAsyncState = errors.New("the requests in the checkpoint are damaged")

// asyncReader reads a state.
type asyncReader struct{ rest []byte }

func (r *asyncReader) time() (int64, error) {
	t, n := binary.Varint(r.rest)
	if n <= 0 {
		return 0, errAsyncState
	}
	r.rest = r.rest[n:]
	return t, nil
}

// begin reads the version and the watermark.
func (r *asyncReader) begin() (told int64, err error) {
	if len(r.rest) == 0 {
		return 0, errAsyncState
	}
	if v := r.rest[0]; v != asyncVersion {
		return 0, fmt.Errorf("the requests in the checkpoint have the format %d, this program knows %d", v, asyncVersion)
	}
	r.rest = r.rest[1:]
	return r.time()
}

// restored is a request of a checkpoint.
type restored[T, U any] struct {
	request *request[T, U]
	before  int64 // the watermark before it
}

// restoreAsync returns the watermark that a subtask goes on with, and the requests and watermarks that follow. It takes the states
// of the old subtasks whose number is its own modulo the parallelism, all of them when that has not changed.
//
// The requests of several old subtasks are merged as an operator with several inputs would: the one with the smaller watermark before it
// comes first, and the watermark is never beyond what one of the old subtasks has been given.
func restoreAsync[T, U any](old [][]byte, subtask, parallelism int, c codec.Codec[T]) (told int64, items []asyncItem[T, U], err error) {
	if len(old) == 0 {
		return element.NoTime, nil, nil
	}
	told = element.EndTime
	limit := int64(element.EndTime)
	var requests []restored[T, U]
	for i, b := range old {
		r := asyncReader{b}
		clock, err := r.begin()
		if err != nil {
			return 0, nil, err
		}
		told = min(told, clock)
		if i%parallelism != subtask {
			continue
		}
		for len(r.rest) > 0 {
			kind := r.rest[0]
			r.rest = r.rest[1:]
			t, err := r.time()
			if err != nil {
				return 0, nil, err
			}
			switch kind {
			case asyncWatermark:
				clock = max(clock, t)
			case asyncRecord:
				q := &request[T, U]{at: t}
				if r.rest, err = c.Decode(r.rest, &q.record); err != nil {
					return 0, nil, fmt.Errorf("%w: %w", errAsyncState, err)
				}
				requests = append(requests, restored[T, U]{q, clock})
			default:
				return 0, nil, errAsyncState
			}
		}
		limit = min(limit, clock)
	}
	if told == element.EndTime { // all is done; should there be more input now, its watermark counts
		told = element.NoTime
	}
	slices.SortStableFunc(requests, func(x, y restored[T, U]) int { return cmp.Compare(x.before, y.before) })
	wm := told
	step := func(t int64) {
		if t > wm && t < element.EndTime {
			wm = t
			items = append(items, asyncItem[T, U]{wm: t})
		}
	}
	for _, q := range requests {
		step(min(q.before, limit))
		items = append(items, asyncItem[T, U]{request: q.request})
	}
	step(limit)
	return told, items, nil
}
